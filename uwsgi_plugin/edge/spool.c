#include "spool.h"

#include "ledgers.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define SYSTEM_PARENT "/var/spool/heka-raven"
#define NAME_BYTES 96
/* How old the level may be: it is read again sooner the nearer the caps are. */
#define LEVEL_FAR_MS 10000U
#define LEVEL_NEAR_MS 1000U
#define LEVEL_FULL_MS 100U

static int is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Whether uid may make entries in the directory path. access(2) asks for this
 * process's user, which may still be root. */
static int may_write(const char *path, uid_t uid)
{
    struct stat st;

    if (geteuid() == 0 || geteuid() == uid) /* also root may not where the file system is read-only */
        return is_directory(path) && faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) == 0;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == uid;
}

static int is_read_only(const char *path)
{
    struct statvfs fs;
    return statvfs(path, &fs) == 0 && (fs.f_flag & ST_RDONLY) != 0;
}

static void put_absolute(const char *path, hk_buf *out)
{
    char *cwd;

    if (path[0] != '/') {
        cwd = getcwd(NULL, 0);
        if (cwd != NULL && strcmp(cwd, "/") != 0)
            hk_buf_puts(out, cwd);
        hk_buf_putc(out, '/');
        free(cwd);
    }
    hk_buf_puts(out, path);
    while (out->len > 1 && out->data[out->len - 1] == '/')
        out->len--;
}

const char *hk_spool_resolve(const char *explicit_path, const char *environment, uid_t uid, hk_buf *path)
{
    struct stat st;
    char system_path[64];

    if (explicit_path != NULL && explicit_path[0] != '\0') {
        put_absolute(explicit_path, path);
        return "set by sentry-spool";
    }
    if (environment != NULL && environment[0] != '\0') {
        put_absolute(environment, path);
        return "from $" HK_SPOOL_ENVIRONMENT;
    }
    snprintf(system_path, sizeof system_path, SYSTEM_PARENT "/%lu", (unsigned long)uid);
    if ((lstat(system_path, &st) == 0 && !is_read_only(system_path))
        || may_write(is_directory(SYSTEM_PARENT) ? SYSTEM_PARENT : "/var/spool", uid)) {
        hk_buf_puts(path, system_path);
        return "the system's spool";
    }
    hk_buf_puts(path, "/tmp/heka-raven-");
    hk_buf_put_u64(path, uid);
    return "/var/spool is not writable";
}

/* Like mkdir -p for what stands before the last slash. What went wrong, an errno; 0: nothing. */
static int make_parents(const char *path)
{
    int wrong = 0;
    hk_buf b;
    const char *p;

    hk_buf_init(&b, 8192);
    for (p = strchr(path + 1, '/'); p != NULL; p = strchr(p + 1, '/')) {
        hk_buf_clear(&b);
        hk_buf_put(&b, path, (size_t)(p - path));
        if (hk_buf_text(&b) != NULL)
            wrong = mkdir(b.data, 0755) == 0 || errno == EEXIST || wrong != 0 ? wrong : errno;
    }
    hk_buf_free(&b);
    return wrong;
}

static const char *check(int fd, uid_t uid)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return strerror(errno);
    if (!S_ISDIR(st.st_mode))
        return "is not a directory";
    if (st.st_uid != uid)
        return "belongs to another user; name a directory of its own (or chown it, if it is meant to be the spool)";
    if ((st.st_mode & 077) != 0)
        return "lets others in; name a directory of its own (or chmod 700 it, if it is meant to be the spool)";
    return NULL;
}

