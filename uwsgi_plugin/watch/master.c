#include "master.h"

#include "../core/duration.h"
#include "../edge/sys.h"
#include "answer.h"
#include "deaths.h"
#include "eyes.h"
#include "helpers.h"
#include "live.h"
#include "reader.h"
#include "report.h"
#include "stack.h"
#include "top.h"
#include "unwind.h"
#include "worker.h"

#define MAX_CRASH_WAIT_MS 10000U
#define READ_BEFORE_MS 1700U /* a harakiri is due: the master looks once a second, and the reader takes some of it */
#define LOOK_MS 250U /* how often requests and queues are looked at; deaths in every cycle */

static uint64_t looked_ms;

static void check_options(void)
{
    if (hk_settings.watch_slow != NULL
        && hk_duration_read(hk_slice_of(hk_settings.watch_slow), &hk_settings.watch_slow_ms) != HK_OK)
        hk_sys_log("[sentry] sentry-watch-slow: '%.100s' is not a time of at most a day, as 10, 0.5, 500ms or 1m; slow "
                   "requests are not reported", hk_settings.watch_slow);
    if (hk_settings.watch_crash_wait != NULL) {
        uint64_t ms = 0;
        if (strcmp(hk_settings.watch_crash_wait, "0") != 0
            && (hk_duration_read(hk_slice_of(hk_settings.watch_crash_wait), &ms) != HK_OK || ms > MAX_CRASH_WAIT_MS))
            hk_sys_log("[sentry] sentry-watch-crash-wait: '%.100s' is not a time of at most 10s, as 500ms, 1 or 0; 500ms is "
                       "used", hk_settings.watch_crash_wait);
        else
            hk_settings.watch_crash_wait_ms = (long)ms;
    }
    if (hk_settings.watch_backlog < 1 || hk_settings.watch_backlog > 100) {
        hk_sys_log("[sentry] sentry-watch-backlog: %d is outside 1..100 percent; 100 is used", hk_settings.watch_backlog);
        hk_settings.watch_backlog = 100;
    }
    if (hk_settings.watch_patience_ms < 0 || hk_settings.watch_patience_ms > 60000) {
        hk_sys_log("[sentry] sentry-watch-patience: %d is outside 1..60000 milliseconds; the default is used",
                   hk_settings.watch_patience_ms);
        hk_settings.watch_patience_ms = 0;
    }
    if (hk_settings.storm_deaths < 1 || hk_settings.storm_deaths > (int)HK_WATCH_MAX_STORM) {
        hk_sys_log("[sentry] sentry-watch-storm: %d is outside 1..%u deaths; 5 is used", hk_settings.storm_deaths, HK_WATCH_MAX_STORM);
        hk_settings.storm_deaths = 5;
    }
    if (hk_settings.storm_s < 1 || hk_settings.storm_s > 86400) {
        hk_sys_log("[sentry] sentry-watch-storm-seconds: %d is outside 1..86400; 60 is used", hk_settings.storm_s);
        hk_settings.storm_s = 60;
    }
}

void hk_master_share(void)
{
    unsigned mask = 0;

    if (hk_settings.watch == NULL)
        return;
    if (hk_watch_parse(hk_slice_of(hk_settings.watch), &mask) < 0) {
        hk_sys_log("[sentry] sentry-watch: '%.100s' is not true, nor a list of harakiri, segfault, abort, killed, "
                   "exit, listen-queue, memory, respawn-storm, slow; the watch is off",
                   hk_settings.watch);
        return;
    }
    if (mask == 0)
        return;
    if (!uwsgi.master_process)
        hk_sys_log("[sentry] sentry-watch: no master, so nobody watches");
    if (hk_report_configure() < 0 || !uwsgi.master_process)
        return;
    check_options();
    hk_deaths_share();
    hk_doing_share();
    hk_live_share();
    hk_shared_make(mask);
    hk_reader_make();
    hk_worker_prepare();
    hk_helpers_share();
    hk_unwind_start();
}

