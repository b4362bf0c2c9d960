/* route.c - from a method and a path to a route. */
#include <string.h>

#include "impl.h"

/* Whether `path` fits `pattern`; `starts` and `sizes` get the segments at its placeholders. */
static bool fits(const char *pattern, char *path, char *starts[HTTP_PARAMS_MAX],
                 size_t sizes[HTTP_PARAMS_MAX])
{
    size_t count = 0;

    while (*pattern && *path) {
        if (*pattern == '{') {
            const size_t size = strcspn(path, "/");

            if (size == 0)
                return false;
            starts[count] = path;
            sizes[count] = size;
            count++;
            path += size;
            pattern += strcspn(pattern, "}") + 1;
        } else if (*pattern == *path) {
            pattern++;
            path++;
        } else {
            return false;
        }
    }
    return *pattern == *path;
}

static void add_method(char *allow, size_t allow_size, const char *method)
{
    const size_t size = strlen(allow);
    const size_t more = strlen(method);

    if (size + more + 3 > allow_size)
        return;
    if (size > 0)
        memcpy(allow + size, ", ", 3);
    memcpy(allow + strlen(allow), method, more + 1);
}

const struct http_route *http_route_find(const struct http_server *server, const char *method,
                                         char *path, char *params[HTTP_PARAMS_MAX], char *allow,
                                         size_t allow_size)
{
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;

    allow[0] = '\0';
    for (size_t i = 0; i < server->route_count; i++) {
        const struct http_route *route = &server->routes[i];
        char *starts[HTTP_PARAMS_MAX] = {NULL};
        size_t sizes[HTTP_PARAMS_MAX] = {0};

        if (!fits(route->path, path, starts, sizes))
            continue;
        if (strcmp(route->method, wanted) != 0) {
            if (!strstr(allow, route->method))
                add_method(allow, allow_size, route->method);
            if (strcmp(route->method, "GET") == 0 && !strstr(allow, "HEAD"))
                add_method(allow, allow_size, "HEAD");
            continue;
        }
        for (size_t k = 0; k < HTTP_PARAMS_MAX && starts[k]; k++) {
            params[k] = starts[k];
            starts[k][sizes[k]] = '\0';
        }
        return route;
    }
    return NULL;
}
