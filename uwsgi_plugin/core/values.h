/* values.h: the stack of a worker with its values, in memory that the master shares: asked for by number, written by the
 * worker itself or by a reader, and believed by nobody who reads it.
 *
 * A writer counts before and after, as in note.h. It may stay torn for ever when the writer dies: nobody waits for it
 * longer than its time.
 */
#ifndef HK_VALUES_H
#define HK_VALUES_H

#include "frames.h"

#define HK_VALUES_MAX (240U * 1024U) /* bytes of one answer; eyes/running.py writes no more */

typedef struct hk_values {
    uint64_t asked;    /* the number of the last question, */
    uint64_t thread;   /* and the thread it is about; 0: that which is interrupted */
    uint64_t sequence; /* odd while the answer is written */
    uint64_t answered; /* which question it is to */
    uint32_t reason;   /* why there is none: the writer's own code */
    uint32_t n;
    char text[HK_VALUES_MAX];
} hk_values;

/* A question, whose number is never 0. Whoever was writing is not heard any more. */
uint64_t hk_values_ask(hk_values *v, uint64_t thread);

/* The answer to question number begins, goes on and ends. begin: 0; -1: that was not asked last, or another writes. */
int hk_values_begin(hk_values *v, uint64_t number);
int hk_values_add(hk_values *v, hk_slice piece); /* -1: too long: the answer is empty then */
void hk_values_end(hk_values *v, uint64_t number, uint32_t reason);

int hk_values_is_begun(const hk_values *v, uint64_t number);
int hk_values_is_done(const hk_values *v, uint64_t number);

/* A whole copy of the answer, in pool; empty: none, or it was torn. *reason as the writer said. */
hk_slice hk_values_get(const hk_values *v, uint64_t number, hk_pool *pool, uint32_t *reason);

/* The frames of an answer, outermost first, with the values as clean JSON: only what is an object of names, at most
 * HK_VALUES_DEPTH deep, with texts of valid UTF-8. NULL: the answer is no list of frames. */
#define HK_VALUES_DEPTH 8U
hk_frame *hk_values_frames(hk_slice answer, hk_pool *pool, size_t *count);

#endif
