/* shared.h: what the files of the watch share: worker.c runs in the workers, the others in the master. */
#ifndef HK_SHARED_H
#define HK_SHARED_H

#include "../server/server.h"

#include "../core/inflight.h"
#include "../core/note.h"
#include "../core/watch.h"

#include <signal.h>

#define HK_STACK_SIGNAL (SIGRTMIN + 5)  /* uwsgi_bridge.py registers faulthandler on it, */
#define HK_ANSWER_SIGNAL (SIGRTMIN + 6) /* and on this one its own handler */

/* What one life of a worker leaves behind, in shared memory. */
typedef struct hk_life {
    pid_t pid;
    pid_t ready;   /* the process whose faulthandler is registered: no other is ever signalled */
    pid_t answers; /* likewise, that tells of its request when asked */
    int signal;    /* the crash signal that its handler saw */
    int exits;     /* the application called os._exit */
    uint64_t thread; /* that crashed or called it, as Python numbers threads */
    int in_order;  /* it took uWSGI's own way out */
    int over;      /* its last request ended over a memory limit; the figures are of the first that did */
    uint64_t over_rss, over_vsz;
    /* The request that went over, crashed or left: the next worker may be quicker than the master to use its core. */
    int kept_core;
    uint16_t kept_size; /* bytes of its variables, in hk_worker_kept_vars */
    uint64_t kept_start_us, kept_us; /* 0: none */
} hk_life;

extern unsigned hk_watch_mask;

static inline int hk_watch_on(hk_watch_kind kind)
{
    return (hk_watch_mask & 1U << kind) != 0;
}

/* Two lives a worker: what a dead one left outlives the start of the next. */
hk_life *hk_worker_life(int worker, uint64_t generation);
char *hk_worker_kept_vars(const hk_life *life);
const hk_note *hk_worker_note(int worker, int core);
void hk_worker_share(void); /* in the master, before any fork */
int hk_worker_stack_fd(int worker); /* the memory file that its faulthandler writes to, */
int hk_worker_python_fd(void);      /* under this number */

/* running.c, in a worker */
void hk_running_start(void);                        /* in its main thread */
const char *hk_running_stack(const void *context);  /* where the stack was when a signal came; NULL: not known here */
int hk_running_core(const char *sp);                /* -1: none, or it cannot be told */

/* snapshot.c: what a worker was doing, read from uWSGI's shared memory. Memory of zeros: nothing. */
typedef struct hk_snapshot {
    hk_slice vars; /* the request's variables, copied; empty: its head is not read yet */
    hk_slice transaction, user, event_id; /* as the worker told; empty: it did not */
    uint64_t age_ms;
    uint64_t start_us; /* its generation: tells one request of a core from the next; 0: no request */
    uint64_t thread_id;
    int worker;
    int core;
} hk_snapshot;
int hk_snapshot_core(int worker, int core, hk_pool *pool, hk_snapshot *out); /* 1: a request is in flight */
int hk_snapshot_oldest(int worker, hk_pool *pool, hk_snapshot *out);
int hk_snapshot_kept(int worker, const hk_life *life, hk_pool *pool, hk_snapshot *out); /* what the worker kept of it */
void hk_snapshot_again(hk_pool *pool, hk_snapshot *s); /* what was told of it since */
void hk_snapshot_describe(const hk_snapshot *s, hk_pool *pool, hk_inflight *out);
/* All other requests in flight, at most max; how many. */
size_t hk_snapshot_others(const hk_snapshot *suspect, hk_pool *pool, hk_inflight *out, size_t max);

/* The Python stack: ask a living worker for it (0: it will answer), wait, read, forget. */
int hk_stack_ask(int worker);
void hk_stack_wait(int worker);
hk_slice hk_stack_read(int worker, hk_pool *pool);
void hk_stack_clear(int worker);

/* What only the application knows of the request on a core: it tells when it is asked, into the core's note. */
int hk_answer_ask(int worker);
void hk_answer_wait(int worker, int core);

/* One event. */
typedef struct hk_figure {
    const char *name;
    uint64_t value;
} hk_figure;

typedef struct hk_watch_event {
    hk_watch_kind kind;
    int worker;        /* 0: of none */
    pid_t pid;
    int signal;        /* 0: none */
    hk_snapshot suspect;
    hk_slice stack;    /* as faulthandler wrote it */
    hk_slice words;    /* beside the kind, in the message */
    hk_slice deaths;   /* a JSON array: of a storm */
    hk_figure figures[8];
    size_t figure_count;
} hk_watch_event;

extern hk_glue_handler hk_watch_handler;

void hk_watch_start(hk_watch_event *e, hk_watch_kind kind, int worker); /* worker: it lives; 0: of none */
void hk_watch_figure(hk_watch_event *e, const char *name, uint64_t value);
void hk_watch_report(const hk_glue_handler *handler, const hk_watch_event *e, hk_pool *pool);

/* live.c */
void hk_live_share(void);
void hk_live_report(int worker);        /* what waits for a stack of this worker, which may die now */
void hk_live_collect(uint64_t now_ms);  /* what has waited long enough */
void hk_live_find_slow(int worker);
void hk_live_look_at_queues(void);

#endif
