#include "answer.h"

#include "../edge/sys.h"
#include "shared.h"
#include "stack.h"

#define ANSWER_MS 25U /* the most that a harakiri holds the master for it */

int hk_answer_ask(int worker)
{
    const struct uwsgi_worker *w = &uwsgi.workers[worker];
    hk_life *life = hk_shared_life(worker, w->respawn_count);

    if (w->pid <= 0 || life->pid != w->pid || __atomic_load_n(&life->answers, __ATOMIC_ACQUIRE) != w->pid
        || !hk_stack_has_file(worker))
        return -1;
    return kill(w->pid, HK_ANSWER_SIGNAL);
}

void hk_answer_wait(int worker, int core)
{
    const struct timespec step = { 0, 1000000 };
    unsigned patience = (unsigned)hk_settings.watch_patience_ms;
    uint64_t until = hk_sys_monotonic_ms() + (patience > 0 ? patience : ANSWER_MS), before = hk_shared_note(worker, core)->sequence;

    while (hk_sys_monotonic_ms() < until) {
        uint64_t now = __atomic_load_n(&hk_shared_note(worker, core)->sequence, __ATOMIC_ACQUIRE);
        nanosleep(&step, NULL);
        if (now != before && (now & 1) == 0 && now == hk_shared_note(worker, core)->sequence)
            return;
    }
}
