/* live.h: requests and queues that are watched while their workers live on. The master never waits here: a stack is read
 * in a later cycle than it was asked for. */
#ifndef HK_LIVE_H
#define HK_LIVE_H

#include <stdint.h>

void hk_live_share(void);
void hk_live_report(int worker);        /* what waits for a stack of this worker, which may die now */
void hk_live_collect(uint64_t now_ms);  /* what has waited long enough */
int hk_live_waits(int worker); /* an event of this worker waits for its stack */
void hk_live_find_slow(int worker);
void hk_live_look_at_queues(void);

#endif
