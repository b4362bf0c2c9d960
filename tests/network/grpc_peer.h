/*
 * grpc_peer.h - a gRPC server on the test's own loop that does what the test says.
 *
 * It answers nothing by itself: on_call() decides, at once or later. What it never does by accident
 * - refuse, go away, cut the connection, lie about lengths - is what it is for.
 */
#ifndef TESTS_NETWORK_GRPC_PEER_H
#define TESTS_NETWORK_GRPC_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nghttp2/nghttp2.h>
#include <uv.h>

struct peer;
struct peer_connection;

/* One call; it lives until its stream is closed. */
struct peer_call {
    struct peer_call *next; /* of its connection */
    struct peer_connection *connection;
    int32_t stream_id;
    char path[100], authorization[100], content_type[60], te[20];
    uint8_t body[4096]; /* with the five octets in front */
    size_t body_size;
    uint8_t *answer;
    size_t answer_size, answer_sent, hold_at; /* no more is sent from hold_at on */
    int grpc_status;                          /* of the trailers; -1: no trailers */
    char message[200];
};

struct peer_options {
    uint16_t port; /* 0: any free one */
    const char *ca_file, *cert_file, *key_file;
    uint32_t streams_max; /* SETTINGS_MAX_CONCURRENT_STREAMS; 0: says nothing */
    bool is_deaf;         /* accepts connections and never reads */
    void (*on_call)(struct peer_call *call);
};

struct peer *peer_new(uv_loop_t *loop, const struct peer_options *options);
uint16_t peer_port(const struct peer *peer);
unsigned peer_connection_count(const struct peer *peer); /* accepted so far */
unsigned peer_call_count(const struct peer *peer);       /* heard so far */
/* Stops listening and cuts every connection; the memory goes when the loop has closed them. */
void peer_close(struct peer *peer);

/* Answers with `size` octets, framed, and OK. */
void peer_reply(struct peer_call *call, const void *message, size_t size);
/* Answers with HTTP 200, these raw octets of a body, and trailers (-1: without). */
void peer_reply_raw(struct peer_call *call, const void *body, size_t size, int grpc_status);
/* Begins the answer, sends `size` of its octets, and then nothing more. */
void peer_reply_part(struct peer_call *call, const void *message, size_t size, size_t part);
/* Trailers-only: status and percent-encoded message in the response headers. */
void peer_fail(struct peer_call *call, const char *grpc_status, const char *grpc_message);
/* Status and message in trailers behind an empty body. */
void peer_fail_late(struct peer_call *call, int grpc_status, const char *grpc_message);
void peer_reply_http(struct peer_call *call, const char *status);
void peer_reset(struct peer_call *call, uint32_t error_code);
void peer_goaway(struct peer_connection *connection, int32_t last_stream_id);
void peer_cut(struct peer_connection *connection);

#endif
