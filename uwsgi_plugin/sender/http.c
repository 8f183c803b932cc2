/* http.c: transfers by libcurl.
 *
 * libcurl looks up no name itself: its threads would be waited for. A transfer that needs one is refused the lookup and
 * ends; it begins anew with the address of names.c, which libcurl then keeps for as long. Who looks at certificates
 * sees the name all the same.
 */
#include "http.h"

#include "../core/policy.h"
#include "datagram.h"
#include "http_state.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOK_EVERY_MS 10 /* whether a name was found */
#define MAX_LOOKUPS 4 /* of one transfer: a proxy, a server, and each of the two may be in numbers */
#define USED_PROXY ((CURLINFO)(CURLINFO_LONG + 66)) /* CURLINFO_USED_PROXY of libcurl 8.7, also if built with an older */

static int add(hk_http *h, hk_http_slot *s)
{
    s->has_location = s->has_rate_limits = s->has_retry_after = s->has_sentry_error = s->headers_done = 0;
    hk_buf_clear(&s->body);
    s->head_size = s->body_size = 0;
    s->error[0] = '\0';
    s->refused = s->resolved = 0;
    return curl_multi_add_handle(h->multi, s->easy) == CURLM_OK ? 0 : -1;
}

static void wait_for_name(hk_http_slot *s)
{
    s->waits = 1;
    s->since_ms = hk_sys_monotonic_ms();
}

static int start(void *ctx, const hk_request_out *r)
{
    hk_http *h = ctx;
    hk_http_slot *s = NULL;
    unsigned i;

    for (i = 0; i < h->count && s == NULL; i++)
        if (!h->slots[i].busy)
            s = &h->slots[i];
    if (s == NULL)
        return -1;
    s->request = *r;
    s->lookups = s->waits = 0;
    if (r->udp_port > 0) {
        hk_buf_clear(&s->host);
        hk_buf_puts(&s->host, r->url);
        if (hk_buf_text(&s->host) == NULL)
            return -1;
        wait_for_name(s);
        s->busy = 1;
        return 0;
    }
    if (hk_http_prepare(h, s, r) < 0 || add(h, s) < 0)
        return -1;
    s->busy = 1;
    return 0;
}

