/* test_native.c: what is read from ELF files, and what an event makes of the C stack of a crash. */
#include "check.h"

#include "../../uwsgi_plugin/core/event.h"
#include "../../uwsgi_plugin/core/jsonread.h"
#include "../../uwsgi_plugin/core/native.h"
#include "../../uwsgi_plugin/edge/symbols.h"

#include <link.h>
#include <unistd.h>

void native_named_function(void);

/* Found by its name in this program's own file. */
__attribute__((noinline)) void native_named_function(void)
{
    __asm__ volatile("");
}

/* ---- ELF ---- */

static int read_bytes(void *ctx, uint64_t offset, void *out, size_t n)
{
    const hk_slice *bytes = ctx;

    if (offset > bytes->n || n > bytes->n - offset)
        return 0;
    memcpy(out, bytes->p + offset, n);
    return 1;
}

static void notes(void)
{
    static const char abi[] = "\4\0\0\0\20\0\0\0\1\0\0\0GNU\0" "0123456789abcdef";
    static const char id[] = "\4\0\0\0\3\0\0\0\3\0\0\0GNU\0" "\xaa\xbb\xcc";
    static const char vast[] = "\4\0\0\0\xff\xff\xff\xff\3\0\0\0GNU\0" "\xaa\xbb\xcc";
    unsigned char out[HK_ELF_ID];
    char both[sizeof abi + sizeof id];
    size_t n;

    memcpy(both, abi, sizeof abi - 1);
    memcpy(both + sizeof abi - 1, id, sizeof id - 1);
    CHECK(hk_elf_note_id(hk_slice_make(both, sizeof abi + sizeof id - 2), 4, out) == 3 && out[0] == 0xaa && out[2] == 0xcc);
    for (n = 0; n < sizeof id - 1; n++)
        CHECK(hk_elf_note_id(hk_slice_make(id, n), 4, out) == 0);
    CHECK(hk_elf_note_id(hk_slice_make(vast, sizeof vast - 1), 4, out) == 0);
    CHECK(hk_elf_note_id(hk_slice_make(abi, sizeof abi - 1), 8, out) == 0);
}

/* Where this program is loaded, and what its own numbers call that place: 0, as it can lie anywhere. */
static int find_start(struct dl_phdr_info *info, size_t size, void *out)
{
    (void)size;
    *(uint64_t *)out = (uint64_t)info->dlpi_addr;
    return 1;
}

static hk_native *own_frames(hk_pool *pool)
{
    hk_native *n = hk_pool_alloc(pool, sizeof *n);
    uint64_t start = 0;

    dl_iterate_phdr(find_start, &start);
    n->image_count = 1;
    n->images[0].start = start;
    n->images[0].size = 1 << 30;
    CHECK(readlink("/proc/self/exe", n->images[0].path, HK_NATIVE_PATH - 1) > 0);
    n->count = 3;
    n->frames[0].address = (uint64_t)(uintptr_t)native_named_function + 1;
    n->frames[1].address = 8; /* nowhere */
    n->frames[1].image = -1;
    n->frames[2].address = (uint64_t)(uintptr_t)native_named_function;
    n->frames[2].is_exact = 1;
    return n;
}

