/* storm.h: many deaths in a short time are one more event. */
#ifndef HK_STORM_H
#define HK_STORM_H

#include "report.h"

void hk_storm_add(const hk_watch_event *death, hk_pool *pool);

#endif
