#include "buf.h"

#include <stdlib.h>

static hk_realloc_fn use_realloc = realloc;

void hk_buf_set_realloc(hk_realloc_fn fn)
{
    use_realloc = fn == NULL ? realloc : fn;
}

void *hk_buf_alloc(size_t n)
{
    void *p = use_realloc(NULL, n == 0 ? 1 : n);
    if (p != NULL)
        memset(p, 0, n);
    return p;
}

void hk_buf_release(void *p)
{
    free(p);
}

void hk_buf_init(hk_buf *b, size_t limit)
{
    memset(b, 0, sizeof *b);
    b->limit = limit;
}

void hk_buf_free(hk_buf *b)
{
    size_t limit;

    if (b == NULL)
        return;
    limit = b->limit;
    free(b->data);
    hk_buf_init(b, limit);
}

void hk_buf_clear(hk_buf *b)
{
    b->len = 0;
    b->failed = 0;
}

int hk_buf_ok(const hk_buf *b)
{
    return !b->failed;
}

hk_slice hk_buf_slice(const hk_buf *b)
{
    return hk_slice_make(b->data == NULL ? "" : b->data, b->len);
}

static int reserve(hk_buf *b, size_t n)
{
    size_t cap;
    char *grown;

    if (b->failed)
        return -1;
    if (b->cap - b->len >= n)
        return 0;
    if (b->limit - b->len < n) {
        b->failed = 1;
        return -1;
    }
    cap = b->cap < 256 ? (b->limit < 256 ? b->limit : 256) : b->cap;
    while (cap - b->len < n)
        cap = cap > b->limit / 2 ? b->limit : cap * 2;
    grown = use_realloc(b->data, cap);
    if (grown == NULL) {
        b->failed = 1;
        return -1;
    }
    b->data = grown;
    b->cap = cap;
    return 0;
}

void hk_buf_put(hk_buf *b, const void *p, size_t n)
{
    if (n == 0 || reserve(b, n) < 0)
        return;
    memcpy(b->data + b->len, p, n);
    b->len += n;
}

void hk_buf_slice_put(hk_buf *b, hk_slice s)
{
    hk_buf_put(b, s.p, s.n);
}

void hk_buf_puts(hk_buf *b, const char *text)
{
    hk_buf_put(b, text, strlen(text));
}

void hk_buf_putc(hk_buf *b, char c)
{
    hk_buf_put(b, &c, 1);
}

void hk_buf_put_u64_padded(hk_buf *b, uint64_t v, unsigned digits)
{
    char text[20]; /* 2^64 - 1 has 20 digits */
    unsigned at = sizeof text;

    do {
        text[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (at > 0 && v > 0);
    while (at > 0 && sizeof text - at < digits)
        text[--at] = '0';
    hk_buf_put(b, text + at, sizeof text - at);
}

void hk_buf_put_u64(hk_buf *b, uint64_t v)
{
    hk_buf_put_u64_padded(b, v, 1);
}

const char *hk_buf_text(hk_buf *b)
{
    /* The terminator is not counted, so that text can be appended after it. */
    if (reserve(b, 1) < 0)
        return NULL;
    b->data[b->len] = '\0';
    return b->data;
}

char *hk_buf_dup(hk_slice s)
{
    char *copy;

    if (s.n == SIZE_MAX)
        return NULL;
    copy = use_realloc(NULL, s.n + 1);
    if (copy == NULL)
        return NULL;
    if (s.n > 0)
        memcpy(copy, s.p, s.n);
    copy[s.n] = '\0';
    return copy;
}

void hk_buf_wipe(void *p, size_t n)
{
    explicit_bzero(p, n);
}
