/* uWSGI tells plugins nothing of these processes. The master looks at them as it does at workers: between a death and
 * uWSGI's waitpid, waitid says what it was. A mule or a spooler that crashes exits with 1, as uWSGI's handler does: one of
 * ours, which they inherit from the master, notes the signal in shared memory before that.
 */
#include "helpers.h"

#include "../core/scrub_kept.h"
#include "../edge/kernel.h"
#include "crash.h"
#include "report.h"
#include "stack.h"
#include "unwind.h"

#include <dirent.h>

#define CRASHES 16 /* between two looks of the master */
#define LABEL 200  /* bytes of a script, a directory, a command that are shown */

typedef enum { MULE, SPOOLER, DAEMON } process_kind;
static const char *const kinds[] = { "mule", "spooler", "daemon" };

/* What the master knows of one process. */
typedef struct process {
    process_kind kind;
    int number; /* from 1, as uWSGI counts */
    const struct uwsgi_spooler *spooler;
    const struct uwsgi_daemon *daemon;
    pid_t pid;  /* alive when last looked at */
    pid_t dead; /* whose death was looked at */
    int cursed;
} process;

typedef struct crash {
    pid_t pid;
    int signal;
    uint64_t thread;
} crash;

static process *processes;
static size_t count;
static crash *crashes; /* shared: a ring */
static unsigned *crashed, *writing; /* shared: how many crashes; whether the stack file has an owner */
static struct sigaction before[64];

