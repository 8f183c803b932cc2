#include "reader.h"

#include "../edge/kernel.h"
#include "../edge/sys.h"
#include "../server/server_spool.h"
#include "programs.h"
#include "shared.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define READ_MS 3000U /* for one question */
#define TRIES 3       /* what is read while it changes may make no sense */
#define SAY_MS 60000U /* between two lines about one reason */
#define ADDRESS_SPACE (1024UL * 1024 * 1024) /* of py-spy and the masker, bytes */
#define MAX_FD 65536
#define NO_FRAMES 3 /* the masker's exit status: py-spy said nothing of this thread */

typedef enum reason { GOT, NOT_INSTALLED, NOT_PERMITTED, TOO_LONG, FAILED, NO_PYTHON, NOTHING, TOO_EARLY, REASONS } reason;

static const char *const words[REASONS] = {
    "none: the reader said nonsense", "none: py-spy is not installed", "none: not permitted (ptrace)", "none: the reader took too long",
    "none: py-spy could not read the process", "none: no Python with heka-raven to mask them (see sentry-watch-python)",
    "none: py-spy saw no Python there", "none: the application has not said yet what is private",
};

typedef struct question {
    int worker;
    pid_t pid;
    uint64_t number;
} question;

typedef struct counts {
    pid_t reader;           /* 0: none yet */
    uint64_t lost[REASONS]; /* questions without an answer */
} counts;

static counts *shared;
static int ask_fd = -1, answer_fd = -1; /* the pipe of questions: everybody writes, the reader reads */
static ino_t ask_inode; /* of the pipe: the application may have closed the descriptor */
static char *python, *py_spy; /* paths; without a slash they are looked for */

const char *hk_reader_reason(uint32_t given)
{
    static char refused[160];
    const char *scope = given == NOT_PERMITTED ? hk_kernel_ptrace_scope("") : "";

    if (*scope == '\0')
        return given < REASONS ? words[given] : words[GOT];
    snprintf(refused, sizeof refused, "none: not permitted (ptrace; %s)", scope);
    return refused;
}

/* ---- who asks ---- */

uint64_t hk_reader_ask(int worker, pid_t pid, uint64_t thread)
{
    question q;
    struct stat now;
    pid_t reader;

    if (shared == NULL)
        return 0;
    reader = __atomic_load_n(&shared->reader, __ATOMIC_ACQUIRE);
    if (reader <= 0 || (kill(reader, 0) != 0 && errno == ESRCH) || fstat(ask_fd, &now) != 0 || !S_ISFIFO(now.st_mode)
        || now.st_ino != ask_inode)
        return 0;
    memset(&q, 0, sizeof q);
    q.worker = worker;
    q.pid = pid;
    q.number = hk_values_ask(hk_shared_outside_values(worker), thread);
    return write(ask_fd, &q, sizeof q) == (ssize_t)sizeof q ? q.number : 0; /* a full pipe: it has much to do */
}

unsigned hk_reader_most_ms(void)
{
    unsigned patient = 4U * (unsigned)hk_settings.watch_patience_ms;

    return patient > READ_MS ? patient : READ_MS;
}

void hk_reader_wait(int worker, uint64_t number)
{
    const struct timespec step = { 0, 2000000 };
    struct timespec from, now;
    long waited = 0;

    if (number == 0 || clock_gettime(CLOCK_MONOTONIC, &from) != 0)
        return;
    while (waited < hk_settings.watch_crash_wait_ms && !hk_values_is_done(hk_shared_outside_values(worker), number)
           && (kill(shared->reader, 0) == 0 || errno != ESRCH)) {
        nanosleep(&step, NULL);
        clock_gettime(CLOCK_MONOTONIC, &now);
        waited = (now.tv_sec - from.tv_sec) * 1000 + (now.tv_nsec - from.tv_nsec) / 1000000;
    }
}

/* ---- one look ---- */

/* In the child: nothing of the server is left to it but three descriptors. Only calls that hold after a fork. */
static void start(int in, int out, int err, char *const *argv)
{
    struct rlimit space = { ADDRESS_SPACE, ADDRESS_SPACE }, none = { 0, 0 }, no_core = { 1, 1 };
    sigset_t all;
    int fd, i;

    (void)setpgid(0, 0); /* what it starts ends with it */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
        _exit(127);
#ifdef SYS_close_range
    fd = (int)syscall(SYS_close_range, 3U, ~0U, 0U);
#else
    fd = -1;
#endif
    for (fd = fd == 0 ? MAX_FD : 3; fd < MAX_FD && (rlim_t)fd < uwsgi.max_fd; fd++)
        close(fd);
    for (i = 1; i < 32; i++)
        signal(i, SIG_DFL);
    sigemptyset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    setrlimit(RLIMIT_AS, &space);
    setrlimit(RLIMIT_CORE, &no_core); /* a program that takes cores is asked in spite of 0 */
    setrlimit(RLIMIT_FSIZE, &none); /* into pipes, and nowhere else */
    if (chdir("/") == 0)
        execvp(argv[0], argv);
    _exit(127);
}

