/* watch.h: what the death of a worker was, and what its Python stack says. Pure. */
#ifndef HK_WATCH_H
#define HK_WATCH_H

#include "event.h"

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
    int exited;       /* 1: by exit, status is its code; 0: by a signal, status is its number */
    int status;
    int noted_signal; /* what the worker's own handler noted before; 0: nothing */
    int harakiri;     /* it was reported as one: its death is no news */
    int wanted;       /* uWSGI itself ends it: reload, stop, cheaper */
    int over_memory;  /* its memory is over reload-on-rss or evil-reload-on-rss */
    int oom_killed;   /* the cgroup's count of OOM kills rose */
} hk_watch_death;

/* What to report of a death: HK_WATCH_NONE for nothing. */
hk_watch_kind hk_watch_classify(const hk_watch_death *d);

/* The frames, outermost first, of one thread in text as Python's faulthandler writes it; in pool. thread_id 0: the
 * current one, else the first. NULL: none. */
hk_event_frame *hk_watch_stack(hk_slice text, uint64_t thread_id, hk_pool *pool, size_t *count);

#endif
