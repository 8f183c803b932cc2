/* scrub_text.c: the passes over a text, one after the other. As heka_raven/scrub/masker.py. */
#include "scrub_parts.h"

#include "scrub_words.h"

#define SPACES " \t\r\n\f\v"
#define ELLIPSIS "\xe2\x80\xa6"

/* -- userinfo of URLs ------------------------------------------------------------------------------------------- */

/* Whether there is user:password from offset at to end, and not a host and its port. */
static int is_password(hk_slice text, size_t at, size_t end)
{
    size_t colon, i;

    for (colon = at + 1; colon < end && text.p[colon] != ':'; colon++)
        ;
    if (colon >= end || text.p[at] == '[')
        return 0;
    for (i = colon + 1; i < end && hk_scrub_is_digit(text.p[i]); i++)
        ;
    return !(i == end && end - colon - 1 >= 1 && end - colon - 1 <= 5);
}

/* Where the userinfo ends that begins at offset at; HK_SCRUB_NONE: there is none. The next '@' and the next end of a
 * URL are remembered: they are not searched for again by the URLs before them. */
static size_t userinfo_end(hk_slice text, size_t at, size_t *first_at, size_t *url_end)
{
    static const char authority[] = SPACES "/?#'\"<>", url[] = SPACES "'\"<>";
    size_t end = hk_scrub_find_any(text, at, authority), mark = hk_scrub_find_last(text, at, end, '@'), last;

    if (mark != HK_SCRUB_NONE)
        return mark;
    if (end == text.n)
        return text.n >= 3 && hk_scrub_at(text, text.n - 3, ELLIPSIS) ? text.n : HK_SCRUB_NONE;
    if (strchr("/?#", text.p[end]) == NULL || !is_password(text, at, end))
        return HK_SCRUB_NONE;
    if (*first_at == HK_SCRUB_NONE || *first_at < at)
        *first_at = hk_scrub_find_any(text, at, "@");
    if (*url_end == HK_SCRUB_NONE || *url_end < at)
        *url_end = hk_scrub_find_any(text, at, url);
    if (*first_at >= *url_end)
        return HK_SCRUB_NONE;
    last = hk_scrub_find_last(text, *first_at, hk_scrub_find_any(text, *first_at, authority), '@');
    return last == HK_SCRUB_NONE ? *first_at : last;
}

/* What is behind offset at is masked unseen: it was one too many. */
static void put_rest_masked(hk_slice text, size_t done, size_t at, hk_buf *out)
{
    hk_buf_slice_put(out, hk_scrub_part(text, done, at));
    hk_buf_puts(out, HK_SCRUB_MASK);
}

void hk_scrub_userinfo(hk_slice text, hk_buf *out)
{
    size_t mark = 0, done = 0, end, seen = 0, first_at = HK_SCRUB_NONE, url_end = HK_SCRUB_NONE;

    if (hk_scrub_find_any(text, 0, "@") == text.n && !(text.n >= 3 && hk_scrub_at(text, text.n - 3, ELLIPSIS)))
        mark = text.n; /* no URL has any */
    while ((mark = hk_scrub_find(text, mark, "://")) != HK_SCRUB_NONE) {
        char before = mark > 0 ? text.p[mark - 1] : ' ';
        mark += 3;
        if (!hk_scrub_is_alnum(before) && strchr("+.-", before == '\0' ? ' ' : before) == NULL)
            continue;
        if (seen++ == MAX_URLS) {
            put_rest_masked(text, done, mark, out);
            return;
        }
        end = userinfo_end(text, mark, &first_at, &url_end);
        if (end == HK_SCRUB_NONE)
            continue;
        hk_buf_slice_put(out, hk_scrub_part(text, done, mark));
        hk_buf_puts(out, HK_SCRUB_MASK);
        done = mark = end;
    }
    hk_buf_slice_put(out, hk_slice_from(text, done));
}

/* -- what is assigned to private names -------------------------------------------------------------------------- */

static int holds_authorization(hk_slice name)
{
    static const char word[] = "authorization";
    size_t i, k;

    for (i = 0; i + sizeof word - 1 <= name.n; i++) {
        for (k = 0; k < sizeof word - 1 && hk_scrub_lower(name.p[i + k]) == word[k]; k++)
            ;
        if (k == sizeof word - 1)
            return 1;
    }
    return 0;
}

