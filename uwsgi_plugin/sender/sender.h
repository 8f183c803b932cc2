/* sender.h: delivers the spool. Whoever holds state/sender.lock does it for everyone. */
#ifndef HK_SENDER_H
#define HK_SENDER_H

#include "queue.h"
#include "targets.h"
#include "transport.h"

/* 100 events a second from a server that takes 100 ms need more than ten; one DSN has three quarters. */
#define HK_SENDER_CONNECTIONS 16U

typedef struct hk_sender_options {
    unsigned connections; /* requests at once, 1 to 256 */
    int discard_limited;  /* rate_limit = discard */
    int client_reports;
} hk_sender_options;

typedef struct hk_sender hk_sender;

/* The spool and the transport stay the caller's and must outlive the sender. NULL: memory is short. */
hk_sender *hk_sender_new(hk_spool *spool, const hk_transport *transport, const hk_sender_options *options);
void hk_sender_free(hk_sender *s);

/* One turn: take the lock if it is free, look at new/, begin what may begin,
 * wait at most wait_ms for replies and act on them. */
void hk_sender_turn(hk_sender *s, int wait_ms);

/* Requests under way. To stop: no more turns but hk_sender_drain until it is 0 or patience ends. */
unsigned hk_sender_under_way(const hk_sender *s);
void hk_sender_drain(hk_sender *s, int wait_ms);

void hk_sender_last_report(hk_sender *s); /* tell now what was discarded; before the end */

int hk_sender_has_lock(const hk_sender *s);

#endif
