/*

	uWSGI plugin "sentry": reports alarms, hooks, routes and exceptions to a Sentry-compatible server.

	[uwsgi]
	plugin = sentry
	sentry-dsn = https://KEY@sentry.example/1
	alarm = full sentry:level=warning
	alarm-listen-queue = full
	exception-handler = sentry:

	Every handler writes a file into the spool and returns; a process of its own (a gateway) delivers. See README.rst.

*/
#include "glue.h"

#include "../edge/sys.h"
#include "../server/server_spool.h"
#include "../watch/master.h"
#include "../watch/worker.h"

extern struct uwsgi_plugin sentry_plugin;

static void log_line(const char *line)
{
    uwsgi_log_verbose("%s\n", line);
}

/* Whether these are the flags that the plugin was built for; true where its
 * build did not know them. FNV-1a, as in uwsgiplugin.py. */
static int same_flags(const char *flags)
{
#ifdef HK_UWSGI_FLAGS
    uint64_t hash = 0xcbf29ce484222325ULL;

    for (; *flags != '\0'; flags++)
        hash = (hash ^ (unsigned char)*flags) * 0x100000001b3ULL;
    return hash == HK_UWSGI_FLAGS;
#else
    (void)flags;
    return 1;
#endif
}

/* wsgi_request and uwsgi_server change between versions, and between builds of
 * one version: a .so belongs to one binary. The flags the binary was built with
 * tell which it is without trusting the layout of any struct. */
static void check_version(void)
{
    static const char key[] = "-DUWSGI_VERSION=\"\\\"";
    char *flags = uwsgi_get_cflags(), *found = flags == NULL ? NULL : strstr(flags, key), *end = NULL;
    int same_version;

    if (found != NULL) {
        found += sizeof key - 1;
        end = strchr(found, '\\');
        if (end == NULL)
            end = strchr(found, '"');
    }
    same_version = end != NULL && (size_t)(end - found) == strlen(UWSGI_VERSION)
        && memcmp(found, UWSGI_VERSION, strlen(UWSGI_VERSION)) == 0;
    if (same_version && same_flags(flags)) {
        free(flags);
        return;
    }
    uwsgi_log("[sentry] sentry_plugin.so was built for %suWSGI %s, this is uWSGI %.*s: build it again with this uwsgi "
              "--build-plugin\n", same_version ? "another build of " : "", UWSGI_VERSION,
              end == NULL ? 7 : (int)(end - found), end == NULL ? "unknown" : found);
    exit(1);
}

static void on_load(void)
{
    check_version();
    hk_sys_set_log(log_line);
    hk_entry_register();
}

/* The last that uWSGI asks of a plugin before an emperor alone begins, which asks for nothing more. */
static void jail(int (*start)(void *), char **argv)
{
    (void)start;
    (void)argv;
    if (uwsgi.emperor != NULL && !uwsgi.master_process && uwsgi.sockets == NULL)
        hk_sys_log("[sentry] an emperor with no master and no socket: its hooks report, but it has no sender process (use "
                   "heka-raven send) and nobody watches");
}

static int init(void)
{
    (void)hk_server_spool_get(); /* sets $HEKA_RAVEN_SPOOL before apps load */
    hk_entry_check();
    return 0;
}

static void post_init(void)
{
    hk_reported_share(hk_entry_exception_handlers());
    hk_clamp_install();
    hk_master_share();
    hk_metrics_register();
    hk_gateway_register();
}

static void preinit_apps(void)
{
    hk_reported_register(&sentry_plugin);
    hk_worker_register(&sentry_plugin);
}

static void post_fork(void)
{
    hk_pipes_widen();
    hk_worker_start();
}

static void master_cycle(void)
{
    hk_master_cycle();
    hk_start_tell();
}

/* The master ends, or execs itself anew; its workers and gateways are gone. */
static void master_cleanup(void)
{
    if (getpid() != uwsgi.mypid)
        return; /* a child that could not exec */
    hk_pipes_drain();
    /* A reload does not wait: nobody answers requests meanwhile, and the next sender waits for the lock. */
    if (!uwsgi_instance_is_reloading || uwsgi_instance_is_dying || uwsgi.exit_on_reload)
        hk_gateway_wait();
}

__attribute__((visibility("default"))) struct uwsgi_plugin sentry_plugin = {
    .name = "sentry",
    .options = hk_settings_options,
    .on_load = on_load,
    .jail = jail,
    .init = init,
    .post_init = post_init,
    .preinit_apps = preinit_apps,
    .post_fork = post_fork,
    .master_cleanup = master_cleanup,
    .harakiri = hk_master_harakiri,
    .master_cycle = master_cycle,
    .atexit = hk_worker_end,
    .rpc = hk_reported_rpc,
};
