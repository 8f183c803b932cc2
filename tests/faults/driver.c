/* driver.c: the C half's writer, sender and fold as one small process, for the harness that lets its system calls fail.
 *
 *   driver NOTES SPOOL write DSN COUNT | send SECONDS | fold
 *
 * It maps the file NOTES, says there that it is ready, waits for SIGUSR1, works once and ends. What it has to tell goes
 * into that memory: a system call might be the one that fails. tests/faults/watched.py knows the layout.
 */
#include "../../uwsgi_plugin/edge/capture.h"
#include "../../uwsgi_plugin/edge/ledgers.h"
#include "../../uwsgi_plugin/edge/sys.h"
#include "../../uwsgi_plugin/sender/http.h"
#include "../../uwsgi_plugin/sender/sender.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define NOTES_BYTES (1U << 16)
#define ID_BYTES 33U
#define TURN_MS 100 /* as uWSGI's */
#define DRAIN_MS 3000 /* as uWSGI ends: what is under way has its reply */
#define OPEN_TRIES 5
#define OPEN_PAUSE_US 20000

typedef struct notes {
    unsigned char end, ready, unused[2];
    uint32_t text, count;
    char ids[NOTES_BYTES - 12];
} notes;

static notes *said;

static void quiet(const char *line)
{
    (void)line;
}

static void tell(const char *id, int taken)
{
    char *at = said->ids + ID_BYTES * said->count;

    at[0] = taken ? '+' : '-';
    memcpy(at + 1, id, 32);
    said->count++;
}

static int wait_for_go(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC), got;
    sigset_t set;

    if (fd < 0)
        return -1;
    said = mmap(NULL, sizeof *said, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (said == MAP_FAILED)
        return -1;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    said->ready = 1;
    return sigwait(&set, &got);
}

static void write_events(hk_spool *s, const char *dsn, int count)
{
    hk_capture_defaults d = { { "host", 4 }, { "", 0 }, { "", 0 }, { NULL, 0 }, { NULL, 0 }, { 0 } };
    hk_capture_facts f;
    hk_options o;
    hk_buf why;
    char id[33];

    memset(&f, 0, sizeof f);
    f.message = hk_slice_of("a fault");
    hk_buf_init(&why, 1024);
    if (hk_options_parse(hk_slice_of("level=error"), dsn, &o, &why) == HK_OK)
        while (count-- > 0) {
            int rc = hk_capture_event(s, &o, &d, &f, id);
            tell(id, rc == 0);
        }
    hk_options_free(&o);
    hk_buf_free(&why);
}

/* Until new/ is empty and nothing is under way, or the time is over. */
static void send_events(hk_spool *s, unsigned seconds)
{
    hk_http_options http_options = { NULL, "", HK_SENDER_CONNECTIONS };
    hk_sender_options options = { HK_SENDER_CONNECTIONS, 0, 1 };
    uint64_t until = hk_sys_monotonic_ms() + seconds * 1000U, counts[HK_LEDGER_SLOTS];
    hk_http *http = hk_http_new(&http_options);
    hk_transport transport = hk_http_transport(http);
    hk_sender *sender = http == NULL ? NULL : hk_sender_new(s, &transport, &options);

    if (sender == NULL) {
        hk_http_free(http);
        return;
    }
    do
        hk_sender_turn(sender, TURN_MS);
    while (hk_sys_monotonic_ms() < until
           && (!hk_sender_has_lock(sender) || hk_sender_under_way(sender) > 0
               || hk_ledgers_sum(s->ledger_fd, counts) != HK_OK || hk_ledger_pending(counts) > 0));
    while (hk_sender_under_way(sender) > 0 && hk_sys_monotonic_ms() < until + DRAIN_MS)
        hk_sender_drain(sender, TURN_MS);
    hk_sender_free(sender);
    hk_http_free(http);
}

int main(int argc, char **argv)
{
    hk_spool s;
    hk_buf why;
    int tries = 0;

    if (argc < 4 || wait_for_go(argv[1]) != 0)
        return 2;
    hk_sys_set_log(quiet);
    hk_buf_init(&why, 4096);
    while (hk_spool_open(&s, argv[2], geteuid(), getegid(), 1U << 28, 50000, &why) != HK_OK && tries++ < OPEN_TRIES)
        usleep(OPEN_PAUSE_US); /* a server opens it again at its next use */
    if (s.root_fd >= 0) {
        if (strcmp(argv[3], "write") == 0 && argc == 6)
            write_events(&s, argv[4], atoi(argv[5]));
        else if (strcmp(argv[3], "send") == 0 && argc == 5)
            send_events(&s, (unsigned)atoi(argv[4]));
        else if (strcmp(argv[3], "fold") == 0)
            (void)hk_ledgers_fold(s.ledger_fd);
    }
    hk_spool_free(&s);
    hk_buf_free(&why);
    said->end = 1;
    return 0;
}
