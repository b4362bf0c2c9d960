/* chirpstack_test.c - topics, and what the driver does with messages; the MQTT client is played
 * by lib/no_mqtt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/loop.h"
#include "lib/no_mqtt.h"
#include "network/chirpstack/chirpstack.h"
#include "network/chirpstack/topics.h"

#define APPLICATION "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
#define TEMPLATE    "application/{application_id}/device/{dev_eui}/event/{event}"
#define TOPIC       "application/" APPLICATION "/device/0102030405060708/event/"

static const struct uuid application = {{0xAA, 0xAA, 0xAA, 0xAA, 0xBB, 0xBB, 0x4C, 0xCC, 0x8D, 0xDD,
                                         0xEE, 0xEE, 0xEE, 0xEE, 0xEE, 0xEE}};

static void receive(const char *topic, const char *payload)
{
    no_mqtt_callbacks.on_message(no_mqtt_arg, topic, (const uint8_t *)payload, strlen(payload), 1);
}

/* the daemon */

static struct test_loop t;
static struct network_driver driver;
static struct network_stream *stream;
static bool is_wanted_now, is_stream_closed, is_closed;
static unsigned asked, batches, warnings, events;
static uint64_t asked_eui, event_eui;
static struct uuid asked_application;

static bool is_wanted(void *arg, const struct uuid *application_id, uint64_t dev_eui)
{
    (void)arg;
    asked++;
    asked_eui = dev_eui;
    asked_application = *application_id;
    return is_wanted_now;
}

static void on_event(void *arg, const struct network_event *event)
{
    (void)arg;
    events++;
    event_eui = event->dev_eui;
}

static void on_batch(void *arg)
{
    (void)arg;
    batches++;
}

static void on_events_state(void *arg, const char *text, bool is_session_kept)
{
    (void)arg, (void)text, (void)is_session_kept;
}

static void on_calls_state(void *arg, const char *text)
{
    (void)arg, (void)text;
}

static void on_warning(void *arg, const char *text)
{
    (void)arg, (void)text;
    warnings++;
}

static void on_stream_closed(void *arg)
{
    (void)arg;
    is_stream_closed = true;
}

static void on_closed(void *arg)
{
    (void)arg;
    is_closed = true;
}

static int open_driver(void **state)
{
    static const struct network_callbacks callbacks = {.is_wanted = is_wanted,
                                                       .on_event = on_event,
                                                       .on_batch = on_batch,
                                                       .on_events_state = on_events_state,
                                                       .on_calls_state = on_calls_state,
                                                       .on_warning = on_warning};
    struct chirpstack_options options = {
        .grpc = {.transport = {.host = "127.0.0.1", .port = 1}, /* nobody */
                 .deadline_ms = 1000,
                 .in_flight_max = 1,
                 .queue_max = 1,
                 .message_size_max = 100},
        .event_topic = TEMPLATE,
    };

    (void)state;
    test_loop_open(&t);
    is_wanted_now = is_stream_closed = is_closed = false;
    asked = batches = warnings = events = no_mqtt_acknowledged = 0;
    if (chirpstack_new(&t.loop, &options, &callbacks, NULL, &driver) != ERR_OK) {
        return -1;
    }
    stream = driver.open_stream(driver.self, "0", NULL);
    return 0;
}

static int close_driver(void **state)
{
    (void)state;
    driver.close_stream(stream, on_stream_closed, NULL);
    WAIT_UNTIL(&t, is_stream_closed);
    driver.close(driver.self, on_closed, NULL);
    WAIT_UNTIL(&t, is_closed);
    return test_loop_close(&t) ? 0 : -1;
}

#define JOIN                                                                                       \
    "{\"deviceInfo\":{\"applicationId\":\"" APPLICATION "\",\"deviceProfileId\":\"" APPLICATION    \
    "\",\"devEui\":\"0807060504030201\"}}"

static void what_nobody_wants_is_not_read(void **state)
{
    (void)state;
    receive(TOPIC "up", "{broken");
    assert_int_equal(asked, 1);
    assert_true(asked_eui == 0x0102030405060708);
    assert_memory_equal(&asked_application, &application, sizeof(application));
    assert_int_equal(warnings, 0);
    is_wanted_now = true;
    receive(TOPIC "up", "{broken");
    assert_int_equal(warnings, 1);
    assert_int_equal(events, 0);
}

