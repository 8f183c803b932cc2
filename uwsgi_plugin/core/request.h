/* request.h: the request of an event, from uWSGI's variables, made private.
 *
 * Rule: what is private is masked here, by scrub.h: no text of a request leaves this file as it came.
 */
#ifndef HK_REQUEST_H
#define HK_REQUEST_H

#include "pool.h"
#include "scrub.h"

#define HK_REQUEST_MAX_HEADERS 100 /* more are left out */

typedef struct hk_pair {
    hk_slice key;
    hk_slice value;
} hk_pair;

typedef struct hk_request {
    hk_slice method; /* empty: there was no request */
    hk_slice url;    /* without the query string */
    hk_slice query;  /* scrubbed */
    hk_slice path;
    hk_pair *headers;
    size_t header_count;
    hk_pair env[4]; /* REMOTE_ADDR, SERVER_NAME, SERVER_PORT, SERVER_PROTOCOL */
    size_t env_count;
} hk_request;

/* Read uWSGI's dictionary of variables into *out, masked; texts are kept in pool.
 * A damaged dictionary gives what could be read. Memory: see pool->failed. */
void hk_request_read(hk_slice vars, const hk_scrub *scrub, hk_pool *pool, hk_request *out);

#endif
