/* event.h: builds the JSON of one event, version 7 or 3, from plain values. */
#ifndef HK_EVENT_H
#define HK_EVENT_H

#include "frames.h"
#include "request.h"

#define HK_EVENT_MAX_BYTES (1024U * 1024U) /* Sentry refuses more with 413 */
#define HK_EVENT_MAX_MESSAGE 8192U         /* code points, as everywhere below */
#define HK_EVENT_MAX_TAG 200U
#define HK_EVENT_MAX_CULPRIT 200U
#define HK_EVENT_MAX_EXTRA 8192U

typedef struct hk_event {
    char id[33];      /* 32 hex digits */
    uint64_t time_ns; /* Unix time */
    hk_slice level;
    hk_slice logger;
    hk_slice message;
    hk_slice platform; /* empty: python when a frame's file ends in .py, else other */
    hk_slice culprit;
    hk_slice transaction;
    hk_slice server_name;
    hk_slice release;
    hk_slice environment;
    hk_slice exception_type;
    hk_slice exception_value;
    hk_slice project; /* version 3 only */
    const hk_pair *tags;
    size_t tag_count;
    const hk_pair *extra;
    size_t extra_count;
    const hk_slice *fingerprint;
    size_t fingerprint_count;
    const hk_frame *frames; /* outermost first */
    size_t frame_count;
    const hk_thread *threads; /* beside that of frames; version 7 only */
    size_t thread_count;
    const char *mechanism; /* NULL: generic */
    int signal;            /* that ended the process; 0: none */
    hk_slice user;         /* a JSON object; empty: nobody is known */
    const hk_pair *contexts; /* version 7 only: name and JSON object */
    size_t context_count;
    hk_slice images; /* version 7 only: debug_meta.images, a JSON array; empty: none */
    const hk_request *request; /* NULL or without a method: none */
} hk_event;

/* Append the event's JSON. An event over max_bytes is built again without its
 * stack's source lines, then without values and threads, with ever shorter message
 * and extra, with few frames, and at last without contexts. HK_OK;
 * HK_ERR_LIMIT when even that is too large; HK_ERR_MEMORY. */
hk_status hk_event_put(const hk_event *e, int protocol, size_t max_bytes, hk_buf *out);

/* SIGSEGV and the like; empty for a number without a name of its own. */
const char *hk_event_signal_name(int signal);

/* Append time_ns as 2023-11-14T22:13:20.250000Z (UTC, so it says Z). */
void hk_event_put_time(uint64_t time_ns, int fraction, hk_buf *out);

#endif
