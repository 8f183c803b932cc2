/* capture.h: from a handler and what happened to a file in the spool. */
#ifndef HK_CAPTURE_H
#define HK_CAPTURE_H

#include "../core/event.h"
#include "../core/options.h"
#include "spool.h"

#define HK_CAPTURE_DEFAULT_LEVEL "error"
#define HK_CAPTURE_DEFAULT_LOGGER "uwsgi.sentry"

/* What is the same for every event of this server. */
typedef struct hk_capture_defaults {
    hk_slice server_name;
    hk_slice release;
    hk_slice environment;
    hk_slice ca; /* how this server reaches others: see hk_envelope_hk */
    hk_slice proxy;
    hk_scrub scrub; /* what is private: every text of the event is masked by it */
} hk_capture_defaults;

/* What happened. Options of the handler win over message, exception_type and exception_value. */
typedef struct hk_capture_facts {
    uint64_t time_ns; /* Unix time when it happened; 0: now */
    hk_slice message;
    hk_slice exception_type;
    hk_slice exception_value;
    hk_slice backtrace; /* uWSGI's array */
    hk_slice vars;      /* uWSGI's dictionary of the request; empty: no request */
    const char *mechanism;
    const hk_pair *extra; /* beside the handler's own */
    size_t extra_count;
    const hk_pair *tags; /* likewise */
    size_t tag_count;
    const hk_slice *fingerprint; /* unless the handler has one */
    size_t fingerprint_count;
    const hk_frame *frames; /* in place of backtrace */
    size_t frame_count;
    const hk_thread *threads; /* the others */
    size_t thread_count;
    hk_slice level; /* unless the handler has one */
    hk_slice transaction; /* empty: method and path */
    hk_slice user;        /* a JSON object */
    const hk_pair *contexts; /* name and JSON object, made private already */
    size_t context_count;
    hk_slice images; /* a JSON array */
    int signal; /* that ended a process */
    /* Expands one value of an option; NULL: values stand as they are. */
    hk_slice (*expand)(void *ctx, hk_slice value, hk_pool *pool);
    void *expand_ctx;
} hk_capture_facts;

/* Count, build and write one event. 0, or -1: lost, counted and logged. id
 * (if not NULL) gets the event id. Never waits and never calls the network. */
int hk_capture_event(hk_spool *spool, const hk_options *o, const hk_capture_defaults *d, const hk_capture_facts *f, char id[33]);

/* How many threads of this process are in hk_capture_event. */
int hk_capture_under_way(void);

#endif