/* Open name in dir_fd, making it first where it is missing; *wrong is set when -1 is returned. */
static int open_directory(int dir_fd, const char *name, const hk_spool *s, const char **wrong)
{
    int made = mkdirat(dir_fd, name, 0700) == 0, fd;

    if (!made && errno != EEXIST) {
        int saved = errno;
        *wrong = strerror(errno);
        errno = saved;
        return -1;
    }
    fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        *wrong = errno == ELOOP || errno == ENOTDIR ? "is a symbolic link or no directory; name the directory itself"
                                                    : strerror(errno);
        return -1;
    }
    if (made && geteuid() == 0 && s->uid != 0 && fchown(fd, s->uid, s->gid) < 0)
        *wrong = strerror(errno);
    else
        *wrong = check(fd, s->uid);
    if (*wrong == NULL)
        return fd;
    close(fd);
    return -1;
}

static int *fd_of(hk_spool *s, unsigned which)
{
    int *const all[HK_SPOOL_DIRS] = { &s->root_fd, &s->new_fd, &s->tmp_fd, &s->dead_fd, &s->state_fd, &s->ledger_fd };
    return all[which];
}

/* Whether a descriptor still is the one we opened: 1; 2: and its directory was not deleted; 0: somebody closed it,
 * and may have opened something else under its number. */
static int is_ours(hk_spool *s, unsigned which)
{
    struct stat st;

    if (*fd_of(s, which) < 0 || fstat(*fd_of(s, which), &st) < 0 || st.st_dev != s->known[which].device
        || st.st_ino != s->known[which].inode)
        return 0;
    return st.st_nlink > 0 ? 2 : 1;
}

/* Whether its path leads elsewhere by now: it was moved away, or its file system was unmounted. The application's half goes
 * by the path, and so do we. */
static int is_elsewhere(const hk_spool *s)
{
    struct stat st;

    if (stat(s->path, &st) != 0)
        return errno == ENOENT;
    return st.st_dev != s->known[0].device || st.st_ino != s->known[0].inode;
}

static void close_all(hk_spool *s)
{
    unsigned i;

    for (i = HK_SPOOL_DIRS; i-- > 0;) {
        if (is_ours(s, i))
            close(*fd_of(s, i));
        *fd_of(s, i) = -1;
    }
}

static void remember(hk_spool *s)
{
    struct stat st;
    unsigned i;

    for (i = 0; i < HK_SPOOL_DIRS; i++)
        if (*fd_of(s, i) >= 0 && fstat(*fd_of(s, i), &st) == 0) {
            s->known[i].device = st.st_dev;
            s->known[i].inode = st.st_ino;
        }
}

/* A later version that lays a spool out in another way says so in state/format; format 1 says nothing. */
static int knows_format(const hk_spool *s)
{
    char text[16];
    ssize_t n;
    int fd = openat(s->state_fd, "format", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0)
        return errno == ENOENT;
    n = read(fd, text, sizeof text);
    close(fd);
    return n >= 1 && text[0] == '1' && (n == 1 || (n == 2 && text[1] == '\n'));
}

static hk_status open_all(hk_spool *s, hk_buf *why)
{
    const char *wrong = NULL, *part = "";
    int parents = make_parents(s->path);

    s->root_fd = open_directory(AT_FDCWD, s->path, s, &wrong);
    if (s->root_fd < 0) {
        if (errno == ENOENT && parents != 0)
            wrong = strerror(parents); /* not "no such file": why it could not be made */
        goto bad;
    }
    part = "/new";
    if ((s->new_fd = open_directory(s->root_fd, "new", s, &wrong)) < 0)
        goto bad;
    part = "/tmp";
    if ((s->tmp_fd = open_directory(s->root_fd, "tmp", s, &wrong)) < 0)
        goto bad;
    part = "/dead";
    if ((s->dead_fd = open_directory(s->root_fd, "dead", s, &wrong)) < 0)
        goto bad;
    part = "/state";
    if ((s->state_fd = open_directory(s->root_fd, "state", s, &wrong)) < 0)
        goto bad;
    part = "/state/format";
    if (!knows_format(s)) {
        wrong = "names another format than 1, the only one that this version knows";
        goto bad;
    }
    part = "/state/ledger";
    if ((s->ledger_fd = open_directory(s->state_fd, "ledger", s, &wrong)) < 0)
        goto bad;
    remember(s);
    return HK_OK;
bad:
    remember(s);
    if (why != NULL) {
        hk_buf_puts(why, s->path);
        hk_buf_puts(why, part);
        hk_buf_puts(why, ": ");
        hk_buf_puts(why, wrong == NULL ? "cannot be opened" : wrong);
        if (wrong != NULL && strstr(wrong, "name ") == NULL) {
            hk_buf_puts(why, "; name a directory that uid ");
            hk_buf_put_u64(why, s->uid);
            hk_buf_puts(why, " may write to");
        }
    }
    close_all(s);
    return HK_ERR_SYSTEM;
}

