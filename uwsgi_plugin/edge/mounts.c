#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_TEXT (4U * 1024U * 1024U)
#define MAX_LINKS 40

static const char *const networks[] = { "nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "coda", "lustre", "gpfs", "beegfs",
                                        "orangefs", "glusterfs", "autofs", "fuse" };

static int is_network(hk_slice type)
{
    size_t i;

    if (type.n > 5 && memcmp(type.p, "fuse.", 5) == 0)
        return 1;
    for (i = 0; i < sizeof networks / sizeof networks[0]; i++)
        if (hk_slice_is(type, networks[i]))
            return 1;
    return 0;
}

static hk_slice take_word(hk_slice *line)
{
    const char *end = memchr(line->p, ' ', line->n);
    hk_slice word = hk_slice_make(line->p, end == NULL ? line->n : (size_t)(end - line->p));

    *line = hk_slice_from(*line, end == NULL ? word.n : word.n + 1);
    return word;
}

/* A blank, a tab, a newline and a backslash are written in octal. */
static void put_unescaped(hk_slice word, hk_buf *out)
{
    size_t i;

    for (i = 0; i < word.n; i++) {
        if (word.p[i] == '\\' && word.n - i > 3) {
            hk_buf_putc(out, (char)((word.p[i + 1] - '0') * 64 + (word.p[i + 2] - '0') * 8 + (word.p[i + 3] - '0')));
            i += 3;
        } else {
            hk_buf_putc(out, word.p[i]);
        }
    }
}

/* "36 35 98:0 /root /point options [tags] - type source options" */
static void read_line(hk_slice line, hk_buf *out)
{
    hk_slice point, word;
    int i;

    for (i = 0; i < 4; i++)
        (void)take_word(&line);
    point = take_word(&line);
    do {
        word = take_word(&line);
    } while (word.n > 0 && !hk_slice_is(word, "-"));
    if (point.n == 0 || word.n == 0 || memchr(point.p, '\n', point.n) != NULL)
        return;
    hk_buf_putc(out, is_network(take_word(&line)) && !hk_slice_is(point, "/") ? 'R' : 'L');
    put_unescaped(point, out);
    hk_buf_putc(out, '\0');
}

void hk_mounts_read(hk_mounts *m, const char *mountinfo)
{
    int fd = open(mountinfo == NULL ? "/proc/self/mountinfo" : mountinfo, O_RDONLY | O_CLOEXEC);
    const char *end;
    hk_slice rest;
    char part[8192];
    hk_buf all;
    ssize_t n;

    hk_buf_init(&m->text, MAX_TEXT);
    hk_buf_init(&all, MAX_TEXT);
    while (fd >= 0 && (n = read(fd, part, sizeof part)) > 0)
        hk_buf_put(&all, part, (size_t)n);
    if (fd >= 0)
        close(fd);
    rest = hk_buf_slice(&all);
    while (hk_buf_ok(&all) && rest.n > 0 && (end = memchr(rest.p, '\n', rest.n)) != NULL) {
        read_line(hk_slice_make(rest.p, (size_t)(end - rest.p)), &m->text);
        rest = hk_slice_from(rest, (size_t)(end - rest.p) + 1);
    }
    hk_buf_free(&all);
}

void hk_mounts_free(hk_mounts *m)
{
    hk_buf_free(&m->text);
}

/* Whether path, which has no links any more, is on such a mount: the one that is nearest, and of several at one place the last. */
static int is_on_remote(const hk_mounts *m, const char *path)
{
    hk_slice rest = hk_buf_slice(&m->text);
    size_t longest = 0, n;
    int remote = 0;

    while (rest.n > 1) {
        const char *point = rest.p + 1;
        n = strlen(point);
        if (n > 1 && n >= longest && strncmp(path, point, n) == 0 && (path[n] == '/' || path[n] == '\0')) {
            longest = n;
            remote = rest.p[0] == 'R';
        }
        rest = hk_slice_from(rest, n + 2);
    }
    return remote;
}

/* Put target and what is left of the way behind it into rest, which has PATH_MAX bytes. 0; -1: too long. */
static int follow(char *rest, const char *target, const char *left)
{
    char whole[2 * PATH_MAX];
    int n = snprintf(whole, sizeof whole, "%s/%s", target, left);

    if (n < 0 || n >= PATH_MAX)
        return -1;
    memcpy(rest, whole, (size_t)n + 1);
    return 0;
}

int hk_mounts_is_remote(const hk_mounts *m, const char *path)
{
    char done[PATH_MAX] = "", rest[PATH_MAX], target[PATH_MAX], *at = rest, *slash;
    size_t n, have;
    ssize_t length;
    int links = 0;

    if (m->text.len == 0)
        return 0; /* no /proc in this chroot */
    if (!hk_buf_ok(&m->text) || strlen(path) >= sizeof rest)
        return 1;
    if (path[0] != '/' && getcwd(done, sizeof done) == NULL)
        return 1;
    if (path[0] != '/' && is_on_remote(m, done))
        return 1;
    memcpy(rest, path, strlen(path) + 1);
    while (*at != '\0') {
        slash = strchr(at, '/');
        n = slash == NULL ? strlen(at) : (size_t)(slash - at);
        have = strlen(done);
        if (n == 2 && at[0] == '.' && at[1] == '.') {
            while (have > 0 && done[--have] != '/')
                ;
            done[have] = '\0';
        } else if (n > 0 && !(n == 1 && at[0] == '.')) {
            if (have + n + 2 > sizeof done)
                return 1;
            done[have] = '/';
            memcpy(done + have + 1, at, n);
            done[have + 1 + n] = '\0';
            if (is_on_remote(m, done))
                return 1;
            length = readlink(done, target, sizeof target - 1);
            if (length >= 0) {
                target[length] = '\0';
                done[target[0] == '/' ? 0 : have] = '\0';
                if (++links > MAX_LINKS || follow(rest, target, slash == NULL ? "" : slash + 1) < 0)
                    return 1;
                at = rest;
                continue;
            }
            if (errno != EINVAL)
                return 0; /* it is not there, or closed: to open it fails as well */
        }
        at = slash == NULL ? at + n : slash + 1;
    }
    return 0;
}
