/* thread.h: what a thread of another process does, by /proc. It is not stopped, and nobody waits for it: of a thread that
 * goes on meanwhile the parts may not belong together, so it is looked at twice, and told only what both say.
 */
#ifndef HK_THREAD_H
#define HK_THREAD_H

#include "../core/buf.h"

#include <sys/types.h>

typedef struct hk_thread_reading {
    char state;         /* as /proc/PID/stat has it */
    uint64_t ticks;     /* of CPU that it has used, HZ of sysconf a second */
    char missing[200];  /* why nothing is known of what it waits for; empty: it is, or it runs */
} hk_thread_reading;

/* State and CPU time alone. 0; -1: there is no such thread. */
int hk_thread_look(pid_t pid, pid_t tid, hk_thread_reading *out);

/* Append to on what it waits for, as waiting.h says it; nothing for a thread that runs. At most budget_ms milliseconds
 * of CPU are spent on lists of sockets. 0; -1: there is no such thread. */
int hk_thread_read(pid_t pid, pid_t tid, unsigned budget_ms, hk_thread_reading *out, hk_buf *on);

#endif
