/* datagram.h: one packet to the first address that takes it. */
#ifndef HK_DATAGRAM_H
#define HK_DATAGRAM_H

#include "../core/buf.h"
#include "names.h"

/* HK_POLICY_SENT, HK_POLICY_TOO_LARGE (for any) or HK_POLICY_NO_REPLY (it may work later). */
int hk_datagram_send(const hk_addresses *to, unsigned port, hk_slice body);

#endif