/* Names come from the file that was loaded, and from no other that has its path. */
static void names(void)
{
    hk_elf_symbol *symbols;
    hk_elf_file file;
    hk_slice bytes;
    hk_pool pool;
    hk_native *n;
    size_t i;

    hk_pool_init(&pool);
    n = own_frames(&pool);
    bytes = check_read_file(n->images[0].path);
    file.read = read_bytes;
    file.ctx = &bytes;
    n->images[0].id_size = (uint32_t)hk_elf_build_id(&file, n->images[0].id);
    CHECK(n->images[0].id_size > 0);
    symbols = hk_symbols_find(n, getuid(), getgid(), 10000, &pool);
    CHECK_TEXT("native_named_function", hk_slice_of(symbols[0].name));
    CHECK_TEXT("", hk_slice_of(symbols[1].name));
    CHECK_TEXT("native_named_function", hk_slice_of(symbols[2].name));
    CHECK(symbols[0].start + n->images[0].start == (uint64_t)(uintptr_t)native_named_function);
    symbols = hk_symbols_find(n, getuid(), getgid(), 0, &pool); /* no time */
    CHECK_TEXT("", hk_slice_of(symbols[0].name));
    n->images[0].id[0] ^= 1;
    symbols = hk_symbols_find(n, getuid(), getgid(), 10000, &pool);
    CHECK_TEXT("", hk_slice_of(symbols[0].name));
    for (i = 0; i < 3; i++) {
        static const char *const wrong[] = { "/nowhere/libx.so", "/dev/zero", "/etc/passwd" };
        strcpy(n->images[0].path, wrong[i]);
        symbols = hk_symbols_find(n, getuid(), getgid(), 10000, &pool);
        CHECK_TEXT("", hk_slice_of(symbols[0].name));
    }
    CHECK(hk_elf_text_id(&file, n->images[0].id) == 16);
    free((char *)(uintptr_t)bytes.p);
    hk_pool_free(&pool);
}

/* This program with any one byte of its headers turned, or cut anywhere in them: an answer or none, within its bounds. */
static void broken_files(void)
{
    hk_elf_symbol symbols[2];
    unsigned char id[HK_ELF_ID];
    hk_slice whole = check_read_file("/proc/self/exe"), part;
    char *bytes = (char *)(uintptr_t)whole.p;
    hk_elf_file file = { read_bytes, &part };
    size_t i, end = whole.n;

    memset(symbols, 0, sizeof symbols);
    symbols[0].address = 0x1100;
    for (i = 0; i < 2048 && i < end; i++) {
        part = i < 1024 ? whole : hk_slice_make(whole.p, i - 1024);
        bytes[i % 1024] ^= (char)0xff;
        (void)hk_elf_build_id(&file, id);
        (void)hk_elf_text_id(&file, id);
        if (i < 64 || i >= 1024)
            hk_elf_find(&file, symbols, 2);
        bytes[i % 1024] ^= (char)0xff;
        CHECK(memchr(symbols[0].name, 0, HK_ELF_NAME) != NULL);
    }
    free(bytes);
}

/* ---- the event's frames ---- */

static hk_frame python_frame(const char *function)
{
    hk_frame f;

    memset(&f, 0, sizeof f);
    f.file = hk_slice_of("/srv/app.py");
    f.function = hk_slice_of(function);
    f.in_app = 1;
    return f;
}

/* Innermost first, as a crash leaves them: names and images, both ending in NULL. */
static hk_native *stack_of(const char *const *functions, const int *images, hk_elf_symbol *symbols, hk_pool *pool)
{
    static const char *const paths[] = { "/lib/libc.so.6", "/srv/shop/_fast.so", "/usr/lib/libpython3.so" };
    hk_native *n = hk_pool_alloc(pool, sizeof *n);
    uint32_t i;

    for (i = 0; i < 3; i++) {
        n->images[i].start = 0x10000U * (i + 1);
        n->images[i].size = 0x8000;
        strcpy(n->images[i].path, paths[i]);
        n->images[i].id_size = 20;
        memcpy(n->images[i].id, "\xf1\xc3\xbc\xc0\x27\x98\x65\xfe\x30\x58\x40\x4b\x28\x31\xd9\xe6\x41\x35\x38\x6c", 20);
    }
    n->image_count = 3;
    for (i = 0; functions[i] != NULL; i++, n->count++) {
        memset(&symbols[i], 0, sizeof symbols[i]);
        strcpy(symbols[i].name, functions[i]);
        symbols[i].start = 0x100;
        n->frames[i].image = images[i];
        n->frames[i].address = 0x10000U * (uint64_t)(images[i] + 1) + 0x123 + (strcmp(functions[i], "again") == 0 ? 0 : i);
    }
    return n;
}

