/* test_waiting.c: what a thread waits for, with the tables that the Python tests read too; and what /proc says of
 * children of this process. */
#include "check.h"

#include "../../uwsgi_plugin/core/waiting.h"
#include "../../uwsgi_plugin/edge/kernel.h"
#include "../../uwsgi_plugin/edge/thread.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static hk_slice or_nothing(hk_slice field)
{
    return hk_slice_is(field, "-") ? hk_slice_make("", 0) : field;
}

static long number_of(hk_slice name)
{
    static const struct {
        const char *name;
        long number;
    } names[] = {
        { "recvfrom", SYS_recvfrom }, { "recvmsg", SYS_recvmsg }, { "read", SYS_read }, { "write", SYS_write },
        { "sendto", SYS_sendto }, { "connect", SYS_connect }, { "accept4", SYS_accept4 }, { "flock", SYS_flock },
        { "fcntl", SYS_fcntl }, { "fsync", SYS_fsync }, { "ppoll", SYS_ppoll }, { "pselect6", SYS_pselect6 },
        { "epoll_pwait", SYS_epoll_pwait }, { "openat", SYS_openat }, { "clock_nanosleep", SYS_clock_nanosleep },
        { "restart_syscall", SYS_restart_syscall }, { "wait4", SYS_wait4 }, { "futex", SYS_futex }, { "semop", SYS_semop },
        { "getppid", SYS_getppid },
    };
    size_t i;

    for (i = 0; i < sizeof names / sizeof names[0]; i++)
        if (hk_slice_is(name, names[i].name))
            return names[i].number;
    fprintf(stderr, "%.*s\n", (int)name.n, name.p);
    CHECK(0);
    return 0;
}

static void word_row(hk_slice *f, int count)
{
    char line[128], expected[512];
    hk_waiting_facts facts;
    hk_waiting_call call;
    hk_buf target, out;
    const char *mark;

    CHECK(count == 5);
    hk_buf_init(&target, 4096);
    hk_buf_init(&out, 65536);
    if (hk_slice_starts(f[0], "wchan:")) {
        hk_waiting_read_channel(hk_slice_from(f[0], 6), &call);
    } else {
        snprintf(line, sizeof line, "%ld 0x3 0x0 0x0 0x0 0x0 0x0 0x7ffc 0x7fc5\n", number_of(f[0]));
        hk_waiting_read(hk_slice_of(line), &call);
    }
    check_unescape(or_nothing(f[1]), &target);
    facts.target = hk_buf_slice(&target);
    facts.peer = or_nothing(f[2]);
    facts.number = hk_slice_is(f[3], "-") ? 0 : (uint64_t)strtol(f[3].p, NULL, 10);
    hk_waiting_put(&call, &facts, &out);
    snprintf(expected, sizeof expected, "%.*s", (int)or_nothing(f[4]).n, f[4].p);
    mark = strstr(expected, "NUMBER");
    if (mark != NULL)
        snprintf(expected + (mark - expected), 16, "%d", SYS_getppid);
    CHECK_TEXT(expected, hk_buf_slice(&out));
    hk_buf_free(&target);
    hk_buf_free(&out);
}

static void socket_row(hk_slice *f, int count)
{
    hk_buf out;

    CHECK(count == 3);
    hk_buf_init(&out, 256);
    CHECK(hk_waiting_read_peer(f[0], (uint64_t)strtol(f[1].p, NULL, 10), "tcp", &out) == !hk_slice_is(f[2], "-"));
    CHECK(hk_slice_same(or_nothing(f[2]), hk_buf_slice(&out)));
    hk_buf_free(&out);
}

