/* http_state.h: the insides of the transport, shared by its two files only: http.c (transfers, names, replies) and
 * http_request.c (what a handle is told before, and libcurl's questions). No other includes curl.h.
 */
#ifndef HK_HTTP_STATE_H
#define HK_HTTP_STATE_H

#include "../edge/sys.h"
#include "http.h"
#include "names.h"

#include <curl/curl.h>

#if LIBCURL_VERSION_NUM < 0x074b00
#error "libcurl 7.75.0 or later is needed: an older one keeps the address of a name for ever"
#endif

#define CONNECT_TIMEOUT_MS 5000L
#define MAX_DETAIL 300U /* bytes kept of a body */
#define MAX_HEADER 8192U /* bytes kept of each header that is looked at */

typedef struct hk_http_slot {
    CURL *easy; /* kept for its connection; NULL until first used */
    struct curl_slist *headers;
    hk_buf location;
    hk_buf rate_limits;
    hk_buf retry_after;
    hk_buf sentry_error; /* X-Sentry-Error */
    hk_buf body;         /* its beginning, for people */
    int has_location, has_rate_limits, has_retry_after, has_sentry_error;
    size_t head_size, body_size; /* bytes of this reply so far */
    int headers_done; /* the end of the headers of the final reply was seen */
    hk_buf set_for; /* url, auth, type and flags of the last request: the next one like it needs its body only */
    char error[CURL_ERROR_SIZE];
    hk_request_out request;
    int busy;
    hk_buf host; /* the name that it waits for, */
    unsigned port;
    int waits;   /* if it does, */
    uint64_t since_ms;
    int refused; /* as libcurl wanted to look one up */
    int lookups;
    int numeric, resolved; /* libcurl may "look up" so many addresses in numbers, and has */
    struct curl_slist *addresses;
} hk_http_slot;

struct hk_http {
    CURLM *multi;
    hk_http_slot *slots;
    unsigned count;
    hk_names *names;
    hk_http_options options;
};

/* Set up the handle of s for this request, unless the last was like it. 0, or -1: memory. */
int hk_http_prepare(hk_http *h, hk_http_slot *s, const hk_request_out *r);

/* NULL or empty: the environment's. */
const char *hk_http_proxy_of(const hk_http *h, const hk_request_out *r);

#endif
