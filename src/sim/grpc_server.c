#include "sim/grpc_server.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nghttp2/nghttp2.h>

#define FRAME_HEADER_SIZE 5 /* of a gRPC message: flag and length */
#define STREAMS_MAX       256
#define LATE_TICK_MS      10

struct connection {
    struct connection *next;
    struct grpc_server *server;
    uv_tcp_t tcp;
    nghttp2_session *session;
    struct stream *streams; /* all that are open */
    bool is_closing;
    bool is_going_away; /* after GOAWAY: further streams are not processed */
    char in[64 * 1024];
};

struct grpc_server {
    uv_tcp_t listener;
    uv_timer_t late; /* runs while answers are due later */
    grpc_handler_fn *handler;
    void *arg;
    struct connection *connections;
    unsigned open_handles;
};

/* One request, and its reply while it goes out. */
struct stream {
    struct stream *next;
    char path[128];
    char authorization[1024];
    bool has_authorization;
    uint8_t *body;
    size_t size;
    size_t capacity;
    bool is_too_long;
    uint8_t *reply; /* with its frame header */
    size_t reply_size;
    size_t reply_sent;
    int32_t id;
    uint64_t answer_at; /* uv_now(); 0: not later */
    struct grpc_call late;
};

struct write {
    uv_write_t req;
    uint8_t octets[];
};

static void free_if_done(struct grpc_server *server)
{
    if (server->open_handles == 0 && server->connections == NULL) {
        free(server);
    }
}

static void release_stream(struct connection *c, struct stream *s)
{
    struct stream **at = &c->streams;

    while (*at != s) {
        at = &(*at)->next;
    }
    *at = s->next;
    free(s->late.reply);
    free(s->body);
    free(s->reply);
    free(s);
}

static void on_connection_closed(uv_handle_t *handle)
{
    struct connection *c = handle->data;
    struct grpc_server *server = c->server;
    struct connection **at = &server->connections;

    while (*at != c) {
        at = &(*at)->next;
    }
    *at = c->next;
    while (c->streams != NULL) {
        release_stream(c, c->streams);
    }
    nghttp2_session_del(c->session);
    free(c);
    free_if_done(server);
}

static void close_connection(struct connection *c)
{
    if (!c->is_closing) {
        c->is_closing = true;
        uv_close((uv_handle_t *)&c->tcp, on_connection_closed);
    }
}

static void on_written(uv_write_t *req, int status)
{
    struct connection *c = req->handle->data;

    free(req->data);
    if (status < 0) {
        close_connection(c);
    }
}

