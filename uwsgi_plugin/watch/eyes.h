/* eyes.h: the stack of a suspect with its values: who was asked for it, and what came of that. */
#ifndef HK_EYES_H
#define HK_EYES_H

#include "snapshot.h"

/* Questions about one thread of one worker, of core/values.h; zeros: nobody was asked. */
typedef struct hk_asked {
    uint64_t own;     /* of the worker itself */
    uint64_t outside; /* of the reader */
    uint64_t thread;
} hk_asked;

/* In a worker: what it answers with; and whether others may look into it, where the ini wants them to. */
void hk_eyes_register(struct uwsgi_plugin *plugin);
void hk_eyes_allow(void);

/* In the master. Ask the reader; it is never waited for. Of one request once, until hk_eyes_clear. */
void hk_eyes_ask_outside(int worker, const hk_snapshot *suspect);
void hk_eyes_add_outside(int worker, const hk_snapshot *suspect, hk_asked *asked); /* what was asked of this request */
/* For who only looks (top.h): of this question no event will be made. One about the same request is shared. */
void hk_eyes_look_outside(int worker, const hk_snapshot *request, hk_asked *asked);
int hk_eyes_are_reading(int worker, const hk_asked *asked); /* the reader may have an answer soon */

/* The frames, in pool; NULL: there are none. *why, if not NULL, says where they are from, or why there are none; NULL:
 * nobody was asked. */
hk_frame *hk_eyes_take(int worker, const hk_asked *asked, hk_pool *pool, size_t *count, const char **why);

void hk_eyes_clear(int worker); /* the answers are read, or of nobody any more */
void hk_eyes_drop(int worker, const hk_asked *asked); /* likewise, unless somebody has asked since */

#endif
