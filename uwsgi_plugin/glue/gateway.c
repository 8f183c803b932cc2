/* gateway.c: the sender's own process. libcurl is used here and nowhere else. */
#include "glue.h"

#include "../edge/http.h"
#include "../edge/sender.h"
#include "../edge/sys.h"

#include <signal.h>
#include <sys/prctl.h>

#define TURN_MS 100       /* how often new/ is looked at */
#define PATIENCE_MS 1000U /* for requests under way when the server stops */

static volatile sig_atomic_t stopping;

static void stop(int signum)
{
    (void)signum;
    stopping = 1;
}

/* The gateway may have been forked before uWSGI dropped root. */
static int drop_root(void)
{
    uid_t uid;
    gid_t gid;

    hk_spoolglue_user(&uid, &gid);
    if (geteuid() != 0 || uid == 0)
        return 0;
    if (setgroups(1, &gid) != 0 || setgid(gid) != 0 || setuid(uid) != 0)
        return -1;
    /* A change of user forgets this: without it the sender would outlive the master. */
    return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}

static void run(int id, void *data)
{
    hk_http_options http_options = { hk_glue.ca, hk_glue.proxy, HK_SENDER_CONNECTIONS };
    hk_sender_options options = { HK_SENDER_CONNECTIONS, 0, 1 };
    hk_spool *spool = data;
    hk_transport transport;
    hk_sender *sender;
    hk_http *http;
    uint64_t until;

    (void)id;
    uwsgi_unix_signal(SIGTERM, stop);
    uwsgi_unix_signal(SIGINT, stop);
    if (drop_root() < 0) {
        hk_sys_log("[sentry] the sender cannot drop root: %s", strerror(errno));
        sleep(10); /* the master would respawn it at once */
        _exit(1);
    }
    http = hk_http_new(&http_options);
    transport = hk_http_transport(http);
    sender = http == NULL ? NULL : hk_sender_new(spool, &transport, &options);
    if (sender == NULL) {
        hk_sys_log("[sentry] the sender cannot start: libcurl or memory");
        sleep(10);
        _exit(1);
    }
    while (!stopping)
        hk_sender_turn(sender, TURN_MS);
    hk_sender_last_report(sender);
    until = hk_sys_monotonic_ms() + PATIENCE_MS;
    while (hk_sender_under_way(sender) > 0 && hk_sys_monotonic_ms() < until)
        hk_sender_drain(sender, TURN_MS);
    hk_sender_free(sender);
    hk_http_free(http);
    _exit(0);
}

void hk_gateway_register(void)
{
    hk_spool *spool = hk_spoolglue_get();

    if (spool == NULL || hk_glue.no_sender || uwsgi.no_server || uwsgi.command_mode)
        return;
    if (!uwsgi.master_process && uwsgi.sockets == NULL) {
        /* uWSGI ends a server that has a gateway but neither master nor socket (an emperor without master). */
        hk_sys_log("[sentry] no master and no socket: no sender process; use heka-raven send");
        return;
    }
    if (!uwsgi.master_process)
        hk_sys_log("[sentry] no master: the sender runs, but nobody starts it again and nobody watches");
    register_gateway("uWSGI sentry sender", run, spool);
}
