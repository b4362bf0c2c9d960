/*
 * stream.c - live events: an answer without end.
 *
 * While nothing waits, the connection is suspended, so that it costs nothing. libmicrohttpd does
 * not see a client leave then; the heartbeat does.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "impl.h"

#define PIECES_MAX 9
#define KEPT_SIZE  16384 /* octets of buffer that an idle stream keeps */

static void wake(struct http_stream *stream)
{
    if (stream->is_suspended) {
        stream->is_suspended = false;
        MHD_resume_connection(stream->request->connection);
        http_server_resume(stream->server);
    }
}

/* Cuts the connection; libmicrohttpd sees that and completes the request, which ends the stream. */
static void drop(struct http_stream *stream)
{
    stream->is_dropped = true;
    (void)shutdown(stream->request->peer->fd, SHUT_RDWR);
    wake(stream);
}

/* The room that `more` octets need; false when the client lags too far or there is no memory. */
static bool make_room(struct http_stream *stream, size_t more)
{
    const size_t used = stream->size - stream->offset;
    size_t capacity = stream->capacity;
    char *data;

    if (more > HTTP_STREAM_LAG_MAX || used > HTTP_STREAM_LAG_MAX - more)
        return false;
    if (stream->size + more <= stream->capacity)
        return true;
    if (stream->offset > 0) {
        memmove(stream->data, stream->data + stream->offset, used);
        stream->offset = 0;
        stream->size = used;
    }
    while (capacity < used + more)
        capacity = capacity ? capacity * 2 : 1024;
    if (capacity == stream->capacity)
        return true;
    data = realloc(stream->data, capacity);
    if (!data)
        return false;
    stream->data = data;
    stream->capacity = capacity;
    return true;
}

static void append(struct http_stream *stream, const struct iovec *pieces, size_t count)
{
    size_t more = 0;

    for (size_t i = 0; i < count; i++)
        more += pieces[i].iov_len;
    if (!make_room(stream, more)) {
        drop(stream);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        memcpy(stream->data + stream->size, pieces[i].iov_base, pieces[i].iov_len);
        stream->size += pieces[i].iov_len;
    }
    stream->sent_ms = uv_now(stream->server->loop);
    wake(stream);
}

static struct iovec piece(const char *text)
{
    return (struct iovec){.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
}

void http_stream_send(struct http_stream *stream, const char *id, const char *event,
                      const char *data)
{
    struct iovec pieces[PIECES_MAX];
    size_t count = 0;

    assert(!stream->is_ended);
    assert(!strpbrk(data, "\r\n") && (!id || !strpbrk(id, "\r\n")) &&
           (!event || !strpbrk(event, "\r\n")));
    if (stream->is_dropped)
        return;
    if (id) {
        pieces[count++] = piece("id: ");
        pieces[count++] = piece(id);
        pieces[count++] = piece("\n");
    }
    if (event) {
        pieces[count++] = piece("event: ");
        pieces[count++] = piece(event);
        pieces[count++] = piece("\n");
    }
    pieces[count++] = piece("data: ");
    pieces[count++] = piece(data);
    pieces[count++] = piece("\n\n");
    append(stream, pieces, count);
}

void http_stream_end(struct http_stream *stream)
{
    stream->is_ended = true;
    stream->on_end = NULL;
    wake(stream);
}

void http_stream_tick(struct http_stream *stream, uint64_t now_ms)
{
    const struct iovec comment = piece(":\n\n");

    /* A client that does not take what waits gets no comments on top: it has its timeout. */
    if (!stream->is_dropped && !stream->is_ended && stream->is_suspended &&
        now_ms - stream->sent_ms >= stream->server->heartbeat_ms)
        append(stream, &comment, 1);
}

static ssize_t read_stream(void *arg, uint64_t position, char *out, size_t size)
{
    struct http_stream *stream = arg;
    const size_t waiting = stream->size - stream->offset;

    (void)position;
    if (stream->is_dropped)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (waiting == 0) {
        if (stream->is_ended)
            return MHD_CONTENT_READER_END_OF_STREAM;
        stream->is_suspended = true;
        MHD_suspend_connection(stream->request->connection);
        return 0;
    }
    if (size > waiting)
        size = waiting;
    memcpy(out, stream->data + stream->offset, size);
    stream->offset += size;
    if (stream->offset == stream->size) {
        stream->offset = stream->size = 0;
        if (stream->capacity > KEPT_SIZE) { /* one burst must not hold its memory for days */
            free(stream->data);
            stream->data = NULL;
            stream->capacity = 0;
        }
    }
    return (ssize_t)size;
}

struct http_stream *http_answer_stream(struct http_request *request, void (*on_end)(void *arg),
                                       void *arg)
{
    /* Something at once: a proxy then passes the head on, and the client knows that it is there. */
    const struct iovec hello = piece("retry: 2000\n\n");
    struct http_server *server = request->server;
    struct http_stream *stream = NULL;
    struct MHD_Response *response = NULL;

    if (!server) {
        http_answer_take(request, 503, NULL);
        return NULL;
    }
    if (server->stream_count >= server->streams_max) {
        http_answer_header(request, "Retry-After", "10");
        http_answer_problem(request, 503, "Too many clients follow the events already.", NULL,
                            NULL);
        return NULL;
    }
    stream = calloc(1, sizeof(*stream));
    if (stream)
        response =
            MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, read_stream, stream, NULL);
    if (!response ||
        MHD_add_response_header(response, "Content-Type", "text/event-stream") != MHD_YES ||
        MHD_add_response_header(response, "Cache-Control", "no-store") != MHD_YES ||
        MHD_add_response_header(response, "X-Accel-Buffering", "no") != MHD_YES)
        goto no_memory;
    stream->server = server;
    stream->request = request;
    stream->on_end = on_end;
    stream->arg = arg;
    if (!make_room(stream, hello.iov_len))
        goto no_memory;
    append(stream, &hello, 1);
    link_add(&server->streams, &stream->link);
    server->stream_count++;
    request->stream = stream;
    request->peer->deadline_ms = 0;
    http_answer_take(request, 200, response);
    return stream;
no_memory:
    if (response)
        MHD_destroy_response(response);
    free(stream);
    http_answer_problem(request, 503, "Out of memory.", NULL, NULL);
    return NULL;
}

void http_stream_over(struct http_stream *stream)
{
    void (*on_end)(void *arg) = stream->on_end;
    void *arg = stream->arg;

    link_remove(&stream->link);
    stream->server->stream_count--;
    free(stream->data);
    free(stream);
    if (on_end)
        on_end(arg);
}
