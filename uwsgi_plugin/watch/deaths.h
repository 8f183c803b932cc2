/* deaths.h: which workers died, and of what. In the master. */
#ifndef HK_DEATHS_H
#define HK_DEATHS_H

#include "snapshot.h"

void hk_deaths_share(void);
void hk_deaths_look(void); /* in every cycle of the master, before uWSGI reaps */
void hk_deaths_sample(uint64_t now_ms); /* now and then: how many OOM kills there were */
int hk_deaths_is_dead(int worker);

/* A harakiri is about to kill it for this request. 1; 0: that was known: the second try of one that began gracefully. */
int hk_deaths_expect(int worker, const hk_snapshot *suspect);

/* Whether this is an alarm-segfault of a worker whose death is reported. */
int hk_deaths_reports_crash(hk_slice alarm);

#endif
