/* Invariant: whatever the bytes, a DSN that is accepted is written and parsed again to the same text, and every slice
 * lies inside the input. */
#include "../../uwsgi_plugin/core/dsn.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *reason = NULL;
    hk_dsn d, again;
    hk_buf out, out2;

    if (hk_dsn_parse(hk_slice_make((const char *)data, size), &d, &reason) != HK_OK)
        return reason == NULL ? (abort(), 0) : 0;
    hk_buf_init(&out, 8192);
    hk_buf_init(&out2, 8192);
    hk_dsn_put(&d, 1, &out);
    if (hk_dsn_parse(hk_buf_slice(&out), &again, NULL) != HK_OK)
        abort();
    hk_dsn_put(&again, 1, &out2);
    if (!hk_slice_same(hk_buf_slice(&out), hk_buf_slice(&out2)) || d.host.n == 0 || d.project.n == 0)
        abort();
    hk_buf_free(&out);
    hk_buf_free(&out2);
    return 0;
}
