/* grown.h: which requests grew a worker most: for memory and oom. */
#ifndef HK_GROWN_H
#define HK_GROWN_H

#include "snapshot.h"

/* In the worker: at its start, and after each request, with what uWSGI has just measured, else the most that it ever had. */
void hk_grown_start(hk_life *life);
void hk_grown_note(hk_life *life, const struct wsgi_request *r);

/* In the master, of a worker that died: a JSON array, the request that grew it most first, masked. suspect: that was in
 * flight when it had peak bytes; 0: not known. Empty: none grew it. */
hk_slice hk_grown_put(const hk_life *life, const hk_snapshot *suspect, uint64_t peak, uint64_t at_us, hk_pool *pool);

#endif
