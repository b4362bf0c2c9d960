/* plan_test.c - the fragment size and the redundancy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fec/plan.h"
#include "fec/rows.h"

static size_t count_of(size_t image_size, unsigned size)
{
    return (image_size + size - 1) / size;
}

/* The fewest fragments any allowed size gives; 0 if none is allowed. */
static size_t fewest_fragments(size_t image_size, unsigned size_max)
{
    size_t fewest = 0;

    for (unsigned size = 1; size <= size_max; size++) {
        const size_t count = count_of(image_size, size);

        if (2 * size < size_max || count > FEC_NUMBER_MAX || fec_count_is_bad((unsigned)count))
            continue;
        if (fewest == 0 || count < fewest)
            fewest = count;
    }
    return fewest;
}

static void a_plan_never_has_a_bad_count_and_few_fragments(void **state)
{
    (void)state;
    static const unsigned sizes_max[] = {1, 2, 7, 8, 9, 39, 48, 51, 112, 222, 239, 242, 255};

    for (size_t i = 0; i < sizeof(sizes_max) / sizeof(sizes_max[0]); i++) {
        const unsigned size_max = sizes_max[i];

        for (size_t image_size = 1; image_size < 17000u * size_max;
             image_size += 1 + image_size / 50) {
            const size_t fewest = fewest_fragments(image_size, size_max);
            unsigned size = 0;
            const enum err err = fec_plan_fragment_size(image_size, size_max, &size);
            size_t count;

            if (fewest == 0) {
                assert_int_equal(err, ERR_LIMIT);
                assert_int_equal(size, 0);
                continue;
            }
            assert_int_equal(err, ERR_OK);
            assert_true(size <= size_max && 2 * size >= size_max);
            count = count_of(image_size, size);
            assert_true(count <= FEC_NUMBER_MAX);
            assert_false(fec_count_is_bad((unsigned)count));
            assert_true(count == fewest || (size % 8 == 0 && 100 * count <= 101 * fewest));
        }
    }
}

static void a_multiple_of_8_is_taken_where_it_is_cheap(void **state)
{
    (void)state;
    unsigned size;

    /* 1000 fragments of 242 would be 1009 of 240: allowed. 101 of 242 would be 102 of 240: not the
     * hundredth part. */
    assert_int_equal(fec_plan_fragment_size(242000, 242, &size), ERR_OK);
    assert_int_equal(size, 240);
    assert_int_equal(fec_plan_fragment_size(242 * 50, 242, &size), ERR_OK);
    assert_int_equal(size, 242);
    assert_int_equal(fec_plan_fragment_size(100 * 242, 242, &size), ERR_OK);
    assert_int_equal(size, 240); /* 101: exactly one in a hundred */
}

static void a_bad_count_is_avoided(void **state)
{
    (void)state;
    unsigned size;

    /* 832 fragments of 50; 49 octets would be 849. */
    assert_int_equal(fec_plan_fragment_size(832 * 50, 50, &size), ERR_OK);
    assert_int_equal(size, 49);
    /* A power of two is no bad count. */
    assert_int_equal(fec_plan_fragment_size(1024 * 48, 48, &size), ERR_OK);
    assert_int_equal(size, 48);
}

static void of_equal_counts_the_least_padding_is_taken(void **state)
{
    (void)state;
    unsigned size;

    assert_int_equal(fec_plan_fragment_size(1000, 51, &size),
                     ERR_OK); /* 20 fragments of 50 or 51 */
    assert_int_equal(size, 50);
}

static void what_cannot_be_planned_is_refused(void **state)
{
    (void)state;
    unsigned size = 77;

    assert_int_equal(fec_plan_fragment_size(0, 50, &size), ERR_RANGE);
    assert_int_equal(fec_plan_fragment_size(100, 0, &size), ERR_RANGE);
    assert_int_equal(fec_plan_fragment_size(100, 256, &size), ERR_RANGE);
    assert_int_equal(fec_plan_fragment_size(FEC_NUMBER_MAX * 255u + 1, 255, &size), ERR_LIMIT);
    assert_int_equal(fec_plan_fragment_size(SIZE_MAX, 255, &size), ERR_LIMIT);
    assert_int_equal(fec_plan_fragment_size(192, 1, &size), ERR_LIMIT); /* there is only 192 × 1 */
    assert_int_equal(size, 77);
    assert_int_equal(fec_plan_fragment_size(FEC_NUMBER_MAX * 255u, 255, &size), ERR_OK);
    assert_int_equal(size, 255);
}

static void the_redundancy_follows_the_loss(void **state)
{
    (void)state;
    /* (M p + 2 sqrt(M p (1 - p)) + 8) / (1 - p), rounded up */
    assert_int_equal(fec_plan_coded_count(500, 0.0), 8);
    assert_int_equal(fec_plan_coded_count(500, 0.1), 80);    /* 71.42 / 0.9 = 79.35 */
    assert_int_equal(fec_plan_coded_count(100, 0.5), 136);   /* 68 / 0.5, exactly */
    assert_int_equal(fec_plan_coded_count(1000, 0.2), 292);  /* 233.298 / 0.8 = 291.6 */
    assert_int_equal(fec_plan_coded_count(1000, 0.9), 9270); /* 926.97 / 0.1 = 9269.7 */
}

static void small_blocks_get_at_least_15_coded_fragments(void **state)
{
    (void)state;
    assert_int_equal(fec_plan_coded_count(64, 0.0), 15);
    assert_int_equal(fec_plan_coded_count(65, 0.0), 8);
    assert_int_equal(fec_plan_coded_count(1, 0.1), 15);
    assert_int_equal(fec_plan_coded_count(64, 0.1), 22); /* 19.2 / 0.9 = 21.3 */
}

static void the_redundancy_ends_at_the_largest_number(void **state)
{
    (void)state;
    assert_int_equal(fec_plan_coded_count(FEC_NUMBER_MAX, 0.5), 0);
    assert_int_equal(fec_plan_coded_count(FEC_NUMBER_MAX - 5, 0.0), 5);
    assert_int_equal(fec_plan_coded_count(8192, 0.9), 8191);
    assert_int_equal(fec_plan_coded_count(10, 1.0), fec_plan_coded_count(10, 0.9));
    assert_int_equal(fec_plan_coded_count(10, -1.0), fec_plan_coded_count(10, 0.0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_never_has_a_bad_count_and_few_fragments),
        cmocka_unit_test(a_multiple_of_8_is_taken_where_it_is_cheap),
        cmocka_unit_test(a_bad_count_is_avoided),
        cmocka_unit_test(of_equal_counts_the_least_padding_is_taken),
        cmocka_unit_test(what_cannot_be_planned_is_refused),
        cmocka_unit_test(the_redundancy_follows_the_loss),
        cmocka_unit_test(small_blocks_get_at_least_15_coded_fragments),
        cmocka_unit_test(the_redundancy_ends_at_the_largest_number),
    };
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
