#include "spares.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COUNT 32U /* processes that may begin and end while the disk is full: 128 KiB of a disk, as a rule */
#define NAME_BYTES 16
#define SIZE_MAX_BYTES 512U

static int make(int dir_fd, const char *name, size_t size, uid_t owner, gid_t group, struct stat *st)
{
    int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600), saved;
    char fill[SIZE_MAX_BYTES];

    if (fd < 0)
        return -1;
    memset(fill, '-', sizeof fill); /* not zero: a disk may keep no room for zeros */
    errno = EFBIG; /* of a short write, which is a limit of files' sizes: a full disk takes all of it or nothing */
    if (size <= sizeof fill && write(fd, fill, size) == (ssize_t)size && fstat(fd, st) == 0
        && (st->st_uid == owner || fchown(fd, owner, group) == 0))
        return fd;
    saved = errno;
    close(fd);
    unlinkat(dir_fd, name, 0);
    errno = saved;
    return -1;
}

/* What lies there may be a trap, as everywhere where others write: a file of root's that was linked there. */
static int take(int dir_fd, const char *name, size_t size, uid_t owner, struct stat *st)
{
    char spare[NAME_BYTES];
    unsigned i;
    int fd;

    for (i = 0; i < COUNT; i++) {
        snprintf(spare, sizeof spare, "spare-%u", i);
        if (renameat(dir_fd, spare, dir_fd, name) < 0)
            continue; /* another process has it */
        fd = openat(dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd >= 0 && fstat(fd, st) == 0 && S_ISREG(st->st_mode) && st->st_uid == owner && st->st_nlink == 1
            && st->st_size >= (off_t)size)
            return fd;
        if (fd >= 0)
            close(fd);
        unlinkat(dir_fd, name, 0); /* or who made it was killed before it had room */
    }
    errno = ENOSPC;
    return -1;
}

int hk_spares_begin(int dir_fd, const char *name, size_t size, uid_t owner, gid_t group, struct stat *st)
{
    int fd = make(dir_fd, name, size, owner, group, st);

    return fd >= 0 || (errno != ENOSPC && errno != EDQUOT) ? fd : take(dir_fd, name, size, owner, st);
}

/* A bit for each that is there. */
static int list(int dir_fd, uint32_t *there)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    unsigned i;

    *there = 0;
    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    while ((entry = readdir(dir)) != NULL)
        if (sscanf(entry->d_name, "spare-%2u", &i) == 1 && i < COUNT)
            *there |= UINT32_C(1) << i;
    closedir(dir);
    return 0;
}

void hk_spares_keep(int dir_fd, size_t size, uid_t owner, gid_t group)
{
    char spare[NAME_BYTES];
    struct stat st;
    uint32_t there;
    unsigned i;
    int fd;

    if (list(dir_fd, &there) < 0)
        return;
    for (i = 0; i < COUNT; i++) {
        if ((there >> i & 1) != 0)
            continue;
        snprintf(spare, sizeof spare, "spare-%u", i);
        fd = make(dir_fd, spare, size, owner, group, &st);
        if (fd < 0)
            return;
        close(fd);
    }
}
