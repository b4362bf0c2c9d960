#include "http/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void pump(uv_loop_t *loop)
{
    uv_run(loop, UV_RUN_NOWAIT);
    usleep(500);
}

static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

void client_open(struct client *client, uv_loop_t *loop, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *client = (struct client){.loop = loop};
    client->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(client->fd >= 0);
    assert_int_equal(connect(client->fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

void client_close(struct client *client)
{
    close(client->fd);
    client->fd = -1;
}

size_t client_send_octets(struct client *client, const void *data, size_t size)
{
    const uint64_t end = now_ms() + 1000;
    size_t sent = 0;

    while (sent < size && now_ms() < end) {
        const ssize_t n =
            send(client->fd, (const char *)data + sent, size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
            break;
        if (n > 0)
            sent += (size_t)n;
        pump(client->loop);
    }
    return sent;
}

void client_send(struct client *client, const char *text)
{
    assert_int_equal(client_send_octets(client, text, strlen(text)), strlen(text));
}

static void receive(struct client *client)
{
    ssize_t n;

    pump(client->loop);
    n = recv(client->fd, client->data + client->size, sizeof(client->data) - 1 - client->size,
             MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK))
        client->is_closed = true;
    if (n > 0)
        client->size += (size_t)n;
    client->data[client->size] = '\0';
}

bool client_sees(struct client *client, const char *text)
{
    const uint64_t end = now_ms() + 2000;

    for (;;) {
        if (strstr(client->data, text))
            return true;
        if (client->is_closed || now_ms() >= end)
            return false;
        receive(client);
    }
}

bool client_sees_close(struct client *client, unsigned wait_ms)
{
    const uint64_t end = now_ms() + wait_ms;

    while (!client->is_closed && now_ms() < end)
        receive(client);
    return client->is_closed;
}

void client_forget(struct client *client)
{
    client->size = 0;
    client->data[0] = '\0';
}

unsigned client_ask(struct client *client, const char *text)
{
    const char *length;
    const char *body;
    unsigned status = 0;

    client_forget(client);
    client_send(client, text);
    if (!client_sees(client, "\r\n\r\n"))
        return 0;
    assert_int_equal(sscanf(client->data, "HTTP/1.1 %u", &status), 1);
    length = strstr(client->data, "Content-Length: ");
    body = strstr(client->data, "\r\n\r\n") + 4;
    if (length && strncmp(text, "HEAD", 4) != 0) {
        const size_t size = strtoul(length + 16, NULL, 10);
        const uint64_t end = now_ms() + 2000;

        while (client->data + client->size < body + size && now_ms() < end)
            receive(client);
        assert_true(client->data + client->size == body + size);
    }
    return status;
}

unsigned ask(struct client *client, uv_loop_t *loop, uint16_t port, const char *text)
{
    unsigned status;

    client_open(client, loop, port);
    status = client_ask(client, text);
    client_close(client);
    return status;
}

void run_for(uv_loop_t *loop, unsigned ms)
{
    const uint64_t end = now_ms() + ms;

    while (now_ms() < end)
        pump(loop);
}
