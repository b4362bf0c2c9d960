/* coverage_test.c - the gateways of a plan, and who is not reached. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "wish/wish.h"

#define GATEWAY_A 0xa000000000000001
#define GATEWAY_B 0xb000000000000002
#define GATEWAY_C 0xc000000000000003
#define A         "\"a000000000000001\""
#define B         "\"b000000000000002\""
#define C         "\"c000000000000003\""

/* 60 devices hear A, 50 hear B, 20 of them both; 5 hear only C, 2 nobody heard. */
static const char fleet[] =
    "[{\"gateways\":[],\"count\":2,\"devices\":[\"0000000000000001\",\"0000000000000002\"]},"
    "{\"gateways\":[" A "],\"count\":40,\"devices\":[\"0000000000000010\"]},"
    "{\"gateways\":[" A "," B "],\"count\":20,\"devices\":[\"0000000000000020\"]},"
    "{\"gateways\":[" B "],\"count\":30,\"devices\":[\"0000000000000030\"]},"
    "{\"gateways\":[" C "],\"count\":5,\"devices\":[\"0000000000000040\",\"0000000000000041\"]}]";

static const uint64_t all[] = {GATEWAY_C, GATEWAY_A, GATEWAY_B}; /* in no order */

static struct coverage cover(const char *text, const uint64_t *chosen, size_t chosen_count,
                             const uint64_t *online, size_t online_count, unsigned gateways_max)
{
    struct coverage coverage;
    cJSON *patterns = cJSON_Parse(text);

    assert_true(wish_coverage(patterns, chosen, chosen_count, online, online_count, gateways_max,
                              &coverage));
    cJSON_Delete(patterns);
    return coverage;
}

static void the_gateway_that_reaches_most_comes_first_and_none_too_many(void **state)
{
    (void)state;
    struct coverage c = cover(fleet, NULL, 0, all, 3, 16);
    assert_int_equal(c.gateway_count, 3);
    assert_int_equal(c.gateways[0], GATEWAY_A);
    assert_int_equal(c.gateways[1], GATEWAY_B);
    assert_int_equal(c.gateways[2], GATEWAY_C);
    assert_int_equal(c.covered, 95);
    assert_int_equal(c.not_covered, 0);
    assert_int_equal(c.unknown, 2);
    assert_int_equal(c.unknown_named, 2);
    assert_int_equal(c.unknown_devices[1], 2);

    c = cover(fleet, NULL, 0, all, 3, 2);
    assert_int_equal(c.gateway_count, 2);
    assert_int_equal(c.covered, 90);
    assert_int_equal(c.not_covered, 5);
    assert_int_equal(c.not_covered_named, 2);
    assert_int_equal(c.not_covered_devices[0], 0x40);

    /* one that all hear already adds nobody */
    c = cover("[{\"gateways\":[" A "," B "],\"count\":7,\"devices\":[]}]", NULL, 0, all, 3, 16);
    assert_int_equal(c.gateway_count, 1);
    assert_int_equal(c.covered, 7);
}

static void what_is_offline_is_not_taken(void **state)
{
    static const uint64_t online[] = {GATEWAY_B, GATEWAY_C};

    (void)state;
    struct coverage c = cover(fleet, NULL, 0, online, 2, 16);
    assert_int_equal(c.gateway_count, 2);
    assert_int_equal(c.gateways[0], GATEWAY_B);
    assert_int_equal(c.covered, 55);
    assert_int_equal(c.not_covered, 40);
    c = cover(fleet, NULL, 0, NULL, 0, 16);
    assert_int_equal(c.gateway_count, 0);
    assert_int_equal(c.not_covered, 95);
    c = cover("[]", NULL, 0, all, 3, 16);
    assert_int_equal(c.gateway_count + c.covered + c.not_covered + c.unknown, 0);
}

static void the_operators_gateways_are_taken_as_they_are(void **state)
{
    static const uint64_t chosen[] = {GATEWAY_C};

    (void)state;
    struct coverage c = cover(fleet, chosen, 1, all, 3, 1);
    assert_int_equal(c.gateway_count, 1);
    assert_int_equal(c.gateways[0], GATEWAY_C);
    assert_int_equal(c.covered, 5);
    assert_int_equal(c.not_covered, 90);
    assert_int_equal(c.not_covered_named, 3);
}

static void what_cannot_be_read_is_refused(void **state)
{
    static const char *const wrong[] = {
        "{}",
        "[1]",
        "[{\"gateways\":[],\"count\":0,\"devices\":[]}]",
        "[{\"gateways\":[],\"count\":1e9,\"devices\":[]}]",
        "[{\"gateways\":[],\"count\":1}]",
        "[{\"gateways\":[\"x\"],\"count\":1,\"devices\":[]}]",
        "[{\"gateways\":[" A ",7],\"count\":1,\"devices\":[]}]",
    };
    struct coverage c;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        cJSON *patterns = cJSON_Parse(wrong[i]);
        assert_non_null(patterns);
        assert_false(wish_coverage(patterns, NULL, 0, all, 3, 16, &c));
        cJSON_Delete(patterns);
    }
}

static char *plan_text(const struct coverage *c, bool is_observed)
{
    cJSON *plan = cJSON_Parse("{\"warnings\":[]}");

    wish_add_coverage(plan, c, is_observed);
    char *text = cJSON_PrintUnformatted(plan);
    cJSON_Delete(plan);
    return text;
}

static void the_plan_names_who_is_not_reached(void **state)
{
    struct coverage c = cover(fleet, NULL, 0, all, 3, 2);

    (void)state;
    char *text = plan_text(&c, false);
    assert_non_null(strstr(text, "\"coverage\":{\"gateways\":[" A "," B "],\"covered\":90,"
                                 "\"not_covered\":5,\"unknown\":2}"));
    assert_non_null(strstr(text, "devices that none of the group's 2 gateways hears: 5 "
                                 "(0000000000000040, 0000000000000041 and 3 more)"));
    assert_null(strstr(text, "lately"));
    cJSON_free(text);
    text = plan_text(&c, true);
    assert_non_null(strstr(text, "devices that were not heard lately: 2 "
                                 "(0000000000000001, 0000000000000002)"));
    cJSON_free(text);
    c.not_covered = c.unknown = 0;
    text = plan_text(&c, true);
    assert_non_null(strstr(text, "\"warnings\":[]"));
    cJSON_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gateway_that_reaches_most_comes_first_and_none_too_many),
        cmocka_unit_test(what_is_offline_is_not_taken),
        cmocka_unit_test(the_operators_gateways_are_taken_as_they_are),
        cmocka_unit_test(what_cannot_be_read_is_refused),
        cmocka_unit_test(the_plan_names_who_is_not_reached),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
