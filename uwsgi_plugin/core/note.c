#include "note.h"

void hk_note_reset(hk_note *note)
{
    memset(note, 0, sizeof *note);
}

int hk_note_put(hk_note *note, uint64_t generation, hk_note_field field, hk_slice text)
{
    uint64_t now = __atomic_load_n(&note->sequence, __ATOMIC_ACQUIRE);

    if (text.n > HK_NOTE_MAX || (now & 1) != 0
        || !__atomic_compare_exchange_n(&note->sequence, &now, now + 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return -1;
    if (note->generation != generation) {
        memset(note->n, 0, sizeof note->n);
        note->generation = generation;
    }
    note->n[field] = (uint32_t)text.n;
    if (text.n > 0)
        memcpy(note->text[field], text.p, text.n);
    __atomic_store_n(&note->sequence, now + 2, __ATOMIC_RELEASE);
    return 0;
}

int hk_note_get(const hk_note *note, uint64_t generation, hk_note *out)
{
    uint64_t before = __atomic_load_n(&note->sequence, __ATOMIC_ACQUIRE);
    size_t i;

    memcpy(out, note, sizeof *out);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if ((before & 1) != 0 || __atomic_load_n(&note->sequence, __ATOMIC_ACQUIRE) != before || out->sequence != before
        || generation == 0 || out->generation != generation) {
        memset(out, 0, sizeof *out);
        return 0;
    }
    for (i = 0; i < HK_NOTE_FIELDS; i++)
        if (out->n[i] > HK_NOTE_MAX)
            out->n[i] = 0;
    return 1;
}

hk_slice hk_note_text(const hk_note *copy, hk_note_field field)
{
    return hk_slice_make(copy->text[field], copy->n[field]);
}
