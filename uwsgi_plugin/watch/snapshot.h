/* snapshot.h: what a worker was doing, read from uWSGI's shared memory. Memory of zeros: nothing. */
#ifndef HK_SNAPSHOT_H
#define HK_SNAPSHOT_H

#include "../core/inflight.h"
#include "shared.h"

typedef struct hk_snapshot {
    hk_slice vars; /* the request's variables, copied; empty: its head is not read yet */
    hk_slice transaction, user, event_id; /* as the worker told; empty: it did not */
    uint64_t start_us; /* its generation: tells one request of a core from the next; 0: no request */
    uint64_t thread_id;
    int worker;
    int core;
} hk_snapshot;

int hk_snapshot_core(int worker, int core, hk_pool *pool, hk_snapshot *out); /* 1: a request is in flight */
int hk_snapshot_oldest(int worker, hk_pool *pool, hk_snapshot *out);
int hk_snapshot_kept(int worker, const hk_life *life, hk_pool *pool, hk_snapshot *out); /* what the worker kept of it */
void hk_snapshot_again(hk_pool *pool, hk_snapshot *s); /* what was told of it since */
int hk_snapshot_runs(const hk_snapshot *s); /* the request is in flight still */

/* at_us: the moment of the event, to which all its ages are counted. */
void hk_snapshot_describe(const hk_snapshot *s, uint64_t at_us, hk_pool *pool, hk_inflight *out);
/* All other requests that were in flight then, at most max; how many. */
size_t hk_snapshot_others(const hk_snapshot *suspect, uint64_t at_us, hk_pool *pool, hk_inflight *out, size_t max);

#endif
