/* masking.h: an event made private: every text of it, before it is written anywhere. */
#ifndef HK_MASKING_H
#define HK_MASKING_H

#include "event.h"
#include "scrub.h"

/* All texts of *e, in place; new ones are kept in pool. Its request is masked by hk_request_read already, its source
 * lines are by hk_frames_put, its contexts by whoever wrote them. */
void hk_masking_event(const hk_scrub *s, hk_event *e, hk_pool *pool);

#endif
