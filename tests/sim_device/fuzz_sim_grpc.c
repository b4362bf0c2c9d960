/*
 * fuzz_sim_grpc.c - whatever octets a client sends over TCP: fuota-sim's gRPC server hands on whole
 * messages only, and outlives the connection.
 *
 * The input: an octet for the size of the pieces, then what the client sends before it closes.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/fuzz_connect.h"
#include "sim/grpc_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Echoes, or fails with the request as the text. */
static void on_call(void *arg, struct grpc_call *call)
{
    (void)arg;
    assert(call->path != NULL && call->request_size <= GRPC_MESSAGE_MAX);
    if (call->request_size % 2 == 1) {
        size_t size = call->request_size < GRPC_TEXT_SIZE ? call->request_size : GRPC_TEXT_SIZE - 1;
        call->status = GRPC_INTERNAL;
        memcpy(call->text, call->request, size);
        return;
    }
    call->reply = malloc(call->request_size + 1);
    assert(call->reply != NULL);
    memcpy(call->reply, call->request, call->request_size);
    call->reply_size = call->request_size;
}

/* Everything is in this process: a few turns without anything new are the end. */
static void talk(uv_loop_t *loop, int fd, const uint8_t *data, size_t size, size_t piece)
{
    unsigned idle = 0;

    while (idle < 3) {
        char answer[4096];
        ssize_t sent =
            size > 0 ? send(fd, data, size < piece ? size : piece, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
        if (sent > 0) {
            data += sent;
            size -= (size_t)sent;
        }
        uv_run(loop, UV_RUN_NOWAIT);
        ssize_t got = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
        idle = sent > 0 || got > 0 ? 0 : idle + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct grpc_server *server = NULL;
    uv_loop_t loop;
    int port = 0;

    if (size == 0) {
        return 0;
    }
    if (uv_loop_init(&loop) != 0 ||
        grpc_server_new(&loop, 0, on_call, NULL, &port, &server) != ERR_OK) {
        abort();
    }
    int fd = fuzz_connect((uint16_t)port);
    talk(&loop, fd, data + 1, size - 1, data[0] > 0 ? data[0] : size);
    if (data[0] % 2 == 0) { /* the client closes first, or the server */
        close(fd);
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    grpc_server_close(server);
    uv_run(&loop, UV_RUN_DEFAULT);
    if (data[0] % 2 == 1) {
        close(fd);
    }
    if (uv_loop_close(&loop) != 0) {
        abort();
    }
    return 0;
}
