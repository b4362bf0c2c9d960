/*
 * bench_fec.c - the encoder against the plain loop, and what the decoder needs.
 *
 * The times of the encoder include the rows; those of the baselines do not, their rows are ready.
 * Each is the best of several runs, one core. All results are compared with each other.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "bench.h"
#include "fec/decoder.h"
#include "fec/encoder.h"
#include "fec_baseline.h"

#define ENCODE_RUNS  7
#define DECODE_RUNS  400
#define O2_GOAL      30.0
#define O3_GOAL      5.0
#define DECODE_COUNT 50
#define DECODE_LOSS  0.1

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

/* How many coded fragments beyond the lost ones a device needs, on average. Ranks only. */
static void bench_decode(enum fec_version version, double loss, const char *what)
{
    void *memory = allocate(fec_decoder_size(DECODE_COUNT, 0));
    struct random random;
    double extra = 0;
    char name[128];

    random_init(&random, 1);
    for (int run = 0; run < DECODE_RUNS; run++) {
        struct fec_decoder *decoder;
        unsigned lost = 0, used = 0;

        must(fec_decoder_init(memory, version, DECODE_COUNT, 0, &decoder));
        for (unsigned n = 1; n <= DECODE_COUNT; n++) {
            if (random_unit(&random) < loss)
                lost++;
            else
                must(fec_decoder_take(decoder, n, NULL, NULL));
        }
        /* Rows from anywhere, so that the runs differ also where every uncoded fragment is lost. */
        unsigned first = DECODE_COUNT + 1 + (unsigned)random_below(&random, 8000);
        while (!fec_decoder_is_complete(decoder) && first + used <= FEC_NUMBER_MAX)
            must(fec_decoder_take(decoder, first + used++, NULL, NULL));
        extra += (double)used - lost;
    }
    (void)snprintf(name, sizeof(name), "v%d decode, M = %d, %s: rows beyond the lost, mean",
                   (int)version, DECODE_COUNT, what);
    bench_info(name, extra / DECODE_RUNS, "rows", "lower");
    free(memory);
}

int main(void)
{
    /* 14 bits number the fragments: 8192 uncoded ones leave 8191. */
    bench_encode(FEC_V1, 8192, 242, 8191, true);
    bench_encode(FEC_V2, 8192, 242, 8191, true);
    bench_encode(FEC_V1, 1000, 200, 1000, false);
    bench_encode(FEC_V1, 4000, 222, 2000, false);
    bench_decode(FEC_V1, 1.0, "coded only");
    bench_decode(FEC_V1, DECODE_LOSS, "10 % lost");
    bench_decode(FEC_V2, DECODE_LOSS, "10 % lost");
    return 0;
}
