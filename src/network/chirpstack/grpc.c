#include "network/chirpstack/grpc.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nghttp2/nghttp2.h>
#include <uv.h>

#include "lorawan/keys.h"

#define FRAME_HEADER_SIZE 5 /* compression flag, length */
#define HTTP2_HEADER_SIZE 9
#define RETRY_FIRST_MS    100
#define RETRY_LAST_MS     5000
#define DEADLINE_TICK_MS  50
#define WINDOW_SIZE       (1 << 20)

struct call {
    struct call *next, *prev; /* in the list it is in, oldest first */
    struct grpc *grpc;
    const char *path;
    uint8_t *body; /* header and message */
    size_t body_size, body_sent;
    uint64_t sent_at, deadline; /* uv_now() */
    int32_t stream_id;          /* 0: not sent */
    int status;                 /* grpc-status; -1: none yet */
    int http_status;
    char text[200];
    uint8_t *answer;
    size_t answer_size, answer_capacity;
    bool is_too_large;
    grpc_done_fn *done;
    void *arg;
};

struct list {
    struct call *first, *last;
    size_t count;
};

/* What goes to the transport at once. */
struct batch {
    size_t size;
    uint8_t octets[32768];
};

struct grpc {
    uv_loop_t *loop;
    struct grpc_options options;
    char *host, *ca_file, *cert_file, *key_file, *token, *authority, *authorization;
    struct transport *transport;
    nghttp2_session *session;
    bool is_connected, is_draining, is_closing;
    bool is_heard; /* the server spoke on this connection */
    uv_timer_t retry, tick;
    uv_prepare_t prepare; /* writes once per turn of the loop */
    bool is_dirty;
    struct batch *batch; /* while it is flushed */
    uint64_t retry_ms;
    struct list waiting, sent, unwanted; /* unwanted: found the queue full */
    uint64_t received_at, ping_at;       /* uv_now(); ping_at 0: no ping is under way */
    void (*on_state)(void *arg, const char *text);
    void *arg;
    void (*on_closed)(void *arg);
    void *closed_arg;
    unsigned open_handles;
};

