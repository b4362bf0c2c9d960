/* reception_test.c - what counts of the stacks say about losses and needs, and whose 0 is believed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deployment/reception.h"
#include "deployment/status.h"

static struct reception estimate(unsigned sent, unsigned number_max, unsigned received,
                                 unsigned missing)
{
    struct reception_counts counts = {.fragment_count = 500,
                                      .sent = sent,
                                      .number_max = number_max,
                                      .number_end = number_max + 2,
                                      .received = received,
                                      .missing = missing};
    return reception_estimate(&counts);
}

/* Each lost a tenth of 540 fragments: 50 uncoded ones, and 4 of 40 coded ones. */
static void each_stack_is_read_as_it_counts(void **state)
{
    (void)state;
    struct reception letter = estimate(540, 540, 486, 50);
    struct reception lbm = estimate(540, 540, 490, 14);
    struct reception loramac = estimate(540, 540, 540, 50);
    struct reception zephyr = estimate(540, 540, 486, 14);

    assert_int_equal(letter.rows, 14);
    assert_int_equal(lbm.rows, 14);
    assert_int_equal(loramac.rows, 14);
    assert_int_equal(zephyr.rows, 14);
    assert_true(letter.loss > 0.09 && letter.loss < 0.11);
    assert_true(lbm.loss > 0.08 && lbm.loss < 0.11);
    assert_true(loramac.loss > 0.09 && loramac.loss < 0.11);
}

static void whoever_has_all_or_may_have_it_needs_no_row(void **state)
{
    (void)state;

    assert_int_equal(estimate(540, 540, 540, 0).rows, 0);
    assert_int_equal(estimate(540, 540, 501, 0).rows, 0);
    assert_int_equal(estimate(540, 540, 501, 36).rows, 1); /* a row was of no use */
    assert_int_equal(estimate(700, 700, 570, 50).rows, 0); /* LoRaMac-node, complete long ago */
}

/* Nothing is missing, and half of what was sent did not come: it was lost, or dropped by a device
 * that was done. Nobody who says 0 leaves lost coded fragments out of its count, but where 0 may
 * stand for 256. */
static void who_misses_nothing_has_lost_a_share_of_all(void **state)
{
    (void)state;
    struct reception_counts counts = {
        .fragment_count = 252, .sent = 508, .number_max = 508, .number_end = 510, .received = 254};

    assert_true(reception_estimate(&counts).loss == 0.5);
    counts.fragment_count = 256;
    assert_true(reception_estimate(&counts).loss > 0.8);
}

/* Chosen rows: 55 fragments were sent, the last of them has the number 80. */
static void skipped_numbers_hide_losses(void **state)
{
    (void)state;
    struct reception_counts lbm = {.fragment_count = 50,
                                   .sent = 55,
                                   .number_max = 80,
                                   .number_end = 90,
                                   .received = 55, /* 80 less 25 */
                                   .missing = 22};
    struct reception_counts loramac = {.fragment_count = 50,
                                       .sent = 55,
                                       .number_max = 80,
                                       .number_end = 90,
                                       .received = 80,
                                       .missing = 4};

    assert_true(reception_estimate(&lbm).loss < 0.01);
    assert_true(reception_loss_most(&lbm, true) >= 0.5);
    assert_true(reception_loss_most(&lbm, false) == 0.0);
    assert_true(reception_loss_most(&loramac, true) < 0.1);
    /* Nobody loses nine tenths and hears as many coded ones as it has given back. */
    struct reception_counts late = {.fragment_count = 84,
                                    .sent = 179,
                                    .number_max = 431,
                                    .number_end = 440,
                                    .received = 322,
                                    .missing = 19};
    assert_true(reception_loss_most(&late, true) > 0.6 && reception_loss_most(&late, true) < 0.8);
    late.counts_last = true; /* but of a LoRaMac-node it is known */
    assert_true(reception_loss_most(&late, true) == 19.0 / 84);
    lbm.received = 62; /* more than were sent: surely numbers */
    lbm.missing = 7;
    lbm.sent = 60;
    assert_int_equal(reception_estimate(&lbm).rows, 1); /* how many more, the next round tells */
}

/* Seen once to count numbers, it is a LoRaMac-node also when it lags behind, being complete. */
static void who_counts_numbers_does_so_for_good(void **state)
{
    (void)state;
    struct reception_counts counts = {.fragment_count = 500,
                                      .sent = 525,
                                      .number_max = 525,
                                      .number_end = 527,
                                      .received = 523,
                                      .missing = 30};

    assert_true(reception_shows_last_number(&counts));
    counts.sent = counts.number_max = counts.number_end = 600;
    assert_false(reception_shows_last_number(&counts));
    assert_int_equal(reception_estimate(&counts).rows, 30); /* as an LBM */
    counts.counts_last = true;
    assert_int_equal(reception_estimate(&counts).rows, 0);
    /* Of 250 that it lacks it would say so, of 290 it says 34. */
    assert_true(reception_loss_most(&counts, false) == 30.0 / 500);
    counts.fragment_count = 1000;
    assert_true(reception_loss_most(&counts, false) == 286.0 / 1000);
    /* With 30 lost it would have been complete long before number 1400. */
    counts.sent = counts.number_max = counts.number_end = 1402;
    counts.received = 1040;
    assert_true(reception_estimate(&counts).loss == 30.0 / 1000);
    counts.received = 1400;
    assert_true(reception_estimate(&counts).loss == 286.0 / 1000);
}

