/* watch.c: harakiri, crashes, kills, full queues and slow requests, with the request and the Python stack.
 *
 * Runs in the master: from its cycle, and from the harakiri just before a kill. Only there it waits, at most 150 ms in
 * all; live.c never does.
 */
#include "shared.h"

#include "../edge/kernel.h"
#include "../edge/sys.h"

#define LOOK_MS 250U  /* how often requests and queues are looked at; deaths in every cycle */
#define STORM_LINES 10 /* deaths that the event of a storm names */

/* What the master knows of a worker. */
typedef struct seen {
    pid_t pid; /* alive when last looked at */
    uint64_t generation;
    int cursed;
    pid_t dead;     /* whose death was looked at */
    pid_t harakiri; /* who is being killed for it */
} seen;

typedef struct death_line {
    hk_watch_kind kind;
    int worker;
    pid_t pid;
    uint64_t at_s;
    char transaction[201];
} death_line;

unsigned hk_watch_mask;
hk_glue_handler hk_watch_handler;
static seen *workers;
static hk_watch_oom oom;
static hk_watch_storm storm;
static death_line last_deaths[STORM_LINES];
static uint64_t looked_ms;

static void check_options(void)
{
    if (hk_glue.watch_slow_s < 0)
        hk_glue.watch_slow_s = 0;
    if (hk_glue.watch_backlog < 1 || hk_glue.watch_backlog > 100) {
        hk_sys_log("[sentry] sentry-watch-backlog: %d is outside 1..100 percent; 100 is used", hk_glue.watch_backlog);
        hk_glue.watch_backlog = 100;
    }
    if (hk_glue.storm_deaths < 1 || hk_glue.storm_deaths > (int)HK_WATCH_MAX_STORM) {
        hk_sys_log("[sentry] sentry-watch-storm: %d is outside 1..%u deaths; 5 is used", hk_glue.storm_deaths, HK_WATCH_MAX_STORM);
        hk_glue.storm_deaths = 5;
    }
    if (hk_glue.storm_s < 1 || hk_glue.storm_s > 86400) {
        hk_sys_log("[sentry] sentry-watch-storm-seconds: %d is outside 1..86400; 60 is used", hk_glue.storm_s);
        hk_glue.storm_s = 60;
    }
}

static void configure(void)
{
    const char *given = hk_glue.watch_options == NULL ? "" : hk_glue.watch_options;
    hk_buf text;

    hk_buf_init(&text, 65536);
    if (strstr(given, "logger=") == NULL)
        hk_buf_puts(&text, *given == '\0' ? "logger=uwsgi.watch" : "logger=uwsgi.watch,");
    hk_buf_puts(&text, given);
    hk_entry_configure(&hk_watch_handler, "sentry-watch-options", hk_buf_text(&text));
    hk_buf_free(&text);
}

void hk_watch_share(void)
{
    if (hk_glue.watch == NULL)
        return;
    if (hk_watch_parse(hk_slice_of(hk_glue.watch), &hk_watch_mask) < 0) {
        hk_sys_log("[sentry] sentry-watch: '%.100s' is not true, nor a list of harakiri, segfault, abort, killed, "
                   "exit, listen-queue, memory, respawn-storm, slow; the watch is off",
                   hk_glue.watch);
        hk_watch_mask = 0;
        return;
    }
    if (hk_watch_mask != 0)
        configure();
    if (hk_watch_mask != 0 && !uwsgi.master_process)
        hk_sys_log("[sentry] sentry-watch: no master, so nobody watches");
    if (hk_watch_handler.off || !uwsgi.master_process)
        hk_watch_mask = 0;
    if (hk_watch_mask == 0)
        return;
    check_options();
    workers = uwsgi_calloc(((size_t)uwsgi.numproc + 1) * sizeof *workers);
    hk_live_share();
    hk_worker_share();
}

/* ---- harakiri ---- */

