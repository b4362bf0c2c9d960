/* decoder_test.c - images come back from what is left: vectors, losses around the redundancy,
 * defects of the code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "fec/decoder.h"
#include "fec/encoder.h"
#include "fec/vectors.h"

static struct fec_decoder *decoder_new(enum fec_version version, unsigned count, unsigned size)
{
    void *memory = malloc(fec_decoder_size(count, size));
    struct fec_decoder *decoder;

    assert_non_null(memory);
    assert_int_equal(fec_decoder_init(memory, version, count, size, &decoder), ERR_OK);
    assert_ptr_equal(decoder, memory); /* so that the tests can free it */
    return decoder;
}

static void images_are_decoded_as_in_the_vectors(void **state)
{
    (void)state;
    cJSON *root;
    const cJSON *vectors = vectors_open("decodes", &root);
    const cJSON *vector, *fragments, *fragment;

    cJSON_ArrayForEach(vector, vectors)
    {
        const enum fec_version version = vector_number(vector, "version") == 1 ? FEC_V1 : FEC_V2;
        const unsigned count = vector_number(vector, "nb_frag");
        const unsigned size = vector_number(vector, "frag_size");
        const bool is_decodable = strcmp(vector_text(vector, "result"), "complete") == 0;
        struct fec_decoder *decoder = decoder_new(version, count, size);
        uint8_t *block = malloc((size_t)count * size);
        unsigned received = 0, complete_after = 0;

        fragments = cJSON_GetObjectItemCaseSensitive(vector, "received");
        cJSON_ArrayForEach(fragment, fragments)
        {
            size_t octets_size;
            uint8_t *octets = vector_octets(fragment, "hex", &octets_size);

            assert_int_equal(octets_size, size);
            assert_int_equal(fec_decoder_take(decoder, vector_number(fragment, "n"), octets, NULL),
                             ERR_OK);
            received++;
            if (complete_after == 0 && fec_decoder_is_complete(decoder))
                complete_after = received;
            free(octets);
        }
        if (is_decodable) {
            size_t image_size;
            uint8_t *image = vector_octets(vector, "data", &image_size);

            assert_int_equal(complete_after, vector_number(vector, "complete_after_received"));
            assert_int_equal(fec_decoder_read(decoder, block), ERR_OK);
            assert_int_equal(image_size + vector_number(vector, "padding"), (size_t)count * size);
            assert_memory_equal(block, image, image_size);
            free(image);
        } else {
            assert_int_equal(complete_after, 0);
            assert_int_equal(fec_decoder_read(decoder, block), ERR_WRONG_STATE);
        }
        free(block);
        free(decoder);
    }
    cJSON_Delete(root);
}

/* Random numbers 1 .. count in a random order. */
static void shuffle(struct random *random, unsigned *numbers, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        numbers[i] = i + 1;
    for (unsigned i = count; i > 1; i--) {
        unsigned other = (unsigned)random_below(random, i), kept = numbers[i - 1];

        numbers[i - 1] = numbers[other];
        numbers[other] = kept;
    }
}

/*
 * Encodes with `coded` coded fragments, loses `lost` uncoded ones, takes the rest, in any order if
 * asked for. Returns whether the block is complete, and has compared it with the image then.
 */