/* In the signal handler of whoever inherited it; workers have their own before this one, and note more. */
static void note_crash(int signum, siginfo_t *info, void *context)
{
    if (uwsgi.mywid == 0) {
        hk_unwind_go_on();
        crash *c = &crashes[__atomic_fetch_add(crashed, 1, __ATOMIC_RELAXED) % CRASHES];
        unsigned nobody = 0;
        c->signal = signum;
        c->thread = (uint64_t)pthread_self();
        __atomic_store_n(&c->pid, getpid(), __ATOMIC_RELEASE);
        if (__atomic_compare_exchange_n(writing, &nobody, (unsigned)getpid(), 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            hk_stack_dump_own(), hk_unwind_take(hk_shared_native(hk_shared_life(0, 0)), context);
    }
    hk_crash_pass_on(before, signum, info, context);
}

void hk_helpers_share(void)
{
    struct uwsgi_spooler *s;
    struct uwsgi_daemon *d;
    size_t most = (size_t)uwsgi.mules_cnt;
    int i;

    for (s = uwsgi.spoolers; s != NULL; s = s->next)
        most++;
    for (d = uwsgi.daemons; d != NULL; d = d->next)
        most++;
    if (most == 0)
        return;
    processes = uwsgi_calloc(most * sizeof *processes);
    for (i = 0; i < uwsgi.mules_cnt; i++)
        processes[count++] = (process){ .kind = MULE, .number = i + 1 };
    for (s = uwsgi.spoolers, i = 1; s != NULL; s = s->next, i++)
        processes[count++] = (process){ .kind = SPOOLER, .number = i, .spooler = s };
    for (d = uwsgi.daemons, i = 1; d != NULL; d = d->next, i++)
        processes[count++] = (process){ .kind = DAEMON, .number = i, .daemon = d };
    crashes = uwsgi_calloc_shared(CRASHES * sizeof *crashes);
    crashed = uwsgi_calloc_shared(2 * sizeof *crashed);
    writing = crashed + 1;
    hk_crash_catch(note_crash, before);
}

/* uWSGI makes its table of mules after the plugins' init. */
static const struct uwsgi_mule *mule_of(const process *p)
{
    return &uwsgi.mules[p->number - 1];
}

static pid_t pid_of(const process *p)
{
    return p->kind == MULE ? mule_of(p)->pid : p->kind == SPOOLER ? p->spooler->pid : p->daemon->pid;
}

static int is_cursed(const process *p)
{
    return p->kind == MULE ? mule_of(p)->cursed_at > 0 : p->kind == SPOOLER && p->spooler->cursed_at > 0;
}

static int is_over_its_time(const process *p)
{
    time_t now = uwsgi_now(), a, b;

    if (p->kind == DAEMON)
        return 0;
    a = p->kind == MULE ? mule_of(p)->harakiri : p->spooler->harakiri;
    b = p->kind == MULE ? mule_of(p)->user_harakiri : p->spooler->user_harakiri;
    return (a > 0 && a <= now) || (b > 0 && b <= now);
}

/* The only task of a spooler that lies there; empty: none, or it cannot be told which. A task stays until it is done. */
static hk_slice task_of(const struct uwsgi_spooler *s, hk_pool *pool)
{
    DIR *dir = opendir(s->dir);
    hk_slice found = hk_slice_make("", 0);
    struct dirent *entry;
    hk_buf b;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (strncmp(entry->d_name, "uwsgi_spoolfile_", 16) != 0)
            continue;
        if (found.n > 0) {
            found.n = 0;
            break;
        }
        hk_buf_init(&b, 1024);
        hk_buf_puts(&b, "task ");
        hk_buf_puts(&b, entry->d_name);
        found = hk_buf_ok(&b) ? hk_pool_keep(pool, hk_buf_slice(&b)) : found;
        hk_buf_free(&b);
    }
    if (dir != NULL)
        closedir(dir);
    return found;
}

/* The command of a daemon, with what is private in it masked. */
static hk_slice command_of(const struct uwsgi_daemon *d, hk_pool *pool)
{
    hk_slice words = hk_pool_keep(pool, hk_slice_of(d->command)), masked;
    char *p = (char *)(uintptr_t)words.p;
    size_t i;

    for (i = 0; i < words.n; i++)
        if (p[i] == ' ' || p[i] == '\t')
            p[i] = '\0';
    masked = hk_scrub_kept(&hk_settings.scrub, hk_scrub_argv, words, LABEL, pool);
    for (i = 0, p = (char *)(uintptr_t)masked.p; i < masked.n; i++)
        if (p[i] == '\0')
            p[i] = ' ';
    return masked;
}

/* "mule 1 (jobs.py)" */
static hk_slice name_of(const process *p, hk_pool *pool)
{
    hk_slice what = hk_slice_make("", 0), name;
    hk_buf b;

    if (p->kind == MULE && mule_of(p)->patch != NULL)
        what = hk_scrub_kept(&hk_settings.scrub, hk_scrub_text, hk_slice_of(mule_of(p)->patch), LABEL, pool);
    else if (p->kind == SPOOLER)
        what = hk_slice_of(p->spooler->dir);
    else if (p->kind == DAEMON)
        what = command_of(p->daemon, pool);
    hk_buf_init(&b, 65536);
    hk_buf_puts(&b, kinds[p->kind]);
    hk_buf_puts(&b, " ");
    hk_buf_put_u64(&b, (uint64_t)p->number);
    if (what.n > 0) {
        hk_buf_puts(&b, " (");
        hk_buf_slice_put(&b, what);
        hk_buf_puts(&b, ")");
    }
    name = hk_buf_ok(&b) ? hk_pool_keep(pool, hk_buf_slice(&b)) : hk_slice_of(kinds[p->kind]);
    hk_buf_free(&b);
    return name;
}

static const crash *crash_of(pid_t pid)
{
    size_t i;

    for (i = 0; i < CRASHES; i++)
        if (__atomic_load_n(&crashes[i].pid, __ATOMIC_ACQUIRE) == pid)
            return &crashes[i];
    return NULL;
}

/* found is NULL when uWSGI reaped it before anybody could look. */
static void look_at_death(const process *p, pid_t pid, const hk_kernel_death *found)
{
    const crash *crashed_here = crash_of(pid);
    int stack_is_its = __atomic_load_n(writing, __ATOMIC_ACQUIRE) == (unsigned)pid;
    hk_watch_death d;
    hk_watch_event e;
    hk_pool pool;

    memset(&d, 0, sizeof d);
    d.unknown = found == NULL;
    d.exited = found != NULL && found->exited;
    d.status = found == NULL ? 0 : found->status;
    d.noted_signal = crashed_here == NULL ? 0 : crashed_here->signal;
    /* A daemon that ends by itself with 0 has done its work, as the command of a smart-attach-daemon does. */
    d.wanted = (p->kind == DAEMON && d.exited && d.status == 0) || p->cursed || uwsgi_instance_is_dying
        || uwsgi_instance_is_reloading;
    hk_pool_init(&pool);
    hk_report_start(&e, hk_watch_classify(&d), 0);
    if (e.kind == HK_WATCH_KILLED && d.status == SIGKILL && is_over_its_time(p))
        e.kind = HK_WATCH_HARAKIRI;
    if (e.kind == HK_WATCH_NONE || !hk_shared_watches(e.kind))
        goto out;
    e.pid = pid;
    e.process = name_of(p, &pool);
    e.process_kind = kinds[p->kind];
    if (p->kind == SPOOLER)
        e.words = task_of(p->spooler, &pool);
    e.signal = d.noted_signal != 0 ? d.noted_signal : found != NULL && !d.exited ? d.status : 0;
    hk_report_figure(&e, "pid", (uint64_t)pid);
    if (e.signal > 0)
        hk_report_figure(&e, "signal", (uint64_t)e.signal);
    if (d.exited)
        hk_report_figure(&e, "exit_status", (uint64_t)d.status);
    if (found != NULL && found->peak_rss > 0)
        hk_report_figure(&e, "rss_peak_bytes", found->peak_rss);
    if (stack_is_its) {
        e.suspect.thread_id = crashed_here == NULL ? 0 : crashed_here->thread;
        e.stack = hk_stack_read_helper(&pool);
        e.native = hk_native_copy(hk_shared_native(hk_shared_life(0, 0)), &pool);
    }
    hk_report_event(&e, &pool);
out:
    if (stack_is_its)
        __atomic_store_n(writing, 0, __ATOMIC_RELEASE);
    hk_pool_free(&pool);
}

void hk_helpers_look(void)
{
    hk_kernel_death found;
    int known = 0;
    size_t i;

    for (i = 0; i < count; i++) {
        process *p = &processes[i];
        pid_t pid = pid_of(p);
        if (p->pid > 0 && p->pid != pid && p->dead != p->pid) {
            p->dead = p->pid; /* it died between our look and uWSGI's waitpid */
            look_at_death(p, p->pid, NULL);
        }
        p->cursed = is_cursed(p);
        if (pid > 0 && p->dead != pid && hk_kernel_find_death(pid, &found)) {
            p->dead = pid;
            look_at_death(p, pid, &found);
        }
        p->pid = pid;
        known |= __atomic_load_n(writing, __ATOMIC_ACQUIRE) == (unsigned)pid;
    }
    if (count > 0 && !known)
        __atomic_store_n(writing, 0, __ATOMIC_RELEASE); /* a gateway's: nobody reads that */
}
