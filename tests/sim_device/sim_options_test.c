/* sim_options_test.c - the simulator's options, its scenario file, and the time frames are on the
 * air. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sim/options.h"
#include "sim/region.h"

static struct options options;
static char error[OPTIONS_ERROR_SIZE];

static enum err read_arguments(int argc, const char **argv)
{
    options_release(&options);
    options_init(&options);
    error[0] = '\0';
    return options_read(&options, argc, (char **)argv, error);
}

static int release(void **state)
{
    (void)state;
    options_release(&options);
    return 0;
}

static void bad_values_are_named_with_what_is_allowed(void **state)
{
    (void)state;
    const struct {
        const char *name;
        const char *value;
        const char *part;
    } cases[] = {
        {"--loss", "1.5", "a number from 0 to 1"},
        {"--loss", "nan", "a number from 0 to 1"},
        {"--devices", "2.5", "a whole number from 1 to 20000"},
        {"--devices", "", "a whole number from 1 to 20000"},
        {"--seed", "12x", "a whole number"},
        {"--gateway-duty-cycle", "1.1", "a number from 0 to 1"},
        {"--gateway-topics", "eu868/#", "a topic without + and #"},
        {"--gateway-topics", "0123456789012345678901234567890123456789012345678901234567890123",
         "at most 63 characters"},
        {"--kind", "foo", "letter, loramac, lbm, zephyr or mixed"},
        {"--class", "B", "A or C"},
        {"--bogus", "1", "no such option"},
        {"--scenario", "/nonexistent/scenario", "/nonexistent/scenario"},
        {"loss", "1", "an option begins with --"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *argv[] = {"fuota-sim", cases[i].name, cases[i].value};
        assert_int_equal(read_arguments(3, argv), ERR_FORMAT);
        assert_non_null(strstr(error, cases[i].part));
    }
    const char *without[] = {"fuota-sim", "--loss"};
    assert_int_equal(read_arguments(2, without), ERR_FORMAT);
    assert_non_null(strstr(error, "a value must follow"));
}

/* Writes `text` to a file of its own and reads it as a scenario. */
static enum err read_scenario(const char *text, const char *more, const char *value)
{
    char path[] = FUOTAD_BINARY_DIR "/scenario-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    const char *argv[] = {"fuota-sim", "--scenario", path, more, value};
    enum err err = read_arguments(more != NULL ? 5 : 3, argv);
    unlink(path);
    return err;
}

static void a_scenario_changes_some_devices(void **state)
{
    (void)state;
    enum err err = read_scenario("devices = 100; loss = 0.1; seed = 5;\n"
                                 "groups = ( { first = 10; count = 2; kind = \"lbm\"; loss = 0.5;\n"
                                 "             tags = { site = \"a\"; }; },\n"
                                 "           { share = 0.3; deaf = true; } );\n"
                                 "offline = ( { gateway = 0; from = 10; to = 20.5; } );\n",
                                 "--loss", "0.2");

    assert_string_equal(error, "");
    assert_int_equal(err, ERR_OK);
    assert_int_equal(options.devices, 100);
    assert_true(options.all.loss == 0.2); /* the command line wins over the file's global keys */
    assert_true(options.each[10].loss == 0.5);
    assert_true(options.each[12].loss == 0.2);
    assert_int_equal(options.each[11].kind, STACK_LBM);
    assert_string_equal(options.each[11].tags[0][1], "a");
    assert_int_equal(options.each[12].tag_count, 0);
    size_t deaf = 0;
    for (size_t i = 0; i < 100; i++) {
        deaf += options.each[i].deaf ? 1 : 0;
    }
    assert_in_range(deaf, 15, 45);
    assert_int_equal(options.offline_count, 1);
    assert_true(options.offline[0].to_s == 20.5);
}

