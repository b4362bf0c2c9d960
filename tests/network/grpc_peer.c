#include "network/grpc_peer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ssl.h>

struct peer_connection {
    struct peer_connection *next;
    struct peer *peer;
    struct peer_call *calls;
    uv_tcp_t tcp;
    nghttp2_session *session;
    SSL *ssl;
    BIO *in, *out;
    bool is_receiving, is_closed;
    char buffer[65536];
};

struct peer {
    uv_loop_t *loop;
    uv_tcp_t listener;
    SSL_CTX *ctx;
    struct peer_options options;
    struct peer_connection *connections;
    unsigned connection_count, call_count, open_count;
    uint16_t port;
    bool is_closing;
};

struct write {
    uv_write_t request;
    char data[];
};

static void *must(void *memory)
{
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static void release(struct peer *peer)
{
    if (--peer->open_count == 0) {
        SSL_CTX_free(peer->ctx);
        free(peer);
    }
}

static void free_call(struct peer_call *call)
{
    struct peer_call **at = &call->connection->calls;

    while (*at != call) {
        at = &(*at)->next;
    }
    *at = call->next;
    free(call->answer);
    free(call);
}

static void on_connection_closed(uv_handle_t *handle)
{
    struct peer_connection *c = handle->data;

    while (c->calls != NULL) {
        free_call(c->calls);
    }
    nghttp2_session_del(c->session);
    SSL_free(c->ssl);
    release(c->peer);
    free(c);
}

void peer_cut(struct peer_connection *c)
{
    struct peer_connection **at = &c->peer->connections;

    if (c->is_closed) {
        return;
    }
    c->is_closed = true;
    while (*at != c) {
        at = &(*at)->next;
    }
    *at = c->next;
    uv_close((uv_handle_t *)&c->tcp, on_connection_closed);
}

static void on_written(uv_write_t *request, int status)
{
    (void)status;
    free(request);
}

static void write_raw(struct peer_connection *c, const void *data, size_t size)
{
    struct write *w = must(malloc(sizeof(*w) + size));
    uv_buf_t buf = uv_buf_init(w->data, (unsigned)size);

    memcpy(w->data, data, size);
    if (uv_write(&w->request, (uv_stream_t *)&c->tcp, &buf, 1, on_written) != 0) {
        free(w);
    }
}

static void flush_tls(struct peer_connection *c)
{
    char buffer[16384];
    int size;

    while (c->ssl != NULL && (size = BIO_read(c->out, buffer, sizeof(buffer))) > 0) {
        write_raw(c, buffer, (size_t)size);
    }
}

static void flush(struct peer_connection *c)
{
    const uint8_t *data;
    ssize_t size;

    if (c->is_receiving || c->is_closed) {
        return; /* nghttp2 must not send from inside its callbacks; the reader flushes */
    }
    while ((size = nghttp2_session_mem_send(c->session, &data)) > 0) {
        if (c->ssl != NULL) {
            assert(SSL_write(c->ssl, data, (int)size) == (int)size);
        } else {
            write_raw(c, data, (size_t)size);
        }
    }
    flush_tls(c);
    if (nghttp2_session_want_read(c->session) == 0 && nghttp2_session_want_write(c->session) == 0) {
        peer_cut(c);
    }
}

/* nghttp2's callbacks */

static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct peer_call *call = must(calloc(1, sizeof(*call)));

    call->connection = arg;
    call->next = call->connection->calls;
    call->connection->calls = call;
    call->stream_id = frame->hd.stream_id;
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *arg)
{
    struct peer_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    struct {
        const char *name;
        char *to;
        size_t size;
    } headers[] = {
        {":path", call->path, sizeof(call->path)},
        {"authorization", call->authorization, sizeof(call->authorization)},
        {"content-type", call->content_type, sizeof(call->content_type)},
        {"te", call->te, sizeof(call->te)},
    };

    (void)flags, (void)arg, (void)name_size;
    for (size_t i = 0; i < 4; i++) {
        if (strcmp((const char *)name, headers[i].name) == 0) {
            assert(value_size < headers[i].size);
            memcpy(headers[i].to, value, value_size);
        }
    }
    return 0;
}

