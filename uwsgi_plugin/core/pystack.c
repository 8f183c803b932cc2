#include "pystack.h"

#define MAX_STACK 250U

/* "Thread 0x00007f... (most recent call first):", "Current thread 0x... [name] (most recent call first):" or, of one
 * thread, "Stack (most recent call first):". 1: a heading; *id is 0 where it tells none. */
static int heading(hk_slice line, uint64_t *id, int *current)
{
    size_t at;

    *id = 0;
    *current = hk_slice_starts(line, "Current thread 0x");
    if (hk_slice_starts(line, "Stack (most recent")) {
        *current = 1;
        return 1;
    }
    if (!*current && !hk_slice_starts(line, "Thread 0x"))
        return 0;
    for (at = *current ? 17 : 9; at < line.n; at++) {
        char c = line.p[at];
        if (c >= '0' && c <= '9')
            *id = *id << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            *id = *id << 4 | (uint64_t)(c - 'a' + 10);
        else
            break;
    }
    return 1;
}

/* '  File "/a/b.py", line 12 in view' */
static int frame_of(hk_slice line, hk_pool *pool, hk_frame *f)
{
    static const char mark[] = "\", line ";
    size_t at, i;

    memset(f, 0, sizeof *f);
    if (!hk_slice_starts(line, "  File \""))
        return 0;
    for (at = line.n; at >= 8 + sizeof mark - 1; at--)
        if (memcmp(line.p + at - (sizeof mark - 1), mark, sizeof mark - 1) == 0)
            break;
    if (at < 8 + sizeof mark - 1)
        return 0;
    f->file = hk_pool_keep(pool, hk_slice_make(line.p + 8, at - (sizeof mark - 1) - 8));
    for (i = at; i < line.n && line.p[i] >= '0' && line.p[i] <= '9' && i - at < 9; i++)
        f->line = f->line * 10 + (uint64_t)(line.p[i] - '0');
    if (hk_slice_starts(hk_slice_from(line, i), " in "))
        f->function = hk_pool_keep(pool, hk_slice_from(line, i + 4));
    return 1;
}

/* Where the lines of the wanted thread begin. */
static hk_slice find_thread(hk_slice text, uint64_t thread_id)
{
    hk_slice rest = text, first = { "", 0 }, now = { "", 0 };
    uint64_t id;
    int current;

    while (rest.n > 0) {
        if (!heading(hk_slice_line(&rest), &id, &current))
            continue;
        if (thread_id != 0 && id == thread_id)
            return rest;
        if (current)
            now = rest;
        if (first.n == 0)
            first = rest;
    }
    return now.n > 0 ? now : first;
}

/* The frames at the start of *rest, outermost first; *rest goes behind them. */
static hk_frame *read_frames(hk_slice *rest, size_t most, hk_pool *pool, size_t *count)
{
    hk_frame *frames = hk_pool_alloc(pool, most * sizeof *frames), swap;
    size_t n = 0, i;

    *count = 0;
    while (frames != NULL && n < most && rest->n > 0 && frame_of(hk_slice_line(rest), pool, &frames[n]))
        n++;
    for (i = 0; frames != NULL && i < n / 2; i++) { /* faulthandler writes the innermost first */
        swap = frames[i];
        frames[i] = frames[n - 1 - i];
        frames[n - 1 - i] = swap;
    }
    *count = n;
    return n == 0 ? NULL : frames;
}

hk_frame *hk_pystack_read(hk_slice text, uint64_t thread_id, hk_pool *pool, size_t *count)
{
    hk_slice rest = find_thread(text, thread_id);

    return read_frames(&rest, MAX_STACK, pool, count);
}

hk_thread *hk_pystack_others(hk_slice text, uint64_t thread_id, hk_pool *pool, size_t *count)
{
    const char *chosen = find_thread(text, thread_id).p;
    hk_thread *threads = hk_pool_alloc(pool, HK_PYSTACK_THREADS * sizeof *threads);
    hk_slice rest = text, frames;
    uint64_t id;
    int current;

    *count = 0;
    while (threads != NULL && rest.n > 0 && *count < HK_PYSTACK_THREADS) {
        if (!heading(hk_slice_line(&rest), &id, &current) || rest.p == chosen)
            continue;
        frames = rest;
        threads[*count].frames = read_frames(&frames, HK_PYSTACK_INNER, pool, &threads[*count].count);
        *count += threads[*count].frames != NULL;
    }
    return *count == 0 ? NULL : threads;
}
