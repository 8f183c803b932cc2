#include "datagram.h"

#include "../core/policy.h"

#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

int hk_datagram_send(const hk_addresses *to, unsigned port, hk_slice body)
{
    int status = HK_POLICY_NO_REPLY;
    unsigned i;

    for (i = 0; i < to->count && status == HK_POLICY_NO_REPLY; i++) {
        struct sockaddr_storage a = to->list[i];
        int fd = socket(a.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
            continue;
        if (a.ss_family == AF_INET6)
            ((struct sockaddr_in6 *)(void *)&a)->sin6_port = htons((uint16_t)port);
        else
            ((struct sockaddr_in *)(void *)&a)->sin_port = htons((uint16_t)port);
        if (sendto(fd, body.p, body.n, 0, (struct sockaddr *)(void *)&a, to->sizes[i]) == (ssize_t)body.n)
            status = HK_POLICY_SENT;
        else if (errno == EMSGSIZE)
            status = HK_POLICY_TOO_LARGE;
        close(fd);
    }
    return status;
}
