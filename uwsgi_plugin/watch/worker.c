/* The signal handler writes a few numbers and addresses, and lets faulthandler write the Python stack: no lock, no allocation.
 */
#include "worker.h"

#include "../edge/guard.h"
#include "crash.h"
#include "eyes.h"
#include "reader.h"
#include "grown.h"
#include "interpreters.h"
#include "running.h"
#include "shared.h"
#include "stack.h"
#include "unwind.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static struct stat own_file; /* of its memfd: the application may have closed it and opened another under its number */
static int stack_here, answers_here; /* this process, or the one it was forked from, registered its handlers */
static hk_life *own_life;
static struct sigaction previous[64];
static void (*python_thread)(int core);

/* ---- in the signal handler ---- */

/* Copies, nothing else: it runs in the signal handler too. */
static void keep_request(int core, const struct wsgi_request *r, uint64_t now_us)
{
    uint16_t size = r->uh == NULL ? 0 : r->uh->pktsize;

    own_life->kept_core = core;
    own_life->kept_size = (uint64_t)size + 4 <= uwsgi.buffer_size ? size : 0;
    own_life->kept_start_us = r->start_of_request;
    own_life->kept_us = now_us;
    if (own_life->kept_size > 0)
        memcpy(hk_shared_kept_vars(own_life), r->buffer, own_life->kept_size);
}

/* The request that is running; where that cannot be told and it is none of the application's own threads, the oldest. */
static void keep_running_request(const char *sp)
{
    const struct uwsgi_core *cores = uwsgi.workers[uwsgi.mywid].cores;
    int core = hk_running_core(sp), told, i;

    own_life->thread = (uint64_t)pthread_self();
    if (core >= 0 && !cores[core].in_request)
        core = -1;
    told = core >= 0;
    for (i = 0; i < uwsgi.cores && uwsgi.threads < 2 && !told; i++)
        if (cores[i].in_request && (core < 0 || cores[i].req.start_of_request < cores[core].req.start_of_request))
            core = i;
    if (core >= 0)
        keep_request(core, &cores[core].req, uwsgi_micros());
}

static void dump_stack(void)
{
    struct stat now;

    if (own_life->ready == getpid() && fstat(hk_shared_python_fd(), &now) == 0 && now.st_ino == own_file.st_ino
        && now.st_dev == own_file.st_dev)
        hk_stack_dump();
}

static void note_crash(int signum, siginfo_t *info, void *context)
{
    hk_unwind_go_on();
    /* Not in a child of the application, and only the first: what follows may crash as well. */
    if (own_life != NULL && own_life->pid == getpid() && own_life->signal == 0) {
        keep_running_request(hk_running_stack(context));
        __atomic_store_n(&own_life->signal, signum, __ATOMIC_RELEASE);
        dump_stack();
        hk_unwind_take(hk_shared_native(own_life), context);
        own_life->outside_values = hk_reader_ask(uwsgi.mywid, getpid(), own_life->thread);
        hk_reader_wait(uwsgi.mywid, own_life->outside_values);
    }
    hk_crash_pass_on(previous, signum, info, context);
}

/* The last question of the master: Python's stack, and then the C stack of the main thread, where a signal comes unless that
 * blocks it. Who unwinds with a libgcc older than 12 may wait for a lock of what it interrupts. */
static void tell_last(int signum, siginfo_t *info, void *context)
{
    int saved = errno;

    (void)signum;
    (void)info;
    hk_crash_unblock();
    if (own_life != NULL && own_life->pid == getpid())
        dump_stack();
    if (own_life != NULL && own_life->pid == getpid() && own_life->signal == 0 && syscall(SYS_gettid) == getpid())
        hk_unwind_take(hk_shared_native(own_life), context);
    errno = saved;
}

static void answer_with_frames(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_sigaction = tell_last;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    if (hk_unwind_works() && sigaction(HK_NATIVE_SIGNAL, &action, NULL) == 0)
        __atomic_store_n(&own_life->unwinds, own_life->pid, __ATOMIC_RELEASE);
}

/* ---- a worker's start, requests, threads and end ---- */

/* After each request, where uWSGI ends workers for their memory: it has just measured it. */
static void note_memory(struct wsgi_request *r)
{
    const struct uwsgi_worker *w = &uwsgi.workers[uwsgi.mywid];
    rlim_t rss = (rlim_t)w->rss_size, vsz = (rlim_t)w->vsz_size;
    int over = (uwsgi.reload_on_rss > 0 && rss >= uwsgi.reload_on_rss) || (uwsgi.reload_on_as > 0 && vsz >= uwsgi.reload_on_as)
        || (uwsgi.evil_reload_on_rss > 0 && rss >= uwsgi.evil_reload_on_rss)
        || (uwsgi.evil_reload_on_as > 0 && vsz >= uwsgi.evil_reload_on_as);

    if (own_life == NULL)
        return;
    if (over && !own_life->over) { /* those that end after it found it so */
        keep_request(r->async_id, r, r->end_of_request);
        own_life->over_rss = w->rss_size;
        own_life->over_vsz = w->vsz_size;
    }
    __atomic_store_n(&own_life->over, over, __ATOMIC_RELEASE);
}

