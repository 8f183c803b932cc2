#include "request.h"

#include "packet.h"
#include "scrub_kept.h"

/* Bytes that are looked at. */
#define MAX_URL 8192
#define MAX_QUERY 8192
#define MAX_HEADER 8192

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
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

/* Equal names are one header, as HTTP has it and an object of JSON needs it: some servers hand a header over as often as
 * it was sent. */
static void add_header(hk_request *r, hk_slice name, hk_slice value, hk_pool *pool)
{
    hk_slice *known;
    hk_buf both;
    size_t i;

    for (i = 0; i < r->header_count && !hk_slice_same(r->headers[i].key, name); i++)
        ;
    if (i == r->header_count) {
        if (i < HK_REQUEST_MAX_HEADERS) {
            r->headers[i].key = name;
            r->headers[i].value = value;
            r->header_count++;
        }
        return;
    }
    known = &r->headers[i].value;
    if (hk_slice_same(*known, value) || known->n > MAX_HEADER)
        return;
    hk_buf_init(&both, 2 * MAX_HEADER + value.n + 2);
    hk_buf_slice_put(&both, *known);
    hk_buf_puts(&both, hk_slice_is(name, "Cookie") ? "; " : ", ");
    hk_buf_slice_put(&both, value);
    if (hk_buf_ok(&both))
        *known = hk_pool_keep(pool, hk_buf_slice(&both));
    hk_buf_free(&both);
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

void hk_request_read(hk_slice vars, const hk_scrub *scrub, hk_pool *pool, hk_request *out)
{
    hk_slice rest = vars, key, value, uri = { "", 0 }, host = { "", 0 }, scheme = { "http", 4 };
    const char *mark;
    hk_buf url;

    memset(out, 0, sizeof *out);
    out->headers = hk_pool_alloc(pool, HK_REQUEST_MAX_HEADERS * sizeof *out->headers);
    while (hk_packet_next_pair(&rest, &key, &value) == 1) {
        if (hk_slice_is(key, "REQUEST_METHOD")) {
            out->method = hk_scrub_kept(scrub, hk_scrub_text, value, MAX_HEADER, pool);
        } else if (hk_slice_is(key, "REQUEST_URI")) {
            uri = value;
        } else if (hk_slice_is(key, "PATH_INFO")) {
            out->path = hk_scrub_kept(scrub, hk_scrub_text, value, MAX_URL, pool);
        } else if (hk_slice_is(key, "QUERY_STRING")) {
            out->query = hk_scrub_kept(scrub, hk_scrub_query, value, MAX_QUERY, pool);
        } else if (hk_slice_is(key, "REQUEST_SCHEME") || hk_slice_is(key, "UWSGI_SCHEME")) {
            if (value.n > 0 && value.n <= 16)
                scheme = value;
        } else if (hk_slice_is(key, "HTTPS")) {
            if (hk_slice_is(value, "on") || hk_slice_is(value, "1"))
                scheme = hk_slice_of("https");
        } else if (is_env(key)) {
            if (out->env_count < sizeof out->env / sizeof out->env[0]) {
                out->env[out->env_count].key = hk_pool_keep(pool, key);
                out->env[out->env_count++].value = hk_scrub_named(scrub, key, value, MAX_HEADER, pool);
            }
        } else if (hk_slice_starts(key, "HTTP_") || hk_slice_is(key, "CONTENT_TYPE")
                   || hk_slice_is(key, "CONTENT_LENGTH")) {
            if (hk_slice_is(key, "HTTP_HOST"))
                host = value;
            if (out->headers != NULL && value.n > 0)
                add_header(out, header_name(key, pool), hk_scrub_named(scrub, key, value, MAX_HEADER, pool), pool);
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
    if (hk_buf_ok(&url))
        out->url = hk_scrub_kept(scrub, hk_scrub_url, hk_buf_slice(&url), MAX_URL, pool);
    hk_buf_free(&url);
}