static void list_is(const char *expected, const hk_frame *frames, size_t count)
{
    size_t i;
    hk_buf b;

    hk_buf_init(&b, 4096);
    for (i = 0; i < count; i++) {
        hk_buf_puts(&b, i == 0 ? "" : " ");
        hk_buf_slice_put(&b, frames[i].function);
        hk_buf_puts(&b, frames[i].in_app ? "+" : "");
        hk_buf_puts(&b, frames[i].is_guessed ? "?" : "");
    }
    CHECK_TEXT(expected, hk_buf_slice(&b));
    hk_buf_free(&b);
}

/* Native frames stand inside Python's innermost; in_app is what the application called its own. */
static void joined(void)
{
    static const char *const plain[] = { "memmove", "fast_copy", "cfunction_call", "_PyEval_EvalFrameDefault", "main", NULL };
    static const char *const inside[] = { "_PyEval_EvalFrameDefault", "_PyEval_Vector", "main", NULL };
    static const char *const stripped[] = { "memmove", "ffi_call", "", "", "", "PyEval_EvalCode", "main", NULL };
    static const char *const again[] = { "again", "again", "again", "again", "again", "enter", NULL };
    static const int images[] = { 0, 1, 2, 2, 2, 2 }, same[] = { 1, 1, 1, 1, 1, 1 };
    static const int library[] = { 0, 1, 1, 2, 2, 2, 2 };
    hk_frame python[2] = { python_frame("application"), python_frame("view") }, *all;
    hk_elf_symbol symbols[HK_NATIVE_FRAMES];
    hk_slice none = { "", 0 }, roots = hk_slice_of("+/srv/shop/\n");
    hk_native *n;
    hk_pool pool;
    size_t count;

    hk_pool_init(&pool);
    n = stack_of(plain, images, symbols, &pool);
    all = hk_native_join(python, 2, n, symbols, roots, &pool, &count);
    list_is("application+ view+ cfunction_call fast_copy+ memmove", all, count);
    CHECK_TEXT("fast_copy", hk_native_place(all, count));
    all = hk_native_join(python, 2, n, symbols, none, &pool, &count);
    list_is("application+ view+ cfunction_call fast_copy memmove", all, count);
    all = hk_native_join(NULL, 0, n, symbols, none, &pool, &count); /* a thread without Python: all of it */
    list_is("main _PyEval_EvalFrameDefault cfunction_call fast_copy memmove", all, count);
    CHECK(hk_native_join(python, 2, NULL, NULL, none, &pool, &count) == python && count == 2);
    symbols[1].name[0] = '\0';
    all = hk_native_join(python, 2, n, symbols, none, &pool, &count);
    CHECK_TEXT("cfunction_call", hk_native_place(all, count));
    n->count = 2;
    all = hk_native_join(python, 2, n, symbols, none, &pool, &count);
    CHECK_TEXT("_fast.so", hk_native_place(all, count));
    CHECK(hk_native_place(python, 2).n == 0);
    n = stack_of(inside, images + 2, symbols, &pool);
    all = hk_native_join(python, 2, n, symbols, none, &pool, &count);
    list_is("application+ view+ _PyEval_EvalFrameDefault", all, count);
    n = stack_of(stripped, library, symbols, &pool);
    all = hk_native_join(python, 2, n, symbols, none, &pool, &count);
    list_is("application+ view+  ffi_call memmove", all, count);
    n = stack_of(again, same, symbols, &pool);
    n->guessed = 5;
    all = hk_native_join(python, 2, n, symbols, none, &pool, &count);
    list_is("application+ view+ enter? again again again", all, count);
    hk_pool_free(&pool);
}

/* What a worker left may be anything: the copy keeps its own promises. */
static void copied(void)
{
    static hk_native shared;
    hk_pool pool;
    hk_native *n;

    hk_pool_init(&pool);
    memset(&shared, 0xff, sizeof shared);
    n = hk_native_copy(&shared, &pool);
    CHECK(n->count == HK_NATIVE_FRAMES && n->image_count == HK_NATIVE_IMAGES && n->frames[5].image == -1);
    CHECK(n->images[3].id_size == 0 && n->images[3].path[HK_NATIVE_PATH - 1] == '\0');
    shared.count = 0;
    CHECK(hk_native_copy(&shared, &pool) == NULL && hk_native_copy(NULL, &pool) == NULL);
    hk_pool_free(&pool);
}

