/* stream_test.c - live events: several clients, limits, heartbeats, clients that lag or leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <cmocka.h>

#include "http/client.h"
#include "http/server.h"

#define STREAMS_MAX 3

struct world {
    uv_loop_t loop;
    struct http_server *server;
    uint16_t port;
    struct http_stream *streams[16];
    unsigned stream_count; /* opened so far */
    unsigned end_count;
    bool is_closed;
};

static struct client clients[4];

static void on_end(void *arg)
{
    ((struct world *)arg)->end_count++;
}

static void on_events(void *arg, struct http_request *request)
{
    struct world *world = arg;
    struct http_stream *stream = http_answer_stream(request, on_end, world);

    if (stream)
        world->streams[world->stream_count++] = stream;
}

static const struct http_route routes[] = {
    {"GET", "/events", HTTP_ACCESS_NONE, 0, NULL, on_events},
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    const struct http_server_options options = {
        .bind = "127.0.0.1",
        .connections_max = 20,
        .timeout_s = 1,
        .streams_max = STREAMS_MAX,
        .heartbeat_ms = 100,
        .routes = routes,
        .route_count = 1,
        .arg = world,
    };
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

static void close_server(struct world *world)
{
    http_server_close(world->server, on_closed, world);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_true(world->is_closed);
    world->server = NULL;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    if (world->server)
        close_server(world);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    free(world);
    return 0;
}

static void follow(struct world *world, struct client *client)
{
    client_open(client, &world->loop, world->port);
    client_send(client, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_true(client_sees(client, "retry: 2000\n\n"));
    assert_non_null(strstr(client->data, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(client->data, "Content-Type: text/event-stream\r\n"));
}

static void every_client_gets_every_event(void **state)
{
    struct world *world = *state;

    for (unsigned i = 0; i < STREAMS_MAX; i++)
        follow(world, &clients[i]);
    for (unsigned i = 0; i < STREAMS_MAX; i++) {
        http_stream_send(world->streams[i], "7", "note", "{\"a\":1}");
        http_stream_send(world->streams[i], NULL, NULL, "{\"a\":2}");
    }
    for (unsigned i = 0; i < STREAMS_MAX; i++)
        assert_true(client_sees(&clients[i], "id: 7\nevent: note\ndata: {\"a\":1}\n\n"
                                             "data: {\"a\":2}\n\n"));
    /* and again, after all of them were idle */
    run_for(&world->loop, 20);
    for (unsigned i = 0; i < STREAMS_MAX; i++) {
        http_stream_send(world->streams[i], NULL, "x", "3");
        assert_true(client_sees(&clients[i], "event: x\ndata: 3\n\n"));
    }
    assert_int_equal(world->end_count, 0);
    for (unsigned i = 0; i < STREAMS_MAX; i++)
        client_close(&clients[i]);
}

static void streams_beyond_the_limit_are_refused(void **state)
{
    struct world *world = *state;

    for (unsigned i = 0; i < STREAMS_MAX; i++)
        follow(world, &clients[i]);
    assert_int_equal(ask(&clients[3], &world->loop, world->port,
                         "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                     503);
    assert_non_null(strstr(clients[3].data, "Retry-After: 10\r\n"));
    /* a place is free again when one leaves, which the heartbeat finds out */
    client_close(&clients[0]);
    run_for(&world->loop, 500);
    assert_int_equal(world->end_count, 1);
    follow(world, &clients[0]);
    for (unsigned i = 0; i < STREAMS_MAX; i++)
        client_close(&clients[i]);
}

static void a_silent_stream_has_heartbeats_and_no_timeout(void **state)
{
    struct world *world = *state;

    follow(world, &clients[0]);
    client_forget(&clients[0]);
    run_for(&world->loop, 2500); /* more than twice the timeout of a connection */
    assert_true(client_sees(&clients[0], ":\n\n"));
    http_stream_send(world->streams[0], NULL, NULL, "1");
    assert_true(client_sees(&clients[0], "data: 1\n\n"));
    assert_int_equal(world->end_count, 0);
    client_close(&clients[0]);
}

static void idle_streams_cost_no_time(void **state)
{
    struct world *world = *state;
    struct timespec before, after;
    double spent;

    for (unsigned i = 0; i < STREAMS_MAX; i++)
        follow(world, &clients[i]);
    uv_run(&world->loop, UV_RUN_NOWAIT);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    const uint64_t end = uv_hrtime() + 1000000000u;

    while (uv_hrtime() < end)
        uv_run(&world->loop, UV_RUN_ONCE);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    spent = (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
    assert_true(spent < 0.2);
    for (unsigned i = 0; i < STREAMS_MAX; i++)
        client_close(&clients[i]);
}

static void a_client_that_lags_is_dropped_and_others_are_not(void **state)
{
    struct world *world = *state;
    char *data = malloc(60001);
    unsigned sent = 0;

    assert_non_null(data);
    memset(data, 'x', 60000);
    data[60000] = '\0';
    follow(world, &clients[0]);
    follow(world, &clients[1]);
    const uint64_t start = uv_hrtime();

    while (world->end_count == 0 && sent < 1000) { /* clients[0] does not read */
        for (unsigned i = 0; i < 10; i++)
            http_stream_send(world->streams[0], NULL, NULL, data);
        http_stream_send(world->streams[1], NULL, NULL, "1");
        run_for(&world->loop, 1);
        sent += 10;
    }
    assert_int_equal(world->end_count, 1);
    assert_true(sent * 60000 > HTTP_STREAM_LAG_MAX);
    assert_true(uv_hrtime() - start < 900000000u); /* not by its timeout */
    http_stream_send(world->streams[1], NULL, "still", "1");
    assert_true(client_sees(&clients[1], "event: still\n"));
    client_close(&clients[0]);
    client_close(&clients[1]);
    free(data);
}

static void one_event_beyond_the_limit_drops_its_client(void **state)
{
    struct world *world = *state;
    char *data = malloc(HTTP_STREAM_LAG_MAX + 1);

    assert_non_null(data);
    memset(data, 'x', HTTP_STREAM_LAG_MAX);
    data[HTTP_STREAM_LAG_MAX] = '\0';
    follow(world, &clients[0]);
    http_stream_send(world->streams[0], NULL, NULL, data);
    http_stream_send(world->streams[0], NULL, NULL, "1"); /* still valid until on_end */
    assert_int_equal(world->end_count, 0);
    assert_true(client_sees_close(&clients[0], 1000));
    assert_int_equal(world->end_count, 1);
    client_close(&clients[0]);
    free(data);
}

static void a_stream_that_is_ended_sends_what_it_has(void **state)
{
    struct world *world = *state;

    follow(world, &clients[0]);
    http_stream_send(world->streams[0], NULL, NULL, "\"last\"");
    http_stream_end(world->streams[0]);
    assert_true(client_sees(&clients[0], "data: \"last\"\n\n"));
    assert_true(client_sees(&clients[0], "0\r\n\r\n")); /* the last chunk */
    assert_int_equal(world->end_count, 0);
    client_close(&clients[0]);
}

static void streams_end_with_the_server(void **state)
{
    struct world *world = *state;

    follow(world, &clients[0]);
    follow(world, &clients[1]);
    http_stream_send(world->streams[1], NULL, NULL, "\"waits\"");
    close_server(world);
    assert_int_equal(world->end_count, 2);
    assert_true(client_sees_close(&clients[0], 100));
    assert_true(client_sees(&clients[1], "waits"));
    client_close(&clients[0]);
    client_close(&clients[1]);
}

static void head_of_a_stream_ends_it(void **state)
{
    struct world *world = *state;

    assert_int_equal(ask(&clients[0], &world->loop, world->port,
                         "HEAD /events HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                     200);
    run_for(&world->loop, 20);
    assert_int_equal(world->end_count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_client_gets_every_event),
        TEST(streams_beyond_the_limit_are_refused),
        TEST(a_silent_stream_has_heartbeats_and_no_timeout),
        TEST(idle_streams_cost_no_time),
        TEST(a_client_that_lags_is_dropped_and_others_are_not),
        TEST(one_event_beyond_the_limit_drops_its_client),
        TEST(a_stream_that_is_ended_sends_what_it_has),
        TEST(streams_end_with_the_server),
        TEST(head_of_a_stream_ends_it),
    };
    return cmocka_run_group_tests_name("http_stream", tests, NULL, NULL);
}
