/*
 * server.c - libmicrohttpd on the loop: start, turn, stop.
 *
 * libmicrohttpd keeps all its sockets in one epoll descriptor, which the loop polls. It is also
 * called when it wants to (a timer) and after connections were resumed (once, at the end of the
 * turn).
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "impl.h"

#define LISTEN_BACKLOG         511
#define TICK_MS                1000
#define PEM_SIZE_MAX           (1024 * 1024)
#define CONNECTION_MEMORY_SIZE 32768 /* head of a request; what is longer is answered with 431 */

static char text_buf[512]; /* what failed in http_server_new() */

void link_init(struct http_link *head)
{
    head->next = head->prev = head;
}

void link_add(struct http_link *head, struct http_link *link)
{
    link->next = head;
    link->prev = head->prev;
    head->prev->next = link;
    head->prev = link;
}

void link_remove(struct http_link *link)
{
    if (!link->next)
        return;
    link->next->prev = link->prev;
    link->prev->next = link->next;
    link->next = link->prev = NULL;
}

static void finish_close(struct http_server *server);

static void on_timeout(uv_timer_t *timer);

static void turn(struct http_server *server)
{
    MHD_UNSIGNED_LONG_LONG wait_ms;

    assert(!server->is_running);
    server->is_running = true;
    (void)MHD_run(server->daemon);
    server->is_running = false;
    if (server->is_closing) {
        finish_close(server);
        return;
    }
    if (MHD_get_timeout(server->daemon, &wait_ms) == MHD_YES)
        uv_timer_start(&server->timeout, on_timeout, wait_ms, 0);
    else
        uv_timer_stop(&server->timeout);
}

static void on_timeout(uv_timer_t *timer)
{
    turn(timer->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    turn(poll->data);
}

static void on_resume(uv_prepare_t *prepare)
{
    uv_prepare_stop(prepare);
    turn(prepare->data);
}

void http_server_resume(struct http_server *server)
{
    if (!server->is_closing && !uv_is_active((uv_handle_t *)&server->resume))
        uv_prepare_start(&server->resume, on_resume);
}

void http_server_set_deadline(struct http_server *server, struct http_connection *peer, size_t size)
{
    peer->deadline_ms =
        uv_now(server->loop) + server->timeout_ms + (uint64_t)size * 1000 / HTTP_RATE_MIN;
}

static void on_tick(uv_timer_t *timer)
{
    struct http_server *server = timer->data;
    const uint64_t now_ms = uv_now(server->loop);
    struct http_link *link;

    for (link = server->connections.next; link != &server->connections; link = link->next) {
        struct http_connection *peer = (struct http_connection *)link;

        if (peer->deadline_ms != 0 && now_ms >= peer->deadline_ms) {
            peer->deadline_ms = 0;
            (void)shutdown(peer->fd, SHUT_RDWR);
        }
    }
    for (link = server->streams.next; link != &server->streams; link = link->next)
        http_stream_tick((struct http_stream *)link, now_ms);
}

static void on_connection(void *arg, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http_server *server = arg;
    struct http_connection *peer = *socket_context;
    const union MHD_ConnectionInfo *info;
    const unsigned period_ms = server->heartbeat_ms < TICK_MS ? server->heartbeat_ms : TICK_MS;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        peer = calloc(1, sizeof(*peer));
        if (!peer || !info) { /* its first request is refused */
            free(peer);
            return;
        }
        peer->fd = info->connect_fd;
        peer->deadline_ms = uv_now(server->loop) + 2 * (uint64_t)server->timeout_ms;
        link_add(&server->connections, &peer->link);
        *socket_context = peer;
        if (!server->is_closing && !uv_is_active((uv_handle_t *)&server->tick))
            uv_timer_start(&server->tick, on_tick, period_ms, period_ms);
        return;
    }
    if (!peer)
        return;
    *socket_context = NULL;
    link_remove(&peer->link);
    free(peer);
    if (server->connections.next == &server->connections && !server->is_closing)
        uv_timer_stop(&server->tick);
}

static void free_server(struct http_server *server)
{
    for (char **host = server->hosts; host && *host; host++)
        free(*host);
    free(server->hosts);
    free(server->routes);
    free(server->bind);
    free(server);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct http_server *server = handle->data;
    void (*cb)(void *arg) = server->on_close;
    void *arg = server->close_arg;

    if (--server->open_handles > 0)
        return;
    free_server(server);
    if (cb)
        cb(arg);
}

