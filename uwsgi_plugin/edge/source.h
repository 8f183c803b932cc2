/* source.h: the source lines of a stack's frames, read from the files that it names. */
#ifndef HK_SOURCE_H
#define HK_SOURCE_H

#include "../core/event.h"

#include "mounts.h"

#include <sys/types.h>

/* A file that a process of this user could read, for reading; -1: there is none, or it is one for which one may wait: of a network's
 * file system or of FUSE. It never waits, whatever the name leads to. */
int hk_source_open(const char *path, uid_t uid, gid_t gid, const hk_mounts *mounts);

/* Fill line_text, before and after of frames whose file can be read, the innermost first; at most budget_ms
 * milliseconds, looked at between two frames. A relative name (wsgi-file = app.py) is that of a file below the current
 * directory, which uWSGI's workers have from its master. Only regular files called *.py are opened, and none of a network's, as this user where
 * the process is root: who wrote the stack may have named any. */
void hk_source_fill(hk_frame *frames, size_t count, uid_t uid, gid_t gid, unsigned budget_ms, hk_pool *pool);

#endif
