/* jsonread.h: reads the few JSON documents that this project writes itself
 * (the header line of a spool file, limits.json), from bytes it does not trust.
 */
#ifndef HK_JSONREAD_H
#define HK_JSONREAD_H

#include "buf.h"

#define HK_JSONREAD_DEPTH 32 /* deeper nesting is a syntax error: no recursion without end */

/* One member: key is decoded text, value the raw JSON of the value.
 * Return 0 to go on, anything else to stop with HK_ERR_SYNTAX. */
typedef int (*hk_jsonread_member)(void *ctx, hk_slice key, hk_slice value);

/* Check that text is one JSON object (spaces around it allowed) and call
 * member for each of its members in order. */
hk_status hk_jsonread_object(hk_slice text, hk_jsonread_member member, void *ctx);

/* Bytes of the JSON value at the start of text, or 0 when it is not valid. */
size_t hk_jsonread_skip(hk_slice text, unsigned depth);

/* Decode a raw JSON string (with its quotes) and append it to out as UTF-8.
 * A lone surrogate becomes U+FFFD. HK_ERR_SYNTAX when raw is not a string. */
hk_status hk_jsonread_string(hk_slice raw, hk_buf *out);

/* A JSON number that is not negative, as a double; HK_ERR_SYNTAX otherwise. */
hk_status hk_jsonread_number(hk_slice raw, double *out);

#endif
