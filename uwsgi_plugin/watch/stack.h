/* stack.h: asks a living worker for its Python stack. Only a process that said it has a handler is signalled: the default
 * action of these signals is to end it. */
#ifndef HK_STACK_H
#define HK_STACK_H

#include "../core/native.h"

int hk_stack_ask(int worker); /* 0: it will write it */
void hk_stack_wait(int worker);
hk_slice hk_stack_read(int worker, hk_pool *pool);
void hk_stack_clear(int worker);

/* The last question to a worker, which will be killed: its C stack as well, of the same moment. Not to one that lives on: who
 * unwinds may meet a lock of what it interrupts. The C stack is read after the other; NULL: it told none, or another thread than its
 * main one has the request. */
int hk_stack_ask_last(int worker);
hk_native *hk_stack_read_native(int worker, int core, hk_pool *pool);

/* Whether a worker has its memory file still. The application may have closed it and opened a file of its own under the
 * number, or be another program by now: an exec closes it, and takes the handlers along. With the descriptor goes the
 * worker's lock on the file, which the master may ask for whoever the worker is: a process that changed its user lets
 * nobody look into its /proc/PID/fd. */
int hk_stack_has_file(int worker);

/* In the process that dies, also in its signal handler: writes the Python stack of this thread and the others. */
void hk_stack_dump(void);

/* Likewise for a mule or a spooler, which have one file together; nothing where no faulthandler is registered or the
 * application took its number. The first reads what the last of them wrote, once. */
void hk_stack_can_dump(void);
void hk_stack_dump_own(void);
hk_slice hk_stack_read_helper(hk_pool *pool);

#endif
