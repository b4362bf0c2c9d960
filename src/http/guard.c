/*
 * guard.c - who may ask: Host, Origin, tokens.
 *
 * A web page of another site can make a browser send requests to us, also on loopback. Host stops a
 * name of theirs that resolves to our address; Origin stops their scripts; a token is needed for
 * all but the health.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "impl.h"

#define NAME_SIZE 256

struct authority {
    char name[NAME_SIZE]; /* lower case, without brackets */
    unsigned port;        /* 0: not given */
};

static bool parse_authority(const char *text, struct authority *ret_authority)
{
    const bool is_v6 = *text == '[';
    const size_t size = is_v6 ? strcspn(++text, "]") : strcspn(text, ":");
    const char *rest = text + size;

    if (size == 0 || size >= NAME_SIZE || (is_v6 && *rest++ != ']'))
        return false;
    for (size_t i = 0; i < size; i++) {
        const char c = text[i];

        ret_authority->name[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    ret_authority->name[size] = '\0';
    ret_authority->port = 0;
    if (*rest == '\0')
        return true;
    if (*rest++ != ':')
        return false;
    const size_t digits = strspn(rest, "0123456789");

    if (digits == 0 || digits > 5 || rest[digits] != '\0')
        return false;
    ret_authority->port = (unsigned)strtoul(rest, NULL, 10);
    return ret_authority->port >= 1 && ret_authority->port <= 65535;
}

static bool is_same_address(const char *a, const char *b)
{
    struct in6_addr a6, b6;

    if (strcmp(a, b) == 0)
        return true;
    return inet_pton(AF_INET6, a, &a6) == 1 && inet_pton(AF_INET6, b, &b6) == 1 &&
           memcmp(&a6, &b6, sizeof(a6)) == 0;
}

/* Bound to any address: the one that this client reached is ours. */
static bool is_local_address(struct MHD_Connection *connection, const char *name)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct sockaddr_storage storage = {0};
    socklen_t size = sizeof(storage);
    char text[INET6_ADDRSTRLEN];

    if (!info || getsockname(info->connect_fd, (struct sockaddr *)&storage, &size) != 0)
        return false;
    if (storage.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&storage;

        return inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text)) && strcmp(text, name) == 0;
    }
    if (storage.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&storage;

        if (!inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text)))
            return false;
        if (is_same_address(text, name))
            return true;
        return IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) &&
               inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], text, sizeof(text)) &&
               strcmp(text, name) == 0;
    }
    return false;
}

/* Whether a configured entry names `authority`: the name alone, or the name with this port. */
static bool is_configured(const struct http_server *server, const struct authority *authority,
                          bool is_port_checked, unsigned default_port)
{
    struct authority entry;
    const unsigned port = authority->port ? authority->port : default_port;

    for (char **host = server->hosts; host && *host; host++) {
        if (!parse_authority(*host, &entry) || strcmp(entry.name, authority->name) != 0)
            continue;
        if (!is_port_checked)
            return true;
        if (entry.port ? port == entry.port : port == default_port || port == server->port)
            return true;
    }
    return false;
}

static bool is_our_host(const struct http_server *server, struct MHD_Connection *connection,
                        const struct authority *host)
{
    return strcmp(host->name, "localhost") == 0 || strcmp(host->name, "127.0.0.1") == 0 ||
           is_same_address(host->name, "::1") ||
           (!server->is_any_address && is_same_address(host->name, server->bind)) ||
           (server->is_any_address && is_local_address(connection, host->name)) ||
           is_configured(server, host, false, 0);
}

bool http_guard_host(const struct http_server *server, struct MHD_Connection *connection,
                     const char **ret_detail)
{
    const char *text = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host");
    const char *origin = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Origin");
    struct authority host;
    struct authority from;
    unsigned default_port;

    if (!text || !parse_authority(text, &host) || !is_our_host(server, connection, &host)) {
        *ret_detail = "The Host header names none of this server's names; further names are "
                      "accepted when they are configured.";
        return false;
    }
    if (!origin)
        return true;
    *ret_detail = "The Origin header names another site: its pages may not use this server.";
    if (strncasecmp(origin, "http://", 7) == 0) {
        default_port = 80;
        origin += 7;
    } else if (strncasecmp(origin, "https://", 8) == 0) {
        default_port = 443;
        origin += 8;
    } else {
        return false;
    }
    if (!parse_authority(origin, &from))
        return false;
    const unsigned from_port = from.port ? from.port : default_port;
    const unsigned host_port = host.port ? host.port : default_port;

    return (is_same_address(from.name, host.name) && from_port == host_port) ||
           is_configured(server, &from, true, default_port);
}

/* Copies the cookie `name` of a Cookie header. */
static bool cookie_value(const char *cookies, const char *name, char *out, size_t out_size)
{
    const size_t name_size = strlen(name);

    while (*cookies) {
        cookies += strspn(cookies, "; \t");
        const size_t size = strcspn(cookies, ";");

        if (size > name_size && strncmp(cookies, name, name_size) == 0 &&
            cookies[name_size] == '=') {
            const char *value = cookies + name_size + 1;
            size_t value_size = size - name_size - 1;

            while (value_size > 0 && value[value_size - 1] == ' ')
                value_size--;
            if (value_size >= out_size)
                return false;
            memcpy(out, value, value_size);
            out[value_size] = '\0';
            return true;
        }
        cookies += size;
    }
    return false;
}

unsigned http_guard_access(const struct http_server *server, struct http_request *request,
                           struct MHD_Connection *connection, const char **ret_detail)
{
    const char *header = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
    const char *cookies = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Cookie");
    char token[HTTP_TOKEN_SIZE_MAX] = "";
    bool is_cookie = false;

    if (request->route->access == HTTP_ACCESS_NONE)
        return 0;
    if (header && strncasecmp(header, "Bearer ", 7) == 0) {
        header += 7;
        header += strspn(header, " ");
        if (strlen(header) < sizeof(token))
            memcpy(token, header, strlen(header) + 1);
    } else if (!header && cookies) {
        is_cookie = cookie_value(cookies, "fuotad_token", token, sizeof(token));
    }
    if (token[0] == '\0') {
        *ret_detail = "A token is needed: Authorization: Bearer <token>.";
        return 401;
    }
    request->granted = server->check_token(server->arg, token);
    explicit_bzero(token, sizeof(token));
    if (request->granted == HTTP_ACCESS_NOT_YET) {
        *ret_detail = "The tokens are not read yet: ask again.";
        return 503;
    }
    if (request->granted == HTTP_ACCESS_NONE) {
        *ret_detail = "The token is unknown.";
        return 401;
    }
    if (request->granted < request->route->access) {
        *ret_detail = "The token allows reading only.";
        return 403;
    }
    if (is_cookie && strcmp(request->route->method, "GET") != 0 &&
        !MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Origin")) {
        *ret_detail = "A change with the token in a cookie needs an Origin header.";
        return 403;
    }
    return 0;
}