void hk_master_harakiri(int worker)
{
    hk_watch_event e;
    hk_pool pool;

    if (!hk_shared_is_on())
        return;
    hk_pool_init(&pool);
    hk_report_start(&e, HK_WATCH_HARAKIRI, worker);
    /* The snapshot first: the signal can interrupt a sleep and let the request finish. */
    (void)hk_snapshot_oldest(worker, &pool, &e.suspect);
    if (!hk_deaths_expect(worker, &e.suspect))
        goto out;
    hk_live_report(worker);
    if (!hk_shared_watches(HK_WATCH_HARAKIRI))
        goto out;
    hk_doing_read(worker, &e.suspect, &pool, &e.doing);
    if (hk_stack_ask_last(worker) == 0) {
        hk_stack_wait(worker);
        e.stack = hk_stack_read(worker, &pool);
        e.native = hk_stack_read_native(worker, e.suspect.core, &pool);
    }
    e.asked.thread = e.suspect.thread_id;
    if (e.suspect.start_us > 0 && hk_answer_ask(worker, e.suspect.thread_id, &e.asked.own) == 0) {
        hk_answer_wait(worker, e.suspect.core, e.asked.own);
        hk_snapshot_again(&pool, &e.suspect);
    }
    hk_eyes_add_outside(worker, &e.suspect, &e.asked);
    hk_report_event(&e, &pool);
out:
    hk_pool_free(&pool);
}

/* The reader looks at a worker a moment before a harakiri is due: it takes longer than the master may wait. */
static void read_before_harakiri(int worker)
{
    uint64_t limit_ms = (uint64_t)uwsgi.harakiri_options.workers * 1000U, due_ms;
    hk_snapshot oldest;
    hk_pool pool;

    hk_pool_init(&pool);
    if (hk_snapshot_oldest(worker, &pool, &oldest)) {
        due_ms = oldest.start_us / 1000000U * 1000U + limit_ms; /* uWSGI counts whole seconds of the clock */
        if (uwsgi_micros() / 1000U + (limit_ms < 2 * READ_BEFORE_MS ? limit_ms / 2 : READ_BEFORE_MS) >= due_ms)
            hk_eyes_ask_outside(worker, &oldest);
    }
    hk_pool_free(&pool);
}

void hk_master_cycle(void)
{
    uint64_t now = hk_sys_monotonic_ms();
    int i;

    if (!hk_shared_is_on())
        return;
    hk_deaths_look();
    hk_helpers_look();
    hk_live_collect(now);
    if (looked_ms != 0 && now - looked_ms < LOOK_MS)
        return;
    looked_ms = now;
    hk_deaths_sample(now);
    for (i = 1; i <= uwsgi.numproc; i++)
        if (uwsgi.workers[i].pid > 0 && !hk_deaths_is_dead(i))
            hk_doing_note(i);
    for (i = 1; i <= uwsgi.numproc; i++)
        if (hk_shared_watches(HK_WATCH_SLOW) && hk_settings.watch_slow_ms > 0 && uwsgi.workers[i].pid > 0
            && !hk_deaths_is_dead(i))
            hk_live_find_slow(i);
    for (i = 1; i <= uwsgi.numproc && hk_settings.watch_values; i++)
        if (hk_shared_watches(HK_WATCH_HARAKIRI) && uwsgi.harakiri_options.workers > 0 && uwsgi.workers[i].pid > 0
            && !hk_deaths_is_dead(i))
            read_before_harakiri(i);
    if (hk_shared_watches(HK_WATCH_LISTEN_QUEUE))
        hk_live_look_at_queues();
    hk_top_look();
}

void hk_master_describe(hk_buf *out)
{
    const char *first = "watching ", *before = first;
    int kind;

    for (kind = HK_WATCH_NONE + 1; kind < HK_WATCH_COUNT; kind++) {
        if (!hk_shared_watches((hk_watch_kind)kind) || (kind == HK_WATCH_SLOW && hk_settings.watch_slow_ms == 0))
            continue;
        hk_buf_puts(out, before);
        hk_buf_puts(out, hk_watch_name((hk_watch_kind)kind));
        before = ", ";
    }
    if (before == first) {
        hk_buf_puts(out, "watching nothing (sentry-watch = true)");
    } else if (hk_shared_watches(HK_WATCH_SLOW) && hk_settings.watch_slow_ms > 0) {
        hk_buf_puts(out, " over "); /* it is the last kind */
        hk_duration_put(hk_settings.watch_slow_ms, out);
    }
}