void hk_watch_harakiri(int worker)
{
    hk_watch_event e;
    hk_pool pool;

    if (workers == NULL || worker <= 0 || worker > uwsgi.numproc || workers[worker].harakiri == uwsgi.workers[worker].pid)
        return;
    workers[worker].harakiri = uwsgi.workers[worker].pid;
    hk_live_report(worker);
    if (!hk_watch_on(HK_WATCH_HARAKIRI))
        return;
    hk_pool_init(&pool);
    hk_watch_start(&e, HK_WATCH_HARAKIRI, worker);
    /* The snapshot first: the signal can interrupt a sleep and let the request finish. */
    (void)hk_snapshot_oldest(worker, &pool, &e.suspect);
    if (hk_stack_ask(worker) == 0) {
        hk_stack_wait(worker);
        e.stack = hk_stack_read(worker, &pool);
    }
    if (e.suspect.start_us > 0 && hk_answer_ask(worker) == 0) {
        hk_answer_wait(worker, e.suspect.core);
        hk_snapshot_again(&pool, &e.suspect);
    }
    hk_watch_report(&hk_watch_handler, &e, &pool);
    hk_pool_free(&pool);
}

/* ---- deaths ---- */

static void put_deaths(uint64_t now_s, hk_buf *out)
{
    hk_json j;
    size_t i;

    hk_json_init(&j, out);
    hk_json_open(&j, '[');
    for (i = 0; i < STORM_LINES && last_deaths[i].worker > 0; i++) {
        hk_json_open(&j, '{');
        hk_json_pair(&j, "event", hk_slice_of(hk_watch_name(last_deaths[i].kind)), 32);
        hk_json_pair(&j, "transaction", hk_slice_of(last_deaths[i].transaction), 200);
        hk_json_key(&j, hk_slice_of("worker"), 16);
        hk_json_u64(&j, (uint64_t)last_deaths[i].worker);
        hk_json_key(&j, hk_slice_of("pid"), 16);
        hk_json_u64(&j, (uint64_t)last_deaths[i].pid);
        hk_json_key(&j, hk_slice_of("seconds_ago"), 16);
        hk_json_u64(&j, now_s - last_deaths[i].at_s);
        hk_json_close(&j, '}');
    }
    hk_json_close(&j, ']');
}

static void count_death(const hk_watch_event *e, hk_pool *pool)
{
    uint64_t now_s = hk_sys_monotonic_ms() / 1000;
    hk_slice transaction;
    hk_inflight suspect;
    hk_watch_event s;
    char words[80];
    hk_buf deaths;

    hk_snapshot_describe(&e->suspect, pool, &suspect);
    transaction = hk_inflight_transaction(&suspect, pool);
    memmove(&last_deaths[1], &last_deaths[0], sizeof last_deaths - sizeof last_deaths[0]);
    memset(&last_deaths[0], 0, sizeof last_deaths[0]);
    last_deaths[0].kind = e->kind;
    last_deaths[0].worker = e->worker;
    last_deaths[0].pid = e->pid;
    last_deaths[0].at_s = now_s;
    if (transaction.n > 0)
        memcpy(last_deaths[0].transaction, transaction.p, transaction.n < 200 ? transaction.n : 200);
    if (!hk_watch_storm_add(&storm, now_s, (unsigned)hk_glue.storm_deaths, (unsigned)hk_glue.storm_s)
        || !hk_watch_on(HK_WATCH_STORM))
        return;
    hk_watch_start(&s, HK_WATCH_STORM, 0);
    snprintf(words, sizeof words, "%d workers died within %d seconds", hk_glue.storm_deaths, hk_glue.storm_s);
    s.words = hk_slice_of(words);
    hk_watch_figure(&s, "storm_deaths", (uint64_t)hk_glue.storm_deaths);
    hk_watch_figure(&s, "storm_seconds", (uint64_t)hk_glue.storm_s);
    hk_buf_init(&deaths, 65536);
    put_deaths(now_s, &deaths);
    s.deaths = hk_buf_slice(&deaths);
    hk_watch_report(&hk_watch_handler, &s, pool);
    hk_buf_free(&deaths);
}

static void add_memory(const hk_life *life, hk_watch_event *e)
{
    static const char *const names[] = { "reload_on_rss_bytes", "reload_on_as_bytes", "evil_reload_on_rss_bytes",
                                         "evil_reload_on_as_bytes" };
    rlim_t limits[] = { uwsgi.reload_on_rss, uwsgi.reload_on_as, uwsgi.evil_reload_on_rss, uwsgi.evil_reload_on_as };
    size_t i;

    hk_watch_figure(e, "rss_bytes", life->over_rss);
    hk_watch_figure(e, "address_space_bytes", life->over_vsz);
    for (i = 0; i < 4; i++)
        if (limits[i] > 0)
            hk_watch_figure(e, names[i], (uint64_t)limits[i]);
}

