#include "crash.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define STACK (256U * 1024U) /* bytes; address space alone until a crash: uWSGI's handler leaves by way of exit() on it */
#define ENOUGH (64U * 1024U)

static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };

static void fill(sigset_t *set)
{
    size_t i;

    sigemptyset(set);
    for (i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaddset(set, signals[i]);
}

void hk_crash_catch(hk_crash_handler *handler, struct sigaction *before)
{
    struct sigaction action;
    size_t i;

    memset(&action, 0, sizeof action);
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    fill(&action.sa_mask); /* the kernel ends a process that crashes on a signal that is blocked */
    for (i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &action, &before[signals[i]]);
}

void hk_crash_pass_on(const struct sigaction *before, int signum, siginfo_t *info, void *context)
{
    const struct sigaction *old = &before[signum];

    if ((old->sa_flags & SA_SIGINFO) != 0 && old->sa_sigaction != NULL) {
        old->sa_sigaction(signum, info, context);
    } else if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN) {
        old->sa_handler(signum);
    } else {
        signal(signum, SIG_DFL);
        hk_crash_unblock();
        raise(signum);
    }
}

void hk_crash_unblock(void)
{
    sigset_t set;

    fill(&set);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void hk_crash_block(void)
{
    sigset_t set;

    fill(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

void hk_crash_stack(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    stack_t old, own;
    char *memory;

    if (sigaltstack(NULL, &old) != 0 || (!(old.ss_flags & SS_DISABLE) && old.ss_size >= ENOUGH))
        return;
    memory = mmap(NULL, page + STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED)
        return;
    memset(&own, 0, sizeof own);
    own.ss_sp = memory + page;
    own.ss_size = STACK;
    if (mprotect(memory, page, PROT_NONE) != 0 || sigaltstack(&own, NULL) != 0)
        munmap(memory, page + STACK);
}
