/* http_request.c: what a handle is told before its transfer. */
#include "http_state.h"

#define TIMEOUT_MS 10000L
#define MAX_REPLY_BODY 65536U /* bytes read so that the connection can be used again; a longer reply costs it */
#define MAX_REPLY_HEAD 262144U /* bytes of all headers of a reply and of those before it */

/* Anything but size * n ends the transfer and closes the connection. */
static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    hk_http_slot *s = ctx;
    size_t room = MAX_DETAIL - s->body.len;

    hk_buf_put(&s->body, p, size * n < room ? size * n : room);
    s->body_size += size * n;
    return s->body_size > MAX_REPLY_BODY ? 0 : size * n;
}

static int is_header(const char *p, size_t n, const char *lower)
{
    size_t len = strlen(lower), i;

    if (n <= len || p[len] != ':')
        return 0;
    for (i = 0; i < len; i++)
        if ((p[i] >= 'A' && p[i] <= 'Z' ? p[i] + 32 : p[i]) != lower[i])
            return 0;
    return 1;
}

static void keep(hk_buf *out, int *has, const char *p, size_t n, size_t skip)
{
    p += skip;
    n -= skip;
    while (n > 0 && (p[n - 1] == '\r' || p[n - 1] == '\n' || p[n - 1] == ' ' || p[n - 1] == '\t'))
        n--;
    while (n > 0 && (*p == ' ' || *p == '\t')) {
        p++;
        n--;
    }
    hk_buf_clear(out);
    hk_buf_put(out, p, n > MAX_HEADER ? MAX_HEADER : n);
    *has = 1;
}

static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
    hk_http_slot *s = ctx;

    n *= size;
    s->head_size += n;
    if (s->head_size > MAX_REPLY_HEAD)
        return 0;
    if (n >= 5 && memcmp(p, "HTTP/", 5) == 0) { /* a new reply, after 100 Continue or a proxy's */
        s->has_location = s->has_rate_limits = s->has_retry_after = s->has_sentry_error = s->headers_done = 0;
    } else if (n <= 2 && (p[0] == '\r' || p[0] == '\n')) {
        s->headers_done = 1;
    } else if (is_header(p, n, "location")) {
        keep(&s->location, &s->has_location, p, n, 9);
    } else if (is_header(p, n, "x-sentry-rate-limits")) {
        keep(&s->rate_limits, &s->has_rate_limits, p, n, 21);
    } else if (is_header(p, n, "retry-after")) {
        keep(&s->retry_after, &s->has_retry_after, p, n, 12);
    } else if (is_header(p, n, "x-sentry-error")) {
        keep(&s->sentry_error, &s->has_sentry_error, p, n, 15);
    }
    return n;
}

/* libcurl is about to look up a name, or to read an address; anything but 0 refuses. */
static int on_lookup(void *resolver, void *reserved, void *ctx)
{
    hk_http_slot *s = ctx;

    (void)resolver;
    (void)reserved;
    if (s->resolved < s->numeric) {
        s->resolved++;
        return 0;
    }
    s->refused = 1;
    return 1;
}

/* Whether the handle is set up for such a request; if not, *s notes that it will be. */
static int is_set_for(hk_http_slot *s, const hk_request_out *r)
{
    size_t old = s->set_for.len, n;
    hk_buf *b = &s->set_for;

    hk_buf_puts(b, r->url);
    hk_buf_putc(b, '\n');
    hk_buf_puts(b, r->auth);
    hk_buf_putc(b, '\n');
    hk_buf_puts(b, r->content_type);
    hk_buf_putc(b, r->no_verify ? '!' : '\n');
    hk_buf_puts(b, r->ca == NULL ? "-" : r->ca);
    hk_buf_putc(b, '\n');
    hk_buf_puts(b, r->proxy == NULL ? "-" : r->proxy);
    hk_buf_putc(b, '\n');
    hk_buf_put_u64(b, r->timeout_s);
    n = b->len - old;
    if (hk_buf_ok(b) && old == n && memcmp(b->data, b->data + old, n) == 0) {
        b->len = n;
        return 1;
    }
    if (!hk_buf_ok(b)) {
        hk_buf_clear(b);
        return 0;
    }
    memmove(b->data, b->data + old, n);
    b->len = n;
    return 0;
}

static int set_body(CURL *c, hk_slice body)
{
    int bad = curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n) != CURLE_OK;

    bad |= curl_easy_setopt(c, CURLOPT_POSTFIELDS, body.p) != CURLE_OK;
    return bad ? -1 : 0;
}

