/* sim_decoder_test.c - the erasure decoder of virtual devices: vectors, and losses around what it
 * can bear. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "sim/frag_decoder.h"
#include "sim_device/bench.h"

static int number_of(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItem(json, name);

    assert_non_null(item);
    return item->valueint;
}

static void rows_match_the_vectors(void **state)
{
    (void)state;
    cJSON *vectors = bench_vectors();
    const cJSON *row;
    size_t seen = 0;

    cJSON_ArrayForEach(row, cJSON_GetObjectItem(vectors, "matrix_rows"))
    {
        uint16_t count = (uint16_t)number_of(row, "M");
        uint8_t bits[FRAG_DECODER_COUNT_MAX / 8 + 1] = {0};
        uint8_t want[FRAG_DECODER_COUNT_MAX / 8 + 1] = {0};
        size_t size =
            bench_hex(cJSON_GetObjectItem(row, "bitmap")->valuestring, want, sizeof(want));
        frag_decoder_row((uint32_t)number_of(row, "n"), count, (uint8_t)number_of(row, "version"),
                         bits);
        for (size_t c = 0; c < count; c++) { /* the vectors begin with the most significant bit */
            assert_true(c / 8 < size);
            assert_int_equal(bits[c / 8] >> (c % 8) & 1, want[c / 8] >> (7 - c % 8) & 1);
        }
        seen++;
    }
    assert_true(seen > 100);
    cJSON_Delete(vectors);
}

/* Both manners of taking uncoded fragments end alike when they come in order. */
static void decode_vector(const cJSON *v, bool takes_any_order)
{
    struct frag_decoder decoder = {.phase = FRAG_DECODER_EMPTY};
    struct frag_decoder_config config = {.fragment_count = (uint16_t)number_of(v, "nb_frag"),
                                         .fragment_size = (uint8_t)number_of(v, "frag_size"),
                                         .version = (uint8_t)number_of(v, "version"),
                                         .takes_any_order = takes_any_order};
    const cJSON *f;
    bool is_decodable = strcmp(cJSON_GetObjectItem(v, "result")->valuestring, "complete") == 0;

    assert_int_equal(frag_decoder_setup(&decoder, &config), ERR_OK);
    int taken = 0;
    cJSON_ArrayForEach(f, cJSON_GetObjectItem(v, "received"))
    {
        uint8_t data[255];
        bench_hex(cJSON_GetObjectItem(f, "hex")->valuestring, data, sizeof(data));
        bool was_complete = decoder.phase == FRAG_DECODER_COMPLETE;
        frag_decoder_take(&decoder, (uint16_t)number_of(f, "n"), data);
        taken++;
        if (is_decodable && !was_complete && decoder.phase == FRAG_DECODER_COMPLETE) {
            assert_int_equal(taken, number_of(v, "complete_after_received"));
        }
    }
    assert_int_equal(decoder.phase == FRAG_DECODER_COMPLETE, is_decodable);
    if (is_decodable) {
        uint8_t want[4096];
        size_t size = bench_hex(cJSON_GetObjectItem(v, "data")->valuestring, want, sizeof(want));
        uint8_t *image = frag_decoder_take_image(&decoder);
        assert_non_null(image);
        assert_memory_equal(image, want, size);
        assert_null(frag_decoder_take_image(&decoder));
        free(image);
    }
    frag_decoder_release(&decoder);
}

static void decodes_match_the_vectors(void **state)
{
    (void)state;
    cJSON *vectors = bench_vectors();
    const cJSON *v;
    size_t seen = 0;

    cJSON_ArrayForEach(v, cJSON_GetObjectItem(vectors, "decodes"))
    {
        decode_vector(v, false);
        decode_vector(v, true);
        seen++;
    }
    assert_true(seen > 10);
    cJSON_Delete(vectors);
}

enum { COUNT = 60, SIZE = 11, CODED_MAX = 200 };

/* A reference encoder of this test's own, from the rows that were checked above. */
static void encode(const uint8_t *data, uint16_t number, uint8_t *fragment)
{
    uint8_t bits[COUNT / 8 + 1];

    if (number <= COUNT) {
        memcpy(fragment, data + (number - 1) * SIZE, SIZE);
        return;
    }
    frag_decoder_row((uint32_t)number - COUNT, COUNT, 1, bits);
    memset(fragment, 0, SIZE);
    for (size_t c = 0; c < COUNT; c++) {
        for (size_t i = 0; (bits[c / 8] >> (c % 8) & 1) != 0 && i < SIZE; i++) {
            fragment[i] ^= data[c * SIZE + i];
        }
    }
}

/* Loses `lost` of the uncoded fragments, drawn by `seed`; returns the phase after all coded ones.
 */