hk_status hk_spool_open(hk_spool *s, const char *path, uid_t uid, gid_t gid, uint64_t max_bytes, uint64_t max_count,
                        hk_buf *why)
{
    hk_status rc;

    memset(s, 0, sizeof *s);
    s->root_fd = s->new_fd = s->tmp_fd = s->dead_fd = s->state_fd = s->ledger_fd = -1;
    s->uid = uid;
    s->gid = gid;
    s->max_bytes = max_bytes;
    s->max_count = max_count;
    hk_ledger_init(&s->ledger, -1, uid, gid);
    s->path = hk_buf_dup(hk_slice_of(path));
    if (s->path == NULL)
        return HK_ERR_MEMORY;
    rc = open_all(s, why);
    if (rc == HK_OK)
        s->ledger.dir_fd = s->ledger_fd;
    return rc;
}

void hk_spool_free(hk_spool *s)
{
    if (s == NULL || s->path == NULL)
        return;
    hk_ledger_free(&s->ledger);
    close_all(s);
    hk_buf_release(s->path);
    s->path = NULL;
}

/* The numbers of descriptors stay, so that a thread in the middle of a write goes on. */
static void take_over(hk_spool *s, hk_spool *fresh)
{
    unsigned i;

    for (i = 0; i < HK_SPOOL_DIRS; i++) {
        int *old = fd_of(s, i), *new = fd_of(fresh, i);
        if (is_ours(s, i) && dup3(*new, *old, O_CLOEXEC) >= 0) {
            close(*new);
        } else {
            __atomic_store_n(old, *new, __ATOMIC_RELEASE);
        }
        s->known[i] = fresh->known[i];
        *new = -1;
    }
    s->ledger.dir_fd = s->ledger_fd;
    s->level_read_ms = 0;
}

