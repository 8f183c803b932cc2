/* Invariant: whatever the bytes of an exception packet, an event of valid JSON comes of it, under its size limit, and
 * no byte outside the packet is read. */
#include "../../uwsgi_plugin/core/event.h"
#include "../../uwsgi_plugin/core/jsonread.h"
#include "../../uwsgi_plugin/core/packet.h"

#include <stdlib.h>

static const hk_scrub rule = { 0 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hk_packet_exception p;
    hk_request request;
    hk_event e;
    hk_pool pool;
    hk_buf out;
    int protocol = size % 2 ? 7 : 3;

    hk_packet_read_exception(hk_slice_make((const char *)data, size), &p);
    memset(&e, 0, sizeof e);
    hk_pool_init(&pool);
    hk_request_read(p.vars, &rule, &pool, &request);
    e.request = &request;
    e.frames = hk_frames_read(p.backtrace, &pool, &e.frame_count);
    e.exception_type = p.type;
    e.exception_value = p.message;
    e.message = p.repr;
    hk_buf_init(&out, 8 << 20);
    if (hk_event_put(&e, protocol, HK_EVENT_MAX_BYTES, &out) == HK_OK
        && (out.len > HK_EVENT_MAX_BYTES || hk_jsonread_skip(hk_buf_slice(&out), 0) != out.len))
        abort();
    hk_buf_free(&out);
    hk_pool_free(&pool);
    return 0;
}
