/* pipes.c: the sockets through which uWSGI hands alarms and exceptions to its master's threads: room, and a clean end.
 *
 * They are as large as the kernel makes any socket (net.core.wmem_default): 278 short alarms, or 26 exceptions of 4 KB;
 * uWSGI drops what does not fit. One setsockopt makes it as large as this user may have it: with Linux's own
 * net.core.wmem_max twice as many, for root some thousands.
 */
#include "glue.h"

#include "../edge/capture.h"
#include "../edge/sys.h"

#include <sys/ioctl.h>
#include <sys/socket.h>

#define PATIENCE_MS 15000U /* at the end of the master, for what uWSGI has accepted, */
#define STUCK_MS 5000U     /* as long as there is progress: an alarm of another kind may hang */
#define WANTED_BYTES (4 << 20) /* the kernel doubles it: 10,900 short alarms; memory only while they wait */

static void widen(const struct uwsgi_thread *thread)
{
    int bytes = WANTED_BYTES;

    if (thread == NULL)
        return;
    /* The first needs CAP_NET_ADMIN; the second is cut to net.core.wmem_max. Where both fail, it stays as it was. */
    if (setsockopt(thread->pipe[0], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) < 0)
        (void)setsockopt(thread->pipe[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

/* In a worker, before its first request: the sockets are the same for all, and made after post_init. */
void hk_pipes_widen(void)
{
    widen(uwsgi.alarm_thread);
    widen(uwsgi.exception_handler_thread);
}

/* Bytes in its socket. */
static int held(const struct uwsgi_thread *thread)
{
    int bytes = 0;

    return thread != NULL && ioctl(thread->pipe[1], FIONREAD, &bytes) == 0 ? bytes : 0;
}

/* Its thread passes over a message this short, and reads it only once it is done with those before. 1: it is sent. */
static int send_mark(const struct uwsgi_thread *thread)
{
    return thread == NULL || send(thread->pipe[0], "", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 || errno != EAGAIN;
}

/* In the master when it stops or execs itself anew, its workers are gone: the threads still run, and what is in their
 * sockets would go with them. Where nothing is, this takes a millisecond or two. */
void hk_pipes_drain(void)
{
    uint64_t now = hk_sys_monotonic_ms(), until = now + PATIENCE_MS, moved = now;
    int alarms_marked = 0, exceptions_marked = 0, bytes, before = 0;

    do {
        alarms_marked = alarms_marked || send_mark(uwsgi.alarm_thread);
        exceptions_marked = exceptions_marked || send_mark(uwsgi.exception_handler_thread);
        usleep(1000);
        bytes = held(uwsgi.alarm_thread) + held(uwsgi.exception_handler_thread);
        now = hk_sys_monotonic_ms();
        if (bytes != before)
            moved = now;
        before = bytes;
    } while ((!alarms_marked || !exceptions_marked || bytes > 0 || hk_capture_under_way()) && now < until
             && now - moved < STUCK_MS);
}
