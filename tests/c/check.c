#include "check.h"

#include <ftw.h>
#include <unistd.h>

int check_failed;
int check_done;
static long refuse_from = -1, allocations;

void check_that(int good, const char *what, const char *file, int line)
{
    check_done++;
    if (good)
        return;
    check_failed++;
    fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
}

void check_text(const char *expected, hk_slice actual, const char *file, int line)
{
    check_done++;
    if (hk_slice_is(actual, expected))
        return;
    check_failed++;
    fprintf(stderr, "%s:%d: expected %s\n%*s got %.*s\n", file, line, expected, (int)strlen(file) + 4, "", (int)actual.n,
            actual.n == 0 ? "" : actual.p);
}

static void *counting_realloc(void *p, size_t n)
{
    if (refuse_from >= 0 && allocations++ >= refuse_from)
        return NULL;
    return realloc(p, n);
}

void check_refuse_from(long n)
{
    refuse_from = n;
    allocations = 0;
    hk_buf_set_realloc(n < 0 ? NULL : counting_realloc);
}

const char *check_data(const char *name)
{
    static char path[1024];
    const char *root = getenv("HK_ROOT");

    snprintf(path, sizeof path, "%s/tests/data/%s", root == NULL ? "." : root, name);
    return path;
}

hk_slice check_read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    hk_buf b;
    char part[4096];
    size_t n;
    char *copy;

    if (f == NULL) {
        fprintf(stderr, "cannot read %s (set HK_ROOT to the project's root)\n", path);
        exit(2);
    }
    hk_buf_init(&b, 64 << 20);
    while ((n = fread(part, 1, sizeof part, f)) > 0)
        hk_buf_put(&b, part, n);
    fclose(f);
    copy = hk_buf_dup(hk_buf_slice(&b));
    n = b.len;
    hk_buf_free(&b);
    return hk_slice_make(copy, n);
}

void check_each_row(const char *name, void (*row)(hk_slice *fields, int count))
{
    hk_slice file = check_read_file(check_data(name)), rest = file, fields[16];
    int rows = 0;

    while (rest.n > 0) {
        const char *end = memchr(rest.p, '\n', rest.n);
        size_t n = end == NULL ? rest.n : (size_t)(end - rest.p);
        hk_slice line = hk_slice_make(rest.p, n);
        int count = 0;
        rest = hk_slice_from(rest, n + 1);
        if (n > 0 && line.p[0] == '#')
            continue;
        if (n == 0)
            continue;
        for (;;) {
            const char *tab = memchr(line.p, '\t', line.n);
            size_t width = tab == NULL ? line.n : (size_t)(tab - line.p);
            fields[count++] = hk_slice_make(line.p, width);
            if (tab == NULL || count == 16)
                break;
            line = hk_slice_from(line, width + 1);
        }
        rows++;
        row(fields, count);
    }
    CHECK(rows > 0);
    hk_buf_release((void *)file.p);
}

void check_unescape(hk_slice s, hk_buf *out)
{
    size_t i;

    for (i = 0; i < s.n; i++) {
        char c = s.p[i], hex[3];
        if (c == '\\' && i + 1 < s.n) {
            c = s.p[++i];
            if (c == 'x') {
                hex[0] = s.p[i + 1];
                hex[1] = s.p[i + 2];
                hex[2] = '\0';
                c = (char)strtol(hex, NULL, 16);
                i += 2;
            } else {
                c = c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c;
            }
        }
        hk_buf_putc(out, c);
    }
}

const char *check_make_directory(void)
{
    static char path[64];

    snprintf(path, sizeof path, "/tmp/hk-c-test-XXXXXX");
    if (mkdtemp(path) == NULL) {
        perror("mkdtemp");
        exit(2);
    }
    return path;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

void check_remove_directory(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
