#include "watch.h"

#include <signal.h> /* the numbers only */

#define FAILED_APP 22 /* an app that did not load: the worker ends before its way out is set up */

/* uWSGI's own exit codes (uwsgi.h): reloads, cheaper, failed apps: it says so itself and nothing was lost. */
static int is_own_code(int code)
{
    static const int own[] = { 5, 15, 17, FAILED_APP, 26, 29, 30, 31, 173 };
    size_t i;

    for (i = 0; i < sizeof own / sizeof own[0]; i++)
        if (own[i] == code)
            return 1;
    return 0;
}

static const char *const names[HK_WATCH_COUNT] = { "", "harakiri", "segfault", "abort", "killed", "oom", "exit",
                                                   "listen-queue", "memory", "respawn-storm", "slow" };

const char *hk_watch_name(hk_watch_kind kind)
{
    return names[kind];
}

const char *hk_watch_level(hk_watch_kind kind)
{
    switch (kind) {
    case HK_WATCH_SEGFAULT:
    case HK_WATCH_ABORT:
    case HK_WATCH_KILLED:
    case HK_WATCH_OOM:
    case HK_WATCH_STORM: return "fatal";
    case HK_WATCH_LISTEN_QUEUE:
    case HK_WATCH_MEMORY:
    case HK_WATCH_SLOW: return "warning";
    default: return "error";
    }
}

int hk_watch_parse(hk_slice text, unsigned *mask)
{
    size_t start, at = 0, i;

    *mask = 0;
    while (at < text.n) {
        hk_slice word;
        for (start = at; at < text.n && text.p[at] != ',' && text.p[at] != ' '; at++)
            ;
        word = hk_slice_make(text.p + start, at - start);
        at++;
        if (word.n == 0)
            continue;
        if (hk_slice_is(word, "true") || hk_slice_is(word, "1") || hk_slice_is(word, "all")) {
            *mask = (1U << HK_WATCH_COUNT) - 2U;
            continue;
        }
        if (hk_slice_is(word, "false") || hk_slice_is(word, "0"))
            continue;
        for (i = 1; i < HK_WATCH_COUNT && !hk_slice_is(word, names[i]); i++)
            ;
        if (i == HK_WATCH_COUNT)
            return -1;
        *mask |= 1U << i;
        if (i == HK_WATCH_KILLED)
            *mask |= 1U << HK_WATCH_OOM;
    }
    return 0;
}

static hk_watch_kind of_signal(int signum)
{
    switch (signum) {
    case SIGABRT: return HK_WATCH_ABORT;
    case SIGILL:
    case SIGBUS:
    case SIGFPE:
    case SIGSEGV: return HK_WATCH_SEGFAULT;
    default: return HK_WATCH_KILLED;
    }
}

hk_watch_kind hk_watch_classify(const hk_watch_death *d)
{
    if (d->harakiri)
        return HK_WATCH_NONE;
    if (d->noted_signal != 0)
        return of_signal(d->noted_signal); /* it exits 1 afterwards, as os._exit(1) does */
    if (!d->unknown && !d->exited && of_signal(d->status) != HK_WATCH_KILLED)
        return of_signal(d->status);
    if (d->over_evil && !d->unknown && !d->exited && d->status == SIGKILL)
        return HK_WATCH_MEMORY;
    if (d->over_reload && (d->wanted || d->in_order))
        return HK_WATCH_MEMORY;
    if (d->wanted)
        return HK_WATCH_NONE;
    if (d->unknown)
        return d->in_order ? HK_WATCH_NONE : d->oom_killed ? HK_WATCH_OOM : HK_WATCH_EXIT;
    if (!d->exited)
        return d->status == SIGKILL && d->oom_killed ? HK_WATCH_OOM : HK_WATCH_KILLED;
    if (d->status == FAILED_APP || (d->in_order && is_own_code(d->status)))
        return HK_WATCH_NONE;
    return HK_WATCH_EXIT;
}

int hk_watch_is_bad(const hk_watch_death *d)
{
    if (d->wanted)
        return 0;
    return d->harakiri || hk_watch_classify(d) != HK_WATCH_NONE || (d->exited && d->status == FAILED_APP);
}

int hk_watch_storm_add(hk_watch_storm *s, uint64_t now_s, unsigned limit, unsigned window_s)
{
    uint64_t oldest;

    s->deaths_s[s->count++ % HK_WATCH_MAX_STORM] = now_s;
    if (limit == 0 || limit > HK_WATCH_MAX_STORM || s->count < limit)
        return 0;
    oldest = s->deaths_s[(s->count - limit) % HK_WATCH_MAX_STORM];
    if (now_s - oldest > window_s || (s->said && now_s - s->said_s < window_s))
        return 0;
    s->said = 1;
    s->said_s = now_s;
    return 1;
}

int hk_watch_queue_is_news(int *full, uint64_t waiting, uint64_t max, unsigned percent)
{
    uint64_t limit = max * percent / 100;
    int was = *full;

    *full = max > 0 && waiting >= (limit > 0 ? limit : 1);
    return *full && !was;
}

void hk_watch_oom_sample(hk_watch_oom *o, uint64_t kills, uint64_t now_ms)
{
    if (o->recent_ms != 0 && now_ms - o->recent_ms < HK_WATCH_OOM_AGE_MS)
        return;
    if (o->recent_ms == 0)
        o->before = kills; /* those of long ago */
    else if (o->recent > o->before)
        o->before = o->recent;
    o->recent = kills;
    o->recent_ms = now_ms;
}

int hk_watch_oom_take(hk_watch_oom *o, uint64_t kills)
{
    if (kills <= o->before)
        return 0;
    o->before++;
    return 1;
}

uint64_t hk_watch_find_count(hk_slice text, const char *key)
{
    size_t n = strlen(key), at = 0;
    uint64_t count = 0;

    while (at < text.n) {
        hk_slice rest = hk_slice_from(text, at);
        const char *end = memchr(rest.p, '\n', rest.n);
        if (hk_slice_starts(rest, key) && rest.n > n && rest.p[n] == ' ') {
            for (n++; n < rest.n && rest.p[n] >= '0' && rest.p[n] <= '9'; n++)
                count = count * 10 + (uint64_t)(rest.p[n] - '0');
            return count;
        }
        at = end == NULL ? text.n : at + (size_t)(end - rest.p) + 1;
    }
    return 0;
}
