/* mounts.h: which files lie behind a network or another program. Who reads there may wait for ever, and uWSGI's master must not.
 *
 * From /proc/self/mountinfo and readlink, which ask nobody else.
 */
#ifndef HK_MOUNTS_H
#define HK_MOUNTS_H

#include "../core/buf.h"

typedef struct hk_mounts {
    hk_buf text; /* a line a mount: R or L, and where it is */
} hk_mounts;

void hk_mounts_read(hk_mounts *m, const char *mountinfo); /* NULL: this process's own */
void hk_mounts_free(hk_mounts *m);

/* Whether path, or a link on the way to it, is on a network's file system or on one of FUSE. What stands on the root's own is not: this
 * program comes from there, too. 1 as well for a way that is too long or goes in circles; 0 for all where there is no /proc. */
int hk_mounts_is_remote(const hk_mounts *m, const char *path);

#endif
