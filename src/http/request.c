/* request.c - one request: its checks, its body, its handler. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "impl.h"

#define ALLOW_SIZE 64

static const char *const kept_headers[HTTP_HEADERS_KEPT] = {
    "Accept",   "Content-Type",  "Cookie",        "Host",
    "If-Match", "If-None-Match", "Last-Event-ID", "User-Agent",
};

static const char *header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

void http_request_drop_body(struct http_request *request)
{
    if (request->server)
        request->server->bodies_size -= request->body_capacity;
    free(request->body);
    request->body = NULL;
    request->body_size = request->body_capacity = 0;
}

void http_request_free(struct http_request *request)
{
    http_request_drop_body(request);
    link_remove(&request->link);
    if (request->response)
        MHD_destroy_response(request->response);
    for (size_t i = 0; i < request->query_count; i++) {
        free(request->query[i].name);
        free(request->query[i].value);
    }
    for (size_t i = 0; i < HTTP_HEADERS_KEPT; i++)
        free(request->headers[i]);
    for (size_t i = 0; i < request->answer_header_count; i++) {
        free(request->answer_headers[i].name);
        free(request->answer_headers[i].value);
    }
    free(request->path);
    free(request);
}

/* Copies one member of the query; stops at the first that cannot be taken. */
static enum MHD_Result take_query(void *arg, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    struct http_request *request = arg;
    struct http_pair *pair = &request->query[request->query_count];

    (void)kind;
    if (request->query_count == HTTP_QUERY_MAX || !http_text_is_clean(name) ||
        (value && !http_text_is_clean(value)))
        return MHD_NO;
    pair->name = strdup(name);
    pair->value = strdup(value ? value : "");
    request->query_count++;
    return pair->name && pair->value ? MHD_YES : MHD_NO;
}

static bool take_texts(struct http_request *request, const char *url)
{
    const int count =
        MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, NULL, NULL);

    request->path = strdup(url);
    if (!request->path || !http_text_is_clean(url) || count < 0)
        return false;
    (void)MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, take_query,
                                    request);
    for (size_t i = 0; i < request->query_count; i++) {
        if (!request->query[i].name || !request->query[i].value)
            return false;
    }
    for (size_t i = 0; i < HTTP_HEADERS_KEPT; i++) {
        const char *value = header(request->connection, kept_headers[i]);

        if (value && http_text_is_clean(value))
            request->headers[i] = strdup(value);
    }
    return request->query_count == (size_t)count;
}

static void refuse_too_large(struct http_request *request)
{
    char detail[96];

    if (request->route->body_size_max == 0)
        snprintf(detail, sizeof(detail), "This request takes no body.");
    else
        snprintf(detail, sizeof(detail), "The body may have %zu octets at most.",
                 request->route->body_size_max);
    http_answer_problem(request, 413, detail, NULL, NULL);
}

/*
 * What can be said before the body: answers, or leaves the request RECEIVING.
 * `*ret_size` is what the body announces; SIZE_MAX when it does not, 0 without a body.
 */
static void check(struct http_request *request, const char *url, size_t *ret_size)
{
    struct MHD_Connection *connection = request->connection;
    const char *length = header(connection, "Content-Length");
    const char *coding = header(connection, "Transfer-Encoding");
    const char *type = header(connection, "Content-Type");
    const char *detail = NULL;
    char allow[ALLOW_SIZE];
    unsigned status;

    *ret_size = 0;
    if (coding)
        *ret_size = SIZE_MAX;
    else if (length)
        *ret_size = (size_t)strtoull(length, NULL, 10); /* libmicrohttpd has checked it */
    if (coding && (length || strcasecmp(coding, "chunked") != 0)) {
        http_answer_problem(request, 400, "The size of the body is ambiguous.", NULL, NULL);
        return;
    }
    if (!http_guard_host(request->server, connection, &detail)) {
        http_answer_problem(request, 403, detail, NULL, NULL);
        return;
    }
    if (!take_texts(request, url)) {
        http_answer_problem(
            request, 400, "The path or the query is malformed, no UTF-8, or too long.", NULL, NULL);
        return;
    }
    request->route = http_route_find(request->server, request->method, request->path,
                                     request->params, allow, sizeof(allow));
    if (!request->route && allow[0]) {
        http_answer_header(request, "Allow", allow);
        http_answer_problem(request, 405, "This path does not have this method.", NULL, NULL);
        return;
    }
    if (!request->route) {
        http_answer_problem(request, 404, "There is nothing at this path.", NULL, NULL);
        return;
    }
    status = http_guard_access(request->server, request, connection, &detail);
    if (status != 0) {
        if (status == 401)
            http_answer_header(request, "WWW-Authenticate", "Bearer realm=\"fuotad\"");
        if (status == 503)
            http_answer_header(request, "Retry-After", "1");
        http_answer_problem(request, status, detail, NULL, NULL);
        return;
    }
    if (*ret_size > 0 && (request->route->body_size_max == 0 ||
                          (*ret_size != SIZE_MAX && *ret_size > request->route->body_size_max))) {
        refuse_too_large(request);
        return;
    }
    if (*ret_size > 0 && request->route->body_type &&
        (!type || !http_text_is_type(type, request->route->body_type))) {
        char text[128];

        snprintf(text, sizeof(text), "The body must be %s.", request->route->body_type);
        http_answer_problem(request, 415, text, NULL, NULL);
    }
}

static enum MHD_Result queue_answer(struct http_request *request)
{
    struct MHD_Response *response = request->response;
    enum MHD_Result result;

