/* rules_test.c - single rules of the core, one step at a time: what an answer means, and what a
 * slow or silent network server makes of the next call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "deployment/deployment.h"
#include "lib/params.h"

#define NOW_MS   INT64_C(1800000000000)
#define START_MS (NOW_MS + 3600000) /* SessionTime */
#define GAP_MS   5000

#define UNDEFINED 0x10 /* status bits of McClassCSessionAns */

static struct deployment_params params(void)
{
    struct deployment_params p = test_params(1);

    p.padding_size = 0;
    p.margin_ms = GAP_MS;
    p.gateways_max = 1;
    p.combine_setup = false;
    return p;
}

/* A device whose McClassCSessionReq was sent a minute ago. */
static struct device asked_for_its_session(void)
{
    return (struct device){
        .dev_eui = 1,
        .uplink_interval_s = 60,
        .stage = DEVICE_SESSION,
        .command = COMMAND_SESSION,
        .call = CALL_SENT,
        .sent_ms = NOW_MS - 60000,
        .deadline_ms = NOW_MS + 60000,
        .flags =
            DEVICE_HAS_VERSION | DEVICE_HAS_GROUP | DEVICE_HAS_FRAGMENTATION | DEVICE_SESSION_SENT,
    };
}

static struct transmission transmission(enum transmission_state state)
{
    return (struct transmission){
        .state = state,
        .group_id = {{1}},
        .has_group = true,
        .has_gateways = true,
        .started_ms = NOW_MS - 60000,
        .setup_started_ms = NOW_MS - 60000,
        .session_time_ms = state == TRANSMISSION_SETUP ? START_MS : NOW_MS - 60000,
        .deadline_ms = state == TRANSMISSION_SETUP ? START_MS - 90000 : NOW_MS,
        .next_number = 1,
        .last_number = 120,
        .repeat_count = 1,
        .time_out = 15,
    };
}

static struct deployment *load(void *memory, const struct transmission *t, const struct device *dev)
{
    struct deployment_params p = params();
    struct deployment *d = NULL;

    assert_int_equal(deployment_restore(memory, &p, t, dev, &d), ERR_OK);
    return d;
}

/* A McClassCSessionAns that puts the start `error_s` seconds beside the right one. */
static enum device_stage stage_after_answer(const struct device *dev, uint8_t status, int error_s)
{
    void *memory = malloc(deployment_size(1));
    struct transmission t = transmission(TRANSMISSION_SETUP);
    uint32_t left_s = (uint32_t)((START_MS - NOW_MS) / 1000 + error_s);
    uint8_t data[] = {0x04, status, (uint8_t)left_s, (uint8_t)(left_s >> 8),
                      (uint8_t)(left_s >> 16)};
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_UPLINK, .now_ms = NOW_MS};
    struct deployment_actions actions;

    assert_non_null(memory);
    struct deployment *d = load(memory, &t, dev);
    event.u.uplink.received_ms = NOW_MS;
    event.u.uplink.f_port = 200;
    event.u.uplink.data = data;
    event.u.uplink.data_size = status == 0 ? 5 : 2;
    deployment_step(d, &event, &actions);
    enum device_stage stage = (enum device_stage)deployment_get_device(d, 0)->stage;
    free(memory);
    return stage;
}

static void an_answer_before_the_request_left_is_of_an_earlier_one(void **state)
{
    (void)state;
    struct device dev = asked_for_its_session();

    assert_int_equal(stage_after_answer(&dev, 0, -4000), DEVICE_CLOCK);
    dev.call = CALL_QUEUED;
    dev.flags &= (uint8_t)~DEVICE_SESSION_SENT;
    assert_int_equal(stage_after_answer(&dev, 0, -4000), DEVICE_SESSION);
    assert_int_equal(stage_after_answer(&dev, UNDEFINED, 0), DEVICE_SESSION);
    assert_int_equal(stage_after_answer(&dev, 0, 0), DEVICE_RECEIVING); /* its txack is late */
}

