#include "scrub_parts.h"

#include "scrub_words.h"

static hk_slice trim_equals(hk_slice s)
{
    while (s.n > 0 && s.p[0] == '=')
        s = hk_slice_from(s, 1);
    return s;
}

static void put_cookie(const hk_scrub *s, hk_slice part, hk_buf *out)
{
    size_t equal = hk_scrub_find_any(part, 0, "=");
    hk_slice name = hk_scrub_part(part, 0, equal), value = hk_slice_from(part, equal + 1);

    if (trim_equals(value).n == 0) {
        /* No name at all: a bare value, perhaps padded as base64 is. */
        if (hk_slice_trim(part).n == 0 || hk_scrub_is_cookie_shown(name))
            hk_buf_slice_put(out, part);
        else
            hk_buf_puts(out, HK_SCRUB_MASK);
    } else if (!hk_scrub_is_cookie_shown(name) || hk_scrub_holds_secret(s, value)) {
        hk_buf_slice_put(out, name);
        hk_buf_puts(out, "=" HK_SCRUB_MASK);
    } else {
        hk_buf_slice_put(out, part);
    }
}

void hk_scrub_cookie(const hk_scrub *s, hk_slice text, hk_buf *out)
{
    size_t at = 0, end, seen = 0;

    for (;;) {
        if (seen++ == MAX_COOKIES) {
            hk_buf_puts(out, HK_SCRUB_MASK);
            break;
        }
        end = hk_scrub_find_any(text, at, ";");
        put_cookie(s, hk_scrub_part(text, at, end), out);
        if (end == text.n)
            break;
        hk_buf_putc(out, ';');
        at = end + 1;
    }
}

static int is_masked_parameter(const hk_scrub *s, hk_slice name, hk_slice value)
{
    hk_scrub_kind kind;
    hk_buf spaced; /* '+' is a space in a name */
    size_t i;

    hk_buf_init(&spaced, name.n + 1);
    for (i = 0; i < name.n; i++)
        hk_buf_putc(&spaced, name.p[i] == '+' ? ' ' : name.p[i]);
    kind = hk_buf_ok(&spaced) ? hk_scrub_name(s, hk_buf_slice(&spaced), 1) : HK_SCRUB_SECRET;
    hk_buf_free(&spaced);
    if (kind == HK_SCRUB_DIRECTORY)
        return !hk_slice_starts(value, "/");
    return kind == HK_SCRUB_SECRET || kind == HK_SCRUB_PERSONAL || kind == HK_SCRUB_COOKIE;
}

/* Whether there is a secret in text; or one look too many into what is escaped. */
static int look(const hk_scrub *s, hk_slice text, size_t *looks)
{
    if (text.n > 0 && memchr(text.p, '%', text.n) != NULL && (*looks)++ >= MAX_RUNS)
        return 1;
    return hk_scrub_holds_secret(s, text);
}

/* One parameter; masked: whether the one before it was, and a ';' stands between. Returns whether this one is. */
static int put_parameter(const hk_scrub *s, hk_slice part, int masked, size_t *looks, hk_buf *out)
{
    size_t equal = hk_scrub_find_any(part, 0, "=");
    hk_slice name = hk_scrub_part(part, 0, equal), value = hk_slice_from(part, equal + 1);

    if (equal == part.n) {
        /* A body of JSON that was sent as a form; or the rest of a value with a ';' in it. */
        masked = masked || look(s, part, looks);
        if (masked && part.n > 0)
            hk_buf_puts(out, HK_SCRUB_MASK);
        else
            hk_buf_slice_put(out, part);
        return masked;
    }
    masked = is_masked_parameter(s, name, value) || look(s, value, looks);
    if (!masked && look(s, name, looks))
        hk_buf_puts(out, HK_SCRUB_MASK);
    else
        hk_buf_slice_put(out, name);
    hk_buf_putc(out, '=');
    if (masked)
        hk_buf_puts(out, HK_SCRUB_MASK);
    else
        hk_buf_slice_put(out, value);
    return masked;
}

