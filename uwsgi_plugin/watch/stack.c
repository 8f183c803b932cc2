/* stack.c: asks a worker for its Python stack, and for what it knows of its request.
 *
 * Only a process that said it has a handler is signalled: the default action of these signals is to end it.
 */
#include "shared.h"

#include "../edge/sys.h"

#include <sys/stat.h>

#define STACK_MS 90U  /* the most that a harakiri holds the master for the stack, */
#define ANSWER_MS 25U /* for the answer, and then 30 for the source lines */

void hk_stack_clear(int worker)
{
    if (ftruncate(hk_worker_stack_fd(worker), 0) == 0)
        lseek(hk_worker_stack_fd(worker), 0, SEEK_SET);
}

/* Whether a worker has its memory file. The application may have closed it and opened a file of its own under the
 * number, or be another program by now: an exec closes it, and takes the handlers along. */
static int has_file(pid_t pid)
{
    char path[64], name[64];
    ssize_t n;

    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, hk_worker_python_fd());
    n = readlink(path, name, sizeof name);
    return n > 0 && hk_slice_starts(hk_slice_make(name, (size_t)n), "/memfd:heka-raven-stack");
}

int hk_stack_ask(int worker)
{
    const struct uwsgi_worker *w = &uwsgi.workers[worker];
    hk_life *life = hk_worker_life(worker, w->respawn_count);

    if (w->pid <= 0 || life->pid != w->pid || __atomic_load_n(&life->ready, __ATOMIC_ACQUIRE) != w->pid || !has_file(w->pid))
        return -1;
    hk_stack_clear(worker);
    return kill(w->pid, HK_STACK_SIGNAL);
}

int hk_answer_ask(int worker)
{
    const struct uwsgi_worker *w = &uwsgi.workers[worker];
    hk_life *life = hk_worker_life(worker, w->respawn_count);

    if (w->pid <= 0 || life->pid != w->pid || __atomic_load_n(&life->answers, __ATOMIC_ACQUIRE) != w->pid || !has_file(w->pid))
        return -1;
    return kill(w->pid, HK_ANSWER_SIGNAL);
}

void hk_answer_wait(int worker, int core)
{
    const struct timespec step = { 0, 1000000 };
    uint64_t until = hk_sys_monotonic_ms() + ANSWER_MS, before = hk_worker_note(worker, core)->sequence;

    while (hk_sys_monotonic_ms() < until) {
        uint64_t now = __atomic_load_n(&hk_worker_note(worker, core)->sequence, __ATOMIC_ACQUIRE);
        nanosleep(&step, NULL);
        if (now != before && (now & 1) == 0 && now == hk_worker_note(worker, core)->sequence)
            return;
    }
}

void hk_stack_wait(int worker)
{
    const struct timespec step = { 0, 2000000 };
    uint64_t until = hk_sys_monotonic_ms() + STACK_MS;
    int same = 0;
    off_t last = 0;
    struct stat st;

    while (same < 3 && hk_sys_monotonic_ms() < until) {
        nanosleep(&step, NULL);
        if (fstat(hk_worker_stack_fd(worker), &st) != 0)
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

    if (fstat(hk_worker_stack_fd(worker), &st) < 0 || st.st_size == 0)
        return hk_slice_make("", 0);
    text = hk_pool_alloc(pool, MOST);
    n = text == NULL ? 0 : pread(hk_worker_stack_fd(worker), text, MOST, 0);
    return hk_slice_make(n > 0 ? text : "", n > 0 ? (size_t)n : 0);
}
