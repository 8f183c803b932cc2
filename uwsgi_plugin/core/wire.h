/* wire.h: what goes over the wire for one spool file (tests/data/requests.tsv). */
#ifndef HK_WIRE_H
#define HK_WIRE_H

#include "envelope.h"

typedef struct hk_wire {
    int udp;
    hk_buf url;  /* http: the URL */
    hk_buf auth; /* X-Sentry-Auth, or a datagram's first line */
    hk_buf body; /* what is sent; a datagram begins with auth and an empty line */
    const char *content_type; /* NULL for udp */
    hk_buf ca, proxy; /* as hk_envelope_hk says, if has_... */
    int has_ca, has_proxy, no_verify;
} hk_wire;

/* now_ns is the time of sending. HK_OK, HK_ERR_MEMORY or HK_ERR_LIMIT; freed with hk_wire_free either way. */
hk_status hk_wire_build(const hk_envelope *e, uint64_t now_ns, hk_wire *out);

/* The wire form of one client report for dsn: pairs of reason and quantity. It goes as an event with such a way does. */
typedef struct hk_wire_discard {
    const char *reason;
    uint64_t quantity;
} hk_wire_discard;
hk_status hk_wire_build_report(const hk_dsn *dsn, const hk_envelope_hk *way, const hk_wire_discard *discards, size_t n,
                               uint64_t now_ns, hk_wire *out);

void hk_wire_free(hk_wire *w);

#endif
