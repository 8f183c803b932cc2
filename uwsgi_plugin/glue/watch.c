/* watch.c: harakiri, crashes, kills, full queues and slow requests, with the request and the Python stack.
 *
 * Runs in the master: from its cycle, and from the harakiri just before a kill. In a worker only a signal handler
 * writes one number into shared memory. Nothing in a crash path takes a lock or allocates.
 */
#include "glue.h"

#include "../core/watch.h"
#include "../edge/sys.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define STACK_SIGNAL (SIGRTMIN + 5) /* uwsgi_bridge.py registers faulthandler on it */
#define STACK_WAIT_MS 100
#define STACK_MAX 65536

typedef struct slot {
    pid_t ready; /* the process whose faulthandler is registered: no other is ever signalled */
    int noted;   /* the crash signal that its handler saw */
} slot;

static unsigned mask;
static slot *slots;         /* shared, by worker */
static int *stack_fds;      /* a memfd a worker, made before any fork: it outlives the worker */
static int python_fd = -1;  /* the number that Python's faulthandler writes to; each worker has its own memfd under it */
static int registered_here; /* this process, or the one it was forked from, registered faulthandler */
static pid_t *harakiri_pid, *dead_pid;
static uint64_t (*slow_seen)[2]; /* by worker and core: start of the request that was reported */
static struct sigaction previous[64];
static hk_glue_handler handler;
static int queue_full;
static time_t deaths[64];
static unsigned death_count;
static time_t storm_said;
static uint64_t oom_kills;
static const int crash_signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };

static int on(hk_watch_kind kind)
{
    return (mask & 1U << kind) != 0;
}

/* ---- in the worker ---- */

static void note(int signum, siginfo_t *info, void *context)
{
    const struct sigaction *old = &previous[signum];

    if (slots != NULL && uwsgi.mywid > 0 && uwsgi.mywid <= uwsgi.numproc)
        __atomic_store_n(&slots[uwsgi.mywid].noted, signum, __ATOMIC_RELEASE);
    if ((old->sa_flags & SA_SIGINFO) != 0 && old->sa_sigaction != NULL) {
        old->sa_sigaction(signum, info, context);
    } else if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN) {
        old->sa_handler(signum);
    } else {
        signal(signum, SIG_DFL);
        raise(signum);
    }
}

void hk_watch_worker_start(void)
{
    struct sigaction action;
    size_t i;

    if (mask == 0 || slots == NULL || uwsgi.mywid <= 0 || uwsgi.mywid > uwsgi.numproc)
        return;
    slots[uwsgi.mywid].noted = 0;
    if (python_fd >= 0 && stack_fds[uwsgi.mywid] >= 0 && dup2(stack_fds[uwsgi.mywid], python_fd) >= 0)
        slots[uwsgi.mywid].ready = registered_here ? getpid() : 0;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = note;
    action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    for (i = 0; i < sizeof crash_signals / sizeof crash_signals[0]; i++)
        sigaction(crash_signals[i], &action, &previous[crash_signals[i]]);
}

/* sentry_stack_fd(): the number faulthandler is to write to; nothing when nobody watches. */
static uint64_t stack_fd(uint8_t argc, char **argv, uint16_t *argvs, char **out)
{
    (void)argc;
    (void)argv;
    (void)argvs;
    if (mask == 0 || python_fd < 0)
        return 0;
    *out = uwsgi_num2str(python_fd);
    return strlen(*out);
}

/* sentry_stack_ready(): faulthandler is registered, in this process and those forked from it. */
static uint64_t stack_ready(uint8_t argc, char **argv, uint16_t *argvs, char **out)
{
    (void)argc;
    (void)argv;
    (void)argvs;
    (void)out;
    registered_here = 1;
    if (slots != NULL && uwsgi.mywid > 0 && uwsgi.mywid <= uwsgi.numproc)
        __atomic_store_n(&slots[uwsgi.mywid].ready, getpid(), __ATOMIC_RELEASE);
    return 0;
}

/* ---- at start ---- */

static int make_memfd(void)
{
    return (int)syscall(SYS_memfd_create, "heka-raven-stack", 1U /* MFD_CLOEXEC */);
}

static uint64_t count_oom_kills(void)
{
    char path[4200], line[4096], *p;
    uint64_t kills = 0;
    FILE *f = fopen("/proc/self/cgroup", "r");

    path[0] = '\0';
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, "0::", 3) == 0) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.events", line + 3);
        }
    if (f != NULL)
        fclose(f);
    f = path[0] == '\0' ? NULL : fopen(path, "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if ((p = strstr(line, "oom_kill ")) == line)
            kills = strtoull(p + 9, NULL, 10);
    if (f != NULL)
        fclose(f);
    return kills;
}

