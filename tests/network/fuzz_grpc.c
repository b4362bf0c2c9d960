/*
 * fuzz_grpc.c - whatever octets a server sends over TCP: each call of the client reports once, and
 * no answer is larger than was allowed.
 *
 * The peer lives on loopback in the same loop. The input: an octet for the number of calls and the
 * size of the pieces, then what the peer sends before it closes.
 */
#include <assert.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <uv.h>

#include "network/chirpstack/grpc.h"

#define CALLS_MAX        5
#define MESSAGE_SIZE_MAX 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct test {
    uv_loop_t loop;
    uv_poll_t listener;
    uv_idle_t writer; /* a piece in each turn of the loop */
    int fd;           /* the peer's end; -1: none */
    const uint8_t *data;
    size_t size, piece;
    struct grpc *grpc;
    unsigned call_count, done_count;
    bool is_lost, is_closed;
};

static int listening_fd(uint16_t *ret_port)
{
    static int fd = -1;
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0) {
        fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 8) != 0) {
            abort();
        }
    }
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        abort();
    }
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static void on_done(void *arg, enum grpc_result result, int status, const char *text,
                    const uint8_t *message, size_t message_size)
{
    struct test *test = arg;
    unsigned sum = 0;

    test->done_count++;
    assert(text != NULL);
    if (result != GRPC_ANSWERED || status != GRPC_OK) {
        assert(message == NULL && message_size == 0);
        return;
    }
    assert(message != NULL && message_size <= MESSAGE_SIZE_MAX);
    for (size_t i = 0; i < message_size; i++) {
        sum += message[i]; /* can be read */
    }
    if (sum % 2 == 1 && test->call_count < CALLS_MAX) { /* the next page */
        test->call_count++;
        grpc_call(test->grpc, "/api.DeviceService/List", message, message_size, on_done, test);
    }
}

static void on_state(void *arg, const char *text)
{
    struct test *test = arg;

    test->is_lost = test->is_lost || text != NULL;
}

static void on_closed(void *arg)
{
    struct test *test = arg;

    test->is_closed = true;
}

static void on_write(uv_idle_t *idle)
{
    struct test *test = idle->data;
    size_t size = test->size < test->piece ? test->size : test->piece;

    if (size > 0) {
        ssize_t sent = send(test->fd, test->data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        size = sent < 0 ? test->size : (size_t)sent; /* the client closed first */
    }
    test->data += size;
    test->size -= size;
    if (test->size == 0) {
        shutdown(test->fd, SHUT_WR);
        uv_idle_stop(idle);
    }
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct test *test = poll->data;

    (void)status, (void)events;
    test->fd = accept4(listening_fd(&(uint16_t){0}), NULL, NULL, SOCK_CLOEXEC);
    if (test->fd >= 0) {
        uv_poll_stop(poll);
        uv_idle_start(&test->writer, on_write);
    }
}

static void run(struct test *test, uint8_t head)
{
    struct grpc_options options = {
        .transport = {.host = "127.0.0.1"},
        .token = "token",
        .deadline_ms = 60000,
        .in_flight_max = 3,
        .queue_max = 4,
        .message_size_max = MESSAGE_SIZE_MAX,
    };

    uv_poll_init(&test->loop, &test->listener, listening_fd(&options.transport.port));
    uv_idle_init(&test->loop, &test->writer);
    test->listener.data = test->writer.data = test;
    uv_poll_start(&test->listener, UV_READABLE, on_connection);
    test->grpc = grpc_new(&test->loop, &options, on_state, test);
    test->call_count = 1 + head % 4u;
    for (unsigned i = 0; i < test->call_count; i++) {
        grpc_call(test->grpc, "/api.DeviceService/Get", &head, 1, on_done, test);
    }
    while (!test->is_lost) {
        uv_run(&test->loop, UV_RUN_ONCE);
    }
    grpc_close(test->grpc, on_closed, test);
    uv_close((uv_handle_t *)&test->listener, NULL);
    uv_close((uv_handle_t *)&test->writer, NULL);
    uv_run(&test->loop, UV_RUN_DEFAULT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct test test = {.fd = -1};

    if (size == 0) {
        return 0;
    }
    test.data = data + 1;
    test.size = size - 1;
    test.piece = (data[0] & 4) != 0 ? 1u + (data[0] >> 3) : size; /* in pieces, or at once */
    if (uv_loop_init(&test.loop) != 0) {
        abort();
    }
    run(&test, data[0]);
    assert(test.is_closed && test.done_count == test.call_count);
    if (test.fd >= 0) {
        close(test.fd);
    }
    if (uv_loop_close(&test.loop) != 0) {
        abort();
    }
    return 0;
}
