/* sim_faults_test.c - the file that says which gRPC calls go wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sim/faults.h"

#define ENQUEUE "/api.DeviceService/Enqueue"
#define GET     "/api.DeviceService/Get"

static char path[] = "/tmp/sim_faults_test.XXXXXX";
static struct faults faults;
static char error[FAULTS_ERROR_SIZE];

/* Appears whole, as the simulator asks for. */
static void write_file(const char *text)
{
    char other[sizeof(path) + 4];
    FILE *file;

    snprintf(other, sizeof(other), "%s.new", path);
    file = fopen(other, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(other, path), 0);
}

static enum err read_text(const char *text)
{
    write_file(text);
    return faults_read(&faults, error);
}

static int begin(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    faults_init(&faults, path, 1);
    return fd >= 0 ? close(fd) : -1;
}

static int end(void **state)
{
    (void)state;
    unlink(path);
    memcpy(path + strlen(path) - 6, "XXXXXX", 6);
    return 0;
}

static void the_first_fault_that_names_the_method_is_drawn(void **state)
{
    (void)state;
    assert_int_equal(
        read_text("faults = ( { action = \"status\"; status = 14; method = \"Enqueue\"; },"
                  " { action = \"delay\"; delay_ms = 500; method = \"DeviceService\"; } );"),
        ERR_OK);
    const struct fault *fault = faults_draw(&faults, ENQUEUE);
    assert_non_null(fault);
    assert_int_equal(fault->action, FAULT_STATUS);
    assert_int_equal(fault->status, 14);
    fault = faults_draw(&faults, GET);
    assert_non_null(fault);
    assert_int_equal(fault->action, FAULT_DELAY);
    assert_int_equal(fault->delay_ms, 500);
    assert_null(faults_draw(&faults, "/api.MulticastGroupService/Get"));
    assert_int_equal(faults.hits[FAULT_STATUS], 1);
    assert_int_equal(faults.hits[FAULT_DELAY], 1);
}

static void another_file_is_seen_at_once_and_none_is_no_fault(void **state)
{
    (void)state;
    assert_int_equal(read_text("faults = ( { action = \"refuse\"; } );"), ERR_OK);
    assert_int_equal(faults_draw(&faults, GET)->action, FAULT_REFUSE);
    assert_int_equal(read_text("faults = ( { action = \"goaway\"; } );"), ERR_OK);
    assert_int_equal(faults_draw(&faults, GET)->action, FAULT_GOAWAY);
    assert_int_equal(read_text(""), ERR_OK);
    assert_null(faults_draw(&faults, GET));
    assert_int_equal(read_text("faults = ( { action = \"silent\"; } );"), ERR_OK);
    assert_non_null(faults_draw(&faults, GET));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(faults_read(&faults, error), ERR_OK);
    assert_null(faults_draw(&faults, GET));
}

static void a_share_hits_that_many(void **state)
{
    (void)state;
    unsigned hits = 0;

    assert_int_equal(read_text("faults = ( { action = \"refuse\"; share = 0.25; } );"), ERR_OK);
    for (unsigned i = 0; i < 4000; i++) {
        hits += faults_draw(&faults, GET) != NULL;
    }
    assert_in_range(hits, 850, 1150); /* by the seed: the same in each run */
    assert_int_equal(faults.hits[FAULT_REFUSE], hits);
}

static void a_wrong_file_is_named_and_the_old_faults_stay(void **state)
{
    (void)state;
    const struct {
        const char *text;
        const char *part;
    } cases[] = {
        {"faults = ( { action = \"explode\"; } );", "action: status, delay"},
        {"faults = ( { action = 1; } );", "action: status, delay"},
        {"faults = ( { method = \"Get\"; } );", "action: must be there"},
        {"faults = ( { action = \"status\"; } );", "status: must be there"},
        {"faults = ( { action = \"delay\"; } );", "delay_ms: must be there"},
        {"faults = ( { action = \"status\"; status = 17; } );", "from 1 to 16"},
        {"faults = ( { action = \"delay\"; delay_ms = 600001; } );", "1 to 600000"},
        {"faults = ( { action = \"refuse\"; share = 1.5; } );", "from 0 to 1"},
        {"faults = ( { action = \"refuse\"; share = \"x\"; } );", "from 0 to 1"},
        {"faults = ( { action = \"refuse\"; odd = 1; } );", "a fault has action"},
        {"faults = ( [ 1, 2 ] );", "members with names"},
        {"other = 1;", "only the list faults"},
        {"faults = (", "syntax error"},
    };

    assert_int_equal(read_text("faults = ( { action = \"refuse\"; } );"), ERR_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(read_text(cases[i].text), ERR_FORMAT);
        assert_non_null(strstr(error, cases[i].part));
        assert_int_equal(faults_draw(&faults, GET)->action, FAULT_REFUSE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_fault_that_names_the_method_is_drawn, begin, end),
        cmocka_unit_test_setup_teardown(another_file_is_seen_at_once_and_none_is_no_fault, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_share_hits_that_many, begin, end),
        cmocka_unit_test_setup_teardown(a_wrong_file_is_named_and_the_old_faults_stay, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
