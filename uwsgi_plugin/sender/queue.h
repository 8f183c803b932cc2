/* queue.h: the sender's view of new/: its files oldest first, small in memory. */
#ifndef HK_QUEUE_H
#define HK_QUEUE_H

#include "../edge/spool.h"

#define HK_QUEUE_NAME 96 /* bytes of a file name with its NUL */
#define HK_QUEUE_GONE 0xffU
#define HK_QUEUE_DEAD 0x80U /* beside a counter: with a copy in dead/ */

typedef struct hk_queue_entry {
    uint64_t time_ns;
    uint32_t pid;
    uint8_t id[16];
    uint16_t target; /* the sender's number of the DSN; 0: not read yet */
    uint8_t busy;    /* a request is under way */
    uint8_t gone;    /* finished: HK_QUEUE_GONE; or its hk_count, while the file cannot be removed */
} hk_queue_entry;

typedef struct hk_queue {
    hk_queue_entry *entries; /* sorted; owned */
    size_t count;
    struct timespec mtime; /* of new/ when it was listed */
    int listed;
    uint64_t next_list_ms; /* not listed again before: a listing may cost a twentieth of the time at most */
} hk_queue;

void hk_queue_init(hk_queue *q);
void hk_queue_free(hk_queue *q);

/* List new/ if it changed since the last time (force: in any case). 1: listed
 * anew; 0: nothing to do; -1: it cannot be read. What is known of entries that
 * are still there is kept. */
int hk_queue_refresh(hk_queue *q, int new_fd, uint64_t now_ms, int force);

/* Files and bytes in new/. 0, or -1: it cannot be read. */
int hk_queue_measure(int new_fd, uint64_t *files, uint64_t *bytes);

void hk_queue_name(const hk_queue_entry *e, char out[HK_QUEUE_NAME]);

/* The bytes of a file, into an empty buffer. HK_ERR_SYSTEM: errno says why, ENOENT: it vanished;
 * HK_ERR_LIMIT: over HK_ENVELOPE_MAX_BYTES. */
hk_status hk_queue_read(int dir_fd, const char *name, hk_buf *out);

/* Take a file out of new/ and count its end. why, unless it is NULL: with a copy in dead/, and this line beside it in a
 * file .why (an empty one: none). Only who really unlinked it counts: 1; 0: it was gone; -1: it stays. */
int hk_queue_remove(hk_spool *s, const char *name, hk_count counter, uint64_t size, const char *why);

/* Orphans in tmp/ that are an hour old, the oldest of dead/ over its caps, and reasons without their event. */
void hk_queue_sweep(hk_spool *s, uint64_t now_ns);

#endif
