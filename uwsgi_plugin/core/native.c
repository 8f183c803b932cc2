#include "native.h"

#include "roots.h"

#define IN_A_ROW 3U /* equal frames of a recursion that are shown */

static hk_slice base_name(hk_slice path)
{
    size_t at;

    for (at = path.n; at > 0 && path.p[at - 1] != '/'; at--)
        ;
    return hk_slice_from(path, at);
}

uint64_t hk_native_looked_up(const hk_native_frame *f)
{
    return f->is_exact || f->address == 0 ? f->address : f->address - 1;
}

hk_native *hk_native_copy(const hk_native *shared, hk_pool *pool)
{
    hk_native *n;
    size_t i;

    if (shared == NULL || __atomic_load_n(&shared->count, __ATOMIC_ACQUIRE) == 0)
        return NULL;
    n = hk_pool_alloc(pool, sizeof *n);
    if (n == NULL)
        return NULL;
    memcpy(n, shared, sizeof *n);
    if (n->count > HK_NATIVE_FRAMES)
        n->count = HK_NATIVE_FRAMES;
    if (n->image_count > HK_NATIVE_IMAGES)
        n->image_count = HK_NATIVE_IMAGES;
    for (i = 0; i < n->count; i++)
        if (n->frames[i].image < 0 || (uint32_t)n->frames[i].image >= n->image_count)
            n->frames[i].image = -1;
    for (i = 0; i < n->image_count; i++) {
        n->images[i].path[HK_NATIVE_PATH - 1] = '\0';
        if (n->images[i].id_size > HK_ELF_ID)
            n->images[i].id_size = 0;
    }
    return n->count == 0 ? NULL : n;
}

/* The interpreter's loop; where that has no name (its rarer half, in a stripped interpreter), uWSGI's way into it. */
static int evaluates_python(const char *function)
{
    static const char *const starts[] = { "_PyEval_", "PyEval_", "_TAIL_CALL_", "python_call", "uwsgi_request_" };
    size_t i;

    for (i = 0; i < sizeof starts / sizeof starts[0]; i++)
        if (strncmp(function, starts[i], strlen(starts[i])) == 0)
            return 1;
    return 0;
}

/* How many are inside Python's innermost function. The innermost always is, also where the interpreter itself crashed. */
static size_t inside_python(const hk_native *n, const hk_elf_symbol *symbols)
{
    int32_t interpreter;
    size_t end;

    for (end = 1; end < n->count && !evaluates_python(symbols[end].name); end++)
        ;
    interpreter = end < n->count ? n->frames[end].image : -1;
    while (end > 1 && interpreter >= 0 && symbols[end - 1].name[0] == '\0' && n->frames[end - 1].image == interpreter)
        end--; /* what leads from its loop to a call, and has no name */
    return end;
}

static int is_one_more(const hk_frame *end, size_t kept, uint64_t address)
{
    size_t i;

    for (i = 1; i <= IN_A_ROW; i++)
        if (i > kept || end[-(ptrdiff_t)i].address != address)
            return 0;
    return 1;
}

hk_frame *hk_native_join(const hk_frame *python, size_t count, const hk_native *n, const hk_elf_symbol *symbols,
                         hk_slice roots, hk_pool *pool, size_t *total)
{
    size_t native = n == NULL || symbols == NULL ? 0 : n->count, i, kept = 0;
    hk_frame *all;

    *total = count;
    if (native > 0 && count > 0)
        native = n->lives_on && evaluates_python(symbols[0].name) ? 0 : inside_python(n, symbols);
    if (native == 0)
        return (hk_frame *)python;
    all = hk_pool_alloc(pool, (count + native) * sizeof *all);
    if (all == NULL)
        return (hk_frame *)python;
    if (count > 0)
        memcpy(all, python, count * sizeof *all);
    for (i = native; i > 0; i--) {
        const hk_native_frame *raw = &n->frames[i - 1];
        hk_frame *f = &all[count + kept];
        if (is_one_more(f, kept, raw->address))
            continue;
        kept++;
        f->is_native = 1;
        f->is_guessed = n->guessed > 0 && i > n->guessed;
        f->address = raw->address;
        f->function = hk_pool_keep(pool, hk_slice_of(symbols[i - 1].name));
        f->function_start = symbols[i - 1].start;
        if (raw->image >= 0) {
            f->file = hk_slice_of(n->images[raw->image].path);
            f->image_start = n->images[raw->image].start;
            if (f->function_start > 0)
                f->function_start += f->image_start - n->images[raw->image].vmaddr;
        }
        f->in_app = hk_roots_say(roots, f->file) == 1;
    }
    *total = count + kept;
    return all;
}

