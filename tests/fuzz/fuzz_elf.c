/* Invariant: whatever bytes a file has, and whatever a worker left of its C stack, names end within their limits and an event of valid
 * JSON comes of it. The input is used as the file, and as the record. */
#include "../../uwsgi_plugin/core/event.h"
#include "../../uwsgi_plugin/core/jsonread.h"
#include "../../uwsgi_plugin/core/native.h"

#include <stdlib.h>

#define ADDRESSES 6U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned reads;

static int read_bytes(void *ctx, uint64_t offset, void *out, size_t n)
{
    const hk_slice *bytes = ctx;

    if (offset > bytes->n || n > bytes->n - offset || ++reads > 100) /* as time ends in earnest */
        return 0;
    memcpy(out, bytes->p + offset, n);
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static hk_native shared;
    static hk_elf_symbol symbols[HK_NATIVE_FRAMES];
    hk_slice bytes = hk_slice_make((const char *)data, size);
    hk_elf_file file = { read_bytes, &bytes };
    unsigned char id[HK_ELF_ID];
    hk_native *n;
    hk_event e;
    hk_pool pool;
    hk_buf out;
    size_t i;

    reads = 0;
    if (hk_elf_build_id(&file, id) > HK_ELF_ID || hk_elf_text_id(&file, id) > HK_ELF_ID)
        abort();
    for (i = 0; i < ADDRESSES; i++)
        symbols[i].address = i * 256;
    hk_elf_find(&file, symbols, ADDRESSES);
    for (i = 0; i < ADDRESSES; i++)
        if (memchr(symbols[i].name, 0, HK_ELF_NAME) == NULL)
            abort();
    memset(&shared, 0, sizeof shared);
    memcpy(&shared, data, size < sizeof shared ? size : sizeof shared);
    memset(&e, 0, sizeof e);
    hk_pool_init(&pool);
    hk_buf_init(&out, 8 << 20);
    n = hk_native_copy(&shared, &pool);
    e.frames = hk_native_join(NULL, 0, n, symbols, bytes, &pool, &e.frame_count);
    e.images = hk_native_images(n, e.frames, e.frame_count, &pool);
    (void)hk_native_place(e.frames, e.frame_count);
    if (hk_event_put(&e, 7, HK_EVENT_MAX_BYTES, &out) == HK_OK && hk_jsonread_skip(hk_buf_slice(&out), 0) != out.len)
        abort();
    hk_buf_free(&out);
    hk_pool_free(&pool);
    return 0;
}
