/* airtime_test.c - the time on air, against published figures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lorawan/airtime.h"

static struct data_rate rate(enum region region, unsigned index)
{
    struct data_rate data_rate;

    assert_int_equal(region_data_rate(region, index, &data_rate), ERR_OK);
    return data_rate;
}

static void frames_take_the_time_that_others_compute(void **state)
{
    (void)state;
    /* In the first three the CRC changes nothing: its two octets fit the last block of symbols. */
    static const struct {
        enum region region;
        unsigned data_rate;
        size_t size;
        uint32_t uplink_us;
        uint32_t downlink_us;
    } rows[] = {
        {REGION_EU868, 0, 64, 2793472, 2793472}, /* 2793 ms */
        {REGION_EU868, 3, 128, 676864, 676864},  /* 677 ms */
        {REGION_EU868, 5, 235, 368896, 368896},  /* 369 ms */
        {REGION_EU868, 0, 13, 1155072, 1155072}, /* low data rate optimisation */
        {REGION_EU868, 1, 13, 577536, 577536},   /* and here */
        {REGION_EU868, 2, 13, 288768, 288768},   /* not here */
        {REGION_EU868, 5, 13, 46336, 41216},     {REGION_EU868, 6, 13, 23168, 20608},
        {REGION_EU868, 7, 64, 12000, 12000}, /* FSK has its CRC in both directions */
        {REGION_US915, 8, 66, 616448, 616448},   {REGION_US915, 13, 255, 99904, 98624},
        {REGION_EU868, 0, 0, 663552, 663552}, /* 8 symbols, and the SF12 header that holds no octet
                                               */
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct data_rate data_rate = rate(rows[i].region, rows[i].data_rate);

        assert_int_equal(airtime_us(&data_rate, rows[i].size, true), rows[i].uplink_us);
        assert_int_equal(airtime_us(&data_rate, rows[i].size, false), rows[i].downlink_us);
    }
}

static void more_octets_and_slower_rates_take_longer(void **state)
{
    (void)state;
    for (unsigned index = 0; index <= 6; index++) {
        struct data_rate data_rate = rate(REGION_EU868, index);
        struct data_rate slower = rate(REGION_EU868, index > 0 ? index - 1 : 0);

        for (size_t size = 1; size <= 255; size++) {
            uint32_t us = airtime_us(&data_rate, size, false);

            assert_true(us >= airtime_us(&data_rate, size - 1, false));
            assert_true(us <= airtime_us(&data_rate, size, true));
            assert_true(index == 0 || us < airtime_us(&slower, size, false));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_take_the_time_that_others_compute),
        cmocka_unit_test(more_octets_and_slower_rates_take_longer),
    };
    return cmocka_run_group_tests_name("airtime", tests, NULL, NULL);
}
