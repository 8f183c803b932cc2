/* kernel.h: what the kernel knows of processes and sockets. Nothing here waits. */
#ifndef HK_KERNEL_H
#define HK_KERNEL_H

#include "../core/hk.h"

#include <sys/types.h>

/* A process's memory in RAM, bytes; 0: not known. */
uint64_t hk_kernel_rss(pid_t pid);

/* The number of this process's pid namespace, in which its pid means something; 0: not known. */
uint64_t hk_kernel_pid_namespace(void);

/* Why Yama lets nobody look into a process: "kernel.yama.ptrace_scope is 2: only root may look"; empty: it does not forbid it. root: where proc
 * is, "" but in tests. */
const char *hk_kernel_ptrace_scope(const char *root);

/* How many processes of this process's cgroup the kernel killed for memory: memory.events of version 2, else
 * memory.oom_control of version 1. 1; 0 where there is neither, -1 where this user may not read it, with *kills 0. root:
 * where proc and sys are, "" but in tests. */
int hk_kernel_oom_kills(const char *root, pid_t pid, uint64_t *kills);

/* A child that is dead and not yet reaped: 1 and what waitid says, with the most memory it ever had; 0: none. pid -1:
 * any child. */
typedef struct hk_kernel_death {
    pid_t pid;
    int exited; /* status is an exit code, else a signal */
    int status;
    uint64_t peak_rss; /* bytes */
} hk_kernel_death;
int hk_kernel_find_death(pid_t pid, hk_kernel_death *out);

/* Connections that wait at a listening TCP or unix socket, and how many may. 0; -1: the kernel does not tell. */
int hk_kernel_queue(int fd, uint64_t *waiting, uint64_t *max);

/* Whether inode is a unix socket's, and the name of the one at its other end, or its own: "/run/db.sock", "@abstract",
 * empty for none. */
int hk_kernel_unix_peer(uint64_t inode, char *name, size_t size);

#endif
