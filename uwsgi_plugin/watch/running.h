/* running.h: on which core the thread or greenlet runs that crashed. In a worker. */
#ifndef HK_RUNNING_H
#define HK_RUNNING_H

#include <stdint.h>

void hk_running_start(void);                        /* in its main thread */
const char *hk_running_stack(const void *context);  /* where the stack was when a signal came; NULL: not known here */
uint64_t hk_running_instruction(const void *context); /* likewise; 0: not known here */
uint64_t hk_running_link(const void *context); /* the register that a call leaves its return address in; 0: there is none */
/* Change that, for who unwinds from there. */
void hk_running_go_to(void *context, uint64_t instruction, uintptr_t sp);
/* The low end of the signal's own stack, if the caller runs on it; NULL: on another. */
const char *hk_running_alternate(const void *context);
int hk_running_core(const char *sp);                /* -1: none, or it cannot be told */

#endif
