#include "top.h"

#include "../core/scrub_kept.h"
#include "../edge/statefile.h"
#include "../edge/sys.h"
#include "../server/server_spool.h"
#include "live.h"
#include "report.h"
#include "stack.h"

#include <fcntl.h>
#include <sys/stat.h>

#define LEASE_S 5       /* who asked so long ago has gone */
#define STACK_MS 400U   /* a stack that was asked for is read after that, as in live.c */
#define MOST 256U       /* requests that are told */

static char name[64]; /* of our file; empty: none is written */
static int stack_of;  /* the worker that was asked for its stack; 0: none */
static uint64_t stack_asked_ms;

/* Whether somebody asks now; and for whose stack, 0: nobody's. */
static int is_asked(int *stack)
{
    char path[4096], text[32] = "";
    const char *spool = getenv(HK_SPOOL_ENVIRONMENT);
    struct stat st;
    ssize_t n;
    int fd, asked;

    *stack = 0;
    if (spool == NULL || snprintf(path, sizeof path, "%s/state/top", spool) >= (int)sizeof path || lstat(path, &st) != 0
        || !S_ISREG(st.st_mode) || st.st_mtime + LEASE_S < time(NULL))
        return 0;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return 0;
    n = read(fd, text, sizeof text - 1);
    asked = n >= 0;
    close(fd);
    if (n > 6 && memcmp(text, "stack ", 6) == 0)
        *stack = (int)strtol(text + 6, NULL, 10);
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
    if (stack_of == 0 || stack_asked_ms == 0 || hk_sys_monotonic_ms() - stack_asked_ms < STACK_MS)
        return;
    hk_json_key(j, hk_slice_of("stack"), HK_JSON_NO_LIMIT);
    hk_json_open(j, '{');
    put_number(j, "worker", (uint64_t)stack_of);
    hk_json_pair(j, "text", hk_stack_read(stack_of, pool), 65536);
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
static void ask_for_stack(int worker)
{
    if (worker == stack_of)
        return;
    if (stack_of != 0 && stack_asked_ms != 0 && !hk_live_waits(stack_of))
        hk_stack_clear(stack_of);
    stack_of = 0;
    stack_asked_ms = 0;
    if (worker <= 0 || worker > uwsgi.numproc || hk_live_waits(worker))
        return;
    stack_of = worker;
    if (hk_stack_ask(worker) == 0)
        stack_asked_ms = hk_sys_monotonic_ms();
}

void hk_top_look(void)
{
    hk_spool *spool;
    hk_pool pool;
    char temporary[64];
    hk_buf text;
    int stack;

    if (!is_asked(&stack)) {
        hk_top_close();
        return;
    }
    spool = hk_server_spool_get();
    if (spool == NULL || spool->state_fd < 0)
        return;
    ask_for_stack(stack);
    hk_pool_init(&pool);
    hk_buf_init(&text, 2U << 20);
    put_all(uwsgi_micros(), &text, &pool);
    if (hk_buf_ok(&text) && !pool.failed) {
        snprintf(name, sizeof name, "top-%d.json", (int)getpid());
        snprintf(temporary, sizeof temporary, ".top-%d", (int)getpid());
        (void)hk_statefile_replace(spool->state_fd, name, temporary, hk_buf_slice(&text), spool->uid, spool->gid);
    }
    hk_buf_free(&text);
    hk_pool_free(&pool);
}

void hk_top_close(void)
{
    hk_spool *spool = name[0] == '\0' ? NULL : hk_server_spool_get();

    ask_for_stack(0);
    if (spool != NULL && spool->state_fd >= 0)
        unlinkat(spool->state_fd, name, 0);
    name[0] = '\0';
}
