#include "top.h"

#include "../core/scrub_kept.h"
#include "../edge/kernel.h"
#include "../edge/statefile.h"
#include "../edge/sys.h"
#include "../server/server_spool.h"
#include "answer.h"
#include "eyes.h"
#include "live.h"
#include "report.h"
#include "stack.h"

#include <fcntl.h>
#include <sys/stat.h>

#define LEASE_S 5       /* who asked so long ago has gone */
#define STACK_MS 400U   /* a stack that was asked for is read after that, and its values as soon as they are there, */
#define READER_MS 3500U /* at last after that, of a reader too: who looks waits six seconds */
#define MOST 256U       /* requests that are told */
#define MAX_FILE (4U << 20) /* bytes; spool/in_flight.py reads no more */

static char name[96]; /* of our file; empty: none is written */

/* The request whose stack somebody wants to see. */
static struct {
    int worker, core; /* 0: none */
    pid_t pid;
    int told;         /* its worker was asked for its stack */
    uint64_t asked_ms;
    uint64_t start_us; /* 0: none was in flight */
    hk_asked asked;
} stack;

/* Whether somebody asks now; and for whose stack, worker 0: nobody's. */
static int is_asked(int *worker, int *core)
{
    char path[4096], text[128] = "", *end;
    const char *spool = getenv(HK_SPOOL_ENVIRONMENT);
    time_t now = time(NULL);
    struct stat st;
    ssize_t n;
    int fd, asked;

    *worker = *core = 0;
    if (spool == NULL || snprintf(path, sizeof path, "%s/state/top", spool) >= (int)sizeof path || lstat(path, &st) != 0
        || !S_ISREG(st.st_mode) || st.st_mtime + LEASE_S < now || st.st_mtime - LEASE_S > now) /* the clock was set back */
        return 0;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return 0;
    n = read(fd, text, sizeof text - 1);
    asked = n >= 0;
    close(fd);
    if (n > 6 && memcmp(text, "stack ", 6) == 0) {
        *worker = (int)strtol(text + 6, &end, 10);
        *core = (int)strtol(end, &end, 10);
        /* Of another server that shares the spool: its worker is meant. */
        if (strtol(end, &end, 10) != getpid() || strtoull(end, NULL, 10) != hk_kernel_pid_namespace())
            *worker = *core = 0;
    }
    return asked;
}

static void put_number(hk_json *j, const char *key, uint64_t value)
{
    hk_json_key(j, hk_slice_of(key), HK_JSON_NO_LIMIT);
    hk_json_u64(j, value);
}

static void put_request(hk_json *j, const hk_snapshot *s, uint64_t now_us, hk_pool *pool)
{
    pid_t tid = *hk_shared_thread(s->worker, s->core);
    hk_inflight request;
    hk_slice user;

    hk_snapshot_describe(s, now_us, pool, &request);
    request.transaction = hk_inflight_transaction(&request, pool);
    user = hk_scrub_user(&hk_settings.scrub, hk_inflight_user(s->user, s->vars, hk_settings.scrub.send_pii, pool), pool);
    hk_json_open(j, '{');
    hk_json_key(j, hk_slice_of("request"), HK_JSON_NO_LIMIT);
    hk_inflight_put(j, &request);
    put_number(j, "start", s->start_us);
    put_number(j, "tid", tid > 0 ? (uint64_t)tid : request.pid);
    put_number(j, "thread", s->thread_id);
    if (user.n > 0) {
        hk_json_key(j, hk_slice_of("user"), HK_JSON_NO_LIMIT);
        hk_json_raw(j, user);
    }
    hk_json_close(j, '}');
}

static void put_stack(hk_json *j, hk_pool *pool)
{
    static const hk_frames_parts parts = { .lines = 0, .vars = 1 };
    uint64_t passed_ms = hk_sys_monotonic_ms() - stack.asked_ms;
    const char *why;
    hk_frame *frames;
    size_t count;

    if (stack.worker == 0 || stack.pid != uwsgi.workers[stack.worker].pid || passed_ms < STACK_MS || (passed_ms < READER_MS && hk_eyes_are_reading(stack.worker, &stack.asked)))
        return;
    frames = hk_eyes_take(stack.worker, &stack.asked, pool, &count, &why);
    hk_json_key(j, hk_slice_of("stack"), HK_JSON_NO_LIMIT);
    hk_json_open(j, '{');
    put_number(j, "worker", (uint64_t)stack.worker);
    put_number(j, "core", (uint64_t)stack.core);
    put_number(j, "start", stack.start_us);
    hk_json_pair(j, "values", hk_slice_of(why != NULL ? why : "none: this worker tells none (see sentry-watch-values)"), 200);
    if (stack.told)
        hk_json_pair(j, "text", hk_stack_read(stack.worker, pool), 65536);
    if (frames != NULL)
        hk_frames_put(j, frames, count, 1, parts);
    hk_json_close(j, '}');
}

