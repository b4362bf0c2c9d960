/* region_test.c - data rates, payload sizes against two tables of others, frequencies, duty cycles.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lorawan/region.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { NONE = -1 };

/*
 * What each side lets through per downlink data rate, 0 .. 15, not repeater compatible. The
 * server's are the entries "Latest" of lrwn/src/region/ in ChirpStack 4, which follow RP002-1.0.5;
 * the device's are MaxPayloadOfDatarate of LoRaMac-node's region files, which follow RP002-1.0.4
 * (uplink-only rates and IN865's reserved DR6 left out).
 */
struct payload_table {
    enum region region;
    int is_dwell; /* 0, 1; NONE: both */
    int server[16];
    int device[16];
};

#define X NONE
static const struct payload_table tables[] = {
    {REGION_EU868,
     NONE,
     {51, 51, 51, 115, 222, 242, 242, 242, X, X, X, X, 242, 242, X, X},
     {51, 51, 51, 115, 242, 242, 242, 242, X, X, X, X, X, X, X, X}},
    {REGION_EU433,
     NONE,
     {51, 51, 51, 115, 242, 242, 242, 242, X, X, X, X, 242, 242, X, X},
     {51, 51, 51, 115, 242, 242, 242, 242, X, X, X, X, X, X, X, X}},
    {REGION_RU864,
     NONE,
     {51, 51, 51, 115, 242, 242, 242, 242, X, X, X, X, 242, 242, X, X},
     {51, 51, 51, 115, 242, 242, 242, 242, X, X, X, X, X, X, X, X}},
    {REGION_IN865,
     NONE,
     {51, 51, 51, 115, 242, 242, 242, 242, X, X, X, X, 242, 242, X, X},
     {51, 51, 51, 115, 242, 242, X, 242, X, X, X, X, X, X, X, X}},
    {REGION_KR920,
     NONE,
     {51, 51, 51, 115, 242, 242, X, X, X, X, X, X, 242, 242, X, X},
     {51, 51, 51, 115, 242, 242, X, X, X, X, X, X, X, X, X, X}},
    {REGION_AS923,
     0,
     {51, 51, 115, 115, 242, 242, 242, 242, X, X, X, X, 242, 242, X, X},
     {51, 51, 115, 115, 242, 242, 242, 242, X, X, X, X, X, X, X, X}},
    {REGION_AS923,
     1,
     {0, 0, 11, 53, 125, 242, 242, 242, X, X, X, X, 242, 242, X, X},
     {0, 0, 11, 53, 125, 242, 242, 242, X, X, X, X, X, X, X, X}},
    {REGION_US915,
     NONE,
     {242, X, X, X, X, X, X, X, 53, 129, 242, 242, 242, 242, 242, X},
     {X, X, X, X, X, X, X, X, 53, 129, 242, 242, 242, 242, X, X}},
    {REGION_AU915,
     NONE,
     {242, X, X, X, X, X, X, X, 53, 129, 242, 242, 242, 242, 242, X},
     {X, X, X, X, X, X, X, X, 53, 129, 242, 242, 242, 242, X, X}},
    {REGION_CN470,
     NONE,
     {0, 23, 86, 184, 242, 242, 242, 242, X, X, X, X, X, X, X, X},
     {0, 23, 86, 184, 242, 242, 242, 242, X, X, X, X, X, X, X, X}},
};
#undef X

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static void no_payload_is_larger_than_the_server_sends_or_the_device_takes(void **state)
{
    (void)state;
    int compared = 0;

    for (size_t t = 0; t < COUNT(tables); t++) {
        for (unsigned variant = 0; variant < 4; variant++) {
            bool is_repeater = (variant & 1) != 0;
            bool is_dwell = (variant & 2) != 0;

            if (tables[t].is_dwell != NONE && tables[t].is_dwell != (int)is_dwell) {
                continue;
            }
            for (unsigned index = 0; index < 16; index++) {
                int want = smaller(tables[t].server[index], tables[t].device[index]);
                size_t size = 9999;
                enum err err =
                    region_payload_size_max(tables[t].region, index, is_repeater, is_dwell, &size);

                if (want <= 0) {
                    assert_int_equal(err, ERR_UNKNOWN);
                    assert_int_equal(size, 9999);
                } else {
                    assert_int_equal(err, ERR_OK);
                    assert_int_equal(size, is_repeater ? smaller(want, 222) : want);
                }
                compared++;
            }
        }
    }
    /* Nine regions, both dwell times, both repeater settings, 16 data rates. */
    assert_int_equal(compared, REGION_COUNT * 2 * 2 * 16);
}

