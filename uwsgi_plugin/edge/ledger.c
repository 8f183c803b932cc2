#include "ledger.h"

#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
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
}

void hk_ledger_free(hk_ledger *l)
{
    if (l != NULL && l->map != NULL && l->pid == getpid())
        munmap(l->map, HK_LEDGER_SIZE);
    if (l != NULL)
        hk_ledger_init(l, -1, l->uid, l->gid);
}

/* Make or continue (an exec keeps pid and start time) this process's file. */
static void file_name(pid_t pid, char name[NAME_BYTES])
{
    snprintf(name, NAME_BYTES, "%ld-%llu", (long)pid, (unsigned long long)hk_ledger_start_time(pid));
}

static uint64_t *map_file(const hk_ledger *l, pid_t pid)
{
    char name[NAME_BYTES];
    char image[HK_LEDGER_SIZE];
    void *map = MAP_FAILED;
    struct stat st;
    int fd;

    file_name(pid, name);
    fd = openat(l->dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        goto out;
    if (geteuid() == 0 && st.st_uid != l->uid && fchown(fd, l->uid, l->gid) < 0)
        goto out;
    if (st.st_size != HK_LEDGER_SIZE) {
        memset(image, 0, sizeof image);
        memcpy(image, magic, 8);
        /* Real bytes, not a hole: a mapped hole on a full disk is a SIGBUS. */
        if (pwrite(fd, image, sizeof image, 0) != (ssize_t)sizeof image) {
            unlinkat(l->dir_fd, name, 0);
            goto out;
        }
    }
    map = mmap(NULL, HK_LEDGER_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
out:
    close(fd);
    return map == MAP_FAILED ? NULL : map;
}

static uint64_t *attach(hk_ledger *l)
{
    pid_t pid = getpid(), busy = __atomic_load_n(&l->busy, __ATOMIC_ACQUIRE);
    uint64_t *map;
    unsigned i;

    if (__atomic_load_n(&l->pid, __ATOMIC_ACQUIRE) == pid) {
        map = __atomic_load_n(&l->map, __ATOMIC_ACQUIRE);
        if (map != NULL)
            return map;
    }
    if (l->dir_fd < 0 || busy == pid
        || !__atomic_compare_exchange_n(&l->busy, &busy, pid, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return NULL; /* another thread is at it */
    if (l->pid != pid) {
        if (l->map != NULL)
            munmap(l->map, HK_LEDGER_SIZE); /* the parent's: it keeps its own mapping */
        l->map = NULL;
        memset(l->held, 0, sizeof l->held);
        __atomic_store_n(&l->pid, pid, __ATOMIC_RELEASE);
    }
    map = l->map == NULL ? map_file(l, pid) : l->map;
    if (map != NULL) {
        for (i = 1; i < HK_LEDGER_SLOTS; i++)
            __atomic_fetch_add(&map[i], __atomic_exchange_n(&l->held[i], 0, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
        __atomic_store_n(&l->map, map, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&l->busy, 0, __ATOMIC_RELEASE);
    return map;
}

void hk_ledger_renew(hk_ledger *l)
{
    pid_t pid = getpid(), busy = __atomic_load_n(&l->busy, __ATOMIC_ACQUIRE);
    uint64_t *old = l->pid == pid ? l->map : NULL, *map;
    char name[NAME_BYTES];
    struct stat st;

    if (busy == pid || !__atomic_compare_exchange_n(&l->busy, &busy, pid, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return;
    file_name(pid, name);
    /* old stays mapped: another thread may be adding to it. One page each time somebody deletes a spool. */
    if (old != NULL && fstatat(l->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && (map = map_file(l, pid)) != NULL)
        __atomic_store_n(&l->map, map, __ATOMIC_RELEASE);
    __atomic_store_n(&l->busy, 0, __ATOMIC_RELEASE);
}

void hk_ledger_add(hk_ledger *l, hk_count which, uint64_t n)
{
    int saved = errno;
    uint64_t *map = attach(l);

    if (map != NULL && __atomic_load_n(&l->held[which], __ATOMIC_RELAXED) != 0)
        n += __atomic_exchange_n(&l->held[which], 0, __ATOMIC_RELAXED); /* counted while another thread attached */
    __atomic_fetch_add(map != NULL ? &map[which] : &l->held[which], n, __ATOMIC_RELAXED);
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
