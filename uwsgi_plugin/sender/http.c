/* http.c: the only file that includes curl.h. */
#include "http.h"

#include "../core/hk.h"
#include "../edge/sys.h"

#include <curl/curl.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_MS 5000L
#define TIMEOUT_MS 10000L
#define MAX_REPLY_BODY 65536U /* bytes read so that the connection can be used again; a longer reply costs it */
#define MAX_REPLY_HEAD 262144U /* bytes of all headers of a reply and of those before it */
#define MAX_HEADER 8192U /* bytes kept of each header that is looked at */

typedef struct slot {
    CURL *easy; /* kept for its connection; NULL until first used */
    struct curl_slist *headers;
    hk_buf location;
    hk_buf rate_limits;
    hk_buf retry_after;
    int has_location, has_rate_limits, has_retry_after;
    size_t head_size, body_size; /* bytes of this reply so far */
    int headers_done; /* the end of the headers of the final reply was seen */
    hk_buf set_for; /* url, auth, type and flags of the last request: the next one like it needs its body only */
    char error[CURL_ERROR_SIZE];
    void *tag;
    int busy;
} slot;

struct hk_http {
    CURLM *multi;
    slot *slots;
    unsigned count;
    hk_http_options options;
};

/* Anything but size * n ends the transfer and closes the connection. */
static size_t drop_body(char *p, size_t size, size_t n, void *ctx)
{
    slot *s = ctx;

    (void)p;
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
    slot *s = ctx;

    n *= size;
    s->head_size += n;
    if (s->head_size > MAX_REPLY_HEAD)
        return 0;
    if (n >= 5 && memcmp(p, "HTTP/", 5) == 0) { /* a new reply, after 100 Continue or a proxy's */
        s->has_location = s->has_rate_limits = s->has_retry_after = s->headers_done = 0;
    } else if (n <= 2 && (p[0] == '\r' || p[0] == '\n')) {
        s->headers_done = 1;
    } else if (is_header(p, n, "location")) {
        keep(&s->location, &s->has_location, p, n, 9);
    } else if (is_header(p, n, "x-sentry-rate-limits")) {
        keep(&s->rate_limits, &s->has_rate_limits, p, n, 21);
    } else if (is_header(p, n, "retry-after")) {
        keep(&s->retry_after, &s->has_retry_after, p, n, 12);
    }
    return n;
}

/* Whether the handle is set up for such a request; if not, *s notes that it will be. */
static int is_set_for(slot *s, const hk_request_out *r)
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

static int set_up(hk_http *h, slot *s, const hk_request_out *r)
{
    CURL *c = s->easy;
    const char *ca = r->ca != NULL ? r->ca : h->options.ca_file;
    const char *proxy = r->proxy != NULL ? r->proxy : h->options.proxy;
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
    if (bad)
        return -1;
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
    bad |= curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, drop_body) != CURLE_OK;
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

static int start(void *ctx, const hk_request_out *r)
{
    hk_http *h = ctx;
    slot *s = NULL;
    unsigned i;

    for (i = 0; i < h->count && s == NULL; i++)
        if (!h->slots[i].busy)
            s = &h->slots[i];
    if (s == NULL)
        return -1;
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
    s->has_location = s->has_rate_limits = s->has_retry_after = s->headers_done = 0;
    s->head_size = s->body_size = 0;
    s->error[0] = '\0';
    s->tag = r->tag;
    if (set_body(s->easy, r->body) < 0 || curl_multi_add_handle(h->multi, s->easy) != CURLM_OK)
        return -1;
    s->busy = 1;
    return 0;
}

static hk_slice header(const hk_buf *b, int has)
{
    return has ? hk_buf_slice(b) : hk_slice_make(NULL, 0);
}

