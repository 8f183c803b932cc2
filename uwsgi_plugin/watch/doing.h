/* doing.h: what a worker that lives does: whether it runs, how much, and what it waits for. In the master. */
#ifndef HK_DOING_H
#define HK_DOING_H

#include "snapshot.h"

/* Memory of zeros: nothing is known. */
typedef struct hk_doing {
    const char *state;    /* running, waiting, uninterruptible, stopped */
    hk_slice on;          /* what it waits for, masked; empty: it runs, or that is not known */
    hk_slice missing;     /* why it is not */
    const char *whose;    /* of which thread that is, where there are several; else NULL */
    int has_cpu;
    uint64_t cpu_percent; /* of one processor, since the request began, or since it was seen first */
} hk_doing;

void hk_doing_share(void);
void hk_doing_note(int worker); /* in each look: the CPU time that requests begin with */

/* Of the thread that has the request, where that is known, else of the main one. Before any signal: that ends the call in
 * which it waits. */
void hk_doing_read(int worker, const hk_snapshot *request, hk_pool *pool, hk_doing *out);

#endif
