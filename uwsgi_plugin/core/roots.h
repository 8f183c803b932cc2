/* roots.h: where the application's code lies, as it says itself: one text for the server, in memory that the master
 * shares.
 *
 * Lines of a sign and the beginning of a path: "+/srv/site-packages/shop/" is the application's, "-/srv/vendor/" is
 * not. The first line that fits decides. A writer counts before and after, as in note.h: nobody waits for it.
 */
#ifndef HK_ROOTS_H
#define HK_ROOTS_H

#include "hk.h"

#define HK_ROOTS_MAX 4096U /* bytes; uwsgi_bridge.py tells no more */

typedef struct hk_roots {
    uint64_t sequence; /* odd while it is written; 0: memory of zeros */
    uint32_t n;
    char text[HK_ROOTS_MAX];
} hk_roots;

/* Set the whole text; an equal one writes nothing. 0; -1: too long, or another process is writing. */
int hk_roots_put(hk_roots *roots, hk_slice text);

/* Add the lines of text that are not there yet; where there is no room the whole text becomes HK_ROOTS_FULL. 0; -1: another
 * process is writing. */
#define HK_ROOTS_FULL "-\n"
int hk_roots_add(hk_roots *roots, hk_slice text);

/* The text, of a whole copy in *out; empty: nothing was told, or it was torn. */
hk_slice hk_roots_get(const hk_roots *roots, hk_roots *out);

/* What the text says of this file: 1 the application's, 0 not, -1 nothing. */
int hk_roots_say(hk_slice text, hk_slice file);

#endif