static int on_chunk(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
                    size_t size, void *arg)
{
    struct peer_call *call = nghttp2_session_get_stream_user_data(session, stream_id);

    (void)flags, (void)arg;
    assert(call->body_size + size <= sizeof(call->body));
    memcpy(call->body + call->body_size, data, size);
    call->body_size += size;
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct peer_connection *c = arg;
    bool is_end = (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
                  (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

    if (is_end) {
        c->peer->call_count++;
        c->peer->options.on_call(
            nghttp2_session_get_stream_user_data(session, frame->hd.stream_id));
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code,
                           void *arg)
{
    struct peer_call *call = nghttp2_session_get_stream_user_data(session, stream_id);

    (void)error_code, (void)arg;
    if (call != NULL) {
        nghttp2_session_set_stream_user_data(session, stream_id, NULL);
        free_call(call);
    }
    return 0;
}

/* connections */

static void start_session(struct peer_connection *c)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, c->peer->options.streams_max}};

    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_server_new(&c->session, callbacks, c);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings,
                            c->peer->options.streams_max > 0 ? 1 : 0);
}

static void receive(struct peer_connection *c, const void *data, size_t size)
{
    c->is_receiving = true;
    ssize_t taken = nghttp2_session_mem_recv(c->session, data, size);
    c->is_receiving = false;
    if (taken < 0) {
        peer_cut(c);
    } else {
        flush(c);
    }
}

static void receive_tls(struct peer_connection *c, const void *data, size_t size)
{
    char buffer[16384];
    int got;

    assert(BIO_write(c->in, data, (int)size) == (int)size);
    while (!c->is_closed && (got = SSL_read(c->ssl, buffer, sizeof(buffer))) > 0) {
        receive(c, buffer, (size_t)got);
    }
    if (!c->is_closed) {
        flush_tls(c);
        if (SSL_get_error(c->ssl, -1) == SSL_ERROR_SSL) {
            peer_cut(c);
        }
    }
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    struct peer_connection *c = handle->data;

    (void)size;
    *buf = uv_buf_init(c->buffer, sizeof(c->buffer));
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct peer_connection *c = stream->data;

    if (size < 0) {
        peer_cut(c);
    } else if (size > 0 && c->ssl != NULL) {
        receive_tls(c, buf->base, (size_t)size);
    } else if (size > 0) {
        receive(c, buf->base, (size_t)size);
    }
}

static void on_connection(uv_stream_t *server, int status)
{
    struct peer *peer = server->data;
    struct peer_connection *c = must(calloc(1, sizeof(*c)));

    assert(status == 0);
    c->peer = peer;
    uv_tcp_init(peer->loop, &c->tcp);
    c->tcp.data = c;
    assert(uv_accept(server, (uv_stream_t *)&c->tcp) == 0);
    uv_tcp_nodelay(&c->tcp, 1);
    c->next = peer->connections;
    peer->connections = c;
    peer->connection_count++;
    peer->open_count++;
    start_session(c);
    if (peer->ctx != NULL) {
        c->ssl = must(SSL_new(peer->ctx));
        c->in = BIO_new(BIO_s_mem());
        c->out = BIO_new(BIO_s_mem());
        SSL_set_bio(c->ssl, c->in, c->out);
        SSL_set_accept_state(c->ssl);
    } else {
        flush(c);
    }
    if (!peer->options.is_deaf) {
        uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
    }
}

static int choose_h2(SSL *ssl, const unsigned char **out, unsigned char *out_size,
                     const unsigned char *in, unsigned in_size, void *arg)
{
    (void)ssl, (void)arg;
    assert(in_size == 3 && memcmp(in, "\x02h2", 3) == 0);
    *out = in + 1;
    *out_size = 2;
    return SSL_TLSEXT_ERR_OK;
}

struct peer *peer_new(uv_loop_t *loop, const struct peer_options *options)
{
    struct peer *peer = must(calloc(1, sizeof(*peer)));
    struct sockaddr_in address;
    int size = sizeof(address);