static int set_headers(hk_http_slot *s, const hk_request_out *r)
{
    struct curl_slist *more;
    hk_buf line;
    int bad = 0;
    const char *fixed[] = { "Expect:", "Accept:" };
    size_t i;

    curl_slist_free_all(s->headers);
    s->headers = NULL;
    hk_buf_init(&line, 8192);
    for (i = 0; i < 4; i++) {
        hk_buf_clear(&line);
        if (i < 2) {
            hk_buf_puts(&line, fixed[i]);
        } else {
            hk_buf_puts(&line, i == 2 ? "X-Sentry-Auth: " : "Content-Type: ");
            hk_buf_puts(&line, i == 2 ? r->auth : r->content_type);
        }
        more = hk_buf_text(&line) == NULL ? NULL : curl_slist_append(s->headers, line.data);
        if (more == NULL) {
            bad = 1;
            break;
        }
        s->headers = more;
    }
    if (line.data != NULL)
        hk_buf_wipe(line.data, line.len);
    hk_buf_free(&line);
    return bad ? -1 : 0;
}

const char *hk_http_proxy_of(const hk_http *h, const hk_request_out *r)
{
    return r->proxy != NULL ? r->proxy : h->options.proxy;
}

static int set_up(hk_http *h, hk_http_slot *s, const hk_request_out *r)
{
    CURL *c = s->easy;
    const char *ca = r->ca != NULL ? r->ca : h->options.ca_file;
    const char *proxy = hk_http_proxy_of(h, r);
    int bad = 0;

    if (set_headers(s, r) < 0)
        return -1;
    s->numeric = 0;
    bad |= curl_easy_setopt(c, CURLOPT_RESOLVER_START_FUNCTION, on_lookup) != CURLE_OK;
    bad |= curl_easy_setopt(c, CURLOPT_RESOLVER_START_DATA, s) != CURLE_OK;
    bad |= curl_easy_setopt(c, CURLOPT_DNS_CACHE_TIMEOUT, (long)(HK_NAMES_LIFE_MS / 1000U)) != CURLE_OK;
    bad |= curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) != CURLE_OK;
    bad |= curl_easy_setopt(c, CURLOPT_URL, r->url) != CURLE_OK;
#if LIBCURL_VERSION_NUM >= 0x075500
    bad |= curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https") != CURLE_OK;
#else
    bad |= curl_easy_setopt(c, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS) != CURLE_OK;
#endif
    bad |= curl_easy_setopt(c, CURLOPT_POST, 1L) != CURLE_OK;
    bad |= curl_easy_setopt(c, CURLOPT_HTTPHEADER, s->headers) != CURLE_OK;
    bad |= curl_easy_setopt(c, CURLOPT_USERAGENT, HK_CLIENT) != CURLE_OK;
    bad |= curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) != CURLE_OK;
    bad |= curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS) != CURLE_OK;
    bad |= curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, r->timeout_s > 0 ? (long)r->timeout_s * 1000L : TIMEOUT_MS) != CURLE_OK;
    bad |= curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body) != CURLE_OK;
    bad |= curl_easy_setopt(c, CURLOPT_WRITEDATA, s) != CURLE_OK;
    bad |= curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header) != CURLE_OK;
    bad |= curl_easy_setopt(c, CURLOPT_HEADERDATA, s) != CURLE_OK;
    bad |= curl_easy_setopt(c, CURLOPT_ERRORBUFFER, s->error) != CURLE_OK;
    bad |= curl_easy_setopt(c, CURLOPT_PRIVATE, s) != CURLE_OK;
    /* Plain HTTP works in a libcurl without TLS: these may be unknown to it. */
    (void)curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    (void)curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, r->no_verify ? 0L : 1L);
    (void)curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, r->no_verify ? 0L : 2L);
    if (ca != NULL && ca[0] != '\0')
        bad |= curl_easy_setopt(c, CURLOPT_CAINFO, ca) != CURLE_OK;
    if (proxy != NULL && proxy[0] != '\0') /* an empty one would keep libcurl from reading the environment's */
        bad |= curl_easy_setopt(c, CURLOPT_PROXY, proxy) != CURLE_OK;
    return bad ? -1 : 0;
}

int hk_http_prepare(hk_http *h, hk_http_slot *s, const hk_request_out *r)
{
    if (s->easy == NULL)
        s->easy = curl_easy_init();
    if (s->easy == NULL)
        return -1;
    if (!is_set_for(s, r)) {
        curl_easy_reset(s->easy); /* connections live in the multi handle */
        if (set_up(h, s, r) < 0) {
            hk_buf_clear(&s->set_for);
            return -1;
        }
    }
    return set_body(s->easy, r->body);
}
