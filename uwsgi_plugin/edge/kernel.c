#include "kernel.h"

#include "../core/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static hk_slice read_small(const char *path, char *buffer, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t at = 0;
    ssize_t n = 0;

    if (fd < 0)
        return hk_slice_make("", 0);
    errno = 0;
    while (at < size && (n = read(fd, buffer + at, size - at)) > 0)
        at += (size_t)n;
    close(fd);
    return hk_slice_make(buffer, at);
}

uint64_t hk_kernel_rss(pid_t pid)
{
    char path[64], text[256];
    uint64_t pages = 0;
    hk_slice s;
    size_t i = 0;

    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    s = read_small(path, text, sizeof text);
    while (i < s.n && s.p[i] != ' ')
        i++;
    for (i++; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
        pages = pages * 10 + (uint64_t)(s.p[i] - '0');
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

const char *hk_kernel_ptrace_scope(const char *root)
{
    static const char *const words[] = { "kernel.yama.ptrace_scope is 1: only a parent may look", "kernel.yama.ptrace_scope is 2: only root may look",
                                         "kernel.yama.ptrace_scope is 3: nobody may look" };
    char path[4200], text[16];
    hk_slice s;

    snprintf(path, sizeof path, "%s/proc/sys/kernel/yama/ptrace_scope", root);
    s = read_small(path, text, sizeof text);
    return s.n > 0 && s.p[0] >= '1' && s.p[0] <= '3' ? words[s.p[0] - '1'] : "";
}

uint64_t hk_kernel_pid_namespace(void)
{
    struct stat st;

    return stat("/proc/self/ns/pid", &st) == 0 ? (uint64_t)st.st_ino : 0;
}

/* The path after "…:controllers:" in a line of /proc/PID/cgroup; empty: not this line. */
static hk_slice group_of(hk_slice line, int version)
{
    const char *first = memchr(line.p, ':', line.n);
    const char *second = first == NULL ? NULL : memchr(first + 1, ':', line.n - (size_t)(first + 1 - line.p));
    hk_slice controllers;

    if (second == NULL)
        return hk_slice_make("", 0);
    controllers = hk_slice_make(first + 1, (size_t)(second - first - 1));
    if (version == 2 ? controllers.n > 0 : !hk_slice_is(controllers, "memory"))
        return hk_slice_make("", 0);
    return hk_slice_from(line, (size_t)(second + 1 - line.p));
}

/* 1: read; 0: no such file; -1: it is there, and not for this user. */
static int count_in(const char *root, const char *mount, hk_slice group, const char *file, uint64_t *kills)
{
    char path[4200], text[4096];
    hk_slice s;

    if (group.n == 0 || group.n > 3500)
        return 0;
    /* Inside a container its own cgroup is mounted at the top, whatever /proc says. */
    snprintf(path, sizeof path, "%s%s%.*s/%s", root, mount, (int)group.n, group.p, file);
    s = read_small(path, text, sizeof text);
    if (s.n == 0 && errno == EACCES)
        return -1; /* the count at the top is everybody's */
    if (s.n == 0) {
        snprintf(path, sizeof path, "%s%s/%s", root, mount, file);
        s = read_small(path, text, sizeof text);
    }
    *kills = hk_watch_find_count(s, "oom_kill");
    return s.n > 0;
}

int hk_kernel_oom_kills(const char *root, pid_t pid, uint64_t *kills)
{
    char path[4200], text[8192];
    hk_slice all, rest;
    int version, found;

    *kills = 0;
    snprintf(path, sizeof path, "%s/proc/%d/cgroup", root, (int)pid);
    all = read_small(path, text, sizeof text);
    for (version = 2; version > 0; version--)
        for (rest = all; rest.n > 0;) {
            const char *end = memchr(rest.p, '\n', rest.n);
            size_t n = end == NULL ? rest.n : (size_t)(end - rest.p);
            hk_slice group = group_of(hk_slice_make(rest.p, n), version);
            rest = hk_slice_from(rest, n + 1);
            found = version == 2 ? count_in(root, "/sys/fs/cgroup", group, "memory.events", kills)
                                 : count_in(root, "/sys/fs/cgroup/memory", group, "memory.oom_control", kills);
            if (found != 0)
                return found;
        }
    return 0;
}

int hk_kernel_find_death(pid_t pid, hk_kernel_death *out)
{
    struct rusage usage;
    siginfo_t info;

    memset(&info, 0, sizeof info);
    memset(&usage, 0, sizeof usage);
    memset(out, 0, sizeof *out);
    /* The system call itself: the C library's waitid cannot ask for the usage. */
    if (syscall(SYS_waitid, pid < 0 ? P_ALL : P_PID, pid < 0 ? 0 : pid, &info, WEXITED | WNOHANG | WNOWAIT, &usage) != 0
        || info.si_pid == 0)
        return 0;
    out->pid = info.si_pid;
    out->exited = info.si_code == CLD_EXITED;
    out->status = info.si_status;
    out->peak_rss = (uint64_t)usage.ru_maxrss * 1024U;
    return 1;
}

typedef struct unix_request {
    struct nlmsghdr head;
    struct unix_diag_req ask;
} unix_request;

/* One attribute of the answer that n bytes of reply hold; empty: it is not there. */
static hk_slice attribute_of(const char *reply, size_t n, unsigned type)
{
    struct nlmsghdr head;
    struct rtattr attribute;
    size_t at = NLMSG_ALIGN(sizeof head) + NLMSG_ALIGN(sizeof(struct unix_diag_msg)), size;

    if (n < sizeof head)
        return hk_slice_make("", 0);
    memcpy(&head, reply, sizeof head);
    if (head.nlmsg_type != SOCK_DIAG_BY_FAMILY || head.nlmsg_len > n)
        return hk_slice_make("", 0);
    while (at < head.nlmsg_len && head.nlmsg_len - at >= sizeof attribute) {
        memcpy(&attribute, reply + at, sizeof attribute);
        size = attribute.rta_len;
        if (size < sizeof attribute || size > head.nlmsg_len - at)
            break;
        if (attribute.rta_type == type)
            return hk_slice_make(reply + at + RTA_LENGTH(0), size - RTA_LENGTH(0));
        at += RTA_ALIGN(size);
    }
    return hk_slice_make("", 0);
}

/* What the kernel says of the unix socket with this inode: bytes of reply; 0: there is none. */
static size_t ask_of_unix(uint64_t inode, uint32_t show, char *reply, size_t size)
{
    struct sockaddr_nl kernel;
    unix_request request;
    struct nlmsghdr head;
    ssize_t n = -1;
    int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

    if (s < 0)
        return 0;
    memset(&kernel, 0, sizeof kernel);
    kernel.nl_family = AF_NETLINK;
    memset(&request, 0, sizeof request);
    request.head.nlmsg_len = sizeof request;
    request.head.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    request.head.nlmsg_flags = NLM_F_REQUEST;
    request.ask.sdiag_family = AF_UNIX;
    request.ask.udiag_states = (uint32_t)-1;
    request.ask.udiag_ino = (uint32_t)inode;
    request.ask.udiag_show = show;
    request.ask.udiag_cookie[0] = request.ask.udiag_cookie[1] = (uint32_t)-1; /* any */
    /* The kernel answers while it is asked: the reply is there, or there is none. */
    if (sendto(s, &request, sizeof request, 0, (const struct sockaddr *)&kernel, sizeof kernel) == (ssize_t)sizeof request)
        n = recv(s, reply, size, MSG_DONTWAIT);
    close(s);
    if (n < (ssize_t)sizeof head)
        return 0;
    memcpy(&head, reply, sizeof head);
    return head.nlmsg_type == SOCK_DIAG_BY_FAMILY ? (size_t)n : 0;
}

static int unix_queue(int fd, uint64_t *waiting, uint64_t *max)
{
    struct unix_diag_rqlen queue;
    char reply[4096];
    hk_slice found;
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode))
        return -1;
    found = attribute_of(reply, ask_of_unix((uint64_t)st.st_ino, UDIAG_SHOW_RQLEN, reply, sizeof reply), UNIX_DIAG_RQLEN);
    if (found.n < sizeof queue)
        return -1;
    memcpy(&queue, found.p, sizeof queue);
    *waiting = queue.udiag_rqueue;
    *max = queue.udiag_wqueue;
    return 0;
}

