/* rows_test.c - the parity rows: vectors, and the procedure as the specification writes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fec/rows.h"
#include "fec/vectors.h"

static bool has_column(const uint64_t *row, unsigned column)
{
    return row[column / 64] >> column % 64 & 1;
}

/* The listing of the specification: one draw at a time, a division for each. */
static void row_as_specified(enum fec_version version, unsigned n, unsigned count, uint64_t *row)
{
    const unsigned modulus = (count & (count - 1)) == 0 ? count + 1 : count;
    uint32_t x = 1 + 1001 * n;
    unsigned counted = 0;

    memset(row, 0, fec_row_words(count) * sizeof(uint64_t));
    while (counted < count / 2) {
        unsigned r;

        do {
            x = x / 2 + ((x % 2) ^ (x / 32 % 2)) * 4194304;
            r = x % modulus;
        } while (r >= count);
        if (version == FEC_V1 || !has_column(row, r))
            counted++;
        row[r / 64] |= UINT64_C(1) << r % 64;
    }
}

static void assert_row_as_specified(enum fec_version version, unsigned n, unsigned count)
{
    uint64_t row[FEC_ROW_WORDS_MAX], expected[FEC_ROW_WORDS_MAX];

    memset(row, 0xFF, sizeof(row));
    assert_int_equal(fec_row(version, n, count, row), ERR_OK);
    row_as_specified(version, n, count, expected);
    if (memcmp(row, expected, fec_row_words(count) * sizeof(uint64_t)) != 0)
        fail_msg("the row differs: version %d, n = %u, M = %u", (int)version, n, count);
}

static void the_generator_steps_as_in_the_vectors(void **state)
{
    (void)state;
    cJSON *root;
    const cJSON *vectors = vectors_open("prbs23", &root);
    const cJSON *vector;

    cJSON_ArrayForEach(vector, vectors)
        assert_int_equal(fec_prbs23(vector_number(vector, "x")), vector_number(vector, "next"));
    cJSON_Delete(root);
}

static void rows_are_those_of_the_vectors(void **state)
{
    (void)state;
    cJSON *root;
    const cJSON *vectors = vectors_open("matrix_rows", &root);
    const cJSON *vector;

    cJSON_ArrayForEach(vector, vectors)
    {
        const unsigned count = vector_number(vector, "M"), n = vector_number(vector, "n");
        const enum fec_version version = vector_number(vector, "version") == 1 ? FEC_V1 : FEC_V2;
        uint64_t row[FEC_ROW_WORDS_MAX];
        unsigned ones = 0;
        size_t size;
        uint8_t *bitmap = vector_octets(vector, "bitmap", &size);

        assert_int_equal(size, (count + 7) / 8);
        assert_int_equal(fec_row(version, n, count, row), ERR_OK);
        for (unsigned column = 0; column < count; column++) {
            bool expected = bitmap[column / 8] >> (7 - column % 8) & 1; /* column 0 first */

            if (has_column(row, column) != expected)
                fail_msg("version %d, n = %u, M = %u: column %u", (int)version, n, count, column);
            ones += expected;
        }
        assert_int_equal(ones, vector_number(vector, "ones"));
        free(bitmap);
    }
    cJSON_Delete(root);
}

static void rows_follow_the_specification_for_every_small_block(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= 300; count++) {
        for (unsigned n = 1; n <= 20; n++) {
            assert_row_as_specified(FEC_V1, n, count);
            assert_row_as_specified(FEC_V2, n, count);
        }
    }
}

static void rows_follow_the_specification_for_large_blocks(void **state)
{
    (void)state;
    static const unsigned counts[] = {500,  511,  512,  513,  831,  832,  1000,  1024,
                                      2048, 4095, 4096, 8191, 8192, 8193, 12345, 16382};

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        const unsigned last = FEC_NUMBER_MAX - counts[i];

        for (unsigned n = 1; n <= last; n += 1 + last / 8) {
            assert_row_as_specified(FEC_V1, n, counts[i]);
            assert_row_as_specified(FEC_V2, n, counts[i]);
        }
        assert_row_as_specified(FEC_V1, last, counts[i]);
        assert_row_as_specified(FEC_V2, last, counts[i]);
    }
}

static void seeds_above_23_bits_carry(void **state)
{
    (void)state;
    static const unsigned counts[] = {2, 3, 8, 10, 63, 64, 100, 128};

    for (unsigned n = 8370; n + 128 <= FEC_NUMBER_MAX; n++) {
        const unsigned count = counts[n % 8];

        assert_row_as_specified(FEC_V1, n, count);
        assert_row_as_specified(FEC_V2, n, count);
    }
}

static void rows_of_version_2_have_exactly_half_the_columns(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= 1100; count += 9) {
        uint64_t row[FEC_ROW_WORDS_MAX];
        unsigned ones = 0;

        assert_int_equal(fec_row(FEC_V2, count, count, row), ERR_OK);
        for (unsigned column = 0; column < count; column++)
            ones += has_column(row, column);
        assert_int_equal(ones, count / 2);
    }
}

static void numbers_out_of_range_are_refused_and_nothing_is_written(void **state)
{
    (void)state;
    uint64_t row[FEC_ROW_WORDS_MAX] = {7};

    assert_int_equal(fec_row(FEC_V1, 0, 10, row), ERR_RANGE);
    assert_int_equal(fec_row(FEC_V1, 1, 0, row), ERR_RANGE);
    assert_int_equal(fec_row(FEC_V1, 1, FEC_NUMBER_MAX, row), ERR_RANGE);
    assert_int_equal(fec_row(FEC_V2, FEC_NUMBER_MAX - 9, 10, row), ERR_RANGE);
    assert_int_equal(fec_row(FEC_V2, UINT32_MAX, 10, row), ERR_RANGE);
    assert_int_equal(fec_row(FEC_V2, 1, UINT32_MAX, row), ERR_RANGE);
    assert_true(row[0] == 7);
    assert_int_equal(fec_row(FEC_V2, FEC_NUMBER_MAX - 10, 10, row), ERR_OK);
}

static void multiples_of_64_are_bad_counts_unless_powers_of_two(void **state)
{
    (void)state;
    static const unsigned good[] = {0, 1, 63, 64, 65, 96, 128, 256, 512, 831, 1024, 8192, 16383};
    static const unsigned bad[] = {192, 320, 384, 448, 576, 832, 1600, 8256, 16320};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_false(fec_count_is_bad(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_true(fec_count_is_bad(bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_generator_steps_as_in_the_vectors),
        cmocka_unit_test(rows_are_those_of_the_vectors),
        cmocka_unit_test(rows_follow_the_specification_for_every_small_block),
        cmocka_unit_test(rows_follow_the_specification_for_large_blocks),
        cmocka_unit_test(seeds_above_23_bits_carry),
        cmocka_unit_test(rows_of_version_2_have_exactly_half_the_columns),
        cmocka_unit_test(numbers_out_of_range_are_refused_and_nothing_is_written),
        cmocka_unit_test(multiples_of_64_are_bad_counts_unless_powers_of_two),
    };
    return cmocka_run_group_tests_name("rows", tests, NULL, NULL);
}
