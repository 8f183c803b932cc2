/* statefile.h: small files in a spool's state/, which others read at any time. */
#ifndef HK_STATEFILE_H
#define HK_STATEFILE_H

#include "../core/hk.h"

#include <sys/types.h>

/* Write a whole file, 0600, and put it at name by rename; what lies at temporary, a link or a pipe, goes away. uid, gid: to
 * whom root gives it; -1: to nobody. HK_OK; HK_ERR_SYSTEM: what was at name is as it was. */
hk_status hk_statefile_replace(int dir_fd, const char *name, const char *temporary, hk_slice text, uid_t uid, gid_t gid);

#endif
