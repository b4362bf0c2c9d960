/* http_test.c - requests and their answers: what the server checks, holds, limits and drops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "http/client.h"
#include "http/server.h"

struct world {
    uv_loop_t loop;
    struct http_server *server;
    uint16_t port;
    struct http_request *held; /* by the handler of /held */
    unsigned held_count;
    bool is_closed;
};

static struct client client; /* large */

static void on_echo(void *arg, struct http_request *request)
{
    size_t size;
    const uint8_t *body = http_body(request, &size);
    char text[512];

    (void)arg;
    snprintf(text, sizeof(text),
             "{\"id\":\"%s\",\"sub\":\"%s\",\"q\":\"%s\",\"size\":%zu,\"first\":%u,\"last\":%u}",
             http_param(request, "id"), http_param(request, "sub"),
             http_query(request, "q") ? http_query(request, "q") : "none", size,
             size ? body[0] : 0u, size ? body[size - 1] : 0u);
    http_answer_json(request, 200, text);
}

static void on_held(void *arg, struct http_request *request)
{
    struct world *world = arg;

    world->held = request;
    world->held_count++;
}

static void on_created(void *arg, struct http_request *request)
{
    (void)arg;
    http_answer_header(request, "Set-Cookie", "a=b");
    http_answer_location(request, 201, "/things/1", "{}");
}

static void on_wrong(void *arg, struct http_request *request)
{
    (void)arg;
    http_answer_problem(request, 422, "The size is \"wrong\".", "size",
                        "[{\"field\":\"size\",\"detail\":\"wrong\"}]");
}

static void on_delete(void *arg, struct http_request *request)
{
    (void)arg;
    http_answer_empty(request, 204);
}

static void on_page(void *arg, struct http_request *request)
{
    (void)arg;
    http_answer_text(request, 200, "text/html; charset=utf-8", http_method(request));
}

#define MIB             (1024u * 1024)
#define CONNECTIONS_MAX 6

static const struct http_route routes[] = {
    {"GET", "/", HTTP_ACCESS_NONE, 0, NULL, on_page},
    {"GET", "/things/{id}/{sub}", HTTP_ACCESS_READ, 0, NULL, on_echo},
    {"POST", "/things/{id}/{sub}", HTTP_ACCESS_WRITE, 1000, "application/json", on_echo},
    {"POST", "/blobs/{id}/{sub}", HTTP_ACCESS_WRITE, 16 * MIB, "application/octet-stream", on_echo},
    {"GET", "/held", HTTP_ACCESS_NONE, 0, NULL, on_held},
    {"POST", "/held", HTTP_ACCESS_NONE, 16 * MIB, "application/octet-stream", on_held},
    {"POST", "/things", HTTP_ACCESS_WRITE, 0, NULL, on_created},
    {"GET", "/wrong", HTTP_ACCESS_NONE, 0, NULL, on_wrong},
    {"DELETE", "/things/{id}", HTTP_ACCESS_WRITE, 0, NULL, on_delete},
};

static enum http_access check_token(void *arg, const char *token)
{
    (void)arg;
    if (strcmp(token, READ_TOKEN) == 0)
        return HTTP_ACCESS_READ;
    if (strcmp(token, EARLY_TOKEN) == 0)
        return HTTP_ACCESS_NOT_YET;
    return strcmp(token, WRITE_TOKEN) == 0 ? HTTP_ACCESS_WRITE : HTTP_ACCESS_NONE;
}

static const char *const hosts[] = {"Fuota.example.org", "other.example.org:8443", NULL};

static struct http_server_options options_of(struct world *world)
{
    return (struct http_server_options){
        .bind = "127.0.0.1",
        .hosts = hosts,
        .connections_max = CONNECTIONS_MAX,
        .timeout_s = 1,
        .streams_max = 2,
        .routes = routes,
        .route_count = sizeof(routes) / sizeof(routes[0]),
        .check_token = check_token,
        .arg = world,
    };
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    struct http_server_options options = options_of(world);
    const char *text;

    assert_non_null(world);
    assert_int_equal(uv_loop_init(&world->loop), 0);
    assert_int_equal(http_server_new(&world->loop, &options, &world->server, &text), ERR_OK);
    world->port = http_server_port(world->server);
    *state = world;
    return 0;
}

