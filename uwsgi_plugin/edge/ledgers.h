/* ledgers.h: all ledgers of a spool together: their sum, and the fold of those whose process is dead. */
#ifndef HK_LEDGERS_H
#define HK_LEDGERS_H

#include "ledger.h"

/* The sum over every process, living and dead, into out. HK_ERR_SYSTEM when
 * the directory cannot be read; HK_ERR_MEMORY. */
hk_status hk_ledgers_sum(int dir_fd, uint64_t out[HK_LEDGER_SLOTS]);

/* Add the files of dead processes to "total", which names them, and remove
 * them: for the holder of the sender's lock only. */
hk_status hk_ledgers_fold(int dir_fd);

#endif