static bool survives(struct random *random, enum fec_version version, unsigned count, unsigned size,
                     unsigned lost, unsigned coded, bool in_any_order)
{
    const size_t image_size = (size_t)count * size - (size > 1);
    struct fec_decoder *decoder = decoder_new(version, count, size);
    uint8_t *image = malloc(image_size), *read = malloc((size_t)count * size), fragment[255];
    unsigned *order = malloc((count + coded) * sizeof(unsigned));
    unsigned *uncoded = malloc(count * sizeof(unsigned));
    bool *is_lost = calloc(count + 1, sizeof(bool));
    unsigned rank = 0;
    struct fec_block block;
    bool is_complete;

    for (size_t i = 0; i < image_size; i++)
        image[i] = (uint8_t)random_next(random);
    assert_int_equal(fec_block_init(&block, version, image, image_size, size), ERR_OK);
    shuffle(random, uncoded, count);
    for (unsigned i = 0; i < lost; i++)
        is_lost[uncoded[i]] = true;
    shuffle(random, order, count + coded);
    for (unsigned i = 0; i < count + coded; i++) {
        const unsigned number = in_any_order ? order[i] : i + 1;
        bool is_new, is_new_again;

        if (number <= count && is_lost[number])
            continue;
        assert_int_equal(fec_fragment(&block, number, fragment), ERR_OK);
        assert_int_equal(fec_decoder_take(decoder, number, fragment, &is_new), ERR_OK);
        rank += is_new;
        assert_int_equal(fec_decoder_rank(decoder), rank);
        assert_int_equal(fec_decoder_take(decoder, number, fragment, &is_new_again), ERR_OK);
        assert_false(is_new_again);
    }
    is_complete = fec_decoder_is_complete(decoder);
    assert_int_equal(is_complete, rank == count);
    assert_int_equal(fec_decoder_read(decoder, read), is_complete ? ERR_OK : ERR_WRONG_STATE);
    if (is_complete)
        assert_memory_equal(read, image, image_size);
    free(is_lost);
    free(uncoded);
    free(order);
    free(read);
    free(image);
    free(decoder);
    return is_complete;
}

static void what_was_lost_comes_back_up_to_the_redundancy(void **state)
{
    (void)state;
    static const unsigned counts[] = {2, 7, 32, 50, 64, 100, 150};
    struct random random;

    random_init(&random, 7);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        const unsigned count = counts[i], coded = count < 40 ? count : 40;

        for (unsigned lost = 0; lost <= coded; lost++) {
            const enum fec_version version = lost % 2 == 0 ? FEC_V1 : FEC_V2;
            const bool in_any_order = lost % 3 == 0;
            const bool is_complete =
                survives(&random, version, count, 1 + lost % 40, lost, coded, in_any_order);

            /* 20 rows too many always sufficed in the measurements. */
            if (lost == 0 || (count >= 32 && lost + 20 <= coded))
                assert_true(is_complete);
        }
    }
}

static void more_losses_than_redundancy_are_never_decoded(void **state)
{
    (void)state;
    struct random random;

    random_init(&random, 8);
    for (unsigned coded = 0; coded < 30; coded++) {
        assert_false(survives(&random, FEC_V1, 60, 9, coded + 1, coded, true));
        assert_false(survives(&random, FEC_V2, 60, 9, coded + 3, coded, false));
    }
}

static void coded_fragments_alone_suffice(void **state)
{
    (void)state;
    struct random random;

    random_init(&random, 9);
    assert_true(survives(&random, FEC_V1, 100, 33, 100, 130, false));
    assert_true(survives(&random, FEC_V1, 200, 5, 200, 230, true));
    assert_true(survives(&random, FEC_V2, 102, 33, 102, 132, false));
}

static void version_2_rows_of_even_weight_never_decode_alone(void **state)
{
    (void)state;
    struct fec_decoder *decoder = decoder_new(FEC_V2, 100, 0); /* 50 columns in each row */

    for (unsigned number = 101; number <= 1100; number++)
        assert_int_equal(fec_decoder_take(decoder, number, NULL, NULL), ERR_OK);
    assert_int_equal(fec_decoder_rank(decoder), 99);
    assert_int_equal(fec_decoder_take(decoder, 1, NULL, NULL), ERR_OK);
    assert_true(fec_decoder_is_complete(decoder));
    free(decoder);
}

/* Rows it takes from the first coded one on when the given two of `count` fragments are lost. */
static unsigned rows_for_two_lost(unsigned count, unsigned one, unsigned other)
{
    struct fec_decoder *decoder = decoder_new(FEC_V1, count, 0);
    unsigned rows = 0;

    for (unsigned number = 1; number <= count; number++)
        if (number != one && number != other)
            assert_int_equal(fec_decoder_take(decoder, number, NULL, NULL), ERR_OK);
    while (!fec_decoder_is_complete(decoder))
        assert_int_equal(fec_decoder_take(decoder, count + ++rows, NULL, NULL), ERR_OK);
    free(decoder);
    return rows;
}