static void on_closed(void *arg)
{
    ((struct world *)arg)->is_closed = true;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    if (world->server) {
        http_server_close(world->server, on_closed, world);
        uv_run(&world->loop, UV_RUN_DEFAULT);
        assert_true(world->is_closed);
    }
    assert_int_equal(uv_loop_close(&world->loop), 0);
    free(world);
    return 0;
}

static unsigned ask_once(struct world *world, const char *text)
{
    return ask(&client, &world->loop, world->port, text);
}

static void params_and_query_reach_the_handler_decoded(void **state)
{
    struct world *world = *state;

    assert_int_equal(
        ask_once(world, "GET /things/a%20b/c?x=1&q=%C3%A4+b HTTP/1.1\r\n" WITH_TOKEN "\r\n"), 200);
    assert_non_null(strstr(client.data, "\"id\":\"a b\",\"sub\":\"c\",\"q\":\"\xC3\xA4 b\""));
    assert_non_null(strstr(client.data, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(client.data, "Cache-Control: no-store\r\n"));
    assert_non_null(strstr(client.data, "X-Content-Type-Options: nosniff\r\n"));
    assert_int_equal(ask_once(world, "GET /things/a/c?q HTTP/1.1\r\n" WITH_TOKEN "\r\n"), 200);
    assert_non_null(strstr(client.data, "\"q\":\"\""));
    assert_int_equal(ask_once(world, "GET /things/a/c HTTP/1.1\r\n" WITH_TOKEN "\r\n"), 200);
    assert_non_null(strstr(client.data, "\"q\":\"none\""));
}

static void what_is_no_clean_text_is_a_bad_request(void **state)
{
    struct world *world = *state;
    static const char *const paths[] = {
        "/things/%e0%82%a9/c",     "/things/%f4%90%80%80/c", "/things/a%00b/c",
        "/things/%ff/c",           "/things/%c0%af/c",       "/things/a%/c",
        "/things/%zz/c",           "/things/%0a/c",          "/things/a/c?q=%00",
        "/things/a/c?q=%ed%a0%80", "/things/a/c?%80=1",      "/things/%c2%85/c",
        "/things/a/c?q=%1",
    };
    char text[512];

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n" WITH_TOKEN "\r\n", paths[i]);
        assert_int_equal(ask_once(world, text), 400);
    }
    /* more members than HTTP_QUERY_MAX */
    snprintf(text, sizeof(text), "GET /things/a/c?a");
    for (unsigned i = 0; i < HTTP_QUERY_MAX; i++)
        strcat(text, "&a");
    strcat(text, " HTTP/1.1\r\n" WITH_TOKEN "\r\n");
    assert_int_equal(ask_once(world, text), 400);
}

static void an_unknown_path_is_not_found(void **state)
{
    struct world *world = *state;

    assert_int_equal(ask_once(world, "GET /nothing HTTP/1.1\r\n" WITH_TOKEN "\r\n"), 404);
    assert_non_null(strstr(client.data, "Content-Type: application/problem+json\r\n"));
    assert_non_null(strstr(client.data, "\"title\":\"Not Found\",\"status\":404,\"detail\":"));
    assert_int_equal(ask_once(world, "GET /things//c HTTP/1.1\r\n" WITH_TOKEN "\r\n"), 404);
    assert_int_equal(ask_once(world, "GET /things/a/b/c HTTP/1.1\r\n" WITH_TOKEN "\r\n"), 404);
    assert_int_equal(ask_once(world, "GET /things/a/ HTTP/1.1\r\n" WITH_TOKEN "\r\n"), 404);
}

static void a_wrong_method_is_answered_with_those_allowed(void **state)
{
    struct world *world = *state;

    assert_int_equal(ask_once(world, "DELETE /things/a/c HTTP/1.1\r\n" WITH_TOKEN "\r\n"), 405);
    assert_non_null(strstr(client.data, "Allow: GET, HEAD, POST\r\n"));
    assert_int_equal(ask_once(world, "GET /things/a HTTP/1.1\r\n" WITH_TOKEN "\r\n"), 405);
    assert_non_null(strstr(client.data, "Allow: DELETE\r\n"));
}

