/* unwind.h: the C stack of the process that runs it, in a signal handler: return addresses into shared memory. */
#ifndef HK_UNWIND_H
#define HK_UNWIND_H

#include "../core/native.h"

void hk_unwind_start(void); /* once, before any fork: what a first call has to do it does here */

/* In a handler of crash signals, with its third argument. No lock, no allocation; a fault on the way ends it, and what was found
 * until then stays. context is as before when it is back. */
void hk_unwind_take(hk_native *out, void *context);

int hk_unwind_works(void); /* 0: not built for this C library or machine */

/* The first line of that handler: where the fault is that of hk_unwind_take itself, it goes on there and does not return. */
void hk_unwind_go_on(void);

#endif
