/* targets.h: what the sender knows of each DSN: pauses, backoff, discards. */
#ifndef HK_TARGETS_H
#define HK_TARGETS_H

#include "../core/envelope.h"
#include "../edge/ledger.h"

#define HK_TARGETS_MAX 4096U /* DSNs known at once; the least used slot is not reused: that many never occur */
#define HK_TARGETS_REASONS 3

typedef struct hk_target {
    char *key;            /* the DSN without its secret; owned */
    char *dsn;            /* with it; owned */
    double all_until_s;   /* Unix time; 0: not paused */
    double error_until_s;
    unsigned step;        /* failures in a row, counted a round at a time; 0: no backoff */
    uint64_t round;       /* a request belongs to the round it began in */
    uint64_t wait_until_ms; /* monotonic: no probe before */
    int own_way; /* events that name no certificates or proxy go by the sender's; flips with each round that failed */
    unsigned under_way;
    size_t from, until;   /* where in the queue its entries that wait are */
    uint64_t discards[HK_TARGETS_REASONS]; /* not yet told to the server: ratelimit, network, send */
    int reportable;       /* an event went to its envelope endpoint, in this way: */
    int no_verify;
    char *ca, *proxy;     /* owned; NULL: not said */
    double success_at_s, error_at_s; /* Unix time of the last of each, for servers.json; 0: none */
    char *error;          /* what the last error was; owned */
} hk_target;

typedef struct hk_targets {
    hk_target *list; /* owned; number 0 is never used */
    size_t count;
    size_t cap;
    double offset_s; /* of the clock to the monotonic one; 0: not known yet */
    int dirty; /* limits.json is to be written */
    int answered; /* and servers.json */
} hk_targets;

hk_status hk_targets_init(hk_targets *t);
void hk_targets_free(hk_targets *t);

/* The number of a DSN, made when it is new; 0: memory is short or there are too many. */
unsigned hk_targets_find(hk_targets *t, const hk_dsn *dsn);

/* The same of a DSN's text without its secret. */
unsigned hk_targets_find_key(hk_targets *t, hk_slice key);

/* An event goes to the target's envelope endpoint: reports may follow it, in the same way. */
void hk_targets_reach(hk_target *t, const hk_envelope_hk *way);

/* Move the pauses with a clock that was set back since the last call: a minute of quiet must not become hours. */
void hk_targets_follow_clock(hk_targets *t, double now_s, uint64_t now_ms);

/* Read and write state/limits.json: {"version":1,"at":<now>,"limits":{"<key>":{"<category or empty>":<until>}}}.
 * Limits that are over are left out; none is longer than it was at "at". A damaged file counts as none. */
void hk_targets_load(hk_targets *t, int state_fd, double now_s);
hk_status hk_targets_save(hk_targets *t, int state_fd, double now_s);

/* Hold state/sender.lock: the descriptor, or -1. The pid is written into it. */
int hk_targets_lock(int state_fd);

#endif
