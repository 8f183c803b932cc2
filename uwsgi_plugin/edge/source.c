#include "source.h"

#include "sys.h"

#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE (4U * 1024U * 1024U) /* bytes; as heka_raven/reporting/source.py */
#define MAX_FILES 24U
#define AROUND 5U     /* lines on each side, as everywhere */
#define MAX_LINE 512U /* bytes kept of one */

static int is_source(hk_slice file)
{
    return file.n > 3 && file.n < 4096 && memcmp(file.p + file.n - 3, ".py", 3) == 0
        && memchr(file.p, 0, file.n) == NULL;
}

int hk_source_open(const char *path, uid_t uid, gid_t gid, const hk_mounts *mounts)
{
    int root = geteuid() == 0 && uid != 0, fd;

    if (hk_mounts_is_remote(mounts, path))
        return -1;
    if (root) {
        setfsgid(gid);
        setfsuid(uid); /* of this thread alone; it drops the file capabilities as well */
    }
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (root) {
        setfsuid(geteuid());
        setfsgid(getegid());
    }
    return fd;
}

static void read_file(hk_slice file, uid_t uid, gid_t gid, const hk_mounts *mounts, hk_buf *out)
{
    char path[4096], part[65536];
    struct stat st;
    ssize_t n;
    int fd;

    memcpy(path, file.p, file.n);
    path[file.n] = '\0';
    fd = hk_source_open(path, uid, gid, mounts);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= (off_t)MAX_FILE)
        while ((n = read(fd, part, sizeof part)) > 0)
            hk_buf_put(out, part, (size_t)n);
    close(fd);
}

static hk_slice take_line(hk_slice *text)
{
    const char *end = memchr(text->p, '\n', text->n);
    hk_slice line = hk_slice_make(text->p, end == NULL ? text->n : (size_t)(end - text->p));

    *text = hk_slice_from(*text, line.n + 1);
    return line;
}

/* The next lines of text, each cut and with a newline. */
static hk_slice take_lines(hk_slice *text, uint64_t count, hk_pool *pool)
{
    hk_slice out;
    hk_buf b;

    hk_buf_init(&b, 2U * AROUND * (MAX_LINE + 1));
    for (; text->n > 0 && count > 0; count--) {
        hk_slice line = take_line(text);
        hk_buf_put(&b, line.p, line.n < MAX_LINE ? line.n : MAX_LINE);
        if (b.len > 0 && b.data[b.len - 1] == '\r')
            b.len--;
        hk_buf_putc(&b, '\n');
    }
    out = hk_buf_ok(&b) ? hk_pool_keep(pool, hk_buf_slice(&b)) : hk_slice_make("", 0);
    hk_buf_free(&b);
    return out;
}

static void fill(hk_frame *f, hk_slice text, hk_pool *pool)
{
    uint64_t first = f->line > AROUND ? f->line - AROUND : 1, number;

    if (f->line == 0)
        return;
    for (number = 1; number < first && text.n > 0; number++)
        (void)take_line(&text);
    f->before = take_lines(&text, f->line - first, pool);
    f->line_text = take_lines(&text, 1, pool);
    if (f->line_text.n > 0)
        f->line_text.n--; /* its newline */
    f->after = take_lines(&text, AROUND, pool);
}

void hk_source_fill(hk_frame *frames, size_t count, uid_t uid, gid_t gid, unsigned budget_ms, hk_pool *pool)
{
    uint64_t until = hk_sys_monotonic_ms() + budget_ms;
    unsigned files = 0;
    hk_mounts mounts;
    size_t i, k;
    hk_buf text;

    if (count == 0)
        return;
    hk_mounts_read(&mounts, NULL);
    for (i = count; i > 0 && files < MAX_FILES && hk_sys_monotonic_ms() < until; i--) {
        hk_slice file = frames[i - 1].file;
        if (!is_source(file))
            continue;
        for (k = i; k < count && !hk_slice_same(frames[k].file, file); k++)
            ;
        if (k < count)
            continue; /* its file was read for a frame further in */
        files++;
        hk_buf_init(&text, MAX_FILE + 1);
        read_file(file, uid, gid, &mounts, &text);
        for (k = i; k > 0 && hk_buf_ok(&text) && text.len > 0 && hk_sys_monotonic_ms() < until; k--)
            if (hk_slice_same(frames[k - 1].file, file))
                fill(&frames[k - 1], hk_buf_slice(&text), pool);
        hk_buf_free(&text);
    }
    hk_mounts_free(&mounts);
}
