#include "deaths.h"

#include "../edge/kernel.h"
#include "../edge/sys.h"
#include "grown.h"
#include "live.h"
#include "report.h"
#include "stack.h"
#include "storm.h"

#define OUTLIVED_MS 2000U /* who lives on so long after a SIGKILL was sent none */

/* What the master knows of a worker. */
typedef struct seen {
    pid_t pid; /* alive when last looked at, */
    uint64_t alive_us; /* which was then */
    uint64_t generation;
    int cursed;
    pid_t dead;     /* whose death was looked at */
    pid_t harakiri; /* who is being killed for it, */
    uint64_t harakiri_ms; /* since when, */
    hk_snapshot request;  /* and for which request: its texts are not kept */
} seen;

static seen *workers; /* NULL: nobody watches */
static hk_watch_oom oom;

void hk_deaths_share(void)
{
    workers = uwsgi_calloc(((size_t)uwsgi.numproc + 1) * sizeof *workers);
}

int hk_deaths_expect(int worker, const hk_snapshot *suspect)
{
    seen *s;

    if (workers == NULL || worker <= 0 || worker > uwsgi.numproc)
        return 0;
    s = &workers[worker];
    if (s->harakiri == uwsgi.workers[worker].pid && suspect->core == s->request.core
        && suspect->start_us == s->request.start_us)
        return 0;
    s->harakiri = uwsgi.workers[worker].pid;
    s->harakiri_ms = hk_sys_monotonic_ms();
    s->request = *suspect;
    return 1;
}

/* It outlived a graceful harakiri, and goes on with other requests: what happens to it now is news again. */
static void forget_harakiri(seen *s, pid_t pid)
{
    if (s->harakiri == pid && !hk_snapshot_runs(&s->request) && hk_sys_monotonic_ms() - s->harakiri_ms > OUTLIVED_MS)
        s->harakiri = 0;
}

static void add_memory(const hk_life *life, hk_watch_event *e, hk_pool *pool)
{
    static const char *const names[] = { "reload_on_rss_bytes", "reload_on_as_bytes", "evil_reload_on_rss_bytes",
                                         "evil_reload_on_as_bytes" };
    rlim_t limits[] = { uwsgi.reload_on_rss, uwsgi.reload_on_as, uwsgi.evil_reload_on_rss, uwsgi.evil_reload_on_as };
    char words[32];
    size_t i;

    snprintf(words, sizeof words, "%llu MiB", (unsigned long long)(life->over_rss >> 20));
    e->words = hk_pool_keep(pool, hk_slice_of(words));
    hk_report_figure(e, "rss_bytes", life->over_rss);
    hk_report_figure(e, "address_space_bytes", life->over_vsz);
    for (i = 0; i < 4; i++)
        if (limits[i] > 0)
            hk_report_figure(e, names[i], (uint64_t)limits[i]);
}

/* Which request it was, and when: the one that the worker kept itself when it crashed, left or went over; else the oldest,
 * in the middle between the looks at which it was alive and was not. */
static void find_suspect(const hk_life *life, hk_watch_event *e, hk_pool *pool)
{
    uint64_t now = uwsgi_micros(), from;

    if (e->kind != HK_WATCH_KILLED && e->kind != HK_WATCH_OOM && hk_snapshot_kept(e->worker, life, pool, &e->suspect)) {
        e->at_us = life->kept_us;
        return;
    }
    (void)hk_snapshot_oldest(e->worker, pool, &e->suspect);
    from = workers[e->worker].alive_us > e->suspect.start_us ? workers[e->worker].alive_us : e->suspect.start_us;
    e->at_us = from == 0 || from > now ? now : from + (now - from) / 2;
}

/* The count so far. uWSGI makes the directory of its cgroup = for root alone, so a server with a uid may not look. */
static uint64_t oom_kills(void)
{
    static int told;
    uint64_t kills;

    if (hk_kernel_oom_kills("", getpid(), &kills) < 0 && !told && hk_shared_watches(HK_WATCH_OOM)) {
        told = 1;
        hk_sys_log("[sentry] this user may not read how often the cgroup was out of memory: what the kernel kills for that "
                   "is told as killed, not as oom (with uWSGI's cgroup, set cgroup-dir-mode = 0755)");
    }
    return kills;
}

