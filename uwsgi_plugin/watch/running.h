/* running.h: on which core the thread or greenlet runs that crashed. In a worker. */
#ifndef HK_RUNNING_H
#define HK_RUNNING_H

void hk_running_start(void);                        /* in its main thread */
const char *hk_running_stack(const void *context);  /* where the stack was when a signal came; NULL: not known here */
int hk_running_core(const char *sp);                /* -1: none, or it cannot be told */

#endif
