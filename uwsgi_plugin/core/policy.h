/* policy.h: what happens to an event after one try. Pure: no clock, no sleep,
 * no random without an argument for it. tests/data/replies.tsv and
 * ratelimits.tsv are the tables, with backoff.tsv; the Python sender follows the same ones.
 */
#ifndef HK_POLICY_H
#define HK_POLICY_H

#include "buf.h"

#define HK_POLICY_MAX_AGE_S 86400.0   /* older and still undelivered: discarded */
#define HK_POLICY_MAX_PAUSE_S 86400.0 /* no server silences us for longer */
#define HK_POLICY_429_PAUSE_S 60.0    /* a 429 that does not say how long */
#define HK_POLICY_MIN_BACKOFF_S 1.0    /* between two probes of a server that is down */
#define HK_POLICY_MAX_BACKOFF_S 60.0
#define HK_POLICY_MAX_HOPS 3          /* redirects followed in one try */
#define HK_POLICY_NO_REPLY 0          /* in place of a status: refused, DNS, TLS, timeout, broken */
#define HK_POLICY_SENT 1              /* a datagram left */
#define HK_POLICY_TOO_LARGE 2         /* no datagram can carry it */

typedef enum hk_policy_action { HK_DELIVERED, HK_HOLD, HK_RETRY, HK_FOLLOW, HK_DISCARD } hk_policy_action;
typedef enum hk_policy_reason {
    HK_REASON_NONE, HK_REASON_RATELIMIT, HK_REASON_NETWORK, HK_REASON_SEND
} hk_policy_reason;

typedef struct hk_policy_verdict {
    hk_policy_action action;
    hk_policy_reason reason; /* of a discard */
    int dead;                /* a copy goes to dead/ */
} hk_policy_verdict;

/* location may be empty; url is where the request went. On HK_FOLLOW the new
 * URL is appended to target (only then). discard_limited: rate_limit = discard. */
hk_policy_verdict hk_policy_reply(int status, hk_slice location, hk_slice url, int hops, double age_s,
                                  int discard_limited, hk_buf *target);

/* Seconds for which a reply pauses a DSN; -1: it does not. Headers that are
 * absent are NULL slices (p == NULL). */
typedef struct hk_policy_pause {
    double all_s;   /* every category */
    double error_s; /* the category of events */
} hk_policy_pause;

hk_policy_pause hk_policy_limits(int status, hk_slice rate_limits, hk_slice retry_after, double now_s);

/* Seconds until the next probe after step rounds (1 or more) that failed; dice is 0 to 1 (tests/data/backoff.tsv). */
double hk_policy_backoff(unsigned step, double dice);

/* What came back, for people: "status 403 invalid api key", or the words of why nothing did; one line, at most
 * HK_POLICY_MAX_WORDS characters. detail is X-Sentry-Error or, without it, how the body begins; it may be empty. */
#define HK_POLICY_MAX_WORDS 300
void hk_policy_words(int status, hk_slice detail, const char *error, hk_buf *out);

/* Unix time of an IMF-fixdate (Tue, 14 Nov 2023 22:15:20 GMT), or -1. */
double hk_policy_date(hk_slice text);

#endif
