/*
 * grpc_server.h - unary gRPC over cleartext HTTP/2, on the loopback address only. Wraps nghttp2 on
 * uv_tcp.
 */
#ifndef SIM_GRPC_SERVER_H
#define SIM_GRPC_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "base/err.h"

#define GRPC_MESSAGE_MAX (4u << 20) /* octets of a request, as ChirpStack's */
#define GRPC_TEXT_SIZE   256

enum grpc_status {
    GRPC_OK = 0,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_NOT_FOUND = 5,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAUTHENTICATED = 16,
};

/* What becomes of a call's answer: faults that a test asks for. */
enum grpc_fate {
    GRPC_FATE_ANSWER,
    GRPC_FATE_LATE,   /* after delay_ms, if the client still waits */
    GRPC_FATE_SILENT, /* never; the client gives up */
    GRPC_FATE_GOAWAY, /* it goes out, then GOAWAY: no stream after this one is processed */
    GRPC_FATE_REFUSE, /* RST_STREAM with REFUSED_STREAM in its place */
};

/* One call: the handler reads the request and sets status and text, or the reply. */
struct grpc_call {
    const char *path;          /* /api.DeviceService/Get */
    const char *authorization; /* NULL when the call has none */
    const uint8_t *request;    /* borrowed */
    size_t request_size;
    enum grpc_status status;
    char text[GRPC_TEXT_SIZE]; /* grpc-message */
    uint8_t *reply; /* malloc'ed by the handler, freed by the server; NULL is an empty message */
    size_t reply_size;
    enum grpc_fate fate;
    uint64_t delay_ms; /* GRPC_FATE_LATE; real time */
};

typedef void grpc_handler_fn(void *arg, struct grpc_call *call);

struct grpc_server;

/*
 * Listens on 127.0.0.1:`port` (0: any free one) and gives the port in use.
 *
 * ERR_IO         the port cannot be had; errno is not kept, the reason is on the standard error
 * ERR_NO_MEMORY
 */
MUST_CHECK enum err grpc_server_new(uv_loop_t *loop, int port, grpc_handler_fn *handler, void *arg,
                                    int *ret_port, struct grpc_server **ret_server);

/* Closes listener and connections; freed once the loop has closed them. */
void grpc_server_close(struct grpc_server *server);

#endif
