#include "live.h"

#include "../edge/kernel.h"
#include "../edge/sys.h"
#include "answer.h"
#include "eyes.h"
#include "reader.h"
#include "report.h"
#include "stack.h"

#define STACK_MS 400U /* a stack that was asked for is read after that: the worker may have to wait for a processor */
#define READER_MS 500U /* and so long after the reader's own time, where that has been asked */
#define MAX_PENDING 8 /* requests of one worker that wait for one stack; more are told without */
#define MAX_SOCKETS 64

/* Events of one worker that wait for its stack. */
typedef struct pending {
    hk_watch_event events[MAX_PENDING];
    size_t count;
    uint64_t asked_ms;
    hk_pool pool;
} pending;

static pending *waiting;    /* by worker */
static uint64_t *slow_seen; /* by worker and core: start of the request that was reported */
static int queue_full[MAX_SOCKETS];
static int queue_silent; /* the kernel does not tell: said once */

void hk_live_share(void)
{
    size_t n = (size_t)uwsgi.numproc + 1;

    waiting = uwsgi_calloc(n * sizeof *waiting);
    slow_seen = uwsgi_calloc(n * (size_t)uwsgi.cores * sizeof *slow_seen);
}

/* ---- events that wait for a stack ---- */

void hk_live_report(int worker)
{
    pending *p = &waiting[worker];
    hk_slice stack;
    size_t i;

    if (p->count == 0) {
        hk_pool_free(&p->pool); /* of a request that ended while it was looked at */
        return;
    }
    stack = p->asked_ms == 0 ? hk_slice_make("", 0) : hk_stack_read(worker, &p->pool);
    for (i = 0; i < p->count; i++) {
        p->events[i].stack = stack;
        hk_snapshot_again(&p->pool, &p->events[i].suspect);
        hk_report_event(&p->events[i], &p->pool);
    }
    if (p->asked_ms != 0)
        hk_stack_clear(worker);
    hk_eyes_clear(worker);
    hk_pool_free(&p->pool);
    memset(p, 0, sizeof *p);
}

/* What e points to is in the worker's pool. */
static void wait_for_stack(int worker, const hk_watch_event *e)
{
    pending *p = &waiting[worker];

    p->events[p->count] = *e;
    hk_doing_read(worker, &e->suspect, &p->pool, &p->events[p->count].doing); /* before the signal, which ends the call */
    p->count++;
    if (p->count == 1) {
        p->asked_ms = hk_stack_ask(worker) == 0 ? hk_sys_monotonic_ms() : 0;
        p->events[0].asked.thread = e->suspect.thread_id;
        (void)hk_answer_ask(worker, e->suspect.thread_id, &p->events[0].asked.own);
        hk_eyes_ask_outside(worker, &e->suspect);
        hk_eyes_add_outside(worker, &e->suspect, &p->events[0].asked);
    } else if (e->suspect.start_us == p->events[0].suspect.start_us) {
        p->events[p->count - 1].asked = p->events[0].asked;
    }
    if (p->asked_ms == 0 || p->count == MAX_PENDING)
        hk_live_report(worker);
}

int hk_live_waits(int worker)
{
    return waiting[worker].count > 0;
}

/* ---- what lives on ---- */

void hk_live_find_slow(int worker)
{
    pending *p = &waiting[worker];
    hk_watch_event e;
    int core;

    for (core = 0; core < uwsgi.cores; core++) {
        const struct uwsgi_core *c = &uwsgi.workers[worker].cores[core];
        uint64_t *told = &slow_seen[(size_t)worker * (size_t)uwsgi.cores + (size_t)core], start = c->req.start_of_request;
        if (!c->in_request || start == 0 || *told == start
            || uwsgi_micros() < start + hk_settings.watch_slow_ms * 1000U)
            continue;
        hk_report_start(&e, HK_WATCH_SLOW, worker);
        if (!hk_snapshot_core(worker, core, &p->pool, &e.suspect))
            continue;
        *told = e.suspect.start_us;
        wait_for_stack(worker, &e);
    }
}

static void report_queue(const struct uwsgi_socket *s, uint64_t queue, uint64_t max)
{
    hk_snapshot one, oldest;
    hk_watch_event e;
    char words[256];
    hk_pool pool;
    int i;

    memset(&oldest, 0, sizeof oldest);
    hk_pool_init(&pool);
    for (i = 1; i <= uwsgi.numproc; i++)
        if (hk_snapshot_oldest(i, &pool, &one) && (oldest.worker == 0 || one.start_us < oldest.start_us))
            oldest = one;
    hk_report_start(&e, HK_WATCH_LISTEN_QUEUE, oldest.worker);
    snprintf(words, sizeof words, "%llu of %llu connections wait at %.128s", (unsigned long long)queue, (unsigned long long)max,
             s->name == NULL ? "?" : s->name);
    hk_report_figure(&e, "queue", queue);
    hk_report_figure(&e, "queue_max", max);
    if (oldest.worker == 0) { /* nobody is at work: no worker has started yet */
        e.words = hk_slice_of(words);
        hk_report_event(&e, &pool);
    } else {
        pending *p = &waiting[oldest.worker];
        e.words = hk_pool_keep(&p->pool, hk_slice_of(words));
        if (hk_snapshot_core(oldest.worker, oldest.core, &p->pool, &e.suspect))
            wait_for_stack(oldest.worker, &e);
        else
            hk_report_event(&e, &p->pool);
    }
    hk_pool_free(&pool);
}

void hk_live_look_at_queues(void)
{
    const struct uwsgi_socket *s;
    uint64_t queue, max;
    int i;

    for (s = uwsgi.sockets, i = 0; s != NULL && i < MAX_SOCKETS; s = s->next, i++) {
        if (hk_kernel_queue(s->fd, &queue, &max) < 0) {
            if (!queue_silent)
                hk_sys_log("[sentry] sentry-watch: the kernel does not tell the listen queue of %s: it is not watched",
                           s->name == NULL ? "a socket" : s->name);
            queue_silent = 1;
            continue;
        }
        if (hk_watch_queue_is_news(&queue_full[i], queue, max, (unsigned)hk_settings.watch_backlog))
            report_queue(s, queue, max);
    }
}

void hk_live_collect(uint64_t now_ms)
{
    unsigned patience = (unsigned)hk_settings.watch_patience_ms;
    int i;

    for (i = 1; i <= uwsgi.numproc; i++) {
        uint64_t age_ms = now_ms - waiting[i].asked_ms;
        if (age_ms >= hk_reader_most_ms() + READER_MS || !hk_eyes_are_reading(i, &waiting[i].events[0].asked))
            if (age_ms >= (patience > STACK_MS ? patience : STACK_MS))
                hk_live_report(i);
    }
}
