/* report.h: one event of the watch, from what was seen. */
#ifndef HK_REPORT_H
#define HK_REPORT_H

#include "doing.h"
#include "eyes.h"

typedef struct hk_figure {
    const char *name;
    uint64_t value;
} hk_figure;

typedef struct hk_watch_event {
    hk_watch_kind kind;
    uint64_t at_us;    /* when: its time, and that of all ages in it */
    int worker;        /* 0: of none */
    pid_t pid;
    hk_slice process;  /* no worker: "mule 1 (jobs.py)"; empty: a worker, or none */
    const char *process_kind; /* of that: mule, spooler, daemon */
    int signal;        /* 0: none */
    hk_snapshot suspect;
    hk_doing doing;    /* of a worker that lives */
    hk_slice stack;    /* as faulthandler wrote it */
    hk_asked asked;    /* who was asked for the stack with its values */
    hk_native *native; /* its C stack; NULL: not known */
    hk_slice words;    /* what the kind needs, in the sentence on top */
    hk_slice deaths;   /* a JSON array: of a storm */
    hk_slice grown;    /* likewise: the requests that grew a worker most */
    hk_figure figures[8];
    size_t figure_count;
} hk_watch_event;

/* The handler of all of them, from sentry-watch-options. 0; -1: wrong, which was said. */
int hk_report_configure(void);

void hk_report_start(hk_watch_event *e, hk_watch_kind kind, int worker); /* worker: it lives; 0: of none */
void hk_report_figure(hk_watch_event *e, const char *name, uint64_t value);
void hk_report_event(hk_watch_event *e, hk_pool *pool);

#endif
