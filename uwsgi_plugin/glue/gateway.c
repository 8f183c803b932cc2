/* gateway.c: the sender's own process. libcurl is used here and nowhere else.
 *
 * uWSGI kills its gateways with SIGKILL when it stops or reloads; what was under way then, the next sender would send a
 * second time. So the gateway itself only waits for the sender, its child. When the gateway dies, the child is told,
 * waits for the replies that are due, and ends.
 */
#include "glue.h"

#include "../edge/sys.h"
#include "../sender/http.h"
#include "../sender/sender.h"
#include "../server/server_spool.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define TURN_MS 100       /* how often new/ is looked at */
#define PATIENCE_MS 2000U /* for requests under way when the server stops */
#define MARGIN_MS 500U    /* a busy machine's */
#define MAX_FD 65536     /* nobody has that many open; the limit may be a thousand million */

static volatile sig_atomic_t stopping;
static pid_t *sender_pid; /* shared: 0 when there is none */

static void stop(int signum)
{
    (void)signum;
    stopping = 1;
}

/* The master would start another at once. */
static void give_up(const char *why)
{
    hk_sys_log("[sentry] the sender cannot start: %s", why);
    sleep(10);
    _exit(1);
}

/* The sender may outlive the server: a socket or a locked file of it would be in the way of the next server. */
static void close_others(const hk_spool *s)
{
    const int own[] = { s->root_fd, s->new_fd, s->tmp_fd, s->dead_fd, s->state_fd, s->ledger_fd };
    size_t i;
    int fd;

    for (fd = 3; (rlim_t)fd < uwsgi.max_fd && fd < MAX_FD; fd++) {
        for (i = 0; i < sizeof own / sizeof own[0] && own[i] != fd; i++)
            ;
        if (i == sizeof own / sizeof own[0])
            close(fd);
    }
}

static void deliver(hk_spool *spool)
{
    hk_http_options http_options = { hk_settings.ca, hk_settings.proxy, HK_SENDER_CONNECTIONS };
    hk_sender_options options = { HK_SENDER_CONNECTIONS, 0, 1 };
    hk_transport transport;
    hk_sender *sender;
    hk_http *http;
    uint64_t until;

    http = hk_http_new(&http_options);
    transport = hk_http_transport(http);
    sender = http == NULL ? NULL : hk_sender_new(spool, &transport, &options);
    if (sender == NULL)
        give_up("libcurl or memory");
    while (!stopping)
        hk_sender_turn(sender, TURN_MS);
    hk_sender_last_report(sender);
    until = hk_sys_monotonic_ms() + PATIENCE_MS;
    while (hk_sender_under_way(sender) > 0 && hk_sys_monotonic_ms() < until)
        hk_sender_drain(sender, TURN_MS);
    hk_sender_free(sender);
    /* Not hk_http_free: the process ends, with what is under way. */
}

static void run(int id, void *data)
{
    pid_t gateway = getpid(), sender;

    (void)id;
    if (hk_server_spool_become_user() < 0)
        give_up(strerror(errno));
    (void)hk_server_spool_get(); /* it may be in the chroot by now */
    uwsgi_unix_signal(SIGQUIT, end_me); /* as uWSGI does with the others: its master's handler would kill the workers */
    sender = fork();
    if (sender < 0)
        give_up(strerror(errno));
    if (sender == 0) {
        *sender_pid = getpid();
        uwsgi_unix_signal(SIGTERM, stop);
        uwsgi_unix_signal(SIGINT, stop);
        uwsgi_unix_signal(SIGQUIT, stop);
        if (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) < 0 || getppid() != gateway)
            stopping = 1;
        close_others(data);
        deliver(data);
        (void)__sync_bool_compare_and_swap(sender_pid, getpid(), 0); /* another may have come */
        _exit(0);
    }
    while (waitpid(sender, NULL, 0) < 0 && errno == EINTR)
        ;
    _exit(0);
}

pid_t hk_gateway_sender(void)
{
    return sender_pid == NULL ? -1 : *(volatile pid_t *)sender_pid;
}

/* In the master when it stops: the gateway was killed by then, and who stopped the server may end what is left of it. */
void hk_gateway_wait(void)
{
    uint64_t until = hk_sys_monotonic_ms() + PATIENCE_MS + MARGIN_MS;
    pid_t pid;

    while (sender_pid != NULL && (pid = *(volatile pid_t *)sender_pid) != 0 && kill(pid, 0) == 0
           && hk_sys_monotonic_ms() < until)
        usleep(1000);
}

void hk_gateway_register(void)
{
    hk_spool *spool = hk_server_spool_get();

    if (spool == NULL || hk_settings.no_sender || uwsgi.no_server || uwsgi.command_mode)
        return;
    if (!uwsgi.master_process && uwsgi.sockets == NULL) {
        /* uWSGI ends a server that has a gateway but neither master nor socket (an emperor without master). */
        hk_sys_log("[sentry] no master and no socket: no sender process; use heka-raven send");
        return;
    }
    if (!uwsgi.master_process)
        hk_sys_log("[sentry] no master: the sender runs, but nobody starts it again and nobody watches");
    sender_pid = uwsgi_calloc_shared(sizeof *sender_pid);
    register_gateway("uWSGI sentry sender", run, spool);
}