static void head_is_answered_like_get_without_a_body(void **state)
{
    struct world *world = *state;

    assert_int_equal(ask_once(world, "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n"), 200);
    assert_non_null(strstr(client.data, "Content-Length: 4\r\n"));
    assert_string_equal(strstr(client.data, "\r\n\r\n"), "\r\n\r\n");
}

static void other_sites_are_refused(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *headers;
        unsigned status;
    } cases[] = {
        {"Host: localhost\r\n", 200},
        {"Host: LOCALHOST:9000\r\n", 200}, /* a forwarded port */
        {"Host: 127.0.0.1:8090\r\n", 200},
        {"Host: [::1]:8090\r\n", 200},
        {"Host: [0:0:0:0:0:0:0:1]\r\n", 200},
        {"Host: fuota.example.org\r\n", 200},
        {"Host: other.example.org:8443\r\n", 200},
        {"Host: evil.example.org\r\n", 403},
        {"Host: localhost.evil.org\r\n", 403},
        {"Host: 127.0.0.2\r\n", 403},
        {"Host: localhost:80x\r\n", 403},
        {"Host: localhost:\r\n", 403},
        {"Host: [::1\r\n", 403},
        {"Host: localhost:8090\r\nOrigin: http://localhost:8090\r\n", 200},
        {"Host: localhost\r\nOrigin: http://localhost\r\n", 200},
        {"Host: localhost:8090\r\nOrigin: http://localhost:3000\r\n", 403}, /* another program */
        {"Host: localhost:8090\r\nOrigin: http://127.0.0.1:8090\r\n", 403},
        {"Host: localhost:8090\r\nOrigin: null\r\n", 403},
        {"Host: localhost:8090\r\nOrigin: https://evil.example.org\r\n", 403},
        {"Host: localhost:8090\r\nOrigin: https://fuota.example.org\r\n", 200}, /* behind a proxy */
        {"Host: localhost:8090\r\nOrigin: https://fuota.example.org:444\r\n", 403},
        {"Host: localhost:8090\r\nOrigin: https://other.example.org:8443\r\n", 200},
        {"Host: localhost:8090\r\nOrigin: https://other.example.org\r\n", 403},
        {"Host: localhost:8090\r\nOrigin: file://localhost:8090\r\n", 403},
    };
    char text[512];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n%s\r\n", cases[i].headers);
        if (ask_once(world, text) != cases[i].status)
            fail_msg("%s gave %s", cases[i].headers, client.data);
    }
}

static void a_token_is_needed_and_grants_what_it_grants(void **state)
{
    struct world *world = *state;

#define GET_THING    "GET /things/a/c HTTP/1.1\r\nHost: localhost\r\n"
#define DELETE_THING "DELETE /things/a HTTP/1.1\r\nHost: localhost\r\n"
    assert_int_equal(ask_once(world, GET_THING "\r\n"), 401);
    assert_non_null(strstr(client.data, "WWW-Authenticate: Bearer realm=\"fuotad\"\r\n"));
    assert_int_equal(ask_once(world, GET_THING "Authorization: Bearer x\r\n\r\n"), 401);
    assert_int_equal(ask_once(world, GET_THING "Authorization: Bearer \r\n\r\n"), 401);
    assert_int_equal(ask_once(world, GET_THING "Authorization: Basic " READ_TOKEN "\r\n\r\n"), 401);
    assert_int_equal(ask_once(world, GET_THING "Authorization: Bearer " EARLY_TOKEN "\r\n\r\n"),
                     503);
    assert_non_null(strstr(client.data, "Retry-After: 1\r\n"));
    assert_int_equal(ask_once(world, GET_THING "Authorization: bearer " READ_TOKEN "\r\n\r\n"),
                     200);
    assert_int_equal(ask_once(world, GET_THING "Cookie: fuotad_token=" READ_TOKEN "\r\n\r\n"), 200);
    assert_int_equal(
        ask_once(world, GET_THING "Cookie: a=b; fuotad_token=" READ_TOKEN " ; c=d\r\n\r\n"), 200);
    assert_int_equal(ask_once(world, GET_THING "Cookie: xfuotad_token=" READ_TOKEN "\r\n\r\n"),
                     401);
    assert_int_equal(ask_once(world, DELETE_THING "Authorization: Bearer " READ_TOKEN "\r\n\r\n"),
                     403);
    assert_int_equal(ask_once(world, DELETE_THING "Authorization: Bearer " WRITE_TOKEN "\r\n\r\n"),
                     204);
    /* a cookie is sent by any page: a change with it must say where it comes from */
    assert_int_equal(ask_once(world, DELETE_THING "Cookie: fuotad_token=" WRITE_TOKEN "\r\n\r\n"),
                     403);
    assert_int_equal(ask_once(world, DELETE_THING "Origin: http://localhost\r\n"
                                                  "Cookie: fuotad_token=" WRITE_TOKEN "\r\n\r\n"),
                     204);
}