static void finish_close(struct http_server *server)
{
    /* No poll handle outlives its descriptor: closing takes it out of the loop at once. */
    uv_close((uv_handle_t *)&server->poll, on_handle_closed);
    uv_close((uv_handle_t *)&server->timeout, on_handle_closed);
    uv_close((uv_handle_t *)&server->tick, on_handle_closed);
    uv_close((uv_handle_t *)&server->resume, on_handle_closed);
    /* What is answered goes out if the sockets take it now; ends of streams too. */
    (void)MHD_run(server->daemon);
    /* libmicrohttpd does not stop with suspended connections. */
    for (struct http_link *link = server->requests.next; link != &server->requests;
         link = link->next) {
        struct http_request *request = (struct http_request *)link;

        if (request->is_suspended || (request->stream && request->stream->is_suspended))
            MHD_resume_connection(request->connection);
    }
    MHD_stop_daemon(server->daemon);
    server->daemon = NULL;
    assert(server->requests.next == &server->requests);
    assert(server->connections.next == &server->connections && server->bodies_size == 0);
}

void http_server_close(struct http_server *server, void (*cb)(void *arg), void *arg)
{
    assert(!server->is_closing);
    server->is_closing = true;
    server->on_close = cb;
    server->close_arg = arg;
    if (!server->is_running)
        finish_close(server);
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

__attribute__((format(printf, 2, 3))) static enum err fail(enum err err, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(text_buf, sizeof(text_buf), format, args);
    va_end(args);
    return err;
}

/* libmicrohttpd says why it cannot start, and later how clients misbehave: only the former matters.
 */
__attribute__((format(printf, 2, 0))) static void on_log(void *arg, const char *format,
                                                         va_list args)
{
    struct http_server *server = arg;
    size_t size;

    if (server->daemon)
        return;
    vsnprintf(text_buf, sizeof(text_buf), format, args);
    size = strlen(text_buf);
    while (size > 0 && (text_buf[size - 1] == '\n' || text_buf[size - 1] == '.'))
        text_buf[--size] = '\0';
}

static enum err read_pem(const char *path, char **ret_text)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    size_t size;

    if (!file)
        return fail(ERR_IO, "%s: %s", path, strerror(errno));
    text = malloc(PEM_SIZE_MAX + 1);
    if (!text) {
        fclose(file);
        return fail(ERR_NO_MEMORY, "out of memory");
    }
    size = fread(text, 1, PEM_SIZE_MAX + 1, file);
    if (ferror(file) || size > PEM_SIZE_MAX || size == 0) {
        fclose(file);
        explicit_bzero(text, PEM_SIZE_MAX + 1);
        free(text);
        return fail(ERR_IO, "%s: cannot be read, is empty or too large", path);
    }
    fclose(file);
    text[size] = '\0';
    *ret_text = text;
    return ERR_OK;
}

static void free_secret(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

static enum err open_socket(struct http_server *server, const struct http_server_options *options,
                            int *ret_fd)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(options->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(options->port)};
    const bool is_v4 = inet_pton(AF_INET, options->bind, &v4.sin_addr) == 1;
    const bool is_v6 = !is_v4 && inet_pton(AF_INET6, options->bind, &v6.sin6_addr) == 1;
    struct sockaddr *address = is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    socklen_t size = is_v4 ? sizeof(v4) : sizeof(v6);
    const int on = 1;
    int fd;

    if (!is_v4 && !is_v6)
        return fail(ERR_RANGE, "%s is no IPv4 or IPv6 address", options->bind);
    server->is_any_address = is_v4 ? v4.sin_addr.s_addr == htonl(INADDR_ANY)
                                   : IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr) != 0;
    fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(fd, address, size) != 0 || listen(fd, LISTEN_BACKLOG) != 0 ||
        getsockname(fd, address, &size) != 0) {
        const int error = errno;

        if (fd >= 0)
            close(fd);
        return fail(ERR_IO, "listening on %s port %u: %s", options->bind, (unsigned)options->port,
                    strerror(error));
    }
    server->port = ntohs(is_v4 ? v4.sin_port : v6.sin6_port);
    *ret_fd = fd;
    return ERR_OK;
}

