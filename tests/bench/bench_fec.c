/*
 * bench_fec.c - the encoder against the plain loop, and what the decoder needs.
 *
 * The times of the encoder include the rows; those of the baselines do not, their rows are ready.
 * Each is the best of several runs, one core. All results are compared with each other.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "bench.h"
#include "fec/choice.h"
#include "fec/decoder.h"
#include "fec/encoder.h"
#include "fec_baseline.h"
#include "lib/odds.h"

#define ENCODE_RUNS       7
#define SYSTEMATIC_TRIALS 20000
#define O2_GOAL           30.0
#define O3_GOAL           5.0
#define CODED_TRIALS      6000
#define CHOSEN_TRIALS     200000
#define CHOSEN_ROWS_MAX   400
#define ODDS_TRIALS       40000

static void *allocate(size_t size)
{
    void *memory = aligned_alloc(64, (size + 63) / 64 * 64);

    if (memory == NULL)
        abort();
    memset(memory, 0, size);
    return memory;
}

static void must(enum err err)
{
    if (err == ERR_OK)
        return;
    fprintf(stderr, "bench_fec: %s\n", err_text(err));
    exit(1);
}

static double baseline_ms(baseline_fn *baseline, int runs, const struct fec_block *block,
                          unsigned coded, const uint64_t *rows, uint8_t *data)
{
    double best = 1e30;

    for (int run = 0; run < runs; run++) {
        double start = bench_now_ms();

        baseline(block->image, block->fragment_size, rows, fec_row_words(block->fragment_count),
                 coded, data);
        double took = bench_now_ms() - start;
        best = took < best ? took : best;
    }
    return best;
}

static double encode_ms(enum fec_implementation implementation, const struct fec_block *block,
                        unsigned coded, uint8_t *data, void *scratch)
{
    double best = 1e30;

    for (int run = 0; run < ENCODE_RUNS; run++) {
        double start = bench_now_ms();

        must(fec_encode_with(implementation, block, block->fragment_count + 1, coded, data,
                             scratch));
        double took = bench_now_ms() - start;
        best = took < best ? took : best;
    }
    return best;
}

static void bench_encode(enum fec_version version, unsigned count, unsigned size, unsigned coded,
                         bool has_goal)
{
    const size_t row_words = fec_row_words(count);
    const size_t coded_size = (size_t)coded * size;
    uint8_t *image = allocate((size_t)count * size);
    uint8_t *expected = allocate(coded_size), *data = allocate(coded_size);
    uint64_t *rows = allocate(coded * row_words * sizeof(uint64_t));
    struct random random;
    struct fec_block block;
    char shape[64], name[128];
    void *scratch;
    double o2, o3;

    random_init(&random, count);
    for (size_t i = 0; i < (size_t)count * size; i++)
        image[i] = (uint8_t)random_next(&random);
    must(fec_block_init(&block, version, image, (size_t)count * size, size));
    scratch = allocate(fec_encode_scratch_size(&block));
    (void)snprintf(shape, sizeof(shape), "v%d %u x %u B, %u coded", (int)version, count, size,
                   coded);

    double start = bench_now_ms();
    for (unsigned r = 0; r < coded; r++)
        must(fec_row(version, r + 1, count, rows + r * row_words));
    (void)snprintf(name, sizeof(name), "%s: rows alone, fec_row", shape);
    bench_info(name, bench_now_ms() - start, "ms", "lower");

    o2 = baseline_ms(baseline_o2, 2, &block, coded, rows, expected);
    (void)snprintf(name, sizeof(name), "%s: byte loop, -O2 without vectors", shape);
    bench_info(name, o2, "ms", "lower");
    o3 = baseline_ms(baseline_o3, 3, &block, coded, rows, expected);
    (void)snprintf(name, sizeof(name), "%s: byte loop, -O3", shape);
    bench_info(name, o3, "ms", "lower");

    for (enum fec_implementation i = FEC_PORTABLE; i < FEC_IMPLEMENTATION_COUNT; i++) {
        if (!fec_implementation_is_available(i))
            continue;
        memset(data, 0, coded_size);
        double took = encode_ms(i, &block, coded, data, scratch);
        if (memcmp(data, expected, coded_size) != 0) {
            fprintf(stderr, "bench_fec: %s: wrong octets\n", fec_implementation_name(i));
            exit(1);
        }
        (void)snprintf(name, sizeof(name), "%s: %s, rows included", shape,
                       fec_implementation_name(i));
        bench_info(name, took, "ms", "lower");
        if (!has_goal || i != FEC_AVX2)
            continue;
        (void)snprintf(name, sizeof(name), "%s: avx2 against -O2 without vectors", shape);
        bench_goal(name, o2 / took, "times", "higher", O2_GOAL);
        (void)snprintf(name, sizeof(name), "%s: avx2 against -O3", shape);
        bench_goal(name, o3 / took, "times", "higher", O3_GOAL);
    }
    free(scratch);
    free(rows);
    free(data);
    free(expected);
    free(image);
}

struct extra {
    double mean, within_7,
        above_10; /* of rows beyond the lost; the last two are shares of trials */
};

