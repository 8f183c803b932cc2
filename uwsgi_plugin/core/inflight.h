/* inflight.h: the requests that were running, as an event shows them. Pure. */
#ifndef HK_INFLIGHT_H
#define HK_INFLIGHT_H

#include "event.h"
#include "json.h"
#include "trace.h"

#define HK_INFLIGHT_MAX 32U /* bystanders of one event */

typedef struct hk_inflight {
    hk_request request; /* without a method: its head is not read yet */
    hk_trace trace;
    hk_slice transaction; /* as the application told it; empty: method and path */
    hk_slice event_id;    /* of what the application reported in it */
    uint64_t age_ms;
    uint64_t pid;
    uint64_t worker;
    uint64_t core;
} hk_inflight;

/* "METHOD route", or "METHOD path" as pathname.h writes it; empty without a method. In pool. */
hk_slice hk_inflight_transaction(const hk_inflight *r, hk_pool *pool);

/* Write {"method":…,"url":…,…}. */
void hk_inflight_put(hk_json *j, const hk_inflight *r);

/* "key":[…], as many of the list as there is room for: an event of a UDP server is lost where it is over 48,000 bytes. */
#define HK_INFLIGHT_ROOM 16384U /* bytes of all together */
void hk_inflight_put_list(hk_json *j, const char *key, const hk_inflight *list, size_t count);

/* Append "GET /p/1 for 400 ms on worker 1 core 0" and a newline: for version 3, which has no contexts. */
void hk_inflight_put_line(const hk_inflight *r, hk_buf *out);

/* The trace context of the event, or nothing. span_id: 16 hex digits of our own. */
hk_slice hk_inflight_trace(const hk_inflight *r, hk_slice span_id, hk_pool *pool);

/* The user as a JSON object: the one the application told (given, checked), else REMOTE_USER of vars, if send_pii.
 * Empty: none. */
hk_slice hk_inflight_user(hk_slice given, hk_slice vars, int send_pii, hk_pool *pool);

#endif
