/* Invariant: whatever the bytes, hk_json_string emits one valid JSON string, and reading it back and writing it again
 * gives the same. */
#include "../../uwsgi_plugin/core/json.h"
#include "../../uwsgi_plugin/core/jsonread.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hk_buf once, back, twice;
    size_t max = size > 0 ? data[0] : 0;

    hk_buf_init(&once, 1 << 22);
    hk_buf_init(&back, 1 << 22);
    hk_buf_init(&twice, 1 << 22);
    hk_json_string(&once, hk_slice_make((const char *)data, size), max < 4 ? HK_JSON_NO_LIMIT : max);
    if (hk_jsonread_skip(hk_buf_slice(&once), 0) != once.len || hk_jsonread_string(hk_buf_slice(&once), &back) != HK_OK)
        abort();
    hk_json_string(&twice, hk_buf_slice(&back), HK_JSON_NO_LIMIT);
    if (!hk_slice_same(hk_buf_slice(&once), hk_buf_slice(&twice)))
        abort();
    hk_buf_free(&once);
    hk_buf_free(&back);
    hk_buf_free(&twice);
    return 0;
}
