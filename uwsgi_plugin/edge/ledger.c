#include "ledger.h"

#include "spares.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAME_BYTES 64
static const char magic[9] = "HKLEDG01";

static const char *const names[HK_COUNT_END] = {
    "magic", "captured", "delivered", "discarded.queue_overflow", "discarded.cache_overflow",
    "discarded.ratelimit_backoff", "discarded.network_error", "discarded.sample_rate", "discarded.before_send",
    "discarded.event_processor", "discarded.send_error", "discarded.internal_sdk_error", "discarded.throttled",
    "discarded.client_disconnect", "spooled.count", "spooled.bytes", "removed.count", "removed.bytes", "scrub_failed",
    "write_failed"
};

const char *hk_ledger_name(hk_count which)
{
    return which >= HK_COUNT_CAPTURED && which < HK_COUNT_END ? names[which] : "";
}

uint64_t hk_ledger_start_time(pid_t pid)
{
    char path[64], text[1024], *p;
    uint64_t value = 0;
    int fd, field;
    ssize_t n;

    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    p = strrchr(text, ')'); /* the second field is the program's name and may hold anything */
    for (field = 2; p != NULL && field < 22; field++)
        p = strchr(p + 1, ' ');
    if (p == NULL)
        return 0;
    for (p++; *p >= '0' && *p <= '9'; p++)
        value = value * 10 + (uint64_t)(*p - '0');
    return value;
}

void hk_ledger_init(hk_ledger *l, int dir_fd, uid_t uid, gid_t gid)
{
    memset(l, 0, sizeof *l);
    l->dir_fd = dir_fd;
    l->uid = uid;
    l->gid = gid;
    l->fd = -1;
}

/* Whether the descriptor still is the one we opened: the application may have closed it, and opened a file of its own
 * under the number. */
static int is_ours(const hk_ledger *l, int fd)
{
    struct stat st;

    return fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == l->device && st.st_ino == l->inode;
}

void hk_ledger_free(hk_ledger *l)
{
    if (l == NULL)
        return;
    if (is_ours(l, l->fd))
        close(l->fd);
    hk_ledger_init(l, -1, l->uid, l->gid);
}

static void file_name(const hk_ledger *l, char name[NAME_BYTES])
{
    snprintf(name, NAME_BYTES, "%ld-%llu", (long)l->pid, (unsigned long long)l->start);
}

/* Open the file, made anew if need be. What lies there under our name may be a trap, for the directory is the workers':
 * a file of root's that was moved or linked there would be given away by a chown. Only a new file is given to them. */
static int open_or_make(const hk_ledger *l, const char *name, struct stat *st)
{
    uid_t owner = geteuid() == 0 ? l->uid : geteuid();
    int fd = openat(l->dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd >= 0 && fstat(fd, st) == 0 && S_ISREG(st->st_mode) && st->st_uid == owner && st->st_nlink == 1)
        return fd; /* an exec keeps pid and start time */
    if (fd >= 0)
        close(fd);
    if (unlinkat(l->dir_fd, name, 0) < 0 && errno != ENOENT)
        return -1;
    return hk_spares_begin(l->dir_fd, name, HK_LEDGER_SIZE, owner, l->gid, st);
}

static int open_file(hk_ledger *l)
{
    char name[NAME_BYTES];
    uint64_t image[HK_LEDGER_SLOTS];
    struct stat st;
    unsigned i;
    int fd;

    file_name(l, name);
    fd = open_or_make(l, name, &st);
    if (fd < 0)
        return -1;
    /* An exec keeps pid and start time: what the program before counted goes on. */
    if (!l->begun && pread(fd, image, sizeof image, 0) == (ssize_t)sizeof image && memcmp(image, magic, 8) == 0)
        for (i = 1; i < HK_LEDGER_SLOTS; i++)
            __atomic_fetch_add(&l->values[i], image[i], __ATOMIC_RELAXED);
    l->begun = 1;
    l->device = st.st_dev;
    l->inode = st.st_ino;
    return fd;
}

