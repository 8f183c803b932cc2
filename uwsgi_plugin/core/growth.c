#include "growth.h"

static uint64_t growth_of(const hk_grown *r)
{
    return r->after > r->before ? r->after - r->before : 0;
}

static uint16_t copy(char *to, size_t size, hk_slice from)
{
    size_t n = from.n < size ? from.n : size;

    if (n > 0)
        memcpy(to, from.p, n);
    return (uint16_t)n;
}

static int has_grown(uint64_t before, uint64_t bytes)
{
    return before != 0 && bytes >= before && bytes - before >= HK_GROWTH_LEAST;
}

int hk_growth_is(const hk_growth *g, uint64_t bytes)
{
    return has_grown(g->last, bytes);
}

void hk_growth_add(hk_growth *g, uint64_t bytes, uint64_t at_us, hk_slice method, hk_slice path)
{
    uint64_t before = g->last;
    hk_grown *least = &g->list[0];
    size_t i;

    g->last = bytes;
    if (!has_grown(before, bytes))
        return;
    if (__atomic_exchange_n(&g->writing, 1, __ATOMIC_ACQUIRE) != 0)
        return;
    for (i = 1; i < HK_GROWTH_MAX; i++)
        if (growth_of(&g->list[i]) < growth_of(least))
            least = &g->list[i];
    if (bytes - before > growth_of(least)) {
        __atomic_store_n(&least->after, 0, __ATOMIC_RELEASE);
        least->before = before;
        least->at_us = at_us;
        least->method_size = copy(least->method, sizeof least->method, method);
        least->path_size = copy(least->path, sizeof least->path, path);
        __atomic_store_n(&least->after, bytes, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&g->writing, 0, __ATOMIC_RELEASE);
}

size_t hk_growth_sort(const hk_growth *g, const hk_grown *out[HK_GROWTH_MAX])
{
    size_t n = 0, i, k;

    for (i = 0; i < HK_GROWTH_MAX; i++) {
        const hk_grown *one = &g->list[i];
        if (growth_of(one) == 0 || one->method_size > sizeof one->method || one->path_size > sizeof one->path)
            continue;
        for (k = n; k > 0 && growth_of(out[k - 1]) < growth_of(one); k--)
            out[k] = out[k - 1];
        out[k] = one;
        n++;
    }
    return n;
}
