/* Invariant: whatever bytes a file has, and whatever a worker left of its C stack, names end within their limits and an event of valid
 * JSON comes of it. The first byte says which of the two the others are: of a file that is one, a record would have more frames
 * than it can hold, always. */
#include "../../uwsgi_plugin/core/event.h"
#include "../../uwsgi_plugin/core/jsonread.h"
#include "../../uwsgi_plugin/core/native.h"

#include <stddef.h>
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

static void read_file(hk_slice bytes)
{
    static hk_elf_symbol symbols[ADDRESSES];
    hk_elf_file file = { read_bytes, &bytes };
    unsigned char id[HK_ELF_ID];
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
}

static hk_slice part(hk_slice *bytes, size_t n)
{
    hk_slice some = hk_slice_make(bytes->p, n < bytes->n ? n : bytes->n);

    *bytes = hk_slice_from(*bytes, some.n);
    return some;
}

static void lay(void *at, hk_slice some)
{
    if (some.n > 0)
        memcpy(at, some.p, some.n);
}

/* Its numbers, then a few of its frames, then its files: a short input has something of each. */
static void lay_out(hk_slice bytes, hk_native *shared, hk_elf_symbol *symbols)
{
    size_t frames = bytes.n > 0 ? (unsigned char)bytes.p[0] % 16U : 0, i;

    memset(shared, 0, sizeof *shared);
    memset(symbols, 0, HK_NATIVE_FRAMES * sizeof *symbols);
    part(&bytes, 1);
    lay(shared, part(&bytes, offsetof(hk_native, frames)));
    for (i = 0; i < frames; i++) {
        lay(symbols[i].name, part(&bytes, 8)); /* as a reader of files leaves it: it ends */
        lay(&symbols[i].start, part(&bytes, sizeof symbols[i].start));
        lay(&shared->frames[i], part(&bytes, sizeof shared->frames[i]));
    }
    for (i = 0; i < HK_NATIVE_IMAGES && bytes.n > 0; i++) {
        lay(&shared->images[i], part(&bytes, offsetof(hk_native_image, path)));
        lay(shared->images[i].path, part(&bytes, 24));
    }
    if (bytes.n == 0 && i > 0) /* the last one's path has no end */
        memset(shared->images[i - 1].path + 24, '/', HK_NATIVE_PATH - 24);
}

static void read_record(hk_slice bytes)
{
    static hk_native shared;
    static hk_elf_symbol symbols[HK_NATIVE_FRAMES];
    hk_frame python;
    hk_native *n;
    hk_event e;
    hk_pool pool;
    hk_buf out;

    memset(&python, 0, sizeof python);
    lay_out(bytes, &shared, symbols);
    memset(&e, 0, sizeof e);
    hk_pool_init(&pool);
    hk_buf_init(&out, 8 << 20);
    n = hk_native_copy(&shared, &pool);
    e.frames = hk_native_join(&python, shared.done % 2U, n, symbols, bytes, &pool, &e.frame_count);
    e.images = hk_native_images(n, e.frames, e.frame_count, &pool);
    (void)hk_native_place(e.frames, e.frame_count);
    if (hk_event_put(&e, 7, HK_EVENT_MAX_BYTES, &out) == HK_OK && hk_jsonread_skip(hk_buf_slice(&out), 0) != out.len)
        abort();
    hk_buf_free(&out);
    hk_pool_free(&pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(hk_slice) = { read_file, read_record };

    if (size > 1)
        readers[data[0] % 2](hk_slice_make((const char *)data + 1, size - 1));
    return 0;
}
