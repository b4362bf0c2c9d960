/* defaults_test.c - what fuotactl plans with is what an empty configuration says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "daemon/config.h"

#define SAME(member) assert_true(config.wish.member == wish_defaults.member)

static void an_empty_configuration_has_the_defaults_of_the_plan(void **state)
{
    struct config config;

    (void)state;
    assert_int_equal(config_load("/dev/null", stderr, &config), ERR_OK);
    SAME(margin_ms);
    SAME(scheduler_interval_ms);
    SAME(is_repeater_compatible);
    SAME(has_dwell_time_400ms);
    SAME(unicast_attempts);
    SAME(quorum_percent);
    SAME(setup_deadline_s);
    SAME(expected_loss);
    SAME(rounds);
    SAME(sessions);
    SAME(repair_passes);
    SAME(gateways_max);
    SAME(uplink_interval_s);
    SAME(min_gap_ms);
    SAME(receive_ma);
    SAME(network_share);
    SAME(leap_s);
    config_release(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_configuration_has_the_defaults_of_the_plan),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
