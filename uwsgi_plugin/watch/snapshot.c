/* By copy and recheck: the request path pays nothing. A worker may be writing: a torn copy is dropped, never dereferenced; no pointer of
 * another process is followed, but for the cores' own buffers, which uWSGI allots before any fork.
 */
#include "snapshot.h"

#include "../core/scrub_kept.h"

static int copy_vars(const char *vars, uint16_t size, hk_pool *pool, hk_slice *out)
{
    char *copy;

    /* 4: struct uwsgi_header, which stands in front of them. */
    if (size == 0 || (uint64_t)size + 4 > uwsgi.buffer_size)
        return -1;
    copy = hk_pool_alloc(pool, size);
    if (copy == NULL)
        return -1;
    memcpy(copy, vars, size);
    *out = hk_slice_make(copy, size);
    return 0;
}

static uint16_t size_of(const struct uwsgi_core *core)
{
    uint16_t size;

    memcpy(&size, core->buffer + 1, sizeof size); /* struct uwsgi_header: modifier1, then the size */
    return size;
}

void hk_snapshot_again(hk_pool *pool, hk_snapshot *out)
{
    hk_note copy;

    if (out->start_us > 0 && hk_shared_is_on() && hk_note_get(hk_shared_note(out->worker, out->core), out->start_us, &copy)) {
        out->transaction = hk_pool_keep(pool, hk_note_text(&copy, HK_NOTE_TRANSACTION));
        out->user = hk_pool_keep(pool, hk_note_text(&copy, HK_NOTE_USER));
        out->event_id = hk_pool_keep(pool, hk_note_text(&copy, HK_NOTE_EVENT_ID));
    }
}

int hk_snapshot_core(int worker, int core, hk_pool *pool, hk_snapshot *out)
{
    const struct uwsgi_core *c = &uwsgi.workers[worker].cores[core];
    uint16_t size;

    memset(out, 0, sizeof *out);
    if (!__atomic_load_n(&c->in_request, __ATOMIC_ACQUIRE))
        return 0;
    out->worker = worker;
    out->core = core;
    out->start_us = c->req.start_of_request;
    out->thread_id = (uint64_t)c->thread_id;
    size = size_of(c);
    if (copy_vars(c->buffer + 4, size, pool, &out->vars) == 0
        && (size_of(c) != size || memcmp(out->vars.p, c->buffer + 4, size) != 0))
        out->vars = hk_slice_make("", 0);
    hk_snapshot_again(pool, out);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (out->start_us == 0 || !__atomic_load_n(&c->in_request, __ATOMIC_ACQUIRE)
        || c->req.start_of_request != out->start_us) {
        memset(out, 0, sizeof *out);
        return 0;
    }
    return 1;
}

int hk_snapshot_oldest(int worker, hk_pool *pool, hk_snapshot *out)
{
    int best = -1, i;
    uint64_t start = 0;

    memset(out, 0, sizeof *out);
    for (i = 0; i < uwsgi.cores; i++) {
        const struct uwsgi_core *c = &uwsgi.workers[worker].cores[i];
        uint64_t its = c->req.start_of_request;
        if (__atomic_load_n(&c->in_request, __ATOMIC_ACQUIRE) && its > 0 && (best < 0 || its < start)) {
            best = i;
            start = its;
        }
    }
    return best >= 0 && hk_snapshot_core(worker, best, pool, out);
}

int hk_snapshot_kept(int worker, const hk_life *life, hk_pool *pool, hk_snapshot *out)
{
    memset(out, 0, sizeof *out);
    if (life->kept_us == 0 || life->kept_start_us == 0 || life->kept_core < 0 || life->kept_core >= uwsgi.cores)
        return 0;
    out->worker = worker;
    out->core = life->kept_core;
    out->start_us = life->kept_start_us;
    out->thread_id = (uint64_t)uwsgi.workers[worker].cores[out->core].thread_id;
    (void)copy_vars(hk_shared_kept_vars(life), life->kept_size, pool, &out->vars);
    hk_snapshot_again(pool, out);
    return 1;
}

int hk_snapshot_runs(const hk_snapshot *s)
{
    const struct uwsgi_core *c;

    if (s->start_us == 0)
        return 0;
    c = &uwsgi.workers[s->worker].cores[s->core];
    return c->in_request && c->req.start_of_request == s->start_us;
}

void hk_snapshot_describe(const hk_snapshot *s, uint64_t at_us, hk_pool *pool, hk_inflight *out)
{
    memset(out, 0, sizeof *out);
    hk_request_read(s->vars, &hk_settings.scrub, pool, &out->request);
    hk_trace_read(s->vars, &out->trace);
    out->age_ms = s->start_us > 0 && at_us > s->start_us ? (at_us - s->start_us) / 1000 : 0;
    out->worker = (uint64_t)s->worker;
    out->core = (uint64_t)s->core;
    out->pid = (uint64_t)uwsgi.workers[s->worker].pid;
    out->transaction = hk_scrub_kept(&hk_settings.scrub, hk_scrub_url, s->transaction, HK_NOTE_MAX, pool);
    out->event_id = s->event_id;
}

size_t hk_snapshot_others(const hk_snapshot *suspect, uint64_t at_us, hk_pool *pool, hk_inflight *out, size_t max)
{
    hk_snapshot one;
    size_t n = 0;
    int w, c;

    for (w = 1; w <= uwsgi.numproc; w++)
        for (c = 0; c < uwsgi.cores && n < max; c++)
            if ((w != suspect->worker || c != suspect->core) && uwsgi.workers[w].cores != NULL
                && hk_snapshot_core(w, c, pool, &one) && one.start_us <= at_us)
                hk_snapshot_describe(&one, at_us, pool, &out[n++]);
    return n;
}
