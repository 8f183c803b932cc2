/* worker.h: what a worker leaves in shared memory for the master that watches it. */
#ifndef HK_WORKER_H
#define HK_WORKER_H

#include "../core/hk.h"

struct uwsgi_plugin;

void hk_worker_prepare(void); /* in the master, before any fork */
void hk_worker_register(struct uwsgi_plugin *plugin); /* the functions that it calls */
void hk_worker_start(void);
void hk_worker_end(void); /* it leaves in order */
void hk_worker_note_reported(hk_slice core, hk_slice event_id); /* what it reported of its request */

#endif
