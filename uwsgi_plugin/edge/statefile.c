#include "statefile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

hk_status hk_statefile_replace(int dir_fd, const char *name, const char *temporary, hk_slice text, uid_t uid, gid_t gid)
{
    int fd;

    unlinkat(dir_fd, temporary, 0);
    fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return HK_ERR_SYSTEM;
    while (text.n > 0) {
        ssize_t done = write(fd, text.p, text.n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            break;
        text = hk_slice_from(text, (size_t)done);
    }
    if (uid != (uid_t)-1 && geteuid() == 0 && fchown(fd, uid, gid) != 0)
        text.n++; /* whoever is to read it cannot */
    close(fd);
    if (text.n == 0 && renameat(dir_fd, temporary, dir_fd, name) == 0)
        return HK_OK;
    unlinkat(dir_fd, temporary, 0);
    return HK_ERR_SYSTEM;
}
