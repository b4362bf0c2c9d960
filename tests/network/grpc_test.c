/* grpc_test.c - the gRPC client against a server that follows a script. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/loop.h"
#include "network/chirpstack/grpc.h"
#include "network/grpc_peer.h"

#define METHOD "/api.DeviceService/Get"

struct outcome {
    unsigned count; /* callbacks; the others are of the last one */
    enum grpc_result result;
    int status;
    char text[256];
    char message[64];
    size_t message_size;
};

static struct test_loop t;
static struct peer *peer;
static struct grpc *grpc;
static unsigned up_count, down_count;
static char down_text[200];
static bool is_closed;
static struct peer_call *kept[16];
static unsigned kept_count;

/* fixture */

static void on_state(void *arg, const char *text)
{
    (void)arg;
    if (text == NULL) {
        up_count++;
    } else {
        down_count++;
        snprintf(down_text, sizeof(down_text), "%s", text);
    }
}

static void on_closed(void *arg)
{
    (void)arg;
    is_closed = true;
}

static void on_done(void *arg, enum grpc_result result, int status, const char *text,
                    const uint8_t *message, size_t size)
{
    struct outcome *o = arg;

    o->count++;
    o->result = result;
    o->status = status;
    snprintf(o->text, sizeof(o->text), "%s", text);
    o->message_size = size;
    if (message != NULL) {
        memcpy(o->message, message, size < sizeof(o->message) ? size : sizeof(o->message));
    }
}

static void keep(struct peer_call *call)
{
    assert_true(kept_count < 16);
    kept[kept_count++] = call;
}

static void echo(struct peer_call *call)
{
    peer_reply(call, call->body + 5, call->body_size - 5);
}

static struct grpc_options some_options(uint16_t port)
{
    return (struct grpc_options){
        .transport = {.host = "127.0.0.1", .port = port},
        .token = "secret",
        .deadline_ms = 5000,
        .in_flight_max = 100,
        .queue_max = 100,
        .message_size_max = 10000,
    };
}

static void begin(void (*on_call)(struct peer_call *call))
{
    struct peer_options options = {.on_call = on_call};

    peer = peer_new(&t.loop, &options);
}

static void begin_client(const struct grpc_options *options)
{
    grpc = grpc_new(&t.loop, options, on_state, NULL);
}

static void begin_both(void (*on_call)(struct peer_call *call))
{
    begin(on_call);
    struct grpc_options options = some_options(peer_port(peer));
    begin_client(&options);
}

static void ask(struct outcome *o, const char *text)
{
    grpc_call(grpc, METHOD, (const uint8_t *)text, strlen(text), on_done, o);
}

static int set_up(void **state)
{
    (void)state;
    test_loop_open(&t);
    peer = NULL;
    grpc = NULL;
    up_count = down_count = kept_count = 0;
    down_text[0] = '\0';
    is_closed = false;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (grpc != NULL && !is_closed) {
        grpc_close(grpc, on_closed, NULL);
        WAIT_UNTIL(&t, is_closed);
    }
    if (peer != NULL) {
        peer_close(peer);
    }
    return test_loop_close(&t) ? 0 : -1;
}

static void expect(const struct outcome *o, enum grpc_result result, int status, const char *text)
{
    WAIT_UNTIL(&t, o->count > 0);
    assert_int_equal(o->count, 1);
    assert_int_equal(o->result, result);
    assert_int_equal(o->status, status);
    assert_string_equal(o->text, text);
}

/* answers */

static void check_request(struct peer_call *call)
{
    assert_string_equal(call->path, METHOD);
    assert_string_equal(call->authorization, "Bearer secret");
    assert_string_equal(call->content_type, "application/grpc");
    assert_string_equal(call->te, "trailers");
    assert_memory_equal(call->body, "\0\0\0\0\5hello", 10);
    assert_int_equal(call->body_size, 10);
    echo(call);
}

static void a_call_brings_the_servers_message(void **state)
{
    (void)state;
    struct outcome o = {0};

    begin_both(check_request);
    ask(&o, "hello");
    assert_int_equal(o.count, 0); /* never from inside the call */
    expect(&o, GRPC_ANSWERED, GRPC_OK, "");
    assert_int_equal(o.message_size, 5);
    assert_memory_equal(o.message, "hello", 5);
    assert_int_equal(up_count, 1);
}

static void an_empty_message_is_a_message(void **state)
{
    (void)state;
    struct outcome o = {0};

    begin_both(echo);
    ask(&o, "");
    expect(&o, GRPC_ANSWERED, GRPC_OK, "");
    assert_int_equal(o.message_size, 0);
}