static enum err start_daemon(struct http_server *server, const struct http_server_options *options,
                             int fd)
{
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    struct MHD_OptionItem tls[4] = {{MHD_OPTION_END, 0, NULL}};
    char *cert = NULL;
    char *key = NULL;
    enum err err = ERR_OK;

    if (options->tls_cert_file) {
        err = read_pem(options->tls_cert_file, &cert);
        if (err == ERR_OK)
            err = read_pem(options->tls_key_file, &key);
        if (err != ERR_OK) {
            close(fd);
            goto out;
        }
        flags |= MHD_USE_TLS;
        tls[0] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, cert};
        tls[1] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, key};
        tls[2] = (struct MHD_OptionItem){
            MHD_OPTION_HTTPS_PRIORITIES, 0,
            (void *)(uintptr_t) "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"};
        tls[3] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    }
    (void)fail(ERR_OK, "the HTTP server cannot start");
    server->daemon =
        MHD_start_daemon(flags, options->port, NULL, NULL, http_request_step, server, /* */
                         MHD_OPTION_EXTERNAL_LOGGER, on_log, server, /* first, to hear all */
                         MHD_OPTION_LISTEN_SOCKET, fd,               /* */
                         MHD_OPTION_CONNECTION_LIMIT, options->connections_max, /* */
                         MHD_OPTION_CONNECTION_TIMEOUT, options->timeout_s,     /* */
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY_SIZE,
                         MHD_OPTION_STRICT_FOR_CLIENT, 1,                             /* */
                         MHD_OPTION_UNESCAPE_CALLBACK, http_text_unescape, NULL,      /* */
                         MHD_OPTION_NOTIFY_COMPLETED, http_request_completed, server, /* */
                         MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,         /* */
                         MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    if (!server->daemon) {
        err = ERR_IO;
        /* Some failures close the socket and some do not; nothing else has opened one since. */
        if (fcntl(fd, F_GETFD) >= 0)
            close(fd);
    }
out:
    free_secret(cert);
    free_secret(key);
    return err;
}

static bool copy_options(struct http_server *server, const struct http_server_options *options)
{
    size_t count = 0;

    while (options->hosts && options->hosts[count])
        count++;
    server->bind = strdup(options->bind);
    server->hosts = calloc(count + 1, sizeof(*server->hosts));
    server->routes = calloc(options->route_count + 1, sizeof(*server->routes));
    if (!server->bind || !server->hosts || !server->routes)
        return false;
    for (size_t i = 0; i < count; i++) {
        server->hosts[i] = strdup(options->hosts[i]);
        if (!server->hosts[i])
            return false;
    }
    if (options->route_count > 0)
        memcpy(server->routes, options->routes, options->route_count * sizeof(*server->routes));
    server->route_count = options->route_count;
    server->timeout_ms = options->timeout_s * 1000;
    server->heartbeat_ms = options->heartbeat_ms ? options->heartbeat_ms : HTTP_HEARTBEAT_MS;
    server->streams_max = options->streams_max;
    server->check_token = options->check_token;
    server->arg = options->arg;
    return true;
}

static enum err init_poll(struct http_server *server)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    int result;

    if (!info)
        return fail(ERR_IO, "libmicrohttpd has no epoll descriptor");
    result = uv_poll_init(server->loop, &server->poll, info->epoll_fd);
    if (result != 0)
        return fail(ERR_IO, "polling: %s", uv_strerror(result));
    uv_timer_init(server->loop, &server->timeout);
    uv_timer_init(server->loop, &server->tick);
    uv_prepare_init(server->loop, &server->resume);
    server->poll.data = server->timeout.data = server->tick.data = server->resume.data = server;
    server->open_handles = 4;
    uv_poll_start(&server->poll, UV_READABLE, on_poll);
    return ERR_OK;
}

enum err http_server_new(struct uv_loop_s *loop, const struct http_server_options *options,
                         struct http_server **ret_server, const char **ret_text)
{
    struct http_server *server = NULL;
    enum err err;
    int fd = -1;

    *ret_text = text_buf;
    if (options->connections_max < 1 || options->connections_max > HTTP_CONNECTIONS_MAX)
        return fail(ERR_RANGE, "connections_max must be 1 .. %d", HTTP_CONNECTIONS_MAX);
    if (options->timeout_s < 1 || options->timeout_s > 3600)
        return fail(ERR_RANGE, "timeout_s must be 1 .. 3600");
    if ((options->tls_cert_file != NULL) != (options->tls_key_file != NULL))
        return fail(ERR_RANGE, "TLS needs both a certificate and a key");
    server = calloc(1, sizeof(*server));
    if (!server)
        return fail(ERR_NO_MEMORY, "out of memory");
    server->loop = loop;
    link_init(&server->connections);
    link_init(&server->requests);
    link_init(&server->streams);
    if (!copy_options(server, options)) {
        err = fail(ERR_NO_MEMORY, "out of memory");
        goto out;
    }
    err = open_socket(server, options, &fd);
    if (err == ERR_OK)
        err = start_daemon(server, options, fd);
    if (err == ERR_OK)
        err = init_poll(server);
    if (err != ERR_OK)
        goto out;
    *ret_server = server;
    return ERR_OK;
out:
    if (server->daemon)
        MHD_stop_daemon(server->daemon);
    free_server(server);
    return err;
}