static void run(void *ctx, int wait_ms, void (*done)(void *done_ctx, const hk_reply_in *reply), void *done_ctx)
{
    hk_http *h = ctx;
    int running = 0, left = 0, started = 0;
    CURLMsg *message;
    unsigned i;

    for (i = 0; i < h->count; i++)
        started += h->slots[i].busy;
    curl_multi_perform(h->multi, &running);
    /* What is finished already must not wait for the rest. A busy loop would be worse than a late reply: where the
     * wait fails, sleep instead. */
    if (running == started && wait_ms > 0) {
        if (curl_multi_poll(h->multi, NULL, 0, wait_ms, NULL) != CURLM_OK)
            usleep((useconds_t)wait_ms * 1000U);
        curl_multi_perform(h->multi, &running);
    }
    while ((message = curl_multi_info_read(h->multi, &left)) != NULL) {
        hk_reply_in reply;
        char *private = NULL;
        long status = 0;
        CURL *easy = message->easy_handle;
        CURLcode result = message->data.result;
        slot *s;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        curl_multi_remove_handle(h->multi, easy);
        s = (slot *)(void *)private;
        s->busy = 0;
        memset(&reply, 0, sizeof reply);
        /* The headers decide; a body that is cut or late changes nothing. */
        if (status >= 200 && (result == CURLE_OK || s->headers_done))
            reply.status = (int)status;
        else
            reply.error = s->error[0] != '\0' ? s->error : curl_easy_strerror(result);
        reply.location = header(&s->location, s->has_location);
        reply.rate_limits = header(&s->rate_limits, s->has_rate_limits);
        reply.retry_after = header(&s->retry_after, s->has_retry_after);
        reply.tag = s->tag;
        done(done_ctx, &reply);
    }
}

static int datagram(void *ctx, const char *host, unsigned port, hk_slice body)
{
    struct addrinfo hints, *found = NULL, *a;
    char service[8];
    int rc = -1;

    (void)ctx;
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_DGRAM;
    snprintf(service, sizeof service, "%u", port > 65535 ? 0 : port);
    if (getaddrinfo(host, service, &hints, &found) != 0)
        return -1;
    for (a = found; a != NULL && rc == -1; a = a->ai_next) {
        int fd = socket(a->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
            continue;
        if (sendto(fd, body.p, body.n, 0, a->ai_addr, a->ai_addrlen) == (ssize_t)body.n)
            rc = 0;
        else if (errno == EMSGSIZE)
            rc = -2;
        close(fd);
    }
    freeaddrinfo(found);
    return rc;
}

hk_http *hk_http_new(const hk_http_options *options)
{
    hk_http *h = hk_buf_alloc(sizeof *h);
    unsigned i;

    if (h == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        goto bad;
    h->options = *options;
    h->count = options->connections;
    h->slots = hk_buf_alloc(h->count * sizeof *h->slots);
    h->multi = curl_multi_init();
    if (h->slots == NULL || h->multi == NULL)
        goto bad;
    curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)h->count);
    for (i = 0; i < h->count; i++) {
        hk_buf_init(&h->slots[i].location, MAX_HEADER);
        hk_buf_init(&h->slots[i].rate_limits, MAX_HEADER);
        hk_buf_init(&h->slots[i].retry_after, MAX_HEADER);
        hk_buf_init(&h->slots[i].set_for, 32768);
    }
    return h;
bad:
    hk_http_free(h);
    return NULL;
}

void hk_http_free(hk_http *h)
{
    unsigned i;

    if (h == NULL)
        return;
    for (i = 0; h->slots != NULL && i < h->count; i++) {
        slot *s = &h->slots[i];
        if (s->busy)
            curl_multi_remove_handle(h->multi, s->easy);
        if (s->easy != NULL)
            curl_easy_cleanup(s->easy);
        curl_slist_free_all(s->headers);
        hk_buf_free(&s->location);
        hk_buf_free(&s->rate_limits);
        hk_buf_free(&s->retry_after);
        if (s->set_for.data != NULL)
            hk_buf_wipe(s->set_for.data, s->set_for.len); /* keys */
        hk_buf_free(&s->set_for);
    }
    if (h->multi != NULL)
        curl_multi_cleanup(h->multi);
    hk_buf_release(h->slots);
    hk_buf_release(h);
}

hk_transport hk_http_transport(hk_http *h)
{
    hk_transport t = { start, run, datagram, h };
    return t;
}
