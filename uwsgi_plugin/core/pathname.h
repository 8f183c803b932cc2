/* pathname.h: a path as the name of what answers it, where nobody knows the route. */
#ifndef HK_PATHNAME_H
#define HK_PATHNAME_H

#include "buf.h"

/* Append path with <number>, <uuid> and <hash> in place of what differs from one request to the next: a word (letters
 * and digits between anything else) that is a number, an UUID, or 16 or more hexadecimal digits with a digit among them.
 * Four crashes at /pdf/16 to /pdf/19 are one. */
void hk_pathname_put(hk_slice path, hk_buf *out);

#endif
