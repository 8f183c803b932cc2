/* Invariant: whatever the bytes of a spool file, it is read or refused with a reason; what is read lies inside the file
 * and can be put on the wire. The same bytes as JSON text are skipped only inside their bounds. */
#include "../../uwsgi_plugin/core/jsonread.h"
#include "../../uwsgi_plugin/core/wire.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hk_slice file = { (const char *)data, size };
    const char *reason = NULL;
    hk_envelope e;
    hk_wire w;

    if (hk_jsonread_skip(file, 0) > size)
        abort();
    if (hk_envelope_read(file, &e, &reason) != HK_OK) {
        if (reason == NULL)
            abort();
        hk_envelope_free(&e);
        return 0;
    }
    if (e.payload.p < file.p || e.payload.p + e.payload.n > file.p + file.n || e.item.p < file.p
        || hk_wire_build(&e, 1700000000250000000ULL, &w) != HK_OK)
        abort();
    hk_wire_free(&w);
    hk_envelope_free(&e);
    return 0;
}
