#include "lib/fuzz_connect.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Ports run short now and then where a million connections are made: that is no finding. */
#define TRIES_MAX 100
#define PAUSE_US  10000

int fuzz_connect(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    const struct linger linger = {.l_onoff = 1}; /* leaves nothing in TIME_WAIT */

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (unsigned i = 0; i < TRIES_MAX; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0) {
            return fd;
        }
        perror("fuzz_connect");
        close(fd);
        (void)usleep(PAUSE_US);
    }
    abort();
}