static void *must(void *memory)
{
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static char *copy(const char *text)
{
    return text == NULL ? NULL : must(strdup(text));
}

/* lists */

static void list_append(struct list *list, struct call *call)
{
    call->next = NULL;
    call->prev = list->last;
    if (list->last != NULL) {
        list->last->next = call;
    } else {
        list->first = call;
    }
    list->last = call;
    list->count++;
}

static void list_remove(struct list *list, struct call *call)
{
    if (call->prev != NULL) {
        call->prev->next = call->next;
    } else {
        list->first = call->next;
    }
    if (call->next != NULL) {
        call->next->prev = call->prev;
    } else {
        list->last = call->prev;
    }
    list->count--;
}

/* The end of a call; it is in no list any more. */
static void finish(struct call *call, enum grpc_result result, int status, const char *text)
{
    const uint8_t *message = NULL;
    size_t size = 0;

    if (result == GRPC_ANSWERED && status == GRPC_OK) {
        if (call->answer_size < FRAME_HEADER_SIZE || call->is_too_large) {
            result = GRPC_LOST;
            text = call->is_too_large ? "the answer is too large" : "the answer has no message";
        } else {
            message = call->answer + FRAME_HEADER_SIZE;
            size = call->answer_size - FRAME_HEADER_SIZE;
        }
    }
    call->done(call->arg, result, status, text, message, size);
    if (call->answer != NULL) {
        key_wipe(call->answer, call->answer_capacity); /* may hold keys */
    }
    key_wipe(call->body, call->body_size);
    free(call->answer);
    free(call->body);
    free(call);
}

/* sending */

/* A body may hold keys, so nghttp2 gets no copy of it: it would keep it until a longer frame is
 * sent. */
static ssize_t read_body(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t size,
                         uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    const struct call *call = source->ptr;
    size_t left = call->body_size - call->body_sent;

    (void)session, (void)stream_id, (void)buf, (void)arg;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY | (left <= size ? NGHTTP2_DATA_FLAG_EOF : 0);
    return (ssize_t)(left < size ? left : size);
}

static void send_batch(struct grpc *grpc)
{
    transport_write(grpc->transport, grpc->batch->octets, grpc->batch->size);
    key_wipe(grpc->batch->octets, grpc->batch->size);
    grpc->batch->size = 0;
}

static ssize_t on_send(nghttp2_session *session, const uint8_t *data, size_t size, int flags,
                       void *arg)
{
    struct grpc *grpc = arg;
    size_t left = size;

    (void)session, (void)flags;
    while (left > 0) {
        size_t room = sizeof(grpc->batch->octets) - grpc->batch->size;
        size_t part = left < room ? left : room;
        memcpy(grpc->batch->octets + grpc->batch->size, data, part);
        grpc->batch->size += part;
        data += part;
        left -= part;
        if (grpc->batch->size == sizeof(grpc->batch->octets)) {
            send_batch(grpc);
        }
    }
    return (ssize_t)size;
}

static int on_send_body(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *header,
                        size_t size, nghttp2_data_source *source, void *arg)
{
    struct call *call = source->ptr;

    (void)frame;
    on_send(session, header, HTTP2_HEADER_SIZE, 0, arg);
    on_send(session, call->body + call->body_sent, size, 0, arg);
    call->body_sent += size;
    return 0;
}

static nghttp2_nv header(const char *name, const char *value)
{
    return (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name,
        .value = (uint8_t *)(uintptr_t)value,
        .namelen = strlen(name),
        .valuelen = strlen(value),
        .flags = NGHTTP2_NV_FLAG_NONE,
    };
}

static void mark_dirty(struct grpc *grpc)
{
    grpc->is_dirty = true;
}

static void send_waiting(struct grpc *grpc)
{
    while (grpc->is_connected && !grpc->is_draining && grpc->waiting.first != NULL &&
           grpc->sent.count < grpc->options.in_flight_max) {
        struct call *call = grpc->waiting.first;
        nghttp2_nv headers[] = {
            header(":method", "POST"),
            header(":scheme", grpc->options.transport.is_tls ? "https" : "http"),
            header(":path", call->path),
            header(":authority", grpc->authority),
            header("content-type", "application/grpc"),
            header("te", "trailers"),
            header("user-agent", "fuotad"),
            header("authorization", grpc->authorization != NULL ? grpc->authorization : ""),
        };
        size_t count = sizeof(headers) / sizeof(headers[0]) - (grpc->authorization == NULL);
        nghttp2_data_provider body = {.source.ptr = call, .read_callback = read_body};
        /* The token must not enter the compression table. */
        headers[7].flags = NGHTTP2_NV_FLAG_NO_INDEX;
        int32_t id = nghttp2_submit_request(grpc->session, NULL, headers, count, &body, call);
        if (id < 0) {
            transport_close(grpc->transport, nghttp2_strerror(id));
            return;
        }
        list_remove(&grpc->waiting, call);
        call->stream_id = id;
        call->sent_at = uv_now(grpc->loop);
        list_append(&grpc->sent, call);
        mark_dirty(grpc);
    }
}

static void flush(struct grpc *grpc)
{
    struct batch batch;

    grpc->is_dirty = false;
    if (grpc->session == NULL || !grpc->is_connected) {
        return;
    }
    batch.size = 0;
    grpc->batch = &batch;
    int result = nghttp2_session_send(grpc->session);
    send_batch(grpc);
    grpc->batch = NULL;
    if (result < 0) {
        transport_close(grpc->transport, nghttp2_strerror(result));
    } else if (nghttp2_session_want_read(grpc->session) == 0 &&
               nghttp2_session_want_write(grpc->session) == 0) {
        transport_close(grpc->transport, "the server ended the session");
    }
}

static void finish_all(struct list *list, const char *text)
{
    struct call *call;

    while ((call = list->first) != NULL) {
        assert(call->prev == NULL);
        list_remove(list, call);
        finish(call, GRPC_NOT_SENT, -1, text);
    }
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct grpc *grpc = prepare->data;
    struct list unwanted = grpc->unwanted;

    grpc->unwanted = (struct list){0}; /* a call made by a callback waits for the next turn */
    finish_all(&unwanted, "too many calls wait already");
    if (grpc->is_dirty) {
        flush(grpc);
    }
}

/* receiving */

static struct call *call_of(nghttp2_session *session, int32_t stream_id)
{
    return nghttp2_session_get_stream_user_data(session, stream_id);
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* grpc-message is percent-encoded. */
static void decode_text(const uint8_t *value, size_t size, char *text, size_t text_size)
{
    size_t out = 0;

    for (size_t i = 0; i < size && out + 1 < text_size; i++) {
        uint8_t c = value[i];
        if (c == '%' && i + 2 < size && hex_value((char)value[i + 1]) >= 0 &&
            hex_value((char)value[i + 2]) >= 0) {
            c = (uint8_t)(hex_value((char)value[i + 1]) << 4 | hex_value((char)value[i + 2]));
            i += 2;
        }
        /* For logs, JSON and the database: ASCII without control characters. */
        text[out++] = c >= 0x20 && c < 0x7F ? (char)c : ' ';
    }
    text[out] = '\0';
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *arg)
{
    struct call *call = call_of(session, frame->hd.stream_id);
    char number[12] = "";

    (void)flags, (void)arg;
    if (call == NULL) {
        return 0;
    }
    if (value_size < sizeof(number)) {
        memcpy(number, value, value_size);
    }
    if (name_size == 11 && memcmp(name, "grpc-status", 11) == 0) {
        bool is_number =
            number[0] != '\0' && value_size <= 4 && strspn(number, "0123456789") == value_size;
        call->status = is_number ? atoi(number) : GRPC_UNKNOWN;
    } else if (name_size == 12 && memcmp(name, "grpc-message", 12) == 0) {
        decode_text(value, value_size, call->text, sizeof(call->text));
    } else if (name_size == 7 && memcmp(name, ":status", 7) == 0) {
        call->http_status = atoi(number);
    }
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t stream_id,
                         const uint8_t *data, size_t size, void *arg)
{
    struct call *call = call_of(session, stream_id);
    const struct grpc *grpc = arg;

    (void)flags;
    if (call == NULL) {
        return 0;
    }
    if (call->answer_size + size > grpc->options.message_size_max + FRAME_HEADER_SIZE) {
        call->is_too_large = true;
        return 0;
    }
    if (call->answer_size + size > call->answer_capacity) {
        size_t capacity = 2 * (call->answer_size + size);
        uint8_t *larger = must(malloc(capacity)); /* not realloc: the old octets are wiped */
        if (call->answer != NULL) {
            memcpy(larger, call->answer, call->answer_size);
            key_wipe(call->answer, call->answer_capacity);
            free(call->answer);
        }
        call->answer = larger;
        call->answer_capacity = capacity;
    }
    memcpy(call->answer + call->answer_size, data, size);
    call->answer_size += size;
    return 0;
}

/* Whether the answer is one uncompressed message of the length it says. */
static bool is_whole(const struct call *call)
{
    const uint8_t *a = call->answer;

    if (call->answer_size < FRAME_HEADER_SIZE || a[0] != 0) {
        return false;
    }
    size_t size = (size_t)a[1] << 24 | (size_t)a[2] << 16 | (size_t)a[3] << 8 | a[4];
    return size == call->answer_size - FRAME_HEADER_SIZE;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code,
                           void *arg)
{
    struct grpc *grpc = arg;
    struct call *call = call_of(session, stream_id);

    if (call == NULL) {
        return 0;
    }
    nghttp2_session_set_stream_user_data(session, stream_id, NULL);
    list_remove(&grpc->sent, call);
    if (call->status >= 0) {
        if (call->status == GRPC_OK && !call->is_too_large && !is_whole(call)) {
            finish(call, GRPC_LOST, -1, "the answer is malformed");
        } else {
            finish(call, GRPC_ANSWERED, call->status, call->text);
        }
    } else if (error_code == NGHTTP2_REFUSED_STREAM) {
        finish(call, GRPC_NOT_SENT, -1, "the server refused the stream");
    } else if (call->http_status != 0 && call->http_status != 200) {
        char text[60];
        snprintf(text, sizeof(text), "the server answered with HTTP status %d", call->http_status);
        finish(call, GRPC_LOST, -1, text);
    } else {
        finish(call, GRPC_LOST, -1, "the stream broke off");
    }
    send_waiting(grpc);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct grpc *grpc = arg;

    (void)session;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        /*
         * Streams above its last one were not processed: nghttp2 closes them with REFUSED_STREAM.
         * The others may end; then nghttp2 wants nothing any more and flush() closes. New calls
         * wait for the next connection.
         */
        grpc->is_draining = true;
        mark_dirty(grpc);
    }
    return 0;
}

/* the connection */

static void connect_now(struct grpc *grpc);

static void on_retry(uv_timer_t *timer)
{
    connect_now(timer->data);
}

static void start_session(struct grpc *grpc)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_SIZE},
    };

    if (nghttp2_session_callbacks_new(&callbacks) != 0) {
        abort();
    }
    nghttp2_session_callbacks_set_send_callback(callbacks, on_send);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_body);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    if (nghttp2_session_client_new(&grpc->session, callbacks, grpc) != 0) {
        abort();
    }
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(grpc->session, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(grpc->session, NGHTTP2_FLAG_NONE, 0, 8 * WINDOW_SIZE);
}