static void a_body_is_read_whole_before_the_handler(void **state)
{
    struct world *world = *state;

    client_open(&client, &world->loop, world->port);
    client_send(&client, "POST /things/a/c HTTP/1.1\r\n" WITH_TOKEN
                         "Content-Type: application/json; charset=utf-8\r\n"
                         "Content-Length: 6\r\n\r\n{ ");
    run_for(&world->loop, 20);
    assert_int_equal(client_ask(&client, "   }"), 200);
    assert_non_null(strstr(client.data, "\"size\":6,\"first\":123,\"last\":125"));
    /* the connection goes on; a body in pieces */
    assert_int_equal(client_ask(&client, "POST /things/a/c HTTP/1.1\r\n" WITH_TOKEN
                                         "Content-Type: APPLICATION/JSON\r\n"
                                         "Transfer-Encoding: chunked\r\n\r\n"
                                         "1\r\n{\r\n2\r\n }\r\n0\r\n\r\n"),
                     200);
    assert_non_null(strstr(client.data, "\"size\":3,\"first\":123,\"last\":125"));
    client_close(&client);
}

static void a_large_body_arrives(void **state)
{
    struct world *world = *state;
    const size_t size = 16 * MIB;
    uint8_t *data = malloc(size);

    assert_non_null(data);
    memset(data, 7, size);
    data[size - 1] = 9;
    client_open(&client, &world->loop, world->port);
    client_send(&client, "POST /blobs/a/c HTTP/1.1\r\n" WITH_TOKEN
                         "Content-Type: application/octet-stream\r\n"
                         "Content-Length: 16777216\r\n\r\n");
    for (size_t sent = 0; sent < size;) {
        const size_t n = client_send_octets(&client, data + sent, size - sent);

        assert_true(n > 0);
        sent += n;
    }
    assert_int_equal(client_ask(&client, ""), 200);
    assert_non_null(strstr(client.data, "\"size\":16777216,\"first\":7,\"last\":9"));
    client_close(&client);
    free(data);
}

static void a_body_that_is_too_large_is_refused(void **state)
{
    struct world *world = *state;
    char text[4096];

#define POST_THING "POST /things/a/c HTTP/1.1\r\n" WITH_TOKEN "Content-Type: application/json\r\n"
    /* the body is read all the same, so that a client that writes first sees the answer */
    snprintf(text, sizeof(text), POST_THING "Content-Length: 1001\r\n\r\n%1001s", "x");
    assert_int_equal(ask_once(world, text), 413);
    assert_non_null(strstr(client.data, "1000 octets"));
    /* asked first */
    assert_int_equal(ask_once(world, POST_THING "Content-Length: 1001\r\n"
                                                "Expect: 100-continue\r\n\r\n"),
                     413);
    /* in pieces: seen while reading */
    snprintf(text, sizeof(text),
             POST_THING "Transfer-Encoding: chunked\r\n\r\n3e9\r\n%1001s\r\n"
                        "0\r\n\r\n",
             "x");
    assert_int_equal(ask_once(world, text), 413);
    /* too much even to throw away */
    assert_int_equal(ask_once(world, POST_THING "Content-Length: 99999999999\r\n\r\n"), 413);
    assert_int_equal(
        ask_once(world, "POST /things HTTP/1.1\r\n" WITH_TOKEN "Content-Length: 1\r\n\r\nx"), 413);
    /* just right */
    snprintf(text, sizeof(text), POST_THING "Content-Length: 1000\r\n\r\n%1000s", "x");
    assert_int_equal(ask_once(world, text), 200);
}