static void note_growth(struct wsgi_request *r)
{
    if (own_life != NULL)
        hk_grown_note(own_life, r);
}

static void add_request_hook(void (*func)(struct wsgi_request *))
{
    struct uwsgi_string_list *item = uwsgi_string_new_list(&uwsgi.after_request_hooks, "sentry");
    void *pointer;

    memcpy(&pointer, &func, sizeof pointer);
    item->custom_ptr = pointer;
}

static void set_ready(void)
{
    if (stack_here)
        __atomic_store_n(&own_life->ready, own_life->pid, __ATOMIC_RELEASE);
    if (answers_here)
        __atomic_store_n(&own_life->answers, own_life->pid, __ATOMIC_RELEASE);
}

void hk_worker_start(void)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int fd = hk_shared_python_fd(), core;

    if (!hk_shared_is_worker())
        return;
    own_life = hk_shared_life(uwsgi.mywid, uwsgi.workers[uwsgi.mywid].respawn_count);
    memset(own_life, 0, sizeof *own_life);
    if (hk_shared_native(own_life)->count != 0)
        hk_shared_native(own_life)->count = 0;
    own_life->pid = getpid();
    hk_eyes_allow();
    hk_running_start();
    hk_crash_stack();
    for (core = 0; core < uwsgi.cores; core++) {
        *hk_shared_thread(uwsgi.mywid, core) = 0;
        if ((hk_shared_note(uwsgi.mywid, core)->sequence & 1) != 0)
            hk_note_reset(hk_shared_note(uwsgi.mywid, core)); /* it died while it wrote */
    }
    /* The lock says that the file is in place, see hk_stack_has_file. */
    if (fd < 0 || dup3(hk_shared_stack_fd(uwsgi.mywid), fd, O_CLOEXEC) < 0 || fstat(fd, &own_file) != 0
        || fcntl(fd, F_SETLK, &lock) != 0)
        stack_here = 0;
    set_ready();
    hk_crash_catch(note_crash, previous);
    if (hk_shared_watches(HK_WATCH_HARAKIRI))
        answer_with_frames();
    if (hk_shared_watches(HK_WATCH_MEMORY)
        && (uwsgi.reload_on_rss > 0 || uwsgi.reload_on_as > 0 || uwsgi.evil_reload_on_rss > 0 || uwsgi.evil_reload_on_as > 0))
        add_request_hook(note_memory);
    if (hk_shared_watches(HK_WATCH_MEMORY) || hk_shared_watches(HK_WATCH_OOM)) {
        hk_grown_start(own_life);
        add_request_hook(note_growth);
    }
}

void hk_worker_end(void)
{
    if (own_life != NULL && own_life->pid == getpid())
        own_life->in_order = 1;
}

static void init_thread(int core)
{
    if (python_thread != NULL)
        python_thread(core);
    hk_crash_stack();
    hk_crash_unblock();
    if (hk_shared_is_worker() && core >= 0 && core < uwsgi.cores)
        *hk_shared_thread(uwsgi.mywid, core) = (pid_t)syscall(SYS_gettid);
}

void hk_worker_prepare(void)
{
    int i, found = 0;

    for (i = 0; i < 256; i++)
        if (uwsgi.p[i] != NULL && uwsgi.p[i]->init_thread != NULL) {
            found = i;
            break;
        }
    if (uwsgi.threads < 2 || uwsgi.p[found] == NULL)
        return;
    python_thread = uwsgi.p[found]->init_thread;
    uwsgi.p[found]->init_thread = init_thread;
}

/* ---- what a worker tells ---- */

static int core_of(hk_slice text)
{
    int core = 0;
    size_t i;

    for (i = 0; i < text.n && i < 6 && text.p[i] >= '0' && text.p[i] <= '9'; i++)
        core = core * 10 + (text.p[i] - '0');
    return i == text.n && core < uwsgi.cores ? core : -1;
}

