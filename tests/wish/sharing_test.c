/* sharing_test.c - who else sends through the gateways of a plan, and whether the duty cycle
 * suffices for all. */
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
#define A         "\"a000000000000001\""
#define B         "\"b000000000000002\""
#define C         "\"c000000000000003\""

/* pumps and meters send in the sub-band of 10 %, valves in another one; doors send through none of
 * ours. */
static const char running[] =
    "[{\"deployment_id\":\"p\",\"name\":\"pumps\",\"frequency_hz\":869525000,\"duty_used\":0.03,"
    "\"gateways\":[" A "," B "]},"
    "{\"deployment_id\":\"v\",\"name\":\"valves\",\"frequency_hz\":868100000,\"duty_used\":0.06,"
    "\"gateways\":[" A "]},"
    "{\"deployment_id\":\"m\",\"name\":\"meters\",\"frequency_hz\":869525000,\"duty_used\":0.02,"
    "\"gateways\":[" B "," C "]},"
    "{\"deployment_id\":\"d\",\"name\":\"doors\",\"frequency_hz\":869525000,\"duty_used\":0.08,"
    "\"gateways\":[" C "]}]";

/* The plan of a deployment that takes `duty` of the 8 % which are allowed. */
static char *plan_text(const char *neighbours, double duty, size_t gateway_count)
{
    static const uint64_t gateways[] = {GATEWAY_A, GATEWAY_B};
    const struct deployment_params params = {
        .region = REGION_EU868, .frequency_hz = 869525000, .duty_cycle = 0.08, .margin_ms = 5000};
    cJSON *list = neighbours != NULL ? cJSON_Parse(neighbours) : NULL;
    cJSON *plan = cJSON_Parse("{\"warnings\":[]}");

    cJSON_AddNumberToObject(plan, "duty_used", duty);
    cJSON_AddNumberToObject(plan, "gateway_count", 3);
    cJSON_AddNumberToObject(plan, "gap_ms", 20000);
    wish_add_sharing(plan, list, &params, gateways, gateway_count);
    char *text = cJSON_PrintUnformatted(plan);
    cJSON_Delete(plan);
    cJSON_Delete(list);
    return text;
}

static void expect(const char *neighbours, double duty, size_t gateway_count, const char *sharing,
                   const char *warning)
{
    char *text = plan_text(neighbours, duty, gateway_count);
    const char *found = strstr(text, "\"sharing\":");

    assert_non_null(found);
    assert_memory_equal(found + strlen("\"sharing\":"), sharing, strlen(sharing));
    if (warning == NULL) {
        assert_non_null(strstr(text, "\"warnings\":[]"));
    } else {
        assert_non_null(strstr(text, warning));
    }
    cJSON_free(text);
}

#define PUMPS  "{\"deployment_id\":\"p\",\"name\":\"pumps\",\"gateways\":[" A "," B "]}"
#define VALVES "{\"deployment_id\":\"v\",\"name\":\"valves\",\"gateways\":[" A "]}"
#define METERS "{\"deployment_id\":\"m\",\"name\":\"meters\",\"gateways\":[" B "]}"

static void who_sends_through_the_same_gateways_is_named(void **state)
{
    (void)state;
    expect(running, 0.03, 2, "[" PUMPS "," VALVES "," METERS "]", NULL); /* B: exactly 8 % */
    expect(running, 0.03, 1,
           "[{\"deployment_id\":\"p\",\"name\":\"pumps\",\"gateways\":[" A "]}," VALVES "]", NULL);
    expect(running, 0.03, 0, "[]", NULL);
    expect("[]", 0.08, 2, "[]", NULL);
    expect(NULL, 0.08, 2, "[]", NULL); /* not known */
}

static void what_the_duty_cycle_does_not_suffice_for_is_told(void **state)
{
    (void)state;
    expect(running, 0.04, 2, "[" PUMPS "," VALVES "," METERS "]",
           "it takes 1.12 times as long as planned"); /* B: 9 % of the time where 8 % is allowed */
    /* what is sent in another sub-band takes nothing away */
    expect(running, 0.05, 1, "[{\"deployment_id\":\"p\"", NULL);
}

/* Each frame takes its gateways for gateways x margin, whatever the sub-band: 75 % of the time
 * here. */
static void what_the_gateways_do_not_suffice_for_is_told(void **state)
{
    static const char slow[] =
        "[{\"deployment_id\":\"v\",\"name\":\"valves\",\"frequency_hz\":868100000,"
        "\"duty_used\":0.001,\"gateway_count\":3,\"margin_ms\":5000,\"gap_ms\":%s,"
        "\"gateways\":[" A "]}]";
    char text[300];

    (void)state;
    snprintf(text, sizeof(text), slow, "15000");
    expect(text, 0.01, 2, "[" VALVES "]", "it takes 1.75 times as long as planned");
    snprintf(text, sizeof(text), slow, "60000");
    expect(text, 0.01, 2, "[" VALVES "]", NULL); /* exactly all */
}

static void what_cannot_be_read_is_passed_over(void **state)
{
    (void)state;
    expect("[{},{\"deployment_id\":1,\"name\":\"x\",\"gateways\":[" A "]},"
           "{\"deployment_id\":\"y\",\"gateways\":[" A "]},[],3,null,"
           "{\"deployment_id\":\"z\",\"name\":\"z\",\"gateways\":[7]},"
           "{\"deployment_id\":\"g\",\"name\":\"g\",\"frequency_hz\":-1,\"duty_used\":null,"
           "\"gateways\":[" A "]}]",
           0.08, 2, "[{\"deployment_id\":\"g\",\"name\":\"g\",\"gateways\":[" A "]}]", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_sends_through_the_same_gateways_is_named),
        cmocka_unit_test(what_the_duty_cycle_does_not_suffice_for_is_told),
        cmocka_unit_test(what_the_gateways_do_not_suffice_for_is_told),
        cmocka_unit_test(what_cannot_be_read_is_passed_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
