#include "fec/odds.h"

#include <math.h>

#include "base/random.h"

#define TRIALS 60000
/* Fewer trials that are open say little; and of the rows of v1, so many miss the last fragment that
 * a device lacks. */
#define TRIALS_TOLD 30.0
#define ROW_IN_VAIN 0.61

#define SEED   23

/* The very rows matter where a device has lost so few, or the block is so small. */
#define TRIED_LOST_MAX  25.0
#define TRIED_COUNT_MAX 128
#define TRIED_LOSS_MAX  0.5
#define LOST_WORDS      2
#define LOST_MAX        (64 * LOST_WORDS) /* more are not met in what is tried */

/* So many rows beyond the lost ones are enough: 2^-40. */
#define EXTRA_MAX 40

/* Terms of a distribution that are smaller do not count. */
#define TERM_MIN 1e-12

unsigned fec_seed_index(const uint16_t *indices, unsigned index_count, unsigned ordinal)
{
    if (ordinal <= index_count)
        return indices[ordinal - 1];
    return ordinal - index_count + (index_count > 0 ? indices[index_count - 1] : 0u);
}

static bool is_tried(const struct fec_odds *odds)
{
    if (odds->loss > TRIED_LOSS_MAX)
        return false;
    return odds->fragment_count <= TRIED_COUNT_MAX ||
           odds->fragment_count * odds->loss <= TRIED_LOST_MAX;
}

static size_t rows_size(unsigned fragment_count, unsigned coded_count)
{
    return (size_t)coded_count * fec_row_words(fragment_count) * sizeof(uint64_t);
}

size_t fec_odds_size(unsigned fragment_count, unsigned coded_count)
{
    const size_t terms = ((size_t)fragment_count + coded_count + 2) * sizeof(double);
    const size_t rows = rows_size(fragment_count, coded_count);

    return terms + rows;
}

/* The binomial distribution of `n` draws with probability `p` of each, 0 < p < 1; terms below
 * TERM_MIN are 0. */
static void binomial(unsigned n, double p, double *ret_terms)
{
    const unsigned mode = (unsigned)((n + 1) * p) < n ? (unsigned)((n + 1) * p) : n;
    double sum = 1.0;

    for (unsigned k = 0; k <= n; k++)
        ret_terms[k] = 0.0;
    ret_terms[mode] = 1.0;
    for (unsigned k = mode; k > 0 && ret_terms[k] > TERM_MIN; k--) {
        ret_terms[k - 1] = ret_terms[k] * k / (n - k + 1.0) * (1.0 - p) / p;
        sum += ret_terms[k - 1];
    }
    for (unsigned k = mode; k < n && ret_terms[k] > TERM_MIN; k++) {
        ret_terms[k + 1] = ret_terms[k] * (n - k) / (k + 1.0) * p / (1.0 - p);
        sum += ret_terms[k + 1];
    }
    for (unsigned k = 0; k <= n; k++)
        ret_terms[k] /= sum;
}

/* random rows */

/* The probability that lost + e random rows over GF(2) have the rank `lost`: all factors but the
 * first e of what infinitely many would give. */
static double rank_is_full(unsigned lost, unsigned e)
{
    double product = 1.0, power = 1.0;

    for (unsigned i = 1; i <= e + lost && i <= e + EXTRA_MAX; i++) {
        power /= 2.0;
        if (i > e)
            product *= 1.0 - power;
    }
    return product;
}

static void by_random_rows(const struct fec_odds *odds, double *terms, double *ret_done)
{
    const unsigned count = odds->fragment_count;
    double *lost = terms, *received = terms + count + 1;
    double full[EXTRA_MAX];

    binomial(count, odds->loss, lost);
    for (unsigned e = 0; e < EXTRA_MAX; e++)
        full[e] = rank_is_full(EXTRA_MAX, e);
    ret_done[0] = lost[0];
    for (unsigned n = 1; n <= odds->coded_count; n++) {
        double done = lost[0], enough = 0.0; /* enough: EXTRA_MAX rows or more beyond l */

        binomial(n, 1.0 - odds->loss, received);
        unsigned from = n + 1; /* rows from here on are in `enough` */
        for (unsigned l = count < n ? count : n; l > 0; l--) {
            for (; from > l + EXTRA_MAX; from--)
                enough += received[from - 1];
            double sum = enough;
            for (unsigned e = 0; lost[l] > TERM_MIN && l + e < from; e++)
                sum += received[l + e] * (l < EXTRA_MAX ? rank_is_full(l, e) : full[e]);
            done += lost[l] * sum;
        }
        ret_done[n] = done;
    }
}

/* the very rows */

struct equations {
    uint64_t pivots[LOST_MAX][LOST_WORDS];
    bool has_pivot[LOST_MAX];
    unsigned rank;
};

static void take_row(struct equations *e, unsigned lost_count, uint64_t row[LOST_WORDS])
{
    for (unsigned i = 0; i < lost_count; i++) {
        if ((row[i / 64] >> (i % 64) & 1) == 0)
            continue;
        if (!e->has_pivot[i]) {
            e->has_pivot[i] = true;
            e->rank++;
            for (unsigned word = 0; word < LOST_WORDS; word++)
                e->pivots[i][word] = row[word];
            return;
        }
        for (unsigned word = 0; word < LOST_WORDS; word++)
            row[word] ^= e->pivots[i][word];
    }
}