static void eu868_has_the_sizes_that_operators_know(void **state)
{
    (void)state;
    size_t size;

    assert_int_equal(region_payload_size_max(REGION_EU868, 4, false, false, &size), ERR_OK);
    assert_int_equal(size, 222);
    assert_int_equal(region_payload_size_max(REGION_EU868, 5, false, false, &size), ERR_OK);
    assert_int_equal(size, 242);
    assert_int_equal(region_payload_size_max(REGION_EU868, 5, true, false, &size), ERR_OK);
    assert_int_equal(size, 222);
}

static void every_rate_with_a_payload_has_a_modulation(void **state)
{
    (void)state;
    for (unsigned region = 0; region < REGION_COUNT; region++) {
        for (unsigned index = 0; index <= REGION_DATA_RATE_MAX + 2; index++) {
            struct data_rate rate = {.bit_rate = 1};
            size_t size;
            enum err err = region_data_rate((enum region)region, index, &rate);

            if (err == ERR_UNKNOWN) {
                assert_int_equal(rate.bit_rate, 1);
                assert_int_equal(
                    region_payload_size_max((enum region)region, index, false, false, &size),
                    ERR_UNKNOWN);
                continue;
            }
            assert_int_equal(err, ERR_OK);
            if (rate.modulation == MODULATION_FSK) {
                assert_int_equal(rate.bit_rate, 50000);
                assert_int_equal(rate.spreading_factor, 0);
            } else {
                assert_in_range(rate.spreading_factor, 7, 12);
                assert_true(rate.bandwidth_hz == 125000 || rate.bandwidth_hz == 250000 ||
                            rate.bandwidth_hz == 500000);
            }
        }
    }
}

static void the_data_rates_are_those_of_the_specification(void **state)
{
    (void)state;
    static const struct {
        enum region region;
        unsigned index;
        uint8_t spreading_factor;
        uint32_t bandwidth_hz;
    } rows[] = {
        {REGION_EU868, 0, 12, 125000}, {REGION_EU868, 3, 9, 125000},
        {REGION_EU868, 5, 7, 125000},  {REGION_EU868, 6, 7, 250000},
        {REGION_US915, 8, 12, 500000}, {REGION_US915, 10, 10, 500000},
        {REGION_AU915, 13, 7, 500000}, {REGION_AS923, 2, 10, 125000},
        {REGION_CN470, 6, 7, 500000},  {REGION_KR920, 5, 7, 125000},
        {REGION_IN865, 4, 8, 125000},  {REGION_RU864, 1, 11, 125000},
    };
    struct data_rate rate;

    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(region_data_rate(rows[i].region, rows[i].index, &rate), ERR_OK);
        assert_int_equal(rate.modulation, MODULATION_LORA);
        assert_int_equal(rate.spreading_factor, rows[i].spreading_factor);
        assert_int_equal(rate.bandwidth_hz, rows[i].bandwidth_hz);
    }
    assert_int_equal(region_data_rate(REGION_EU868, 7, &rate), ERR_OK);
    assert_int_equal(rate.modulation, MODULATION_FSK);
    assert_int_equal(region_data_rate(REGION_EU868, 8, &rate),
                     ERR_UNKNOWN); /* LR-FHSS, uplink only */
    assert_int_equal(region_data_rate(REGION_US915, 0, &rate), ERR_UNKNOWN); /* an uplink rate */
    assert_int_equal(region_data_rate(REGION_IN865, 6, &rate), ERR_UNKNOWN); /* reserved */
    assert_int_equal(region_data_rate(REGION_KR920, 6, &rate), ERR_UNKNOWN);
    /* The rate is there, a payload is not. */
    assert_int_equal(region_data_rate(REGION_CN470, 0, &rate), ERR_OK);
}

static void names_are_read_as_people_write_them(void **state)
{
    (void)state;
    enum region region;

    for (unsigned i = 0; i < REGION_COUNT; i++) {
        assert_int_equal(region_parse(region_name((enum region)i), &region), ERR_OK);
        assert_int_equal(region, i);
    }
    static const char *const as923[] = {"as923", "AS923-1", "AS923-4", "As923_2", "AS923_3"};
    for (size_t i = 0; i < COUNT(as923); i++) {
        region = REGION_COUNT;
        assert_int_equal(region_parse(as923[i], &region), ERR_OK);
        assert_int_equal(region, REGION_AS923);
    }
    assert_int_equal(region_parse("eu868", &region), ERR_OK);
    assert_int_equal(region, REGION_EU868);
    static const char *const unknown[] = {
        "",       "EU",       "EU8688", " EU868",  "EU868-1", "AS923-0", "AS923-5",
        "AS923-", "AS923-11", "AS9231", "AS923 1", "CN779",   "ISM2400", "EU868 ",
    };
    for (size_t i = 0; i < COUNT(unknown); i++) {
        region = REGION_COUNT;
        assert_int_equal(region_parse(unknown[i], &region), ERR_UNKNOWN);
        assert_int_equal(region, REGION_COUNT);
    }
}

