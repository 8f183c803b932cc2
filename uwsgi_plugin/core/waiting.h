/* waiting.h: what a thread waits for, in words, from what /proc says of it. Pure.
 * tests/data/waiting.tsv holds it to heka_raven/events/waiting.py.
 */
#ifndef HK_WAITING_H
#define HK_WAITING_H

#include "buf.h"

/* What the arguments of a system call are. */
typedef enum hk_waiting_shape {
    HK_WAITING_PLAIN,  /* nothing that is told */
    HK_WAITING_FROM, HK_WAITING_TO, HK_WAITING_ON, HK_WAITING_OF, /* the first is a descriptor: "read from", "flock on" … */
    HK_WAITING_LOCK,   /* likewise, and a lock on it has a holder */
    HK_WAITING_FCNTL,  /* likewise, if the second says so */
    HK_WAITING_POLL,   /* struct pollfd *, how many */
    HK_WAITING_SELECT, /* how many, then the sets to read, to write and of exceptions */
    HK_WAITING_EPOLL,  /* the first is an epoll descriptor */
    HK_WAITING_PATH0, HK_WAITING_PATH1, /* a path, as the first or the second */
    HK_WAITING_SLEEP, HK_WAITING_CHILD, HK_WAITING_FUTEX
} hk_waiting_shape;

/* The call of /proc/PID/task/TID/syscall. */
typedef struct hk_waiting_call {
    int known;       /* 0: the thread runs, or the text says nothing */
    int running;
    const char *name; /* NULL: not in our table */
    long number;
    hk_waiting_shape shape;
    uint64_t arguments[6];
} hk_waiting_call;

void hk_waiting_read(hk_slice text, hk_waiting_call *out);

/* The same from /proc/PID/task/TID/wchan, a function of the kernel: less, where the call may not be read. */
void hk_waiting_read_channel(hk_slice text, hk_waiting_call *out);

/* State letter and CPU time in clock ticks, of /proc/PID/task/TID/stat. 0; -1: that is none. */
int hk_waiting_read_stat(hk_slice text, char *state, uint64_t *ticks);
const char *hk_waiting_state(char letter); /* running, waiting, uninterruptible, stopped, dead */

/* Who holds the lock that pid waits for, by /proc/locks; 0: it is not said. */
uint64_t hk_waiting_lock_holder(hk_slice locks, uint64_t pid);

/* The other end of the socket inode, or its own address while it listens, by a line of /proc/net/tcp or tcp6 (udp, udp6).
 * 1: appended, "127.0.0.1:5432, tcp". 0: it is another's line. */
int hk_waiting_read_peer(hk_slice line, uint64_t inode, const char *protocol, hk_buf *out);

/* What is known beside the call. */
typedef struct hk_waiting_facts {
    hk_slice target;  /* what /proc/PID/fd/N leads to, or a path; empty: not known */
    hk_slice peer;    /* of a socket; empty: not known */
    uint64_t number;  /* who holds a lock, which child; how many descriptors are polled */
} hk_waiting_facts;

/* Append "recv from 127.0.0.1:5432, tcp", in one line whatever the names hold. */
void hk_waiting_put(const hk_waiting_call *call, const hk_waiting_facts *facts, hk_buf *out);

#endif