static void mistakes_in_a_scenario_are_told_with_their_line(void **state)
{
    (void)state;
    assert_int_equal(read_scenario("devices = 5;\nlosss = 1;\n", NULL, NULL), ERR_FORMAT);
    assert_non_null(strstr(error, ":2: losss: no such option"));
    assert_int_equal(read_scenario("groups = ( {\n uplink_loss = 3; } );\n", NULL, NULL),
                     ERR_FORMAT);
    assert_non_null(strstr(error, ":2: uplink_loss: \"3\" is not possible"));
    assert_int_equal(read_scenario("groups = ( { seed = 3; } );\n", NULL, NULL), ERR_FORMAT);
    assert_non_null(strstr(error, "no such option of a group"));
    assert_int_equal(read_scenario("loss = ;\n", NULL, NULL), ERR_FORMAT);
    assert_int_equal(read_scenario("offline = ( { gateway = 0; } );\n", NULL, NULL), ERR_FORMAT);
}

static void refusals_of_gateways_are_read(void **state)
{
    (void)state;
    enum err err = read_scenario(
        "gateways = 2;\n"
        "refuse = ( { gateway = 1; from = 3600; to = 4200; share = 0.5; status = \"TX_FREQ\"; },\n"
        "           { from = 0; to = 0.5; } );\n",
        NULL, NULL);

    assert_string_equal(error, "");
    assert_int_equal(err, ERR_OK);
    assert_int_equal(options.refusal_count, 2);
    assert_int_equal(options.refusals[0].gateway, 1);
    assert_true(options.refusals[0].from_s == 3600 && options.refusals[0].to_s == 4200);
    assert_true(options.refusals[0].share == 0.5);
    assert_int_equal(options.refusals[0].status, TX_FREQ);
    assert_int_equal(options.refusals[1].gateway, 0);
    assert_true(options.refusals[1].share == 1);
    assert_int_equal(options.refusals[1].status, TX_COLLISION_PACKET);
}

