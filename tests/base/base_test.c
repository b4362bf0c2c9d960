/* base_test.c - cursors, hexadecimal texts, the clock and its rate, error texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/hex.h"
#include "base/random.h"

static void fields_come_back_in_little_endian(void **state)
{
    (void)state;
    uint8_t buf[18];
    struct writer w;
    struct reader r;

    writer_init(&w, buf, sizeof(buf));
    write_u8(&w, 0x01);
    write_u16(&w, 0x0203);
    write_u24(&w, 0x040506);
    write_u32(&w, 0x0708090A);
    write_u64(&w, 0x1112131415161718u);
    assert_int_equal(w.error, ERR_OK);
    assert_int_equal(w.offset, sizeof(buf));
    assert_memory_equal(buf, "\x01\x03\x02\x06\x05\x04\x0A\x09\x08\x07", 10);
    reader_init(&r, buf, sizeof(buf));
    assert_int_equal(read_u8(&r), 0x01);
    assert_int_equal(read_u16(&r), 0x0203);
    assert_int_equal(read_u24(&r), 0x040506);
    assert_int_equal(read_u32(&r), 0x0708090A);
    assert_true(read_u64(&r) == 0x1112131415161718u);
    assert_int_equal(reader_left(&r), 0);
    assert_int_equal(r.error, ERR_OK);
}

static void a_read_past_the_end_gives_zero_and_stays_an_error(void **state)
{
    (void)state;
    struct reader r;
    uint8_t out[2] = {7, 7};

    reader_init(&r, "\x01\x02", 2);
    assert_int_equal(read_u24(&r), 0);
    assert_int_equal(r.error, ERR_SHORT);
    assert_int_equal(read_u8(&r), 0); /* there are octets, but the error stays */
    read_bytes(&r, out, 2);
    assert_memory_equal(out, "\0\0", 2);
    assert_int_equal(reader_left(&r), 0);
}

static void a_write_past_the_end_changes_nothing(void **state)
{
    (void)state;
    uint8_t buf[3] = {9, 9, 9};
    struct writer w;

    writer_init(&w, buf, 2);
    write_u24(&w, 0x010203);
    assert_int_equal(w.error, ERR_SPACE);
    assert_int_equal(w.offset, 0);
    assert_memory_equal(buf, "\x09\x09\x09", 3);
}

static void identifiers_are_read_strictly(void **state)
{
    (void)state;
    uint64_t eui = 1;
    uint32_t addr;
    struct uuid uuid;
    char text[UUID_TEXT_SIZE];

    assert_int_equal(eui64_parse("0102030405060708", &eui), ERR_OK);
    assert_true(eui == 0x0102030405060708u);
    assert_int_equal(eui64_parse("010203040506070", &eui), ERR_FORMAT);
    assert_int_equal(eui64_parse("010203040506070g", &eui), ERR_FORMAT);
    assert_int_equal(eui64_parse("01020304050607080", &eui), ERR_FORMAT);
    assert_true(eui == 0x0102030405060708u); /* untouched */
    eui64_format(0xABCDEF, text);
    assert_string_equal(text, "0000000000abcdef");
    assert_int_equal(dev_addr_parse("FC00AC5C", &addr), ERR_OK);
    assert_int_equal(addr, 0xFC00AC5C);
    dev_addr_format(addr, text);
    assert_string_equal(text, "fc00ac5c");
    assert_int_equal(uuid_parse("8a5f8f0e-4e0c-4c39-9d4e-0d1d6e5a0001", &uuid), ERR_OK);
    uuid_format(&uuid, text);
    assert_string_equal(text, "8a5f8f0e-4e0c-4c39-9d4e-0d1d6e5a0001");
    assert_int_equal(uuid_parse("8a5f8f0e-4e0c-4c39-9d4e-0d1d6e5a000", &uuid), ERR_FORMAT);
    assert_false(uuid_is_zero(&uuid));
    assert_true(uuid_is_zero(&(struct uuid){0}));
    assert_false(uuid_is_zero(&(struct uuid){.octets[15] = 1}));
    assert_int_equal(uuid_parse("8a5f8f0e04e0c-4c39-9d4e-0d1d6e5a0001", &uuid), ERR_FORMAT);
}

static void the_clock_runs_at_its_rate_from_its_epoch(void **state)
{
    (void)state;
    struct clock real = clock_real();
    struct clock fast = {.epoch_ms = 1000000, .rate = 60.0};

    assert_true(clock_at(&real, 1700000000123456) == 1700000000123);
    assert_true(clock_at(&fast, 1000000000) == 1000000);           /* at the epoch */
    assert_true(clock_at(&fast, 1000000000 + 1000000) == 1060000); /* one second later */
    assert_int_equal(clock_wait_ms(&fast, 60000), 1000);
    assert_int_equal(clock_wait_ms(&fast, 60001), 1001);
    assert_int_equal(clock_wait_ms(&fast, -5), 0);
    assert_int_equal(clock_wait_ms(&real, 5), 5);
}

static void every_error_has_a_text(void **state)
{
    (void)state;
    assert_string_equal(err_text(ERR_OK), "no error");
    assert_string_equal(err_text(ERR_UNAVAILABLE), "the peer cannot be reached");
    assert_string_equal(err_text((enum err)999), "unknown error");
}

static void the_generator_repeats_its_seed(void **state)
{
    (void)state;
    struct random a, b;

    random_init(&a, 42);
    random_init(&b, 42);
    for (int i = 0; i < 1000; i++) {
        assert_true(random_next(&a) == random_next(&b));
        assert_true(random_unit(&a) < 1.0);
        (void)random_unit(&b);
    }
    assert_true(random_mix(1, 2) == random_mix(1, 2));
    assert_true(random_mix(1, 2) != random_mix(2, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_come_back_in_little_endian),
        cmocka_unit_test(a_read_past_the_end_gives_zero_and_stays_an_error),
        cmocka_unit_test(a_write_past_the_end_changes_nothing),
        cmocka_unit_test(identifiers_are_read_strictly),
        cmocka_unit_test(the_clock_runs_at_its_rate_from_its_epoch),
        cmocka_unit_test(every_error_has_a_text),
        cmocka_unit_test(the_generator_repeats_its_seed),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
