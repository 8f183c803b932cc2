/* watch.h: what the death of a worker was, and when a state is news. Pure: times and counts are passed in. */
#ifndef HK_WATCH_H
#define HK_WATCH_H

#include "hk.h"

typedef enum hk_watch_kind {
    HK_WATCH_NONE, HK_WATCH_HARAKIRI, HK_WATCH_SEGFAULT, HK_WATCH_ABORT, HK_WATCH_KILLED, HK_WATCH_OOM, HK_WATCH_EXIT,
    HK_WATCH_LISTEN_QUEUE, HK_WATCH_MEMORY, HK_WATCH_STORM, HK_WATCH_SLOW, HK_WATCH_COUNT
} hk_watch_kind;

/* Its name in sentry-watch and in the tag uwsgi.event, and the level of its event. */
const char *hk_watch_name(hk_watch_kind kind);
const char *hk_watch_level(hk_watch_kind kind);

/* Parse "true", or a list like "harakiri,killed slow": a bit for each kind. -1: an unknown word. */
int hk_watch_parse(hk_slice text, unsigned *mask);

typedef struct hk_watch_death {
    int unknown;      /* it was reaped before anybody looked: neither code nor signal is known */
    int exited;       /* 1: by exit, status is its code; 0: by a signal, status is its number */
    int status;
    int noted_signal; /* what the worker's own handler noted before; 0: nothing */
    int harakiri;     /* it was reported as one: its death is no news */
    int wanted;       /* uWSGI itself ends it: reload, stop, cheaper, max-requests */
    int in_order;     /* it ran uWSGI's own way out; os._exit does not */
    int over_reload;  /* its last request ended over reload-on-rss or reload-on-as */
    int over_evil;    /* likewise over evil-reload-on-rss or evil-reload-on-as */
    int oom_killed;   /* the cgroup's count of OOM kills rose */
} hk_watch_death;

/* What to report of a death: HK_WATCH_NONE for nothing. */
hk_watch_kind hk_watch_classify(const hk_watch_death *d);

/* Whether it counts for a storm: what uWSGI wants is none, also where an exception ends the worker
 * (reload-on-exception); an app that does not load is one. */
int hk_watch_is_bad(const hk_watch_death *d);

#define HK_WATCH_MAX_STORM 1000U /* deaths that a storm may be made of */

/* Counts deaths. Memory of zeros is a good start. */
typedef struct hk_watch_storm {
    uint64_t deaths_s[HK_WATCH_MAX_STORM];
    uint64_t count;
    uint64_t said_s;
    int said;
} hk_watch_storm;

/* Note a death. 1: it is the limit-th within window_s seconds, and no storm was told within that time. */
int hk_watch_storm_add(hk_watch_storm *s, uint64_t now_s, unsigned limit, unsigned window_s);

/* Whether waiting is percent of max, or more, for the first time since it was less: *full remembers. */
int hk_watch_queue_is_news(int *full, uint64_t waiting, uint64_t max, unsigned percent);

/* Tells an OOM kill from another SIGKILL by a counter of the cgroup, which also counts kills of other processes. */
typedef struct hk_watch_oom {
    uint64_t before; /* the count at least HK_WATCH_OOM_AGE_MS ago, and those of deaths since */
    uint64_t recent;
    uint64_t recent_ms;
} hk_watch_oom;

#define HK_WATCH_OOM_AGE_MS 5000U /* a death is seen this soon after it happened */

void hk_watch_oom_sample(hk_watch_oom *o, uint64_t kills, uint64_t now_ms);
int hk_watch_oom_take(hk_watch_oom *o, uint64_t kills); /* 1: this death was one of them */

/* The number in a file like the cgroup's memory.events or memory.oom_control: "key 12". 0 when it is not there. */
uint64_t hk_watch_find_count(hk_slice text, const char *key);

#endif