void hk_watch_share(void)
{
    size_t n = (size_t)uwsgi.numproc + 1, i;

    if (hk_glue.watch == NULL)
        return;
    if (hk_watch_parse(hk_slice_of(hk_glue.watch), &mask) < 0) {
        hk_sys_log("[sentry] sentry-watch: true, or a list of harakiri, segfault, abort, killed, exit, listen-queue, "
                   "memory, respawn-storm, slow; nothing is watched");
        mask = 0;
        return;
    }
    hk_entry_configure(&handler, "sentry-watch", "logger=uwsgi.watch");
    if (handler.off || !uwsgi.master_process) {
        if (!uwsgi.master_process)
            hk_sys_log("[sentry] sentry-watch: no master, so nobody watches");
        mask = 0;
        return;
    }
    slots = uwsgi_calloc_shared(n * sizeof *slots);
    stack_fds = uwsgi_calloc(n * sizeof *stack_fds);
    harakiri_pid = uwsgi_calloc(n * sizeof *harakiri_pid);
    dead_pid = uwsgi_calloc(n * sizeof *dead_pid);
    slow_seen = uwsgi_calloc(n * (size_t)uwsgi.cores * sizeof *slow_seen);
    python_fd = make_memfd();
    uwsgi_add_safe_fd(python_fd);
    for (i = 0; i < n; i++) {
        stack_fds[i] = make_memfd();
        uwsgi_add_safe_fd(stack_fds[i]);
    }
    oom_kills = count_oom_kills();
}

void hk_watch_register(void)
{
    uint64_t (*functions[2])(uint8_t, char **, uint16_t *, char **) = { stack_fd, stack_ready };
    static char *const names[2] = { "sentry_stack_fd", "sentry_stack_ready" };
    void *func;
    int i;

    for (i = 0; i < 2; i++) {
        memcpy(&func, &functions[i], sizeof func);
        uwsgi_register_rpc(names[i], &sentry_plugin, 0, func);
    }
}

/* ---- the Python stack ---- */

static hk_slice read_stack(int worker, hk_pool *pool)
{
    struct stat st;
    char *text;
    ssize_t n;

    if (fstat(stack_fds[worker], &st) < 0 || st.st_size == 0)
        return hk_slice_make("", 0);
    text = hk_pool_alloc(pool, STACK_MAX);
    n = text == NULL ? 0 : pread(stack_fds[worker], text, STACK_MAX, 0);
    return hk_slice_make(n > 0 ? text : "", n > 0 ? (size_t)n : 0);
}

static void clear_stack(int worker)
{
    if (ftruncate(stack_fds[worker], 0) == 0)
        lseek(stack_fds[worker], 0, SEEK_SET);
}

/* Ask a worker that is about to be killed; at most 100 ms. */
static hk_slice ask_stack(int worker, hk_pool *pool)
{
    const struct timespec step = { 0, 2000000 };
    pid_t pid = uwsgi.workers[worker].pid;
    off_t last = 0;
    struct stat st;
    int ms;

    if (pid <= 0 || __atomic_load_n(&slots[worker].ready, __ATOMIC_ACQUIRE) != pid)
        return hk_slice_make("", 0);
    clear_stack(worker);
    if (kill(pid, STACK_SIGNAL) < 0)
        return hk_slice_make("", 0);
    for (ms = 0; ms < STACK_WAIT_MS; ms += 2) {
        nanosleep(&step, NULL);
        if (fstat(stack_fds[worker], &st) == 0 && st.st_size > 0 && st.st_size == last)
            break;
        last = st.st_size;
    }
    return read_stack(worker, pool);
}

/* ---- reporting ---- */

static void put_number(hk_pair *pair, const char *key, uint64_t value, hk_pool *pool)
{
    hk_buf b;

    hk_buf_init(&b, 32);
    hk_buf_put_u64(&b, value);
    pair->key = hk_slice_of(key);
    pair->value = hk_pool_keep(pool, hk_buf_slice(&b));
    hk_buf_free(&b);
}