static unsigned draw_lost(struct random *random, const double *up_to, unsigned count)
{
    const double drawn = random_unit(random);
    unsigned lost = 0;

    while (lost < count && lost < LOST_MAX && up_to[lost] <= drawn)
        lost++;
    return lost;
}

/* `lost_count` different columns. */
static void draw_columns(struct random *random, unsigned count, unsigned lost_count, uint16_t *lost)
{
    uint64_t is_taken[FEC_ROW_WORDS_MAX] = {0};

    for (unsigned i = 0; i < lost_count;) {
        const unsigned column = (unsigned)random_below(random, count);

        if ((is_taken[column / 64] >> (column % 64) & 1) != 0)
            continue;
        is_taken[column / 64] |= UINT64_C(1) << (column % 64);
        lost[i++] = (uint16_t)column;
    }
}

/* How many coded fragments one device needs; coded_count + 1: more. */
static unsigned try_device(const struct fec_odds *odds, struct random *random, const double *up_to,
                           const uint64_t *rows)
{
    const size_t words = fec_row_words(odds->fragment_count);
    const unsigned lost_count = draw_lost(random, up_to, odds->fragment_count);
    struct equations e;
    uint16_t lost[LOST_MAX];

    draw_columns(random, odds->fragment_count, lost_count, lost);
    for (unsigned i = 0; i < lost_count; i++)
        e.has_pivot[i] = false;
    e.rank = 0;
    unsigned n = 0;
    for (; e.rank < lost_count && n <= odds->coded_count; n++) {
        uint64_t row[LOST_WORDS] = {0};

        if (n >= odds->coded_count || random_unit(random) < odds->loss)
            continue;
        for (unsigned i = 0; i < lost_count; i++) {
            const uint64_t word = rows[n * words + lost[i] / 64];

            row[i / 64] |= (word >> (lost[i] % 64) & 1) << (i % 64);
        }
        take_row(&e, lost_count, row);
    }
    return n;
}

/* Where hardly any trial was still open, each row that arrives closes a part of what is. */
static void continue_tail(const struct fec_odds *odds, double *done)
{
    const double left = odds->loss + (1.0 - odds->loss) * ROW_IN_VAIN;
    unsigned n = 0;

    while (n <= odds->coded_count && 1.0 - done[n] > TRIALS_TOLD / TRIALS)
        n++;
    for (n++; n <= odds->coded_count; n++)
        done[n] = 1.0 - (1.0 - done[n - 1]) * left;
}

static enum err by_trial(const struct fec_odds *odds, double *up_to, uint64_t *rows,
                         double *ret_done)
{
    const size_t words = fec_row_words(odds->fragment_count);
    struct random random;
    double sum = 0.0;

    binomial(odds->fragment_count, odds->loss, up_to);
    for (unsigned l = 0; l <= odds->fragment_count; l++) {
        sum += up_to[l];
        up_to[l] = sum;
    }
    for (unsigned n = 1; n <= odds->coded_count; n++) {
        const unsigned index = fec_seed_index(odds->indices, odds->index_count, n);
        const enum err err =
            fec_row(odds->version, index, odds->fragment_count, rows + (n - 1) * words);

        if (err != ERR_OK)
            return err;
    }
    random_init(&random, SEED);
    for (unsigned n = 0; n <= odds->coded_count; n++)
        ret_done[n] = 0.0;
    for (unsigned trial = 0; trial < TRIALS; trial++) {
        const unsigned n = try_device(odds, &random, up_to, rows);

        if (n <= odds->coded_count)
            ret_done[n] += 1.0 / TRIALS;
    }
    for (unsigned n = 1; n <= odds->coded_count; n++)
        ret_done[n] += ret_done[n - 1];
    continue_tail(odds, ret_done);
    return ERR_OK;
}

enum err fec_odds_done(const struct fec_odds *odds, void *scratch, double *ret_done)
{
    double *terms = scratch;

    if (odds->fragment_count == 0 || odds->fragment_count > FEC_NUMBER_MAX ||
        !(odds->loss >= 0.0 && odds->loss <= FEC_ODDS_LOSS_MAX) ||
        odds->coded_count > FEC_NUMBER_MAX - odds->fragment_count)
        return ERR_RANGE;
    if (odds->coded_count > 0 &&
        fec_seed_index(odds->indices, odds->index_count, odds->coded_count) >
            FEC_NUMBER_MAX - odds->fragment_count)
        return ERR_RANGE;
    if (odds->loss == 0.0) {
        for (unsigned n = 0; n <= odds->coded_count; n++)
            ret_done[n] = 1.0;
        return ERR_OK;
    }
    if (is_tried(odds))
        return by_trial(odds, terms, (uint64_t *)(void *)(terms + odds->fragment_count + 1),
                        ret_done);
    by_random_rows(odds, terms, ret_done);
    return ERR_OK;
}
