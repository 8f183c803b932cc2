/* server.h: what the files that include uwsgi.h share. Registration and conversion only. */
#ifndef HK_SERVER_H
#define HK_SERVER_H

#include <uwsgi.h>

#include "../core/ring.h"
#include "../edge/capture.h"

extern struct uwsgi_server uwsgi;
extern struct uwsgi_plugin sentry_plugin;

typedef struct hk_glue_options {
    char *dsn;
    char *spool;
    char *release;
    char *environment;
    char *ca;
    char *proxy;
    char *watch;
    char *watch_options; /* of its handler, as those of an alarm */
    int watch_slow_s;
    int watch_backlog; /* percent */
    int storm_deaths;
    int storm_s;
    uint64_t spool_size;
    int no_sender;
} hk_glue_options;

extern hk_glue_options hk_glue; /* what the ini says */

/* A handler: the options of one alarm, hook, route or exception handler. */
typedef struct hk_glue_handler {
    hk_options options;
    int off; /* its options are wrong: said once */
    struct hk_glue_handler *next;
    const char *kind;
    char *text; /* a route's options, until all of the ini is read */
} hk_glue_handler;

/* spool.c: the one spool of this server, opened when first needed; NULL: it
 * cannot be used, which was said once. */
hk_spool *hk_server_spool_get(void);
void hk_server_spool_user(uid_t *uid, gid_t *gid); /* whom the workers will be */

/* Parse text into h; a mistake is logged in one line and turns the handler off. */
void hk_entry_configure(hk_glue_handler *h, const char *kind, const char *text);
int hk_entry_report(const hk_glue_handler *h, hk_capture_facts *facts);
void hk_entry_register(void); /* alarm, hook, route, exception handler */
void hk_entry_check(void);    /* once the whole ini is read */

void hk_clamp_install(void); /* exception texts stay inside uWSGI's 16-bit lengths */
void hk_pipes_widen(void); /* more alarms and exceptions fit into uWSGI's own sockets */
void hk_pipes_drain(void); /* wait until the plugin has what is in them */
void hk_gateway_register(void);
void hk_gateway_wait(void); /* for the sender to end, when the server does */
/* The watch: watch.h has what its files share. */
void hk_watch_share(void);        /* in the master, before any fork */
void hk_watch_register(void);     /* the functions that a worker calls */
void hk_watch_worker_start(void);
void hk_watch_worker_end(void);   /* a worker leaves in order */
void hk_watch_harakiri(int worker);
void hk_watch_cycle(void);
int hk_watch_reports_crash(hk_slice alarm); /* an alarm-segfault of a worker whose death the watch reports */
void hk_watch_note_reported(hk_slice core, hk_slice event_id); /* in a worker: what it reported of its request */

void hk_metrics_register(void);

void hk_reported_share(void);    /* the rings, before any fork */
void hk_reported_register(void); /* the functions that the worker calls */
int hk_reported_take(uint64_t worker, hk_slice type, hk_slice message);
uint64_t hk_reported_rpc(void *func, uint8_t argc, char **argv, uint16_t *argvs, char **out);

#endif
