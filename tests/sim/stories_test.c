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
    sim_run(&sim);
    assert_true(sim.now_ms - sim.started_ms <= limit_ms);
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

/* AppTimeAns is lost like all others, and nobody says so. */
static void lost_answers_about_the_time_are_no_wrong_clock(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    o.device_count = 64;
    o.attempts_max = 20;
    o.faults.downlink_loss = 0.3;
    for (uint32_t i = 0; i < o.device_count; i++) {
        o.devices[i].has_no_clock = true;
    }
    run(&o, DAY_MS);
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

    o.repairs_max = 0;
    o.devices[2].rejoin_at_fragment = 10;
    run(&o, 3 * HOUR_MS);
    assert_int_equal(sim_stage(&sim, 2), DEVICE_FAILED);
    assert_true(sim_reason(&sim, 2) == REASON_SESSION_LOST);
    assert_int_equal(sim_stage(&sim, 3), DEVICE_DELIVERED);
    sim_release(&sim);
    o.repairs_max = 1; /* a pass of its own brings it the image after all */
    run(&o, DAY_MS);
    assert_all_delivered();
    assert_int_equal(sim.stored.repair_number, 1);
    assert_int_equal(sim.stored.session_number, 2);
}

static void more_losses_than_the_decoder_holds_are_named(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    o.repairs_max = 0;
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
    o.attempts_max = 20;
    o.coded_count = 1;
    o.rounds_max = 1;
    o.faults.multicast_loss = 0.6;
    o.devices[0].kind = VIRTUAL_LETTER;
    o.devices[2].kind = VIRTUAL_LETTER;
    run(&o, 6 * HOUR_MS);
    assert_int_equal(sim_reason(&sim, 0), REASON_INCOMPLETE);
    assert_int_equal(sim_reason(&sim, 2), REASON_INCOMPLETE);
    /* What it says twice is believed: five calls for the set-up and the end, two to ask it. */
    assert_in_range(sim.watch.call_counts[0], 5, 7);
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

    o.network_down = (struct sim_window){60000, 240000};
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

static void taken_over_in_each_state_it_ends_the_same(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    o.faults.taken_over = 1.0;
    for (int64_t s = TRANSMISSION_CREATE_GROUP; s <= TRANSMISSION_RELEASE; s++) {
        bool is_sending = s == TRANSMISSION_TRANSMIT || s == TRANSMISSION_STATUS;
        o.crash_in_state = s;
        run(&o, 30 * HOUR_MS);
        assert_all_delivered();
        assert_int_equal(sim.takeover_count, 1);
        assert_int_equal(sim.group_creations, is_sending ? 2 : 1);
        sim_release(&sim);
    }
    sim_init(&sim, &o);
}

/* Seed 1347: no new group was to be had before the session's end, and the old one was
 * forgotten. */
static void a_take_over_that_fails_leaves_no_group_behind(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    o.faults.taken_over = 1.0;
    o.crash_in_state = TRANSMISSION_STATUS;
    o.has_tight_session = true;
    for (int64_t minutes = 10; minutes < 40; minutes++) {
        o.network_down = (struct sim_window){60000 * minutes, 60000 * (minutes + 600)};
        run(&o, 30 * HOUR_MS);
        sim_release(&sim);
    }
    sim_init(&sim, &o);
}

/* Seed 2015330: its gateway away and our clock fast, the whole pass waited in the old queue when
 * the devices were being asked; the new owner asked on, and sent none of it. */
static void what_waits_in_the_old_queue_goes_out_before_anybody_is_asked(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    o.faults.taken_over = 1.0;
    o.crash_in_state = TRANSMISSION_STATUS;
    o.clock_step_ms = HOUR_MS;
    for (int64_t minutes = 1; minutes < 30; minutes++) {
        o.clock_stepped = (struct sim_window){60000, DAY_MS};
        o.gateway_down[0] = (struct sim_window){60000 * minutes, 60000 * (minutes + 40)};
        run(&o, 30 * HOUR_MS);
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

static void a_slow_answer_does_not_shorten_the_gap(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    o.faults.call_slow = 0.5;
    run(&o, HOUR_MS);
    assert_all_delivered();
}

static void a_call_that_lands_long_after_is_noticed_and_does_no_harm(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();
    uint32_t doubled = 0;

    o.faults.call_unanswered = 0.2;
    o.faults.call_lands_late = 1.0;
    o.attempts_max = 20;
    run(&o, DAY_MS);
    assert_all_delivered();
    for (uint32_t n = 1; n <= FEC_NUMBER_MAX; n++) {
        doubled += sim.watch.enqueued[n] > 1;
    }
    assert_true(doubled > 0);
    assert_true(sim.watch.jump_count > 0);
    assert_true(sim.watch.jump_count <= sim.watch.late_frame_count);
}

static void a_network_server_that_is_down_is_not_asked_in_a_hurry(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    o.faults.call_unanswered = 0.5;
    o.network_down = (struct sim_window){60000, 1860000};
    o.attempts_max = 20;
    run(&o, DAY_MS);
    assert_all_delivered();
    for (uint32_t i = 0; i < o.device_count; i++) { /* 30 for the outage, the rest for the set-up */
        assert_in_range(sim.watch.call_counts[i], 1, 70);
    }
}

static void slow_answers_are_no_wrong_clock(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    o.uplink_interval_s = 1200;
    for (uint32_t i = 0; i < o.device_count; i++) {
        o.devices[i].answers_late = true;
    }
    run(&o, DAY_MS);
    for (uint32_t i = 0; i < o.device_count; i++) {
        assert_true(sim_device_has_image(&sim, i));
        assert_int_not_equal(sim_reason(&sim, i), REASON_CLOCK_DRIFT);
    }
}

/* It says "group undefined" when its session is asked for. */
static void a_device_that_restarts_unseen_is_set_up_again(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    o.combine_setup = false;
    o.is_version_known = true;
    o.uplink_interval_s = 120;
    o.attempts_max = 20;
    o.faults.downlink_loss = 0.5;
    o.devices[0].rejoin_after_ms = 200000;
    o.devices[0].restarts_silently = true;
    run(&o, 6 * HOUR_MS);
    assert_all_delivered();
}

static void a_device_that_restarts_unseen_between_fragments_is_not_called_delivered(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    o.devices[2].rejoin_at_fragment = 10;
    o.devices[2].restarts_silently = true;
    o.repairs_max = 0;
    run(&o, 3 * HOUR_MS);
    assert_int_equal(sim_reason(&sim, 2), REASON_GROUP_NOT_HEARD);
    assert_int_equal(sim_stage(&sim, 3), DEVICE_DELIVERED);
}

static void downlinks_doubled_and_reordered_change_nothing(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    o.faults.downlink_doubled = 0.5;
    o.faults.downlink_reordered = 0.5;
    o.faults.ack_lost = 0.2;
    o.faults.event_doubled = 0.3;
    o.attempts_max = 20;
    run(&o, 6 * HOUR_MS);
    assert_all_delivered();
}

static void events_that_come_late_or_never_are_asked_for_again(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    o.attempts_max = 20;
    o.events_lost = (struct sim_window){30000, 240000};
    run(&o, 3 * HOUR_MS);
    assert_all_delivered();
    sim_release(&sim);
    o.events_lost = (struct sim_window){0};
    o.events_held = (struct sim_window){30000, 1230000};
    run(&o, 3 * HOUR_MS);
    assert_all_delivered();
}

/* The fragments of the small world flow from about 720 s to 900 s. */
static void outages_between_fragments_cost_fragments_only(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();
    const struct sim_window outage = {760000, 790000};

    o.coded_count = 40;
    o.gateway_down[0] = outage;
    run(&o, HOUR_MS);
    assert_all_delivered();
    sim_release(&sim);
    o.gateway_down[0] = (struct sim_window){0};
    o.network_down = outage;
    run(&o, HOUR_MS);
    assert_all_delivered();
}

/* LoRaMac-node then says "0 missing": a counter of eight bits. */
static void two_hundred_and_fifty_six_losses_are_not_none(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    o.device_count = 2;
    o.image_size = 15000;
    o.coded_count = 60;
    for (int64_t for_ms = 1270000; for_ms < 1300000; for_ms += 2000) {
        o.gateway_down[0] = (struct sim_window){800000, 800000 + for_ms};
        run(&o, 3 * HOUR_MS);
        assert_all_delivered(); /* called so, and so they are: the check is in the world */
        sim_release(&sim);
    }
    sim_init(&sim, &o);
}

static void while_nothing_can_be_stored_nothing_is_done(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    for (int64_t from_ms = 0; from_ms < 900000; from_ms += 150000) {
        o.attempts_max = 20;
        o.commits_fail = (struct sim_window){from_ms, from_ms + 240000};
        run(&o, 3 * HOUR_MS);
        assert_all_delivered();
        assert_true(sim.load_count > 100);
        sim_release(&sim);
        o.commits_fail = (struct sim_window){0};
        o.store_down = (struct sim_window){from_ms, from_ms + 240000};
        run(&o, 3 * HOUR_MS);
        assert_all_delivered();
        sim_release(&sim);
        o.store_down = (struct sim_window){0};
    }
    sim_init(&sim, &o);
}

static void killed_at_any_step_it_ends_the_same(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    o.device_count = 2;
    o.image_size = 300;
    o.coded_count = 10;
    for (int kill = SIM_KILL_AFTER_STEP; kill < SIM_KILL_COUNT; kill++) {
        bool is_killed = true;
        for (uint32_t step = 1; is_killed; step++) {
            o.kill_at_step = step;
            o.kill = (enum sim_kill)kill;
            run(&o, 3 * HOUR_MS);
            assert_all_delivered();
            assert_int_equal(sim.group_creations, 1);
            is_killed = sim.crash_count == 1;
            assert_true(is_killed || step > 100); /* the run was over before */
            sim_release(&sim);
        }
    }
    sim_init(&sim, &o);
}

static void a_clock_that_jumps_ends_nothing_wrongly(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    for (int64_t from_ms = 60000; from_ms < 1000000; from_ms += 90000) {
        for (int64_t step_ms = -HOUR_MS; step_ms <= HOUR_MS; step_ms += 2 * HOUR_MS) {
            o.clock_stepped = (struct sim_window){from_ms, from_ms + 300000};
            o.clock_step_ms = step_ms;
            run(&o, 2 * DAY_MS);
            sim_release(&sim);
        }
    }
    sim_init(&sim, &o);
}

static void three_gateways_reach_sixty_four_devices(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();

    o.device_count = SIM_DEVICES_MAX;
    o.gateway_count = 3;
    o.image_size = 10000;
    o.coded_count = 100;
    o.attempts_max = 20;
    o.faults.multicast_loss = 0.1;
    for (uint32_t i = 0; i < o.device_count; i++) {
        o.hears[i] = (uint8_t)(1u << i % 3);
    }
    run(&o, DAY_MS);
    assert_all_delivered();
}

/* A block of 100 fragments, and devices of every stack that lose a third. */
static struct sim_options lossy(void)
{
    struct sim_options o = sim_defaults();

    o.device_count = 8;
    o.image_size = 5000;
    o.coded_count = 5;
    o.rounds_max = 60;
    o.attempts_max = 20;
    o.faults.multicast_loss = 0.3;
    return o;
}

static void rounds_go_on_until_all_have_it(void **state)
{
    (void)state;
    struct sim_options o = lossy();

    run(&o, DAY_MS);
    assert_all_delivered();
    assert_true(sim.stored.round > 2);
    assert_int_equal(sim.stored.session_number, 1);
    sim_release(&sim);
    o.rounds_max = 1; /* what a fixed redundancy does */
    run(&o, DAY_MS);
    for (uint32_t i = 0; i < o.device_count; i++) {
        assert_int_equal(sim_stage(&sim, i), DEVICE_FAILED);
    }
}

/* Another deployment takes every second turn of the same gateway, also when this one is killed. */
static void two_deployments_on_one_gateway_take_turns(void **state)
{
    (void)state;
    struct sim_options o = lossy();

    o.shares_air = true;
    run(&o, DAY_MS);
    assert_all_delivered();
    assert_true(sim.deferred_count > 80);
    assert_int_equal(sim.stored.session_number, 1);
    sim_release(&sim);
    o.faults.kill_after_calls = 0.01;
    o.faults.kill_after_commit = 0.01;
    o.session_time_out = 10; /* half of the frames that fit alone: the rest goes into another */
    run(&o, 2 * DAY_MS);
    assert_all_delivered();
    assert_true(sim.stored.session_number > 1);
}

/* LBM and LoRaMac-node count numbers of fragments that were skipped: a count that stands proves
 * less than it seems. The world itself looks that nobody is called delivered without the image. */
static void numbers_that_were_skipped_deceive_nobody(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct sim_options o = lossy();

        o.seed = seed;
        o.image_size = 50 * o.fragment_size;
        o.choose_rows = true;
        o.faults.multicast_loss = seed % 2 == 0 ? 0.5 : 0.3;
        for (uint32_t i = 0; i < o.device_count; i++) {
            o.devices[i].kind = seed % 3 == 0 ? VIRTUAL_LORAMAC : VIRTUAL_LBM;
        }
        if (seed > 1) {
            sim_release(&sim);
        }
        run(&o, 3 * DAY_MS);
    }
}

/* One of two gateways refuses for ever: the rows that make up for it have an end, and the other's
 * devices are done. */
static void a_gateway_that_refuses_beside_a_good_one_stops_nobody(void **state)
{
    (void)state;
    struct sim_options o = lossy();

    o.gateway_count = 2;
    o.tells_results = true;
    o.gateway_refuses[1] = (struct sim_window){1, INT64_MAX / 2};
    for (uint32_t i = 0; i < o.device_count; i++) {
        o.hears[i] = i == 0 ? 2 : 1;
    }
    run(&o, 3 * DAY_MS);
    for (uint32_t i = 1; i < o.device_count; i++) {
        assert_int_equal(sim_stage(&sim, i), DEVICE_DELIVERED);
    }
    assert_int_equal(sim_stage(&sim, 0), DEVICE_FAILED);
    assert_in_range(sim.stored.frame_count, 1, 1000);
}

/* Those behind one gateway are done, those behind the other have lost much: only it goes on. */
static void gateways_leave_when_their_devices_are_done(void **state)
{
    (void)state;
    struct sim_options o = lossy();

    o.faults.multicast_loss = 0.01;
    o.gateway_count = 2;
    for (uint32_t i = 0; i < o.device_count; i++) {
        o.hears[i] = i % 2 == 0 ? 1 : 2;
    }
    o.gateway_refuses[1] = (struct sim_window){900000, 1500000};
    run(&o, DAY_MS);
    assert_all_delivered();
    assert_int_equal(sim.stored.session_number, 1);
    assert_int_equal(sim.stored.gateway_count, 2);
    assert_false(sim.stored.gateways[0].is_chosen && sim.stored.gateways[1].is_chosen);
    assert_true(sim.groups[0].gateways == 2 || !sim.groups[0].exists);
    sim_release(&sim);
    o.faults.kill_after_calls = 0.02;
    o.faults.call_failed = 0.2;
    run(&o, DAY_MS);
    assert_all_delivered();
}

/* A gateway acknowledges every frame and sends none: what it serves hears nothing, and is told so.
 * When it sends again, the rounds bring what is lacking. */
static void a_gateway_that_refuses_everything_hides_nothing(void **state)
{
    (void)state;
    struct sim_options o = lossy();

    o.gateway_refuses[0] = (struct sim_window){1, INT64_MAX / 2};
    run(&o, 3 * DAY_MS);
    for (uint32_t i = 0; i < o.device_count; i++) {
        assert_int_equal(sim_stage(&sim, i), DEVICE_FAILED);
        assert_int_not_equal(sim.stored_devices[i].reason, REASON_UNPROVEN);
    }
    sim_release(&sim);
    o.gateway_refuses[0] = (struct sim_window){1, 3 * HOUR_MS};
    run(&o, 3 * DAY_MS);
    assert_all_delivered();
    sim_release(&sim);
    /* Where the daemon hears of it, it slows down meanwhile and sends a row more for each frame. */
    o.tells_results = true;
    o.gateway_refuses[0] = (struct sim_window){1200000, 1500000};
    run(&o, 3 * DAY_MS);
    assert_all_delivered();
    assert_true(sim.stored.refused_count > 5);
    assert_int_equal(sim.stored.slowness, 0);
}

static void answers_lost_in_every_round_hold_up_nobody(void **state)
{
    (void)state;
    struct sim_options o = lossy();

    o.faults.uplink_loss = 0.4;
    o.faults.downlink_loss = 0.2;
    o.attempts_max = 60;
    run(&o, 3 * DAY_MS);
    assert_all_delivered();
}

static void killed_in_every_state_of_a_round_it_goes_on(void **state)
{
    (void)state;
    struct sim_options o = lossy();

    for (unsigned kind = 0; kind < SIM_KILL_COUNT; kind++) {
        for (uint32_t step = 200; step < 700;
             step += 7) { /* from the middle of the first pass on */
            o.kill_at_step = step;
            o.kill = (enum sim_kill)kind;
            run(&o, DAY_MS);
            assert_all_delivered();
            assert_int_equal(sim.crash_count, 1);
            sim_release(&sim);
        }
    }
    sim_init(&sim, &o);
}

static void what_does_not_fit_one_session_goes_into_the_next(void **state)
{
    (void)state;
    struct sim_options o = lossy();

    o.image_size = 20000; /* 400 fragments, 5 s apart */
    o.sessions_max = 10;
    o.session_time_out = 10; /* 1024 s */
    run(&o, DAY_MS);
    assert_all_delivered();
    assert_in_range(sim.stored.session_number, 2, 10);
    assert_int_equal(sim.stored.repair_number, 0);
    sim_release(&sim);
    o.sessions_max = 1;
    run(&o, DAY_MS);
    assert_int_equal(sim_reason(&sim, 0), REASON_DEADLINE_PASSED);
}

static void a_pause_across_the_end_of_the_session_costs_a_session(void **state)
{
    (void)state;
    struct sim_options o = lossy();

    o.session_time_out = 11;
    o.paused = (struct sim_window){1000000, 8 * HOUR_MS}; /* in the first pass */
    run(&o, DAY_MS);
    assert_all_delivered();
    assert_int_equal(sim.stored.session_number, 2);
    assert_int_equal(sim.stored.repair_number, 0);
    sim_release(&sim);
    o.session_time_out = 12;
    o.paused = (struct sim_window){30000, 8 * HOUR_MS}; /* in the set-up */
    run(&o, DAY_MS);
    assert_all_delivered();
    assert_int_equal(sim.stored.session_number, 1);
}

static void a_device_that_can_never_finish_is_left_out_after_a_while(void **state)
{
    (void)state;
    struct sim_options o = lossy();

    o.repairs_max = 0;
    o.devices[2].rejoin_at_fragment = 120; /* it forgets all, and joins no session */
    o.devices[2].restarts_silently = true;
    o.devices[3].lost_max = 3;
    run(&o, DAY_MS);
    assert_int_equal(sim_reason(&sim, 2), REASON_GROUP_NOT_HEARD);
    assert_int_equal(sim_reason(&sim, 3), REASON_NO_MATRIX_MEMORY);
    for (uint32_t i = 0; i < o.device_count; i++) {
        assert_int_equal(sim_stage(&sim, i), i == 2 || i == 3 ? DEVICE_FAILED : DEVICE_DELIVERED);
    }
}

static void a_small_memory_is_helped_by_repeats(void **state)
{
    (void)state;
    struct sim_options o = lossy();

    for (uint32_t i = 0; i < o.device_count; i++) {
        o.devices[i].lost_max = 20; /* of 100 at a loss of 30 %: none can hold it */
    }
    run(&o, 2 * DAY_MS);
    assert_all_delivered();
    assert_int_equal(sim.stored.repair_number, 1);
    assert_in_range(sim.stored.repeat_count, 2, 4);
}

static void a_gateway_that_is_away_for_an_hour_costs_rounds_only(void **state)
{
    (void)state;
    struct sim_options o = lossy();

    o.gateway_down[0] = (struct sim_window){900000, 900000 + HOUR_MS};
    run(&o, DAY_MS);
    assert_all_delivered();
}

/* Fragments and requests of a few minutes reach nobody, and the count that stays shows nothing. */
static void an_outage_between_two_answers_proves_nothing(void **state)
{
    (void)state;
    struct sim_options o = sim_defaults();
    struct random random;

    o.device_count = 6;
    o.image_size = 2500;
    o.coded_count = 3;
    o.own_evidence = true;
    o.faults.multicast_loss = 0.1;
    for (uint32_t i = 0; i < o.device_count; i++) {
        o.devices[i].kind = VIRTUAL_ZEPHYR;
    }
    for (o.seed = 60; o.seed < 110; o.seed++) {
        random_init(&random, random_mix(o.seed, 77));
        int64_t from_ms = 600000 + (int64_t)random_below(&random, 3000000);
        int64_t for_ms = 1000 * (60 + (int64_t)random_below(&random, 341));
        o.gateway_down[0] = (struct sim_window){from_ms, from_ms + for_ms};
        run(&o, DAY_MS); /* whoever is delivered has the image: the check is in the world */
        assert_all_delivered();
        sim_release(&sim);
    }
    sim_init(&sim, &o);
}

static void a_budget_is_kept(void **state)
{
    (void)state;
    struct sim_options o = lossy();

    o.frames_max = 115;
    run(&o, DAY_MS);
    assert_true(sim.stored.frame_count <= 115);
    assert_int_equal(sim_reason(&sim, 0), REASON_BUDGET_SPENT);
}

#define STORY(test) cmocka_unit_test_teardown(test, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(every_kind_of_device_gets_the_image_in_a_perfect_world),
        STORY(a_device_without_a_clock_is_synchronised_first),
        STORY(lost_answers_about_the_time_are_no_wrong_clock),
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
        STORY(taken_over_in_each_state_it_ends_the_same),
        STORY(a_take_over_that_fails_leaves_no_group_behind),
        STORY(what_waits_in_the_old_queue_goes_out_before_anybody_is_asked),
        STORY(calls_without_an_answer_are_looked_up_not_repeated),
        STORY(a_slow_answer_does_not_shorten_the_gap),
        STORY(a_call_that_lands_long_after_is_noticed_and_does_no_harm),
        STORY(a_network_server_that_is_down_is_not_asked_in_a_hurry),
        STORY(slow_answers_are_no_wrong_clock),
        STORY(a_device_that_restarts_unseen_is_set_up_again),
        STORY(a_device_that_restarts_unseen_between_fragments_is_not_called_delivered),
        STORY(downlinks_doubled_and_reordered_change_nothing),
        STORY(events_that_come_late_or_never_are_asked_for_again),
        STORY(outages_between_fragments_cost_fragments_only),
        STORY(two_hundred_and_fifty_six_losses_are_not_none),
        STORY(while_nothing_can_be_stored_nothing_is_done),
        STORY(killed_at_any_step_it_ends_the_same),
        STORY(a_clock_that_jumps_ends_nothing_wrongly),
        STORY(three_gateways_reach_sixty_four_devices),
        STORY(rounds_go_on_until_all_have_it),
        STORY(two_deployments_on_one_gateway_take_turns),
        STORY(a_gateway_that_refuses_everything_hides_nothing),
        STORY(gateways_leave_when_their_devices_are_done),
        STORY(numbers_that_were_skipped_deceive_nobody),
        STORY(a_gateway_that_refuses_beside_a_good_one_stops_nobody),
        STORY(answers_lost_in_every_round_hold_up_nobody),
        STORY(killed_in_every_state_of_a_round_it_goes_on),
        STORY(what_does_not_fit_one_session_goes_into_the_next),
        STORY(a_pause_across_the_end_of_the_session_costs_a_session),
        STORY(a_device_that_can_never_finish_is_left_out_after_a_while),
        STORY(a_small_memory_is_helped_by_repeats),
        STORY(a_gateway_that_is_away_for_an_hour_costs_rounds_only),
        STORY(an_outage_between_two_answers_proves_nothing),
        STORY(a_budget_is_kept),
    };
    return cmocka_run_group_tests_name("stories", tests, NULL, NULL);
}
