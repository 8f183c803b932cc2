#include "dsn.h"

static int is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int all_of(hk_slice s, const char *more)
{
    size_t i;

    for (i = 0; i < s.n; i++)
        if (!is_alnum(s.p[i]) && (s.p[i] == '\0' || strchr(more, s.p[i]) == NULL))
            return 0;
    return 1;
}

static int find(hk_slice s, char c, size_t *at)
{
    const char *hit = s.n == 0 ? NULL : memchr(s.p, c, s.n);

    if (hit == NULL)
        return 0;
    *at = (size_t)(hit - s.p);
    return 1;
}

static int same_nocase(hk_slice s, const char *lower)
{
    size_t i;

    if (s.n != strlen(lower))
        return 0;
    for (i = 0; i < s.n; i++)
        if ((s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] + 32 : s.p[i]) != lower[i])
            return 0;
    return 1;
}

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Takes raven's transport prefixes (threaded+, sync+, ...) off. */
static int parse_scheme(hk_slice s, hk_slice *out)
{
    size_t at;

    while (find(s, '+', &at)) {
        if (at == 0 || !all_of(hk_slice_make(s.p, at), "-_"))
            return -1;
        s = hk_slice_from(s, at + 1);
    }
    if (!same_nocase(s, "http") && !same_nocase(s, "https") && !same_nocase(s, "udp"))
        return -1;
    *out = s;
    return 0;
}

/* Only characters an IPv6 address can have, and at least two colons. */
static int is_ipv6(hk_slice s)
{
    size_t i, colons = 0;

    for (i = 0; i < s.n; i++) {
        if (s.p[i] == ':')
            colons++;
        else if (s.p[i] == '\0' || strchr("0123456789abcdefABCDEF.", s.p[i]) == NULL)
            return 0;
    }
    return colons >= 2;
}

static const char *parse_port(hk_slice s)
{
    unsigned long value = 0;
    size_t i;

    if (s.n == 0)
        return "the port is missing";
    for (i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return "the port is not a number";
        value = value * 10 + (unsigned long)(s.p[i] - '0');
        if (value > 65535)
            return "the port is outside 1..65535";
    }
    return value == 0 ? "the port is outside 1..65535" : NULL;
}

static const char *parse_authority(hk_slice s, hk_dsn *d)
{
    hk_slice keys = s, where;
    size_t at;

    if (!find(s, '@', &at) || at == 0)
        return "the public key is missing";
    keys.n = at;
    where = hk_slice_from(s, at + 1);
    d->public_key = keys;
    if (find(keys, ':', &at)) {
        d->public_key.n = at;
        d->secret = hk_slice_from(keys, at + 1);
    }
    if (d->public_key.n == 0)
        return "the public key is missing";
    if (!all_of(d->public_key, "-._~%!$&'()*+;="))
        return "the public key has a character that is not allowed";
    if (!all_of(d->secret, "-._~%!$&'()*+;="))
        return "the secret has a character that is not allowed";
    if (where.n > 0 && where.p[0] == '[') {
        if (!find(where, ']', &at))
            return "the host has no closing bracket";
        d->host = hk_slice_make(where.p + 1, at - 1);
        d->bracketed = 1;
        where = hk_slice_from(where, at + 1);
        if (!is_ipv6(d->host))
            return "the host in brackets is not an IPv6 address";
        if (where.n > 0 && where.p[0] != ':')
            return "the host is followed by text";
    } else {
        d->host = where;
        if (find(where, ':', &at)) {
            d->host.n = at;
            where = hk_slice_from(where, at);
        } else {
            where.n = 0;
        }
        if (d->host.n == 0 && where.n > 1 && where.p[1] == ':')
            return "the port is not a number (an IPv6 address stands in brackets)";
        if (d->host.n == 0)
            return "the host is missing";
        if (!all_of(d->host, "-._"))
            return "the host has a character that is not allowed";
    }
    if (where.n > 0) {
        const char *wrong;
        d->port = hk_slice_from(where, 1);
        wrong = parse_port(d->port);
        if (wrong != NULL)
            return wrong;
    }
    return NULL;
}

static int is_dots(hk_slice s)
{
    return hk_slice_is(s, ".") || hk_slice_is(s, "..");
}