/* Only who has it opens files, or begins anew. 0: another thread has it. */
static int take(hk_ledger *l, pid_t pid)
{
    pid_t busy = __atomic_load_n(&l->busy, __ATOMIC_ACQUIRE);

    return busy != pid && __atomic_compare_exchange_n(&l->busy, &busy, pid, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static void give_back(hk_ledger *l)
{
    __atomic_store_n(&l->busy, 0, __ATOMIC_RELEASE);
}

/* The first count after a fork: nothing of the parent's. */
static void leave_parent(hk_ledger *l, pid_t pid)
{
    const struct timespec pause = { 0, 10000 };
    int fd, tries;

    for (tries = 0; tries < 1000 && !take(l, pid); tries++) {
        nanosleep(&pause, NULL); /* another thread is at it, for some microseconds */
        if (__atomic_load_n(&l->pid, __ATOMIC_ACQUIRE) == pid)
            return;
    }
    if (__atomic_load_n(&l->pid, __ATOMIC_ACQUIRE) != pid) {
        fd = __atomic_exchange_n(&l->fd, -1, __ATOMIC_RELAXED);
        if (is_ours(l, fd))
            close(fd);
        memset(l->values, 0, sizeof l->values);
        l->begun = 0;
        l->start = hk_ledger_start_time(pid);
        __atomic_store_n(&l->pid, pid, __ATOMIC_RELEASE);
    }
    give_back(l);
}

/* A descriptor to write to; -1: none now. */
static int attach(hk_ledger *l, pid_t pid)
{
    int fd = __atomic_load_n(&l->fd, __ATOMIC_ACQUIRE);

    if (is_ours(l, fd))
        return fd;
    if (l->dir_fd < 0 || !take(l, pid))
        return -1;
    fd = open_file(l);
    __atomic_store_n(&l->fd, fd, __ATOMIC_RELEASE);
    give_back(l);
    return fd;
}

void hk_ledger_renew(hk_ledger *l)
{
    pid_t pid = getpid();
    char name[NAME_BYTES];
    struct stat st;
    int fd, old, had;

    if (l->pid != pid || !take(l, pid))
        return;
    file_name(l, name);
    if (l->begun && fstatat(l->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT) {
        old = l->fd;
        had = is_ours(l, old);
        memset(l->values, 0, sizeof l->values);
        l->begun = 0;
        fd = open_file(l);
        /* The number stays, another thread may be about to write to it; and is never closed, or the application may get
         * it meanwhile. */
        if (fd >= 0 && had && dup3(fd, old, O_CLOEXEC) >= 0) {
            close(fd);
            fd = old;
        }
        __atomic_store_n(&l->fd, fd, __ATOMIC_RELEASE);
        __atomic_fetch_add(&l->renewals, 1, __ATOMIC_RELEASE);
    }
    give_back(l);
}

/* The values as they are, until what was written is what they are: another thread may count meanwhile. A value that
 * could not be written is written along with the next. */
static void write_values(const hk_ledger *l, int fd)
{
    uint64_t image[HK_LEDGER_SLOTS];
    unsigned i;
    int same;

    memcpy(image, magic, 8);
    do {
        for (i = 1; i < HK_LEDGER_SLOTS; i++)
            image[i] = __atomic_load_n(&l->values[i], __ATOMIC_ACQUIRE);
        if (pwrite(fd, image, sizeof image, 0) != (ssize_t)sizeof image)
            return;
        same = 1;
        for (i = 1; i < HK_LEDGER_SLOTS; i++)
            same = same && image[i] == __atomic_load_n(&l->values[i], __ATOMIC_ACQUIRE);
    } while (!same);
}

void hk_ledger_add(hk_ledger *l, hk_count which, uint64_t n)
{
    int saved = errno, fd;
    pid_t pid = getpid();

    if (__atomic_load_n(&l->pid, __ATOMIC_ACQUIRE) != pid)
        leave_parent(l, pid);
    __atomic_fetch_add(&l->values[which], n, __ATOMIC_ACQ_REL);
    if (__atomic_load_n(&l->pid, __ATOMIC_ACQUIRE) != pid)
        fd = -1; /* the file may still be the parent's */
    else
        fd = attach(l, pid);
    if (fd >= 0)
        write_values(l, fd);
    errno = saved;
}

uint64_t hk_ledger_pending(const uint64_t c[HK_LEDGER_SLOTS])
{
    uint64_t n = c[HK_COUNT_SPOOLED_COUNT] - c[HK_COUNT_REMOVED_COUNT];
    return n >> 63 ? 0 : n;
}

uint64_t hk_ledger_pending_bytes(const uint64_t c[HK_LEDGER_SLOTS])
{
    uint64_t n = c[HK_COUNT_SPOOLED_BYTES] - c[HK_COUNT_REMOVED_BYTES];
    return n >> 63 ? 0 : n;
}