/* The value behind *f. 1: there is one. */
static int value_of(hk_slice text, const hk_scrub_found *f, hk_scrub_kind kind, hk_scrub_value *v)
{
    int found;

    if (f->mark == ':' && (found = hk_scrub_block(text, f, v)) != 0)
        return found > 0;
    found = hk_scrub_value_at(text, f->end, v);
    if (f->mark == ':' && (!found || v->closing.n == 0)) {
        if (((kind == HK_SCRUB_COOKIE || kind == HK_SCRUB_PERSONAL) && !(found && v->bracket))
            || holds_authorization(f->name))
            return hk_scrub_line_value(text, f, v);
    }
    return found;
}

static int is_masked(hk_scrub_kind kind)
{
    return kind == HK_SCRUB_SECRET || kind == HK_SCRUB_PERSONAL || kind == HK_SCRUB_COOKIE
        || kind == HK_SCRUB_DIRECTORY;
}

/* Whether the comma behind the name of *f stands between a name and its value: ('token', 'x'). */
static int is_pair(hk_slice text, const hk_scrub_found *f)
{
    size_t at = f->start;

    if (f->name.p[0] == '-')
        return 1;
    if (at < 2 || (text.p[at - 1] != '"' && text.p[at - 1] != '\''))
        return 0;
    if (text.p[at - 2] == '(' || text.p[at - 2] == '[')
        return 1;
    return at >= 3 && text.p[at - 1] == '\'' && text.p[at - 2] == 'b' && (text.p[at - 3] == '(' || text.p[at - 3] == '[');
}

static void put_assigned(const hk_scrub *s, hk_slice text, int flags, int deep, hk_buf *out)
{
    size_t at = 0, done = 0, seen = 0, masked = 0;
    hk_scrub_found f;
    hk_scrub_value v;
    hk_scrub_kind kind;

    while (flags ? hk_scrub_next_flag(text, at, &f) : hk_scrub_next_assigned(text, at, &f)) {
        char before = f.start > 0 ? text.p[f.start - 1] : ' ';
        int loose = before == '?' || before == '&' || before == ';';
        if (seen++ == MAX_NAMES || masked == MAX_MASKED) {
            put_rest_masked(text, done, f.start, out);
            return;
        }
        at = f.end;
        kind = hk_scrub_name(s, f.name, loose);
        if (kind == HK_SCRUB_PLAIN && f.rest.n > 0)
            kind = hk_scrub_name(s, f.rest, loose);
        if (!is_masked(kind) || at == text.n || (f.mark == ',' && !is_pair(text, &f)) || !value_of(text, &f, kind, &v))
            continue;
        if (kind == HK_SCRUB_DIRECTORY && hk_scrub_at(text, v.start, "/"))
            continue;
        hk_buf_slice_put(out, hk_scrub_part(text, done, v.start));
        if (kind == HK_SCRUB_COOKIE && !v.bracket && !deep)
            hk_scrub_cookie(s, hk_scrub_part(text, v.start, v.stop), out);
        else
            hk_buf_puts(out, HK_SCRUB_MASK);
        hk_buf_slice_put(out, v.closing);
        done = at = v.end;
        masked++;
    }
    hk_buf_slice_put(out, hk_slice_from(text, done));
}

/* -- all of them ------------------------------------------------------------------------------------------------ */

static void assigned(const hk_scrub *s, hk_slice text, hk_buf *out)
{
    put_assigned(s, text, 0, 0, out);
}

static void assigned_deep(const hk_scrub *s, hk_slice text, hk_buf *out)
{
    put_assigned(s, text, 0, 1, out);
}

static void flags(const hk_scrub *s, hk_slice text, hk_buf *out)
{
    put_assigned(s, text, 1, 1, out);
}

static void userinfo(const hk_scrub *s, hk_slice text, hk_buf *out)
{
    (void)s;
    hk_scrub_userinfo(text, out);
}

static void pem(const hk_scrub *s, hk_slice text, hk_buf *out)
{
    (void)s;
    hk_scrub_pem(text, out);
}

static void bearer(const hk_scrub *s, hk_slice text, hk_buf *out)
{
    (void)s;
    hk_scrub_bearer(text, out);
}

static void tokens(const hk_scrub *s, hk_slice text, hk_buf *out)
{
    (void)s;
    hk_scrub_tokens(text, out);
}

static void cards(const hk_scrub *s, hk_slice text, hk_buf *out)
{
    (void)s;
    hk_scrub_cards(text, out);
}