static void on_connect(void *arg)
{
    struct grpc *grpc = arg;

    start_session(grpc);
    grpc->is_connected = true;
    grpc->is_draining = false;
    grpc->received_at = uv_now(grpc->loop);
    grpc->ping_at = 0;
    grpc->is_heard = false;
    send_waiting(grpc);
    flush(grpc);
}

static void on_data(void *arg, const uint8_t *data, size_t size)
{
    struct grpc *grpc = arg;

    grpc->received_at = uv_now(grpc->loop);
    grpc->ping_at = 0;
    if (!grpc->is_heard) { /* a hung server accepts connections, too */
        grpc->is_heard = true;
        grpc->retry_ms = RETRY_FIRST_MS;
        grpc->on_state(grpc->arg, NULL);
    }
    ssize_t taken = nghttp2_session_mem_recv(grpc->session, data, size);

    if (taken < 0) {
        transport_close(grpc->transport, nghttp2_strerror((int)taken));
        return;
    }
    mark_dirty(grpc);
}

static void drop_session(struct grpc *grpc, const char *text)
{
    struct call *call;
    nghttp2_session *session = grpc->session;

    grpc->session = NULL;
    grpc->is_connected = false;
    if (session != NULL) {
        for (call = grpc->sent.first; call != NULL; call = call->next) {
            nghttp2_session_set_stream_user_data(session, call->stream_id, NULL);
        }
        nghttp2_session_del(session);
    }
    while ((call = grpc->sent.first) != NULL) {
        list_remove(&grpc->sent, call);
        /* What nghttp2 never gave to the transport cannot have arrived. */
        finish(call, call->body_sent == 0 ? GRPC_NOT_SENT : GRPC_LOST, -1, text);
    }
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct grpc *grpc = handle->data;

    if (--grpc->open_handles > 0) {
        return;
    }
    /* Calls that callbacks made while it closed. */
    finish_all(&grpc->waiting, "the program ends");
    finish_all(&grpc->unwanted, "the program ends");
    if (grpc->on_closed != NULL) {
        grpc->on_closed(grpc->closed_arg);
    }
    if (grpc->authorization != NULL) {
        key_wipe(grpc->authorization, strlen(grpc->authorization));
    }
    free(grpc->authorization);
    free(grpc->authority);
    free(grpc->host);
    free(grpc->ca_file);
    free(grpc->cert_file);
    free(grpc->key_file);
    free(grpc);
}

