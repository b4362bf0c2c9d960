/* record_test.c - fields as texts: there and back, and what is refused. */
#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "deployment/deployment.h"
#include "record.h"

/* One field of each kind at the start of a buffer. */
static const struct field bool_field = {"f", FIELD_BOOL, 0}, u8 = {"f", FIELD_U8, 0},
                          i8 = {"f", FIELD_I8, 0}, u16 = {"f", FIELD_U16, 0},
                          u32 = {"f", FIELD_U32, 0}, i64 = {"f", FIELD_I64, 0},
                          real = {"f", FIELD_DOUBLE, 0}, enumeration = {"f", FIELD_ENUM, 0},
                          uuid = {"f", FIELD_UUID, 0}, eui = {"f", FIELD_EUI, 0},
                          state_field = {"f", FIELD_STATE, 0}, stage = {"f", FIELD_STAGE, 0},
                          reason = {"f", FIELD_REASON, 0}, region = {"f", FIELD_REGION, 0},
                          descriptor = {"f", FIELD_DESCRIPTOR, 0}, euis = {"f", FIELD_EUI_LIST, 0};
static const struct field gateways = {"f", FIELD_GATEWAYS, 0};

union record {
    uint8_t octets[512];
    int64_t number;
    double real;
    uint64_t euis[DEPLOYMENT_GATEWAYS_MAX];
    struct transmission transmission;
};

/* `text` is read and written as it was. */
static void comes_back(const struct field *field, const char *text)
{
    union record record;
    char again[FIELD_TEXT_SIZE];

    memset(&record, 0, sizeof(record));
    if (field_parse(field, text, &record) != ERR_OK) {
        fail_msg("refused: %s", text);
    }
    field_format(field, &record, again);
    assert_string_equal(again, text);
}

static void is_refused(const struct field *field, const char *text)
{
    union record record;

    memset(&record, 0, sizeof(record));
    if (field_parse(field, text, &record) != ERR_FORMAT) {
        fail_msg("taken: \"%s\"", text);
    }
}

static void extremes_come_back(void **state)
{
    (void)state;

    comes_back(&bool_field, "true");
    comes_back(&bool_field, "false");
    comes_back(&u8, "0");
    comes_back(&u8, "255");
    comes_back(&i8, "-128");
    comes_back(&i8, "127");
    comes_back(&u16, "65535");
    comes_back(&u32, "4294967295");
    comes_back(&i64, "-9223372036854775808");
    comes_back(&i64, "9223372036854775807");
    comes_back(&enumeration, "2147483647");
    comes_back(&uuid, "ffffffff-ffff-ffff-ffff-ffffffffffff");
    comes_back(&eui, "ffffffffffffffff");
    comes_back(&eui, "0000000000000000");
    comes_back(&descriptor, "00ff10a5");
    comes_back(&real, "0.10000000000000001");
    comes_back(&euis, "");
    comes_back(&gateways, "");
}

static void every_name_comes_back(void **state)
{
    (void)state;

    for (unsigned i = 0; i < TRANSMISSION_STATE_COUNT; i++) {
        comes_back(&state_field, transmission_state_name((enum transmission_state)i));
    }
    for (unsigned i = 0; i < DEVICE_STAGE_COUNT; i++) {
        comes_back(&stage, device_stage_name((enum device_stage)i));
    }
    for (unsigned i = 0; i < REASON_COUNT; i++) {
        comes_back(&reason, reason_name((enum reason)i));
    }
    for (unsigned i = 0; i < REGION_COUNT; i++) {
        comes_back(&region, region_name((enum region)i));
    }
}

static void doubles_are_exact(void **state)
{
    (void)state;
    static const double values[] = {DBL_MIN, DBL_MAX, 0.01, 1.0 / 3.0, 1.0, DBL_EPSILON, -0.5};

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        union record a = {.real = values[i]}, b = {.real = 0.0};
        char text[FIELD_TEXT_SIZE];
        field_format(&real, &a, text);
        assert_int_equal(field_parse(&real, text, &b), ERR_OK);
        assert_memory_equal(&a.real, &b.real, sizeof(double));
    }
}