static void report(hk_watch_kind kind, int worker, int signum, const hk_snapshot *suspect, hk_slice stack, hk_pool *pool)
{
    struct uwsgi_worker *w = &uwsgi.workers[worker];
    hk_pair extra[10], tag = { hk_slice_of("uwsgi.event"), hk_slice_of(hk_watch_name(kind)) };
    hk_slice fingerprint[3];
    hk_capture_facts facts;
    hk_request request;
    hk_buf words;
    size_t n = 0;

    memset(&facts, 0, sizeof facts);
    hk_request_read(suspect->vars, pool, &request);
    facts.vars = suspect->vars;
    facts.frames = hk_watch_stack(stack, suspect->thread_id, pool, &facts.frame_count);
    hk_buf_init(&words, 4096);
    hk_buf_puts(&words, hk_watch_name(kind));
    if (worker > 0) {
        hk_buf_puts(&words, ": worker ");
        hk_buf_put_u64(&words, (uint64_t)worker);
        put_number(&extra[n++], "worker", (uint64_t)worker, pool);
        put_number(&extra[n++], "pid", (uint64_t)w->pid, pool);
        put_number(&extra[n++], "worker_requests", w->requests, pool);
        put_number(&extra[n++], "rss_bytes", w->rss_size, pool);
    }
    if (signum > 0)
        put_number(&extra[n++], kind == HK_WATCH_EXIT ? "exit_status" : "signal", (uint64_t)signum, pool);
    if (request.method.n > 0) {
        hk_buf_puts(&words, ", ");
        hk_buf_slice_put(&words, request.method);
        hk_buf_putc(&words, ' ');
        hk_buf_slice_put(&words, request.path);
        put_number(&extra[n++], "core", (uint64_t)suspect->core, pool);
        put_number(&extra[n++], "request_age_ms", suspect->age_ms, pool);
    }
    extra[n].key = hk_slice_of("other_requests");
    extra[n].value = hk_snapshot_others(worker, suspect->core, pool);
    n += extra[n].value.n > 0;
    extra[n].key = hk_slice_of("uwsgi_version");
    extra[n++].value = hk_slice_of(UWSGI_VERSION);
    facts.message = hk_pool_keep(pool, hk_buf_slice(&words));
    facts.exception_type = worker > 0 ? hk_slice_of(hk_watch_name(kind)) : hk_slice_make("", 0);
    facts.exception_value = worker > 0 ? facts.message : hk_slice_make("", 0);
    facts.level = hk_slice_of(hk_watch_level(kind));
    facts.mechanism = "uwsgi.watch";
    facts.extra = extra;
    facts.extra_count = n;
    facts.tags = &tag;
    facts.tag_count = 1;
    fingerprint[0] = tag.value;
    fingerprint[1] = request.path.n > 0 ? request.path : hk_slice_of("-");
    fingerprint[2] = facts.frame_count > 0 && facts.frames[facts.frame_count - 1].function.n > 0
        ? facts.frames[facts.frame_count - 1].function : hk_slice_of("-");
    facts.fingerprint = fingerprint;
    facts.fingerprint_count = 3;
    hk_entry_report(&handler, &facts);
    hk_buf_free(&words);
}

void hk_watch_harakiri(int worker)
{
    hk_snapshot suspect;
    hk_pool pool;

    if (slots == NULL || worker <= 0 || worker > uwsgi.numproc || harakiri_pid[worker] == uwsgi.workers[worker].pid)
        return;
    harakiri_pid[worker] = uwsgi.workers[worker].pid;
    if (!on(HK_WATCH_HARAKIRI))
        return;
    hk_pool_init(&pool);
    /* The snapshot first: the signal can interrupt a sleep and let the request finish. */
    (void)hk_snapshot_oldest(worker, &pool, &suspect);
    report(HK_WATCH_HARAKIRI, worker, 0, &suspect, ask_stack(worker, &pool), &pool);
    hk_pool_free(&pool);
}

int hk_watch_reports_crash(hk_slice alarm)
{
    static const char start[] = "*** backtrace of ";
    uint64_t pid = 0;
    size_t at;
    int i;

    if (!on(HK_WATCH_SEGFAULT) || !hk_slice_starts(alarm, start))
        return 0;
    for (at = sizeof start - 1; at < alarm.n && alarm.p[at] >= '0' && alarm.p[at] <= '9' && pid < 100000000U; at++)
        pid = pid * 10 + (uint64_t)(alarm.p[at] - '0');
    for (i = 1; i <= uwsgi.numproc; i++)
        if ((uint64_t)uwsgi.workers[i].pid == pid || (uint64_t)dead_pid[i] == pid)
            return 1;
    return 0;
}

/* ---- the master's cycle ---- */

