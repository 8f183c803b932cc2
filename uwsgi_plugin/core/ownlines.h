/* ownlines.h: tells the plugin's own lines in uWSGI's log from those of others: an alarm on a line that tells of an alarm
 * would feed itself. */
#ifndef HK_OWNLINES_H
#define HK_OWNLINES_H

#include "buf.h"

/* Append text without the lines that the plugin logged: "[sentry] ...", alone or behind uWSGI's date. How many those were. */
unsigned hk_ownlines_drop(hk_slice text, hk_buf *out);

#endif