static const char *failed_status, *failed_message;

static void fail_early(struct peer_call *call)
{
    peer_fail(call, failed_status, failed_message);
}

static void fail_late(struct peer_call *call)
{
    peer_fail_late(call, atoi(failed_status), failed_message);
}

static void every_status_comes_through_in_headers_and_in_trailers(void **state)
{
    (void)state;
    char number[4];

    begin_both(fail_early);
    struct peer_options options = {.on_call = fail_late};
    struct peer *other = peer_new(&t.loop, &options);
    struct grpc *early = grpc;
    struct grpc_options to_other = some_options(peer_port(other));
    struct grpc *late = grpc_new(&t.loop, &to_other, on_state, NULL);
    failed_status = number;
    failed_message = "words";
    for (int status = 1; status <= 16; status++) {
        struct outcome a = {0}, b = {0};
        snprintf(number, sizeof(number), "%d", status);
        ask(&a, "x");
        expect(&a, GRPC_ANSWERED, status, "words");
        grpc = late;
        ask(&b, "x");
        expect(&b, GRPC_ANSWERED, status, "words");
        grpc = early;
    }
    grpc_close(late, on_closed, NULL);
    WAIT_UNTIL(&t, is_closed);
    is_closed = false;
    peer_close(other);
}

static void a_status_that_is_no_number_is_unknown(void **state)
{
    (void)state;
    static const char *const statuses[] = {"",    "-1", "x", "99999999999", "123456789012345",
                                           "0ab", "1 2"};

    begin_both(fail_early);
    failed_message = "";
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        struct outcome o = {0};
        failed_status = statuses[i];
        ask(&o, "x");
        expect(&o, GRPC_ANSWERED, GRPC_UNKNOWN, "");
    }
}

static void a_message_is_percent_decoded_and_fit_for_a_log(void **state)
{
    (void)state;
    static const struct {
        const char *sent, *text;
    } cases[] = {
        {"no%20such%20device", "no such device"},
        {"100%25", "100%"},
        {"%C3%BC", "  "}, /* a log, JSON and the database take ASCII whatever was cut */
        {"a%0Ab%7Fc%09", "a b c "},
        {"bad%zz%2", "bad%zz%2"},
        {"ends%", "ends%"},
        {"%6a%6A", "jj"},
    };

    begin_both(fail_early);
    failed_status = "5";
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct outcome o = {0};
        failed_message = cases[i].sent;
        ask(&o, "x");
        expect(&o, GRPC_ANSWERED, GRPC_NOT_FOUND, cases[i].text);
    }
}

static void a_long_message_is_cut(void **state)
{
    (void)state;
    char words[601];
    struct outcome o = {0};

    memset(words, 'w', 600);
    words[600] = '\0';
    failed_message = words;
    failed_status = "13";
    begin_both(fail_early);
    ask(&o, "x");
    WAIT_UNTIL(&t, o.count == 1);
    assert_int_equal(strlen(o.text), 199);
}

static const char *raw;
static size_t raw_size;
static int raw_status;

static void reply_raw(struct peer_call *call)
{
    peer_reply_raw(call, raw, raw_size, raw_status);
}

static void a_malformed_answer_is_lost(void **state)
{
    (void)state;
    static const struct {
        const char *octets;
        size_t size;
    } cases[] = {
        {"", 0},                        /* no message at all */
        {"\0\0\0\0", 4},                /* half a prefix */
        {"\0\0\0\0\2x", 6},             /* shorter than it says */
        {"\0\0\0\0\1xy", 7},            /* longer than it says */
        {"\0\0\0\0\1x\0\0\0\0\1y", 12}, /* two messages */
        {"\1\0\0\0\1x", 6},             /* compressed */
        {"\0\xFF\xFF\xFF\xFFx", 6},     /* four gigabytes */
    };

    begin_both(reply_raw);
    raw_status = 0;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct outcome o = {0};
        raw = cases[i].octets;
        raw_size = cases[i].size;
        ask(&o, "x");
        expect(&o, GRPC_LOST, -1, "the answer is malformed");
        assert_int_equal(o.message_size, 0);
    }
}

static void an_answer_without_a_status_is_lost(void **state)
{
    (void)state;
    struct outcome o = {0};

    raw = "\0\0\0\0\1x";
    raw_size = 6;
    raw_status = -1;
    begin_both(reply_raw);
    ask(&o, "x");
    expect(&o, GRPC_LOST, -1, "the stream broke off");
}