/* Whatever the text, it is read or it is none. */
static void texts(void)
{
    static const char locks[] = "1: FLOCK  ADVISORY  WRITE 812 fe:00:7873103 0 EOF\n"
                                "1: -> FLOCK  ADVISORY  WRITE 899 fe:00:7873103 0 EOF\n"
                                "1: -> FLOCK  ADVISORY  WRITE 900 fe:00:7873103 0 EOF\n"
                                "3: OFDLCK ADVISORY  WRITE -1 fe:00:2171041 0 EOF\n"
                                "3: -> POSIX  ADVISORY  WRITE 901 fe:00:2171041 0 EOF\n";
    hk_waiting_call call;
    uint64_t ticks;
    char state;

    CHECK(hk_waiting_lock_holder(hk_slice_of(locks), 900) == 812);
    CHECK(hk_waiting_lock_holder(hk_slice_of(locks), 812) == 0 && hk_waiting_lock_holder(hk_slice_of(locks), 901) == 0);
    CHECK(hk_waiting_lock_holder(hk_slice_of("rubbish\n1:\n1: ->"), 1) == 0);
    CHECK(hk_waiting_read_stat(hk_slice_of("2 (a) R (b) S 1 2 3 4 5 6 7 8 9 10 17 5 0"), &state, &ticks) == 0 && state == 'S'
          && ticks == 22);
    CHECK(hk_waiting_read_stat(hk_slice_of("1 x"), &state, &ticks) < 0);
    CHECK(hk_waiting_read_stat(hk_slice_of(""), &state, &ticks) < 0);
    hk_waiting_read(hk_slice_of("running\n"), &call);
    CHECK(!call.known && call.running);
    hk_waiting_read(hk_slice_of("-1 0x7ffc 0x7fc5"), &call);
    CHECK(!call.known && !call.running);
    hk_waiting_read(hk_slice_of(""), &call);
    CHECK(!call.known);
}

/* ---- children that wait ---- */

static char directory[256];

static void words_are(void (*wait_here)(void), const char *expected, pid_t holder)
{
    char all[512] = "", pattern[512];
    pid_t pid = fork();
    hk_thread_reading reading;
    hk_buf on;
    int i;

    if (pid == 0) {
        wait_here();
        _exit(1);
    }
    snprintf(pattern, sizeof pattern, expected, (int)holder);
    for (i = 0; i < 500 && strcmp(all, pattern) != 0; i++) { /* until it has come so far */
        usleep(10000);
        hk_buf_init(&on, 4096);
        hk_thread_read(pid, pid, 1000, &reading, &on);
        snprintf(all, sizeof all, "%.*s", (int)on.len, on.len == 0 ? "" : on.data);
        hk_buf_free(&on);
    }
    CHECK(strcmp(all, pattern) == 0);
    if (strcmp(all, pattern) != 0)
        fprintf(stderr, "%s, expected: %s; %s\n", all, pattern, reading.missing);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static int pair[2], listener, client, lock;

static void in_sleep(void) { sleep(100); }
static void in_pipe(void) { char c; (void)!read(pair[0], &c, 1); }
static void in_poll(void) { struct pollfd p[2] = { { pair[0], POLLIN, 0 }, { client, POLLIN, 0 } }; poll(p, 2, -1); }
static void in_recv(void) { char c; recv(client, &c, 1, 0); }
static void in_flock(void) { int fd = open(directory, O_RDWR); flock(fd, LOCK_EX); }
static void in_busy(void) { for (;;) { __asm__ volatile(""); } }
static void in_select(void)
{
    fd_set set;

    FD_ZERO(&set);
    FD_SET(client, &set);
    select(client + 1, &set, NULL, NULL, NULL);
}
static void in_fcntl(void)
{
    struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int fd = open(directory, O_RDWR);

    fcntl(fd, F_SETLKW, &all);
}
static void in_open(void)
{
    char fifo[300];

    snprintf(fifo, sizeof fifo, "%s.fifo", directory);
    (void)!open(fifo, O_RDONLY);
}

static void children(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    socklen_t n = sizeof address;
    char words[600];
    const char *where = check_make_directory();

    snprintf(directory, sizeof directory, "%s/cache.lock", where);
    snprintf(words, sizeof words, "%s.fifo", directory);
    CHECK(mkfifo(words, 0600) == 0 && pipe(pair) == 0);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    client = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(listener, (struct sockaddr *)&address, n) == 0 && listen(listener, 1) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &n) == 0);
    CHECK(connect(client, (struct sockaddr *)&address, n) == 0);
    lock = open(directory, O_RDWR | O_CREAT, 0600);
    CHECK(flock(lock, LOCK_EX) == 0);
    words_are(in_sleep, "a sleep", 0);
    words_are(in_pipe, "read from a pipe", 0);
    words_are(in_poll, "poll on 2 descriptors, the first a pipe", 0);
    snprintf(words, sizeof words, "recv from 127.0.0.1:%d, tcp", ntohs(address.sin_port));
    words_are(in_recv, words, 0);
    snprintf(words, sizeof words, "select on 127.0.0.1:%d, tcp", ntohs(address.sin_port));
    words_are(in_select, words, 0);
    snprintf(words, sizeof words, "flock on %s, held by pid %%d", directory);
    words_are(in_flock, words, getpid());
    CHECK(fcntl(lock, F_SETLK, &all) == 0);
    snprintf(words, sizeof words, "fcntl on %s, held by pid %%d", directory);
    words_are(in_fcntl, words, getpid());
    snprintf(words, sizeof words, "open of %s.fifo", directory);
    words_are(in_open, words, 0);
    words_are(in_busy, "", 0);
    close(lock), close(client), close(listener), close(pair[0]), close(pair[1]);
    check_remove_directory(where);
}

