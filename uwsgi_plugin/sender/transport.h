/* transport.h: the network as a struct of functions, so that tests need none. */
#ifndef HK_TRANSPORT_H
#define HK_TRANSPORT_H

#include "../core/buf.h"

typedef struct hk_request_out {
    const char *url;          /* all texts live until the reply came; of a datagram: the host */
    unsigned udp_port;        /* not 0: body is sent as one datagram, and the reply's status is of policy.h */
    const char *auth;         /* value of X-Sentry-Auth */
    const char *content_type;
    hk_slice body;
    int no_verify;
    const char *ca;           /* NULL: the transport's own; empty: the system's */
    const char *proxy;        /* likewise; empty: the environment's */
    unsigned timeout_s;       /* for the whole request; 0: the transport's own */
    void *tag;                /* given back with the reply */
} hk_request_out;

typedef struct hk_reply_in {
    int status;            /* HTTP status; 0: no reply */
    hk_slice location;     /* p == NULL: the header was not there */
    hk_slice rate_limits;
    hk_slice retry_after;
    const char *error;     /* words, when status is 0 */
    void *tag;
    hk_slice detail;       /* X-Sentry-Error, or how the body begins: for people */
} hk_reply_in;

typedef struct hk_transport {
    /* Begin a request. 0, or -1: it could not even begin. */
    int (*start)(void *ctx, const hk_request_out *request);
    /* Wait at most wait_ms for something to happen, and call done for each reply. */
    void (*run)(void *ctx, int wait_ms, void (*done)(void *done_ctx, const hk_reply_in *reply), void *done_ctx);
    void *ctx;
} hk_transport;

#endif
