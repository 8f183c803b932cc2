#include "ring.h"

static uint64_t fnv(uint64_t h, hk_slice s)
{
    size_t i;

    for (i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 1099511628211ULL;
    return h;
}

size_t hk_ring_bytes(size_t cores)
{
    return sizeof(hk_ring) + cores * HK_RING_SIZE * sizeof(hk_ring_entry);
}

uint64_t hk_ring_hash(hk_slice type, hk_slice message, int has_message)
{
    const char *end = message.n == 0 ? NULL : memchr(message.p, 0, message.n);
    uint64_t h;
    size_t i;

    for (i = type.n; i > 0 && type.p[i - 1] != '.'; i--)
        ;
    h = fnv(14695981039346656037ULL, hk_slice_from(type, i));
    if (end != NULL)
        message.n = (size_t)(end - message.p);
    if (message.n > HK_RING_MAX_TEXT)
        message.n = HK_RING_MAX_TEXT;
    if (has_message)
        h = fnv(fnv(h, hk_slice_make("", 1)), message);
    return h == 0 ? 1 : h;
}

void hk_ring_add(hk_ring *r, uint64_t hash, hk_slice event_id, uint64_t now_s)
{
    uint64_t at = __atomic_fetch_add(&r->next, 1, __ATOMIC_RELAXED) % r->size;
    hk_ring_entry *e = &r->entries[at];

    __atomic_fetch_add(&e->sequence, 1, __ATOMIC_ACQ_REL);
    __atomic_store_n(&e->hash, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&e->time_s, now_s, __ATOMIC_RELEASE);
    memset(e->event_id, 0, sizeof e->event_id);
    if (event_id.n == sizeof e->event_id)
        memcpy(e->event_id, event_id.p, event_id.n);
    __atomic_store_n(&e->hash, hash, __ATOMIC_RELEASE);
    __atomic_fetch_add(&e->sequence, 1, __ATOMIC_ACQ_REL);
}

int hk_ring_take(hk_ring *r, uint64_t hash, uint64_t now_s)
{
    uint64_t i;

    for (i = 0; i < r->size; i++) {
        hk_ring_entry *e = &r->entries[i];
        uint64_t before = __atomic_load_n(&e->sequence, __ATOMIC_ACQUIRE);
        uint64_t time_s = __atomic_load_n(&e->time_s, __ATOMIC_ACQUIRE), want = hash;
        if ((before & 1) != 0 || __atomic_load_n(&e->hash, __ATOMIC_ACQUIRE) != hash)
            continue;
        if (now_s > time_s && now_s - time_s > HK_RING_AGE_S)
            continue;
        if (__atomic_load_n(&e->sequence, __ATOMIC_ACQUIRE) != before)
            continue;
        if (__atomic_compare_exchange_n(&e->hash, &want, 0, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return 1;
    }
    return 0;
}
