/* server_spool.h: the one spool of this server, and whose it is. */
#ifndef HK_SERVER_SPOOL_H
#define HK_SERVER_SPOOL_H

#include "../edge/spool.h"

/* Opened when first needed; NULL: it cannot be used, which was said once. */
hk_spool *hk_server_spool_get(void);

void hk_server_spool_user(uid_t *uid, gid_t *gid); /* whom the workers will be */

/* In a gateway, which may have been forked before uWSGI dropped root: become that user, and end with the master. 0, or -1
 * with errno. */
int hk_server_spool_become_user(void);

#endif