static void a_batch_without_events_is_acknowledged_from_the_loop(void **state)
{
    (void)state;
    receive(TOPIC "join", JOIN);
    no_mqtt_callbacks.on_batch(no_mqtt_arg);
    assert_int_equal(no_mqtt_acknowledged,
                     0); /* never from inside: it would read the next batch in there */
    WAIT_UNTIL(&t, no_mqtt_acknowledged == 1);
    assert_int_equal(batches, 0);
}

static void a_batch_with_events_waits_for_the_commit(void **state)
{
    (void)state;
    is_wanted_now = true;
    receive(TOPIC "join", JOIN);
    is_wanted_now = false;
    receive(TOPIC "join", JOIN);
    no_mqtt_callbacks.on_batch(no_mqtt_arg);
    assert_int_equal(events, 1);
    assert_int_equal(batches, 1);
    no_mqtt_callbacks.on_batch(no_mqtt_arg); /* the next one has none */
    WAIT_UNTIL(&t, no_mqtt_acknowledged == 1);
    assert_int_equal(batches, 1);
}

static void the_event_is_whose_its_payload_says(void **state)
{
    (void)state;
    is_wanted_now = true;
    receive(TOPIC "join", JOIN);
    assert_true(event_eui == 0x0807060504030201);
}

static void a_topic_that_names_no_device_is_read(void **state)
{
    (void)state;
    receive("application/" APPLICATION "/device/pump/event/join", JOIN);
    receive("application/a/device/0102030405060708/event/join", JOIN);
    assert_int_equal(asked, 0);
    assert_int_equal(events, 2);
}

static void topics_that_are_no_events_are_told_once(void **state)
{
    (void)state;
    receive(TOPIC "status", JOIN);
    receive("application", JOIN);
    assert_int_equal(events, 0);
    assert_int_equal(warnings, 1);
}

static void templates_may_have_any_order(void **state)
{
    struct topics topics;
    struct topic topic;
    char filter[TOPICS_FILTER_SIZE];

    (void)state;
    topics_init(&topics, "{event}/x/{dev_eui}/{application_id}");
    topics_filter(&topics, &application, EVENTS_TXACK, filter);
    assert_string_equal(filter, "txack/x/+/" APPLICATION);
    assert_int_equal(topics_read(&topics, "log/x/0102030405060708/" APPLICATION, &topic), ERR_OK);
    assert_int_equal(topic.event, EVENTS_LOG);
    assert_true(topic.has_device);
    assert_true(topic.dev_eui == 0x0102030405060708);
    assert_memory_equal(&topic.application_id, &application, sizeof(application));
    assert_int_equal(topics_read(&topics, "logs/x/0102030405060708/" APPLICATION, &topic),
                     ERR_FORMAT);
    assert_int_equal(topics_read(&topics, "", &topic), ERR_FORMAT);
    assert_int_equal(topics_read(&topics, "up", &topic), ERR_OK);
    assert_false(topic.has_device);
    assert_int_equal(topics_read(&topics, "up/x/0102030405060708", &topic), ERR_OK);
    assert_false(topic.has_device);
}

static void templates_are_checked(void **state)
{
    const char *text;

    (void)state;
    assert_int_equal(topics_check(TEMPLATE, &text), ERR_OK);
    assert_int_equal(topics_check("{application_id}/{dev_eui}/{event}", &text), ERR_OK);
    assert_int_equal(topics_check("{application_id}/{dev_eui}", &text), ERR_FORMAT);
    assert_int_equal(topics_check(TEMPLATE "/{event}", &text), ERR_FORMAT);
    assert_int_equal(topics_check("a{application_id}/{dev_eui}/{event}", &text), ERR_FORMAT);
    assert_int_equal(topics_check(TEMPLATE "/#", &text), ERR_FORMAT);
}

int main(void)
{
#define WITH_DRIVER(test) cmocka_unit_test_setup_teardown(test, open_driver, close_driver)
    const struct CMUnitTest tests[] = {
        WITH_DRIVER(what_nobody_wants_is_not_read),
        WITH_DRIVER(a_batch_without_events_is_acknowledged_from_the_loop),
        WITH_DRIVER(a_batch_with_events_waits_for_the_commit),
        WITH_DRIVER(the_event_is_whose_its_payload_says),
        WITH_DRIVER(a_topic_that_names_no_device_is_read),
        WITH_DRIVER(topics_that_are_no_events_are_told_once),
        cmocka_unit_test(templates_may_have_any_order),
        cmocka_unit_test(templates_are_checked),
    };

    return cmocka_run_group_tests_name("chirpstack", tests, NULL, NULL);
}
