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
        TEST(time_on_the_air_is_that_of_the_formula),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