static void close_handles(struct grpc *grpc)
{
    uv_close((uv_handle_t *)&grpc->retry, on_handle_closed);
    uv_close((uv_handle_t *)&grpc->tick, on_handle_closed);
    uv_close((uv_handle_t *)&grpc->prepare, on_handle_closed);
}

static void on_close(void *arg, const char *text)
{
    struct grpc *grpc = arg;

    grpc->transport = NULL;
    drop_session(grpc, text);
    if (grpc->is_closing) {
        close_handles(grpc);
        return;
    }
    grpc->on_state(grpc->arg, text);
    uv_timer_start(&grpc->retry, on_retry, grpc->retry_ms, 0);
    grpc->retry_ms = 2 * grpc->retry_ms > RETRY_LAST_MS ? RETRY_LAST_MS : 2 * grpc->retry_ms;
}

static void connect_now(struct grpc *grpc)
{
    static const struct transport_callbacks callbacks = {on_connect, on_data, on_close};

    grpc->transport = transport_connect(grpc->loop, &grpc->options.transport, &callbacks, grpc);
}

/* A peer that vanished without a word would let every call run into its deadline, for as long as
 * TCP tries: when one did and nothing came meanwhile, a ping must be answered within the span of a
 * call. */
static void check_peer(struct grpc *grpc, const struct call *late)
{
    if (grpc->is_connected && grpc->ping_at == 0 && grpc->received_at < late->sent_at) {
        nghttp2_submit_ping(grpc->session, NGHTTP2_FLAG_NONE, NULL);
        grpc->ping_at = uv_now(grpc->loop);
    }
}

/* deadlines: all calls have the same span, so both lists are in their order */

