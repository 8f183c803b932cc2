/* json.h: writes JSON, always valid whatever the bytes it is given.
 *
 * Commas are placed by the writer. Failure is sticky in the buffer. Text is
 * UTF-8; each byte that is not part of a valid sequence becomes U+FFFD.
 */
#ifndef HK_JSON_H
#define HK_JSON_H

#include "buf.h"

typedef struct hk_json {
    hk_buf *out;
    unsigned comma; /* the next value of the innermost container needs a comma before it */
} hk_json;

#define HK_JSON_NO_LIMIT SIZE_MAX

/* Emit one JSON string. At most max_chars code points of text: a longer one is
 * cut, and its last three are dots. */
void hk_json_string(hk_buf *out, hk_slice text, size_t max_chars);

/* Bytes of the UTF-8 sequence at p (1 to 4), or 0 when it is not valid. */
size_t hk_json_utf8(const unsigned char *p, size_t n);

/* A text as part of one line of words: at most so many code points of it, "..." for the rest, and a question mark for
 * what would break the line. */
void hk_json_line(hk_slice text, size_t most, hk_buf *out);

void hk_json_init(hk_json *j, hk_buf *out);
void hk_json_open(hk_json *j, char bracket);  /* '{' or '[' */
void hk_json_close(hk_json *j, char bracket); /* '}' or ']' */
void hk_json_key(hk_json *j, hk_slice key, size_t max_chars);
void hk_json_value(hk_json *j, hk_slice text, size_t max_chars);
void hk_json_u64(hk_json *j, uint64_t v);
void hk_json_hex(hk_json *j, uint64_t v); /* "0x1f" */
void hk_json_bool(hk_json *j, int v);
void hk_json_raw(hk_json *j, hk_slice json); /* already JSON: the caller's promise */

/* "key":"text" when text is not empty. */
void hk_json_pair(hk_json *j, const char *key, hk_slice text, size_t max_chars);

#endif
