#include "pool.h"

#include <stdalign.h>

#define CHUNK_SIZE 8192U /* one event's texts usually fit into one */

typedef struct hk_pool_chunk {
    struct hk_pool_chunk *next;
    size_t used;
    size_t size;
    alignas(max_align_t) char data[];
} hk_pool_chunk;

void hk_pool_init(hk_pool *p)
{
    p->chunks = NULL;
    p->failed = 0;
}

void hk_pool_free(hk_pool *p)
{
    hk_pool_chunk *next;

    if (p == NULL)
        return;
    for (; p->chunks != NULL; p->chunks = next) {
        next = p->chunks->next;
        hk_buf_release(p->chunks);
    }
    p->failed = 0;
}

void *hk_pool_alloc(hk_pool *p, size_t n)
{
    const size_t align = alignof(max_align_t);
    hk_pool_chunk *c = p->chunks;
    void *out;

    if (n > SIZE_MAX / 2) {
        p->failed = 1;
        return NULL;
    }
    n = (n + align - 1) / align * align;
    if (c == NULL || c->size - c->used < n) {
        size_t size = n > CHUNK_SIZE ? n : CHUNK_SIZE;
        c = hk_buf_alloc(sizeof *c + size);
        if (c == NULL) {
            p->failed = 1;
            return NULL;
        }
        c->size = size;
        c->next = p->chunks;
        p->chunks = c;
    }
    out = c->data + c->used;
    c->used += n;
    return out;
}

hk_slice hk_pool_keep(hk_pool *p, hk_slice s)
{
    char *copy = s.n == 0 ? NULL : hk_pool_alloc(p, s.n);

    if (copy == NULL)
        return hk_slice_make("", 0);
    memcpy(copy, s.p, s.n);
    return hk_slice_make(copy, s.n);
}