static void a_body_of_another_type_is_refused(void **state)
{
    struct world *world = *state;

#define POST_TWO "POST /things/a/c HTTP/1.1\r\n" WITH_TOKEN "Content-Length: 2\r\n"
    assert_int_equal(ask_once(world, POST_TWO "Content-Type: text/plain\r\n\r\n{}"), 415);
    assert_non_null(strstr(client.data, "The body must be application/json."));
    assert_int_equal(ask_once(world, POST_TWO "\r\n{}"), 415);
    assert_int_equal(ask_once(world, POST_TWO "Content-Type: application/jsonx\r\n\r\n{}"), 415);
}

static void a_body_of_two_sizes_is_refused(void **state)
{
    struct world *world = *state;

    assert_int_equal(ask_once(world, POST_TWO "Content-Type: application/json\r\n"
                                              "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
                     400);
}

static void a_refused_body_is_not_kept(void **state)
{
    struct world *world = *state;

    /* without a token nothing is held in memory, whatever the size: 401 after the body */
    client_open(&client, &world->loop, world->port);
    client_send(&client, "POST /blobs/a/c HTTP/1.1\r\nHost: localhost\r\n"
                         "Content-Type: application/octet-stream\r\n"
                         "Content-Length: 100000\r\n\r\n");
    assert_false(strstr(client.data, "401"));
    char *zeros = calloc(1, 100000);

    assert_int_equal(client_send_octets(&client, zeros, 100000), 100000);
    free(zeros);
    assert_int_equal(client_ask(&client, ""), 401);
    client_close(&client);
}

static void an_answer_may_come_later(void **state)
{
    struct world *world = *state;

    client_open(&client, &world->loop, world->port);
    client_send(&client, "GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n");
    run_for(&world->loop, 1500); /* longer than the timeout of a connection */
    assert_non_null(world->held);
    assert_int_equal(client.size, 0);
    http_answer_json(world->held, 200, "{\"late\":true}");
    assert_true(client_sees(&client, "{\"late\":true}"));
    /* and the connection is as new */
    assert_int_equal(client_ask(&client, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), 200);
    client_close(&client);
}

static void an_answer_to_nobody_is_dropped(void **state)
{
    struct world *world = *state;

    client_open(&client, &world->loop, world->port);
    client_send(&client, "GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n");
    run_for(&world->loop, 20);
    client_close(&client);
    run_for(&world->loop, 20);
    assert_string_equal(http_method(world->held), "GET"); /* still valid */
    http_answer_json(world->held, 200, "{}");
    run_for(&world->loop, 20);
    assert_int_equal(ask_once(world, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), 200);
}

static void a_problem_names_its_field(void **state)
{
    struct world *world = *state;

    assert_int_equal(ask_once(world, "GET /wrong HTTP/1.1\r\nHost: localhost\r\n\r\n"), 422);
    assert_non_null(strstr(client.data, "\"detail\":\"The size is \\\"wrong\\\".\","
                                        "\"field\":\"size\",\"errors\":[{\"field\":\"size\","
                                        "\"detail\":\"wrong\"}]}"));
}

static void what_is_created_has_its_place(void **state)
{
    struct world *world = *state;

    assert_int_equal(
        ask_once(world, "POST /things HTTP/1.1\r\n" WITH_TOKEN "Content-Length: 0\r\n\r\n"), 201);
    assert_non_null(strstr(client.data, "Location: /things/1\r\n"));
    assert_non_null(strstr(client.data, "Set-Cookie: a=b\r\n"));
}

static void connections_beyond_the_limit_wait(void **state)
{
    struct world *world = *state;
    struct client *clients = calloc(CONNECTIONS_MAX, sizeof(*clients));

    assert_non_null(clients);
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        client_open(&clients[i], &world->loop, world->port);
        assert_int_equal(client_ask(&clients[i], "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), 200);
    }
    client_open(&client, &world->loop, world->port);
    client_send(&client, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    run_for(&world->loop, 50);
    assert_int_equal(recv(client.fd, client.data, 1, MSG_DONTWAIT), -1);
    client_close(&clients[0]);
    assert_true(client_sees(&client, "HTTP/1.1 200"));
    for (int i = 1; i < CONNECTIONS_MAX; i++)
        client_close(&clients[i]);
    client_close(&client);
    free(clients);
}

static void a_silent_connection_is_closed(void **state)
{
    struct world *world = *state;

    client_open(&client, &world->loop, world->port);
    assert_true(client_sees_close(&client, 4000));
    client_close(&client);
}

static void a_slow_body_is_not_waited_for(void **state)
{
    struct world *world = *state;
    const uint64_t start = uv_hrtime();

    /* an octet now and then keeps the connection's timeout away, but not the body's deadline */
    client_open(&client, &world->loop, world->port);
    client_send(&client, POST_THING "Content-Length: 1000\r\n\r\n");
    while (!client.is_closed && uv_hrtime() - start < 6000000000u) {
        (void)client_send_octets(&client, "x", 1);
        (void)client_sees_close(&client, 100);
    }
    assert_true(client.is_closed);
    client_close(&client);
}

static void a_slow_head_is_not_waited_for(void **state)
{
    struct world *world = *state;
    const uint64_t start = uv_hrtime();

    client_open(&client, &world->loop, world->port);
    client_send(&client, "GET / HTTP/1.1\r\nHost: localhost\r\nX: ");
    while (!client.is_closed && uv_hrtime() - start < 8000000000u) {
        (void)client_send_octets(&client, "x", 1);
        (void)client_sees_close(&client, 100);
    }
    assert_true(client.is_closed);
    client_close(&client);
}

/* Returns how many requests came to be held, and waits for as many as are expected. */
static unsigned upload(struct world *world, struct client *from, const uint8_t *data, size_t size,
                       unsigned expected)
{
    const unsigned before = world->held_count;

    client_forget(from);
    client_send(from, "POST /held HTTP/1.1\r\nHost: localhost\r\n"
                      "Content-Type: application/octet-stream\r\n"
                      "Content-Length: 16777216\r\n\r\n");
    for (size_t sent = 0; sent < size;) {
        const size_t n = client_send_octets(from, data + sent, size - sent);

        assert_true(n > 0);
        sent += n;
    }
    run_for(&world->loop, 50);
    for (unsigned i = 0; i < 100 && world->held_count - before < expected; i++)
        run_for(&world->loop, 50);
    return world->held_count - before;
}

static void all_bodies_together_are_limited(void **state)
{
    struct world *world = *state;
    const size_t size = 16 * MIB;
    const unsigned count = HTTP_BODIES_SIZE_MAX / (16 * MIB);
    uint8_t *data = calloc(1, size);
    struct http_request *held[4];
    struct client *clients = calloc(count + 1, sizeof(*clients));

    assert_int_equal(count, 4);
    assert_non_null(data);
    assert_non_null(clients);
    for (unsigned i = 0; i < count; i++) {
        client_open(&clients[i], &world->loop, world->port);
        assert_int_equal(upload(world, &clients[i], data, size, 1), 1);
        held[i] = world->held;
    }
    client_open(&clients[count], &world->loop, world->port);
    assert_int_equal(upload(world, &clients[count], data, size, 0), 0);
    assert_true(client_sees(&clients[count], "HTTP/1.1 503"));
    assert_non_null(strstr(clients[count].data, "Retry-After: 5\r\n"));
    /* one body less: there is room again */
    http_answer_empty(held[0], 204);
    assert_true(client_sees(&clients[0], "HTTP/1.1 204"));
    assert_int_equal(upload(world, &clients[count], data, size, 1), 1);
    held[0] = world->held;
    for (unsigned i = 0; i < count; i++)
        http_answer_empty(held[i], 204);
    assert_true(client_sees(&clients[count], "HTTP/1.1 204"));
    for (unsigned i = 0; i <= count; i++)
        client_close(&clients[i]);
    free(clients);
    free(data);
}

static void a_server_closes_with_open_requests(void **state)
{
    struct world *world = *state;
    static struct client half;

    client_open(&client, &world->loop, world->port);
    client_send(&client, "GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client_open(&half, &world->loop, world->port);
    client_send(&half, POST_THING "Content-Length: 1000\r\n\r\n{");
    run_for(&world->loop, 20);
    assert_non_null(world->held);
    http_server_close(world->server, on_closed, world);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_true(world->is_closed);
    world->server = NULL;
    assert_true(client_sees_close(&client, 100));
    assert_true(client_sees_close(&half, 100));
    assert_string_equal(http_method(world->held), "GET"); /* still valid */
    http_answer_json(world->held, 200, "{}");             /* frees it */
    client_close(&client);
    client_close(&half);
}

static void what_was_answered_before_the_close_is_sent(void **state)
{
    struct world *world = *state;

    client_open(&client, &world->loop, world->port);
    client_send(&client, "GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n");
    run_for(&world->loop, 20);
    http_answer_json(world->held, 200, "{\"last\":true}");
    http_server_close(world->server, on_closed, world);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    world->server = NULL;
    assert_true(client_sees(&client, "{\"last\":true}"));
    client_close(&client);
}

static void wrong_options_are_said(void **state)
{
    struct world *world = *state;
    struct http_server_options options = options_of(world);
    struct http_server *server = NULL;
    const char *text = NULL;

    options.bind = "localhost";
    assert_int_equal(http_server_new(&world->loop, &options, &server, &text), ERR_RANGE);
    assert_string_equal(text, "localhost is no IPv4 or IPv6 address");
    options.bind = "127.0.0.1";
    options.port = world->port;
    assert_int_equal(http_server_new(&world->loop, &options, &server, &text), ERR_IO);
    assert_non_null(strstr(text, "Address already in use"));
    options.port = 0;
    options.connections_max = 0;
    assert_int_equal(http_server_new(&world->loop, &options, &server, &text), ERR_RANGE);
    options.connections_max = HTTP_CONNECTIONS_MAX + 1;
    assert_int_equal(http_server_new(&world->loop, &options, &server, &text), ERR_RANGE);
    options.connections_max = 1;
    options.tls_cert_file = "/nonexistent.pem";
    assert_int_equal(http_server_new(&world->loop, &options, &server, &text), ERR_RANGE);
    options.tls_key_file = "/nonexistent.pem";
    assert_int_equal(http_server_new(&world->loop, &options, &server, &text), ERR_IO);
    assert_string_equal(text, "/nonexistent.pem: No such file or directory");
    options.tls_cert_file = options.tls_key_file = FUOTAD_SOURCE_DIR "/CMakeLists.txt";
    assert_int_equal(http_server_new(&world->loop, &options, &server, &text), ERR_IO);
    assert_null(server);
}

static void any_address_accepts_the_one_that_was_reached(void **state)
{
    struct world *world = *state;
    struct http_server_options options = options_of(world);
    struct world other = {0};
    const char *text;

    options.bind = "::";
    assert_int_equal(http_server_new(&world->loop, &options, &other.server, &text), ERR_OK);
    other.port = http_server_port(other.server);
    assert_int_equal(
        ask(&client, &world->loop, other.port, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"), 200);
    assert_int_equal(
        ask(&client, &world->loop, other.port, "GET / HTTP/1.1\r\nHost: 127.0.0.3\r\n\r\n"), 403);
    http_server_close(other.server, on_closed, &other);
    while (!other.is_closed)
        uv_run(&world->loop, UV_RUN_ONCE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(params_and_query_reach_the_handler_decoded),
        TEST(what_is_no_clean_text_is_a_bad_request),
        TEST(an_unknown_path_is_not_found),
        TEST(a_wrong_method_is_answered_with_those_allowed),
        TEST(head_is_answered_like_get_without_a_body),
        TEST(other_sites_are_refused),
        TEST(a_token_is_needed_and_grants_what_it_grants),
        TEST(a_body_is_read_whole_before_the_handler),
        TEST(a_large_body_arrives),
        TEST(a_body_that_is_too_large_is_refused),
        TEST(a_body_of_another_type_is_refused),
        TEST(a_body_of_two_sizes_is_refused),
        TEST(a_refused_body_is_not_kept),
        TEST(an_answer_may_come_later),
        TEST(an_answer_to_nobody_is_dropped),
        TEST(a_problem_names_its_field),
        TEST(what_is_created_has_its_place),
        TEST(connections_beyond_the_limit_wait),
        TEST(a_silent_connection_is_closed),
        TEST(a_slow_body_is_not_waited_for),
        TEST(a_slow_head_is_not_waited_for),
        TEST(all_bodies_together_are_limited),
        TEST(a_server_closes_with_open_requests),
        TEST(what_was_answered_before_the_close_is_sent),
        TEST(wrong_options_are_said),
        TEST(any_address_accepts_the_one_that_was_reached),
    };
    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
