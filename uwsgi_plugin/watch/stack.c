#include "stack.h"

#include "../edge/sys.h"
#include "shared.h"

#include <fcntl.h>
#include <sys/stat.h>

#define STACK_MS 90U /* the most that a harakiri holds the master for it */

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

int hk_stack_ask(int worker)
{
    const struct uwsgi_worker *w = &uwsgi.workers[worker];
    hk_life *life = hk_shared_life(worker, w->respawn_count);

    if (w->pid <= 0 || life->pid != w->pid || __atomic_load_n(&life->ready, __ATOMIC_ACQUIRE) != w->pid
        || !hk_stack_has_file(worker))
        return -1;
    hk_stack_clear(worker);
    return kill(w->pid, HK_STACK_SIGNAL);
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

hk_slice hk_stack_read(int worker, hk_pool *pool)
{
    enum { MOST = 65536 };
    struct stat st;
    char *text;
    ssize_t n;

    if (fstat(hk_shared_stack_fd(worker), &st) < 0 || st.st_size == 0)
        return hk_slice_make("", 0);
    text = hk_pool_alloc(pool, MOST);
    n = text == NULL ? 0 : pread(hk_shared_stack_fd(worker), text, MOST, 0);
    return hk_slice_make(n > 0 ? text : "", n > 0 ? (size_t)n : 0);
}
