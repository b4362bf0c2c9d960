/*
 * odds_test.c - what is predicted, against devices that lose fragments and solve equations here,
 * and the choice of rows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "fec/choice.h"
#include "fec/odds.h"
#include "lib/odds.h"

#define TRIALS 40000

/* Half a point, and two standard errors of a share near a half, and of the prediction's own. */
#define ALLOWED (0.005 + 2.0 * 0.0025)

static double worst_difference(const struct fec_odds *odds)
{
    double *predicted = calloc(odds->coded_count + 1, sizeof(*predicted));
    double *seen = calloc(odds->coded_count + 1, sizeof(*seen));
    void *scratch = malloc(fec_odds_size(odds->fragment_count, odds->coded_count));
    double worst = 0.0;

    assert_non_null(predicted);
    assert_non_null(seen);
    assert_non_null(scratch);
    assert_int_equal(fec_odds_done(odds, scratch, predicted), ERR_OK);
    odds_seen(odds, TRIALS, seen);
    for (unsigned n = 0; n <= odds->coded_count; n++) {
        double difference =
            predicted[n] > seen[n] ? predicted[n] - seen[n] : seen[n] - predicted[n];

        worst = difference > worst ? difference : worst;
        assert_true(n == 0 || predicted[n] >= predicted[n - 1] - 1e-9);
        assert_true(predicted[n] >= 0.0 && predicted[n] <= 1.0 + 1e-9);
    }
    free(predicted);
    free(seen);
    free(scratch);
    return worst;
}

static void the_share_that_is_done_is_predicted(void **state)
{
    static const struct fec_odds cases[] = {
        {FEC_V1, 20, 0.05, NULL, 0, 30},  {FEC_V1, 40, 0.4, NULL, 0, 120},
        {FEC_V1, 50, 0.1, NULL, 0, 50},   {FEC_V2, 80, 0.3, NULL, 0, 110},
        {FEC_V1, 127, 0.05, NULL, 0, 60}, {FEC_V1, 200, 0.02, NULL, 0, 40},
        {FEC_V1, 300, 0.3, NULL, 0, 220}, {FEC_V2, 500, 0.01, NULL, 0, 40},
        {FEC_V1, 500, 0.1, NULL, 0, 120},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_true(worst_difference(&cases[i]) <= ALLOWED);
}

static void chosen_rows_are_predicted_and_better(void **state)
{
    uint16_t chosen[FEC_CHOICE_ROWS];
    struct fec_odds odds = {FEC_V1, 50, 0.1, NULL, 0, 30};
    double consecutive[31], best[31];

    (void)state;
    void *scratch = malloc(fec_odds_size(50, 30));
    assert_non_null(scratch);
    assert_int_equal(fec_odds_done(&odds, scratch, consecutive), ERR_OK);
    assert_int_equal(fec_choose_rows(FEC_V1, 50, chosen), ERR_OK);
    odds.indices = chosen;
    odds.index_count = FEC_CHOICE_ROWS;
    assert_int_equal(fec_odds_done(&odds, scratch, best), ERR_OK);
    assert_true(best[10] > consecutive[10] + 0.1);
    assert_true(worst_difference(&odds) <= ALLOWED);
    free(scratch);
}

static void chosen_rows_ascend_and_stay_the_same(void **state)
{
    static const uint16_t first[] = {3, 10, 12, 28, 30, 46, 56, 67, 75, 90, 103, 113};
    uint16_t chosen[FEC_CHOICE_ROWS];

    (void)state;
    for (unsigned count = FEC_CHOICE_COUNT_MIN; count <= FEC_CHOICE_COUNT_MAX; count += 7) {
        for (enum fec_version version = FEC_V1; version <= FEC_V2; version++) {
            assert_int_equal(fec_choose_rows(version, count, chosen), ERR_OK);
            for (unsigned i = 0; i < FEC_CHOICE_ROWS; i++)
                assert_true(chosen[i] > (i > 0 ? chosen[i - 1] : 0));
        }
    }
    /* Running deployments depend on it: never change these numbers. */
    assert_int_equal(fec_choose_rows(FEC_V1, 50, chosen), ERR_OK);
    assert_memory_equal(chosen, first, sizeof(first));
    assert_int_equal(fec_choose_rows(FEC_V1, FEC_CHOICE_COUNT_MIN - 1, chosen), ERR_RANGE);
    assert_int_equal(fec_choose_rows(FEC_V1, FEC_CHOICE_COUNT_MAX + 1, chosen), ERR_RANGE);
}

static void what_is_out_of_range_is_refused(void **state)
{
    static const struct fec_odds cases[] = {
        {FEC_V1, 0, 0.1, NULL, 0, 10},
        {FEC_V1, 100, -0.1, NULL, 0, 10},
        {FEC_V1, 100, 0.95, NULL, 0, 10},
        {FEC_V1, 16380, 0.1, NULL, 0, 10},
    };
    double done[11];
    void *scratch = malloc(fec_odds_size(16380, 10));

    (void)state;
    assert_non_null(scratch);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(fec_odds_done(&cases[i], scratch, done), ERR_RANGE);
    free(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_share_that_is_done_is_predicted),
        cmocka_unit_test(chosen_rows_are_predicted_and_better),
        cmocka_unit_test(chosen_rows_ascend_and_stay_the_same),
        cmocka_unit_test(what_is_out_of_range_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
