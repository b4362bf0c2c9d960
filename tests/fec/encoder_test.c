/* encoder_test.c - coded fragments: vectors, and every implementation against the rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "fec/encoder.h"
#include "fec/vectors.h"

#define MANY 100 /* rows: enough for the encoder to use tables */

/* Exactly `size` octets, so that the sanitizer sees a step beyond. */
static uint8_t *random_octets(size_t size, uint64_t seed)
{
    uint8_t *octets = malloc(size);
    struct random random;

    assert_non_null(octets);
    random_init(&random, seed);
    for (size_t i = 0; i < size; i++)
        octets[i] = (uint8_t)random_next(&random);
    return octets;
}

static void *scratch_new(const struct fec_block *block)
{
    const size_t size = (fec_encode_scratch_size(block) + 63) / 64 * 64;
    void *scratch = aligned_alloc(64, size);

    assert_non_null(scratch);
    memset(scratch, 0xA5, size);
    return scratch;
}

/* The fragment by its definition, one octet at a time. */
static void fragment_as_defined(const struct fec_block *block, unsigned number, uint8_t *data)
{
    uint64_t row[FEC_ROW_WORDS_MAX] = {0};

    if (number <= block->fragment_count)
        row[(number - 1) / 64] = UINT64_C(1) << (number - 1) % 64;
    else
        assert_int_equal(
            fec_row(block->version, number - block->fragment_count, block->fragment_count, row),
            ERR_OK);
    memset(data, 0, block->fragment_size);
    for (size_t i = 0; i < block->image_size; i++) {
        size_t column = i / block->fragment_size;

        if (row[column / 64] >> column % 64 & 1)
            data[i % block->fragment_size] ^= block->image[i];
    }
}

/* Encodes with all implementations that are here, and compares them with the definition. */
static void assert_encoded(const struct fec_block *block, unsigned first, unsigned count)
{
    const size_t size = (size_t)count * block->fragment_size;
    uint8_t *expected = malloc(size);
    void *scratch = scratch_new(block);

    for (unsigned i = 0; i < count; i++)
        fragment_as_defined(block, first + i, expected + (size_t)i * block->fragment_size);
    for (int i = 0; i < FEC_IMPLEMENTATION_COUNT; i++) {
        const enum fec_implementation implementation = (enum fec_implementation)i;
        uint8_t *data;

        if (!fec_implementation_is_available(implementation))
            continue;
        data = random_octets(size, 99);
        assert_int_equal(fec_encode_with(implementation, block, first, count, data, scratch),
                         ERR_OK);
        if (memcmp(data, expected, size) != 0)
            fail_msg("%s: version %d, M = %u, size %u, from %u, %u rows",
                     fec_implementation_name(implementation), (int)block->version,
                     block->fragment_count, block->fragment_size, first, count);
        free(data);
    }
    free(scratch);
    free(expected);
}

/* A random image of `count` fragments whose last one lacks `padding` octets. */
static void assert_shape_encoded(enum fec_version version, unsigned count, unsigned size,
                                 unsigned padding, unsigned coded_index, unsigned rows)
{
    const size_t image_size = (size_t)count * size - padding;
    uint8_t *image = random_octets(image_size, image_size);
    struct fec_block block;

    assert_int_equal(fec_block_init(&block, version, image, image_size, size), ERR_OK);
    assert_int_equal(block.fragment_count, count);
    assert_int_equal(fec_block_padding(&block), padding);
    assert_encoded(&block, count + coded_index, rows);
    free(image);
}

static void images_are_encoded_as_in_the_vectors(void **state)
{
    (void)state;
    cJSON *root;
    const cJSON *vectors = vectors_open("encodes", &root);
    const cJSON *vector, *fragments, *fragment;
    unsigned seen = 0;

    cJSON_ArrayForEach(vector, vectors)
    {
        const enum fec_version version = vector_number(vector, "version") == 1 ? FEC_V1 : FEC_V2;
        const unsigned size = vector_number(vector, "frag_size");
        struct fec_block block;
        size_t image_size;
        uint8_t *image, data[FEC_FRAGMENT_SIZE_MAX];

        if (strcmp(vector_text(vector, "seed"), "N-M") != 0)
            continue; /* the disputed reading */
        seen++;
        image = vector_octets(vector, "data", &image_size);
        assert_int_equal(fec_block_init(&block, version, image, image_size, size), ERR_OK);
        assert_int_equal(block.fragment_count, vector_number(vector, "nb_frag"));
        assert_int_equal(fec_block_padding(&block), vector_number(vector, "padding"));
        fragments = cJSON_GetObjectItemCaseSensitive(vector, "fragments");
        cJSON_ArrayForEach(fragment, fragments)
        {
            size_t fragment_size;
            uint8_t *expected = vector_octets(fragment, "hex", &fragment_size);

            assert_int_equal(fragment_size, size);
            assert_int_equal(fec_fragment(&block, vector_number(fragment, "n"), data), ERR_OK);
            assert_memory_equal(data, expected, size);
            free(expected);
        }
        assert_encoded(&block, block.fragment_count + 1, vector_number(vector, "redundancy"));
        assert_encoded(&block, block.fragment_count + 1, MANY);
        free(image);
    }
    assert_int_equal(seen, 25);
    cJSON_Delete(root);
}

