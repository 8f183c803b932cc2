/* envelope.h: reads and writes spool files, which are Sentry envelopes. */
#ifndef HK_ENVELOPE_H
#define HK_ENVELOPE_H

#include "buf.h"
#include "dsn.h"

#define HK_ENVELOPE_MAX_HEADER 8192U              /* bytes of a header line */
#define HK_ENVELOPE_MAX_BYTES (16U * 1024U * 1024U) /* bytes of a spool file that is read at all */

#define HK_ENVELOPE_MAX_WAY 2048U                  /* bytes of ca and of proxy; a longer one is not written and not read */

/* What the sender must know of the event's handler. Whoever writes an event says how its server is reached: the sender
 * may be another server's. ca and proxy: p == NULL: not said, the sender's own; empty: the system's. */
typedef struct hk_envelope_hk {
    int no_verify;
    int debug;
    int store;
    unsigned timeout_s; /* 0: not said */
    hk_slice ca;    /* a file */
    hk_slice proxy; /* a URL; may hold a password */
} hk_envelope_hk;

typedef struct hk_envelope {
    char event_id[33];
    hk_buf dsn_text; /* owned */
    hk_dsn dsn;      /* points into dsn_text */
    hk_buf ca_text, proxy_text; /* owned */
    hk_envelope_hk hk;
    hk_slice item;      /* first item: its header line, newline, payload; points into the file's bytes */
    hk_slice payload;   /* its payload */
    int raven;          /* its type is raven, a payload of protocol 3; otherwise event */
} hk_envelope;

/* Append the bytes of a spool file holding one item. */
void hk_envelope_put(hk_slice event_id, const hk_dsn *dsn, const hk_envelope_hk *hk, const char *type,
                     hk_slice payload, hk_buf *out);

/* Read file into *out, which is freed with hk_envelope_free either way. HK_OK,
 * HK_ERR_SYNTAX or HK_ERR_MEMORY; *reason (if not NULL) names the rule broken. */
hk_status hk_envelope_read(hk_slice file, hk_envelope *out, const char **reason);
void hk_envelope_free(hk_envelope *e);

/* Whether text is a file name of new/: <unix_ns, 20 digits>-<pid>-<event_id>.env;
 * *time_ns (if not NULL) is then its first part. */
int hk_envelope_is_name(hk_slice text, uint64_t *time_ns);

#endif
