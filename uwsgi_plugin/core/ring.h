/* ring.h: what the worker reported already, so that it is not reported twice.
 *
 * One ring a worker with HK_RING_SIZE entries for each of its cores, in memory
 * that the master and the workers share. (A ring per core would need the core
 * of the caller, which uWSGI cannot tell in a thread of the application's own.)
 * A writer numbers an entry before and after, so a torn one is seen and skipped.
 */
#ifndef HK_RING_H
#define HK_RING_H

#include "hk.h"

#define HK_RING_SIZE 64U  /* a single slot would be overwritten before the exception thread reads its queue */
#define HK_RING_AGE_S 60U /* older entries do not count */

typedef struct hk_ring_entry {
    uint64_t sequence; /* odd while being written */
    uint64_t hash;     /* of class and message; 0: free or taken */
    uint64_t time_s;
    char event_id[32];
} hk_ring_entry;

typedef struct hk_ring {
    uint64_t next;
    uint64_t size; /* entries; HK_RING_SIZE times the cores */
    hk_ring_entry entries[];
} hk_ring;

#define HK_RING_MAX_TEXT 4096U /* bytes of a message that are compared: a packet may be cut */

/* Bytes of a ring for cores cores; memory of zeros, with size set, is an empty ring. */
size_t hk_ring_bytes(size_t cores);

/* FNV-1a of the class without its module, a zero byte and the first
 * HK_RING_MAX_TEXT bytes of message up to a NUL; never 0. has_message == 0: of
 * the class alone (a message that cannot be told). */
uint64_t hk_ring_hash(hk_slice type, hk_slice message, int has_message);

void hk_ring_add(hk_ring *r, uint64_t hash, hk_slice event_id, uint64_t now_s);

/* 1 when an entry of this hash, not older than HK_RING_AGE_S, was there: it is
 * taken out, so that one report silences one exception. */
int hk_ring_take(hk_ring *r, uint64_t hash, uint64_t now_s);

#endif
