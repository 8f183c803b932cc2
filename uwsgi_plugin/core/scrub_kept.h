/* scrub_kept.h: masked texts, kept in a pool.
 *
 * Closed when memory is short: what could not be masked becomes HK_SCRUB_MASK, or nothing where pool itself is failed
 * (then the event is lost, and counted). A text is cut before it is looked at, so that no input costs more than its cap.
 */
#ifndef HK_SCRUB_KEPT_H
#define HK_SCRUB_KEPT_H

#include "pool.h"
#include "scrub.h"

typedef void (*hk_scrub_function)(const hk_scrub *s, hk_slice text, hk_buf *out);

/* text, masked by function, in pool; at most most bytes of it are looked at, and a cut shows as an ellipsis. */
hk_slice hk_scrub_kept(const hk_scrub *s, hk_scrub_function function, hk_slice text, size_t most, hk_pool *pool);

/* Likewise the value of a header, a tag or an extra, by its name. */
hk_slice hk_scrub_named(const hk_scrub *s, hk_slice name, hk_slice value, size_t most, hk_pool *pool);

/* A user, which is a JSON object, without what is private in it; without its e-mail, too, unless send_pii. */
hk_slice hk_scrub_user(const hk_scrub *s, hk_slice user, hk_pool *pool);

#endif