int hk_kernel_unix_peer(uint64_t inode, char *name, size_t size)
{
    char reply[4096];
    size_t n = ask_of_unix(inode, UDIAG_SHOW_PEER | UDIAG_SHOW_NAME, reply, sizeof reply);
    hk_slice found = attribute_of(reply, n, UNIX_DIAG_PEER);
    uint32_t peer;

    name[0] = '\0';
    if (n == 0)
        return 0;
    if (found.n >= sizeof peer) {
        memcpy(&peer, found.p, sizeof peer);
        n = ask_of_unix(peer, UDIAG_SHOW_NAME, reply, sizeof reply);
    }
    found = attribute_of(reply, n, UNIX_DIAG_NAME);
    if (found.n > 0 && found.p[0] == '\0') { /* no file: an abstract name */
        found = hk_slice_from(found, 1);
        if (size > 1)
            *name++ = '@', size--;
    }
    if (found.n >= size)
        found.n = size - 1;
    memcpy(name, found.p, found.n);
    name[found.n] = '\0';
    return 1;
}

static int tcp_queue(int fd, uint64_t *waiting, uint64_t *max)
{
    struct tcp_info info;
    socklen_t n = sizeof info;

    memset(&info, 0, sizeof info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) != 0 || info.tcpi_state != TCP_LISTEN)
        return -1;
    *waiting = info.tcpi_unacked; /* of a listening socket these two mean the queue */
    *max = info.tcpi_sacked;
    return 0;
}

int hk_kernel_queue(int fd, uint64_t *waiting, uint64_t *max)
{
    int family = 0;
    socklen_t n = sizeof family;

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &n) != 0)
        return -1;
    if (family == AF_UNIX)
        return unix_queue(fd, waiting, max);
    return family == AF_INET || family == AF_INET6 ? tcp_queue(fd, waiting, max) : -1;
}
