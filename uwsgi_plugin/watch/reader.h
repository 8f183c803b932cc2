/* reader.h: a process that lets py-spy look into a worker that cannot answer for itself, and masks what it saw.
 *
 * A gateway of uWSGI: its master starts it, and another when it dies. For each question it starts `py-spy dump` and, at the
 * end of its pipe, `python -m heka_raven.eyes.reader`; both are ended after a time, and counted. Only with
 * sentry-watch-values = true.
 */
#ifndef HK_READER_H
#define HK_READER_H

#include "../core/hk.h"

#include <sys/types.h>

void hk_reader_make(void); /* in the master, before any fork */

/* Ask for the stack of a thread of a worker; the answer goes into hk_shared_outside_values. Its number; 0: there is no
 * reader. No lock, no allocation: a signal handler may call it. */
uint64_t hk_reader_ask(int worker, pid_t pid, uint64_t thread);

/* In a worker that crashed: wait for the answer, as long as sentry-watch-crash-wait says, and not for a reader that is
 * gone. */
void hk_reader_wait(int worker, uint64_t number);

/* The most that one question takes, with all tries: three seconds, or four times sentry-watch-patience. Nobody waits for it but
 * an event of a worker that lives on. */
unsigned hk_reader_most_ms(void);

/* Why there are no values: "none: …". */
const char *hk_reader_reason(uint32_t reason);

#endif
