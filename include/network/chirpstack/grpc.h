/*
 * grpc.h - unary gRPC calls over one HTTP/2 connection.
 *
 * Wraps nghttp2; no type of it shows here. The connection is made when needed and again after it
 * broke, with a growing pause. Calls wait for it until their deadline. What matters to callers is
 * what is certain: a call that the server cannot have seen (never written, refused, above GOAWAY's
 * last stream) is GRPC_NOT_SENT and may be repeated; one that broke off half-way is GRPC_LOST.
 */
#ifndef NETWORK_CHIRPSTACK_GRPC_H
#define NETWORK_CHIRPSTACK_GRPC_H

#include <stddef.h>
#include <stdint.h>

#include "network/transport.h"

struct uv_loop_s;
struct grpc;

enum grpc_result {
    GRPC_ANSWERED, /* `status` is the server's grpc-status, 0 is OK */
    GRPC_NOT_SENT, /* the server has certainly not processed it */
    GRPC_LOST,     /* it may have */
};

#define GRPC_OK                 0
#define GRPC_CANCELLED          1
#define GRPC_UNKNOWN            2
#define GRPC_INVALID_ARGUMENT   3
#define GRPC_DEADLINE_EXCEEDED  4
#define GRPC_NOT_FOUND          5
#define GRPC_RESOURCE_EXHAUSTED 8
#define GRPC_ABORTED            10
#define GRPC_UNIMPLEMENTED      12
#define GRPC_INTERNAL           13
#define GRPC_UNAVAILABLE        14
#define GRPC_UNAUTHENTICATED    16

struct grpc_options {
    struct transport_options transport; /* texts are copied */
    const char *token;       /* for "authorization: Bearer"; copied, wiped at the end; NULL: none */
    uint32_t deadline_ms;    /* of each call, real time */
    uint32_t in_flight_max;  /* streams at the same time */
    uint32_t queue_max;      /* calls waiting; more are GRPC_NOT_SENT at once */
    size_t message_size_max; /* of an answer; larger ones are GRPC_LOST */
};

/* `text` is grpc-message, or what went wrong; `message` the answer where status is GRPC_OK. */
typedef void grpc_done_fn(void *arg, enum grpc_result result, int status, const char *text,
                          const uint8_t *message, size_t message_size);

/* `on_state`: the server spoke on a new connection (`text` NULL), or the connection went (why). */
struct grpc *grpc_new(struct uv_loop_s *loop, const struct grpc_options *options,
                      void (*on_state)(void *arg, const char *text), void *arg);
/* `path` "/api.DeviceService/Get" (static); `message` is copied. */
void grpc_call(struct grpc *grpc, const char *path, const uint8_t *message, size_t size,
               grpc_done_fn *done, void *arg);
void grpc_close(struct grpc *grpc, void (*cb)(void *arg), void *arg);

#endif
