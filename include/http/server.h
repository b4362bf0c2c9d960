/*
 * server.h - an HTTP/1.1 server on the loop: routes, bodies, limits, problem documents, live
 * events.
 *
 * Wraps libmicrohttpd, whose epoll descriptor is polled by the loop; no type of it shows here. It
 * knows nothing of deployments: the daemon gives it a table of routes. All callbacks run on the
 * loop.
 *
 * A request is answered exactly once, at once or later: until then it is suspended, and stays valid
 * even if the client goes away or the server is closed (the answer is dropped then). Before a
 * handler runs, the server has checked: Host and Origin (403), method and path (404, 405 with
 * Allow), the token (401; 403 if it grants too little; 503 if it cannot be checked yet), the size
 * (413) and the media type (415) of the body, and has read the whole body. Paths, queries and the
 * chosen headers are UTF-8 without control characters, bodies of JSON are UTF-8 (400). Errors are
 * RFC 9457 problem documents.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct uv_loop_s;
struct http_server;
struct http_request;
struct http_stream;

#define HTTP_PARAMS_MAX      4  /* placeholders of a route */
#define HTTP_QUERY_MAX       32 /* members of a query; more is answered with 400 */
#define HTTP_CONNECTIONS_MAX 10000
/* Octets of all bodies held at one time; what would need more is answered with 503. */
#define HTTP_BODIES_SIZE_MAX (64u * 1024 * 1024)
/* Octets that wait for one client of events; one that needs more is dropped. */
#define HTTP_STREAM_LAG_MAX (1024u * 1024)

/* What a token may do. */
enum http_access {
    HTTP_ACCESS_NONE, /* no token needed (health) */
    HTTP_ACCESS_READ,
    HTTP_ACCESS_WRITE,
    HTTP_ACCESS_NOT_YET, /* of check_token() only: tokens cannot be checked yet */
};

typedef void http_handler_fn(void *arg, struct http_request *request);

/* A "GET" route answers HEAD too. The first match in the table counts. All texts are borrowed. */
struct http_route {
    const char *method; /* "GET" ... */
    const char *path;   /* "/api/v1/deployments/{id}/devices": {name} matches one segment */
    enum http_access access;
    size_t body_size_max;  /* octets; 0: no body allowed */
    const char *body_type; /* "application/json" ...; NULL without a body */
    http_handler_fn *handler;
};

struct http_server_options {
    const char *bind;          /* IPv4 or IPv6 address */
    uint16_t port;             /* 0: any, see http_server_port() */
    const char *tls_cert_file; /* PEM; NULL: plain HTTP */
    const char *tls_key_file;
    /*
     * Further names accepted in Host and Origin, NULL-terminated; NULL: none. Loopback names and
     * the bound address are always accepted. An Origin must be the same host and port as Host, or
     * one of these ("name", or "name:port" for a port that is neither the server's nor that of the
     * scheme).
     */
    const char *const *hosts;
    unsigned connections_max; /* 1 .. HTTP_CONNECTIONS_MAX; further ones wait to be accepted */
    unsigned timeout_s;       /* 1 .. 3600; who neither sends nor reads that long is closed */
    unsigned streams_max;     /* live event streams at the same time */
    unsigned heartbeat_ms;    /* between comments on a silent stream; 0: 15 s */
    const struct http_route *routes; /* copied */
    size_t route_count;
    /*
     * The access that `token` (from "Authorization: Bearer" or the cookie "fuotad_token") grants;
     * HTTP_ACCESS_NONE: unknown; HTTP_ACCESS_NOT_YET: ask again (503). With the cookie, whatever is
     * not GET needs an Origin (403): no other web page can act with it.
     */
    enum http_access (*check_token)(void *arg, const char *token);
    void *arg; /* for check_token and the handlers */
};

/*
 * Starts listening. `*ret_text` (static or owned by the server module, valid until the next call)
 * says what failed.
 *
 * ERR_RANGE      an option is out of its range, or `bind` is no address
 * ERR_IO         the port is taken, a TLS file cannot be read, ...
 * ERR_NO_MEMORY  no memory
 */
MUST_CHECK enum err http_server_new(struct uv_loop_s *loop,
                                    const struct http_server_options *options,
                                    struct http_server **ret_server, const char **ret_text);
/*
 * Stops listening, sends what is answered if the sockets take it, drops all else; calls `cb` when
 * all handles are closed. Streams end (their `on_end` is called). A request that a handler still
 * holds stays valid: it must be answered as ever, which frees it and sends nothing.
 */
void http_server_close(struct http_server *server, void (*cb)(void *arg), void *arg);
uint16_t http_server_port(const struct http_server *server);

/* A request; all texts are borrowed and live until the answer. */

/* "HEAD" is possible where the route says "GET". */
const char *http_method(const struct http_request *request);
/* The text of the placeholder `name` of the path; never NULL. */
const char *http_param(const struct http_request *request, const char *name);
/* The first member `name` of the query, decoded; NULL: not given. */
const char *http_query(const struct http_request *request, const char *name);
const uint8_t *http_body(const struct http_request *request, size_t *ret_size);
/*
 * NULL: not given, or none of Accept, Content-Type, Cookie, Host, If-Match, If-None-Match,
 * Last-Event-ID, User-Agent.
 */
const char *http_header(const struct http_request *request, const char *name);
/* What check_token() granted; HTTP_ACCESS_NONE on a route without a token. */
enum http_access http_granted(const struct http_request *request);

/* Adds a header (copied) to the answer to come: Retry-After, Set-Cookie, ... */
void http_answer_header(struct http_request *request, const char *name, const char *value);

/* Answers with JSON text (copied). `status` 200, 201, 202 ... */
void http_answer_json(struct http_request *request, unsigned status, const char *json);
/* The same with a Location header. */
void http_answer_location(struct http_request *request, unsigned status, const char *location,
                          const char *json);
void http_answer_text(struct http_request *request, unsigned status, const char *media_type,
                      const char *text);
void http_answer_empty(struct http_request *request, unsigned status);
/*
 * Answers with a problem document: title from the status, `detail` a sentence for people, `field`
 * the wrong field or NULL, `errors_json` a JSON array for the member "errors" or NULL.
 */
void http_answer_problem(struct http_request *request, unsigned status, const char *detail,
                         const char *field, const char *errors_json);

/*
 * Turns the request into a stream of Server-Sent Events (answers 200); NULL when streams_max is
 * reached (a 503 was answered then). `on_end` (may be NULL) is called once when the client is gone,
 * never from within another call of this module but http_server_close(); the stream is invalid
 * afterwards. The server sends comments as heartbeats.
 */
struct http_stream *http_answer_stream(struct http_request *request, void (*on_end)(void *arg),
                                       void *arg);
/*
 * Sends an event: `id` and `event` may be NULL, `data` is one line of JSON. A client that lags more
 * than HTTP_STREAM_LAG_MAX is dropped.
 */
void http_stream_send(struct http_stream *stream, const char *id, const char *event,
                      const char *data);
/* Ends the stream after what was sent. It is invalid from now on, and `on_end` is not called. */
void http_stream_end(struct http_stream *stream);

#endif
