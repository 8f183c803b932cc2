/* buf.h: growing bytes with sticky failure: write everything, check once.
 *
 * After an allocation failed or the limit was passed, every further call is a
 * no-op and hk_buf_ok() is 0; what was written before stays readable.
 */
#ifndef HK_BUF_H
#define HK_BUF_H

#include "hk.h"

typedef struct hk_buf {
    char *data;   /* owned; NULL while empty; not NUL terminated, see hk_buf_text */
    size_t len;
    size_t cap;
    size_t limit; /* most bytes it may ever hold */
    int failed;
} hk_buf;

/* Every allocation of core/ and edge/ goes through these three, so that tests
 * can refuse any single one. hk_buf_set_realloc(NULL) restores the C library's.
 */
typedef void *(*hk_realloc_fn)(void *p, size_t n);
void hk_buf_set_realloc(hk_realloc_fn fn);
void *hk_buf_alloc(size_t n); /* zeroed; NULL when refused */
void hk_buf_release(void *p);

void hk_buf_init(hk_buf *b, size_t limit);
void hk_buf_free(hk_buf *b); /* takes NULL; the struct is as after init */
void hk_buf_clear(hk_buf *b); /* keeps the memory, forgets a failure */
int hk_buf_ok(const hk_buf *b);
hk_slice hk_buf_slice(const hk_buf *b);

/* The content as a C string; NULL when the buffer failed. */
const char *hk_buf_text(hk_buf *b);

void hk_buf_put(hk_buf *b, const void *p, size_t n);
void hk_buf_slice_put(hk_buf *b, hk_slice s);
void hk_buf_puts(hk_buf *b, const char *text);
void hk_buf_putc(hk_buf *b, char c);
void hk_buf_put_u64(hk_buf *b, uint64_t v);
void hk_buf_put_u64_padded(hk_buf *b, uint64_t v, unsigned digits);

/* A copy of s on the heap, NUL terminated, to be released with hk_buf_release;
 * NULL when memory is short. */
char *hk_buf_dup(hk_slice s);

/* Overwrite len bytes with zeros in a way no compiler removes (keys). */
void hk_buf_wipe(void *p, size_t n);

#endif
