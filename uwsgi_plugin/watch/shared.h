/* shared.h: the memory that workers write and their master reads, made before any fork. */
#ifndef HK_SHARED_H
#define HK_SHARED_H

#include "../core/growth.h"
#include "../core/native.h"
#include "../core/note.h"
#include "../core/roots.h"
#include "../core/values.h"
#include "../core/watch.h"
#include "../server/settings.h"

#include <signal.h>

#define HK_STACK_SIGNAL (SIGRTMIN + 5)  /* uwsgi_bridge.py registers faulthandler on it, */
#define HK_ANSWER_SIGNAL (SIGRTMIN + 6) /* and on this one its own handler */
#define HK_NATIVE_SIGNAL (SIGRTMIN + 7) /* the plugin's own: both stacks of a worker that will be killed */

/* What one life of a worker leaves behind, in shared memory. */
typedef struct hk_life {
    pid_t pid;
    pid_t ready;   /* the process whose faulthandler is registered: no other is ever signalled */
    pid_t answers; /* likewise, that tells of its request when asked */
    pid_t unwinds; /* likewise, that tells its C stack */
    int signal;    /* the crash signal that its handler saw */
    int exits;     /* the application called os._exit */
    uint64_t thread; /* that crashed or called it, as Python numbers threads */
    uint64_t own_values, outside_values; /* the questions that it asked as it ended, of core/values.h; 0: none */
    int in_order;  /* it took uWSGI's own way out */
    int over;      /* its last request ended over a memory limit; the figures are of the first that did */
    uint64_t over_rss, over_vsz;
    hk_growth growth; /* the requests that grew it */
    /* The request that went over, crashed or left: the next worker may be quicker than the master to use its core. */
    int kept_core;
    uint16_t kept_size; /* bytes of its variables, in hk_shared_kept_vars */
    uint64_t kept_start_us, kept_us; /* 0: none */
} hk_life;

void hk_shared_make(unsigned mask); /* in the master, before any fork: watch the kinds of this mask */
int hk_shared_watches(hk_watch_kind kind); /* 0 also where nobody watches anything */

int hk_shared_is_on(void);     /* anything is watched */
int hk_shared_is_worker(void); /* and this process is a worker */

/* Two lives a worker: what a dead one left outlives the start of the next. */
hk_life *hk_shared_life(int worker, uint64_t generation);
char *hk_shared_kept_vars(const hk_life *life);
hk_native *hk_shared_native(const hk_life *life); /* its C stack when it crashed; of life 0: a mule's or spooler's */
hk_note *hk_shared_note(int worker, int core);
hk_roots *hk_shared_roots(void); /* NULL: nobody watches anything */
pid_t *hk_shared_thread(int worker, int core); /* the thread that has this core; 0: the main one */
hk_roots *hk_shared_rules(void); /* what the applications call private, as eyes/rules.py writes it */

/* The stack with its values, of the last question: what the worker itself answers, and what was read from outside. Taken
 * from the kernel page by page as it is written; hk_shared_clear_values gives it back. */
hk_values *hk_shared_own_values(int worker);
hk_values *hk_shared_outside_values(int worker);
void hk_shared_clear_values(int worker);
int hk_shared_stack_fd(int worker); /* the memory file that its faulthandler writes to, */
int hk_shared_python_fd(void);      /* under this number; -1: there is none */

#endif