typedef struct look {
    pid_t spy, masker;
    int answer, errors; /* read ends */
    char said[512];     /* what py-spy complained of */
    size_t said_n;
} look;

static void close_pair(int *pair)
{
    int i;

    for (i = 0; i < 2; i++)
        if (pair[i] >= 0)
            close(pair[i]);
}

/* Start both. 0; -1: no descriptor or no process is left. */
static int begin(look *l, const question *q, uint64_t thread, char *rules)
{
    int raw[2] = { -1, -1 }, masked[2] = { -1, -1 }, errors[2] = { -1, -1 }, nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    char pid[24], id[24];
    char *const spy[] = { py_spy, "dump", "-lll", "--json", "--nonblocking", "--pid", pid, NULL };
    char *const masker[] = { python, "-B", "-m", "heka_raven.eyes.reader", pid, id, rules, NULL };

    memset(l, 0, sizeof *l);
    l->answer = l->errors = -1;
    snprintf(pid, sizeof pid, "%ld", (long)q->pid);
    snprintf(id, sizeof id, "%llu", (unsigned long long)thread);
    if (nothing >= 0 && pipe2(raw, O_CLOEXEC) == 0 && pipe2(masked, O_CLOEXEC) == 0 && pipe2(errors, O_CLOEXEC) == 0) {
        l->spy = fork();
        if (l->spy == 0)
            start(nothing, raw[1], errors[1], spy);
        l->masker = l->spy < 0 ? -1 : fork();
        if (l->masker == 0)
            start(raw[0], masked[1], nothing, masker);
        if (l->spy > 0 && l->masker > 0) {
            l->answer = masked[0];
            l->errors = errors[0];
            masked[0] = errors[0] = -1;
        }
    }
    close_pair(raw);
    close_pair(masked);
    close_pair(errors);
    if (nothing >= 0)
        close(nothing);
    return l->answer >= 0 ? 0 : -1;
}

/* Read both ends until they are closed. 0; -1: it takes too long, or says too much. */
static int listen_to(look *l, hk_values *slot, uint64_t until)
{
    struct pollfd ends[2] = { { l->answer, POLLIN, 0 }, { l->errors, POLLIN, 0 } };
    char piece[16384];
    uint64_t now;
    ssize_t n;
    int i;

    while (ends[0].fd >= 0 || ends[1].fd >= 0) {
        now = hk_sys_monotonic_ms();
        if (now >= until)
            return -1;
        if (poll(ends, 2, (int)(until - now)) <= 0)
            continue;
        for (i = 0; i < 2; i++) {
            if (ends[i].fd < 0 || ends[i].revents == 0)
                continue;
            n = read(ends[i].fd, piece, sizeof piece);
            if (n < 0 && errno == EINTR)
                continue;
            if (n <= 0) {
                ends[i].fd = -1; /* poll leaves it out */
            } else if (i == 0) {
                if (hk_values_add(slot, hk_slice_make(piece, (size_t)n)) < 0)
                    return -1;
            } else {
                size_t room = sizeof l->said - 1 - l->said_n;
                memcpy(l->said + l->said_n, piece, (size_t)n < room ? (size_t)n : room);
                l->said_n += (size_t)n < room ? (size_t)n : room;
            }
        }
    }
    return 0;
}

/* Its exit status; -1: it was ended. Whoever has closed its pipes and does not end is ended as well. */
static int reap(pid_t pid, uint64_t until, int now)
{
    const struct timespec step = { 0, 1000000 };
    int status = 0;

    if (pid <= 0)
        return -1;
    while (!now && hk_sys_monotonic_ms() < until) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        nanosleep(&step, NULL);
    }
    (void)kill(-pid, SIGKILL);
    (void)kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return -1;
}

