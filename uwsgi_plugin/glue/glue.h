/* glue.h: what plugin.c registers with uWSGI, file by file. */
#ifndef HK_GLUE_H
#define HK_GLUE_H

#include "../core/hk.h"
#include "../server/settings.h"

void hk_entry_register(void); /* alarm, hook, route, exception handler */
void hk_entry_check(void);    /* once the whole ini is read */
int hk_entry_exception_handlers(void); /* how many it has */

void hk_clamp_install(void); /* exception texts stay inside uWSGI's 16-bit lengths */
void hk_pipes_widen(void); /* more alarms and exceptions fit into uWSGI's own sockets */
void hk_pipes_drain(void); /* wait until the plugin has what is in them */
void hk_gateway_register(void);
pid_t hk_gateway_sender(void); /* its pid; 0: not yet; -1: there is to be none */
void hk_gateway_wait(void); /* for the sender to end, when the server does */

void hk_metrics_register(void);
void hk_start_tell(void); /* in each cycle of the master */

void hk_reported_share(int handlers); /* the rings, before any fork: one for each handler that may drop it */
void hk_reported_register(struct uwsgi_plugin *plugin); /* the function that the worker calls */
int hk_reported_take(int handler, uint64_t worker, hk_slice type, hk_slice message);
uint64_t hk_reported_rpc(void *func, uint8_t argc, char **argv, uint16_t *argvs, char **out);

#endif
