/* Invariant: whatever a worker left in the slots of shared memory, its master reads whole texts within their limits, in order,
 * and writes nowhere else; a text torn in writing is none. The first byte says which slot the others are put into. */
#include "../../uwsgi_plugin/core/growth.h"
#include "../../uwsgi_plugin/core/inflight.h"
#include "../../uwsgi_plugin/core/jsonread.h"
#include "../../uwsgi_plugin/core/note.h"
#include "../../uwsgi_plugin/core/roots.h"
#include "../../uwsgi_plugin/core/values.h"

#include <stddef.h>
#include <stdlib.h>

#define HEAD 40U       /* bytes of a slot's numbers, at most */
#define GENERATION 7U  /* of the request that is asked for */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Memory of its own, so that a sanitizer sees one byte past it: the input, over and over. */
static void *slot_of(hk_slice bytes, size_t n)
{
    char *slot = calloc(1, n);
    size_t at, part;

    if (slot == NULL)
        abort();
    for (at = 0; bytes.n > 0 && at < n; at += part) {
        part = bytes.n < n - at ? bytes.n : n - at;
        memcpy(slot + at, bytes.p, part);
    }
    return slot;
}

static void read_note(hk_slice bytes)
{
    hk_note *note = slot_of(bytes, sizeof *note), *copy = slot_of(bytes, sizeof *copy);
    hk_slice text = { "", 0 }, user;
    hk_pool pool;
    int i;

    hk_pool_init(&pool);
    if (hk_note_get(note, GENERATION, copy) && (note->sequence & 1) != 0)
        abort();
    for (i = 0; i < HK_NOTE_FIELDS; i++) {
        text = hk_note_text(copy, (hk_note_field)i);
        if (text.n > HK_NOTE_MAX || text.p != copy->text[i])
            abort();
    }
    user = hk_inflight_user(hk_note_text(copy, HK_NOTE_USER), text, 1, &pool);
    if (user.n > 0 && hk_jsonread_skip(user, 0) != user.n)
        abort();
    (void)hk_note_put(note, GENERATION, HK_NOTE_USER, bytes);
    hk_pool_free(&pool);
    free(copy);
    free(note);
}

static void read_roots(hk_slice bytes)
{
    hk_roots *roots = slot_of(bytes, sizeof *roots), *copy = slot_of(bytes, sizeof *copy);
    hk_slice text = hk_roots_get(roots, copy);
    int said = hk_roots_say(text, bytes);

    if (text.n > HK_ROOTS_MAX || said < -1 || said > 1 || ((roots->sequence & 1) != 0 && text.n > 0))
        abort();
    (void)hk_roots_add(roots, bytes);
    (void)hk_roots_put(roots, bytes);
    if (hk_roots_get(roots, copy).n > HK_ROOTS_MAX)
        abort();
    free(copy);
    free(roots);
}

static void read_growth(hk_slice bytes)
{
    hk_growth *growth = slot_of(bytes, sizeof *growth);
    const hk_grown *found[HK_GROWTH_MAX];
    size_t n = hk_growth_sort(growth, found), i;

    for (i = 0; i < n; i++)
        if (found[i]->method_size > sizeof found[i]->method || found[i]->path_size > sizeof found[i]->path
            || found[i]->after <= found[i]->before
            || (i > 0 && found[i]->after - found[i]->before > found[i - 1]->after - found[i - 1]->before))
            abort();
    hk_growth_add(growth, UINT64_MAX, 1, bytes, bytes);
    free(growth);
}

static void read_values(hk_slice bytes)
{
    static hk_values values;
    uint32_t reason;
    hk_slice answer;
    hk_pool pool;
    size_t n;

    hk_pool_init(&pool);
    memcpy(&values, bytes.p, bytes.n < HEAD ? bytes.n : HEAD);
    answer = hk_values_get(&values, GENERATION, &pool, &reason);
    if (answer.n > HK_VALUES_MAX)
        abort();
    (void)hk_values_frames(answer, &pool, &n);
    if (hk_values_begin(&values, hk_values_ask(&values, 0)) == 0)
        (void)hk_values_add(&values, bytes);
    hk_values_end(&values, values.answered, 0);
    memset(&values, 0, offsetof(hk_values, text) + bytes.n);
    hk_pool_free(&pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(hk_slice) = { read_note, read_roots, read_growth, read_values };

    if (size > 1)
        readers[data[0] % 4](hk_slice_make((const char *)data + 1, size - 1));
    return 0;
}
