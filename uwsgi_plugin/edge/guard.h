/* guard.h: a living worker is asked for its Python stacks, and outlives that.
 *
 * faulthandler runs in a signal handler, wherever the signal found the worker, and reads frames that Python may be changing:
 * of a worker with busy threads one question in 150 (Python 3.13) to 1,500 (3.11) meets one half made. A fault there then ends
 * the stack, not the worker.
 */
#ifndef HK_GUARD_H
#define HK_GUARD_H

/* Stand in front of the handler that signum has now. What a fault leaves behind in faulthandler makes it silent from then on in
 * this process. In a handler for a crash it changes nothing: there SIGSEGV is blocked, and a fault ends the process as before. */
void hk_guard_start(int signum);
int hk_guard_stands(int signum);

#endif
