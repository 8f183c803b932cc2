#include "eyes.h"

#include "../edge/sys.h"
#include "reader.h"

#include <sys/prctl.h>

#ifndef PR_SET_PTRACER
#define PR_SET_PTRACER 0x59616d61
#endif
#define TRIES 100 /* to tell rules while another process does */

/* The last question about each worker to the reader, and about which request; in the master. */
typedef struct question {
    uint64_t start_us;
    uint64_t number;
    pid_t pid;
} question;

static question *questions;

/* ---- in a worker ---- */

/* sentry_rules(lines): what the application calls private, as eyes/rules.py writes it. Others have told theirs. */
static uint64_t note_rules(uint8_t argc, char **argv, uint16_t *argvs, char **out)
{
    const struct timespec step = { 0, 1000000 };
    int tries;

    (void)out;
    for (tries = 0; argc > 0 && tries < TRIES; tries++) {
        if (hk_roots_add(hk_shared_rules(), hk_slice_make(argv[0], argvs[0])) == 0)
            return 0;
        nanosleep(&step, NULL);
    }
    return 0;
}

/* sentry_values(): the question, "number thread"; sentry_values(number, piece, …): the answer, in pieces. The answer
 * begins with the question, so that who waits knows that it will come. */
static uint64_t values(uint8_t argc, char **argv, uint16_t *argvs, char **out)
{
    hk_values *v;
    uint64_t number;
    char text[64];
    int i;

    if (!hk_shared_is_worker())
        return 0;
    v = hk_shared_own_values(uwsgi.mywid);
    if (argc == 0) {
        number = __atomic_load_n(&v->asked, __ATOMIC_ACQUIRE);
        if (hk_values_is_done(v, number) || hk_values_begin(v, number) < 0)
            return 0;
        snprintf(text, sizeof text, "%llu %llu", (unsigned long long)number, (unsigned long long)v->thread);
        *out = uwsgi_str(text);
        return strlen(*out);
    }
    number = strtoull(argv[0], NULL, 10); /* uWSGI ends each argument with a zero */
    for (i = 1; i < argc; i++)
        if (hk_values_add(v, hk_slice_make(argv[i], argvs[i])) < 0)
            break;
    hk_values_end(v, number, 0);
    return 0;
}

void hk_eyes_register(struct uwsgi_plugin *plugin)
{
    uint64_t (*functions[])(uint8_t, char **, uint16_t *, char **) = { note_rules, values };
    static char *const names[] = { "sentry_rules", "sentry_values" };
    void *func;
    size_t i;

    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        memcpy(&func, &functions[i], sizeof func);
        uwsgi_register_rpc(names[i], plugin, 0, func);
    }
}

void hk_eyes_allow(void)
{
    if (!hk_settings.watch_values)
        return;
    /* Who is told of a kernel without Yama need not know. The master and its children: the reader is one. */
    (void)prctl(PR_SET_PTRACER, (unsigned long)uwsgi.workers[0].pid, 0, 0, 0);
    if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 1)
        (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

/* ---- in the master ---- */

void hk_eyes_ask_outside(int worker, const hk_snapshot *suspect)
{
    pid_t pid = uwsgi.workers[worker].pid;
    question *q;

    if (!hk_settings.watch_values || pid <= 0)
        return;
    if (questions == NULL)
        questions = uwsgi_calloc(((size_t)uwsgi.numproc + 1) * sizeof *questions);
    q = &questions[worker];
    if (q->number != 0 && q->pid == pid && q->start_us == suspect->start_us)
        return;
    q->pid = pid;
    q->start_us = suspect->start_us;
    q->number = hk_reader_ask(worker, pid, suspect->thread_id);
}

void hk_eyes_add_outside(int worker, const hk_snapshot *suspect, hk_asked *asked)
{
    const question *q = questions == NULL ? NULL : &questions[worker];

    if (q != NULL && q->pid == uwsgi.workers[worker].pid && q->start_us == suspect->start_us)
        asked->outside = q->number;
}

void hk_eyes_look_outside(int worker, const hk_snapshot *request, hk_asked *asked)
{
    hk_eyes_add_outside(worker, request, asked);
    if (asked->outside == 0 && hk_settings.watch_values && uwsgi.workers[worker].pid > 0)
        asked->outside = hk_reader_ask(worker, uwsgi.workers[worker].pid, request->thread_id);
}

void hk_eyes_drop(int worker, const hk_asked *asked)
{
    int is_own = asked->own == 0 || hk_shared_own_values(worker)->asked == asked->own;
    int is_outside = asked->outside == 0 || hk_shared_outside_values(worker)->asked == asked->outside;

    if (is_own && is_outside && (questions == NULL || questions[worker].number == 0))
        hk_shared_clear_values(worker);
}

void hk_eyes_clear(int worker)
{
    hk_shared_clear_values(worker);
    if (questions != NULL)
        questions[worker].number = 0;
}

int hk_eyes_are_reading(int worker, const hk_asked *asked)
{
    return asked->outside != 0 && !hk_values_is_done(hk_shared_outside_values(worker), asked->outside);
}

static hk_frame *take(const hk_values *v, uint64_t number, hk_pool *pool, size_t *count, uint32_t *reason)
{
    return number == 0 ? NULL : hk_values_frames(hk_values_get(v, number, pool, reason), pool, count);
}

hk_frame *hk_eyes_take(int worker, const hk_asked *asked, hk_pool *pool, size_t *count, const char **why)
{
    const hk_values *outside;
    uint32_t reason = 0;
    hk_frame *frames;

    *why = NULL;
    *count = 0;
    if (worker <= 0 || (asked->own == 0 && asked->outside == 0))
        return NULL;
    *why = "told by the worker";
    frames = take(hk_shared_own_values(worker), asked->own, pool, count, &reason);
    if (frames != NULL)
        return frames;
    if (asked->outside == 0) {
        *why = hk_values_is_done(hk_shared_own_values(worker), asked->own) ? "none: the application shows none"
            : hk_settings.watch_values ? "none: no reader"
            : "none: Python did not run in the main thread (see sentry-watch-values)";
        return NULL;
    }
    outside = hk_shared_outside_values(worker);
    *why = "read from outside";
    frames = take(outside, asked->outside, pool, count, &reason);
    if (frames == NULL)
        *why = hk_values_is_done(outside, asked->outside) ? hk_reader_reason(reason) : "none: the reader had no time";
    return frames;
}