static void put_all(uint64_t now_us, hk_buf *out, hk_pool *pool)
{
    hk_snapshot one;
    unsigned n = 0;
    int w, c;
    hk_json j;

    hk_json_init(&j, out);
    hk_json_open(&j, '{');
    put_number(&j, "format", 1);
    hk_json_pair(&j, "server", hk_slice_of("uWSGI"), 32);
    put_number(&j, "pid", (uint64_t)getpid());
    put_number(&j, "pid_namespace", hk_kernel_pid_namespace());
    put_number(&j, "at_us", now_us);
    hk_json_key(&j, hk_slice_of("requests"), HK_JSON_NO_LIMIT);
    hk_json_open(&j, '[');
    for (w = 1; w <= uwsgi.numproc; w++)
        for (c = 0; c < uwsgi.cores && n < MOST; c++)
            if (uwsgi.workers[w].cores != NULL && uwsgi.workers[w].pid > 0 && hk_snapshot_core(w, c, pool, &one)) {
                put_request(&j, &one, now_us, pool);
                n++;
            }
    hk_json_close(&j, ']');
    put_stack(&j, pool);
    hk_json_close(&j, '}');
}

/* Ask for it once; it is read in a later look. A worker whose stack is being read for an event is left alone. */
static void ask_for_stack(int worker, int core)
{
    hk_snapshot request;
    hk_pool pool;

    if (worker == stack.worker && core == stack.core)
        return;
    if (stack.worker != 0 && !hk_live_waits(stack.worker)) {
        if (stack.told)
            hk_stack_clear(stack.worker);
        hk_eyes_drop(stack.worker, &stack.asked);
    }
    memset(&stack, 0, sizeof stack);
    if (worker <= 0 || worker > uwsgi.numproc || core < 0 || core >= uwsgi.cores || uwsgi.workers[worker].cores == NULL
        || uwsgi.workers[worker].pid <= 0 || hk_live_waits(worker))
        return;
    stack.worker = worker;
    stack.core = core;
    stack.pid = uwsgi.workers[worker].pid;
    stack.asked_ms = hk_sys_monotonic_ms();
    hk_pool_init(&pool);
    if (hk_snapshot_core(worker, core, &pool, &request)) { /* before the signal, which can end what it waits for */
        stack.start_us = request.start_us;
        stack.told = hk_stack_ask(worker) == 0;
        stack.asked.thread = request.thread_id;
        (void)hk_answer_ask(worker, request.thread_id, &stack.asked.own);
        hk_eyes_look_outside(worker, &request, &stack.asked);
    }
    hk_pool_free(&pool);
}

void hk_top_look(void)
{
    hk_spool *spool;
    hk_pool pool;
    char temporary[96];
    unsigned long long space; /* two containers may share a spool, and in each the server is number 1 */
    hk_buf text;
    int worker, core;

    if (!is_asked(&worker, &core)) {
        hk_top_close();
        return;
    }
    spool = hk_server_spool_get();
    if (spool == NULL || spool->state_fd < 0)
        return;
    ask_for_stack(worker, core);
    hk_pool_init(&pool);
    hk_buf_init(&text, MAX_FILE);
    put_all(uwsgi_micros(), &text, &pool);
    if (hk_buf_ok(&text) && !pool.failed) {
        space = hk_kernel_pid_namespace();
        snprintf(name, sizeof name, "top-%d-%llu.json", (int)getpid(), space);
        snprintf(temporary, sizeof temporary, ".top-%d-%llu", (int)getpid(), space);
        (void)hk_statefile_replace(spool->state_fd, name, temporary, hk_buf_slice(&text), spool->uid, spool->gid);
    }
    hk_buf_free(&text);
    hk_pool_free(&pool);
}

void hk_top_close(void)
{
    hk_spool *spool = name[0] == '\0' ? NULL : hk_server_spool_get();

    ask_for_stack(0, 0);
    if (spool != NULL && spool->state_fd >= 0)
        unlinkat(spool->state_fd, name, 0);
    name[0] = '\0';
}