static void a_frequency_is_in_the_band_and_on_the_100_hz_grid(void **state)
{
    (void)state;
    for (unsigned i = 0; i < REGION_COUNT; i++) {
        uint32_t low_hz, high_hz;
        enum region region = (enum region)i;

        region_frequency_range(region, &low_hz, &high_hz);
        assert_true(low_hz < high_hz);
        assert_true(region_frequency_is_allowed(region, low_hz));
        assert_true(region_frequency_is_allowed(region, high_hz));
        assert_false(region_frequency_is_allowed(region, low_hz - 100));
        assert_false(region_frequency_is_allowed(region, high_hz + 100));
        assert_false(region_frequency_is_allowed(region, low_hz + 150));
        assert_false(region_frequency_is_allowed(region, 0));
    }
}

static void the_default_for_multicast_can_be_used(void **state)
{
    (void)state;
    uint32_t frequency_hz;
    unsigned data_rate;
    size_t size;

    for (unsigned i = 0; i < REGION_COUNT; i++) {
        enum region region = (enum region)i;

        region_multicast_default(region, &frequency_hz, &data_rate);
        assert_true(region_frequency_is_allowed(region, frequency_hz));
        for (unsigned variant = 0; variant < 4; variant++) {
            assert_int_equal(region_payload_size_max(region, data_rate, (variant & 1) != 0,
                                                     (variant & 2) != 0, &size),
                             ERR_OK);
            assert_true(size >=
                        53); /* room for a fragment of 50 octets even with AS923's dwell limit */
        }
        assert_true(region_duty_cycle(region, frequency_hz) >= 0.1);
    }
    region_multicast_default(REGION_EU868, &frequency_hz, &data_rate);
    assert_int_equal(frequency_hz, 869525000);
    assert_int_equal(data_rate, 3);
}

static void duty_cycles_are_those_of_the_sub_band(void **state)
{
    (void)state;
    static const struct {
        enum region region;
        uint32_t frequency_hz;
        int per_mille;
    } rows[] = {
        {REGION_EU868, 863000000, 1},    {REGION_EU868, 864900000, 1},
        {REGION_EU868, 865100000, 10},   {REGION_EU868, 867100000, 10},
        {REGION_EU868, 868100000, 10},   {REGION_EU868, 868500000, 10},
        {REGION_EU868, 868650000, 1},    {REGION_EU868, 868800000, 1},
        {REGION_EU868, 869399900, 1},    {REGION_EU868, 869400000, 100},
        {REGION_EU868, 869525000, 100},  {REGION_EU868, 869650000, 100},
        {REGION_EU868, 869650100, 1},    {REGION_EU868, 869800000, 10},
        {REGION_RU864, 864900000, 1},    {REGION_RU864, 867000000, 10},
        {REGION_RU864, 868900000, 100},  {REGION_RU864, 869100000, 100},
        {REGION_RU864, 865500000, 1},    {REGION_EU433, 434665000, 100},
        {REGION_US915, 923300000, 1000}, {REGION_AU915, 923300000, 1000},
        {REGION_AS923, 923200000, 1000}, {REGION_IN865, 866550000, 1000},
        {REGION_KR920, 921900000, 1000}, {REGION_CN470, 505300000, 1000},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        double share = region_duty_cycle(rows[i].region, rows[i].frequency_hz);

        assert_int_equal((int)(share * 1000 + 0.5), rows[i].per_mille);
    }
}

static void bands_have_names(void **state)
{
    static const struct {
        enum region region;
        uint32_t frequency_hz;
        const char *name;
    } rows[] = {
        {REGION_EU868, 869525000, "869400-869650"}, {REGION_EU868, 868100000, "868000-868600"},
        {REGION_EU868, 868650000, "863000-870000"}, {REGION_US915, 923300000, "902000-928000"},
        {REGION_EU433, 434665000, "433050-434790"},
    };
    char name[REGION_BAND_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        region_band_name(rows[i].region, rows[i].frequency_hz, name);
        assert_string_equal(name, rows[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_payload_is_larger_than_the_server_sends_or_the_device_takes),
        cmocka_unit_test(eu868_has_the_sizes_that_operators_know),
        cmocka_unit_test(every_rate_with_a_payload_has_a_modulation),
        cmocka_unit_test(the_data_rates_are_those_of_the_specification),
        cmocka_unit_test(names_are_read_as_people_write_them),
        cmocka_unit_test(a_frequency_is_in_the_band_and_on_the_100_hz_grid),
        cmocka_unit_test(the_default_for_multicast_can_be_used),
        cmocka_unit_test(duty_cycles_are_those_of_the_sub_band),
        cmocka_unit_test(bands_have_names),
    };
    return cmocka_run_group_tests_name("region", tests, NULL, NULL);
}