/* found is NULL when uWSGI reaped it before anybody could look: what it left in shared memory must do. */
static void look_at_death(int worker, pid_t pid, uint64_t generation, const hk_kernel_death *found)
{
    const struct uwsgi_worker *w = &uwsgi.workers[worker];
    const hk_life *life = hk_shared_life(worker, generation);
    hk_life none;
    hk_watch_death d;
    hk_watch_event e;
    hk_pool pool;

    hk_live_report(worker);
    memset(&none, 0, sizeof none);
    if (life->pid != pid)
        life = &none; /* it died before it could write anything */
    memset(&d, 0, sizeof d);
    d.unknown = found == NULL;
    d.exited = found != NULL && found->exited;
    d.status = found == NULL ? 0 : found->status;
    d.noted_signal = __atomic_load_n(&life->signal, __ATOMIC_ACQUIRE);
    d.harakiri = workers[worker].harakiri == pid;
    d.wanted = workers[worker].cursed || w->cheaped || uwsgi_instance_is_dying || uwsgi_instance_is_reloading
        || (found != NULL && (w->cursed_at > 0 || (found->exited && !w->manage_next_request)));
    d.in_order = life->in_order || uwsgi.skip_atexit;
    d.over_evil = life->over && (uwsgi.evil_reload_on_rss > 0 || uwsgi.evil_reload_on_as > 0);
    d.over_reload = life->over && (uwsgi.reload_on_rss > 0 || uwsgi.reload_on_as > 0);
    if (!d.exited && (d.unknown || d.status == SIGKILL))
        d.oom_killed = hk_watch_oom_take(&oom, oom_kills());
    memset(&e, 0, sizeof e);
    e.kind = hk_watch_classify(&d);
    e.worker = worker;
    e.pid = pid;
    hk_pool_init(&pool);
    find_suspect(life, &e, &pool);
    if (e.kind != HK_WATCH_NONE && hk_shared_watches(e.kind)) {
        e.signal = d.noted_signal != 0 ? d.noted_signal : !d.exited ? d.status : 0;
        if (e.signal > 0)
            hk_report_figure(&e, "signal", (uint64_t)e.signal);
        if (d.exited)
            hk_report_figure(&e, "exit_status", (uint64_t)d.status);
        if (found != NULL && found->peak_rss > 0)
            hk_report_figure(&e, "rss_peak_bytes", found->peak_rss);
        if (e.kind == HK_WATCH_MEMORY)
            add_memory(life, &e, &pool);
        else if (found != NULL && w->rss_size > 0)
            hk_report_figure(&e, "rss_bytes", w->rss_size);
        if (e.kind == HK_WATCH_MEMORY || e.kind == HK_WATCH_OOM)
            e.grown = hk_grown_put(life, &e.suspect, e.kind == HK_WATCH_OOM && found != NULL ? found->peak_rss : 0, e.at_us, &pool);
        if (life->signal != 0 || life->exits) {
            e.suspect.thread_id = life->thread;
            e.stack = hk_stack_read(worker, &pool);
            if (life->signal != 0)
                e.native = hk_native_copy(hk_shared_native(life), &pool);
            e.asked = (hk_asked){ life->own_values, life->outside_values, life->thread };
        }
        hk_report_event(&e, &pool);
    }
    if (e.kind == HK_WATCH_NONE && d.harakiri)
        e.kind = HK_WATCH_HARAKIRI;
    if (hk_watch_is_bad(&d))
        hk_storm_add(&e, &pool);
    hk_stack_clear(worker);
    hk_eyes_clear(worker);
    hk_pool_free(&pool);
}

void hk_deaths_look(void)
{
    uint64_t now_us = uwsgi_micros();
    hk_kernel_death found;
    int i, any = hk_kernel_find_death(-1, &found);

    for (i = 1; i <= uwsgi.numproc; i++) {
        const struct uwsgi_worker *w = &uwsgi.workers[i];
        seen *s = &workers[i];
        if (s->pid > 0 && s->pid != w->pid && s->dead != s->pid) {
            s->dead = s->pid; /* it died between our look and uWSGI's waitpid */
            look_at_death(i, s->pid, s->generation, NULL);
        }
        if (w->pid > 0 && any && s->dead != w->pid && hk_kernel_find_death(w->pid, &found)) {
            s->dead = w->pid;
            look_at_death(i, w->pid, w->respawn_count, &found);
        }
        if (s->dead != w->pid) {
            s->alive_us = now_us;
            forget_harakiri(s, w->pid);
        }
        s->pid = w->pid;
        s->generation = w->respawn_count;
        s->cursed = w->cursed_at > 0;
    }
}

void hk_deaths_sample(uint64_t now_ms)
{
    hk_watch_oom_sample(&oom, oom_kills(), now_ms);
}

int hk_deaths_is_dead(int worker)
{
    return workers[worker].dead == uwsgi.workers[worker].pid;
}

int hk_deaths_reports_crash(hk_slice alarm)
{
    static const char start[] = "*** backtrace of ";
    uint64_t pid = 0;
    size_t at;
    int i;

    if (!hk_shared_watches(HK_WATCH_SEGFAULT) || !hk_slice_starts(alarm, start))
        return 0;
    for (at = sizeof start - 1; at < alarm.n && alarm.p[at] >= '0' && alarm.p[at] <= '9' && pid < 100000000U; at++)
        pid = pid * 10 + (uint64_t)(alarm.p[at] - '0');
    for (i = 1; i <= uwsgi.numproc; i++)
        if ((uint64_t)uwsgi.workers[i].pid == pid || (uint64_t)workers[i].dead == pid)
            return 1;
    return 0;
}
