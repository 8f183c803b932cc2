/* Reads memory of its own process, nothing else. */
#include "running.h"

#include "../server/settings.h"

#include <ucontext.h>

#define STACK_SCAN (1024U * 1024U) /* bytes of a stack that are looked through */

static const char *stack_start, *stack_end; /* of the main thread, which is the one that runs greenlets */

void hk_running_start(void)
{
    pthread_attr_t attributes;
    size_t size;
    void *low;

    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return;
    if (pthread_attr_getstack(&attributes, &low, &size) == 0) {
        stack_start = low;
        stack_end = stack_start + size;
    }
    pthread_attr_destroy(&attributes);
}

/* Under gevent one thread has all requests. Of the greenlet that runs, and of no other, the C stack is in place: the
 * function of uWSGI that called the application lies on it, with a pointer to its request. sp: where the stack ends. */
static int core_on_stack(const char *sp)
{
    const uintptr_t first = (uintptr_t)&uwsgi.workers[uwsgi.mywid].cores[0].req;
    const char *end = stack_end, *p;
    uintptr_t word;

    if (sp < stack_start || sp >= end)
        return -1; /* a thread of the application's own: what lies behind its stack may be no memory at all */
    if ((size_t)(end - sp) > STACK_SCAN)
        end = sp + STACK_SCAN;
    for (p = sp + (-(uintptr_t)sp & (sizeof word - 1)); p + sizeof word <= end; p += sizeof word) {
        memcpy(&word, p, sizeof word);
        if (word >= first && (word - first) % sizeof(struct uwsgi_core) == 0
            && (word - first) / sizeof(struct uwsgi_core) < (uintptr_t)uwsgi.cores)
            return (int)((word - first) / sizeof(struct uwsgi_core));
    }
    return -1;
}

int hk_running_core(const char *sp)
{
    int i;

    if (uwsgi.cores == 1)
        return 0;
    if (uwsgi.threads < 2)
        return core_on_stack(sp);
    for (i = 0; i < uwsgi.threads; i++)
        if (pthread_equal(uwsgi.workers[uwsgi.mywid].cores[i].thread_id, pthread_self()))
            return i;
    return -1; /* one of the application's own */
}

uint64_t hk_running_instruction(const void *context)
{
#if defined(__x86_64__)
    return (uint64_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uint64_t)((const ucontext_t *)context)->uc_mcontext.pc;
#else
    (void)context;
    return 0;
#endif
}

uint64_t hk_running_link(const void *context)
{
#if defined(__aarch64__)
    return (uint64_t)((const ucontext_t *)context)->uc_mcontext.regs[30];
#else
    (void)context;
    return 0;
#endif
}

void hk_running_go_to(void *context, uint64_t instruction, uintptr_t sp)
{
#if defined(__x86_64__)
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] = (greg_t)instruction;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RSP] = (greg_t)sp;
#elif defined(__aarch64__)
    /* A saved return address stands behind the frame pointer that was saved with it. */
    if (((ucontext_t *)context)->uc_mcontext.sp != sp)
        memcpy(&((ucontext_t *)context)->uc_mcontext.regs[29], (const char *)sp - 16, 8);
    ((ucontext_t *)context)->uc_mcontext.pc = instruction;
    ((ucontext_t *)context)->uc_mcontext.sp = sp;
#else
    (void)context;
    (void)instruction;
    (void)sp;
#endif
}

const char *hk_running_alternate(const void *context)
{
    const stack_t *own = &((const ucontext_t *)context)->uc_stack;
    const char *here = __builtin_frame_address(0), *low = own->ss_sp;

    return (own->ss_flags & SS_DISABLE) == 0 && here >= low && (size_t)(here - low) < own->ss_size ? low : NULL;
}

const char *hk_running_stack(const void *context)
{
#if defined(__x86_64__)
    return (const char *)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    return (const char *)((const ucontext_t *)context)->uc_mcontext.sp;
#else
    (void)context;
    return NULL;
#endif
}
