#include "roots.h"

int hk_roots_put(hk_roots *roots, hk_slice text)
{
    uint64_t now = __atomic_load_n(&roots->sequence, __ATOMIC_ACQUIRE);

    if (text.n > HK_ROOTS_MAX || (now & 1) != 0)
        return -1;
    if (roots->n == text.n && (text.n == 0 || memcmp(roots->text, text.p, text.n) == 0))
        return 0; /* each worker of lazy-apps tells the same */
    if (!__atomic_compare_exchange_n(&roots->sequence, &now, now + 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return -1;
    roots->n = (uint32_t)text.n;
    if (text.n > 0)
        memcpy(roots->text, text.p, text.n);
    __atomic_store_n(&roots->sequence, now + 2, __ATOMIC_RELEASE);
    return 0;
}

static int has_line(const hk_roots *roots, hk_slice line)
{
    hk_slice rest = hk_slice_make(roots->text, roots->n);

    while (rest.n > 0)
        if (hk_slice_same(hk_slice_line(&rest), line))
            return 1;
    return 0;
}

int hk_roots_add(hk_roots *roots, hk_slice text)
{
    uint64_t now = __atomic_load_n(&roots->sequence, __ATOMIC_ACQUIRE);
    hk_slice line;

    if ((now & 1) != 0
        || !__atomic_compare_exchange_n(&roots->sequence, &now, now + 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return -1;
    while (text.n > 0) {
        line = hk_slice_line(&text);
        if (line.n == 0 || roots->n > HK_ROOTS_MAX || has_line(roots, line))
            continue;
        if (HK_ROOTS_MAX - roots->n <= line.n) {
            roots->n = (uint32_t)strlen(HK_ROOTS_FULL);
            memcpy(roots->text, HK_ROOTS_FULL, roots->n);
            break;
        }
        memcpy(roots->text + roots->n, line.p, line.n);
        roots->n += (uint32_t)line.n;
        roots->text[roots->n++] = '\n';
    }
    __atomic_store_n(&roots->sequence, now + 2, __ATOMIC_RELEASE);
    return 0;
}

hk_slice hk_roots_get(const hk_roots *roots, hk_roots *out)
{
    uint64_t before = __atomic_load_n(&roots->sequence, __ATOMIC_ACQUIRE);

    memcpy(out, roots, sizeof *out);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if ((before & 1) != 0 || __atomic_load_n(&roots->sequence, __ATOMIC_ACQUIRE) != before || out->n > HK_ROOTS_MAX)
        out->n = 0, out->sequence |= 1; /* who must obey it knows that it is not whole */
    return hk_slice_make(out->text, out->n);
}

int hk_roots_say(hk_slice text, hk_slice file)
{
    while (text.n > 0) {
        hk_slice line = hk_slice_line(&text);
        if (line.n > 1 && line.n - 1 <= file.n && memcmp(line.p + 1, file.p, line.n - 1) == 0)
            return line.p[0] == '+';
    }
    return -1;
}
