#include "storm.h"

#include "../edge/sys.h"

#define STORM_LINES 10 /* deaths that the event of a storm names */

typedef struct death_line {
    hk_watch_kind kind;
    int worker;
    pid_t pid;
    uint64_t at_s;
    char transaction[201];
} death_line;

static hk_watch_storm counted;
static death_line last_deaths[STORM_LINES];

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

void hk_storm_add(const hk_watch_event *death, hk_pool *pool)
{
    uint64_t now_s = hk_sys_monotonic_ms() / 1000;
    hk_slice transaction;
    hk_inflight suspect;
    hk_watch_event s;
    char words[80];
    hk_buf deaths;

    hk_snapshot_describe(&death->suspect, death->at_us, pool, &suspect);
    transaction = hk_inflight_transaction(&suspect, pool);
    memmove(&last_deaths[1], &last_deaths[0], sizeof last_deaths - sizeof last_deaths[0]);
    memset(&last_deaths[0], 0, sizeof last_deaths[0]);
    last_deaths[0].kind = death->kind;
    last_deaths[0].worker = death->worker;
    last_deaths[0].pid = death->pid;
    last_deaths[0].at_s = now_s;
    if (transaction.n > 0)
        memcpy(last_deaths[0].transaction, transaction.p, transaction.n < 200 ? transaction.n : 200);
    if (!hk_watch_storm_add(&counted, now_s, (unsigned)hk_settings.storm_deaths, (unsigned)hk_settings.storm_s)
        || !hk_shared_watches(HK_WATCH_STORM))
        return;
    hk_report_start(&s, HK_WATCH_STORM, 0);
    snprintf(words, sizeof words, "%d workers died within %d seconds", hk_settings.storm_deaths, hk_settings.storm_s);
    s.words = hk_slice_of(words);
    hk_report_figure(&s, "storm_deaths", (uint64_t)hk_settings.storm_deaths);
    hk_report_figure(&s, "storm_seconds", (uint64_t)hk_settings.storm_s);
    hk_buf_init(&deaths, 65536);
    put_deaths(now_s, &deaths);
    s.deaths = hk_buf_slice(&deaths);
    hk_report_event(&s, pool);
    hk_buf_free(&deaths);
}
