/* request.h: the request of an event, from uWSGI's variables, made private.
 *
 * Rule: every removal happens here. Cookies and authorization never leave, nor
 * do headers and query parameters whose name sounds like a secret.
 */
#ifndef HK_REQUEST_H
#define HK_REQUEST_H

#include "pool.h"

#define HK_REQUEST_MAX_HEADERS 100 /* more are left out */
#define HK_REQUEST_MASK "[Filtered]"

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

/* Read uWSGI's dictionary of variables into *out; texts are kept in pool.
 * A damaged dictionary gives what could be read. Memory: see pool->failed. */
void hk_request_read(hk_slice vars, hk_pool *pool, hk_request *out);

/* Whether a header, cookie or query parameter of this name holds a secret. */
int hk_request_is_secret(hk_slice name);

/* Append query with the values of secret parameters masked. */
void hk_request_scrub_query(hk_slice query, hk_buf *out);

/* Append a line of source; in one that speaks of a secret, what stands in quotes is masked, and so is the userinfo of
 * a URL in any. */
void hk_request_scrub_source(hk_slice line, hk_buf *out);

#endif
