/* sender_state.h: the sender's insides, shared by its three files only:
 * sender.c (turns, beginning), reply.c (ends), housekeeping.c (lock, reports, ledgers).
 */
#ifndef HK_SENDER_STATE_H
#define HK_SENDER_STATE_H

#include "../core/policy.h"
#include "../core/wire.h"
#include "../edge/sys.h"
#include "queue.h"
#include "servers.h"
#include "targets.h"
#include "transport.h"

typedef struct hk_sender hk_sender;

typedef struct hk_flight {
    struct hk_sender *sender;
    hk_queue_entry entry;
    char name[HK_QUEUE_NAME];
    unsigned target;
    uint64_t round;
    uint64_t size;
    int hops;
    int debug;
    int report; /* a client report: its reply only sets pauses */
    hk_request_out request;
    hk_wire wire;
} hk_flight;

struct hk_sender {
    hk_spool *spool;
    hk_transport transport;
    unsigned connections; /* the three of hk_sender_options */
    int discard_limited;
    int client_reports;
    hk_targets targets;
    hk_queue queue;
    int lock_fd;
    uint64_t next_lock_ms;
    uint64_t next_house_ms;
    uint64_t next_report_ms;
    uint64_t next_servers_ms; /* servers.json is not written again before */
    uint64_t logged_failure_ms;
    uint64_t logged_refusal_ms;
    uint64_t told[HK_LEDGER_SLOTS]; /* discards by others that were reported */
    int told_known;
    unsigned last_target; /* the one sent to most recently */
    unsigned under_way;
    unsigned share; /* of the connections, for one DSN: a server that hangs must leave some to the others */
    size_t fresh;   /* entries before it were read, so their DSN is known */
    int again;      /* but for some that could not be, or not be removed, */
    uint64_t next_again_ms; /* and are not tried again before */
    uint64_t logged_unread_ms;
    int drift_known;       /* the last housekeeping saw this difference between new/ and the ledgers */
    uint64_t drift_count;
    uint64_t drift_bytes;
};

double hk_reply_now_s(void);
double hk_reply_age_s(const hk_queue_entry *e);
void hk_reply_hold(hk_sender *s, const hk_queue_entry *e); /* its target is known, and it may go when that allows */
/* why: as hk_queue_remove has it. */
void hk_reply_finish(hk_sender *s, const char *name, const hk_queue_entry *entry, uint64_t size, hk_count counter,
                      const char *why);
void hk_reply_discard(hk_sender *s, unsigned target, hk_policy_reason reason);
hk_count hk_reply_counter(hk_policy_reason reason);
void hk_reply_handle(void *ctx, const hk_reply_in *r);
void hk_reply_free_flight(hk_flight *f);

/* Fill request from wire. 0, or -1: memory. */
int hk_reply_fill_request(hk_flight *f);

int hk_housekeeping_lock(hk_sender *s, uint64_t now);
void hk_housekeeping_run(hk_sender *s);
void hk_housekeeping_report(hk_sender *s);

#endif
