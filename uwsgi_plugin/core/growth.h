/* growth.h: the requests that grew a worker most, in memory that the worker writes and its master reads once it is dead.
 * Pure. Memory of zeros: none yet. */
#ifndef HK_GROWTH_H
#define HK_GROWTH_H

#include "json.h"

#define HK_GROWTH_MAX 5U
#define HK_GROWTH_PATH 200U
#define HK_GROWTH_LEAST (256U * 1024U) /* bytes: less is no growth */

typedef struct hk_grown {
    uint64_t before, after; /* bytes; after 0: none, or half written */
    uint64_t at_us;         /* when it ended */
    uint16_t method_size, path_size;
    char method[16];
    char path[HK_GROWTH_PATH];
} hk_grown;

typedef struct hk_growth {
    uint64_t last; /* bytes, after the request before; 0: not known */
    int writing;   /* by one of its threads */
    hk_grown list[HK_GROWTH_MAX];
} hk_growth;

/* Whether so many bytes are more than before, so that hk_growth_add may keep the path, which it cuts: the caller masks it first. */
int hk_growth_is(const hk_growth *g, uint64_t bytes);

/* A request ended with so many bytes. What another thread adds at this moment is not kept. */
void hk_growth_add(hk_growth *g, uint64_t bytes, uint64_t at_us, hk_slice method, hk_slice path);

/* Those of a copy, the one that grew it most first; how many. */
size_t hk_growth_sort(const hk_growth *g, const hk_grown *out[HK_GROWTH_MAX]);

#endif
