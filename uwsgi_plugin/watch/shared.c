#include "shared.h"

#include <sys/mman.h>
#include <sys/syscall.h>

static unsigned mask;     /* of the kinds that are watched */
static hk_life *lives;    /* two a worker */
static hk_native *natives; /* one a life */
static hk_note *notes;    /* one a core */
static hk_roots *roots;   /* one for all: each says the same */
static pid_t *threads;    /* one a core */
static hk_roots *rules;   /* likewise */
static hk_values *values; /* two a worker */
static char *kept_vars;   /* one request a life */
static int *stack_fds;    /* a memfd a worker, which outlives it */
static int python_fd = -1; /* each worker has its own memfd under this number */

static int make_memfd(void)
{
    int fd = (int)syscall(SYS_memfd_create, "heka-raven-stack", 1U /* MFD_CLOEXEC */);

    uwsgi_add_safe_fd(fd);
    return fd;
}

void hk_shared_make(unsigned watched)
{
    size_t n = (size_t)uwsgi.numproc + 1, i;

    mask = watched;
    notes = uwsgi_calloc_shared(n * (size_t)uwsgi.cores * sizeof *notes);
    threads = uwsgi_calloc_shared(n * (size_t)uwsgi.cores * sizeof *threads);
    roots = uwsgi_calloc_shared(sizeof *roots);
    rules = uwsgi_calloc_shared(sizeof *rules);
    values = uwsgi_malloc_shared(n * 2 * sizeof *values); /* zeros, and no memory before it is written */
    stack_fds = uwsgi_calloc(n * sizeof *stack_fds);
    python_fd = make_memfd();
    stack_fds[0] = python_fd; /* mules and spoolers are no workers: they keep the master's */
    for (i = 1; i < n; i++)
        stack_fds[i] = make_memfd();
    kept_vars = uwsgi_calloc_shared(n * 2 * uwsgi.buffer_size);
    natives = uwsgi_calloc_shared(n * 2 * sizeof *natives); /* memory of its own only once there is a crash */
    lives = uwsgi_calloc_shared(n * 2 * sizeof *lives);
}

int hk_shared_watches(hk_watch_kind kind)
{
    return (mask & 1U << kind) != 0;
}

int hk_shared_is_on(void)
{
    return mask != 0;
}

int hk_shared_is_worker(void)
{
    return hk_shared_is_on() && uwsgi.mywid > 0 && uwsgi.mywid <= uwsgi.numproc;
}

hk_life *hk_shared_life(int worker, uint64_t generation)
{
    return &lives[(size_t)worker * 2 + (generation & 1)];
}

char *hk_shared_kept_vars(const hk_life *life)
{
    return kept_vars + (size_t)(life - lives) * uwsgi.buffer_size;
}

hk_native *hk_shared_native(const hk_life *life)
{
    return &natives[life - lives];
}

hk_note *hk_shared_note(int worker, int core)
{
    return &notes[(size_t)worker * (size_t)uwsgi.cores + (size_t)core];
}

pid_t *hk_shared_thread(int worker, int core)
{
    return &threads[(size_t)worker * (size_t)uwsgi.cores + (size_t)core];
}

hk_roots *hk_shared_roots(void)
{
    return roots;
}

hk_roots *hk_shared_rules(void)
{
    return rules;
}

hk_values *hk_shared_own_values(int worker)
{
    return &values[(size_t)worker * 2];
}

hk_values *hk_shared_outside_values(int worker)
{
    return &values[(size_t)worker * 2 + 1];
}

void hk_shared_clear_values(int worker)
{
    uintptr_t page = (uintptr_t)uwsgi.page_size;
    int i;

    for (i = 0; i < 2 && page > 0; i++) {
        uintptr_t from = (uintptr_t)values[worker * 2 + i].text, to = from + HK_VALUES_MAX;
        if (values[worker * 2 + i].n > 0) /* the text of an answer: whole pages of it */
            (void)madvise((void *)((from + page - 1) / page * page), to / page * page - (from + page - 1) / page * page, MADV_REMOVE);
        values[worker * 2 + i].n = 0;
    }
}

int hk_shared_stack_fd(int worker)
{
    return stack_fds[worker];
}

int hk_shared_python_fd(void)
{
    return python_fd;
}
