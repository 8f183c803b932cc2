/* pool.h: text that lives as long as one event: many small copies, one free. */
#ifndef HK_POOL_H
#define HK_POOL_H

#include "buf.h"

struct hk_pool_chunk;

typedef struct hk_pool {
    struct hk_pool_chunk *chunks;
    int failed; /* sticky: an allocation was refused */
} hk_pool;

void hk_pool_init(hk_pool *p);
void hk_pool_free(hk_pool *p);

/* n bytes, zeroed, aligned for any type; NULL when memory is short. */
void *hk_pool_alloc(hk_pool *p, size_t n);

/* A copy of s; empty when memory is short (and p->failed is set). */
hk_slice hk_pool_keep(hk_pool *p, hk_slice s);

#endif
