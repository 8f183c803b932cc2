/* waiting_calls.h: the system calls in which a thread may stay, by the numbers of the architecture it is built for. */
#ifndef HK_WAITING_CALLS_H
#define HK_WAITING_CALLS_H

#include "waiting.h"

#include <sys/syscall.h>

static const struct {
    long number;
    const char *name;
    hk_waiting_shape shape;
} CALLS[] = {
    { SYS_read, "read", HK_WAITING_FROM },
    { SYS_readv, "read", HK_WAITING_FROM },
    { SYS_pread64, "read", HK_WAITING_FROM },
    { SYS_preadv, "read", HK_WAITING_FROM },
    { SYS_recvfrom, "recv", HK_WAITING_FROM },
    { SYS_recvmsg, "recv", HK_WAITING_FROM },
    { SYS_recvmmsg, "recv", HK_WAITING_FROM },
    { SYS_write, "write", HK_WAITING_TO },
    { SYS_writev, "write", HK_WAITING_TO },
    { SYS_pwrite64, "write", HK_WAITING_TO },
    { SYS_pwritev, "write", HK_WAITING_TO },
    { SYS_sendto, "send", HK_WAITING_TO },
    { SYS_sendmsg, "send", HK_WAITING_TO },
    { SYS_sendmmsg, "send", HK_WAITING_TO },
    { SYS_sendfile, "sendfile", HK_WAITING_TO },
    { SYS_connect, "connect", HK_WAITING_TO },
    { SYS_accept, "accept", HK_WAITING_ON },
    { SYS_accept4, "accept", HK_WAITING_ON },
    { SYS_ioctl, "ioctl", HK_WAITING_ON },
    { SYS_flock, "flock", HK_WAITING_LOCK },
    { SYS_fcntl, "fcntl", HK_WAITING_FCNTL },
    { SYS_fsync, "fsync", HK_WAITING_OF },
    { SYS_fdatasync, "fdatasync", HK_WAITING_OF },
    { SYS_ftruncate, "ftruncate", HK_WAITING_OF },
    { SYS_fallocate, "fallocate", HK_WAITING_OF },
    { SYS_close, "close", HK_WAITING_OF },
    { SYS_fstat, "fstat", HK_WAITING_OF },
    { SYS_getdents64, "getdents", HK_WAITING_OF },
    { SYS_ppoll, "poll", HK_WAITING_POLL },
    { SYS_pselect6, "select", HK_WAITING_SELECT },
    { SYS_epoll_pwait, "epoll_wait", HK_WAITING_EPOLL },
#ifdef SYS_epoll_pwait2
    { SYS_epoll_pwait2, "epoll_wait", HK_WAITING_EPOLL },
#endif
#ifdef SYS_poll
    { SYS_poll, "poll", HK_WAITING_POLL },
#endif
#ifdef SYS_select
    { SYS_select, "select", HK_WAITING_SELECT },
#endif
#ifdef SYS_epoll_wait
    { SYS_epoll_wait, "epoll_wait", HK_WAITING_EPOLL },
#endif
#ifdef SYS_open
    { SYS_open, "open", HK_WAITING_PATH0 },
    { SYS_stat, "stat", HK_WAITING_PATH0 },
    { SYS_lstat, "stat", HK_WAITING_PATH0 },
#endif
    { SYS_openat, "open", HK_WAITING_PATH1 },
    { SYS_newfstatat, "stat", HK_WAITING_PATH1 },
#ifdef SYS_statx
    { SYS_statx, "stat", HK_WAITING_PATH1 },
#endif
    { SYS_unlinkat, "unlink", HK_WAITING_PATH1 },
    { SYS_nanosleep, "nanosleep", HK_WAITING_SLEEP },
    { SYS_clock_nanosleep, "clock_nanosleep", HK_WAITING_SLEEP },
    { SYS_wait4, "wait4", HK_WAITING_CHILD },
    { SYS_waitid, "waitid", HK_WAITING_CHILD },
    { SYS_futex, "futex", HK_WAITING_FUTEX },
    { SYS_rt_sigtimedwait, "sigtimedwait", HK_WAITING_PLAIN },
    { SYS_rt_sigsuspend, "sigsuspend", HK_WAITING_PLAIN },
#ifdef SYS_pause
    { SYS_pause, "pause", HK_WAITING_PLAIN },
#endif
    { SYS_msgrcv, "msgrcv", HK_WAITING_PLAIN },
    { SYS_semop, "semop", HK_WAITING_PLAIN },
    { SYS_semtimedop, "semop", HK_WAITING_PLAIN },
    { SYS_mq_timedreceive, "mq_receive", HK_WAITING_PLAIN },
    { SYS_io_getevents, "io_getevents", HK_WAITING_PLAIN },
    { SYS_sync, "sync", HK_WAITING_PLAIN },
    { SYS_mmap, "mmap", HK_WAITING_PLAIN },
    { SYS_munmap, "munmap", HK_WAITING_PLAIN },
    { SYS_madvise, "madvise", HK_WAITING_PLAIN },
    { SYS_brk, "brk", HK_WAITING_PLAIN },
    { SYS_sched_yield, "sched_yield", HK_WAITING_PLAIN },
    { SYS_restart_syscall, "restart_syscall", HK_WAITING_SLEEP }, /* a sleep or a wait that a signal interrupted */
};

/* Functions of the kernel in which a thread stays, where the call itself may not be read: by their beginnings. */
static const struct {
    const char *start;
    const char *name;
    hk_waiting_shape shape;
} CHANNELS[] = {
    { "hrtimer_nanosleep", "clock_nanosleep", HK_WAITING_SLEEP },
    { "do_nanosleep", "nanosleep", HK_WAITING_SLEEP },
    { "futex_", "futex", HK_WAITING_FUTEX },
    { "__futex", "futex", HK_WAITING_FUTEX },
    { "do_poll", "poll", HK_WAITING_ON },
    { "do_sys_poll", "poll", HK_WAITING_ON },
    { "poll_schedule", "poll", HK_WAITING_ON },
    { "do_select", "select", HK_WAITING_ON },
    { "ep_poll", "epoll_wait", HK_WAITING_ON },
    { "do_epoll", "epoll_wait", HK_WAITING_ON },
    { "sk_wait_data", "recv", HK_WAITING_FROM },
    { "wait_woken", "recv", HK_WAITING_FROM },
    { "tcp_recvmsg", "recv", HK_WAITING_FROM },
    { "unix_stream", "recv", HK_WAITING_FROM },
    { "__skb_wait", "recv", HK_WAITING_FROM },
    { "sk_stream_wait", "send", HK_WAITING_TO },
    { "inet_stream_connect", "connect", HK_WAITING_TO },
    { "inet_wait_for_connect", "connect", HK_WAITING_TO },
    { "inet_csk_accept", "accept", HK_WAITING_ON },
    { "pipe_read", "read", HK_WAITING_FROM },
    { "anon_pipe_read", "read", HK_WAITING_FROM },
    { "pipe_wait_readable", "read", HK_WAITING_FROM },
    { "pipe_write", "write", HK_WAITING_TO },
    { "anon_pipe_write", "write", HK_WAITING_TO },
    { "flock_lock", "flock", HK_WAITING_LOCK },
    { "locks_lock", "flock", HK_WAITING_LOCK },
    { "fcntl_setlk", "fcntl", HK_WAITING_LOCK },
    { "do_lock_file_wait", "fcntl", HK_WAITING_LOCK },
    { "do_wait", "wait4", HK_WAITING_CHILD },
    { "kernel_wait", "wait4", HK_WAITING_CHILD },
};

#endif