static void count_death(void)
{
    time_t now = uwsgi_now(), oldest;
    unsigned limit = hk_glue.storm_deaths > 0 && hk_glue.storm_deaths <= 64 ? (unsigned)hk_glue.storm_deaths : 5;
    hk_snapshot none;
    hk_pool pool;

    oldest = deaths[(death_count + 64 - limit + 1) % 64];
    deaths[death_count++ % 64] = now;
    if (!on(HK_WATCH_STORM) || death_count < limit || now - oldest > hk_glue.storm_s || now - storm_said < hk_glue.storm_s)
        return;
    storm_said = now;
    memset(&none, 0, sizeof none);
    hk_pool_init(&pool);
    report(HK_WATCH_STORM, 0, 0, &none, hk_slice_make("", 0), &pool);
    hk_pool_free(&pool);
}

static void look_at_death(int worker, const siginfo_t *info)
{
    struct uwsgi_worker *w = &uwsgi.workers[worker];
    rlim_t rss = (rlim_t)w->rss_size;
    hk_watch_death d;
    hk_watch_kind kind;
    hk_snapshot suspect;
    uint64_t kills;
    hk_pool pool;

    memset(&d, 0, sizeof d);
    d.exited = info->si_code == CLD_EXITED;
    d.status = info->si_status;
    d.noted_signal = slots[worker].noted;
    d.harakiri = harakiri_pid[worker] == w->pid;
    d.wanted = w->cursed_at > 0 || uwsgi_instance_is_dying || uwsgi_instance_is_reloading;
    d.over_memory = (uwsgi.reload_on_rss > 0 && rss >= uwsgi.reload_on_rss)
        || (uwsgi.evil_reload_on_rss > 0 && rss >= uwsgi.evil_reload_on_rss);
    if (!d.exited && d.status == SIGKILL) {
        kills = count_oom_kills();
        d.oom_killed = kills > oom_kills;
        oom_kills = kills;
    }
    kind = hk_watch_classify(&d);
    if (!d.wanted)
        count_death();
    if (kind == HK_WATCH_NONE || !on(kind))
        return;
    hk_pool_init(&pool);
    (void)hk_snapshot_oldest(worker, &pool, &suspect);
    report(kind, worker, d.noted_signal != 0 ? d.noted_signal : d.status, &suspect, read_stack(worker, &pool), &pool);
    hk_pool_free(&pool);
    clear_stack(worker);
}

static void look_for_slow(int worker)
{
    hk_snapshot s;
    hk_pool pool;
    int core;

    hk_pool_init(&pool);
    for (core = 0; core < uwsgi.cores; core++) {
        uint64_t *seen = slow_seen[(size_t)worker * (size_t)uwsgi.cores + (size_t)core];
        if (!hk_snapshot_core(worker, core, &pool, &s) || s.age_ms < (uint64_t)hk_glue.watch_slow_s * 1000
            || seen[0] == s.start_us)
            continue;
        seen[0] = s.start_us;
        report(HK_WATCH_SLOW, worker, 0, &s, hk_slice_make("", 0), &pool);
    }
    hk_pool_free(&pool);
}

static void look_at_queue(void)
{
    uint64_t limit = (uint64_t)uwsgi.listen_queue * (uint64_t)(hk_glue.watch_backlog > 0 ? hk_glue.watch_backlog : 100) / 100;
    hk_snapshot none;
    hk_pool pool;

    if (uwsgi.shared->backlog < (limit > 0 ? limit : 1)) {
        queue_full = 0;
        return;
    }
    if (queue_full)
        return;
    queue_full = 1;
    memset(&none, 0, sizeof none);
    hk_pool_init(&pool);
    report(HK_WATCH_LISTEN_QUEUE, 0, 0, &none, hk_slice_make("", 0), &pool);
    hk_pool_free(&pool);
}

void hk_watch_cycle(void)
{
    siginfo_t info;
    int i;

    if (mask == 0 || slots == NULL)
        return;
    for (i = 1; i <= uwsgi.numproc; i++) {
        pid_t pid = uwsgi.workers[i].pid;
        if (pid <= 0 || dead_pid[i] == pid)
            continue;
        memset(&info, 0, sizeof info);
        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid) {
            dead_pid[i] = pid;
            look_at_death(i, &info);
        } else if (on(HK_WATCH_SLOW) && hk_glue.watch_slow_s > 0) {
            look_for_slow(i);
        }
    }
    if (on(HK_WATCH_LISTEN_QUEUE))
        look_at_queue();
}