static const char *parse_path(hk_slice s, hk_dsn *d)
{
    size_t last = s.n, start = 0, i;

    while (last > 0 && s.p[last - 1] != '/')
        last--;
    d->project = hk_slice_from(s, last);
    d->path = hk_slice_make(s.p, last == 0 ? 0 : last - 1);
    if (d->project.n == 0)
        return "the project is missing";
    if (!all_of(d->project, "-._~") || is_dots(d->project))
        return "the project has a character that is not allowed";
    for (i = 1; i <= d->path.n; i++) {
        if (i < d->path.n && d->path.p[i] != '/')
            continue;
        hk_slice segment = hk_slice_make(d->path.p + start + 1, i - start - 1);
        if (segment.n == 0 || is_dots(segment))
            return "the path has an empty segment, \".\" or \"..\"";
        if (!all_of(segment, "-._~%!$&'()*+,;=:@") || memchr(segment.p, '%', segment.n) != NULL)
            return "the path has a character that is not allowed";
        start = i;
    }
    return NULL;
}

static const char *parse(hk_slice s, hk_dsn *d)
{
    size_t at;
    const char *wrong;

    while (s.n > 0 && is_space(s.p[0]))
        s = hk_slice_from(s, 1);
    while (s.n > 0 && is_space(s.p[s.n - 1]))
        s.n--;
    if (s.n == 0)
        return "it is empty";
    if (s.n > HK_DSN_MAX)
        return "it is too long (over 1024 bytes)";
    if (!find(s, ':', &at) || parse_scheme(hk_slice_make(s.p, at), &d->scheme) < 0
        || !hk_slice_starts(hk_slice_from(s, at), "://"))
        return "the scheme is not http://, https:// or udp://";
    s = hk_slice_from(s, at + 3);
    if (find(s, '?', &at) || find(s, '#', &at))
        return "a query or fragment is not allowed";
    if (!find(s, '/', &at))
        at = s.n;
    wrong = parse_authority(hk_slice_make(s.p, at), d);
    if (wrong == NULL)
        wrong = parse_path(hk_slice_from(s, at), d);
    return wrong;
}

hk_status hk_dsn_parse(hk_slice text, hk_dsn *out, const char **reason)
{
    const char *wrong;

    memset(out, 0, sizeof *out);
    wrong = parse(text, out);
    if (reason != NULL)
        *reason = wrong;
    if (wrong == NULL)
        return HK_OK;
    memset(out, 0, sizeof *out);
    return HK_ERR_SYNTAX;
}

hk_dsn_scheme_id hk_dsn_scheme(const hk_dsn *dsn)
{
    if (same_nocase(dsn->scheme, "udp"))
        return HK_DSN_UDP;
    return same_nocase(dsn->scheme, "https") ? HK_DSN_HTTPS : HK_DSN_HTTP;
}

unsigned hk_dsn_port(const hk_dsn *dsn)
{
    static const unsigned defaults[] = { 80, 443, 9001 };
    unsigned value = 0;
    size_t i;

    if (dsn->port.n == 0)
        return defaults[hk_dsn_scheme(dsn)];
    for (i = 0; i < dsn->port.n; i++)
        value = value * 10 + (unsigned)(dsn->port.p[i] - '0');
    return value;
}

static void put_place(const hk_dsn *dsn, hk_buf *out)
{
    if (dsn->bracketed)
        hk_buf_putc(out, '[');
    hk_buf_slice_put(out, dsn->host);
    if (dsn->bracketed)
        hk_buf_putc(out, ']');
    if (dsn->port.n > 0) {
        hk_buf_putc(out, ':');
        hk_buf_slice_put(out, dsn->port);
    }
    hk_buf_slice_put(out, dsn->path);
}

static const char *scheme_text(const hk_dsn *dsn)
{
    static const char *const names[] = { "http://", "https://", "udp://" };
    return names[hk_dsn_scheme(dsn)];
}

void hk_dsn_put(const hk_dsn *dsn, int secret, hk_buf *out)
{
    hk_buf_puts(out, scheme_text(dsn));
    hk_buf_slice_put(out, dsn->public_key);
    if (secret && dsn->secret.n > 0) {
        hk_buf_putc(out, ':');
        hk_buf_slice_put(out, dsn->secret);
    }
    hk_buf_putc(out, '@');
    put_place(dsn, out);
    hk_buf_putc(out, '/');
    hk_buf_slice_put(out, dsn->project);
}

void hk_dsn_put_url(const hk_dsn *dsn, const char *endpoint, hk_buf *out)
{
    hk_buf_puts(out, scheme_text(dsn));
    put_place(dsn, out);
    hk_buf_puts(out, "/api/");
    hk_buf_slice_put(out, dsn->project);
    hk_buf_putc(out, '/');
    hk_buf_puts(out, endpoint);
    hk_buf_putc(out, '/');
}
