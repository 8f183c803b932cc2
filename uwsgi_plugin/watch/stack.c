#include "stack.h"

#include "../edge/sys.h"
#include "shared.h"

#include <fcntl.h>
#include <sys/stat.h>

static struct stat own_file; /* of a mule or a spooler, since faulthandler was registered; st_ino 0: it was not */

#define STACK_MS 90U  /* the most that a harakiri holds the master for it, */
#define NATIVE_MS 15U /* and for the C stack */

void hk_stack_clear(int worker)
{
    if (ftruncate(hk_shared_stack_fd(worker), 0) == 0)
        lseek(hk_shared_stack_fd(worker), 0, SEEK_SET);
}

int hk_stack_has_file(int worker)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

    return fcntl(hk_shared_stack_fd(worker), F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK
        && lock.l_pid == uwsgi.workers[worker].pid;
}

static int unwinds; /* the worker that was asked last tells its C stack too */

static int ask(int worker, int signum)
{
    const struct uwsgi_worker *w = &uwsgi.workers[worker];
    hk_life *life = hk_shared_life(worker, w->respawn_count);

    if (w->pid <= 0 || life->pid != w->pid || __atomic_load_n(&life->ready, __ATOMIC_ACQUIRE) != w->pid
        || !hk_stack_has_file(worker))
        return -1;
    hk_stack_clear(worker);
    return kill(w->pid, signum);
}

int hk_stack_ask(int worker)
{
    return ask(worker, HK_STACK_SIGNAL);
}

int hk_stack_ask_last(int worker)
{
    hk_life *life = hk_shared_life(worker, uwsgi.workers[worker].respawn_count);

    __atomic_store_n(&hk_shared_native(life)->done, 0, __ATOMIC_RELEASE);
    unwinds = __atomic_load_n(&life->unwinds, __ATOMIC_ACQUIRE) == life->pid;
    return ask(worker, unwinds ? HK_NATIVE_SIGNAL : HK_STACK_SIGNAL);
}

void hk_stack_wait(int worker)
{
    const struct timespec step = { 0, 2000000 };
    unsigned patience = (unsigned)hk_settings.watch_patience_ms;
    uint64_t until = hk_sys_monotonic_ms() + (patience > 0 ? patience : STACK_MS);
    int same = 0;
    off_t last = 0;
    struct stat st;

    while (same < 3 && hk_sys_monotonic_ms() < until) {
        nanosleep(&step, NULL);
        if (fstat(hk_shared_stack_fd(worker), &st) != 0)
            return;
        same = st.st_size > 0 && st.st_size == last ? same + 1 : 0;
        last = st.st_size;
    }
}

hk_native *hk_stack_read_native(int worker, int core, hk_pool *pool)
{
    const hk_native *shared = hk_shared_native(hk_shared_life(worker, uwsgi.workers[worker].respawn_count));
    const struct timespec step = { 0, 1000000 };
    unsigned waited, most = hk_settings.watch_patience_ms > 0 ? (unsigned)hk_settings.watch_patience_ms : NATIVE_MS;
    hk_native *copy = NULL;

    if (unwinds == 0 || (uwsgi.threads > 1 && core != 0))
        return NULL;
    for (waited = 0; waited < most && !__atomic_load_n(&shared->done, __ATOMIC_ACQUIRE); waited++)
        nanosleep(&step, NULL); /* it comes a moment after Python's */
    if (__atomic_load_n(&shared->done, __ATOMIC_ACQUIRE))
        copy = hk_native_copy(shared, pool);
    if (copy != NULL)
        copy->lives_on = 1;
    return copy;
}

static hk_slice read_file(int fd, hk_pool *pool)
{
    enum { MOST = 65536 };
    struct stat st;
    char *text;
    ssize_t n;

    if (fstat(fd, &st) < 0 || st.st_size == 0)
        return hk_slice_make("", 0);
    text = hk_pool_alloc(pool, MOST);
    n = text == NULL ? 0 : pread(fd, text, MOST, 0);
    return hk_slice_make(n > 0 ? text : "", n > 0 ? (size_t)n : 0);
}

hk_slice hk_stack_read(int worker, hk_pool *pool)
{
    return read_file(hk_shared_stack_fd(worker), pool);
}

/* ---- in a process that dies ---- */

void hk_stack_dump(void)
{
    int fd = hk_shared_python_fd();
    sigset_t one;

    if (ftruncate(fd, 0) == 0)
        lseek(fd, 0, SEEK_SET);
    sigemptyset(&one);
    sigaddset(&one, HK_STACK_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &one, NULL);
    raise(HK_STACK_SIGNAL);
}

void hk_stack_can_dump(void)
{
    if (fstat(hk_shared_python_fd(), &own_file) != 0)
        own_file.st_ino = 0;
}

void hk_stack_dump_own(void)
{
    struct stat now;

    if (own_file.st_ino != 0 && fstat(hk_shared_python_fd(), &now) == 0 && now.st_ino == own_file.st_ino
        && now.st_dev == own_file.st_dev)
        hk_stack_dump();
}

hk_slice hk_stack_read_helper(hk_pool *pool)
{
    hk_slice text = read_file(hk_shared_stack_fd(0), pool);

    hk_stack_clear(0);
    return text;
}