void hk_scrub_query(const hk_scrub *s, hk_slice text, hk_buf *out)
{
    size_t at = 0, end, seen = 0, looks = 0;
    int masked = 0;

    for (;;) {
        if (seen++ == MAX_PARAMETERS) {
            hk_buf_puts(out, HK_SCRUB_MASK);
            break;
        }
        end = hk_scrub_find_any(text, at, "&;");
        masked = put_parameter(s, hk_scrub_part(text, at, end), masked && at > 0 && text.p[at - 1] == ';', &looks, out);
        if (end == text.n)
            break;
        hk_buf_putc(out, text.p[end]);
        at = end + 1;
    }
}

void hk_scrub_url(const hk_scrub *s, hk_slice text, hk_buf *out)
{
    size_t question = hk_scrub_find_any(text, 0, "?"), query = question < text.n ? question + 1 : 0;
    size_t hash = hk_scrub_find_any(text, query, "#");

    hk_scrub_text(s, hk_scrub_part(text, 0, question < text.n ? question : hash), out);
    if (question < text.n) {
        hk_buf_putc(out, '?');
        hk_scrub_query(s, hk_scrub_part(text, query, hash), out);
    }
    if (hash < text.n) {
        hk_buf_putc(out, '#');
        hk_scrub_query(s, hk_slice_from(text, hash + 1), out);
    }
}

static int is_path(hk_slice value)
{
    while (value.n > 0 && (value.p[0] == '\'' || value.p[0] == '"'))
        value = hk_slice_from(value, 1);
    return hk_slice_starts(value, "/");
}

void hk_scrub_header(const hk_scrub *s, hk_slice name, hk_slice value, hk_buf *out)
{
    size_t at;

    switch (hk_scrub_name(s, name, 0)) {
    case HK_SCRUB_SECRET:
    case HK_SCRUB_PERSONAL:
        hk_buf_puts(out, HK_SCRUB_MASK);
        return;
    case HK_SCRUB_COOKIE:
        hk_scrub_cookie(s, value, out);
        return;
    case HK_SCRUB_URL:
        hk_scrub_url(s, value, out);
        return;
    case HK_SCRUB_QUERY:
        if (hk_scrub_find_any(value, 0, " ") == value.n) {
            hk_scrub_query(s, value, out);
            return;
        }
        break;
    case HK_SCRUB_NETLOC:
        at = hk_scrub_find_last(value, 0, value.n, '@');
        if (at != HK_SCRUB_NONE)
            hk_buf_puts(out, HK_SCRUB_MASK);
        hk_buf_slice_put(out, at == HK_SCRUB_NONE ? value : hk_slice_from(value, at));
        return;
    case HK_SCRUB_DIRECTORY:
        if (is_path(value))
            hk_buf_slice_put(out, value);
        else
            hk_buf_puts(out, HK_SCRUB_MASK);
        return;
    case HK_SCRUB_PLAIN:
    case HK_SCRUB_VALUE_OF:
        break;
    }
    hk_scrub_text(s, value, out);
}

static hk_slice unquoted(hk_slice word)
{
    while (word.n > 0 && (word.p[0] == '\'' || word.p[0] == '"'))
        word = hk_slice_from(word, 1);
    while (word.n > 0 && (word.p[word.n - 1] == '\'' || word.p[word.n - 1] == '"'))
        word.n--;
    return word;
}

/* Whether word is a flag before a secret: --password. */
static int is_private_flag(const hk_scrub *s, hk_slice word)
{
    hk_slice flag = unquoted(word);

    if (!hk_slice_starts(flag, "-") || memchr(flag.p, '=', flag.n) != NULL)
        return 0;
    while (hk_slice_starts(flag, "-"))
        flag = hk_slice_from(flag, 1);
    return hk_scrub_name(s, flag, 0) == HK_SCRUB_SECRET;
}

void hk_scrub_argv(const hk_scrub *s, hk_slice words, hk_buf *out)
{
    size_t at = 0, end;
    int private = 0;

    for (;;) {
        hk_slice word;
        for (end = at; end < words.n && words.p[end] != '\0'; end++)
            ;
        word = hk_scrub_part(words, at, end);
        if (private && !hk_slice_starts(unquoted(word), "-"))
            hk_buf_puts(out, HK_SCRUB_MASK);
        else
            hk_scrub_text(s, word, out);
        if (end == words.n)
            break;
        private = is_private_flag(s, word);
        hk_buf_putc(out, '\0');
        at = end + 1;
    }
}