static reason look_once(const question *q, hk_values *slot, char *rules, uint64_t until)
{
    int late, spy, masker;
    look l;

    slot->n = 0;
    late = begin(&l, q, slot->thread, rules) < 0 ? -2 : listen_to(&l, slot, until);
    spy = reap(l.spy, until, late != 0);
    masker = reap(l.masker, until, late != 0);
    if (l.answer >= 0)
        close(l.answer);
    if (l.errors >= 0)
        close(l.errors);
    if (late != 0)
        return late == -1 ? TOO_LONG : FAILED;
    if (spy == 127)
        return NOT_INSTALLED;
    if (spy != 0)
        return strstr(l.said, "ermission") != NULL || strstr(l.said, "not permitted") != NULL ? NOT_PERMITTED : FAILED;
    return masker == 0 ? GOT : masker == NO_FRAMES ? NOTHING : NO_PYTHON;
}

/* ---- the process ---- */

static void say(reason why)
{
    static uint64_t said_ms[REASONS];
    uint64_t now = hk_sys_monotonic_ms(), lost = ++shared->lost[why];

    if (said_ms[why] != 0 && now - said_ms[why] < SAY_MS)
        return;
    said_ms[why] = now;
    hk_sys_log("[sentry] sentry-watch-values: %s (%llu since the start)", hk_reader_reason(why), (unsigned long long)lost);
}

/* An application says what is private when it is loaded; one that says nothing has the package's own rules then. */
static int is_too_early(const question *q, const hk_roots *rules, size_t n)
{
    /* Or a process died while it told its rules: nobody knows. */
    return (rules->sequence & 1) != 0 || (n == 0 && uwsgi.workers[q->worker].apps_cnt == 0);
}

static void answer(const question *q, char *rules, int is_early)
{
    uint64_t until = hk_sys_monotonic_ms() + hk_reader_most_ms();
    hk_values *slot;
    reason why = FAILED, now;
    int i;

    /* Only a worker of ours: any of them may write into the pipe. */
    if (q->worker < 1 || q->worker > uwsgi.numproc || q->pid <= 1 || uwsgi.workers[q->worker].pid != q->pid)
        return;
    slot = hk_shared_outside_values(q->worker);
    if (hk_values_begin(slot, q->number) < 0)
        return;
    if (is_early)
        why = TOO_EARLY;
    for (i = 0; i < TRIES && (why == FAILED || why == NOTHING); i++) {
        now = look_once(q, slot, rules, until);
        if (i > 0 && now == TOO_LONG)
            break; /* there was no time for another try */
        why = now;
    }
    if (why != GOT) {
        slot->n = 0;
        say(why);
    }
    hk_values_end(slot, q->number, why);
}

static void run(int id, void *data)
{
    hk_roots copy;
    hk_buf rules;
    question q;
    int early;
    ssize_t n;

    (void)id;
    (void)data;
    if (hk_server_spool_become_user() < 0) {
        hk_sys_log("[sentry] sentry-watch-values: the reader cannot start: %s", strerror(errno));
        sleep(10);
        _exit(1);
    }
    uwsgi_unix_signal(SIGQUIT, end_me);
    signal(SIGCHLD, SIG_DFL);
    close(ask_fd);
    ask_fd = -1;
    __atomic_store_n(&shared->reader, getpid(), __ATOMIC_RELEASE);
    for (;;) {
        n = read(answer_fd, &q, sizeof q);
        if (n < 0 && errno == EINTR)
            continue;
        if (n != (ssize_t)sizeof q)
            _exit(n == 0 ? 0 : 1); /* the server is gone */
        hk_buf_init(&rules, 2 * HK_ROOTS_MAX);
        hk_buf_slice_put(&rules, hk_roots_get(hk_shared_rules(), &copy));
        early = q.worker < 1 || q.worker > uwsgi.numproc || is_too_early(&q, &copy, rules.len);
        hk_buf_putc(&rules, '\0');
        if (hk_buf_ok(&rules))
            answer(&q, rules.data, early);
        hk_buf_free(&rules);
    }
}

/* ---- before any fork ---- */

void hk_reader_make(void)
{
    int pair[2];
    struct stat own;

    if (!hk_settings.watch_values)
        return;
    if (pipe2(pair, O_CLOEXEC) != 0 || fstat(pair[1], &own) != 0) {
        hk_sys_log("[sentry] sentry-watch-values: no pipe for the reader: %s", strerror(errno));
        return;
    }
    (void)fcntl(pair[1], F_SETFL, O_NONBLOCK);
    uwsgi_add_safe_fd(pair[0]);
    uwsgi_add_safe_fd(pair[1]);
    answer_fd = pair[0];
    ask_fd = pair[1];
    ask_inode = own.st_ino;
    shared = uwsgi_calloc_shared(sizeof *shared);
    hk_programs_find(&python, &py_spy);
    register_gateway("uWSGI sentry reader", run, NULL);
}