static void flush(struct connection *c)
{
    for (;;) {
        const uint8_t *data;
        ssize_t size = c->is_closing ? 0 : nghttp2_session_mem_send(c->session, &data);
        if (size < 0) {
            close_connection(c);
        }
        if (size <= 0) {
            break;
        }
        struct write *w = malloc(sizeof(*w) + (size_t)size);
        if (w == NULL) {
            close_connection(c);
            return;
        }
        memcpy(w->octets, data, (size_t)size);
        w->req.data = w;
        uv_buf_t buf = uv_buf_init((char *)w->octets, (unsigned)size);
        if (uv_write(&w->req, (uv_stream_t *)&c->tcp, &buf, 1, on_written) != 0) {
            free(w);
            close_connection(c);
        }
    }
    if (!c->is_closing && nghttp2_session_want_read(c->session) == 0 &&
        nghttp2_session_want_write(c->session) == 0) {
        close_connection(c);
    }
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct connection *c = arg;

    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        struct stream *s = calloc(1, sizeof(*s));
        if (s == NULL) {
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
        s->next = c->streams;
        c->streams = s;
        nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, s);
    }
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *arg)
{
    struct stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

    (void)flags;
    (void)arg;
    if (s == NULL) {
        return 0;
    }
    if (name_size == 5 && memcmp(name, ":path", 5) == 0) {
        snprintf(s->path, sizeof(s->path), "%.*s", (int)value_size, (const char *)value);
    } else if (name_size == 13 && memcmp(name, "authorization", 13) == 0) {
        snprintf(s->authorization, sizeof(s->authorization), "%.*s", (int)value_size,
                 (const char *)value);
        s->has_authorization = true;
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
                   size_t size, void *arg)
{
    struct stream *s = nghttp2_session_get_stream_user_data(session, stream_id);

    (void)flags;
    (void)arg;
    if (s == NULL || s->is_too_long) {
        return 0;
    }
    if (s->size + size > GRPC_MESSAGE_MAX + FRAME_HEADER_SIZE) {
        s->is_too_long = true;
        return 0;
    }
    if (s->size + size > s->capacity) {
        size_t capacity = (s->size + size) * 2;
        uint8_t *body = realloc(s->body, capacity);
        if (body == NULL) {
            s->is_too_long = true;
            return 0;
        }
        s->body = body;
        s->capacity = capacity;
    }
    memcpy(s->body + s->size, data, size);
    s->size += size;
    return 0;
}

#define HEADER(name, value)                                                                        \
    {                                                                                              \
        (uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, strlen(value),                    \
            NGHTTP2_NV_FLAG_NONE                                                                   \
    }

static ssize_t on_read_reply(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t size,
                             uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct stream *s = source->ptr;
    size_t left = s->reply_size - s->reply_sent;
    size_t n = left < size ? left : size;

    (void)arg;
    memcpy(buf, s->reply + s->reply_sent, n);
    s->reply_sent += n;
    if (s->reply_sent == s->reply_size) { /* the trailers end the stream */
        nghttp2_nv trailers[] = {HEADER("grpc-status", "0")};
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_trailer(session, stream_id, trailers, 1);
    }
    return (ssize_t)n;
}

/* grpc-message is percent encoded. */
static void percent_encode(const char *text, char *out, size_t size)
{
    size_t used = 0;

    for (; *text != '\0' && used + 4 < size; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c > 0x7E || c == '%') {
            used += (size_t)snprintf(out + used, size - used, "%%%02X", c);
        } else {
            out[used++] = (char)c;
        }
    }
    out[used] = '\0';
}

static void answer(nghttp2_session *session, int32_t stream_id, struct stream *s,
                   const struct grpc_call *call)
{
    char status[12];
    char text[3 * GRPC_TEXT_SIZE];

    if (call->status != GRPC_OK) { /* trailers only */
        snprintf(status, sizeof(status), "%d", (int)call->status);
        percent_encode(call->text, text, sizeof(text));
        nghttp2_nv headers[] = {HEADER(":status", "200"),
                                HEADER("content-type", "application/grpc"),
                                HEADER("grpc-status", status), HEADER("grpc-message", text)};
        nghttp2_submit_response(session, stream_id, headers, 4, NULL);
        return;
    }
    s->reply_size = FRAME_HEADER_SIZE + call->reply_size;
    s->reply = malloc(s->reply_size);
    if (s->reply == NULL) {
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream_id, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    uint32_t size = (uint32_t)call->reply_size;
    const uint8_t head[FRAME_HEADER_SIZE] = {0, (uint8_t)(size >> 24), (uint8_t)(size >> 16),
                                             (uint8_t)(size >> 8), (uint8_t)size};
    memcpy(s->reply, head, sizeof(head));
    if (size > 0) {
        memcpy(s->reply + sizeof(head), call->reply, size);
    }
    nghttp2_nv headers[] = {HEADER(":status", "200"), HEADER("content-type", "application/grpc")};
    nghttp2_data_provider provider = {.source.ptr = s, .read_callback = on_read_reply};
    nghttp2_submit_response(session, stream_id, headers, 2, &provider);
}

static void on_late(uv_timer_t *timer)
{
    struct grpc_server *server = timer->data;
    bool is_one_left = false;

    for (struct connection *c = server->connections; c != NULL; c = c->next) {
        for (struct stream *s = c->is_closing ? NULL : c->streams; s != NULL; s = s->next) {
            if (s->answer_at != 0 && s->answer_at <= uv_now(timer->loop)) {
                s->answer_at = 0;
                answer(c->session, s->id, s, &s->late);
            }
            is_one_left = is_one_left || s->answer_at != 0;
        }
        flush(c);
    }
    if (!is_one_left) {
        uv_timer_stop(timer);
    }
}

/* The answer goes out as the call's fate says; takes its reply. */
static void settle(struct connection *c, int32_t stream_id, struct stream *s,
                   struct grpc_call *call)
{
    switch (call->fate) {
    case GRPC_FATE_GOAWAY:
        c->is_going_away = true;
        nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, stream_id, NGHTTP2_NO_ERROR, NULL, 0);
        answer(c->session, stream_id, s, call);
        break;
    case GRPC_FATE_ANSWER:
        answer(c->session, stream_id, s, call);
        break;
    case GRPC_FATE_REFUSE:
        nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, stream_id, NGHTTP2_REFUSED_STREAM);
        break;
    case GRPC_FATE_LATE:
        s->id = stream_id;
        s->answer_at = uv_now(c->tcp.loop) + call->delay_ms;
        s->late = *call;
        uv_timer_start(&c->server->late, on_late, LATE_TICK_MS, LATE_TICK_MS);
        return;
    case GRPC_FATE_SILENT:
        break;
    }
    free(call->reply);
}

