/* answer.h: what only the application knows of the request on a core: it tells when it is asked, into the core's note,
 * and what its stack holds. */
#ifndef HK_ANSWER_H
#define HK_ANSWER_H

#include <stdint.h>

/* 0: it will answer; *values is the number of the question for the stack of this thread, with its values. */
int hk_answer_ask(int worker, uint64_t thread, uint64_t *values);
void hk_answer_wait(int worker, int core, uint64_t values);

#endif
