/* Invariant: whatever a worker writes into its memory file and tells of its request, an event of valid JSON comes of it.
 * The input is used as the stack, as the dictionary of variables and as the user. */
#include "../../uwsgi_plugin/core/inflight.h"
#include "../../uwsgi_plugin/core/jsonread.h"
#include "../../uwsgi_plugin/core/pystack.h"

#include <stdlib.h>

static const hk_scrub rule = { 0 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hk_slice bytes = hk_slice_make((const char *)data, size);
    hk_inflight r;
    hk_event e;
    hk_pool pool;
    hk_json j;
    hk_buf out;

    memset(&r, 0, sizeof r);
    memset(&e, 0, sizeof e);
    hk_pool_init(&pool);
    hk_buf_init(&out, 8 << 20);
    hk_request_read(bytes, &rule, &pool, &r.request);
    hk_trace_read(bytes, &r.trace);
    e.request = &r.request;
    e.user = hk_inflight_user(bytes, bytes, 1, &pool);
    e.frames = hk_pystack_read(bytes, size, &pool, &e.frame_count);
    if (e.frame_count > 0)
        ((hk_frame *)e.frames)[0].before = bytes;
    if (hk_event_put(&e, 7, HK_EVENT_MAX_BYTES, &out) == HK_OK && hk_jsonread_skip(hk_buf_slice(&out), 0) != out.len)
        abort();
    hk_buf_clear(&out);
    hk_json_init(&j, &out);
    hk_inflight_put(&j, &r);
    if (hk_jsonread_skip(hk_buf_slice(&out), 0) != out.len)
        abort();
    hk_buf_free(&out);
    hk_pool_free(&pool);
    return 0;
}
