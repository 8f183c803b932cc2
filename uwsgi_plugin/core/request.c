#include "request.h"

#include "packet.h"

#define MAX_QUERY 8192 /* bytes of a query string that are looked at */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static int contains(hk_slice s, const char *word)
{
    size_t n = strlen(word), i, k;

    for (i = 0; i + n <= s.n; i++) {
        for (k = 0; k < n && lower(s.p[i + k]) == word[k]; k++)
            ;
        if (k == n)
            return 1;
    }
    return 0;
}

int hk_request_is_secret(hk_slice name)
{
    static const char *const parts[] = { "token", "secret", "password", "passwd", "credential", "session", "csrf",
                                         "xsrf", "saml", "bearer", "auth", "jwt", "sso", "sid", "pwd", "cookie" };
    size_t i;

    for (i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (contains(name, parts[i]))
            return 1;
    /* "key" only beside another word: api_key, X-Api-Key, not a bare key. */
    return name.n > 3 && contains(name, "key");
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The name as the application will see it: percent-decoded, or p%61ssword leaks. */
static int is_secret_parameter(hk_slice raw)
{
    char name[200];
    size_t n = 0, i;

    for (i = 0; i < raw.n && n < sizeof name; i++) {
        if (raw.p[i] == '%' && i + 2 < raw.n && hex(raw.p[i + 1]) >= 0 && hex(raw.p[i + 2]) >= 0) {
            name[n++] = (char)(hex(raw.p[i + 1]) * 16 + hex(raw.p[i + 2]));
            i += 2;
        } else {
            name[n++] = raw.p[i];
        }
    }
    /* A name longer than any honest one is masked: fail closed. */
    return n == sizeof name || hk_request_is_secret(hk_slice_make(name, n));
}

void hk_request_scrub_query(hk_slice q, hk_buf *out)
{
    size_t at = 0;

    while (at < q.n) {
        size_t start = at, equal;
        while (at < q.n && q.p[at] != '&' && q.p[at] != ';')
            at++;
        for (equal = start; equal < at && q.p[equal] != '='; equal++)
            ;
        hk_buf_put(out, q.p + start, equal - start);
        if (equal < at) {
            hk_buf_putc(out, '=');
            if (is_secret_parameter(hk_slice_make(q.p + start, equal - start)))
                hk_buf_puts(out, HK_REQUEST_MASK);
            else
                hk_buf_put(out, q.p + equal + 1, at - equal - 1);
        }
        if (at < q.n)
            hk_buf_putc(out, q.p[at++]);
    }
}

/* Where the userinfo of a URL that begins at at ends (its @), or 0: there is none. */
static size_t userinfo_end(hk_slice line, size_t at)
{
    size_t i, end = 0;

    if (!hk_slice_starts(hk_slice_from(line, at), "://"))
        return 0;
    for (i = at + 3; i < line.n && strchr("/?# \t\"'", line.p[i]) == NULL; i++)
        if (line.p[i] == '@')
            end = i;
    return end;
}

void hk_request_scrub_source(hk_slice line, hk_buf *out)
{
    int secret = hk_request_is_secret(line);
    char quote = 0;
    size_t i, end;

    for (i = 0; i < line.n; i++) {
        char c = line.p[i];
        if ((end = userinfo_end(line, i)) > 0 && !(secret && quote)) {
            hk_buf_puts(out, "://" HK_REQUEST_MASK);
            i = end - 1;
            continue;
        }
        if (secret && quote) {
            if (c == '\\') {
                i++; /* what it escapes ends nothing */
            } else if (c == quote) {
                quote = 0;
                hk_buf_putc(out, c);
            }
            continue;
        }
        hk_buf_putc(out, c);
        if (secret && (c == '"' || c == '\'')) {
            quote = c;
            if (i + 1 < line.n && line.p[i + 1] != c)
                hk_buf_puts(out, HK_REQUEST_MASK);
        }
    }
}

static hk_slice scrubbed_query(hk_slice q, hk_pool *pool)
{
    hk_buf b;
    hk_slice out;

    hk_buf_init(&b, 8 * MAX_QUERY); /* a mask is longer than the value it stands for */
    if (q.n > MAX_QUERY)
        q.n = MAX_QUERY;
    hk_request_scrub_query(q, &b);
    if (!hk_buf_ok(&b))
        hk_buf_clear(&b);
    out = hk_pool_keep(pool, hk_buf_slice(&b));
    hk_buf_free(&b);
    return out;
}

/* HTTP_X_FOO_BAR as X-Foo-Bar, in pool. */
static hk_slice header_name(hk_slice variable, hk_pool *pool)
{
    hk_slice s = hk_slice_starts(variable, "HTTP_") ? hk_slice_from(variable, 5) : variable;
    char *name = hk_pool_alloc(pool, s.n == 0 ? 1 : s.n);
    int first = 1;
    size_t i;

    if (name == NULL)
        return hk_slice_make("", 0);
    for (i = 0; i < s.n; i++) {
        name[i] = s.p[i] == '_' ? '-' : first ? s.p[i] : lower(s.p[i]);
        first = s.p[i] == '_';
    }
    return hk_slice_make(name, s.n);
}

/* A URL in a header (Referer) has a query string of its own. */
static hk_slice header_value(hk_slice name, hk_slice value, hk_pool *pool)
{
    const char *mark = value.n == 0 ? NULL : memchr(value.p, '?', value.n);
    hk_slice query;
    hk_buf b;

    if (hk_request_is_secret(name))
        return hk_slice_of(HK_REQUEST_MASK);
    if (mark == NULL || !(hk_slice_is(name, "HTTP_REFERER") || hk_slice_is(name, "HTTP_ORIGIN")))
        return hk_pool_keep(pool, value);
    query = scrubbed_query(hk_slice_from(value, (size_t)(mark - value.p) + 1), pool);
    hk_buf_init(&b, 65536 * 2);
    hk_buf_put(&b, value.p, (size_t)(mark - value.p) + 1);
    hk_buf_slice_put(&b, query);
    query = hk_pool_keep(pool, hk_buf_ok(&b) ? hk_buf_slice(&b) : hk_slice_make("", 0));
    hk_buf_free(&b);
    return query;
}

static void put_url(hk_slice scheme, hk_slice host, const hk_request *r, hk_slice path, hk_buf *out)
{
    size_t i;

    hk_buf_slice_put(out, scheme);
    hk_buf_puts(out, "://");
    if (host.n > 0) {
        hk_buf_slice_put(out, host);
    } else {
        for (i = 0; i < r->env_count; i++)
            if (hk_slice_is(r->env[i].key, "SERVER_NAME"))
                hk_buf_slice_put(out, r->env[i].value);
        for (i = 0; i < r->env_count; i++)
            if (hk_slice_is(r->env[i].key, "SERVER_PORT")) {
                hk_buf_putc(out, ':');
                hk_buf_slice_put(out, r->env[i].value);
            }
    }
    hk_buf_slice_put(out, path);
}

static int is_env(hk_slice key)
{
    return hk_slice_is(key, "REMOTE_ADDR") || hk_slice_is(key, "SERVER_NAME") || hk_slice_is(key, "SERVER_PORT")
        || hk_slice_is(key, "SERVER_PROTOCOL");
}

void hk_request_read(hk_slice vars, hk_pool *pool, hk_request *out)
{
    hk_slice rest = vars, key, value, uri = { "", 0 }, host = { "", 0 }, scheme = { "http", 4 };
    const char *mark;
    hk_buf url;

    memset(out, 0, sizeof *out);
    out->headers = hk_pool_alloc(pool, HK_REQUEST_MAX_HEADERS * sizeof *out->headers);
    while (hk_packet_next_pair(&rest, &key, &value) == 1) {
        if (hk_slice_is(key, "REQUEST_METHOD")) {
            out->method = hk_pool_keep(pool, value);
        } else if (hk_slice_is(key, "REQUEST_URI")) {
            uri = value;
        } else if (hk_slice_is(key, "PATH_INFO")) {
            out->path = hk_pool_keep(pool, value);
        } else if (hk_slice_is(key, "QUERY_STRING")) {
            out->query = scrubbed_query(value, pool);
        } else if (hk_slice_is(key, "REQUEST_SCHEME") || hk_slice_is(key, "UWSGI_SCHEME")) {
            if (value.n > 0 && value.n <= 16)
                scheme = value;
        } else if (hk_slice_is(key, "HTTPS")) {
            if (hk_slice_is(value, "on") || hk_slice_is(value, "1"))
                scheme = hk_slice_of("https");
        } else if (is_env(key)) {
            if (out->env_count < sizeof out->env / sizeof out->env[0]) {
                out->env[out->env_count].key = hk_pool_keep(pool, key);
                out->env[out->env_count++].value = hk_pool_keep(pool, value);
            }
        } else if (hk_slice_starts(key, "HTTP_") || hk_slice_is(key, "CONTENT_TYPE")
                   || hk_slice_is(key, "CONTENT_LENGTH")) {
            if (hk_slice_is(key, "HTTP_HOST"))
                host = value;
            if (out->headers != NULL && out->header_count < HK_REQUEST_MAX_HEADERS && value.n > 0) {
                out->headers[out->header_count].key = header_name(key, pool);
                out->headers[out->header_count++].value = header_value(key, value, pool);
            }
        }
    }
    if (out->method.n == 0)
        return;
    mark = uri.n == 0 ? NULL : memchr(uri.p, '?', uri.n);
    if (mark != NULL)
        uri.n = (size_t)(mark - uri.p);
    if (uri.n == 0)
        uri = out->path;
    hk_buf_init(&url, 65536 * 3);
    put_url(scheme, host, out, uri, &url);
    out->url = hk_pool_keep(pool, hk_buf_ok(&url) ? hk_buf_slice(&url) : hk_slice_make("", 0));
    hk_buf_free(&url);
}