static void a_group_undefined_after_the_clock_was_set_is_set_up_again(void **state)
{
    (void)state;
    struct device dev = asked_for_its_session();

    assert_int_equal(stage_after_answer(&dev, UNDEFINED, 0), DEVICE_CLOCK);
    dev.resync_count = 1;
    assert_int_equal(stage_after_answer(&dev, UNDEFINED, 0), DEVICE_GROUP);
    dev.resync_count = 2;
    assert_int_equal(stage_after_answer(&dev, UNDEFINED, 0), DEVICE_CLOCK);
    dev.resync_count = 3;
    assert_int_equal(stage_after_answer(&dev, UNDEFINED, 0), DEVICE_FAILED);
}

static void a_device_whose_clock_was_set_may_answer_late(void **state)
{
    (void)state;
    struct device dev = asked_for_its_session();

    dev.sent_ms = NOW_MS - 1800000;
    assert_int_equal(stage_after_answer(&dev, 0, 1800), DEVICE_CLOCK);
    dev.resync_count = 1;
    assert_int_equal(stage_after_answer(&dev, 0, 1800), DEVICE_RECEIVING);
    assert_int_equal(stage_after_answer(&dev, 0, 1815), DEVICE_CLOCK); /* more than it waited */
}

/* A request for the old start that still waits is void when the session has moved. */
static void a_moved_session_is_asked_for_anew(void **state)
{
    (void)state;
    static const enum device_call calls[] = {CALL_QUEUED, CALL_OPEN, CALL_UNKNOWN};
    void *memory = malloc(deployment_size(1));

    assert_non_null(memory);
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        struct transmission t = transmission(TRANSMISSION_SETUP);
        struct device dev = asked_for_its_session();
        struct deployment_actions actions;
        t.deadline_ms = NOW_MS;
        t.session_time_ms = NOW_MS + 90000;
        dev.call = (uint8_t)calls[i];
        dev.deadline_ms = calls[i] == CALL_QUEUED ? NOW_MS + 600000 : DEPLOYMENT_NEVER;
        struct deployment *d = load(memory, &t, &dev);
        deployment_step(
            d, &(struct deployment_event){.kind = DEPLOYMENT_EVENT_TIMER, .now_ms = NOW_MS},
            &actions);
        assert_true(deployment_get_transmission(d)->session_time_ms > NOW_MS + 90000);
        const struct device *after = deployment_get_device(d, 0);
        assert_int_equal(after->call, calls[i] == CALL_QUEUED ? CALL_OPEN : CALL_UNKNOWN);
        assert_int_equal(after->sent_count, dev.sent_count);
        assert_int_equal(actions.count, calls[i] == CALL_QUEUED);
    }
    free(memory);
}

static void a_queue_that_cannot_be_read_is_read_ever_more_rarely(void **state)
{
    (void)state;
    void *memory = malloc(deployment_size(1));
    struct transmission t = transmission(TRANSMISSION_SETUP);
    struct device dev = asked_for_its_session();
    struct deployment_actions actions;
    int64_t now_ms = NOW_MS;
    unsigned count = 0;

    assert_non_null(memory);
    dev.call = CALL_UNKNOWN;
    dev.deadline_ms = NOW_MS;
    struct deployment *d = load(memory, &t, &dev);
    while (now_ms < NOW_MS + 600000) {
        deployment_step(
            d, &(struct deployment_event){.kind = DEPLOYMENT_EVENT_TIMER, .now_ms = now_ms},
            &actions);
        assert_int_equal(actions.count, 1);
        assert_int_equal(actions.items[0].kind, DEPLOYMENT_ACTION_CHECK_QUEUE);
        count++;
        deployment_step(
            d,
            &(struct deployment_event){.kind = DEPLOYMENT_EVENT_COMMAND_UNKNOWN, .now_ms = now_ms},
            &actions);
        now_ms = deployment_deadline(d);
    }
    assert_int_equal(count, 14); /* 2, 4 ... 32 s, then each minute */
    free(memory);
}

