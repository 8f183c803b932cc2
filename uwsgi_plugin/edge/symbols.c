#include "symbols.h"

#include "source.h"
#include "sys.h"

#include <sys/stat.h>
#include <unistd.h>

typedef struct reading {
    int fd;
    uint64_t size;
    uint64_t until_ms;
} reading;

static int read_at(void *ctx, uint64_t offset, void *out, size_t n)
{
    const reading *r = ctx;

    return offset <= r->size && n <= r->size - offset && hk_sys_monotonic_ms() < r->until_ms
        && pread(r->fd, out, n, (off_t)offset) == (ssize_t)n;
}

/* Whether the file is what was loaded, and not what an upgrade put in its place. */
static int is_loaded(const hk_elf_file *file, hk_native_image *image)
{
    unsigned char id[HK_ELF_ID];
    size_t n = hk_elf_build_id(file, id);

    if (n != image->id_size)
        return 0;
    if (n > 0)
        return memcmp(id, image->id, n) == 0;
    image->id_size = (uint32_t)hk_elf_text_id(file, image->id);
    image->is_folded = 1;
    return 1;
}

static void name_frames(hk_native *n, size_t index, hk_elf_symbol *symbols, const hk_elf_file *file)
{
    hk_elf_symbol own[HK_NATIVE_FRAMES];
    const hk_native_image *image = &n->images[index];
    size_t i, count = 0;

    memset(own, 0, sizeof own); /* what has no name keeps a start of 0 */
    for (i = 0; i < n->count; i++)
        if (n->frames[i].image == (int32_t)index)
            own[count++].address = hk_native_looked_up(&n->frames[i]) - image->start + image->vmaddr;
    hk_elf_find(file, own, count);
    for (i = count = 0; i < n->count; i++)
        if (n->frames[i].image == (int32_t)index)
            symbols[i] = own[count++];
}

hk_elf_symbol *hk_symbols_find(hk_native *n, uid_t uid, gid_t gid, unsigned budget_ms, hk_pool *pool)
{
    hk_elf_symbol *symbols = hk_pool_alloc(pool, n->count * sizeof *symbols);
    reading r = { -1, 0, hk_sys_monotonic_ms() + budget_ms };
    hk_elf_file file = { read_at, &r };
    hk_mounts mounts;
    struct stat st;
    size_t i;

    hk_mounts_read(&mounts, NULL);
    for (i = 0; symbols != NULL && i < n->image_count; i++) {
        r.fd = hk_source_open(n->images[i].path, uid, gid, &mounts);
        if (r.fd < 0)
            continue;
        if (fstat(r.fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
            r.size = (uint64_t)st.st_size;
            if (is_loaded(&file, &n->images[i]))
                name_frames(n, i, symbols, &file);
        }
        close(r.fd);
    }
    hk_mounts_free(&mounts);
    return symbols;
}