void hk_worker_note_reported(hk_slice core_text, hk_slice event_id)
{
    int core = core_of(core_text);
    struct uwsgi_core *c;

    if (core < 0 || event_id.n != 32 || uwsgi.mywid <= 0 || uwsgi.mywid > uwsgi.numproc)
        return;
    c = &uwsgi.workers[uwsgi.mywid].cores[core];
    if (!c->in_request)
        return;
    uwsgi_logvar_add(&c->req, "sentry_event_id", 15, (char *)event_id.p, 32);
    if (hk_shared_is_worker())
        (void)hk_note_put(hk_shared_note(uwsgi.mywid, core), c->req.start_of_request, HK_NOTE_EVENT_ID, event_id);
}

/* sentry_request(core, transaction, user): of the request that runs there; an empty text leaves what is known. */
static uint64_t request(uint8_t argc, char **argv, uint16_t *argvs, char **out)
{
    static const hk_note_field fields[2] = { HK_NOTE_TRANSACTION, HK_NOTE_USER };
    const struct uwsgi_core *c;
    int core, i;

    (void)out;
    if (argc < 2 || !hk_shared_is_worker())
        return 0;
    core = core_of(hk_slice_make(argv[0], argvs[0]));
    if (core < 0)
        return 0;
    c = &uwsgi.workers[uwsgi.mywid].cores[core];
    for (i = 0; i < 2 && i + 1 < argc && c->in_request; i++)
        if (argvs[i + 1] > 0)
            (void)hk_note_put(hk_shared_note(uwsgi.mywid, core), c->req.start_of_request, fields[i],
                              hk_slice_make(argv[i + 1], argvs[i + 1]));
    return 0;
}

/* sentry_stack_fd(): the number faulthandler is to write to; nothing when nobody watches. */
static uint64_t stack_fd(uint8_t argc, char **argv, uint16_t *argvs, char **out)
{
    (void)argc;
    (void)argv;
    (void)argvs;
    if (hk_shared_python_fd() < 0)
        return 0;
    *out = uwsgi_num2str(hk_shared_python_fd());
    return strlen(*out);
}

/* sentry_ready(what): what is registered, in this process and those forked from it: faulthandler for "stack", a handler
 * that tells the request for "answer". */
static uint64_t ready(uint8_t argc, char **argv, uint16_t *argvs, char **out)
{
    (void)out;
    if (argc < 1)
        return 0;
    if (hk_slice_is(hk_slice_make(argv[0], argvs[0]), "answer"))
        answers_here = 1;
    else {
        if (!hk_guard_stands(HK_STACK_SIGNAL))
            hk_interpreters_start(), hk_guard_start(HK_STACK_SIGNAL);
        stack_here = 1, hk_stack_can_dump(), hk_crash_stack(); /* faulthandler.enable() may have set a smaller one */
    }
    if (own_life != NULL && own_life->pid == getpid())
        set_ready();
    return 0;
}

/* sentry_roots(text): where the application's code lies, as in core/roots.h. Not from a mule or spooler: with lazy-apps
 * it loads a program of its own. */
static uint64_t note_roots(uint8_t argc, char **argv, uint16_t *argvs, char **out)
{
    (void)out;
    if (argc > 0 && uwsgi.muleid == 0 && uwsgi.i_am_a_spooler == NULL)
        (void)hk_roots_put(hk_shared_roots(), hk_slice_make(argv[0], argvs[0]));
    return 0;
}

/* sentry_exit(): the application calls os._exit. It is asked for the values of its stack: the answer is the number of that
 * question, of sentry_values. */
static uint64_t leave(uint8_t argc, char **argv, uint16_t *argvs, char **out)
{
    hk_values *v;
    char text[24];

    (void)argc;
    (void)argv;
    (void)argvs;
    if (own_life == NULL || own_life->pid != getpid())
        return 0;
    keep_running_request(__builtin_frame_address(0));
    own_life->exits = 1;
    dump_stack();
    v = hk_shared_own_values(uwsgi.mywid);
    own_life->own_values = hk_values_ask(v, own_life->thread);
    if (hk_values_begin(v, own_life->own_values) < 0)
        return 0;
    snprintf(text, sizeof text, "%llu", (unsigned long long)own_life->own_values);
    *out = uwsgi_str(text);
    return strlen(*out);
}

void hk_worker_register(struct uwsgi_plugin *plugin)
{
    uint64_t (*functions[])(uint8_t, char **, uint16_t *, char **) = { stack_fd, ready, request, note_roots, leave };
    static char *const names[] = { "sentry_stack_fd", "sentry_ready", "sentry_request", "sentry_roots", "sentry_exit" };
    void *func;
    size_t i;

    if (!hk_shared_is_on())
        return;
    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        memcpy(&func, &functions[i], sizeof func);
        uwsgi_register_rpc(names[i], plugin, 0, func);
    }
    hk_eyes_register(plugin);
}