/* How many coded fragments beyond the lost ones a device needs. Ranks only. */
static struct extra extra_rows(enum fec_version version, unsigned count, double loss, int trials)
{
    void *memory = allocate(fec_decoder_size(count, 0));
    struct random random;
    struct extra extra = {0};

    random_init(&random, 1);
    for (int run = 0; run < trials; run++) {
        struct fec_decoder *decoder;
        unsigned lost = 0, used = 0;

        must(fec_decoder_init(memory, version, count, 0, &decoder));
        for (unsigned n = 1; n <= count; n++) {
            if (loss >= 1.0 || random_unit(&random) < loss)
                lost++;
            else
                must(fec_decoder_take(decoder, n, NULL, NULL));
        }
        /* Rows from anywhere, half of them lost, so that the runs differ also where every uncoded
         * fragment is lost. */
        unsigned number = count + 1 + (unsigned)random_below(&random, 8000);
        for (; !fec_decoder_is_complete(decoder) && number <= FEC_NUMBER_MAX; number++) {
            if (random_below(&random, 2) == 0) {
                must(fec_decoder_take(decoder, number, NULL, NULL));
                used++;
            }
        }
        extra.mean += (double)used - lost;
        extra.within_7 += used <= lost + 7;
        extra.above_10 += used > lost + 10;
    }
    free(memory);
    extra.mean /= trials;
    extra.within_7 /= trials;
    extra.above_10 /= trials;
    return extra;
}

/* Of random rows 1.607 more than needed are taken on average. */
static void bench_coded_only(unsigned count)
{
    struct extra extra = extra_rows(FEC_V1, count, 1.0, CODED_TRIALS);
    char name[128];

    (void)snprintf(name, sizeof(name), "v1, M = %u, coded only: mean extra rows", count);
    bench_info(name, extra.mean, "rows", "lower");
    (void)snprintf(name, sizeof(name), "v1, M = %u, coded only: the same, off 1.607", count);
    bench_goal(name, extra.mean > 1.607 ? extra.mean - 1.607 : 1.607 - extra.mean, "rows", "lower",
               0.05);
    (void)snprintf(name, sizeof(name), "v1, M = %u, coded only: through at M + 7", count);
    bench_goal(name, 100.0 * extra.within_7, "%", "higher", 98.5);
}

static void bench_systematic(enum fec_version version, unsigned count, double loss, int trials)
{
    struct extra extra = extra_rows(version, count, loss, trials);
    char name[128];

    (void)snprintf(name, sizeof(name), "v%d, M = %u, %.0f %% lost: rows beyond the lost, mean",
                   (int)version, count, 100.0 * loss);
    bench_info(name, extra.mean, "rows", "lower");
    (void)snprintf(name, sizeof(name), "v%d, M = %u, %.0f %% lost: more than ten beyond",
                   (int)version, count, 100.0 * loss);
    bench_info(name, 100.0 * extra.above_10, "%", "lower");
}