int hk_spool_renew(hk_spool *s)
{
    const struct timespec pause = { 0, 1000000 };
    pid_t pid = getpid(), other = __atomic_load_n(&s->renewing, __ATOMIC_ACQUIRE);
    hk_spool fresh;
    int rc = -1, tries;

    if (other == pid || !__atomic_compare_exchange_n(&s->renewing, &other, pid, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        for (tries = 0; tries < 50 && __atomic_load_n(&s->renewing, __ATOMIC_ACQUIRE) == pid; tries++)
            nanosleep(&pause, NULL); /* another thread is at it */
        return 0;
    }
    fresh = *s;
    fresh.root_fd = fresh.new_fd = fresh.tmp_fd = fresh.dead_fd = fresh.state_fd = fresh.ledger_fd = -1;
    if (open_all(&fresh, NULL) == HK_OK) {
        take_over(s, &fresh);
        hk_ledger_renew(&s->ledger);
        rc = 0;
    }
    __atomic_store_n(&s->renewing, 0, __ATOMIC_RELEASE);
    return rc;
}

int hk_spool_ensure(hk_spool *s)
{
    unsigned i;

    for (i = 0; i < HK_SPOOL_DIRS; i++)
        if (is_ours(s, i) != 2)
            return hk_spool_renew(s);
    return is_elsewhere(s) ? hk_spool_renew(s) : 0;
}

static int fits(const hk_spool *s, uint64_t size)
{
    return s->level_count < s->max_count && s->level_bytes <= s->max_bytes && s->max_bytes - s->level_bytes >= size;
}

/* The level is the sum of the ledgers, so a write costs the same however many files wait. */
static int has_room(hk_spool *s, uint64_t size)
{
    uint64_t now = hk_sys_monotonic_ms() + 1, age = now - s->level_read_ms, counts[HK_LEDGER_SLOTS];
    int near = 2 * s->level_count > s->max_count || 2 * s->level_bytes > s->max_bytes;

    if (s->level_read_ms == 0 || age >= (near ? LEVEL_NEAR_MS : LEVEL_FAR_MS) || (!fits(s, size) && age >= LEVEL_FULL_MS)) {
        if (hk_ledgers_sum(s->ledger_fd, counts) == HK_OK) {
            s->level_count = hk_ledger_pending(counts);
            s->level_bytes = hk_ledger_pending_bytes(counts);
        }
        s->level_read_ms = now;
    }
    return fits(s, size);
}

static int write_file(hk_spool *s, const char *name, hk_slice body)
{
    int fd, rc = -1, saved;

    fd = openat(s->tmp_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -1;
    if (geteuid() == 0 && s->uid != 0 && fchown(fd, s->uid, s->gid) < 0)
        goto out;
    while (body.n > 0) {
        ssize_t done = write(fd, body.p, body.n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            goto out;
        body = hk_slice_from(body, (size_t)done);
    }
    if (renameat(s->tmp_fd, name, s->new_fd, name) == 0)
        rc = 0;
out:
    saved = errno;
    close(fd);
    if (rc < 0)
        unlinkat(s->tmp_fd, name, 0);
    errno = saved;
    return rc;
}

int hk_spool_put(hk_spool *s, const char *event_id, hk_slice envelope, uint64_t now_ns)
{
    unsigned renewals = __atomic_load_n(&s->ledger.renewals, __ATOMIC_ACQUIRE);
    char name[NAME_BYTES];
    int rc;

    if (is_ours(s, 1) != 2 || is_ours(s, 2) != 2 || is_elsewhere(s)) {
        (void)hk_spool_renew(s); /* deleted under us: a cleaner of /tmp, as a rule */
        if (__atomic_load_n(&s->ledger.renewals, __ATOMIC_ACQUIRE) != renewals)
            hk_ledger_add(&s->ledger, HK_COUNT_CAPTURED, 1); /* this event belongs to the new spool */
    }
    if (!has_room(s, envelope.n)) {
        hk_ledger_add(&s->ledger, HK_COUNT_CACHE_OVERFLOW, 1);
        hk_sys_log_sparingly(&s->logged_full_ms, "[sentry] spool %s is full (%llu events, %llu bytes): events are discarded",
                             s->path, (unsigned long long)s->level_count, (unsigned long long)s->level_bytes);
        return -1;
    }
    snprintf(name, sizeof name, "%020llu-%ld-%s.env", (unsigned long long)now_ns, (long)getpid(), event_id);
    rc = write_file(s, name, envelope);
    if (rc < 0) {
        hk_ledger_add(&s->ledger, HK_COUNT_CACHE_OVERFLOW, 1);
        hk_ledger_add(&s->ledger, HK_COUNT_WRITE_FAILED, 1);
        hk_sys_log_sparingly(&s->logged_write_ms, "[sentry] spool %s: an event could not be written and is lost: %s",
                             s->path, strerror(errno));
        return -1;
    }
    hk_ledger_add(&s->ledger, HK_COUNT_SPOOLED_COUNT, 1);
    hk_ledger_add(&s->ledger, HK_COUNT_SPOOLED_BYTES, envelope.n);
    s->level_count++;
    s->level_bytes += envelope.n;
    return 0;
}
