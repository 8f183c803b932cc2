/* scrub.h: the privacy rule: what is masked in names, texts, queries, cookies, headers, URLs and command lines.
 *
 * heka_raven/scrub/ holds the same rule for Python: both mask the same characters (tests/data/secrets.tsv, and a fuzzer
 * that compares the two). docs/security.rst says it in words. Everything is linear in its input: nothing that was
 * looked at as a value is looked at again. Classes of characters are ASCII's; what is not ASCII is a letter.
 *
 * All functions append to out. When memory is short, out is failed (hk_buf_ok), and holds nothing that may be sent:
 * the caller then says HK_SCRUB_MASK and nothing else.
 */
#ifndef HK_SCRUB_H
#define HK_SCRUB_H

#include "buf.h"

#define HK_SCRUB_MASK "[Filtered]"
#define HK_SCRUB_MAX_ESCAPED 4 /* times that a name or a value may be percent-escaped */

/* Bytes that out must be allowed to grow to for an input of n bytes: a mask is longer than many a value. */
#define HK_SCRUB_ROOM(n) (16 * (n) + 1024)

typedef enum hk_scrub_kind {
    HK_SCRUB_PLAIN = 0,
    HK_SCRUB_SECRET,
    HK_SCRUB_PERSONAL,  /* who the visitor is: masked unless send_pii */
    HK_SCRUB_VALUE_OF,  /* what a name beside it says */
    HK_SCRUB_DIRECTORY, /* a secret, unless it is a path */
    HK_SCRUB_COOKIE,    /* from here on: a text with a syntax of its own */
    HK_SCRUB_QUERY,
    HK_SCRUB_URL,
    HK_SCRUB_NETLOC
} hk_scrub_kind;

typedef struct hk_scrub {
    int send_pii; /* the visitor's address, name and e-mail may be sent */
} hk_scrub;

/* What a value under name is; loose: name is a parameter of a query string or a form. */
hk_scrub_kind hk_scrub_name(const hk_scrub *s, hk_slice name, int loose);

/* Whether the cookie of this name may be shown: a cookie is private unless its name is known. */
int hk_scrub_is_cookie_shown(hk_slice name);

void hk_scrub_text(const hk_scrub *s, hk_slice text, hk_buf *out);
void hk_scrub_query(const hk_scrub *s, hk_slice text, hk_buf *out);
void hk_scrub_cookie(const hk_scrub *s, hk_slice text, hk_buf *out);
void hk_scrub_url(const hk_scrub *s, hk_slice text, hk_buf *out);

/* The value of a header, an option or a tag, by its name. */
void hk_scrub_header(const hk_scrub *s, hk_slice name, hk_slice value, hk_buf *out);

/* A line of source: in one that speaks of a secret, what stands in quotes is masked. */
void hk_scrub_source(const hk_scrub *s, hk_slice line, hk_buf *out);

/* The words of a command, with a NUL between. */
void hk_scrub_argv(const hk_scrub *s, hk_slice words, hk_buf *out);

#endif