    if (!response)
        return MHD_NO;
    request->response = NULL;
    request->state = HTTP_REQUEST_SENDING;
    result = MHD_queue_response(request->connection, request->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result begin(struct http_server *server, struct MHD_Connection *connection,
                             const char *url, const char *method, void **context)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct http_request *request;
    size_t size;

    if (server->is_closing || !info || !info->socket_context)
        return MHD_NO;
    request = calloc(1, sizeof(*request));
    if (!request)
        return MHD_NO;
    request->server = server;
    request->connection = connection;
    request->peer = info->socket_context;
    snprintf(request->method, sizeof(request->method), "%s", method);
    link_add(&server->requests, &request->link);
    *context = request;
    check(request, url, &size);
    if (request->state == HTTP_REQUEST_RECEIVING || size > 0)
        http_server_set_deadline(server, request->peer, size == SIZE_MAX ? 0 : size);
    if (request->state == HTTP_REQUEST_REFUSED &&
        (size == 0 || (size != SIZE_MAX && size > HTTP_DRAIN_SIZE_MAX) ||
         header(connection, "Expect")))
        return queue_answer(request);
    return MHD_YES;
}

static void take_body(struct http_request *request, const char *data, size_t size)
{
    struct http_server *server = request->server;
    const size_t wanted = request->body_size + size;
    size_t capacity = request->body_capacity ? request->body_capacity : 4096;
    uint8_t *body;

    if (wanted > request->route->body_size_max) {
        refuse_too_large(request);
        return;
    }
    while (capacity < wanted)
        capacity *= 2;
    if (capacity > request->body_capacity) {
        const size_t more = capacity - request->body_capacity;

        body = more > HTTP_BODIES_SIZE_MAX - server->bodies_size ? NULL
                                                                 : realloc(request->body, capacity);
        if (!body) {
            http_answer_header(request, "Retry-After", "5");
            http_answer_problem(request, 503, "Too many uploads at the same time.", NULL, NULL);
            return;
        }
        request->body = body;
        request->body_capacity = capacity;
        server->bodies_size += more;
    }
    memcpy(request->body + request->body_size, data, size);
    request->body_size = wanted;
}

/* JSON is UTF-8 (RFC 8259): what a handler copies into an answer or the database is, too. */
static bool is_body_text(const struct http_request *request)
{
    const char *type = request->route->body_type;

    return request->body_size == 0 || !type || strcmp(type, "application/json") != 0 ||
           http_text_is_utf8(request->body, request->body_size);
}

enum MHD_Result http_request_step(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_size, void **context)
{
    struct http_server *server = arg;
    struct http_request *request = *context;

    (void)version;
    if (!request)
        return begin(server, connection, url, method, context);
    if (*data_size > 0) {
        if (request->state == HTTP_REQUEST_RECEIVING)
            take_body(request, data, *data_size);
        request->drained_size += *data_size;
        *data_size = 0;
        return request->state == HTTP_REQUEST_REFUSED && request->drained_size > HTTP_DRAIN_SIZE_MAX
                   ? MHD_NO
                   : MHD_YES;
    }
    if (request->state == HTTP_REQUEST_RECEIVING) {
        if (server->is_closing)
            return MHD_NO;
        request->peer->deadline_ms = 0; /* what now takes time is ours */
        request->state = HTTP_REQUEST_RUNNING;
        if (is_body_text(request))
            request->route->handler(server->arg, request);
        else
            http_answer_problem(request, 400, "The body is no UTF-8.", NULL, NULL);
        if (request->state == HTTP_REQUEST_RUNNING) {
            request->state = HTTP_REQUEST_HELD;
            request->is_suspended = true;
            MHD_suspend_connection(connection);
            return MHD_YES;
        }
    }
    if (request->state == HTTP_REQUEST_HELD) /* resumed to be closed */
        return MHD_NO;
    return queue_answer(request);
}

void http_request_completed(void *arg, struct MHD_Connection *connection, void **context,
                            enum MHD_RequestTerminationCode code)
{
    struct http_server *server = arg;
    struct http_request *request = *context;

    (void)connection;
    (void)code;
    if (!request)
        return;
    *context = NULL;
    request->peer->deadline_ms = uv_now(server->loop) + 2 * (uint64_t)server->timeout_ms;
    if (request->stream) {
        http_stream_over(request->stream);
        request->stream = NULL;
    }
    if (request->state == HTTP_REQUEST_HELD) { /* its holder frees it with the answer */
        link_remove(&request->link);
        server->bodies_size -= request->body_capacity;
        request->server = NULL;
        request->connection = NULL;
        request->peer = NULL;
        request->is_suspended = false;
        return;
    }
    http_request_free(request);
}

const char *http_method(const struct http_request *request)
{
    return request->method;
}

const char *http_param(const struct http_request *request, const char *name)
{
    const char *pattern = request->route->path;
    const size_t size = strlen(name);

    for (size_t i = 0; i < HTTP_PARAMS_MAX; i++) {
        pattern = strchr(pattern, '{');
        if (!pattern)
            break;
        pattern++;
        if (strncmp(pattern, name, size) == 0 && pattern[size] == '}')
            return request->params[i];
    }
    assert(false && "the route has no such param");
    return "";
}

const char *http_query(const struct http_request *request, const char *name)
{
    for (size_t i = 0; i < request->query_count; i++) {
        if (strcmp(request->query[i].name, name) == 0)
            return request->query[i].value;
    }
    return NULL;
}

const uint8_t *http_body(const struct http_request *request, size_t *ret_size)
{
    *ret_size = request->body_size;
    return request->body ? request->body : (const uint8_t *)"";
}

const char *http_header(const struct http_request *request, const char *name)
{
    for (size_t i = 0; i < HTTP_HEADERS_KEPT; i++) {
        if (strcasecmp(kept_headers[i], name) == 0)
            return request->headers[i];
    }
    return NULL;
}

enum http_access http_granted(const struct http_request *request)
{
    return request->granted;
}
