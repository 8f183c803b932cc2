#include "answer.h"

#include "../edge/sys.h"
#include "shared.h"
#include "stack.h"

#define ANSWER_MS 25U /* the most that a harakiri holds the master for it, */
#define VALUES_MS 75U /* and for the values of a stack, once the worker has begun to write them */

int hk_answer_ask(int worker, uint64_t thread, uint64_t *values)
{
    const struct uwsgi_worker *w = &uwsgi.workers[worker];
    hk_life *life = hk_shared_life(worker, w->respawn_count);

    *values = 0;
    if (w->pid <= 0 || life->pid != w->pid || __atomic_load_n(&life->answers, __ATOMIC_ACQUIRE) != w->pid
        || !hk_stack_has_file(worker))
        return -1;
    *values = hk_values_ask(hk_shared_own_values(worker), thread);
    return kill(w->pid, HK_ANSWER_SIGNAL);
}

void hk_answer_wait(int worker, int core, uint64_t values)
{
    const struct timespec step = { 0, 1000000 };
    const hk_values *slot = hk_shared_own_values(worker);
    const hk_note *note = hk_shared_note(worker, core);
    unsigned patience = (unsigned)hk_settings.watch_patience_ms;
    uint64_t from = hk_sys_monotonic_ms(), before = note->sequence, now;
    unsigned most = patience > 0 ? patience : ANSWER_MS;

    while (hk_sys_monotonic_ms() - from < most) {
        nanosleep(&step, NULL);
        if (hk_values_is_done(slot, values))
            return;
        if (hk_values_is_begun(slot, values)) {
            most = patience > 0 ? patience : VALUES_MS;
            continue;
        }
        now = __atomic_load_n(&note->sequence, __ATOMIC_ACQUIRE);
        if (now != before && (now & 1) == 0)
            return; /* it has told its request, and begins before that to show values if it does */
    }
}
