/* master.h: harakiri, crashes, kills, full queues and slow requests, with the request and the Python stack.
 *
 * Runs in the master: from its cycle, and from the harakiri just before a kill. Only there it waits, at most 150 ms in
 * all; live.c never does.
 */
#ifndef HK_MASTER_H
#define HK_MASTER_H

#include "../core/buf.h"

void hk_master_share(void); /* before any fork */
void hk_master_harakiri(int worker);
void hk_master_cycle(void);

/* Append what is watched: "watching harakiri, segfault, slow over 10 s", or that nothing is. */
void hk_master_describe(hk_buf *out);

#endif
