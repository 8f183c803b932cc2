#include "doing.h"

#include "../core/scrub_kept.h"
#include "../core/waiting.h"
#include "../edge/sys.h"
#include "../edge/thread.h"

#define BUDGET_MS 10U    /* for lists of sockets, which may be long */
#define SHORTEST_MS 100U /* a share of less says nothing: the kernel counts CPU time in 10 ms */
#define MAX_WORDS 1024U

/* What a request had used when it was seen first. */
typedef struct beginning {
    uint64_t start_us; /* which one; 0: none */
    uint64_t at_ms, ticks;
} beginning;

static beginning *beginnings; /* by worker and core; NULL: nobody watches */

void hk_doing_share(void)
{
    beginnings = uwsgi_calloc(((size_t)uwsgi.numproc + 1) * (size_t)uwsgi.cores * sizeof *beginnings);
}

static beginning *beginning_of(int worker, int core)
{
    return &beginnings[(size_t)worker * (size_t)uwsgi.cores + (size_t)core];
}

/* The thread of a core: its own, or the main one. */
static pid_t thread_of(int worker, int core)
{
    pid_t tid = *hk_shared_thread(worker, core);

    return tid > 0 ? tid : uwsgi.workers[worker].pid;
}

void hk_doing_note(int worker)
{
    hk_thread_reading reading;
    int core;

    for (core = 0; core < uwsgi.cores; core++) {
        const struct uwsgi_core *c = &uwsgi.workers[worker].cores[core];
        beginning *b = beginning_of(worker, core);
        uint64_t start = c->req.start_of_request;
        if (!c->in_request || start == 0 || b->start_us == start
            || hk_thread_look(uwsgi.workers[worker].pid, thread_of(worker, core), &reading) < 0)
            continue;
        b->start_us = start;
        b->at_ms = hk_sys_monotonic_ms();
        b->ticks = reading.ticks;
    }
}

static void find_share(const hk_snapshot *request, uint64_t ticks, hk_doing *out)
{
    const beginning *b = beginning_of(request->worker, request->core);
    uint64_t passed_ms = hk_sys_monotonic_ms() - b->at_ms, used_ms;
    long rate = sysconf(_SC_CLK_TCK);

    if (b->start_us != request->start_us || passed_ms < SHORTEST_MS || ticks < b->ticks || rate <= 0)
        return;
    used_ms = (ticks - b->ticks) * 1000 / (uint64_t)rate;
    out->cpu_percent = used_ms >= passed_ms ? 100 : used_ms * 100 / passed_ms;
    out->has_cpu = 1;
}

void hk_doing_read(int worker, const hk_snapshot *request, hk_pool *pool, hk_doing *out)
{
    pid_t pid = uwsgi.workers[worker].pid;
    pid_t tid = request->start_us > 0 ? thread_of(worker, request->core) : pid;
    hk_thread_reading reading;
    hk_buf on;

    memset(out, 0, sizeof *out);
    if (beginnings == NULL || pid <= 0)
        return;
    hk_buf_init(&on, 8192);
    if (hk_thread_read(pid, tid, BUDGET_MS, &reading, &on) == 0) {
        out->state = hk_waiting_state(reading.state);
        if (hk_buf_ok(&on))
            out->on = hk_scrub_kept(&hk_settings.scrub, hk_scrub_text, hk_buf_slice(&on), MAX_WORDS, pool);
        out->missing = hk_pool_keep(pool, hk_slice_of(reading.missing));
        if (uwsgi.threads > 1)
            out->whose = tid == pid ? "the main one" : "the request's";
        if (request->start_us > 0)
            find_share(request, reading.ticks, out);
    }
    hk_buf_free(&on);
}
