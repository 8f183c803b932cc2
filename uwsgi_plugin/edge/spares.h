/* spares.h: room that is kept for ledgers: a process that begins while the disk is full has a place for its counts all the
 * same.
 *
 * state/ledger/spare-0 to spare-31 are files of a ledger's size that count nothing. Who finds no room for its own takes one by
 * renaming it and writes over it, which needs no room. heka_raven/spool/spares.py is the other half's.
 */
#ifndef HK_SPARES_H
#define HK_SPARES_H

#include <sys/stat.h>
#include <sys/types.h>

/* Make a file of size bytes that count nothing under a name that is not there; of a spare where the disk has no room. It is
 * owner's, and st is filled in. Its descriptor, or -1 with errno; then nothing is left under the name. */
int hk_spares_begin(int dir_fd, const char *name, size_t size, uid_t owner, gid_t group, struct stat *st);

/* Make those that are not there, while there is room; for the holder of the sender's lock. */
void hk_spares_keep(int dir_fd, size_t size, uid_t owner, gid_t group);

#endif