static int64_t next_frame_after_ms(enum deployment_event_kind kind, int64_t answered_after_ms)
{
    void *memory = malloc(deployment_size(1));
    struct transmission t = transmission(TRANSMISSION_TRANSMIT);
    struct device dev = {.dev_eui = 1, .stage = DEVICE_RECEIVING, .deadline_ms = DEPLOYMENT_NEVER};
    struct deployment_actions actions;
    struct deployment_event event = {.kind = kind, .now_ms = NOW_MS + answered_after_ms};

    assert_non_null(memory);
    struct deployment *d = load(memory, &t, &dev);
    deployment_step(d, &(struct deployment_event){.kind = DEPLOYMENT_EVENT_TIMER, .now_ms = NOW_MS},
                    &actions);
    assert_int_equal(actions.items[0].kind, DEPLOYMENT_ACTION_FRAME);
    if (kind == DEPLOYMENT_EVENT_COUNTER) {
        deployment_step(d,
                        &(struct deployment_event){.kind = DEPLOYMENT_EVENT_FRAME_UNKNOWN,
                                                   .now_ms = event.now_ms},
                        &actions);
        event.u.f_cnt = 1;
    }
    deployment_step(d, &event, &actions);
    int64_t next_ms = actions.count > 0 ? event.now_ms : deployment_deadline(d);
    free(memory);
    return next_ms - NOW_MS;
}

/* A gateway that refuses: a row more for each frame, and a longer gap after three; it speeds up
 * when frames get through again. */
static void refused_frames_are_made_up_for_and_slow_down(void **state)
{
    void *memory = malloc(deployment_size(1));
    struct transmission t = transmission(TRANSMISSION_TRANSMIT);
    struct device dev = {.dev_eui = 1, .stage = DEVICE_RECEIVING, .deadline_ms = DEPLOYMENT_NEVER};
    struct deployment_actions actions;

    (void)state;
    assert_non_null(memory);
    t.f_cnt = 65530; /* the low 16 bits are told */
    t.next_number = 10;
    struct deployment *d = load(memory, &t, &dev);
    const struct transmission *now = deployment_get_transmission(d);
    uint16_t last = now->last_number;
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_FRAME_RESULT, .now_ms = NOW_MS};
    for (unsigned i = 0; i < 3; i++) {
        event.u.result.f_cnt = (uint16_t)(65527 + i);
        event.u.result.is_refused = true;
        deployment_step(d, &event, &actions);
        deployment_step(d, &event, &actions); /* another gateway, the same frame */
    }
    assert_int_equal(now->refused_count, 6);
    assert_int_equal(now->last_number, last + 3);
    assert_int_equal(now->slowness, 1);
    event.u.result.f_cnt = 65400; /* long ago, or of another group */
    deployment_step(d, &event, &actions);
    assert_int_equal(now->refused_count, 6);
    event.u.result.f_cnt = 65529;
    event.u.result.is_refused = false;
    for (unsigned i = 0; i < 20; i++) {
        deployment_step(d, &event, &actions);
    }
    assert_int_equal(now->slowness, 0);
    for (unsigned i = 0; i < 30; i++) { /* nothing gets through: no end of rows */
        event.u.result.f_cnt = (uint16_t)(65500 + i);
        event.u.result.is_refused = true;
        deployment_step(d, &event, &actions);
    }
    assert_int_equal(now->slowness, 0); /* having been 1, 2 and 3: it does not help */
    assert_true(now->last_number <= last + 3 + 8 + 100 / 8);
    free(memory);
}

static void the_gap_counts_from_when_a_frame_may_have_been_queued(void **state)
{
    (void)state;
    assert_int_equal(next_frame_after_ms(DEPLOYMENT_EVENT_FRAME_QUEUED, 20), GAP_MS);
    assert_int_equal(next_frame_after_ms(DEPLOYMENT_EVENT_FRAME_QUEUED, 9000), 8000 + GAP_MS);
    /* Looked up after 20 s: it left before it expired, 11 s after its time, or not at all. */
    assert_int_equal(next_frame_after_ms(DEPLOYMENT_EVENT_COUNTER, 20000), 20000);
    assert_int_equal(next_frame_after_ms(DEPLOYMENT_EVENT_COUNTER, 11500), 10500 + GAP_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_before_the_request_left_is_of_an_earlier_one),
        cmocka_unit_test(a_group_undefined_after_the_clock_was_set_is_set_up_again),
        cmocka_unit_test(a_device_whose_clock_was_set_may_answer_late),
        cmocka_unit_test(a_moved_session_is_asked_for_anew),
        cmocka_unit_test(a_queue_that_cannot_be_read_is_read_ever_more_rarely),
        cmocka_unit_test(refused_frames_are_made_up_for_and_slow_down),
        cmocka_unit_test(the_gap_counts_from_when_a_frame_may_have_been_queued),
    };
    return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