static void every_fragment_size_is_encoded(void **state)
{
    (void)state;
    for (unsigned size = 1; size <= FEC_FRAGMENT_SIZE_MAX; size++) {
        const enum fec_version version = size % 2 == 0 ? FEC_V1 : FEC_V2;
        const unsigned count = 1 + size * 7 % 150;

        assert_shape_encoded(version, count, size, 0, 1 + size * 31, MANY);
        assert_shape_encoded(version, count, size, size - 1, 1, MANY);
        assert_shape_encoded(version, count, size, size / 2, 8360, 3);
    }
}

static void every_small_fragment_count_is_encoded(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= 140; count++) {
        assert_shape_encoded(FEC_V1, count, 5, count % 5, count, MANY);
        assert_shape_encoded(FEC_V2, count, 5, count % 5, count, MANY);
    }
}

/* With few octets per fragment, many shapes of rows are quick: what is compared are the generators.
 */
static void large_fragment_counts_are_encoded(void **state)
{
    (void)state;
    for (unsigned count = 505; count + MANY <= FEC_NUMBER_MAX; count += 1 + count / 8) {
        const unsigned last = FEC_NUMBER_MAX - count - MANY + 1;

        assert_shape_encoded(FEC_V1, count, 2, 0, 1, MANY);
        assert_shape_encoded(FEC_V2, count, 3, 1, last, MANY);
    }
    for (unsigned count = 256; count <= 8192; count *= 2) {
        assert_shape_encoded(FEC_V1, count, 2, 0, 1 + count / 3, MANY);
        assert_shape_encoded(FEC_V2, count, 2, 1, 1 + count / 3, MANY);
        assert_shape_encoded(FEC_V1, count + 1, 2, 0, 1 + count / 3, MANY);
        assert_shape_encoded(FEC_V2, count - 1, 2, 1, 1 + count / 3, MANY);
    }
    assert_shape_encoded(FEC_V1, FEC_NUMBER_MAX - 1, 1, 0, 1, 1);
    assert_shape_encoded(FEC_V2, FEC_NUMBER_MAX - MANY, 1, 0, 1, MANY);
}

static void seeds_above_23_bits_are_encoded(void **state)
{
    (void)state;
    for (unsigned n = 8340; n + MANY + 1024 <= FEC_NUMBER_MAX; n += 377) {
        assert_shape_encoded(FEC_V1, 600, 4, 0, n, MANY);
        assert_shape_encoded(FEC_V2, 600, 4, 0, n, MANY);
        assert_shape_encoded(FEC_V1, 1024, 2, 0, n, MANY);
        assert_shape_encoded(FEC_V2, 30, 4, 0, n, MANY);
    }
}

static void more_rows_than_a_batch_are_encoded(void **state)
{
    (void)state;
    assert_shape_encoded(FEC_V1, 10, 3, 2, 1, FEC_NUMBER_MAX - 10);
    assert_shape_encoded(FEC_V2, 70, 9, 0, 5, 8200);
}

static void the_number_of_rows_makes_no_difference(void **state)
{
    (void)state;
    for (unsigned rows = 1; rows <= 130; rows++)
        assert_shape_encoded(FEC_V1, 100, 7, 3, 1000 + rows, rows);
}

static void one_fragment_is_what_encoding_many_gives(void **state)
{
    (void)state;
    const unsigned size = 51, coded = 100;
    uint8_t *image = random_octets(5000, 1), *data = malloc((size_t)coded * size);
    uint8_t fragment[51], expected[51];
    struct fec_block block;
    void *scratch;

    assert_int_equal(fec_block_init(&block, FEC_V2, image, 5000, size), ERR_OK);
    scratch = scratch_new(&block);
    assert_int_equal(fec_encode(&block, block.fragment_count + 1, coded, data, scratch), ERR_OK);
    for (unsigned n = 1; n <= block.fragment_count; n++) {
        fragment_as_defined(&block, n, expected);
        assert_int_equal(fec_fragment(&block, n, fragment), ERR_OK);
        assert_memory_equal(fragment, expected, size);
    }
    for (unsigned i = 0; i < coded; i++) {
        assert_int_equal(fec_fragment(&block, block.fragment_count + 1 + i, fragment), ERR_OK);
        assert_memory_equal(fragment, data + (size_t)i * size, size);
    }
    free(scratch);
    free(data);
    free(image);
}

