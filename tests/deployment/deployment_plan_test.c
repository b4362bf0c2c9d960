/* deployment_plan_test.c - what a deployment is expected to take, and what the operator's limits
 * leave of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "deployment/plan.h"
#include "lib/params.h"

static struct deployment_params block_of_500(uint32_t devices)
{
    struct deployment_params p = test_params(devices);

    p.fragment_count = 500;
    p.coded_count = 27;
    p.rounds_max = 60;
    return p;
}

static const struct plan_fleet tenth_lost = {
    .gateway_count = 1,
    .uplink_interval_s = 3600,
    .receive_ma = 10.0,
    .loss_count = 1,
    .losses = {{1.0, 0.1}},
};

static struct deployment_plan plan_of(const struct deployment_params *p,
                                      const struct plan_fleet *fleet)
{
    void *scratch = malloc(deployment_plan_size(p, fleet));
    struct deployment_plan plan;

    assert_non_null(scratch);
    assert_int_equal(deployment_plan(p, fleet, scratch, &plan), ERR_OK);
    free(scratch);
    for (unsigned c = PLAN_P90; c < PLAN_CHANCE_COUNT; c++) {
        assert_true(plan.ends[c].frames >= plan.ends[c - 1].frames);
        assert_true(plan.ends[c].time_ms >= plan.ends[c - 1].time_ms);
    }
    for (unsigned r = 1; r < plan.round_count; r++) {
        assert_true(plan.rounds[r].fragments > plan.rounds[r - 1].fragments);
        assert_true(plan.rounds[r].done >= plan.rounds[r - 1].done);
    }
    for (unsigned i = 1; i < 4; i++) {
        assert_true(plan.fragments_for[i] >= plan.fragments_for[i - 1]);
    }
    return plan;
}

/* scripts/bench rounds measures 592 frames on average, 601 in one of a hundred. */
static void what_the_rounds_measure_is_planned(void **state)
{
    struct deployment_params p = block_of_500(1000);
    struct deployment_plan plan = plan_of(&p, &tenth_lost);

    (void)state;
    assert_in_range(plan.ends[PLAN_P50].frames, 586, 598);
    assert_in_range(plan.ends[PLAN_P99].frames, 592, 608);
    assert_int_equal(plan.ends[PLAN_P50].airtime_ms, plan.ends[PLAN_P50].frames * INT64_C(400));
    assert_int_equal(plan.gap_ms, 5000);
    assert_true(plan.duty_used > 0.079 && plan.duty_used < 0.081);
    assert_false(plan.is_cut_short);
    assert_true(plan.done > 0.9999999 && plan.done <= 1.0 + 1e-9);
    /* One session of 2^15 s at 10 mA. */
    assert_true(plan.charge_mah > 91.0 && plan.charge_mah < 91.1);
    /* Half of the devices are done about a row or two beyond M / 0.9. */
    assert_in_range(plan.fragments_for[0], 555, 560);
}

static void one_device_needs_less_and_a_mixed_fleet_more(void **state)
{
    struct deployment_params one = block_of_500(1), many = block_of_500(1000);
    struct plan_fleet mixed = {
        .gateway_count = 1,
        .loss_count = 3,
        .losses = {{0.9, 0.02}, {0.09, 0.125}, {0.01, 0.375}},
    };

    (void)state;
    assert_in_range(plan_of(&one, &tenth_lost).ends[PLAN_P50].frames, 556, 572);
    assert_in_range(plan_of(&many, &mixed).ends[PLAN_P50].frames, 820, 880);
    assert_true(plan_of(&many, &mixed).rounds[0].done > 0.88);
}

/* M = 500, 10 % redundancy: the cliff. */
static void a_fixed_redundancy_ends_where_it_ends(void **state)
{
    struct deployment_params p = block_of_500(1000);

    (void)state;
    p.rounds_max = 1;
    p.coded_count = 50;
    struct deployment_plan plan = plan_of(&p, &tenth_lost);
    assert_true(plan.is_cut_short);
    assert_true(plan.done > 0.19 && plan.done < 0.22);
    assert_int_equal(plan.ends[PLAN_P50].fragments, 550);
    assert_int_equal(plan.ends[PLAN_P99].fragments, 550);
    assert_int_equal(plan.round_count, 1);
}

static void the_limits_of_the_operator_count(void **state)
{
    struct deployment_params p = block_of_500(1000);

    (void)state;
    p.frames_max = 560;
    struct deployment_plan plan = plan_of(&p, &tenth_lost);
    assert_true(plan.is_cut_short);
    assert_true(plan.ends[PLAN_P99].frames <= 560);
    assert_true(plan.done > 0.2 && plan.done < 0.9);
    p.frames_max = 0;
    p.time_limit_ms = 3600000;
    assert_true(plan_of(&p, &tenth_lost).is_cut_short);
}

static void what_does_not_fit_into_a_session_takes_several(void **state)
{
    struct deployment_params p = block_of_500(1000);

    (void)state;
    p.time_out = 11; /* 2048 s, 408 frames */
    struct deployment_plan plan = plan_of(&p, &tenth_lost);
    assert_int_equal(plan.ends[PLAN_P50].sessions, 2);
    assert_false(plan.is_cut_short);
    p.sessions_max = 1;
    plan = plan_of(&p, &tenth_lost);
    assert_int_equal(plan.ends[PLAN_P50].sessions, 1);
    assert_true(plan.is_cut_short);
}

static void chosen_rows_save_frames(void **state)
{
    struct deployment_params p = test_params(100);
    struct deployment_plan plan;

    (void)state;
    p.fragment_count = 50;
    p.coded_count = 3;
    plan = plan_of(&p, &tenth_lost);
    unsigned consecutive = plan.fragments_for[1];
    p.choose_rows = true;
    plan = plan_of(&p, &tenth_lost);
    assert_true(plan.fragments_for[1] + 4 <= consecutive);
}

static void what_is_out_of_range_is_refused(void **state)
{
    struct deployment_params p = block_of_500(1000);
    struct deployment_plan plan;

    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        struct plan_fleet fleet = tenth_lost;
        void *scratch = malloc(deployment_plan_size(&p, &fleet));
        assert_non_null(scratch);
        fleet.gateway_count = i == 0 ? 0 : i == 1 ? DEPLOYMENT_GATEWAYS_MAX + 1 : 1;
        fleet.losses[0].share = i == 2 ? 0.9 : 1.0;
        fleet.losses[0].loss = i == 3 ? 0.95 : i == 4 ? -0.1 : 0.1;
        fleet.loss_count = i == 5 ? 0 : 1;
        assert_int_equal(deployment_plan(&p, &fleet, scratch, &plan), ERR_RANGE);
        free(scratch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_rounds_measure_is_planned),
        cmocka_unit_test(one_device_needs_less_and_a_mixed_fleet_more),
        cmocka_unit_test(a_fixed_redundancy_ends_where_it_ends),
        cmocka_unit_test(the_limits_of_the_operator_count),
        cmocka_unit_test(what_does_not_fit_into_a_session_takes_several),
        cmocka_unit_test(chosen_rows_save_frames),
        cmocka_unit_test(what_is_out_of_range_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
