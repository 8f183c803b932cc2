#include "settings.h"

#include "../edge/spool.h"

hk_settings_values hk_settings = { .spool_size = HK_SPOOL_MAX_BYTES, .watch_backlog = 100, .storm_deaths = 5, .storm_s = 60,
                                   .watch_crash_wait_ms = 500 };

struct uwsgi_option hk_settings_options[] = {
    { "sentry-dsn", required_argument, 0, "DSN of every sentry handler that names none", uwsgi_opt_set_str, &hk_settings.dsn, 0 },
    { "sentry-spool", required_argument, 0, "directory in which events wait", uwsgi_opt_set_str, &hk_settings.spool, 0 },
    { "sentry-spool-size", required_argument, 0, "most bytes that wait in the spool (default 256 MiB)", uwsgi_opt_set_64bit,
      &hk_settings.spool_size, 0 },
    { "sentry-release", required_argument, 0, "release of every event", uwsgi_opt_set_str, &hk_settings.release, 0 },
    { "sentry-environment", required_argument, 0, "environment of every event", uwsgi_opt_set_str, &hk_settings.environment, 0 },
    { "sentry-watch", required_argument, 0, "report deaths, harakiri, full queues: true, or a list", uwsgi_opt_set_str,
      &hk_settings.watch, 0 },
    { "sentry-watch-options", required_argument, 0, "options of these events, as an alarm's: dsn, protocol, tags",
      uwsgi_opt_set_str, &hk_settings.watch_options, 0 },
    { "sentry-watch-slow", required_argument, 0, "report a request older than this: 10, 0.5, 500ms, 1m", uwsgi_opt_set_str,
      &hk_settings.watch_slow, 0 },
    { "sentry-watch-backlog", required_argument, 0, "percent of the listen queue that is reported (default 100)",
      uwsgi_opt_set_int, &hk_settings.watch_backlog, 0 },
    { "sentry-watch-patience", required_argument, 0, "milliseconds to wait for a worker's stack, and its answer, at a harakiri",
      uwsgi_opt_set_int, &hk_settings.watch_patience_ms, 0 },
    { "sentry-watch-values", no_argument, 0, "read local variables from outside with py-spy where a worker cannot answer",
      uwsgi_opt_true, &hk_settings.watch_values, 0 },
    { "sentry-watch-python", required_argument, 0, "Python with heka-raven, beside py-spy, that masks them", uwsgi_opt_set_str,
      &hk_settings.watch_python, 0 },
    { "sentry-watch-crash-wait", required_argument, 0, "time that a crashing worker waits to be read (default 500ms)",
      uwsgi_opt_set_str, &hk_settings.watch_crash_wait, 0 },
    { "sentry-watch-storm", required_argument, 0, "deaths in a row that are a storm (default 5)", uwsgi_opt_set_int,
      &hk_settings.storm_deaths, 0 },
    { "sentry-watch-storm-seconds", required_argument, 0, "the seconds within which these deaths are a storm (default 60)",
      uwsgi_opt_set_int, &hk_settings.storm_s, 0 },
    { "sentry-send-pii", no_argument, 0, "send who the visitor is: address headers, REMOTE_USER, the user's e-mail",
      uwsgi_opt_true, &hk_settings.scrub.send_pii, 0 },
    { "sentry-no-sender", no_argument, 0, "no sender process; heka-raven send delivers", uwsgi_opt_true, &hk_settings.no_sender, 0 },
    { "sentry-ca", required_argument, 0, "file of certificates to trust", uwsgi_opt_set_str, &hk_settings.ca, 0 },
    { "sentry-proxy", required_argument, 0, "HTTP proxy of the sender", uwsgi_opt_set_str, &hk_settings.proxy, 0 },
    { NULL, 0, 0, NULL, NULL, NULL, 0 },
};
