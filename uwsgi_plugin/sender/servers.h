/* servers.h: how each server has been answering, for `heka-raven status`: state/servers.json, which both senders write.
 *
 * {"<DSN without its secret>":{"success_at":<Unix time>,"error":"<words>","error_at":…,"next_try":…}}: what is not known is
 * left out. tests/data/servers.json is one.
 */
#ifndef HK_SERVERS_H
#define HK_SERVERS_H

#include "targets.h"

#define HK_SERVERS_MAX 1000U /* that are written */

/* A try is over: error is empty when the event was taken. Without memory the words are lost, nothing else. */
void hk_servers_answered(hk_targets *t, unsigned number, double now_s, hk_slice error);

/* Read what was told last. A damaged file counts as none; when to try next is not read: a restart probes at once. */
void hk_servers_load(hk_targets *t, int state_fd);

/* Write it if something changed. It is for people only: a full disk is said elsewhere. */
void hk_servers_save(hk_targets *t, int state_fd, double now_s, uint64_t now_ms);

#endif
