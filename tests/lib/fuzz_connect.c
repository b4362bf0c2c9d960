#include "lib/fuzz_connect.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

int fuzz_connect(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    const struct linger linger = {.l_onoff = 1}; /* leaves nothing in TIME_WAIT */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) != 0) {
        abort();
    }
    return fd;
}
