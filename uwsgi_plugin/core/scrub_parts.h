/* scrub_parts.h: what the files of the privacy rule share. Not for others: see scrub.h. */
#ifndef HK_SCRUB_PARTS_H
#define HK_SCRUB_PARTS_H

#include "scrub.h"

#define HK_SCRUB_NONE ((size_t)-1)

static inline int hk_scrub_is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static inline int hk_scrub_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline char hk_scrub_lower(char c)
{
    return hk_scrub_is_upper(c) ? (char)(c + 32) : c;
}

static inline int hk_scrub_is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || hk_scrub_is_upper(c) || hk_scrub_is_digit(c);
}

/* A letter, a digit, '_', or what is not ASCII. */
static inline int hk_scrub_is_word(char c)
{
    return hk_scrub_is_alnum(c) || c == '_' || (unsigned char)c >= 0x80;
}

/* A character of a name in a text. */
static inline int hk_scrub_is_name(char c)
{
    return hk_scrub_is_word(c) || c == '%' || c == '.' || c == '+' || c == '-';
}

static inline int hk_scrub_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static inline int hk_scrub_is_space(char c)
{
    return hk_scrub_is_blank(c) || (c >= '\n' && c <= '\r');
}

/* Whether words stands at offset at of s. */
static inline int hk_scrub_at(hk_slice s, size_t at, const char *words)
{
    return hk_slice_starts(hk_slice_from(s, at), words);
}

/* Where words stands first in s from offset at on; HK_SCRUB_NONE: nowhere. */
size_t hk_scrub_find(hk_slice s, size_t at, const char *words);

/* Likewise where one of the characters of set stands; s.n: nowhere. */
size_t hk_scrub_find_any(hk_slice s, size_t at, const char *set);

/* Where the last c stands in s from offset from (included) to (not included) to; HK_SCRUB_NONE: nowhere. */
size_t hk_scrub_find_last(hk_slice s, size_t from, size_t to, char c);

static inline hk_slice hk_scrub_part(hk_slice s, size_t from, size_t to)
{
    return hk_slice_make(s.p + from, to - from);
}

/* Append text without its percent-escapes; plus: with '+' as a space. What is not ASCII becomes some letter. */
void hk_scrub_unescape(hk_slice text, int plus, hk_buf *out);

/* A value in a text (scrub_values.c): where its contents begin and end, and where its closing quote ends. */
typedef struct hk_scrub_value {
    size_t start;
    size_t stop;
    size_t end;
    hk_slice closing; /* what closes it, whether it is there or not */
    int bracket;
} hk_scrub_value;

/* A name before what gives it a value. */
typedef struct hk_scrub_found {
    size_t start;  /* of the name */
    size_t end;    /* where the value may begin */
    hk_slice name;
    hk_slice rest; /* [0][password] after it */
    char quote;    /* behind the name, or 0 */
    char mark;     /* '=' for all of => := == != =, ':' or ',', 0 after a flag */
} hk_scrub_found;

/* The next name = value, and the next --name value, from offset at on. 1: found. */
int hk_scrub_next_assigned(hk_slice text, size_t at, hk_scrub_found *f);
int hk_scrub_next_flag(hk_slice text, size_t at, hk_scrub_found *f);

/* The value that begins at offset at. 1: there is one. */
int hk_scrub_value_at(hk_slice text, size_t at, hk_scrub_value *v);

/* The rest of the line behind *f. 1: it is not empty. */
int hk_scrub_line_value(hk_slice text, const hk_scrub_found *f, hk_scrub_value *v);

/* A YAML block behind *f. 0: none can begin there; 1: *v is one; -1: one could begin there and does not. */
int hk_scrub_block(hk_slice text, const hk_scrub_found *f, hk_scrub_value *v);

/* The passes of scrub_shapes.c and scrub_messages.c over a whole text. */
void hk_scrub_userinfo(hk_slice text, hk_buf *out);
void hk_scrub_pem(hk_slice text, hk_buf *out);
void hk_scrub_bearer(hk_slice text, hk_buf *out);
void hk_scrub_tokens(hk_slice text, hk_buf *out);
void hk_scrub_cards(hk_slice text, hk_buf *out);
void hk_scrub_elements(const hk_scrub *s, hk_slice text, hk_buf *out);

/* What hk_scrub_text does, without a look into what is escaped; deep: nor into cookies (scrub_text.c). */
void hk_scrub_plain(const hk_scrub *s, hk_slice text, int deep, hk_buf *out);

/* Whether there is a secret in value, of a parameter or a cookie, however often it is escaped. */
int hk_scrub_holds_secret(const hk_scrub *s, hk_slice value);

typedef void (*hk_scrub_pass)(const hk_scrub *s, hk_slice text, hk_buf *out);
extern const hk_scrub_pass hk_scrub_messages[]; /* ends with NULL */

#endif