static void a_block_out_of_range_is_refused(void **state)
{
    (void)state;
    static const uint8_t image[1];
    struct fec_block block = {.fragment_size = 77};

    assert_int_equal(fec_block_init(&block, FEC_V1, image, 0, 10), ERR_RANGE);
    assert_int_equal(fec_block_init(&block, FEC_V1, image, 1, 0), ERR_RANGE);
    assert_int_equal(fec_block_init(&block, FEC_V1, image, 1, 256), ERR_RANGE);
    assert_int_equal(fec_block_init(&block, FEC_V1, image, FEC_NUMBER_MAX * 10 + 1, 10), ERR_RANGE);
    assert_int_equal(fec_block_init(&block, FEC_V1, image, SIZE_MAX, 255), ERR_RANGE);
    assert_int_equal(block.fragment_size, 77);
    assert_int_equal(fec_block_init(&block, FEC_V1, image, FEC_NUMBER_MAX * 10, 10), ERR_OK);
    assert_int_equal(block.fragment_count, FEC_NUMBER_MAX);
    assert_int_equal(fec_block_padding(&block), 0);
}

static void numbers_out_of_range_are_refused_and_nothing_is_written(void **state)
{
    (void)state;
    static const uint8_t image[20];
    uint8_t data[2] = {7, 7};
    struct fec_block block;
    void *scratch;

    assert_int_equal(fec_block_init(&block, FEC_V1, image, sizeof(image), 2), ERR_OK);
    scratch = scratch_new(&block);
    assert_int_equal(fec_fragment(&block, 0, data), ERR_RANGE);
    assert_int_equal(fec_fragment(&block, FEC_NUMBER_MAX + 1, data), ERR_RANGE);
    assert_int_equal(fec_encode(&block, 0, 1, data, scratch), ERR_RANGE);
    assert_int_equal(fec_encode(&block, 10, 1, data, scratch), ERR_RANGE);
    assert_int_equal(fec_encode(&block, FEC_NUMBER_MAX, 2, data, scratch), ERR_RANGE);
    assert_int_equal(fec_encode(&block, FEC_NUMBER_MAX + 1, 0, data, scratch), ERR_RANGE);
    assert_int_equal(fec_encode(&block, 11, FEC_NUMBER_MAX - 9, data, scratch), ERR_RANGE);
    assert_int_equal(fec_encode(&block, 11, UINT32_MAX, data, scratch), ERR_RANGE);
    assert_int_equal(fec_encode(&block, 11, 0, data, scratch), ERR_OK);
    assert_memory_equal(data, "\7\7", 2);
    assert_int_equal(fec_encode(&block, FEC_NUMBER_MAX, 1, data, scratch), ERR_OK);
    assert_memory_equal(data, "\0\0", 2);
    free(scratch);
}

static void implementations_have_names_and_the_portable_one_is_always_there(void **state)
{
    (void)state;
    static const uint8_t image[20];
    struct fec_block block;
    uint8_t data[2];
    void *scratch;

    assert_true(fec_implementation_is_available(FEC_BEST));
    assert_true(fec_implementation_is_available(FEC_PORTABLE));
    assert_false(fec_implementation_is_available(FEC_IMPLEMENTATION_COUNT));
    assert_string_equal(fec_implementation_name(FEC_AVX2), "avx2");
    assert_string_equal(fec_implementation_name(FEC_IMPLEMENTATION_COUNT), "unknown");
    assert_int_equal(fec_block_init(&block, FEC_V1, image, sizeof(image), 2), ERR_OK);
    scratch = scratch_new(&block);
    for (int i = 0; i < FEC_IMPLEMENTATION_COUNT; i++) {
        const enum fec_implementation implementation = (enum fec_implementation)i;
        const enum err expected =
            fec_implementation_is_available(implementation) ? ERR_OK : ERR_UNKNOWN;

        assert_string_not_equal(fec_implementation_name(implementation), "unknown");
        assert_int_equal(fec_encode_with(implementation, &block, 11, 1, data, scratch), expected);
    }
    assert_int_equal(fec_encode_with(FEC_IMPLEMENTATION_COUNT, &block, 11, 1, data, scratch),
                     ERR_UNKNOWN);
    free(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_are_encoded_as_in_the_vectors),
        cmocka_unit_test(every_fragment_size_is_encoded),
        cmocka_unit_test(every_small_fragment_count_is_encoded),
        cmocka_unit_test(large_fragment_counts_are_encoded),
        cmocka_unit_test(seeds_above_23_bits_are_encoded),
        cmocka_unit_test(more_rows_than_a_batch_are_encoded),
        cmocka_unit_test(the_number_of_rows_makes_no_difference),
        cmocka_unit_test(one_fragment_is_what_encoding_many_gives),
        cmocka_unit_test(a_block_out_of_range_is_refused),
        cmocka_unit_test(numbers_out_of_range_are_refused_and_nothing_is_written),
        cmocka_unit_test(implementations_have_names_and_the_portable_one_is_always_there),
    };
    return cmocka_run_group_tests_name("encoder", tests, NULL, NULL);
}
