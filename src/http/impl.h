/*
 * impl.h - what the files of this module share.
 *
 * One server owns its connections, requests and streams; all run on its loop. A request goes
 * through
 *
 *   RECEIVING  its body is read          REFUSED  its body is read and thrown away, the answer
 * waits RUNNING    its handler is called     HELD     the handler returned without an answer:
 * suspended ANSWERED   the response is there     SENDING  libmicrohttpd has the response (or the
 * stream)
 *
 * and is freed when libmicrohttpd is done with it; when it is HELD and the server closes, by its
 * answer.
 */
#ifndef HTTP_IMPL_H
#define HTTP_IMPL_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "http/server.h"

#define HTTP_HEADERS_KEPT       8
#define HTTP_ANSWER_HEADERS_MAX 8
#define HTTP_TOKEN_SIZE_MAX     256
#define HTTP_HEARTBEAT_MS       15000

/* A client slower than this, over a whole body or answer, is not waited for. */
#define HTTP_RATE_MIN 16384 /* octets per second */

/*
 * What a refused request may still send before it gets its answer: a client that is cut off while
 * it writes does not see the answer. One that asks first (Expect) gets it at once.
 */
#define HTTP_DRAIN_SIZE_MAX (20u * 1024 * 1024)

struct http_link {
    struct http_link *next;
    struct http_link *prev;
};

struct http_connection {
    struct http_link link; /* in server->connections; first member */
    int fd;
    uint64_t deadline_ms; /* of the loop's time, for what is going on now; 0: none */
};

struct http_pair {
    char *name;
    char *value;
};

enum http_request_state {
    HTTP_REQUEST_RECEIVING,
    HTTP_REQUEST_REFUSED,
    HTTP_REQUEST_RUNNING,
    HTTP_REQUEST_HELD,
    HTTP_REQUEST_ANSWERED,
    HTTP_REQUEST_SENDING,
};

struct http_request {
    struct http_link link;             /* in server->requests; first member */
    struct http_server *server;        /* NULL: closed */
    struct MHD_Connection *connection; /* NULL: gone */
    struct http_connection *peer;
    enum http_request_state state;
    bool is_suspended;
    enum http_access granted;
    const struct http_route *route; /* NULL while refused */
    char method[8];
    char *path;                    /* decoded; split by the params */
    char *params[HTTP_PARAMS_MAX]; /* in `path` */
    struct http_pair query[HTTP_QUERY_MAX];
    size_t query_count;
    char *headers[HTTP_HEADERS_KEPT]; /* see request.c */
    uint8_t *body;
    size_t body_size;
    size_t body_capacity;
    size_t drained_size;
    struct http_pair answer_headers[HTTP_ANSWER_HEADERS_MAX];
    size_t answer_header_count;
    struct MHD_Response *response; /* NULL in ANSWERED: no memory, the connection is closed */
    unsigned status;
    struct http_stream *stream;
};

struct http_stream {
    struct http_link link; /* in server->streams; first member */
    struct http_server *server;
    struct http_request *request;
    void (*on_end)(void *arg);
    void *arg;
    char *data; /* octets offset .. size - 1 wait */
    size_t offset;
    size_t size;
    size_t capacity;
    uint64_t sent_ms; /* the last event or heartbeat */
    bool is_suspended;
    bool is_ended;
    bool is_dropped;
};

struct http_server {
    uv_loop_t *loop;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;      /* the epoll descriptor of libmicrohttpd */
    uv_timer_t timeout;  /* what libmicrohttpd waits for */
    uv_timer_t tick;     /* heartbeats and deadlines, while there are connections */
    uv_prepare_t resume; /* active when connections were resumed in this turn */
    unsigned open_handles;
    bool is_running; /* inside MHD_run() */
    bool is_closing;
    bool is_any_address;
    uint16_t port;
    char *bind;
    char **hosts; /* lower case, NULL-terminated */
    struct http_route *routes;
    size_t route_count;
    unsigned timeout_ms;
    unsigned heartbeat_ms;
    unsigned streams_max;
    unsigned stream_count;
    size_t bodies_size;
    enum http_access (*check_token)(void *arg, const char *token);
    void *arg;
    struct http_link connections;
    struct http_link requests;
    struct http_link streams;
    void (*on_close)(void *arg);
    void *close_arg;
};

/* server.c */
void link_init(struct http_link *head);
void link_add(struct http_link *head, struct http_link *link);
void link_remove(struct http_link *link); /* no harm when it is in no list */
/* Calls libmicrohttpd at the end of this turn: something was resumed. */
void http_server_resume(struct http_server *server);
/* Gives `peer` the time for `size` octets. */
void http_server_set_deadline(struct http_server *server, struct http_connection *peer,
                              size_t size);

/* request.c */
enum MHD_Result http_request_step(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_size, void **context);
void http_request_completed(void *arg, struct MHD_Connection *connection, void **context,
                            enum MHD_RequestTerminationCode code);
void http_request_free(struct http_request *request);
void http_request_drop_body(struct http_request *request);

/* answer.c */
/* Takes over `response` (NULL: no memory) as the one answer of `request`. */
void http_answer_take(struct http_request *request, unsigned status, struct MHD_Response *response);

/* stream.c */
void http_stream_tick(struct http_stream *stream, uint64_t now_ms);
/* The request of `stream` is over: calls on_end, frees. */
void http_stream_over(struct http_stream *stream);

/* guard.c */
/* Whether Host and Origin are ours; if not, `*ret_detail` says why. */
bool http_guard_host(const struct http_server *server, struct MHD_Connection *connection,
                     const char **ret_detail);
/*
 * Whether the request may use its route: 0, or the status of the refusal; then `*ret_detail` says
 * why.
 */
unsigned http_guard_access(const struct http_server *server, struct http_request *request,
                           struct MHD_Connection *connection, const char **ret_detail);

/* route.c */
/*
 * The route for `method` and `path`, with the params cut out of `path`; NULL if there is none: then
 * `allow` lists the methods that the path has, "" for none.
 */
const struct http_route *http_route_find(const struct http_server *server, const char *method,
                                         char *path, char *params[HTTP_PARAMS_MAX], char *allow,
                                         size_t allow_size);

/* text.c */
/* Decodes %XX in place, for libmicrohttpd; what is malformed or zero becomes 0xFF: no UTF-8. */
size_t http_text_unescape(void *arg, struct MHD_Connection *connection, char *text);
/* Whether `text` is UTF-8 without control characters. */
bool http_text_is_clean(const char *text);
/* Whether `size` octets are UTF-8. */
bool http_text_is_utf8(const uint8_t *text, size_t size);
/* Whether the media type of `value` (parameters ignored) is `type`. */
bool http_text_is_type(const char *value, const char *type);
const char *http_text_status(unsigned status);

#endif
