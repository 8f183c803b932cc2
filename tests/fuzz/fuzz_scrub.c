/* Invariant: whatever the bytes, the privacy rule ends, stays inside them and within HK_SCRUB_ROOM, and masks the value of
 * a header whose name is private. */
#include "../../uwsgi_plugin/core/scrub.h"

#include <stdlib.h>

typedef void (*function)(const hk_scrub *s, hk_slice text, hk_buf *out);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const function functions[] = { hk_scrub_text, hk_scrub_query, hk_scrub_cookie, hk_scrub_url, hk_scrub_argv,
                                          hk_scrub_source };
    static const hk_scrub rule = { 0 };
    hk_slice text = hk_slice_make((const char *)data, size), name, value;
    hk_buf out;
    size_t i;

    for (i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        hk_buf_init(&out, HK_SCRUB_ROOM(size));
        functions[i](&rule, text, &out);
        if (!hk_buf_ok(&out))
            abort();
        hk_buf_free(&out);
    }
    name = hk_slice_make(text.p, size / 3);
    value = hk_slice_make(text.p + size / 3, size - size / 3);
    hk_buf_init(&out, HK_SCRUB_ROOM(size));
    hk_scrub_header(&rule, name, value, &out);
    if (!hk_buf_ok(&out))
        abort();
    if (hk_scrub_name(&rule, name, 0) == HK_SCRUB_SECRET && !hk_slice_is(hk_buf_slice(&out), HK_SCRUB_MASK))
        abort();
    hk_buf_free(&out);
    return 0;
}
