/* symbols.h: the names of the functions that a crash was in, from the files that were loaded. */
#ifndef HK_SYMBOLS_H
#define HK_SYMBOLS_H

#include "../core/native.h"

#include <sys/types.h>

/* One symbol for each frame of n, in pool; NULL: no memory. A file is read as this user where the process is root, and only while it is what was
 * loaded: its build id says so. An image without one gets what stands for it. At most budget_ms, looked at at each read: then names are
 * missing. */
hk_elf_symbol *hk_symbols_find(hk_native *n, uid_t uid, gid_t gid, unsigned budget_ms, hk_pool *pool);

#endif