static void mistakes_in_refusals_name_member_value_and_limit(void **state)
{
    (void)state;
    const struct {
        const char *entry;
        const char *part;
    } cases[] = {
        {"gateway = 2; from = 1; to = 2;",
         "refuse: gateway: \"2\" is not possible; allowed: a whole number from 0 to 1"},
        {"gateway = 0.5; from = 1; to = 2;", "a whole number from 0 to 1"},
        {"from = -1; to = 2;", "refuse: from: \"-1\" is not possible; allowed: a number from 0"},
        {"from = 0; to = 31536001;", "refuse: to: \"31536001\" is not possible"},
        {"from = 0; to = \"2s\";", "refuse: to: \"2s\" is not possible"},
        {"from = 0; to = ( 1 );", "refuse: to: \"no single value\" is not possible"},
        {"from = 0; to = 2; share = 1.01;",
         "refuse: share: \"1.01\" is not possible; allowed: a number from 0 to 1"},
        {"from = 0; to = 2; status = \"OK\";",
         "refuse: status: \"OK\" is not possible; allowed: TOO_LATE TOO_EARLY COLLISION_PACKET"},
        {"from = 0; to = 2; status = 3;", "refuse: status: \"3\" is not possible"},
        {"from = 0; to = 2; statsu = \"OK\";", "gateway, from, to, share and status"},
        {"from = 2; to = 2;", "to be after from"},
        {"from = 2;", "to be after from"},
        {"from = 1; to = 2; }, 7, {", "up to 64 of"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[200];
        snprintf(text, sizeof(text), "refuse = ( { %s } );\n", cases[i].entry);
        assert_int_equal(read_scenario(text, "--gateways", "2"), ERR_FORMAT);
        if (strstr(error, cases[i].part) == NULL) {
            fail_msg("%s: %s", cases[i].entry, error);
        }
    }
    char many[OPTIONS_REFUSAL_MAX * 24 + 100] = "refuse = ( { from = 1; to = 2; }";
    for (size_t i = 1; i <= OPTIONS_REFUSAL_MAX; i++) {
        strcat(many, ", { from = 1; to = 2; }");
    }
    strcat(many, " );\n");
    assert_int_equal(read_scenario(many, NULL, NULL), ERR_FORMAT);
    assert_non_null(strstr(error, "up to 64 of"));
}

static void a_group_names_its_gateways(void **state)
{
    (void)state;
    enum err err = read_scenario("gateways = 4; devices = 5; heard_by = 2;\n"
                                 "groups = ( { first = 0; count = 3; gateways = [0, 3, 3]; },\n"
                                 "           { first = 1; count = 1; gateways = ( 2 ); },\n"
                                 "           { first = 2; count = 1; heard_by = 1; } );\n",
                                 NULL, NULL);

    assert_string_equal(error, "");
    assert_int_equal(err, ERR_OK);
    assert_int_equal(options.each[0].gateway_mask, 9);
    assert_int_equal(options.each[1].gateway_mask, 4);
    assert_int_equal(options.each[2].gateway_mask, 0);
    assert_int_equal(options.each[2].heard_by, 1);
    assert_int_equal(options.each[3].gateway_mask, 0);
    assert_int_equal(options.each[3].heard_by, 2);
}

static void gateways_that_do_not_exist_are_named(void **state)
{
    (void)state;
    const struct {
        const char *entry;
        const char *part;
    } cases[] = {
        {"gateways = [0, 3];", "groups: gateways: \"3\" is not possible; allowed: whole numbers "
                               "from 0 to 2, as [0, 2]"},
        {"gateways = [-1];", "groups: gateways: \"-1\" is not possible"},
        {"gateways = [0.5];", "groups: gateways: \"0.5\" is not possible"},
        {"gateways = [ \"a\" ];", "groups: gateways: \"a\" is not possible"},
        {"gateways = ( [1] );", "groups: gateways: \"no single value\" is not possible"},
        {"gateways = [];", "groups: gateways: \"no single value\" is not possible"},
        {"gateways = 2;", "groups: gateways: \"2\" is not possible"},
        {"gateways = [1]; heard_by = 1;", "gateways and heard_by exclude each other"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[200];
        snprintf(text, sizeof(text), "groups = ( { %s } );\n", cases[i].entry);
        assert_int_equal(read_scenario(text, "--gateways", "3"), ERR_FORMAT);
        if (strstr(error, cases[i].part) == NULL) {
            fail_msg("%s: %s", cases[i].entry, error);
        }
    }
}

static void time_on_the_air_is_that_of_the_formula(void **state)
{
    (void)state;
    const struct region *eu = region_find("EU868");
    const struct region *us = region_find("US915");

    /* Of the well known calculators: 64 octets of PHYPayload with CRC. */
    assert_int_equal(airtime_ms(region_dr(eu, 5), 51, true), 119);  /* SF7: 118.0 ms */
    assert_int_equal(airtime_ms(region_dr(eu, 0), 51, true), 2794); /* SF12: 2793.5 ms */
    assert_int_equal(airtime_ms(region_dr(us, 8), 40, false), 535); /* SF12, 500 kHz: 534.5 ms */
    assert_null(region_dr(us, 7));
    assert_null(region_dr(eu, 16));
    assert_int_equal(region_dr_mask(us), 0x3F00);
    assert_null(region_find("eu868"));
}

#define TEST(name) cmocka_unit_test_teardown(name, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bad_values_are_named_with_what_is_allowed),
        TEST(a_scenario_changes_some_devices),
        TEST(mistakes_in_a_scenario_are_told_with_their_line),
        TEST(refusals_of_gateways_are_read),
        TEST(mistakes_in_refusals_name_member_value_and_limit),
        TEST(a_group_names_its_gateways),
        TEST(gateways_that_do_not_exist_are_named),
        TEST(time_on_the_air_is_that_of_the_formula),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