static void full_lists_come_back(void **state)
{
    (void)state;
    struct field of_transmission = {"gateways", FIELD_GATEWAYS,
                                    offsetof(struct transmission, gateways)};
    union record a, b;
    char text[FIELD_TEXT_SIZE];

    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));
    a.transmission.gateway_count = DEPLOYMENT_GATEWAYS_MAX;
    for (unsigned g = 0; g < DEPLOYMENT_GATEWAYS_MAX; g++) {
        a.transmission.gateways[g].id = UINT64_MAX - g;
        a.transmission.gateways[g].is_chosen = true; /* the longest text there is */
    }
    field_format(&of_transmission, &a, text);
    assert_int_equal(field_parse(&of_transmission, text, &b), ERR_OK);
    assert_memory_equal(&a, &b, sizeof(a));
    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));
    for (unsigned g = 0; g < DEPLOYMENT_GATEWAYS_MAX; g++) {
        a.euis[g] = g + 1;
    }
    field_format(&euis, &a, text);
    assert_int_equal(field_parse(&euis, text, &b), ERR_OK);
    assert_memory_equal(&a, &b, sizeof(a));
}

static void what_this_program_never_writes_is_refused(void **state)
{
    (void)state;
    static const struct field *const integers[] = {&u8, &i8, &u16, &u32, &i64, &enumeration};
    static const char *const no_integers[] = {"",  " 1",  "+1",  "1 ", "1x",
                                              "x", "1.0", "0x1", "-",  "\t1"};
    static const struct field *const names[] = {&state_field, &stage, &reason, &region};

    for (size_t i = 0; i < 6; i++) {
        for (size_t k = 0; k < sizeof(no_integers) / sizeof(no_integers[0]); k++) {
            is_refused(integers[i], no_integers[k]);
        }
        is_refused(integers[i], "9223372036854775808");
        is_refused(integers[i], "-9223372036854775809");
        is_refused(integers[i], "99999999999999999999999");
    }
    is_refused(&u8, "256");
    is_refused(&u8, "-1");
    is_refused(&i8, "128");
    is_refused(&i8, "-129");
    is_refused(&u16, "65536");
    is_refused(&u32, "4294967296");
    is_refused(&enumeration, "-1");
    is_refused(&bool_field, "");
    is_refused(&bool_field, "1");
    is_refused(&bool_field, "TRUE");
    is_refused(&real, "");
    is_refused(&real, "1,5");
    is_refused(&real, "nan");
    is_refused(&real, "inf");
    is_refused(&real, "1e999");
    is_refused(&uuid, "");
    is_refused(&uuid, "ffffffff-ffff-ffff-ffff-fffffffffff");
    is_refused(&eui, "fffffffffffffff");
    is_refused(&descriptor, "00ff10a");
    is_refused(&descriptor, "00ff10a5a5");
    for (size_t i = 0; i < 4; i++) {
        is_refused(names[i], "");
        is_refused(names[i], "nothing like it");
    }
    is_refused(&gateways, "0016c001f150081");
    is_refused(&gateways, "0016c001f1500812;0016c001f1500813");
    is_refused(&gateways, "0016c001f1500812**");
    is_refused(&euis, "0016c001f1500812*");
    is_refused(&euis, "0016c001f1500812,x");
}

static void a_list_that_is_too_long_is_refused(void **state)
{
    (void)state;
    char text[(DEPLOYMENT_GATEWAYS_MAX + 1) * 17 + 1];
    size_t size = 0;

    for (unsigned g = 0; g <= DEPLOYMENT_GATEWAYS_MAX; g++) {
        size +=
            (size_t)snprintf(text + size, sizeof(text) - size, "%s%016x", g > 0 ? "," : "", g + 1);
    }
    is_refused(&gateways, text);
    is_refused(&euis, text);
}

static void every_column_is_named_once(void **state)
{
    (void)state;
    static const struct {
        const struct field *fields;
        const size_t *count;
    } tables[] = {{device_fields, &device_field_count},
                  {transmission_fields, &transmission_field_count},
                  {params_fields, &params_field_count}};

    for (size_t i = 0; i < 3; i++) {
        for (size_t a = 0; a < *tables[i].count; a++) {
            for (size_t b = 0; b < a; b++) {
                assert_string_not_equal(tables[i].fields[a].column, tables[i].fields[b].column);
                assert_int_not_equal(tables[i].fields[a].offset, tables[i].fields[b].offset);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extremes_come_back),
        cmocka_unit_test(every_name_comes_back),
        cmocka_unit_test(doubles_are_exact),
        cmocka_unit_test(full_lists_come_back),
        cmocka_unit_test(what_this_program_never_writes_is_refused),
        cmocka_unit_test(a_list_that_is_too_long_is_refused),
        cmocka_unit_test(every_column_is_named_once),
    };
    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
