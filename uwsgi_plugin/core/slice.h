/* slice.h: bytes that somebody else owns. */
#ifndef HK_SLICE_H
#define HK_SLICE_H

#include <stddef.h>
#include <string.h>

/* p may be NULL only when n is 0. */
typedef struct hk_slice {
    const char *p;
    size_t n;
} hk_slice;

static inline hk_slice hk_slice_of(const char *text)
{
    hk_slice s = { text, text == NULL ? 0 : strlen(text) };
    return s;
}

static inline hk_slice hk_slice_make(const char *p, size_t n)
{
    hk_slice s = { p, n };
    return s;
}

static inline int hk_slice_is(hk_slice s, const char *text)
{
    size_t n = strlen(text);
    return s.n == n && (n == 0 || memcmp(s.p, text, n) == 0);
}

static inline int hk_slice_same(hk_slice a, hk_slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline int hk_slice_starts(hk_slice s, const char *text)
{
    size_t n = strlen(text);
    return s.n >= n && memcmp(s.p, text, n) == 0;
}

/* The part of s from offset on (nothing when offset is past its end). */
static inline hk_slice hk_slice_from(hk_slice s, size_t offset)
{
    return offset >= s.n ? hk_slice_make(s.p, 0) : hk_slice_make(s.p + offset, s.n - offset);
}

/* The line at the start of *rest, without its newline; *rest goes behind it. */
static inline hk_slice hk_slice_line(hk_slice *rest)
{
    const char *end = rest->n == 0 ? NULL : memchr(rest->p, '\n', rest->n);
    hk_slice line = *rest;

    if (end != NULL)
        line.n = (size_t)(end - rest->p);
    *rest = hk_slice_from(*rest, end == NULL ? rest->n : line.n + 1);
    return line;
}

/* s without spaces and tabs at both ends. */
static inline hk_slice hk_slice_trim(hk_slice s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = hk_slice_from(s, 1);
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

#endif
