#include "thread.h"

#include "../core/waiting.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define MAX_POLLED 64U     /* of which the first is named */
#define MAX_SELECTED 1024U /* as FD_SETSIZE */
#define MAX_LOCKS 65536U   /* bytes of /proc/locks */
#define F_SETLKW_OF_OPEN_FILE 38

typedef struct reader {
    pid_t pid, tid;
    uint64_t until_ms;
    const hk_waiting_call *call;
    hk_waiting_facts facts;
    char target[4096];
    hk_buf peer;
} reader;

/* CPU time: on a busy machine a look costs no more than elsewhere, and sees as much. */
static uint64_t used_ms(void)
{
    struct timespec now;

    return clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0 ? 0 : (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* /proc/PID/task/TID/name, or -1. */
static ssize_t read_file(pid_t pid, pid_t tid, const char *name, char *text, size_t size)
{
    char path[80];
    ssize_t n;
    int fd, saved;

    if (tid > 0)
        snprintf(path, sizeof path, "/proc/%d/task/%d/%s", (int)pid, (int)tid, name);
    else
        snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    n = read(fd, text, size);
    saved = errno;
    close(fd);
    errno = saved;
    return n;
}

/* Bytes of the process's own memory; how many: those up to the end of a page are read also where the next is none. */
static size_t read_memory(const reader *r, uint64_t address, void *out, size_t size)
{
    size_t page = 4096 - (size_t)(address % 4096), first = size < page ? size : page;
    struct iovec here = { out, size };
    struct iovec there[2] = { { (void *)(uintptr_t)address, first }, { (void *)(uintptr_t)(address + first), size - first } };
    ssize_t n = process_vm_readv(r->pid, &here, 1, there, size > first ? 2 : 1, 0);

    return n < 0 ? 0 : (size_t)n;
}

/* The other end of a TCP or UDP socket: a list as long as the machine has sockets. */
static int find_in_list(reader *r, uint64_t inode, const char *name, const char *protocol)
{
    char path[64], text[16384];
    size_t have = 0;
    ssize_t n;
    int fd, found = 0;

    snprintf(path, sizeof path, "net/%s", name);
    snprintf(text, sizeof text, "/proc/%d/%s", (int)r->pid, path);
    fd = open(text, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    while (!found && used_ms() < r->until_ms && (n = read(fd, text + have, sizeof text - have)) > 0) {
        hk_slice rest = hk_slice_make(text, have + (size_t)n);
        while (!found && rest.n > 0 && memchr(rest.p, '\n', rest.n) != NULL)
            found = hk_waiting_read_peer(hk_slice_line(&rest), inode, protocol, &r->peer);
        have = rest.n < sizeof text / 2 ? rest.n : 0;
        memmove(text, rest.p, have);
    }
    close(fd);
    return found;
}

static void find_peer(reader *r)
{
    static const char *const lists[][2] = { { "tcp", "tcp" }, { "tcp6", "tcp" }, { "udp", "udp" }, { "udp6", "udp" } };
    uint64_t inode = strtoull(r->target + 8, NULL, 10); /* "socket:[123]" */
    char name[128];
    size_t i;

    if (hk_kernel_unix_peer(inode, name, sizeof name)) {
        hk_buf_puts(&r->peer, *name == '\0' ? "a unix socket" : "unix:");
        hk_buf_puts(&r->peer, name);
    } else {
        for (i = 0; i < sizeof lists / sizeof lists[0] && !find_in_list(r, inode, lists[i][0], lists[i][1]); i++)
            ;
    }
    r->facts.peer = hk_buf_slice(&r->peer);
}

static void find_target(reader *r, uint64_t descriptor)
{
    char path[64];
    ssize_t n;

    if (descriptor > 0x7fffffff)
        return;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)r->pid, (int)descriptor);
    n = readlink(path, r->target, sizeof r->target - 1);
    if (n <= 0)
        return;
    r->target[n] = '\0';
    r->facts.target = hk_slice_make(r->target, (size_t)n);
    if (hk_slice_starts(r->facts.target, "socket:["))
        find_peer(r);
}

static void find_polled(reader *r)
{
    struct pollfd polled[MAX_POLLED];
    size_t n, i;

    r->facts.number = r->call->arguments[1];
    n = r->facts.number < MAX_POLLED ? (size_t)r->facts.number : MAX_POLLED;
    n = n == 0 ? 0 : read_memory(r, r->call->arguments[0], polled, n * sizeof polled[0]) / sizeof polled[0];
    for (i = 0; i < n && polled[i].fd < 0; i++)
        ;
    if (i < n)
        find_target(r, (uint64_t)polled[i].fd);
}

static void find_selected(reader *r)
{
    size_t most = r->call->arguments[0] < MAX_SELECTED ? (size_t)r->call->arguments[0] : MAX_SELECTED, i, set;
    unsigned char any[MAX_SELECTED / 8] = { 0 }, one[MAX_SELECTED / 8];
    uint64_t first = (uint64_t)-1;

    for (set = 1; set <= 3; set++) {
        if (r->call->arguments[set] == 0 || read_memory(r, r->call->arguments[set], one, (most + 7) / 8) < (most + 7) / 8)
            continue;
        for (i = 0; i < (most + 7) / 8; i++)
            any[i] = (unsigned char)(any[i] | one[i]);
    }
    for (i = 0; i < most; i++)
        if ((any[i / 8] >> i % 8 & 1) != 0) {
            first = first == (uint64_t)-1 ? i : first;
            r->facts.number++;
        }
    find_target(r, first);
}

/* "tfd:        5 events: …", a line for each descriptor. */
static void find_registered(reader *r)
{
    char name[64], text[8192];
    hk_slice rest, line;
    ssize_t n;
    int last = -1;

    snprintf(name, sizeof name, "fdinfo/%d", (int)r->call->arguments[0]);
    n = read_file(r->pid, 0, name, text, sizeof text - 1);
    if (n <= 0)
        return;
    text[n] = '\0';
    for (rest = hk_slice_make(text, (size_t)n); rest.n > 0;) {
        line = hk_slice_line(&rest);
        if (!hk_slice_starts(line, "tfd:"))
            continue;
        if (r->facts.number++ == 0)
            last = (int)strtol(line.p + 4, NULL, 10);
    }
    if (r->facts.number == 1 && last >= 0)
        find_target(r, (uint64_t)last);
}

static void find_path(reader *r, uint64_t address)
{
    size_t n = read_memory(r, address, r->target, 256);
    const char *end = n == 0 ? NULL : memchr(r->target, '\0', n);

    r->facts.target = hk_slice_make(r->target, end == NULL ? n : (size_t)(end - r->target));
}

static void find_holder(reader *r)
{
    char *text = hk_buf_alloc(MAX_LOCKS);
    size_t have = 0;
    ssize_t n;
    int fd = text == NULL ? -1 : open("/proc/locks", O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        while (have < MAX_LOCKS && (n = read(fd, text + have, MAX_LOCKS - have)) > 0)
            have += (size_t)n;
        close(fd);
        r->facts.number = hk_waiting_lock_holder(hk_slice_make(text, have), (uint64_t)r->pid);
    }
    hk_buf_release(text);
}

static void find_facts(reader *r)
{
    const uint64_t *a = r->call->arguments;
    int32_t child = (int32_t)a[0];

    switch (r->call->shape) {
    case HK_WAITING_FROM:
    case HK_WAITING_TO:
    case HK_WAITING_ON:
    case HK_WAITING_OF: find_target(r, a[0]); break;
    case HK_WAITING_LOCK:
    case HK_WAITING_FCNTL:
        find_target(r, a[0]);
        if (r->call->shape == HK_WAITING_LOCK || a[1] == F_SETLKW || a[1] == F_SETLKW_OF_OPEN_FILE)
            find_holder(r);
        break;
    case HK_WAITING_POLL: find_polled(r); break;
    case HK_WAITING_SELECT: find_selected(r); break;
    case HK_WAITING_EPOLL: find_registered(r); break;
    case HK_WAITING_PATH0: find_path(r, a[0]); break;
    case HK_WAITING_PATH1: find_path(r, a[1]); break;
    case HK_WAITING_CHILD:
        if (strcmp(r->call->name, "waitid") == 0)
            r->facts.number = a[0] == 1 ? a[1] : 0; /* P_PID */
        else
            r->facts.number = child > 0 ? (uint64_t)child : 0;
        break;
    default: break;
    }
}

/* The call that it is in; with the errno of a refusal. */
static int read_call(pid_t pid, pid_t tid, hk_waiting_call *call)
{
    char text[256];
    ssize_t n = read_file(pid, tid, "syscall", text, sizeof text);
    int refused = n < 0 ? errno : 0;

    hk_waiting_read(hk_slice_make(text, n > 0 ? (size_t)n : 0), call);
    return refused;
}

int hk_thread_look(pid_t pid, pid_t tid, hk_thread_reading *out)
{
    char text[512];
    ssize_t n = read_file(pid, tid, "stat", text, sizeof text);

    memset(out, 0, sizeof *out);
    return n <= 0 ? -1 : hk_waiting_read_stat(hk_slice_make(text, (size_t)n), &out->state, &out->ticks);
}

int hk_thread_read(pid_t pid, pid_t tid, unsigned budget_ms, hk_thread_reading *out, hk_buf *on)
{
    hk_waiting_call call, again;
    size_t before = on->len;
    char text[128];
    int refused;
    reader r;
    const char *scope;
    ssize_t n;

    if (hk_thread_look(pid, tid, out) < 0)
        return -1;
    memset(&r, 0, sizeof r);
    r.pid = pid;
    r.tid = tid;
    r.until_ms = used_ms() + budget_ms;
    refused = read_call(pid, tid, &call);
    if (refused != 0) {
        n = read_file(pid, tid, "wchan", text, sizeof text);
        hk_waiting_read_channel(hk_slice_make(text, n > 0 ? (size_t)n : 0), &call);
        scope = hk_kernel_ptrace_scope("");
        if (out->state != 'R')
            snprintf(out->missing, sizeof out->missing, "user %d may not read /proc/%d/syscall%s%s%s", (int)geteuid(), (int)pid,
                     call.known ? ": only the function of the kernel is known" : "", *scope ? "; " : "", scope);
    }
    if (!call.known)
        return 0;
    hk_buf_init(&r.peer, 512);
    r.call = &call;
    if (refused == 0)
        find_facts(&r);
    hk_waiting_put(&call, &r.facts, on);
    hk_buf_free(&r.peer);
    if (refused == 0) {
        (void)read_call(pid, tid, &again);
        if (!again.known || again.number != call.number
            || memcmp(again.arguments, call.arguments, sizeof call.arguments) != 0)
            on->len = before; /* it went on meanwhile */
    }
    return 0;
}
