/* hk.h: the words every file of the plugin uses.
 *
 * Names: hk_<file>_<verb>; everything else is static. _init/_free work on the
 * caller's struct, _new/_free on the heap; free takes NULL and half-built
 * objects. core/ does no I/O and reads no clock: bytes, times and ids are
 * passed in.
 */
#ifndef HK_H
#define HK_H

#include "slice.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define HK_SDK_NAME "heka-raven"
#define HK_VERSION "1.0.0.dev0" /* tests compare it with heka_raven.__version__ */
#define HK_CLIENT HK_SDK_NAME "/" HK_VERSION

typedef enum hk_status {
    HK_OK = 0,
    HK_ERR_SYNTAX, /* the bytes break a rule of their format */
    HK_ERR_LIMIT,  /* well formed, but over a limit */
    HK_ERR_MEMORY, /* an allocation failed */
    HK_ERR_SYSTEM  /* a system call failed; errno says why */
} hk_status;

#endif
