/* stories_test.c - single faults, fixed by hand: what the operator may rely on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/sim.h"

#define HOUR_MS 3600000
#define DAY_MS  86400000

static struct sim sim;

static void run(const struct sim_options *options, int64_t limit_ms)
{
    sim_init(&sim, options);
    assert_true(sim_run(&sim, limit_ms));
    sim_check_end(&sim);
}

static void assert_all_delivered(void)
{
    for (uint32_t i = 0; i < sim.options.device_count; i++) {
        assert_int_equal(sim_stage(&sim, i), DEVICE_DELIVERED);
        assert_true(sim_device_has_image(&sim, i));
    }
}

static int release(void **state)
{
    (void)state;
    sim_release(&sim);
    return 0;
}

static void every_kind_of_device_gets_the_image_in_a_perfect_world(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    o.device_count = 8;
    run(&o, HOUR_MS);
    assert_all_delivered();
    assert_int_equal(sim.group_creations, 1);
}

static void a_device_without_a_clock_is_synchronised_first(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    o.devices[0].clock_offset_ms = 3600000;
    o.devices[1].has_no_clock = true;
    run(&o, HOUR_MS);
    assert_all_delivered();
}

static void a_clock_that_stays_wrong_is_named(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    o.is_clock_unanswered = true;
    o.devices[0].clock_offset_ms = 3600000;
    run(&o, DAY_MS);
    assert_int_equal(sim_stage(&sim, 0), DEVICE_FAILED);
    assert_int_equal(sim_reason(&sim, 0), REASON_CLOCK_DRIFT);
    assert_int_equal(sim_stage(&sim, 1), DEVICE_DELIVERED);
}

static void a_deaf_device_and_a_mute_one_hold_nobody_back(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    o.devices[1].is_deaf = true;
    o.devices[2].is_mute = true;
    run(&o, 3 * HOUR_MS);
    assert_int_equal(sim_reason(&sim, 1), REASON_VERSION_NO_ANSWER);
    assert_int_equal(sim_reason(&sim, 2), REASON_VERSION_NOT_SENT);
    assert_int_equal(sim_stage(&sim, 0), DEVICE_DELIVERED);
    assert_int_equal(sim_stage(&sim, 3), DEVICE_DELIVERED);
}

static void refusals_end_with_their_bits(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    o.devices[0].refuses_group = true;
    o.devices[1].refused_frag_bits = 1 << 1;
    o.devices[2].refused_session_bits = 1 << 3;
    run(&o, 3 * HOUR_MS);
    assert_int_equal(sim_reason(&sim, 0), REASON_GROUP_REFUSED);
    assert_int_equal(sim.stored_devices[0].reason_bits, 1 << 2);
    assert_int_equal(sim_reason(&sim, 1), REASON_FRAGMENTATION_REFUSED);
    assert_int_equal(sim.stored_devices[1].reason_bits, 1 << 1);
    assert_int_equal(sim_reason(&sim, 2), REASON_SESSION_REFUSED);
    assert_int_equal(sim.stored_devices[2].reason_bits, 1 << 3);
    assert_int_equal(sim_stage(&sim, 3), DEVICE_DELIVERED);
}

static void devices_that_answer_with_their_next_uplink_take_part(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    for (uint32_t i = 0; i < o.device_count; i++) {
        o.devices[i].answers_late = true;
    }
    run(&o, 3 * HOUR_MS);
    for (uint32_t i = 0; i < o.device_count; i++) {
        assert_true(sim_device_has_image(&sim, i));
    }
}

static void a_device_that_joins_during_the_set_up_is_set_up_again(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    o.devices[0].rejoin_after_ms = 200000;
    o.devices[1].rejoin_after_ms = 300000;
    run(&o, HOUR_MS);
    assert_all_delivered();
}

static void a_device_that_joins_between_fragments_is_said_to_have_lost_its_session(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    o.devices[2].rejoin_at_fragment = 10;
    run(&o, 3 * HOUR_MS);
    assert_int_equal(sim_stage(&sim, 2), DEVICE_FAILED);
    assert_true(sim_reason(&sim, 2) == REASON_SESSION_LOST);
    assert_int_equal(sim_stage(&sim, 3), DEVICE_DELIVERED);
}

static void more_losses_than_the_decoder_holds_are_named(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    o.image_size = 4000;
    o.coded_count = 60;
    o.faults.multicast_loss = 0.3;
    o.devices[1].lost_max = 5; /* LoRaMac-node */
    run(&o, 6 * HOUR_MS);
    assert_int_equal(sim_reason(&sim, 1), REASON_NO_MATRIX_MEMORY);
}