/* Which request it was: the one that the worker kept itself when it crashed, left or went over; else the oldest. */
static void find_suspect(const hk_life *life, hk_watch_event *e, hk_pool *pool)
{
    if (e->kind != HK_WATCH_KILLED && e->kind != HK_WATCH_OOM && hk_snapshot_kept(e->worker, life, pool, &e->suspect))
        return;
    (void)hk_snapshot_oldest(e->worker, pool, &e->suspect);
}

/* found is NULL when uWSGI reaped it before anybody could look: what it left in shared memory must do. */
static void look_at_death(int worker, pid_t pid, uint64_t generation, const hk_kernel_death *found)
{
    const struct uwsgi_worker *w = &uwsgi.workers[worker];
    const hk_life *life = hk_worker_life(worker, generation);
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
        d.oom_killed = hk_watch_oom_take(&oom, hk_kernel_oom_kills("", getpid()));
    memset(&e, 0, sizeof e);
    e.kind = hk_watch_classify(&d);
    e.worker = worker;
    e.pid = pid;
    hk_pool_init(&pool);
    find_suspect(life, &e, &pool);
    if (e.kind != HK_WATCH_NONE && hk_watch_on(e.kind)) {
        e.signal = d.noted_signal != 0 ? d.noted_signal : !d.exited ? d.status : 0;
        if (e.signal > 0)
            hk_watch_figure(&e, "signal", (uint64_t)e.signal);
        if (d.exited)
            hk_watch_figure(&e, "exit_status", (uint64_t)d.status);
        if (found != NULL && found->peak_rss > 0)
            hk_watch_figure(&e, "rss_peak_bytes", found->peak_rss);
        if (e.kind == HK_WATCH_MEMORY)
            add_memory(life, &e);
        else if (found != NULL && w->rss_size > 0)
            hk_watch_figure(&e, "rss_bytes", w->rss_size);
        if (life->signal != 0 || life->exits) {
            e.suspect.thread_id = life->thread;
            e.stack = hk_stack_read(worker, &pool);
        }
        hk_watch_report(&hk_watch_handler, &e, &pool);
    }
    if (e.kind == HK_WATCH_NONE && d.harakiri)
        e.kind = HK_WATCH_HARAKIRI;
    if (!d.wanted)
        count_death(&e, &pool);
    hk_stack_clear(worker);
    hk_pool_free(&pool);
}

int hk_watch_reports_crash(hk_slice alarm)
{
    static const char start[] = "*** backtrace of ";
    uint64_t pid = 0;
    size_t at;
    int i;

    if (!hk_watch_on(HK_WATCH_SEGFAULT) || !hk_slice_starts(alarm, start))
        return 0;
    for (at = sizeof start - 1; at < alarm.n && alarm.p[at] >= '0' && alarm.p[at] <= '9' && pid < 100000000U; at++)
        pid = pid * 10 + (uint64_t)(alarm.p[at] - '0');
    for (i = 1; i <= uwsgi.numproc; i++)
        if ((uint64_t)uwsgi.workers[i].pid == pid || (uint64_t)workers[i].dead == pid)
            return 1;
    return 0;
}

/* ---- the master's cycle ---- */

static void look_for_deaths(void)
{
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
        s->pid = w->pid;
        s->generation = w->respawn_count;
        s->cursed = w->cursed_at > 0;
    }
}

void hk_watch_cycle(void)
{
    uint64_t now = hk_sys_monotonic_ms();
    int i;

    if (workers == NULL)
        return;
    look_for_deaths();
    hk_live_collect(now);
    if (looked_ms != 0 && now - looked_ms < LOOK_MS)
        return;
    looked_ms = now;
    hk_watch_oom_sample(&oom, hk_kernel_oom_kills("", getpid()), now);
    for (i = 1; i <= uwsgi.numproc; i++)
        if (hk_watch_on(HK_WATCH_SLOW) && hk_glue.watch_slow_s > 0 && uwsgi.workers[i].pid > 0
            && workers[i].dead != uwsgi.workers[i].pid)
            hk_live_find_slow(i);
    if (hk_watch_on(HK_WATCH_LISTEN_QUEUE))
        hk_live_look_at_queues();
}
