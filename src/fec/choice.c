#include "fec/choice.h"

#include <assert.h>
#include <string.h>

/* Of so many rows the best is taken. */
#define CANDIDATES (FEC_CHOICE_INDEX_MAX / FEC_CHOICE_ROWS)

#define WORDS     (FEC_CHOICE_COUNT_MAX / 64)
#define PAIRS_MAX (FEC_CHOICE_COUNT_MAX * (FEC_CHOICE_COUNT_MAX - 1) / 2)

/*
 * A device fails when some set of the fragments it lost has an even number of columns in every row
 * it received. Sets of one and of two decide that. Each has a weight, a quarter of it for each
 * fragment, as if a quarter were lost; a row that tells a set apart leaves a quarter of its weight,
 * for it may be lost, too. Integers, so that every machine chooses the same.
 */
#define LOST_SHIFT  2
#define PAIR_WEIGHT (UINT64_C(1) << 48)
#define ONE_WEIGHT  (PAIR_WEIGHT << LOST_SHIFT)

struct sets {
    unsigned count;
    uint64_t ones[FEC_CHOICE_COUNT_MAX];
    uint64_t pairs[PAIRS_MAX]; /* (0, 1), (0, 2) .. (1, 2), ... */
};

static void init_sets(struct sets *sets, unsigned count)
{
    sets->count = count;
    for (unsigned i = 0; i < count; i++)
        sets->ones[i] = ONE_WEIGHT;
    for (unsigned i = 0; i < count * (count - 1) / 2; i++)
        sets->pairs[i] = PAIR_WEIGHT;
}

/* All ones or all zeros for each column: what follows has no branches. */
static void spread_bits(const uint64_t *row, unsigned count, uint64_t *bits)
{
    for (unsigned i = 0; i < count; i++)
        bits[i] = UINT64_C(0) - (row[i / 64] >> (i % 64) & 1);
}

/* The weight of the sets that this row does not tell apart. */
static uint64_t weight_left(const struct sets *sets, const uint64_t *bits)
{
    const uint64_t *pair = sets->pairs;
    uint64_t left = 0;

    for (unsigned a = 0; a < sets->count; a++) {
        left += sets->ones[a] & ~bits[a];
        for (unsigned b = a + 1; b < sets->count; b++, pair++)
            left += *pair & ~(bits[a] ^ bits[b]);
    }
    return left;
}

static void take_row(struct sets *sets, const uint64_t *bits)
{
    uint64_t *pair = sets->pairs;

    for (unsigned a = 0; a < sets->count; a++) {
        sets->ones[a] >>= bits[a] != 0 ? LOST_SHIFT : 0;
        for (unsigned b = a + 1; b < sets->count; b++, pair++)
            *pair >>= bits[a] != bits[b] ? LOST_SHIFT : 0;
    }
}

enum err fec_choose_rows(enum fec_version version, unsigned fragment_count, uint16_t *ret_indices)
{
    struct sets sets;
    uint64_t bits[FEC_CHOICE_COUNT_MAX] = {0}, best_bits[FEC_CHOICE_COUNT_MAX] = {0};
    uint64_t row[WORDS];
    unsigned last = 0;

    if (fragment_count < FEC_CHOICE_COUNT_MIN || fragment_count > FEC_CHOICE_COUNT_MAX)
        return ERR_RANGE;
    init_sets(&sets, fragment_count);
    for (unsigned chosen = 0; chosen < FEC_CHOICE_ROWS; chosen++) {
        uint64_t best_left = UINT64_MAX;
        unsigned best = 0;

        for (unsigned index = last + 1; index <= last + CANDIDATES; index++) {
            enum err err = fec_row(version, index, fragment_count, row);

            assert(err == ERR_OK); /* the index is at most FEC_CHOICE_INDEX_MAX */
            (void)err;
            spread_bits(row, fragment_count, bits);
            const uint64_t left = weight_left(&sets, bits);
            if (left < best_left) {
                best = index;
                best_left = left;
                memcpy(best_bits, bits, sizeof(best_bits));
            }
        }
        take_row(&sets, best_bits);
        ret_indices[chosen] = (uint16_t)best;
        last = best;
    }
    return ERR_OK;
}