static void a_failed_answers_octets_are_not_looked_at(void **state)
{
    (void)state;
    struct outcome o = {0};

    raw = "junk";
    raw_size = 4;
    raw_status = 5;
    begin_both(reply_raw);
    ask(&o, "x");
    expect(&o, GRPC_ANSWERED, GRPC_NOT_FOUND, "");
}

static void reply_with(struct peer_call *call, size_t size)
{
    char *octets = calloc(1, size);

    peer_reply(call, octets, size);
    free(octets);
}

static size_t reply_size;

static void reply_sized(struct peer_call *call)
{
    reply_with(call, reply_size);
}

static void an_answer_may_be_as_large_as_allowed_and_no_larger(void **state)
{
    (void)state;
    struct outcome fits = {0}, too_large = {0}, huge = {0};

    begin_both(reply_sized);
    reply_size = 10000;
    ask(&fits, "x");
    expect(&fits, GRPC_ANSWERED, GRPC_OK, "");
    assert_int_equal(fits.message_size, 10000);
    reply_size = 10001;
    ask(&too_large, "x");
    expect(&too_large, GRPC_LOST, GRPC_OK, "the answer is too large");
    reply_size = 12 << 20; /* more than all windows: they go on being opened */
    ask(&huge, "x");
    expect(&huge, GRPC_LOST, GRPC_OK, "the answer is too large");
}

static const char *http_status;

static void reply_http(struct peer_call *call)
{
    peer_reply_http(call, http_status);
}

static void an_http_error_is_lost_and_named(void **state)
{
    (void)state;
    struct outcome a = {0}, b = {0};

    begin_both(reply_http);
    http_status = "404";
    ask(&a, "x");
    expect(&a, GRPC_LOST, -1, "the server answered with HTTP status 404");
    http_status = "503";
    ask(&b, "x");
    expect(&b, GRPC_LOST, -1, "the server answered with HTTP status 503");
}

/* what is certain */

static uint32_t reset_code;

static void reset(struct peer_call *call)
{
    peer_reset(call, reset_code);
}

static void a_refused_stream_was_not_processed(void **state)
{
    (void)state;
    struct outcome o = {0};

    reset_code = NGHTTP2_REFUSED_STREAM;
    begin_both(reset);
    ask(&o, "x");
    expect(&o, GRPC_NOT_SENT, -1, "the server refused the stream");
}

static void any_other_reset_leaves_it_open(void **state)
{
    (void)state;
    struct outcome o = {0};

    reset_code = NGHTTP2_INTERNAL_ERROR;
    begin_both(reset);
    ask(&o, "x");
    expect(&o, GRPC_LOST, -1, "the stream broke off");
}

static void goaway_tells_processed_from_unprocessed_and_new_calls_reconnect(void **state)
{
    (void)state;
    struct outcome below[2] = {0}, above = {0}, next = {0};

    begin_both(keep);
    ask(&below[0], "a");
    ask(&below[1], "b");
    ask(&above, "c");
    WAIT_UNTIL(&t, kept_count == 3);
    peer_goaway(kept[0]->connection, kept[1]->stream_id);
    expect(&above, GRPC_NOT_SENT, -1, "the server refused the stream");
    ask(&next, "d");
    test_loop_run(&t, 50);
    assert_int_equal(kept_count, 3); /* not over the old connection */
    assert_int_equal(next.count + below[0].count + below[1].count, 0);
    echo(kept[0]);
    echo(kept[1]);
    expect(&below[0], GRPC_ANSWERED, GRPC_OK, "");
    expect(&below[1], GRPC_ANSWERED, GRPC_OK, "");
    WAIT_UNTIL(&t, kept_count == 4);
    echo(kept[3]);
    expect(&next, GRPC_ANSWERED, GRPC_OK, "");
    assert_memory_equal(next.message, "d", 1);
    assert_int_equal(peer_connection_count(peer), 2);
    assert_int_equal(up_count, 2);
    assert_int_equal(down_count, 1);
}

static void goaway_without_calls_only_reconnects(void **state)
{
    (void)state;
    struct outcome a = {0}, b = {0};

    begin_both(keep);
    ask(&a, "a");
    WAIT_UNTIL(&t, kept_count == 1);
    struct peer_connection *connection = kept[0]->connection;
    echo(kept[0]);
    expect(&a, GRPC_ANSWERED, GRPC_OK, "");
    peer_goaway(connection, 1);
    WAIT_UNTIL(&t, up_count == 2);
    ask(&b, "b");
    WAIT_UNTIL(&t, kept_count == 2);
    echo(kept[1]);
    expect(&b, GRPC_ANSWERED, GRPC_OK, "");
}