static void a_bad_count_leaves_a_device_stuck(void **state)
{
    (void)state;
    assert_true(fec_count_is_bad(832));
    assert_int_equal(rows_for_two_lost(832, 417, 450), 1366); /* as measured before */
    assert_int_equal(rows_for_two_lost(831, 417, 450), 3);
}

static void a_decoder_out_of_range_is_refused(void **state)
{
    (void)state;
    uint64_t memory[1];
    struct fec_decoder *decoder = NULL;

    assert_int_equal(fec_decoder_init(memory, FEC_V1, 0, 10, &decoder), ERR_RANGE);
    assert_int_equal(fec_decoder_init(memory, FEC_V1, FEC_NUMBER_MAX + 1, 10, &decoder), ERR_RANGE);
    assert_int_equal(fec_decoder_init(memory, FEC_V1, 10, 256, &decoder), ERR_RANGE);
    assert_null(decoder);
}

static void a_number_out_of_range_is_refused(void **state)
{
    (void)state;
    struct fec_decoder *decoder = decoder_new(FEC_V1, 10, 1);
    bool is_new = true;

    assert_int_equal(fec_decoder_take(decoder, 0, (const uint8_t *)"", &is_new), ERR_RANGE);
    assert_int_equal(fec_decoder_take(decoder, FEC_NUMBER_MAX + 1, (const uint8_t *)"", &is_new),
                     ERR_RANGE);
    assert_true(is_new); /* untouched */
    assert_int_equal(fec_decoder_take(decoder, FEC_NUMBER_MAX, (const uint8_t *)"", &is_new),
                     ERR_OK);
    assert_int_equal(fec_decoder_rank(decoder), 1);
    free(decoder);
}

static void the_largest_block_is_decoded(void **state)
{
    (void)state;
    struct fec_decoder *decoder = decoder_new(FEC_V1, FEC_NUMBER_MAX - 30, 1);
    uint8_t *image = malloc(FEC_NUMBER_MAX), *read = malloc(FEC_NUMBER_MAX), fragment;
    struct fec_block block;

    for (unsigned i = 0; i < FEC_NUMBER_MAX - 30; i++)
        image[i] = (uint8_t)(i * i >> 3);
    assert_int_equal(fec_block_init(&block, FEC_V1, image, FEC_NUMBER_MAX - 30, 1), ERR_OK);
    for (unsigned number = 1; number <= FEC_NUMBER_MAX; number++) {
        if (number % 1700 == 0)
            continue; /* nine lost */
        assert_int_equal(fec_fragment(&block, number, &fragment), ERR_OK);
        assert_int_equal(fec_decoder_take(decoder, number, &fragment, NULL), ERR_OK);
    }
    assert_int_equal(fec_decoder_read(decoder, read), ERR_OK);
    assert_memory_equal(read, image, FEC_NUMBER_MAX - 30);
    free(read);
    free(image);
    free(decoder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_are_decoded_as_in_the_vectors),
        cmocka_unit_test(what_was_lost_comes_back_up_to_the_redundancy),
        cmocka_unit_test(more_losses_than_redundancy_are_never_decoded),
        cmocka_unit_test(coded_fragments_alone_suffice),
        cmocka_unit_test(version_2_rows_of_even_weight_never_decode_alone),
        cmocka_unit_test(a_bad_count_leaves_a_device_stuck),
        cmocka_unit_test(a_decoder_out_of_range_is_refused),
        cmocka_unit_test(a_number_out_of_range_is_refused),
        cmocka_unit_test(the_largest_block_is_decoded),
    };
    return cmocka_run_group_tests_name("decoder", tests, NULL, NULL);
}
