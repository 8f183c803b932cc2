/* test_guard.c: a handler that faults does not end the process; what faults elsewhere does. */
#include "check.h"

#include "../../uwsgi_plugin/edge/guard.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* AddressSanitizer asks this when it starts: these two signals have the handlers of this test, not its own. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "handle_segv=0:handle_sigbus=0";
}

static volatile int calls, bad;
static char *nowhere; /* memory that nobody may read */

static void ask(int signum)
{
    (void)signum;
    calls++;
    if (bad)
        calls += *(volatile char *)nowhere;
}

static void a_fault_in_the_handler(void)
{
    struct sigaction now;
    int i;

    signal(SIGUSR1, ask);
    CHECK(!hk_guard_stands(SIGUSR1));
    hk_guard_start(SIGUSR1);
    CHECK(hk_guard_stands(SIGUSR1));
    hk_guard_start(SIGUSR1); /* once more changes nothing */
    raise(SIGUSR1);
    CHECK(calls == 1);
    bad = 1;
    for (i = 0; i < 3; i++)
        raise(SIGUSR1);
    CHECK(calls == 4);
    CHECK(sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
    CHECK(sigaction(SIGBUS, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
}

static void *crash(void *nothing)
{
    calls = *(volatile char *)nowhere;
    return nothing;
}

static void crash_in_another_thread(int signum)
{
    pthread_t thread;

    (void)signum;
    pthread_create(&thread, NULL, crash, NULL);
    pthread_join(thread, NULL);
}

static int death_of(void (*die)(void))
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        die();
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void after_a_question(void)
{
    raise(SIGUSR1);
    (void)crash(NULL);
}

static void beside_a_question(void)
{
    signal(SIGUSR2, crash_in_another_thread);
    hk_guard_start(SIGUSR2);
    raise(SIGUSR2);
}

static void faults_elsewhere(void)
{
    CHECK(death_of(after_a_question) == SIGSEGV);
    CHECK(death_of(beside_a_question) == SIGSEGV);
}

int main(void)
{
    nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(nowhere != MAP_FAILED);
    a_fault_in_the_handler();
    faults_elsewhere();
    printf("%d checks, %d failed\n", check_done, check_failed);
    return check_failed > 0;
}