static void reply_half(struct peer_call *call)
{
    keep(call);
    peer_reply_part(call, "0123456789", 10, 8);
}

static void a_connection_cut_in_the_middle_of_an_answer_loses_the_call(void **state)
{
    (void)state;
    struct outcome o = {0}, next = {0};

    begin_both(reply_half);
    ask(&o, "x");
    WAIT_UNTIL(&t, kept_count == 1);
    test_loop_run(&t, 30);
    assert_int_equal(o.count, 0);
    peer_cut(kept[0]->connection);
    expect(&o, GRPC_LOST, -1, "the server closed the connection");
    assert_string_equal(down_text, "the server closed the connection");
    ask(&next, "y");
    WAIT_UNTIL(&t, kept_count == 2);
    assert_int_equal(up_count, 2);
    peer_cut(kept[1]->connection);
    WAIT_UNTIL(&t, next.count == 1);
}

static void a_call_without_an_answer_is_lost_at_its_deadline_and_a_late_answer_ignored(void **state)
{
    (void)state;
    struct outcome o = {0}, next = {0};
    struct grpc_options options;

    begin(keep);
    options = some_options(peer_port(peer));
    options.deadline_ms = 200;
    begin_client(&options);
    uint64_t began_ms = test_now_ms();
    ask(&o, "x");
    WAIT_UNTIL(&t, kept_count == 1);
    struct peer_connection *connection = kept[0]->connection;
    peer_reply_part(kept[0], "late", 4, 7);
    expect(&o, GRPC_LOST, -1, "no answer in time");
    assert_in_range(test_now_ms() - began_ms, 190, 1000);
    assert_int_equal(up_count, 1);
    ask(&next, "y"); /* over the same connection */
    WAIT_UNTIL(&t, kept_count == 2);
    assert_ptr_equal(kept[1]->connection, connection);
    echo(kept[1]);
    expect(&next, GRPC_ANSWERED, GRPC_OK, "");
    assert_int_equal(o.count, 1);
}

static void the_octets_of_a_late_answer_are_ignored(void **state)
{
    (void)state;
    struct outcome a = {0}, b = {0};
    struct grpc_options options;

    begin(keep);
    options = some_options(peer_port(peer));
    options.deadline_ms = 150;
    begin_client(&options);
    ask(&a, "a");
    WAIT_UNTIL(&t, kept_count == 1);
    uv_sleep(220); /* both see the deadline pass before the other's octets */
    echo(kept[0]);
    WAIT_UNTIL(&t, a.count == 1);
    ask(&b, "b");
    WAIT_UNTIL(&t, kept_count == 2);
    echo(kept[1]);
    expect(&b, GRPC_ANSWERED, GRPC_OK, "");
    assert_int_equal(a.count, 1);
}

static void what_the_server_held_back_by_its_stream_limit_was_not_sent(void **state)
{
    (void)state;
    struct outcome first = {0}, warm = {0}, held = {0};
    struct peer_options one_stream = {.streams_max = 1, .on_call = keep};
    struct grpc_options options;

    peer = peer_new(&t.loop, &one_stream);
    options = some_options(peer_port(peer));
    options.deadline_ms = 300;
    begin_client(&options);
    ask(&warm, "w"); /* its answer comes behind the server's settings */
    WAIT_UNTIL(&t, kept_count == 1);
    echo(kept[0]);
    expect(&warm, GRPC_ANSWERED, GRPC_OK, "");
    ask(&first, "a");
    ask(&held, "b");
    WAIT_UNTIL(&t, first.count == 1 && held.count == 1);
    assert_int_equal(first.result, GRPC_LOST);
    assert_int_equal(held.result, GRPC_NOT_SENT);
    assert_int_equal(kept_count, 2);
}

static void more_calls_than_the_servers_stream_limit_are_all_answered(void **state)
{
    (void)state;
    static struct outcome o[90];
    struct peer_options few_streams = {.streams_max = 3, .on_call = echo};
    struct grpc_options options;

    memset(o, 0, sizeof(o));
    peer = peer_new(&t.loop, &few_streams);
    options = some_options(peer_port(peer));
    begin_client(&options);
    for (size_t i = 0; i < 90; i++) {
        ask(&o[i], "x");
    }
    for (size_t i = 0; i < 90; i++) {
        WAIT_UNTIL(&t, o[i].count == 1);
        /* Streams opened before its settings came may be refused. */
        assert_true(o[i].result == GRPC_ANSWERED || o[i].result == GRPC_NOT_SENT);
    }
    struct outcome next = {0};
    ask(&next, "x");
    expect(&next, GRPC_ANSWERED, GRPC_OK, "");
}