/* Run passes over what *now holds; *next is room for the other. */
static void run(const hk_scrub *s, const hk_scrub_pass *passes, hk_buf **now, hk_buf **next)
{
    hk_buf *kept;

    for (; *passes != NULL && hk_buf_ok(*now); passes++) {
        hk_buf_clear(*next);
        (*passes)(s, hk_buf_slice(*now), *next);
        kept = *now;
        *now = *next;
        *next = kept;
    }
}

void hk_scrub_plain(const hk_scrub *s, hk_slice text, int deep, hk_buf *out)
{
    static const hk_scrub_pass first[] = { pem, userinfo, NULL };
    static const hk_scrub_pass second[] = { assigned, flags, hk_scrub_elements, bearer, tokens, cards, NULL };
    static const hk_scrub_pass second_deep[] = { assigned_deep, flags, hk_scrub_elements, bearer, tokens, cards, NULL };
    hk_buf b[2], *now = &b[0], *next = &b[1];

    if (hk_scrub_find(text, 0, "form-data; name=") != HK_SCRUB_NONE) {
        hk_buf_puts(out, HK_SCRUB_MASK); /* its values stand on lines of their own, away from their names */
        return;
    }
    hk_buf_init(&b[0], HK_SCRUB_ROOM(text.n));
    hk_buf_init(&b[1], HK_SCRUB_ROOM(text.n));
    hk_buf_slice_put(now, text);
    run(s, first, &now, &next);
    run(s, hk_scrub_messages, &now, &next);
    run(s, deep ? second_deep : second, &now, &next);
    if (hk_buf_ok(now))
        hk_buf_slice_put(out, hk_buf_slice(now));
    else
        out->failed = 1;
    hk_buf_free(&b[0]);
    hk_buf_free(&b[1]);
}

int hk_scrub_holds_secret(const hk_scrub *s, hk_slice value)
{
    hk_buf b[2], masked;
    int i, now = 0, found = 0;

    hk_buf_init(&b[0], value.n + 1);
    hk_buf_init(&b[1], value.n + 1);
    hk_buf_init(&masked, HK_SCRUB_ROOM(value.n));
    for (i = 0; i < HK_SCRUB_MAX_ESCAPED && !found; i++) {
        hk_buf_clear(&masked);
        hk_scrub_plain(s, value, 1, &masked);
        found = !hk_buf_ok(&masked) || !hk_slice_same(hk_buf_slice(&masked), value); /* closed when memory is short */
        if (found || hk_scrub_find_any(value, 0, "%+") == value.n)
            break;
        hk_buf_clear(&b[now]);
        hk_scrub_unescape(value, 1, &b[now]);
        found = !hk_buf_ok(&b[now]);
        value = hk_buf_slice(&b[now]);
        now = !now;
    }
    hk_buf_free(&b[0]);
    hk_buf_free(&b[1]);
    hk_buf_free(&masked);
    return found;
}

/* Runs that were escaped to stand in a parameter of a URL. */
static void escaped(const hk_scrub *s, hk_slice text, hk_buf *out)
{
    size_t at = 0, end, seen = 0;
    hk_buf decoded;

    hk_buf_init(&decoded, text.n + 1);
    for (; at < text.n; at = end) {
        hk_slice run;
        end = hk_scrub_find_any(text, at, SPACES "&;,\"'<>=");
        run = hk_scrub_part(text, at, end);
        hk_buf_clear(&decoded);
        if (run.n > 0 && memchr(run.p, '%', run.n) != NULL) {
            if (seen++ == MAX_RUNS) {
                hk_buf_puts(out, HK_SCRUB_MASK);
                break;
            }
            hk_scrub_unescape(run, 1, &decoded);
            if (!hk_buf_ok(&decoded) || hk_scrub_holds_secret(s, hk_buf_slice(&decoded)))
                run = hk_slice_of(HK_SCRUB_MASK);
        }
        hk_buf_slice_put(out, run);
        if (end < text.n)
            hk_buf_putc(out, text.p[end++]);
    }
    hk_buf_free(&decoded);
}

void hk_scrub_text(const hk_scrub *s, hk_slice text, hk_buf *out)
{
    hk_buf b;

    if (text.n == 0 || memchr(text.p, '%', text.n) == NULL) {
        hk_scrub_plain(s, text, 0, out);
        return;
    }
    hk_buf_init(&b, HK_SCRUB_ROOM(text.n));
    escaped(s, text, &b);
    if (hk_buf_ok(&b))
        hk_scrub_plain(s, hk_buf_slice(&b), 0, out);
    else
        out->failed = 1;
    hk_buf_free(&b);
}