static void on_tick(uv_timer_t *timer)
{
    struct grpc *grpc = timer->data;
    uint64_t now = uv_now(grpc->loop);
    struct call *call;

    while ((call = grpc->waiting.first) != NULL && call->deadline <= now) {
        list_remove(&grpc->waiting, call);
        finish(call, GRPC_NOT_SENT, -1, "the server cannot be reached");
    }
    while ((call = grpc->sent.first) != NULL && call->deadline <= now) {
        list_remove(&grpc->sent, call);
        nghttp2_session_set_stream_user_data(grpc->session, call->stream_id, NULL);
        nghttp2_submit_rst_stream(grpc->session, NGHTTP2_FLAG_NONE, call->stream_id,
                                  NGHTTP2_CANCEL);
        check_peer(grpc, call);
        mark_dirty(grpc);
        /* Where the server allows few streams nghttp2 may still hold the call back. */
        finish(call, call->body_sent == 0 ? GRPC_NOT_SENT : GRPC_LOST, -1, "no answer in time");
    }
    if (grpc->is_connected && grpc->ping_at != 0 &&
        now - grpc->ping_at >= grpc->options.deadline_ms) {
        transport_close(grpc->transport, "the server does not answer any more");
    }
    send_waiting(grpc);
}

struct grpc *grpc_new(struct uv_loop_s *loop, const struct grpc_options *options,
                      void (*on_state)(void *arg, const char *text), void *arg)
{
    struct grpc *grpc = must(calloc(1, sizeof(*grpc)));
    size_t size = strlen(options->transport.host) + 16;

    grpc->loop = loop;
    grpc->options = *options;
    grpc->options.token = NULL;
    grpc->options.transport.host = grpc->host = copy(options->transport.host);
    grpc->options.transport.ca_file = grpc->ca_file = copy(options->transport.ca_file);
    grpc->options.transport.cert_file = grpc->cert_file = copy(options->transport.cert_file);
    grpc->options.transport.key_file = grpc->key_file = copy(options->transport.key_file);
    grpc->options.transport.alpn = "h2";
    grpc->authority = must(malloc(size));
    bool is_ipv6 = strchr(options->transport.host, ':') != NULL;
    snprintf(grpc->authority, size, is_ipv6 ? "[%s]:%u" : "%s:%u", options->transport.host,
             options->transport.port);
    if (options->token != NULL) {
        size = strlen(options->token) + 8;
        grpc->authorization = must(malloc(size));
        snprintf(grpc->authorization, size, "Bearer %s", options->token);
    }
    grpc->on_state = on_state;
    grpc->arg = arg;
    grpc->retry_ms = RETRY_FIRST_MS;
    grpc->open_handles = 3;
    uv_timer_init(loop, &grpc->retry);
    uv_timer_init(loop, &grpc->tick);
    uv_prepare_init(loop, &grpc->prepare);
    grpc->retry.data = grpc->tick.data = grpc->prepare.data = grpc;
    uv_timer_start(&grpc->retry, on_retry, 0, 0);
    uv_timer_start(&grpc->tick, on_tick, DEADLINE_TICK_MS, DEADLINE_TICK_MS);
    uv_prepare_start(&grpc->prepare, on_prepare);
    return grpc;
}

/* A call that cannot be queued still reports later, as every call does. */
void grpc_call(struct grpc *grpc, const char *path, const uint8_t *message, size_t size,
               grpc_done_fn *done, void *arg)
{
    struct call *call = must(calloc(1, sizeof(*call)));
    bool is_full = grpc->waiting.count >= grpc->options.queue_max;

    call->grpc = grpc;
    call->path = path;
    call->status = -1;
    call->done = done;
    call->arg = arg;
    call->body_size = FRAME_HEADER_SIZE + size;
    call->body = must(malloc(call->body_size));
    call->body[0] = 0;
    for (unsigned i = 0; i < 4; i++) {
        call->body[1 + i] = (uint8_t)(size >> (24 - 8 * i));
    }
    if (size > 0) {
        memcpy(call->body + FRAME_HEADER_SIZE, message, size);
    }
    call->deadline = uv_now(grpc->loop) + grpc->options.deadline_ms;
    list_append(is_full ? &grpc->unwanted : &grpc->waiting, call);
    send_waiting(grpc);
}

void grpc_close(struct grpc *grpc, void (*cb)(void *arg), void *arg)
{
    struct list waiting = grpc->waiting;

    grpc->is_closing = true;
    grpc->on_closed = cb;
    grpc->closed_arg = arg;
    uv_timer_stop(&grpc->retry);
    uv_timer_stop(&grpc->tick);
    grpc->waiting = (struct list){0};
    finish_all(&waiting, "the program ends");
    if (grpc->transport != NULL) {
        transport_close(grpc->transport, "the program ends");
    } else {
        close_handles(grpc);
    }
}