static uint16_t free_port(void)
{
    struct peer_options options = {.on_call = echo};
    struct peer *there = peer_new(&t.loop, &options);
    uint16_t port = peer_port(there);

    peer_close(there);
    test_loop_run(&t, 20);
    return port;
}

static void calls_wait_for_a_server_that_comes_within_their_deadline(void **state)
{
    (void)state;
    struct outcome o = {0};
    uint16_t port = free_port();
    struct grpc_options options = some_options(port);
    struct peer_options server = {.port = port, .on_call = echo};

    begin_client(&options);
    ask(&o, "x");
    WAIT_UNTIL(&t, down_count >= 2);
    assert_string_equal(down_text, "connection refused");
    assert_int_equal(o.count, 0);
    peer = peer_new(&t.loop, &server);
    expect(&o, GRPC_ANSWERED, GRPC_OK, "");
    assert_int_equal(up_count, 1);
}

static void a_call_that_never_went_out_is_not_sent_at_its_deadline(void **state)
{
    (void)state;
    struct outcome o = {0};
    struct grpc_options options = some_options(free_port());

    options.deadline_ms = 200;
    begin_client(&options);
    ask(&o, "x");
    expect(&o, GRPC_NOT_SENT, -1, "the server cannot be reached");
}

static void a_server_that_comes_back_is_found_again(void **state)
{
    (void)state;
    struct outcome a = {0}, b = {0};

    begin_both(echo);
    uint16_t port = peer_port(peer);
    ask(&a, "a");
    expect(&a, GRPC_ANSWERED, GRPC_OK, "");
    peer_close(peer);
    peer = NULL;
    WAIT_UNTIL(&t, down_count == 2);
    ask(&b, "b");
    struct peer_options server = {.port = port, .on_call = echo};
    peer = peer_new(&t.loop, &server);
    expect(&b, GRPC_ANSWERED, GRPC_OK, "");
    assert_int_equal(up_count, 2);
}

static void a_name_with_several_addresses_is_tried_at_each(void **state)
{
    (void)state;
    struct outcome o = {0};

    begin(echo); /* on 127.0.0.1 only; "localhost" may be ::1 first */
    struct grpc_options options = some_options(peer_port(peer));
    options.transport.host = "localhost";
    begin_client(&options);
    ask(&o, "x");
    expect(&o, GRPC_ANSWERED, GRPC_OK, "");
    assert_int_equal(down_count, 0);
}

static void calls_beyond_the_queue_are_not_sent_and_do_not_wait(void **state)
{
    (void)state;
    struct outcome waiting[2] = {0}, beyond[3] = {0};
    struct grpc_options options = some_options(free_port());

    options.queue_max = 2;
    options.deadline_ms = 600;
    begin_client(&options);
    uint64_t began_ms = test_now_ms();
    for (size_t i = 0; i < 2; i++) {
        ask(&waiting[i], "x");
    }
    for (size_t i = 0; i < 3; i++) {
        ask(&beyond[i], "x");
        assert_int_equal(beyond[i].count, 0); /* later, as always */
    }
    for (size_t i = 0; i < 3; i++) {
        expect(&beyond[i], GRPC_NOT_SENT, -1, "too many calls wait already");
    }
    assert_true(test_now_ms() - began_ms < 300);
    assert_int_equal(waiting[0].count + waiting[1].count, 0);
    WAIT_UNTIL(&t, waiting[0].count == 1 && waiting[1].count == 1);
}

static void a_peer_that_vanished_is_given_up(void **state)
{
    (void)state;
    struct outcome o = {0};
    struct peer_options deaf = {.is_deaf = true, .on_call = echo};
    struct grpc_options options;

    peer = peer_new(&t.loop, &deaf);
    options = some_options(peer_port(peer));
    options.deadline_ms = 200;
    begin_client(&options);
    WAIT_UNTIL(&t, up_count == 1);
    test_loop_run(&t, 30);
    ask(&o, "x");
    expect(&o, GRPC_LOST, -1, "no answer in time");
    WAIT_UNTIL(&t, down_count == 1);
    assert_string_equal(down_text, "the server does not answer any more");
    WAIT_UNTIL(&t, up_count == 2);
}

