/* snapshot.c: the requests in flight, read from uWSGI's shared memory by copy and recheck.
 *
 * The request path pays nothing. A worker may be writing: a torn copy is dropped, never dereferenced; no pointer of
 * another process is followed, but for the cores' own buffers, which uWSGI allots before any fork.
 */
#include "glue.h"

#include "../core/packet.h"

static int copy_vars(const struct uwsgi_core *core, hk_pool *pool, hk_slice *out)
{
    uint16_t size, again;
    char *copy;

    memcpy(&size, core->buffer + 1, sizeof size); /* struct uwsgi_header: modifier1, then the size */
    if (size == 0 || size > uwsgi.buffer_size)
        return -1;
    copy = hk_pool_alloc(pool, size);
    if (copy == NULL)
        return -1;
    memcpy(copy, core->buffer + 4, size);
    memcpy(&again, core->buffer + 1, sizeof again);
    if (again != size || !__atomic_load_n(&core->in_request, __ATOMIC_ACQUIRE)
        || memcmp(copy, core->buffer + 4, size) != 0)
        return -1;
    *out = hk_slice_make(copy, size);
    return 0;
}

int hk_snapshot_core(int worker, int core, hk_pool *pool, hk_snapshot *out)
{
    const struct uwsgi_core *c = &uwsgi.workers[worker].cores[core];
    uint64_t now = uwsgi_micros();

    memset(out, 0, sizeof *out);
    if (!__atomic_load_n(&c->in_request, __ATOMIC_ACQUIRE))
        return 0;
    out->core = core;
    out->start_us = c->req.start_of_request;
    out->thread_id = (uint64_t)c->thread_id;
    out->age_ms = out->start_us > 0 && now > out->start_us ? (now - out->start_us) / 1000 : 0;
    if (copy_vars(c, pool, &out->vars) < 0)
        out->vars = hk_slice_make("", 0);
    return c->req.start_of_request == out->start_us;
}

int hk_snapshot_oldest(int worker, hk_pool *pool, hk_snapshot *out)
{
    hk_snapshot one;
    int found = 0, i;

    memset(out, 0, sizeof *out);
    for (i = 0; i < uwsgi.cores; i++)
        if (hk_snapshot_core(worker, i, pool, &one) && (!found || one.age_ms > out->age_ms)) {
            *out = one;
            found = 1;
        }
    return found;
}

static void put_line(int worker, const hk_snapshot *s, hk_pool *pool, hk_buf *out)
{
    hk_request r;

    hk_request_read(s->vars, pool, &r);
    hk_buf_slice_put(out, r.method.n > 0 ? r.method : hk_slice_of("(a request that is not read yet)"));
    hk_buf_putc(out, ' ');
    hk_buf_slice_put(out, r.path.n > 512 ? hk_slice_make(r.path.p, 512) : r.path);
    hk_buf_puts(out, " for ");
    hk_buf_put_u64(out, s->age_ms);
    hk_buf_puts(out, " ms on worker ");
    hk_buf_put_u64(out, (uint64_t)worker);
    hk_buf_puts(out, " core ");
    hk_buf_put_u64(out, (uint64_t)s->core);
    hk_buf_putc(out, '\n');
}

hk_slice hk_snapshot_others(int worker, int core, hk_pool *pool)
{
    hk_snapshot one;
    hk_slice kept;
    hk_buf out;
    int w, c;

    hk_buf_init(&out, 65536);
    for (w = 1; w <= uwsgi.numproc; w++)
        for (c = 0; c < uwsgi.cores && out.len < 6000; c++)
            if ((w != worker || c != core) && uwsgi.workers[w].cores != NULL && hk_snapshot_core(w, c, pool, &one))
                put_line(w, &one, pool, &out);
    kept = hk_pool_keep(pool, hk_buf_slice(&out));
    hk_buf_free(&out);
    return kept;
}
