/* duration.h: reads a time as people write it: 10, 0.5, 500ms, 10s, 1m, 2h. */
#ifndef HK_DURATION_H
#define HK_DURATION_H

#include "buf.h"

#define HK_DURATION_MAX_MS 86400000U /* a day */

/* HK_OK and *ms; HK_ERR_SYNTAX: it is none; HK_ERR_LIMIT: it is longer than a day. A number without unit means seconds. */
hk_status hk_duration_read(hk_slice text, uint64_t *ms);

/* Append it as short as it was written: "10 s", "0.5 s". */
void hk_duration_put(uint64_t ms, hk_buf *out);

#endif