static void run_call(struct connection *c, int32_t stream_id, struct stream *s)
{
    struct grpc_call call = {.path = s->path,
                             .authorization = s->has_authorization ? s->authorization : NULL};

    if (s->is_too_long) {
        call.status = GRPC_RESOURCE_EXHAUSTED;
        snprintf(call.text, sizeof(call.text), "message too large");
    } else if (s->size < FRAME_HEADER_SIZE || s->body[0] != 0) {
        call.status = GRPC_INTERNAL;
        snprintf(call.text, sizeof(call.text), "malformed message");
    } else {
        uint32_t size = (uint32_t)s->body[1] << 24 | (uint32_t)s->body[2] << 16 |
                        (uint32_t)s->body[3] << 8 | s->body[4];
        call.request = s->body + FRAME_HEADER_SIZE;
        call.request_size = s->size - FRAME_HEADER_SIZE;
        if (size != call.request_size) {
            call.status = GRPC_INTERNAL;
            snprintf(call.text, sizeof(call.text), "malformed message");
        } else {
            c->server->handler(c->server->arg, &call);
        }
    }
    settle(c, stream_id, s, &call);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    if ((frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        struct stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        if (s != NULL && !((struct connection *)arg)->is_going_away) {
            run_call(arg, frame->hd.stream_id, s);
        }
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t code, void *arg)
{
    struct stream *s = nghttp2_session_get_stream_user_data(session, stream_id);

    (void)code;
    if (s != NULL) {
        nghttp2_session_set_stream_user_data(session, stream_id, NULL);
        release_stream(arg, s);
    }
    return 0;
}

static bool begin_session(struct connection *c)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS_MAX},
                                         {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1u << 20}};

    if (nghttp2_session_callbacks_new(&callbacks) != 0) {
        return false;
    }
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    int rc = nghttp2_session_server_new(&c->session, callbacks, c);
    nghttp2_session_callbacks_del(callbacks);
    return rc == 0 && nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, 2) == 0;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    struct connection *c = handle->data;

    (void)suggested;
    *ret_buf = uv_buf_init(c->in, sizeof(c->in));
}

static void on_read(uv_stream_t *tcp, ssize_t size, const uv_buf_t *buf)
{
    struct connection *c = tcp->data;

    if (size < 0 ||
        nghttp2_session_mem_recv(c->session, (const uint8_t *)buf->base, (size_t)size) < 0) {
        close_connection(c);
        return;
    }
    flush(c);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct grpc_server *server = listener->data;
    struct connection *c = status == 0 ? calloc(1, sizeof(*c)) : NULL;

    if (c == NULL) {
        return;
    }
    c->server = server;
    c->next = server->connections;
    server->connections = c;
    uv_tcp_init(listener->loop, &c->tcp);
    c->tcp.data = c;
    if (uv_accept(listener, (uv_stream_t *)&c->tcp) != 0 || !begin_session(c)) {
        close_connection(c);
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
    flush(c);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct grpc_server *server = handle->data;

    server->open_handles--;
    free_if_done(server);
}

enum err grpc_server_new(uv_loop_t *loop, int port, grpc_handler_fn *handler, void *arg,
                         int *ret_port, struct grpc_server **ret_server)
{
    struct grpc_server *server = calloc(1, sizeof(*server));
    struct sockaddr_in address;
    struct sockaddr_storage bound;
    int bound_size = sizeof(bound);

    if (server == NULL) {
        return ERR_NO_MEMORY;
    }
    server->handler = handler;
    server->arg = arg;
    uv_tcp_init(loop, &server->listener);
    uv_timer_init(loop, &server->late);
    server->listener.data = server->late.data = server;
    server->open_handles = 2;
    uv_ip4_addr("127.0.0.1", port, &address);
    int rc = uv_tcp_bind(&server->listener, (const struct sockaddr *)&address, 0);
    rc = rc == 0 ? uv_listen((uv_stream_t *)&server->listener, 128, on_connection) : rc;
    rc = rc == 0 ? uv_tcp_getsockname(&server->listener, (struct sockaddr *)&bound, &bound_size)
                 : rc;
    if (rc != 0) {
        fprintf(stderr, "fuota-sim: grpc: listen on 127.0.0.1:%d: %s\n", port, uv_strerror(rc));
        grpc_server_close(server);
        return ERR_IO;
    }
    *ret_port = ntohs(((const struct sockaddr_in *)&bound)->sin_port);
    *ret_server = server;
    return ERR_OK;
}

void grpc_server_close(struct grpc_server *server)
{
    if (server == NULL) {
        return;
    }
    for (struct connection *c = server->connections; c != NULL; c = c->next) {
        close_connection(c);
    }
    uv_close((uv_handle_t *)&server->listener, on_handle_closed);
    uv_close((uv_handle_t *)&server->late, on_handle_closed);
}