/* The proxy that libcurl takes from the environment for such a URL. */
static const char *proxy_of_environment(const char *url)
{
    static const char *const names[] = { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" };
    const char *proxy = NULL;
    size_t i = 0;

    if (strncmp(url, "https:", 6) != 0) {
        proxy = getenv("http_proxy");
        i = 2;
    }
    for (; i < 4 && (proxy == NULL || proxy[0] == '\0'); i++)
        proxy = getenv(names[i]);
    return proxy;
}

/* Host and port into the slot. 0, or -1: libcurl cannot read the URL, or memory is short. */
static int read_host(hk_http_slot *s, const char *url, int is_proxy)
{
    char *host = NULL, *port = NULL, *scheme = NULL;
    CURLU *u = url == NULL ? NULL : curl_url();
    size_t n;
    int rc = -1;

    hk_buf_clear(&s->host);
    if (u == NULL || curl_url_set(u, CURLUPART_URL, url, CURLU_GUESS_SCHEME | CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK
        || curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK)
        goto out;
    (void)curl_url_get(u, CURLUPART_SCHEME, &scheme, 0);
    if (curl_url_get(u, CURLUPART_PORT, &port, is_proxy ? 0 : CURLU_DEFAULT_PORT) == CURLUE_OK)
        s->port = (unsigned)strtoul(port, NULL, 10);
    else
        s->port = scheme != NULL && strcmp(scheme, "https") == 0 ? 443 : 1080; /* libcurl's own, of proxies */
    n = strlen(host);
    if (host[0] == '[' && n > 2)
        hk_buf_put(&s->host, host + 1, n - 2);
    else
        hk_buf_put(&s->host, host, n);
    rc = hk_buf_text(&s->host) == NULL ? -1 : 0;
out:
    curl_free(host);
    curl_free(port);
    curl_free(scheme);
    curl_url_cleanup(u);
    return rc;
}

/* Whether the lookup that was refused is the proxy's. An older libcurl says so by its code, a newer one by whether the
 * transfer has a proxy: then the first name is the proxy's, and any further one (SOCKS) is the server's. */
static int wants_proxy(const hk_http_slot *s, CURLcode result)
{
    long used = 0;

    if (result == CURLE_COULDNT_RESOLVE_PROXY)
        return 1;
    return s->lookups == 1 && curl_easy_getinfo(s->easy, USED_PROXY, &used) == CURLE_OK && used > 0;
}

/* A lookup was refused: which name is it? 0: begun anew, or it waits for the name; -1: the transfer failed. */
static int look_up(hk_http *h, hk_http_slot *s, CURLcode result)
{
    const char *proxy = hk_http_proxy_of(h, &s->request);
    int is_proxy;

    if (++s->lookups > MAX_LOOKUPS)
        return -1;
    is_proxy = wants_proxy(s, result);
    if (proxy == NULL || proxy[0] == '\0')
        proxy = proxy_of_environment(s->request.url);
    if (read_host(s, is_proxy ? proxy : s->request.url, is_proxy) < 0)
        return -1;
    if (hk_names_is_numeric(hk_buf_text(&s->host))) {
        s->numeric++;
        return add(h, s);
    }
    wait_for_name(s);
    return 0;
}

/* Begin anew, with the addresses of the host. */
static int go_on(hk_http *h, hk_http_slot *s, const hk_addresses *found)
{
    char text[INET6_ADDRSTRLEN];
    struct curl_slist *list;
    hk_buf line;
    unsigned i;
    int rc = -1;

    hk_buf_init(&line, 2048);
    hk_buf_putc(&line, '+'); /* not for ever */
    hk_buf_slice_put(&line, hk_buf_slice(&s->host));
    hk_buf_putc(&line, ':');
    hk_buf_put_u64(&line, s->port);
    for (i = 0; i < found->count; i++) {
        const struct sockaddr_storage *a = &found->list[i];
        int six = a->ss_family == AF_INET6;
        const void *bytes = six ? (const void *)&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr
                                : (const void *)&((const struct sockaddr_in *)(const void *)a)->sin_addr;
        if (inet_ntop(a->ss_family, bytes, text, sizeof text) == NULL)
            continue;
        hk_buf_puts(&line, i == 0 ? ":" : ",");
        hk_buf_puts(&line, six ? "[" : "");
        hk_buf_puts(&line, text);
        hk_buf_puts(&line, six ? "]" : "");
    }
    list = hk_buf_text(&line) == NULL ? NULL : curl_slist_append(NULL, line.data);
    hk_buf_free(&line);
    if (list != NULL && curl_easy_setopt(s->easy, CURLOPT_RESOLVE, list) == CURLE_OK) {
        curl_slist_free_all(s->addresses);
        s->addresses = list;
        rc = add(h, s);
    } else {
        curl_slist_free_all(list);
    }
    return rc;
}

static hk_slice header(const hk_buf *b, int has)
{
    return has ? hk_buf_slice(b) : hk_slice_make(NULL, 0);
}

typedef void (*done_fn)(void *done_ctx, const hk_reply_in *reply);

static void finish(hk_http_slot *s, int status, done_fn done, void *done_ctx)
{
    hk_reply_in reply;

    memset(&reply, 0, sizeof reply);
    s->busy = s->waits = 0;
    reply.status = status;
    if (status == 0)
        reply.error = s->error;
    reply.location = header(&s->location, s->has_location);
    reply.rate_limits = header(&s->rate_limits, s->has_rate_limits);
    reply.retry_after = header(&s->retry_after, s->has_retry_after);
    reply.detail = s->has_sentry_error ? hk_buf_slice(&s->sentry_error) : hk_buf_slice(&s->body);
    reply.tag = s->request.tag;
    done(done_ctx, &reply);
}

/* What waits for a name goes on if it is there, and ends if none comes. */
static void look_at_name(hk_http *h, hk_http_slot *s, done_fn done, void *done_ctx)
{
    const hk_addresses *found = NULL;
    const char *host = hk_buf_text(&s->host);
    unsigned limit_s = s->request.timeout_s;
    hk_names_answer answer = hk_names_ask(h->names, host, s->since_ms, &found);
    int status = 0;

    if (limit_s == 0 || limit_s > CONNECT_TIMEOUT_MS / 1000)
        limit_s = CONNECT_TIMEOUT_MS / 1000;
    if (answer == HK_NAMES_ASKED && hk_sys_monotonic_ms() - s->since_ms < limit_s * 1000U)
        return;
    s->waits = 0;
    s->error[0] = '\0';
    if (answer == HK_NAMES_ASKED) {
        snprintf(s->error, sizeof s->error, "the name %.120s: no answer from a name server in %u s", host, limit_s);
    } else if (answer == HK_NAMES_FAILED) {
        snprintf(s->error, sizeof s->error, "the name %.120s could not be looked up", host);
    } else if (s->request.udp_port > 0) {
        s->has_location = s->has_rate_limits = s->has_retry_after = s->has_sentry_error = 0;
        hk_buf_clear(&s->body);
        status = hk_datagram_send(found, s->request.udp_port, s->request.body);
        snprintf(s->error, sizeof s->error, "the datagram could not be sent");
    } else if (go_on(h, s, found) == 0) {
        return;
    } else {
        snprintf(s->error, sizeof s->error, "the transfer could not begin (memory)");
    }
    finish(s, status, done, done_ctx);
}

static void end_transfer(hk_http *h, CURL *easy, CURLcode result, done_fn done, void *done_ctx)
{
    char *private = NULL;
    long status = 0;
    hk_http_slot *s;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_multi_remove_handle(h->multi, easy);
    s = (hk_http_slot *)(void *)private;
    if (s->refused && result != CURLE_OK && look_up(h, s, result) == 0)
        return;
    if (s->error[0] == '\0')
        snprintf(s->error, sizeof s->error, "%s", curl_easy_strerror(result));
    /* The headers decide; a body that is cut or late changes nothing. */
    finish(s, status >= 200 && (result == CURLE_OK || s->headers_done) ? (int)status : 0, done, done_ctx);
}

static void run(void *ctx, int wait_ms, done_fn done, void *done_ctx)
{
    hk_http *h = ctx;
    int running = 0, left = 0, started = 0;
    CURLMsg *message;
    unsigned i;

    for (i = 0; i < h->count; i++) {
        hk_http_slot *s = &h->slots[i];
        if (s->busy && s->waits) {
            look_at_name(h, s, done, done_ctx);
            wait_ms = !s->waits ? 0 : wait_ms > LOOK_EVERY_MS ? LOOK_EVERY_MS : wait_ms;
        }
        started += s->busy && !s->waits;
    }
    curl_multi_perform(h->multi, &running);
    /* What is finished already must not wait for the rest. A busy loop would be worse than a late reply: where the
     * wait fails, sleep instead. */
    if (running == started && wait_ms > 0) {
        if (curl_multi_poll(h->multi, NULL, 0, wait_ms, NULL) != CURLM_OK)
            usleep((useconds_t)wait_ms * 1000U);
        curl_multi_perform(h->multi, &running);
    }
    while ((message = curl_multi_info_read(h->multi, &left)) != NULL)
        if (message->msg == CURLMSG_DONE)
            end_transfer(h, message->easy_handle, message->data.result, done, done_ctx);
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
    h->names = hk_names_new();
    if (h->slots == NULL || h->multi == NULL || h->names == NULL)
        goto bad;
    curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)h->count);
    for (i = 0; i < h->count; i++) {
        hk_buf_init(&h->slots[i].location, MAX_HEADER);
        hk_buf_init(&h->slots[i].rate_limits, MAX_HEADER);
        hk_buf_init(&h->slots[i].retry_after, MAX_HEADER);
        hk_buf_init(&h->slots[i].sentry_error, MAX_HEADER);
        hk_buf_init(&h->slots[i].body, MAX_DETAIL);
        hk_buf_init(&h->slots[i].set_for, 32768);
        hk_buf_init(&h->slots[i].host, 1024);
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
        hk_http_slot *s = &h->slots[i];
        if (s->busy && !s->waits)
            curl_multi_remove_handle(h->multi, s->easy);
        if (s->easy != NULL)
            curl_easy_cleanup(s->easy);
        curl_slist_free_all(s->headers);
        curl_slist_free_all(s->addresses);
        hk_buf_free(&s->host);
        hk_buf_free(&s->location);
        hk_buf_free(&s->rate_limits);
        hk_buf_free(&s->retry_after);
        hk_buf_free(&s->sentry_error);
        hk_buf_free(&s->body);
        if (s->set_for.data != NULL)
            hk_buf_wipe(s->set_for.data, s->set_for.len); /* keys */
        hk_buf_free(&s->set_for);
    }
    if (h->multi != NULL)
        curl_multi_cleanup(h->multi);
    hk_names_free(h->names);
    hk_buf_release(h->slots);
    hk_buf_release(h);
}

hk_transport hk_http_transport(hk_http *h)
{
    hk_transport t = { start, run, h };
    return t;
}