static void more_fragments_leave_fewer_open(void **state)
{
    (void)state;
    struct reception r = {.loss = 0.1, .rows = 20};

    assert_true(reception_open(&r, 540, 19) == 1.0);
    assert_true(reception_open(&r, 540, 22) > 0.5);
    for (unsigned n = 20; n < 60; n++) {
        assert_true(reception_open(&r, 540, n + 1) <= reception_open(&r, 540, n));
    }
    assert_true(reception_open(&r, 540, 24) > 0.3 && reception_open(&r, 540, 24) < 0.7);
    assert_true(reception_open(&r, 540, 40) < 0.001);
}

static void a_count_that_stays_is_proof_after_so_many(void **state)
{
    (void)state;

    assert_int_equal(reception_proof_frames(0.0), 6);
    assert_int_equal(reception_proof_frames(0.1), 7);
    assert_int_equal(reception_proof_frames(0.3), 12);
    assert_int_equal(reception_proof_frames(0.5), 20);
    assert_int_equal(reception_proof_frames(2.0), 132);
}

static void repeats_bring_the_losses_below_what_is_held(void **state)
{
    (void)state;

    assert_int_equal(reception_repeats(0.3, 250, 100, 4), 1);
    assert_int_equal(reception_repeats(0.3, 250, 40, 4), 2);
    assert_int_equal(reception_repeats(0.3, 250, 5, 4), 4);
    assert_int_equal(reception_repeats(0.5, 250, 5, 4), 0);
}

static enum status_verdict read_0(unsigned received, const struct status_facts *facts)
{
    struct frag_session_status_ans ans = {.received_count = (uint16_t)received};

    return status_read(&ans, facts);
}

static void a_0_is_believed_by_evidence_or_company(void **state)
{
    (void)state;
    struct status_facts facts = {.fragment_count = 500, .sent = 600};

    assert_int_equal(read_0(502, &facts), STATUS_AMBIGUOUS);
    facts.counts_truly = true;
    assert_int_equal(read_0(502, &facts), STATUS_COMPLETE);
    assert_int_equal(read_0(499, &facts), STATUS_INCOMPLETE);
    facts.counts_truly = false;
    facts.company_does = true;
    assert_int_equal(read_0(502, &facts), STATUS_COMPLETE);
    facts.sent = 758; /* LBM may lack 256 */
    assert_int_equal(read_0(502, &facts), STATUS_AMBIGUOUS);
    facts.company_shows_all = true;
    assert_int_equal(read_0(502, &facts), STATUS_COMPLETE);
}

static bool is_true_count(unsigned received, unsigned missing, unsigned sent)
{
    struct frag_session_status_ans ans = {.received_count = (uint16_t)received,
                                          .missing_count = (uint8_t)missing};
    return status_shows_true_count(&ans, 500, sent, sent);
}

static bool shows_all_lost(unsigned received, unsigned missing)
{
    struct reception_counts counts = {.fragment_count = 500,
                                      .sent = 540,
                                      .number_max = 540,
                                      .number_end = 542,
                                      .received = received,
                                      .missing = missing};
    return reception_shows_all_lost(&counts);
}

static void what_shows_how_a_device_counts(void **state)
{
    (void)state;
    struct frag_session_status_ans letter = {.received_count = 486, .missing_count = 50};
    struct frag_session_status_ans loramac = {.received_count = 540, .missing_count = 50};
    struct frag_session_status_ans zephyr = {.received_count = 486, .missing_count = 14};
    struct frag_session_status_ans lbm = {.received_count = 490, .missing_count = 14};

    assert_true(is_true_count(486, 50, 540));
    assert_false(is_true_count(486, 14, 540)); /* Zephyr */
    assert_false(is_true_count(450, 50, 490)); /* not all uncoded ones are out */
    assert_false(is_true_count(290, 50, 540)); /* LoRaMac-node that has not noticed 210 */
    assert_false(is_true_count(500, 10, 770)); /* LBM that lacks 266 */
    assert_true(status_shows_company_count(&letter, 500, 540, 540));
    assert_true(status_shows_company_count(&lbm, 500, 540, 540));
    assert_false(status_shows_company_count(&loramac, 500, 540, 540));
    assert_false(status_shows_company_count(&zephyr, 500, 540, 540));
    assert_true(status_shows_naive_count(&zephyr, 500, 540));
    assert_false(status_shows_naive_count(&letter, 500, 540));
    assert_true(shows_all_lost(486, 50));
    assert_false(shows_all_lost(490, 14));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_stack_is_read_as_it_counts),
        cmocka_unit_test(whoever_has_all_or_may_have_it_needs_no_row),
        cmocka_unit_test(who_misses_nothing_has_lost_a_share_of_all),
        cmocka_unit_test(skipped_numbers_hide_losses),
        cmocka_unit_test(who_counts_numbers_does_so_for_good),
        cmocka_unit_test(more_fragments_leave_fewer_open),
        cmocka_unit_test(a_count_that_stays_is_proof_after_so_many),
        cmocka_unit_test(repeats_bring_the_losses_below_what_is_held),
        cmocka_unit_test(a_0_is_believed_by_evidence_or_company),
        cmocka_unit_test(what_shows_how_a_device_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
