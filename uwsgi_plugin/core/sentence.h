/* sentence.h: one sentence of what a server did to a process, or saw: an event's message. Pure.
 * tests/data/sentences.tsv holds it to heka_raven/events/server.py, which says the same of gunicorn.
 */
#ifndef HK_SENTENCE_H
#define HK_SENTENCE_H

#include "frames.h"
#include "watch.h"

typedef struct hk_sentence {
    const char *server; /* uWSGI */
    hk_watch_kind kind;
    hk_slice who;       /* "worker 2"; empty: no process */
    hk_slice request;   /* "GET /report/2026" as it was asked for; empty: not read yet */
    int has_request;
    uint64_t age_ms;    /* of the request */
    uint64_t limit_s;   /* of a time limit; 0: not known */
    int signal;
    int status;         /* of an exit; -1: not known */
    hk_slice words;     /* what the kind needs: of a queue, a limit, a storm, the task of a spooler */
    hk_slice doing;     /* "running", or "waiting on recv from 127.0.0.1:5432, tcp"; empty: not known */
    const hk_frame *place; /* where in Python; NULL: not known */
} hk_sentence;

/* Append it: one line, whatever the texts hold. */
void hk_sentence_put(const hk_sentence *s, hk_buf *out);

/* The frame that tells where it was: the innermost of the application, else of Python; NULL: there is none. */
const hk_frame *hk_sentence_place(const hk_frame *frames, size_t count);

/* What an event is grouped by: its kind, the transaction, and the function of its place, without a line. Three. */
void hk_sentence_fingerprint(hk_watch_kind kind, hk_slice transaction, const hk_frame *place, hk_pool *pool, hk_slice out[3]);

#endif