static void a_slow_server_that_answers_pings_is_not_given_up(void **state)
{
    (void)state;
    struct outcome o[3] = {0};
    struct grpc_options options;

    begin(keep); /* nghttp2 answers its pings */
    options = some_options(peer_port(peer));
    options.deadline_ms = 150;
    begin_client(&options);
    for (size_t i = 0; i < 3; i++) {
        ask(&o[i], "x");
        expect(&o[i], GRPC_LOST, -1, "no answer in time");
    }
    test_loop_run(&t, 400);
    assert_int_equal(up_count, 1);
    assert_int_equal(down_count, 0);
}

/* many */

static struct {
    unsigned asked, answered;
} chain;

static void on_link(void *arg, enum grpc_result result, int status, const char *text,
                    const uint8_t *message, size_t size)
{
    (void)arg, (void)text;
    assert_int_equal(result, GRPC_ANSWERED);
    assert_int_equal(status, GRPC_OK);
    assert_int_equal(size, 4);
    assert_memory_equal(message, "link", 4);
    chain.answered++;
    if (chain.asked < 10000) {
        chain.asked++;
        grpc_call(grpc, METHOD, (const uint8_t *)"link", 4, on_link, NULL);
    }
}

static void ten_thousand_calls_go_over_one_connection(void **state)
{
    (void)state;

    begin_both(echo);
    chain.asked = chain.answered = 0;
    while (chain.asked < 50) {
        chain.asked++;
        grpc_call(grpc, METHOD, (const uint8_t *)"link", 4, on_link, NULL);
    }
    WAIT_UNTIL(&t, chain.answered == 10000);
    assert_int_equal(peer_connection_count(peer), 1);
    assert_int_equal(peer_call_count(peer), 10000);
    assert_int_equal(down_count, 0);
}

/* closing */

static void closing_ends_every_open_call(void **state)
{
    (void)state;
    struct outcome sent = {0}, waiting = {0};
    struct grpc_options options;

    begin(keep);
    options = some_options(peer_port(peer));
    options.in_flight_max = 1;
    begin_client(&options);
    ask(&sent, "a");
    ask(&waiting, "b");
    WAIT_UNTIL(&t, kept_count == 1);
    grpc_close(grpc, on_closed, NULL);
    WAIT_UNTIL(&t, is_closed);
    expect(&sent, GRPC_LOST, -1, "the program ends");
    expect(&waiting, GRPC_NOT_SENT, -1, "the program ends");
}

static void closing_at_once_is_fine(void **state)
{
    (void)state;
    struct outcome o = {0};

    begin_both(keep);
    ask(&o, "a");
    grpc_close(grpc, on_closed, NULL);
    WAIT_UNTIL(&t, is_closed);
    expect(&o, GRPC_NOT_SENT, -1, "the program ends");
}

static void closing_while_it_connects_is_fine(void **state)
{
    (void)state;
    struct grpc_options options = some_options(1);

    options.transport.host = "localhost";
    begin_client(&options);
    uv_run(&t.loop, UV_RUN_NOWAIT); /* resolving */
    grpc_close(grpc, on_closed, NULL);
    WAIT_UNTIL(&t, is_closed);
}

static struct outcome second_try;

static void try_again(void *arg, enum grpc_result result, int status, const char *text,
                      const uint8_t *message, size_t size)
{
    on_done(arg, result, status, text, message, size);
    ask(&second_try, "again");
}

static void calls_made_while_it_closes_end_too(void **state)
{
    (void)state;
    struct outcome o = {0};

    second_try = (struct outcome){0};
    begin_both(keep);
    grpc_call(grpc, METHOD, NULL, 0, try_again, &o);
    WAIT_UNTIL(&t, kept_count == 1);
    grpc_close(grpc, on_closed, NULL);
    WAIT_UNTIL(&t, is_closed);
    expect(&o, GRPC_LOST, -1, "the program ends");
    expect(&second_try, GRPC_NOT_SENT, -1, "the program ends");
}

/* TLS */

static char folder[] = "/tmp/fuotad-grpc-XXXXXX";

