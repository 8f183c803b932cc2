#include "ledgers.h"

#include "sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUM_TRIES 20              /* a reader that meets a fold in each of them takes the last as it is */
#define TOTAL_MAX (64U << 20)     /* bytes of total: its names included */
static const char total_name[] = "total";

typedef struct total {
    uint64_t counts[HK_LEDGER_SLOTS];
    hk_buf names; /* one a line, each with its newline */
} total;

/* "<digits>-<digits>" with an optional "-tag"; pid and start are set. */
static int parse_name(const char *name, long *pid, uint64_t *start)
{
    const char *p = name;

    *pid = 0;
    *start = 0;
    if (*p < '0' || *p > '9')
        return 0;
    for (; *p >= '0' && *p <= '9'; p++)
        *pid = *pid < 100000000L ? *pid * 10 + (*p - '0') : *pid;
    if (*p++ != '-' || *p < '0' || *p > '9')
        return 0;
    for (; *p >= '0' && *p <= '9'; p++)
        *start = *start * 10 + (uint64_t)(*p - '0');
    if (*p == '\0')
        return 1;
    if (*p++ != '-' || *p == '\0')
        return 0;
    for (; *p != '\0'; p++)
        if (!((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')))
            return 0;
    return 1;
}

static int is_alive(long pid, uint64_t start)
{
    uint64_t now;

    if (kill((pid_t)pid, 0) < 0 && errno == ESRCH)
        return 0;
    now = hk_ledger_start_time((pid_t)pid);
    return now == start || now == 0 || start == 0;
}

typedef enum reading { COUNTS_READ, NO_LEDGER, COUNTS_GONE, NOT_NOW } reading;

/* NOT_NOW: no descriptor is free, or a disk in trouble: what it counts is not nothing. */
static reading read_counts(int dir_fd, const char *name, uint64_t counts[HK_LEDGER_SLOTS])
{
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    reading got;
    ssize_t n;

    if (fd < 0)
        return errno == ENOENT ? COUNTS_GONE : errno == ELOOP ? NO_LEDGER : NOT_NOW;
    if (fstat(fd, &st) < 0)
        got = NOT_NOW;
    else if (!S_ISREG(st.st_mode))
        got = NO_LEDGER;
    else if ((n = read(fd, counts, HK_LEDGER_SIZE)) < 0)
        got = NOT_NOW;
    else
        got = n == (ssize_t)HK_LEDGER_SIZE && memcmp(counts, "HKLEDG01", 8) == 0 ? COUNTS_READ : NO_LEDGER;
    close(fd);
    return got;
}

/* Whether a name that could not be found is not there: a disk in trouble says so of what it has listed. */
static int is_gone(int dir_fd, const char *name)
{
    struct stat st;

    return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
}

/* HK_ERR_SYSTEM: it is there and cannot be read now. It must not be taken for an empty one, and replaced. */
static hk_status read_total(int dir_fd, total *t)
{
    hk_status rc = HK_ERR_SYSTEM;
    char part[4096];
    struct stat st;
    ssize_t n;
    int fd;

    memset(t->counts, 0, sizeof t->counts);
    hk_buf_clear(&t->names);
    fd = openat(dir_fd, total_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT && is_gone(dir_fd, total_name) ? HK_OK : HK_ERR_SYSTEM;
    if (fstat(fd, &st) < 0)
        goto out;
    n = S_ISREG(st.st_mode) ? read(fd, t->counts, HK_LEDGER_SIZE) : 0;
    if (n < 0)
        goto out;
    if (n == (ssize_t)HK_LEDGER_SIZE && memcmp(t->counts, "HKLEDG01", 8) == 0) {
        while ((n = read(fd, part, sizeof part)) > 0)
            hk_buf_put(&t->names, part, (size_t)n);
        if (n < 0)
            goto out;
    } else {
        memset(t->counts, 0, sizeof t->counts);
    }
    rc = hk_buf_ok(&t->names) ? HK_OK : HK_ERR_MEMORY;
out:
    close(fd);
    return rc;
}

/* Whether it is still what was read. By its content: an inode and its mtime may come round. */
static int is_unchanged(int dir_fd, const total *t)
{
    total now;
    int same;

    hk_buf_init(&now.names, TOTAL_MAX);
    same = read_total(dir_fd, &now) == HK_OK && memcmp(now.counts, t->counts, sizeof now.counts) == 0
        && hk_slice_same(hk_buf_slice(&now.names), hk_buf_slice(&t->names));
    hk_buf_free(&now.names);
    return same;
}

static int has_name(const hk_buf *names, const char *name)
{
    hk_slice rest = hk_buf_slice(names);
    size_t n = strlen(name);

    while (rest.n > 0) {
        const char *end = memchr(rest.p, '\n', rest.n);
        size_t line = end == NULL ? rest.n : (size_t)(end - rest.p);
        if (line == n && memcmp(rest.p, name, n) == 0)
            return 1;
        rest = hk_slice_from(rest, line + 1);
    }
    return 0;
}

static DIR *open_list(int dir_fd)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (dir == NULL && fd >= 0)
        close(fd);
    return dir;
}

static void add(uint64_t sum[HK_LEDGER_SLOTS], const uint64_t more[HK_LEDGER_SLOTS])
{
    unsigned i;

    for (i = 1; i < HK_LEDGER_SLOTS; i++)
        sum[i] += more[i];
}

/* One reading; *complete is 0 when a fold went on meanwhile. */
static hk_status sum_once(int dir_fd, total *t, uint64_t out[HK_LEDGER_SLOTS], int *complete)
{
    uint64_t counts[HK_LEDGER_SLOTS], start;
    struct dirent *entry;
    hk_status rc;
    long pid;
    DIR *dir;

    *complete = 1;
    rc = read_total(dir_fd, t);
    if (rc != HK_OK)
        return rc;
    dir = open_list(dir_fd);
    if (dir == NULL)
        return HK_ERR_SYSTEM;
    memcpy(out, t->counts, HK_LEDGER_SIZE);
    while ((entry = readdir(dir)) != NULL) {
        if (!parse_name(entry->d_name, &pid, &start) || has_name(&t->names, entry->d_name))
            continue;
        switch (read_counts(dir_fd, entry->d_name, counts)) {
        case COUNTS_READ: add(out, counts); break;
        case COUNTS_GONE: *complete = 0; break;
        default: break;
        }
    }
    closedir(dir);
    return HK_OK;
}

hk_status hk_ledgers_sum(int dir_fd, uint64_t out[HK_LEDGER_SLOTS])
{
    hk_status rc = HK_OK;
    int complete = 0, tries;
    total t;

    hk_buf_init(&t.names, TOTAL_MAX);
    for (tries = 0; tries < SUM_TRIES && rc == HK_OK && !complete; tries++) {
        rc = sum_once(dir_fd, &t, out, &complete);
        complete = complete && is_unchanged(dir_fd, &t);
    }
    hk_buf_free(&t.names);
    return rc;
}

static int write_all(int fd, const void *data, size_t n)
{
    const char *p = data;

    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return -1;
        p += done;
        n -= (size_t)done;
    }
    return 0;
}

static hk_status write_total(int dir_fd, const total *t, const hk_buf *names)
{
    static const char temporary[] = ".total"; /* one name: what a killed fold left goes away */
    uint64_t counts[HK_LEDGER_SLOTS];
    int fd, rc = -1;

    memcpy(counts, t->counts, sizeof counts);
    memcpy(counts, "HKLEDG01", 8);
    unlinkat(dir_fd, temporary, 0); /* what lies there may be a link to another file, or a pipe */
    fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return HK_ERR_SYSTEM;
    if (write_all(fd, counts, sizeof counts) == 0 && write_all(fd, names->data, names->len) == 0)
        rc = 0;
    close(fd);
    if (rc == 0 && renameat(dir_fd, temporary, dir_fd, total_name) == 0)
        return HK_OK;
    unlinkat(dir_fd, temporary, 0);
    return HK_ERR_SYSTEM;
}

/* Unlink every name; those that are still there afterwards are appended to left: total must go on naming them. */
static void unlink_names(int dir_fd, const hk_buf *names, hk_buf *left)
{
    hk_slice rest = hk_buf_slice(names);
    char name[128];

    while (rest.n > 0) {
        const char *end = memchr(rest.p, '\n', rest.n);
        size_t line = end == NULL ? rest.n : (size_t)(end - rest.p);
        if (line > 0 && line < sizeof name && rest.p[0] >= '0' && rest.p[0] <= '9'
            && memchr(rest.p, '/', line) == NULL) {
            memcpy(name, rest.p, line);
            name[line] = '\0';
            if (unlinkat(dir_fd, name, 0) < 0 && (errno != ENOENT || !is_gone(dir_fd, name))) {
                hk_buf_puts(left, name);
                hk_buf_putc(left, '\n');
            }
        }
        rest = hk_slice_from(rest, line + 1);
    }
}

hk_status hk_ledgers_fold(int dir_fd)
{
    uint64_t counts[HK_LEDGER_SLOTS], start;
    struct dirent *entry;
    hk_buf left, added;
    hk_status rc;
    reading got;
    long pid;
    DIR *dir = NULL;
    int fresh = 0;
    total t;

    hk_buf_init(&t.names, TOTAL_MAX);
    hk_buf_init(&left, TOTAL_MAX);
    hk_buf_init(&added, TOTAL_MAX);
    rc = read_total(dir_fd, &t);
    if (rc != HK_OK)
        goto out;
    unlink_names(dir_fd, &t.names, &left); /* a fold that was killed half-way left them */
    hk_buf_slice_put(&added, hk_buf_slice(&left));
    dir = open_list(dir_fd);
    if (dir == NULL) {
        rc = HK_ERR_SYSTEM;
        goto out;
    }
    while ((entry = readdir(dir)) != NULL) {
        if (!parse_name(entry->d_name, &pid, &start) || has_name(&left, entry->d_name) || is_alive(pid, start))
            continue;
        got = read_counts(dir_fd, entry->d_name, counts);
        if (got == COUNTS_GONE || got == NOT_NOW)
            continue; /* the next time */
        if (got == COUNTS_READ)
            add(t.counts, counts);
        hk_buf_puts(&added, entry->d_name);
        hk_buf_putc(&added, '\n');
        fresh = 1;
    }
    if (fresh) {
        rc = hk_buf_ok(&added) ? write_total(dir_fd, &t, &added) : HK_ERR_MEMORY;
        if (rc != HK_OK)
            goto out;
        hk_buf_clear(&left);
        unlink_names(dir_fd, &added, &left);
    }
    /* What is gone is named no longer: a process that has the same pid and start tick, after a reboot or where there is
     * no /proc, would not be counted, and the next fold would take its file away. */
    if (fresh || left.len != t.names.len)
        rc = hk_buf_ok(&left) ? write_total(dir_fd, &t, &left) : HK_ERR_MEMORY;
out:
    if (dir != NULL)
        closedir(dir);
    hk_buf_free(&t.names);
    hk_buf_free(&left);
    hk_buf_free(&added);
    return rc;
}