static int is_c_library(hk_slice file)
{
    static const char *const names[] = { "libc.so", "libc-", "libpthread", "ld-linux", "ld-musl", "libgcc_s.", "linux-vdso", "libasan." };
    size_t i;

    for (i = 0; i < sizeof names / sizeof names[0]; i++)
        if (hk_slice_starts(file, names[i]))
            return 1;
    return 0;
}

hk_slice hk_native_place(const hk_frame *frames, size_t count)
{
    hk_slice library = { "", 0 }, base;

    for (; count > 0 && frames[count - 1].is_native; count--) {
        base = base_name(frames[count - 1].file);
        if (base.n == 0 || is_c_library(base))
            continue;
        if (frames[count - 1].function.n > 0)
            return frames[count - 1].function;
        if (library.n == 0)
            library = base;
    }
    return library;
}

static void put_hex(hk_json *j, const char *name, uint64_t value)
{
    hk_json_key(j, hk_slice_of(name), HK_JSON_NO_LIMIT);
    hk_json_hex(j, value);
}

static void put_bytes(hk_buf *out, const unsigned char *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    size_t i;

    for (i = 0; i < n; i++) {
        hk_buf_putc(out, digits[bytes[i] >> 4]);
        hk_buf_putc(out, digits[bytes[i] & 15]);
    }
}

/* As Sentry has it: the first 16 bytes as a UUID whose first three numbers are little endian. */
static void put_debug_id(hk_json *j, const hk_native_image *image)
{
    static const unsigned char order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
    unsigned char id[16];
    size_t i;
    hk_buf b;

    memset(id, 0, sizeof id);
    memcpy(id, image->id, image->id_size < sizeof id ? image->id_size : sizeof id);
    hk_buf_init(&b, 64);
    for (i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            hk_buf_putc(&b, '-');
        put_bytes(&b, &id[order[i]], 1);
    }
    hk_json_pair(j, "debug_id", hk_buf_slice(&b), 64);
    hk_buf_free(&b);
}

static void put_image(hk_json *j, const hk_native_image *image)
{
    hk_buf b;

    hk_json_open(j, '{');
    hk_json_pair(j, "type", hk_slice_of("elf"), 8);
    hk_json_pair(j, "code_file", hk_slice_of(image->path), HK_NATIVE_PATH);
    if (!image->is_folded) {
        hk_buf_init(&b, 2U * HK_ELF_ID + 1U);
        put_bytes(&b, image->id, image->id_size);
        hk_json_pair(j, "code_id", hk_buf_slice(&b), 2U * HK_ELF_ID);
        hk_buf_free(&b);
    }
    put_debug_id(j, image);
    put_hex(j, "image_addr", image->start);
    if (image->vmaddr > 0)
        put_hex(j, "image_vmaddr", image->vmaddr);
    hk_json_key(j, hk_slice_of("image_size"), HK_JSON_NO_LIMIT);
    hk_json_u64(j, image->size);
    hk_json_close(j, '}');
}

hk_slice hk_native_images(const hk_native *n, const hk_frame *frames, size_t count, hk_pool *pool)
{
    hk_slice out = { "", 0 };
    size_t i, k, shown = 0;
    hk_json j;
    hk_buf b;

    hk_buf_init(&b, 65536);
    hk_json_init(&j, &b);
    hk_json_open(&j, '[');
    for (i = 0; n != NULL && i < n->image_count; i++) {
        for (k = 0; k < count && !(frames[k].is_native && frames[k].file.n > 0 && frames[k].image_start == n->images[i].start); k++)
            ;
        if (k == count || n->images[i].id_size == 0) /* who takes images wants an id of each */
            continue;
        put_image(&j, &n->images[i]);
        shown++;
    }
    hk_json_close(&j, ']');
    if (shown > 0 && hk_buf_ok(&b))
        out = hk_pool_keep(pool, hk_buf_slice(&b));
    hk_buf_free(&b);
    return out;
}
