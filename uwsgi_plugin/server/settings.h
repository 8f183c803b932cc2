/* settings.h: what the ini says. Everything that includes uwsgi.h does so through here. */
#ifndef HK_SETTINGS_H
#define HK_SETTINGS_H

#include "../core/scrub.h"

#include <uwsgi.h>

extern struct uwsgi_server uwsgi;

typedef struct hk_settings_values {
    char *dsn;
    char *spool;
    char *release;
    char *environment;
    char *ca;
    char *proxy;
    char *watch;
    char *watch_options; /* of its handler, as those of an alarm */
    char *watch_slow; /* as written */
    uint64_t watch_slow_ms; /* 0: off */
    int watch_backlog; /* percent */
    int watch_values; /* a reader may look into workers */
    char *watch_python; /* that runs it; NULL: found */
    char *watch_crash_wait; /* as written */
    long watch_crash_wait_ms;
    int watch_patience_ms; /* 0: as long as each of the waits is worth by itself */
    int storm_deaths;
    int storm_s;
    uint64_t spool_size;
    int no_sender;
    hk_scrub scrub; /* what is private */
} hk_settings_values;

extern hk_settings_values hk_settings;
extern struct uwsgi_option hk_settings_options[]; /* the table that uWSGI reads the ini with */

#endif
