/* ledger.h: where every event ended: counters that survive their process.
 *
 * One file per process, state/ledger/<pid>-<start time> (tests/data/ledger.tsv). The values are the process's own, added
 * to atomically; the file is written from them, never mapped: on a full disk, or once it was cut short, a store into a
 * mapping is a SIGBUS. Whoever opened it before a fork opens its own after it. A count that cannot be written is written
 * with the next one that works.
 */
#ifndef HK_LEDGER_H
#define HK_LEDGER_H

#include "../core/buf.h"

#include <sys/types.h>

#define HK_LEDGER_SIZE 512U
#define HK_LEDGER_SLOTS (HK_LEDGER_SIZE / 8U)

/* The offset in the file, divided by 8. */
typedef enum hk_count {
    HK_COUNT_CAPTURED = 1, HK_COUNT_DELIVERED, HK_COUNT_QUEUE_OVERFLOW, HK_COUNT_CACHE_OVERFLOW,
    HK_COUNT_RATELIMIT_BACKOFF, HK_COUNT_NETWORK_ERROR, HK_COUNT_SAMPLE_RATE, HK_COUNT_BEFORE_SEND,
    HK_COUNT_EVENT_PROCESSOR, HK_COUNT_SEND_ERROR, HK_COUNT_INTERNAL_SDK_ERROR, HK_COUNT_THROTTLED,
    HK_COUNT_CLIENT_DISCONNECT, HK_COUNT_SPOOLED_COUNT, HK_COUNT_SPOOLED_BYTES, HK_COUNT_REMOVED_COUNT,
    HK_COUNT_REMOVED_BYTES, HK_COUNT_SCRUB_FAILED, HK_COUNT_WRITE_FAILED, HK_COUNT_END
} hk_count;

#define HK_COUNT_DISCARDED_FIRST HK_COUNT_QUEUE_OVERFLOW
#define HK_COUNT_DISCARDED_LAST HK_COUNT_CLIENT_DISCONNECT

/* The name in tests/data/ledger.tsv. */
const char *hk_ledger_name(hk_count which);

typedef struct hk_ledger {
    int dir_fd; /* state/ledger; not owned; -1: hold everything in memory */
    uid_t uid;  /* whom a file made by root must belong to */
    gid_t gid;
    pid_t pid;  /* whose values these are */
    uint64_t start;
    pid_t busy; /* the process one of whose threads opens the file */
    int fd;     /* -1: none */
    dev_t device; /* what it was opened on */
    ino_t inode;
    int begun;  /* values are what the file has, or newer */
    unsigned renewals;
    uint64_t values[HK_LEDGER_SLOTS];
} hk_ledger;

void hk_ledger_init(hk_ledger *l, int dir_fd, uid_t uid, gid_t gid);
void hk_ledger_free(hk_ledger *l);

/* Count. Never fails, takes no lock, safe between threads and after a fork. */
void hk_ledger_add(hk_ledger *l, hk_count which, uint64_t n);

/* After the spool was deleted and made anew (dir_fd is the new one): begin a new file, if ours went with it. From 0:
 * the counts are gone together with the events. */
void hk_ledger_renew(hk_ledger *l);

/* spooled - removed, never below 0. */
uint64_t hk_ledger_pending(const uint64_t counts[HK_LEDGER_SLOTS]);
uint64_t hk_ledger_pending_bytes(const uint64_t counts[HK_LEDGER_SLOTS]);

/* Field 22 of /proc/<pid>/stat; 0 when there is no such process. */
uint64_t hk_ledger_start_time(pid_t pid);

#endif
