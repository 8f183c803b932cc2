/* crash.h: the signals of a crash, and how a handler of ours passes them on to whoever had them before. */
#ifndef HK_CRASH_H
#define HK_CRASH_H

#include <signal.h>

typedef void hk_crash_handler(int signum, siginfo_t *info, void *context);

/* Set handler; before, of 64, gets who had each signal. A crash within the handler ends the process at once: uWSGI's own
 * would otherwise run once for each frame of a backtrace that crashes. */
void hk_crash_catch(hk_crash_handler *handler, struct sigaction *before);

/* Called by a handler: lets the one before it run. No lock, no allocation. */
void hk_crash_pass_on(const struct sigaction *before, int signum, siginfo_t *info, void *context);

/* uWSGI blocks all signals in the threads of a worker: a crash there would run no handler, and leave no stack. */
void hk_crash_unblock(void);
void hk_crash_block(void);

/* A stack for the handlers of this thread, if it has none that is large enough: after an overflow the thread's own has no room,
 * and faulthandler's is made for its own handler alone. */
void hk_crash_stack(void);

#endif