    peer->loop = loop;
    peer->options = *options;
    peer->open_count = 1;
    uv_tcp_init(loop, &peer->listener);
    peer->listener.data = peer;
    uv_ip4_addr("127.0.0.1", options->port, &address);
    uv_tcp_bind(&peer->listener, (struct sockaddr *)&address, 0);
    assert(uv_listen((uv_stream_t *)&peer->listener, 16, on_connection) == 0);
    uv_tcp_getsockname(&peer->listener, (struct sockaddr *)&address, &size);
    peer->port = (uint16_t)(address.sin_port >> 8 | address.sin_port << 8);
    if (options->cert_file != NULL) {
        peer->ctx = must(SSL_CTX_new(TLS_server_method()));
        assert(SSL_CTX_use_certificate_chain_file(peer->ctx, options->cert_file) == 1);
        assert(SSL_CTX_use_PrivateKey_file(peer->ctx, options->key_file, SSL_FILETYPE_PEM) == 1);
        SSL_CTX_set_alpn_select_cb(peer->ctx, choose_h2, NULL);
        if (options->ca_file != NULL) { /* asks for a client certificate */
            assert(SSL_CTX_load_verify_locations(peer->ctx, options->ca_file, NULL) == 1);
            SSL_CTX_set_verify(peer->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        }
    }
    return peer;
}

uint16_t peer_port(const struct peer *peer)
{
    return peer->port;
}

unsigned peer_connection_count(const struct peer *peer)
{
    return peer->connection_count;
}

unsigned peer_call_count(const struct peer *peer)
{
    return peer->call_count;
}

static void on_listener_closed(uv_handle_t *handle)
{
    release(handle->data);
}

void peer_close(struct peer *peer)
{
    while (peer->connections != NULL) {
        peer_cut(peer->connections);
    }
    uv_close((uv_handle_t *)&peer->listener, on_listener_closed);
}

/* answers */

static nghttp2_nv nv(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static ssize_t read_answer(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t size,
                           uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct peer_call *call = source->ptr;
    size_t end = call->hold_at < call->answer_size ? call->hold_at : call->answer_size;
    char status[12];

    (void)arg;
    if (call->answer_sent == end && end < call->answer_size) {
        return NGHTTP2_ERR_DEFERRED;
    }
    if (size > end - call->answer_sent) {
        size = end - call->answer_sent;
    }
    if (size > 0) {
        memcpy(buf, call->answer + call->answer_sent, size);
    }
    call->answer_sent += size;
    if (call->answer_sent == call->answer_size) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (call->grpc_status >= 0) {
            snprintf(status, sizeof(status), "%d", call->grpc_status);
            nghttp2_nv trailers[] = {nv("grpc-status", status), nv("grpc-message", call->message)};
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            nghttp2_submit_trailer(session, stream_id, trailers, 2);
        }
    }
    return (ssize_t)size;
}

static void respond(struct peer_call *call)
{
    nghttp2_nv headers[] = {nv(":status", "200"), nv("content-type", "application/grpc")};
    nghttp2_data_provider body = {.source.ptr = call, .read_callback = read_answer};

    nghttp2_submit_response(call->connection->session, call->stream_id, headers, 2, &body);
    flush(call->connection);
}

void peer_reply_raw(struct peer_call *call, const void *body, size_t size, int grpc_status)
{
    call->answer = must(malloc(size + 1));
    memcpy(call->answer, body, size);
    call->answer_size = size;
    call->hold_at = size;
    call->grpc_status = grpc_status;
    respond(call);
}

static void frame_answer(struct peer_call *call, const void *message, size_t size)
{
    call->answer = must(malloc(size + 5));
    call->answer[0] = 0;
    for (unsigned i = 0; i < 4; i++) {
        call->answer[1 + i] = (uint8_t)(size >> (24 - 8 * i));
    }
    memcpy(call->answer + 5, message, size);
    call->answer_size = size + 5;
    call->hold_at = call->answer_size;
}

void peer_reply(struct peer_call *call, const void *message, size_t size)
{
    frame_answer(call, message, size);
    respond(call);
}

void peer_reply_part(struct peer_call *call, const void *message, size_t size, size_t part)
{
    frame_answer(call, message, size);
    call->hold_at = part;
    respond(call);
}

void peer_fail(struct peer_call *call, const char *grpc_status, const char *grpc_message)
{
    nghttp2_nv headers[] = {nv(":status", "200"), nv("content-type", "application/grpc"),
                            nv("grpc-status", grpc_status), nv("grpc-message", grpc_message)};

    nghttp2_submit_response(call->connection->session, call->stream_id, headers, 4, NULL);
    flush(call->connection);
}

void peer_fail_late(struct peer_call *call, int grpc_status, const char *grpc_message)
{
    call->grpc_status = grpc_status;
    snprintf(call->message, sizeof(call->message), "%s", grpc_message);
    respond(call);
}

void peer_reply_http(struct peer_call *call, const char *status)
{
    nghttp2_nv headers[] = {nv(":status", status), nv("content-type", "text/html")};

    nghttp2_submit_response(call->connection->session, call->stream_id, headers, 2, NULL);
    flush(call->connection);
}

void peer_reset(struct peer_call *call, uint32_t error_code)
{
    nghttp2_submit_rst_stream(call->connection->session, NGHTTP2_FLAG_NONE, call->stream_id,
                              error_code);
    flush(call->connection);
}

void peer_goaway(struct peer_connection *c, int32_t last_stream_id)
{
    nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, last_stream_id, NGHTTP2_NO_ERROR, NULL, 0);
    flush(c);
}
