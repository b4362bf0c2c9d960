/* gps_time_test.c - GPS time and the seconds that go over the air. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lorawan/gps_time.h"
#include "lorawan/vectors.h"

static void the_times_of_the_vectors_are_converted_both_ways(void **state)
{
    (void)state;
    cJSON *root = vectors_load();
    const cJSON *time = vectors_at(root, "time");
    const cJSON *entry;
    int used = 0;

    assert_int_equal(vectors_u32(time, "gps_epoch_unix"), GPS_EPOCH_UNIX_S);
    assert_int_equal(vectors_u32(time, "leap_seconds_since_2017"), GPS_LEAP_S_DEFAULT);
    cJSON_ArrayForEach(entry, vectors_at(time, "unix_to_gps"))
    {
        const cJSON *leap = cJSON_GetObjectItem(entry, "leap_seconds");
        int leap_s = leap != NULL ? leap->valueint : GPS_LEAP_S_DEFAULT;
        int64_t unix_ms = (int64_t)vectors_u32(entry, "unix") * 1000 + 999;
        int64_t gps_ms = (int64_t)vectors_u32(entry, "gps") * 1000 + 999;

        assert_true(gps_from_unix_ms(unix_ms, leap_s) == gps_ms);
        assert_true(unix_from_gps_ms(gps_ms, leap_s) == unix_ms);
        assert_int_equal(gps_seconds(unix_ms, leap_s), vectors_u32(entry, "gps"));
        used++;
    }
    assert_int_equal(used, 2);
    cJSON_Delete(root);
}

static void seconds_are_rounded_down_and_wrap(void **state)
{
    (void)state;
    int64_t wrap_ms = ((INT64_C(1) << 32) + GPS_EPOCH_UNIX_S) * 1000;

    assert_int_equal(gps_seconds((int64_t)GPS_EPOCH_UNIX_S * 1000, 0), 0);
    assert_int_equal(gps_seconds((int64_t)GPS_EPOCH_UNIX_S * 1000 + 999, 0), 0);
    assert_int_equal(gps_seconds((int64_t)GPS_EPOCH_UNIX_S * 1000 + 1000, 0), 1);
    assert_int_equal(gps_seconds(wrap_ms - 1, 0), 0xFFFFFFFF);
    assert_int_equal(gps_seconds(wrap_ms, 0), 0);
    assert_int_equal(gps_seconds(wrap_ms, 19), 19);
}

static void time_before_the_epoch_is_negative(void **state)
{
    (void)state;
    assert_true(gps_from_unix_ms(0, 18) == -INT64_C(315964782000));
    assert_true(unix_from_gps_ms(-INT64_C(315964782000), 18) == 0);
    /* A leap second that is dropped moves GPS time back against UTC. */
    assert_true(gps_from_unix_ms(1000, -1) - gps_from_unix_ms(1000, 0) == -1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_times_of_the_vectors_are_converted_both_ways),
        cmocka_unit_test(seconds_are_rounded_down_and_wrap),
        cmocka_unit_test(time_before_the_epoch_is_negative),
    };
    return cmocka_run_group_tests_name("gps_time", tests, NULL, NULL);
}