/* The name of the socket that the other end of a connection was made with. */
static void unix_peer(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const char *where = check_make_directory();
    int here = socket(AF_UNIX, SOCK_STREAM, 0), there = socket(AF_UNIX, SOCK_STREAM, 0), got;
    char words[300];

    snprintf(address.sun_path, sizeof address.sun_path, "%.60s/pg", where);
    CHECK(bind(here, (struct sockaddr *)&address, sizeof address) == 0 && listen(here, 1) == 0);
    CHECK(connect(there, (struct sockaddr *)&address, sizeof address) == 0);
    got = accept(here, NULL, NULL);
    client = there;
    snprintf(words, sizeof words, "recv from unix:%s", address.sun_path);
    words_are(in_recv, words, 0);
    close(here), close(there), close(got);
    check_remove_directory(where);
}

/* A process that lets nobody look: its state is told, and why there is no more. */
static void refused(void)
{
    hk_thread_reading reading;
    hk_buf on;
    int status, tries;
    pid_t pid = fork(), other;

    if (pid == 0)
        in_sleep();
    other = fork();
    if (other == 0) {
        if (setgid(65534) != 0 || setuid(65534) != 0)
            _exit(0); /* not root: it may look */
        hk_buf_init(&on, 4096);
        for (tries = 0; tries < 500; tries++) { /* it may only be on its way to sleep */
            hk_thread_read(pid, pid, 1000, &reading, &on);
            if (reading.state == 'S')
                break;
            usleep(10000);
        }
        _exit(reading.state == 'S' && on.len == 0 && reading.missing[0] != '\0' ? 0 : 1);
    }
    waitpid(other, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    hk_buf_init(&on, 4096);
    CHECK(hk_thread_read(pid, pid, 1000, &reading, &on) < 0 && on.len == 0); /* it is gone */
    hk_buf_free(&on);
}

/* The kernel here may have no Yama: its file stands in a directory of the test. */
static void scope_row(hk_slice *f, int count)
{
    static const char *const steps[] = { "", "/proc", "/proc/sys", "/proc/sys/kernel", "/proc/sys/kernel/yama" };
    char folder[] = "/tmp/hk-scope-XXXXXX", path[128];
    FILE *file;
    size_t i;

    CHECK(count == 2 && mkdtemp(folder) != NULL);
    for (i = 1; i < 5; i++) {
        snprintf(path, sizeof path, "%s%s", folder, steps[i]);
        CHECK(mkdir(path, 0755) == 0);
    }
    snprintf(path, sizeof path, "%s%s/ptrace_scope", folder, steps[4]);
    if (!hk_slice_is(f[0], "-")) {
        file = fopen(path, "w");
        CHECK(file != NULL);
        fprintf(file, "%.*s\n", (int)f[0].n, f[0].p);
        fclose(file);
    }
    CHECK(hk_slice_same(or_nothing(f[1]), hk_slice_of(hk_kernel_ptrace_scope(folder))));
    unlink(path);
    for (i = 5; i > 0; i--) {
        snprintf(path, sizeof path, "%s%s", folder, steps[i - 1]);
        CHECK(rmdir(path) == 0);
    }
}

int main(void)
{
    check_each_row("waiting.tsv", word_row);
    check_each_row("sockets.tsv", socket_row);
    check_each_row("ptrace_scopes.tsv", scope_row);
    texts();
    children();
    unix_peer();
    refused();
    printf("%d checks, %d failed\n", check_done, check_failed);
    return check_failed > 0;
}
