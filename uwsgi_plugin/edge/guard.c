#include "guard.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct sigaction guarded;
static sigjmp_buf way_out;
static pid_t inside; /* the thread that dumps; 0: none. No thread-local memory: its first use may allocate. */
static struct sigaction had[2];
static const int faults[2] = { SIGSEGV, SIGBUS };

static pid_t this_thread(void)
{
    return (pid_t)syscall(SYS_gettid);
}

/* A thread that crashes by itself meanwhile goes back to what crashed, with the handler that it had. */
static void leave(int signum, siginfo_t *info, void *context)
{
    (void)info;
    (void)context;
    if (__atomic_load_n(&inside, __ATOMIC_ACQUIRE) == this_thread())
        siglongjmp(way_out, 1);
    (void)sigaction(signum, &had[signum == SIGBUS], NULL);
}

static void pass_on(int signum, siginfo_t *info, void *context)
{
    if ((guarded.sa_flags & SA_SIGINFO) != 0)
        guarded.sa_sigaction(signum, info, context);
    else if (guarded.sa_handler != SIG_DFL && guarded.sa_handler != SIG_IGN)
        guarded.sa_handler(signum);
}

static void dump_guarded(int signum, siginfo_t *info, void *context)
{
    struct sigaction action;
    pid_t nobody = 0;
    int saved = errno, i;

    if (!__atomic_compare_exchange_n(&inside, &nobody, this_thread(), 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return; /* another thread is at it */
    memset(&action, 0, sizeof action);
    action.sa_sigaction = leave;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    for (i = 0; i < 2; i++)
        (void)sigaction(faults[i], &action, &had[i]);
    if (sigsetjmp(way_out, 1) == 0)
        pass_on(signum, info, context);
    for (i = 0; i < 2; i++)
        (void)sigaction(faults[i], &had[i], NULL);
    __atomic_store_n(&inside, 0, __ATOMIC_RELEASE);
    errno = saved;
}

int hk_guard_stands(int signum)
{
    struct sigaction now;

    return sigaction(signum, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == dump_guarded;
}

void hk_guard_start(int signum)
{
    struct sigaction action;

    if (hk_guard_stands(signum) || sigaction(signum, NULL, &action) != 0)
        return;
    guarded = action;
    action.sa_sigaction = dump_guarded;
    action.sa_flags |= SA_SIGINFO;
    (void)sigaction(signum, &action, NULL);
}
