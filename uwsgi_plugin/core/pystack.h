/* pystack.h: reads the stacks that Python's faulthandler writes. Pure. */
#ifndef HK_PYSTACK_H
#define HK_PYSTACK_H

#include "event.h"

/* The frames, outermost first, of one thread in text; in pool. thread_id 0: the
 * current one, else the first; likewise when the thread is not among them.
 * NULL: none. */
hk_frame *hk_pystack_read(hk_slice text, uint64_t thread_id, hk_pool *pool, size_t *count);

/* The other threads of text, each with its innermost frames, at most HK_PYSTACK_THREADS; in pool. Without that which
 * hk_pystack_read chooses for thread_id. */
#define HK_PYSTACK_THREADS 32U
#define HK_PYSTACK_INNER 50U
hk_thread *hk_pystack_others(hk_slice text, uint64_t thread_id, hk_pool *pool, size_t *count);

#endif
