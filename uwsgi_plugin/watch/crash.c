#include "crash.h"

#include <pthread.h>
#include <string.h>

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
