/* helpers.h: the deaths of uWSGI's other processes: mules, spoolers, attached daemons. */
#ifndef HK_HELPERS_H
#define HK_HELPERS_H

void hk_helpers_share(void); /* in the master, before any fork */
void hk_helpers_look(void);  /* in the master's cycle, before uWSGI reaps */

#endif