static void too_little_redundancy_leaves_devices_incomplete(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    o.image_size = 4000;
    o.coded_count = 1;
    o.faults.multicast_loss = 0.6;
    o.devices[0].kind = VIRTUAL_LETTER;
    o.devices[2].kind = VIRTUAL_LETTER;
    run(&o, 6 * HOUR_MS);
    assert_int_equal(sim_reason(&sim, 0), REASON_INCOMPLETE);
    assert_int_equal(sim_reason(&sim, 2), REASON_INCOMPLETE);
}

static void losses_below_the_redundancy_are_repaired(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    o.device_count = 12;
    o.image_size = 5000;
    o.coded_count = 50;
    o.faults.multicast_loss = 0.1;
    o.faults.uplink_loss = 0.1;
    o.faults.downlink_loss = 0.1;
    o.attempts_max = 20;
    run(&o, DAY_MS);
    assert_all_delivered();
}

static void a_session_request_of_its_own_serves_as_well(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    o.combine_setup = false;
    run(&o, HOUR_MS);
    assert_all_delivered();
}

static void an_abort_ends_it_with_the_group_deleted(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    for (int64_t at_ms = 10000; at_ms < 640000; at_ms += 105000) {
        o.abort_at_ms = at_ms;
        run(&o, HOUR_MS);
        assert_true(sim.stored.is_aborted);
        assert_int_equal(sim_reason(&sim, 0), REASON_ABORTED);
        sim_release(&sim);
    }
    sim_init(&sim, &o);
}

static void an_outage_of_the_network_server_is_waited_out(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    o.network_down_from_ms = 60000;
    o.network_down_until_ms = 240000;
    run(&o, 3 * HOUR_MS);
    assert_all_delivered();
}

static void killed_in_each_state_it_ends_the_same(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    for (int64_t s = TRANSMISSION_CREATE_GROUP; s <= TRANSMISSION_RELEASE; s++) {
        o.crash_in_state = s;
        run(&o, 3 * HOUR_MS);
        assert_all_delivered();
        assert_int_equal(sim.crash_count, 1);
        assert_int_equal(sim.group_creations, 1);
        sim_release(&sim);
    }
    sim_init(&sim, &o);
}

static void calls_without_an_answer_are_looked_up_not_repeated(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    o.faults.call_unanswered = 0.3;
    o.attempts_max = 20;
    run(&o, DAY_MS);
    assert_all_delivered();
}

#define STORY(test) cmocka_unit_test_teardown(test, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(every_kind_of_device_gets_the_image_in_a_perfect_world),
        STORY(a_device_without_a_clock_is_synchronised_first),
        STORY(a_clock_that_stays_wrong_is_named),
        STORY(a_deaf_device_and_a_mute_one_hold_nobody_back),
        STORY(refusals_end_with_their_bits),
        STORY(devices_that_answer_with_their_next_uplink_take_part),
        STORY(a_device_that_joins_during_the_set_up_is_set_up_again),
        STORY(a_device_that_joins_between_fragments_is_said_to_have_lost_its_session),
        STORY(more_losses_than_the_decoder_holds_are_named),
        STORY(too_little_redundancy_leaves_devices_incomplete),
        STORY(losses_below_the_redundancy_are_repaired),
        STORY(a_session_request_of_its_own_serves_as_well),
        STORY(an_abort_ends_it_with_the_group_deleted),
        STORY(an_outage_of_the_network_server_is_waited_out),
        STORY(killed_in_each_state_it_ends_the_same),
        STORY(calls_without_an_answer_are_looked_up_not_repeated),
    };
    return cmocka_run_group_tests_name("stories", tests, NULL, NULL);
}