/* Rows beyond the lost ones that a device receives of a small block, with and without the choice. */
static void bench_chosen(enum fec_version version, unsigned count, double loss, bool is_chosen,
                         bool has_goal)
{
    uint16_t indices[FEC_CHOICE_ROWS];
    const unsigned index_count = is_chosen ? FEC_CHOICE_ROWS : 0;
    void *memory = allocate(fec_decoder_size(count, 0));
    struct random random;
    struct extra extra = {0};
    char name[128];

    random_init(&random, 5);
    must(fec_choose_rows(version, count, indices));
    for (int run = 0; run < CHOSEN_TRIALS; run++) {
        struct fec_decoder *decoder;
        unsigned lost = 0, used = 0;

        must(fec_decoder_init(memory, version, count, 0, &decoder));
        for (unsigned n = 1; n <= count; n++) {
            if (random_unit(&random) < loss)
                lost++;
            else
                must(fec_decoder_take(decoder, n, NULL, NULL));
        }
        for (unsigned n = 1; !fec_decoder_is_complete(decoder) && n <= CHOSEN_ROWS_MAX; n++) {
            if (random_unit(&random) < loss)
                continue;
            used++;
            must(fec_decoder_take(decoder, count + fec_seed_index(indices, index_count, n), NULL,
                                  NULL));
        }
        extra.mean += (double)used - lost;
        extra.above_10 += used > lost + 10;
    }
    free(memory);
    (void)snprintf(name, sizeof(name), "v%d, M = %u, %.0f %% lost, %s rows: beyond the lost, mean",
                   (int)version, count, 100.0 * loss, is_chosen ? "chosen" : "consecutive");
    if (has_goal)
        bench_goal(name, extra.mean / CHOSEN_TRIALS, "rows", "lower", 1.5);
    else
        bench_info(name, extra.mean / CHOSEN_TRIALS, "rows", "lower");
    (void)snprintf(name, sizeof(name), "v%d, M = %u, %.0f %% lost, %s rows: more than ten beyond",
                   (int)version, count, 100.0 * loss, is_chosen ? "chosen" : "consecutive");
    if (has_goal)
        bench_goal(name, 100.0 * extra.above_10 / CHOSEN_TRIALS, "%", "lower", 0.2);
    else
        bench_info(name, 100.0 * extra.above_10 / CHOSEN_TRIALS, "%", "lower");
}

/* The largest difference between the predicted share of devices done and that seen. */
static void bench_odds(unsigned count)
{
    static const double losses[] = {0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4};
    double worst = 0.0;
    char name[128];

    for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++) {
        const struct fec_odds odds = {
            .version = FEC_V1,
            .fragment_count = count,
            .loss = losses[i],
            .coded_count = (unsigned)(1.3 * count * losses[i] / (1.0 - losses[i])) + 50,
        };
        double *predicted = allocate((odds.coded_count + 1) * sizeof(double));
        double *seen = allocate((odds.coded_count + 1) * sizeof(double));
        void *scratch = allocate(fec_odds_size(count, odds.coded_count));

        must(fec_odds_done(&odds, scratch, predicted));
        odds_seen(&odds, ODDS_TRIALS, seen);
        for (unsigned n = 0; n <= odds.coded_count; n++) {
            const double difference = fabs(predicted[n] - seen[n]);

            worst = difference > worst ? difference : worst;
        }
        free(scratch);
        free(seen);
        free(predicted);
    }
    /* Half a point, and two standard errors of the 40,000 devices. */
    (void)snprintf(name, sizeof(name), "v1, M = %u, 1 to 40 %% lost: prediction off by at most",
                   count);
    bench_goal(name, 100.0 * worst, "points", "lower", 1.0);
}

int main(void)
{
    static const unsigned odds_counts[] = {20, 50, 100, 200, 500, 1000};

    /* 14 bits number the fragments: 8192 uncoded ones leave 8191. */
    bench_encode(FEC_V1, 8192, 242, 8191, true);
    bench_encode(FEC_V2, 8192, 242, 8191, true);
    bench_encode(FEC_V1, 1000, 200, 1000, false);
    bench_encode(FEC_V1, 4000, 222, 2000, false);
    bench_coded_only(200);
    bench_coded_only(300);
    bench_coded_only(500);
    bench_systematic(FEC_V1, 50, 0.1, SYSTEMATIC_TRIALS);
    bench_systematic(FEC_V2, 50, 0.1, SYSTEMATIC_TRIALS);
    bench_systematic(FEC_V1, 100, 0.1, SYSTEMATIC_TRIALS);
    bench_systematic(FEC_V1, 500, 0.1, SYSTEMATIC_TRIALS);
    bench_systematic(FEC_V2, 500, 0.1, SYSTEMATIC_TRIALS);
    for (enum fec_version version = FEC_V1; version <= FEC_V2; version++) {
        bench_chosen(version, 50, 0.1, false, false);
        bench_chosen(version, 50, 0.1, true, true);
        bench_chosen(version, 100, 0.1, false, false);
        bench_chosen(version, 100, 0.1, true, false);
    }
    for (size_t i = 0; i < sizeof(odds_counts) / sizeof(odds_counts[0]); i++)
        bench_odds(odds_counts[i]);
    return 0;
}
