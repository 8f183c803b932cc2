/* spool.h: the directory in which events wait, one file each, maildir style.
 *
 * The same rules as heka_raven/spool/spool.py. A file appears in new/ by rename,
 * whole. No lock is taken; writers of both languages write at once.
 */
#ifndef HK_SPOOL_H
#define HK_SPOOL_H

#include "ledger.h"

#define HK_SPOOL_MAX_BYTES (256ULL << 20)
#define HK_SPOOL_MAX_COUNT 50000ULL
#define HK_SPOOL_DIRS 6
#define HK_SPOOL_ENVIRONMENT "HEKA_RAVEN_SPOOL"

typedef struct hk_spool {
    char *path; /* owned */
    uid_t uid;  /* whose spool it is; a file that root writes is given to it */
    gid_t gid;
    uint64_t max_bytes;
    uint64_t max_count;
    int root_fd, new_fd, tmp_fd, dead_fd, state_fd, ledger_fd; /* -1: not open */
    struct {
        dev_t device;
        ino_t inode;
    } known[HK_SPOOL_DIRS]; /* what the descriptors were opened on, in the order above */
    pid_t renewing; /* the process one of whose threads opens them anew */
    hk_ledger ledger;
    uint64_t level_count; /* what new/ holds, from the ledgers, plus our own writes since */
    uint64_t level_bytes;
    uint64_t level_read_ms; /* 0: never */
    uint64_t logged_full_ms;
    uint64_t logged_write_ms;
} hk_spool;

/* Append to path which directory is the spool of uid: explicit_path (may be
 * NULL), else environment (may be NULL), else /var/spool/heka-raven/UID where
 * that can be made, else /tmp/heka-raven-UID. Creates nothing. Returns why. */
const char *hk_spool_resolve(const char *explicit_path, const char *environment, uid_t uid, hk_buf *path);

/* Make the directories where they are missing and check them: real
 * directories of uid, mode 0700, of the format that is known. HK_OK; or an error and one line in why.
 * *s is to be freed with hk_spool_free either way. */
hk_status hk_spool_open(hk_spool *s, const char *path, uid_t uid, gid_t gid, uint64_t max_bytes, uint64_t max_count,
                        hk_buf *why);
void hk_spool_free(hk_spool *s);

/* Write one event. 0: it survives the death of this process; -1: lost, and
 * counted as cache_overflow. Never waits. The caller counted it as captured. */
int hk_spool_put(hk_spool *s, const char *event_id, hk_slice envelope, uint64_t now_ns);

/* Open anew what was deleted or moved under us, or whose descriptors the application
 * closed. Other threads may write meanwhile. 0 or -1. */
int hk_spool_renew(hk_spool *s);

/* Renew if any directory was deleted or moved, or any descriptor closed. 0, or -1: it cannot be opened now. */
int hk_spool_ensure(hk_spool *s);

#endif
