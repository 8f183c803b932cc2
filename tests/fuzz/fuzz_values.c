/* Invariant: whatever stands in an answer of a worker or a reader, the values of every frame are valid JSON, and so is the
 * event. */
#include "../../uwsgi_plugin/core/event.h"
#include "../../uwsgi_plugin/core/jsonread.h"
#include "../../uwsgi_plugin/core/values.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hk_event e;
    hk_pool pool;
    hk_buf out;
    size_t i;

    memset(&e, 0, sizeof e);
    hk_pool_init(&pool);
    hk_buf_init(&out, 8 << 20);
    e.frames = hk_values_frames(hk_slice_make((const char *)data, size), &pool, &e.frame_count);
    for (i = 0; i < e.frame_count; i++)
        if (e.frames[i].vars.n > 0 && hk_jsonread_skip(e.frames[i].vars, 0) != e.frames[i].vars.n)
            abort();
    if (hk_event_put(&e, 7, HK_EVENT_MAX_BYTES, &out) == HK_OK && hk_jsonread_skip(hk_buf_slice(&out), 0) != out.len)
        abort();
    hk_buf_free(&out);
    hk_pool_free(&pool);
    return 0;
}