static void event(void)
{
    static const char *const functions[] = { "", "fast_copy", NULL };
    static const int images[] = { 0, 1 };
    static const char ids[] = "\"code_id\":\"f1c3bcc0279865fe3058404b2831d9e64135386c\",\"debug_id\":\"c0bcc3f1-9827-fe65-3058-404b2831d9e6\"";
    hk_frame python = python_frame("view");
    hk_elf_symbol symbols[4];
    hk_slice none = { "", 0 };
    char expected[2048];
    hk_pool pool;
    hk_native *n;
    hk_event e;
    hk_buf out;

    hk_pool_init(&pool);
    hk_buf_init(&out, 1 << 20);
    memset(&e, 0, sizeof e);
    memset(e.id, 'a', 32);
    n = stack_of(functions, images, symbols, &pool);
    symbols[0].start = 0;
    e.exception_type = hk_slice_of("segfault");
    e.frames = hk_native_join(&python, 1, n, symbols, none, &pool, &e.frame_count);
    e.images = hk_native_images(n, e.frames, e.frame_count, &pool);
    CHECK(hk_event_put(&e, 7, HK_EVENT_MAX_BYTES, &out) == HK_OK);
    snprintf(expected, sizeof expected,
             "{\"event_id\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"timestamp\":\"1970-01-01T00:00:00.000000Z\",\"platform\":\"python\","
             "\"exception\":{\"values\":[{\"type\":\"segfault\",\"stacktrace\":{\"frames\":[{\"filename\":\"app.py\","
             "\"abs_path\":\"/srv/app.py\",\"function\":\"view\",\"in_app\":true},{\"filename\":\"_fast.so\",\"platform\":\"native\",\"function\":\"fast_copy\","
             "\"package\":\"/srv/shop/_fast.so\",\"instruction_addr\":\"0x20124\",\"image_addr\":\"0x20000\",\"symbol_addr\":\"0x20100\","
             "\"in_app\":false},{\"filename\":\"libc.so.6\",\"platform\":\"native\",\"package\":\"/lib/libc.so.6\",\"instruction_addr\":\"0x10123\","
             "\"image_addr\":\"0x10000\",\"in_app\":false}]},\"mechanism\":{\"type\":\"generic\",\"handled\":false}}]},"
             "\"debug_meta\":{\"images\":[{\"type\":\"elf\",\"code_file\":\"/lib/libc.so.6\",%s,\"image_addr\":\"0x10000\","
             "\"image_size\":32768},{\"type\":\"elf\",\"code_file\":\"/srv/shop/_fast.so\",%s,\"image_addr\":\"0x20000\","
             "\"image_size\":32768}]},\"sdk\":{\"name\":\"heka-raven.uwsgi\",\"version\":\"" HK_VERSION "\"}}", ids, ids);
    CHECK_TEXT(expected, hk_buf_slice(&out));
    CHECK(hk_jsonread_skip(hk_buf_slice(&out), 0) == out.len);
    hk_buf_clear(&out);
    CHECK(hk_event_put(&e, 3, HK_EVENT_MAX_BYTES, &out) == HK_OK); /* an old server: file and function, or address */
    hk_buf_putc(&out, '\0');
    CHECK(strstr(out.data, "{\"filename\":\"libc.so.6\",\"abs_path\":\"/lib/libc.so.6\",\"function\":\"0x10123\"}") != NULL);
    CHECK(strstr(out.data, "debug_meta") == NULL);
    hk_buf_free(&out);
    hk_pool_free(&pool);
}

int main(void)
{
    notes();
    names();
    broken_files();
    joined();
    copied();
    event();
    printf("%d checks, %d failed\n", check_done, check_failed);
    return check_failed != 0;
}