static enum frag_decoder_phase lose(uint16_t lost, uint16_t lost_max, uint64_t seed,
                                    uint16_t *ret_rows_needed)
{
    struct frag_decoder decoder = {.phase = FRAG_DECODER_EMPTY};
    struct frag_decoder_config config = {
        .fragment_count = COUNT, .fragment_size = SIZE, .version = 1, .lost_max = lost_max};
    struct random random;
    uint8_t data[COUNT * SIZE];
    uint8_t fragment[SIZE];
    bool is_lost[COUNT + 1] = {false};

    random_init(&random, seed);
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)random_next(&random);
    }
    for (uint16_t left = lost; left > 0;) {
        size_t n = 1 + (size_t)random_below(&random, COUNT);
        left = (uint16_t)(left - (is_lost[n] ? 0 : 1));
        is_lost[n] = true;
    }
    assert_int_equal(frag_decoder_setup(&decoder, &config), ERR_OK);
    uint16_t needed = 0;
    for (uint16_t n = 1; n <= COUNT + CODED_MAX; n++) {
        encode(data, n, fragment);
        if (n > COUNT || !is_lost[n]) {
            needed =
                (uint16_t)(needed + (n > COUNT && decoder.phase < FRAG_DECODER_COMPLETE ? 1 : 0));
            frag_decoder_take(&decoder, n, fragment);
        }
    }
    enum frag_decoder_phase phase = decoder.phase;
    if (phase == FRAG_DECODER_COMPLETE) {
        assert_memory_equal(decoder.image, data, sizeof(data));
    }
    frag_decoder_release(&decoder);
    *ret_rows_needed = needed;
    return phase;
}

static void exactly_as_many_losses_as_it_holds_are_repaired_and_one_more_is_not(void **state)
{
    (void)state;
    const uint16_t limits[] = {1, 2, 5, 20, COUNT - 1};
    uint16_t needed;

    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        for (uint64_t seed = 0; seed < 20; seed++) {
            assert_int_equal(lose(limits[i], limits[i], seed, &needed), FRAG_DECODER_COMPLETE);
            assert_true(needed >= limits[i]); /* no fewer equations than unknowns */
            assert_int_equal(lose((uint16_t)(limits[i] + 1), limits[i], seed, &needed),
                             FRAG_DECODER_FAILED);
        }
    }
}

static void without_a_limit_everything_may_be_lost(void **state)
{
    (void)state;
    uint16_t needed;

    assert_int_equal(lose(COUNT, 0, 1, &needed), FRAG_DECODER_COMPLETE);
    assert_int_equal(lose(0, 0, 1, &needed), FRAG_DECODER_COMPLETE);
    assert_int_equal(needed, 0);
}

static void late_uncoded_fragments_are_dropped_unless_the_stack_takes_any_order(void **state)
{
    (void)state;
    const uint16_t order[] = {1, 3, 2, 4};
    const uint8_t data[1] = {7};

    for (int any = 0; any < 2; any++) {
        struct frag_decoder decoder = {.phase = FRAG_DECODER_EMPTY};
        struct frag_decoder_config config = {
            .fragment_count = 4, .fragment_size = 1, .version = 1, .takes_any_order = any != 0};
        assert_int_equal(frag_decoder_setup(&decoder, &config), ERR_OK);
        for (size_t i = 0; i < 4; i++) {
            frag_decoder_take(&decoder, order[i], data);
        }
        assert_int_equal(decoder.phase, any != 0 ? FRAG_DECODER_COMPLETE : FRAG_DECODER_UNCODED);
        assert_int_equal(decoder.uncoded_count, any != 0 ? 4 : 3);
        frag_decoder_release(&decoder);
    }
}

static void a_configuration_out_of_bounds_is_refused(void **state)
{
    (void)state;
    struct frag_decoder decoder = {.phase = FRAG_DECODER_EMPTY};
    struct frag_decoder_config config = {.fragment_count = 0, .fragment_size = 1, .version = 1};

    assert_int_equal(frag_decoder_setup(&decoder, &config), ERR_RANGE);
    config.fragment_count = FRAG_DECODER_COUNT_MAX + 1;
    assert_int_equal(frag_decoder_setup(&decoder, &config), ERR_RANGE);
    config = (struct frag_decoder_config){.fragment_count = 1, .fragment_size = 0, .version = 1};
    assert_int_equal(frag_decoder_setup(&decoder, &config), ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_match_the_vectors),
        cmocka_unit_test(decodes_match_the_vectors),
        cmocka_unit_test(exactly_as_many_losses_as_it_holds_are_repaired_and_one_more_is_not),
        cmocka_unit_test(without_a_limit_everything_may_be_lost),
        cmocka_unit_test(late_uncoded_fragments_are_dropped_unless_the_stack_takes_any_order),
        cmocka_unit_test(a_configuration_out_of_bounds_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
