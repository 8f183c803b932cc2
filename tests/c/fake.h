/* fake.h: a transport without network, for the tests of the sender. */
#ifndef HK_FAKE_H
#define HK_FAKE_H

#include "../../uwsgi_plugin/core/policy.h"
#include "../../uwsgi_plugin/sender/sender.h"

typedef struct fake {
    int udp; /* the last was a datagram */
    int status; /* of every reply; 0: no reply */
    const char *limits;
    const char *location;
    const char *detail;
    unsigned started;
    unsigned most;    /* at once */
    unsigned waiting;
    void *tags[64];
    const char *hangs; /* a host: its requests get no reply */
    void *hanging[64];
    unsigned hanging_count;
    int refuses; /* to begin any */
    char first_url[256];
    char last_body[4096];
} fake;

hk_sender *make_sender(hk_spool *s, fake *f, int discard_limited);
void turn_until(hk_sender *sender, hk_spool *s, unsigned left); /* until so many events are left */
void turn_until_empty(hk_sender *sender, hk_spool *s);
void turn_for(hk_sender *sender, unsigned ms);
void name_in(hk_spool *s, char name[256]); /* of an event that waits */

#endif