static const char *in_folder(const char *name)
{
    static char paths[8][64];
    static unsigned next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static int make_certificates(void **state)
{
    (void)state;
    char command[2000];

    assert_non_null(mkdtemp(folder));
    snprintf(command, sizeof(command),
             "cd %s && exec 2>err.txt >&2 && set -e\n"
             "new='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'\n"
             "for ca in ca other; do openssl req -x509 $new -keyout $ca.key -out $ca.pem -days 2 "
             "-subj /CN=$ca; done\n"
             "for of in server:DNS:localhost,IP:127.0.0.1 wrong:DNS:example.org client:DNS:client; "
             "do\n"
             "name=${of%%%%:*}; echo subjectAltName=${of#*:} > ext\n"
             "openssl req $new -keyout $name.key -out $name.csr -subj /CN=$name\n"
             "openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out "
             "$name.pem -days 2 -extfile ext\n"
             "done",
             folder);
    return system(command);
}

static int remove_certificates(void **state)
{
    (void)state;
    char command[100];

    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

static void begin_tls(const char *server_name, const char *asked_ca, const char *host,
                      const char *client_ca)
{
    struct peer_options server = {.on_call = echo, .ca_file = asked_ca};
    char cert[32], key[32];

    snprintf(cert, sizeof(cert), "%s.pem", server_name);
    snprintf(key, sizeof(key), "%s.key", server_name);
    server.cert_file = in_folder(cert);
    server.key_file = in_folder(key);
    peer = peer_new(&t.loop, &server);
    struct grpc_options options = some_options(peer_port(peer));
    options.transport.host = host;
    options.transport.is_tls = true;
    options.transport.ca_file = client_ca;
    options.deadline_ms = 3000;
    options.message_size_max = 20 << 20;
    if (asked_ca != NULL && strcmp(client_ca, in_folder("ca.pem")) == 0) {
        options.transport.cert_file = in_folder("client.pem");
        options.transport.key_file = in_folder("client.key");
    }
    begin_client(&options);
}

static void calls_go_over_tls_to_a_name_and_to_an_address(void **state)
{
    (void)state;
    static const char *const hosts[] = {"localhost", "127.0.0.1"};

    for (size_t i = 0; i < 2; i++) {
        struct outcome small = {0}, large = {0};
        begin_tls("server", NULL, hosts[i], in_folder("ca.pem"));
        ask(&small, "hello");
        expect(&small, GRPC_ANSWERED, GRPC_OK, "");
        assert_memory_equal(small.message, "hello", 5);
        ask(&large, "large");
        expect(&large, GRPC_ANSWERED, GRPC_OK, "");
        grpc_close(grpc, on_closed, NULL);
        WAIT_UNTIL(&t, is_closed);
        is_closed = false;
        grpc = NULL;
        peer_close(peer);
        peer = NULL;
    }
}

static void large_answers_come_over_tls(void **state)
{
    (void)state;
    struct outcome o = {0};
    struct peer_options server = {.on_call = reply_sized};

    server.cert_file = in_folder("server.pem");
    server.key_file = in_folder("server.key");
    peer = peer_new(&t.loop, &server);
    struct grpc_options options = some_options(peer_port(peer));
    options.transport.host = "localhost";
    options.transport.is_tls = true;
    options.transport.ca_file = in_folder("ca.pem");
    options.message_size_max = 20 << 20;
    begin_client(&options);
    reply_size = 10 << 20;
    ask(&o, "x");
    expect(&o, GRPC_ANSWERED, GRPC_OK, "");
    assert_int_equal(o.message_size, 10 << 20);
}

static void a_server_of_another_authority_is_refused(void **state)
{
    (void)state;

    begin_tls("server", NULL, "localhost", in_folder("other.pem"));
    WAIT_UNTIL(&t, down_count > 0);
    assert_non_null(strstr(down_text, "TLS: certificate:"));
    assert_int_equal(up_count, 0);
    assert_int_equal(peer_call_count(peer), 0);
}

static void a_server_of_another_name_is_refused(void **state)
{
    (void)state;
    static const char *const hosts[] = {"localhost", "127.0.0.1"};

    for (size_t i = 0; i < 2; i++) {
        down_count = 0;
        begin_tls("wrong", NULL, hosts[i], in_folder("ca.pem"));
        WAIT_UNTIL(&t, down_count > 0);
        assert_non_null(strstr(down_text, i == 0 ? "hostname mismatch" : "IP address mismatch"));
        assert_int_equal(up_count, 0);
        grpc_close(grpc, on_closed, NULL);
        WAIT_UNTIL(&t, is_closed);
        is_closed = false;
        grpc = NULL;
        peer_close(peer);
        peer = NULL;
    }
}

static void a_client_certificate_is_shown(void **state)
{
    (void)state;
    struct outcome o = {0};

    begin_tls("server", in_folder("ca.pem"), "localhost", in_folder("ca.pem"));
    ask(&o, "x");
    expect(&o, GRPC_ANSWERED, GRPC_OK, "");
}

static void without_the_client_certificate_no_call_is_answered(void **state)
{
    (void)state;
    struct outcome o = {0};
    struct peer_options server = {.on_call = echo};

    server.ca_file = in_folder("ca.pem");
    server.cert_file = in_folder("server.pem");
    server.key_file = in_folder("server.key");
    peer = peer_new(&t.loop, &server);
    struct grpc_options options = some_options(peer_port(peer));
    options.transport.is_tls = true;
    options.transport.ca_file = in_folder("ca.pem");
    options.deadline_ms = 500;
    begin_client(&options);
    ask(&o, "x");
    WAIT_UNTIL(&t, o.count == 1);
    assert_int_not_equal(o.result, GRPC_ANSWERED);
    assert_int_equal(peer_call_count(peer), 0);
    assert_true(down_count > 0);
}

static void certificate_files_that_cannot_be_used_are_reported(void **state)
{
    (void)state;
    struct grpc_options options = some_options(1);

    options.transport.is_tls = true;
    options.transport.ca_file = in_folder("missing.pem");
    begin_client(&options);
    WAIT_UNTIL(&t, down_count > 0);
    assert_string_equal(down_text, "TLS: the certificate files cannot be used");
}

static void a_server_without_tls_is_reported(void **state)
{
    (void)state;

    begin(echo);
    struct grpc_options options = some_options(peer_port(peer));
    options.transport.is_tls = true;
    options.transport.ca_file = in_folder("ca.pem");
    begin_client(&options);
    WAIT_UNTIL(&t, down_count > 0);
    assert_int_equal(up_count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_brings_the_servers_message),
        TEST(an_empty_message_is_a_message),
        TEST(every_status_comes_through_in_headers_and_in_trailers),
        TEST(a_status_that_is_no_number_is_unknown),
        TEST(a_message_is_percent_decoded_and_fit_for_a_log),
        TEST(a_long_message_is_cut),
        TEST(a_malformed_answer_is_lost),
        TEST(an_answer_without_a_status_is_lost),
        TEST(a_failed_answers_octets_are_not_looked_at),
        TEST(an_answer_may_be_as_large_as_allowed_and_no_larger),
        TEST(an_http_error_is_lost_and_named),
        TEST(a_refused_stream_was_not_processed),
        TEST(any_other_reset_leaves_it_open),
        TEST(goaway_tells_processed_from_unprocessed_and_new_calls_reconnect),
        TEST(goaway_without_calls_only_reconnects),
        TEST(a_connection_cut_in_the_middle_of_an_answer_loses_the_call),
        TEST(a_call_without_an_answer_is_lost_at_its_deadline_and_a_late_answer_ignored),
        TEST(the_octets_of_a_late_answer_are_ignored),
        TEST(what_the_server_held_back_by_its_stream_limit_was_not_sent),
        TEST(more_calls_than_the_servers_stream_limit_are_all_answered),
        TEST(calls_wait_for_a_server_that_comes_within_their_deadline),
        TEST(a_call_that_never_went_out_is_not_sent_at_its_deadline),
        TEST(a_server_that_comes_back_is_found_again),
        TEST(a_name_with_several_addresses_is_tried_at_each),
        TEST(calls_beyond_the_queue_are_not_sent_and_do_not_wait),
        TEST(a_peer_that_vanished_is_given_up),
        TEST(a_slow_server_that_answers_pings_is_not_given_up),
        TEST(ten_thousand_calls_go_over_one_connection),
        TEST(closing_ends_every_open_call),
        TEST(closing_at_once_is_fine),
        TEST(closing_while_it_connects_is_fine),
        TEST(calls_made_while_it_closes_end_too),
        TEST(calls_go_over_tls_to_a_name_and_to_an_address),
        TEST(large_answers_come_over_tls),
        TEST(a_server_of_another_authority_is_refused),
        TEST(a_server_of_another_name_is_refused),
        TEST(a_client_certificate_is_shown),
        TEST(without_the_client_certificate_no_call_is_answered),
        TEST(certificate_files_that_cannot_be_used_are_reported),
        TEST(a_server_without_tls_is_reported),
    };
    return cmocka_run_group_tests_name("grpc", tests, make_certificates, remove_certificates);
}
