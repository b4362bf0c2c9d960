#include "fec/rows.h"

#include <assert.h>
#include <string.h>

#include "encoder_impl.h"

#define STATE_BITS 23
#define STATE_MASK ((UINT32_C(1) << STATE_BITS) - 1)

/* For x < 2^23 and a modulus from 3 to 2^14: x × ceil(2^40 / modulus) stays below 2^62, and its
 * error, at most x × modulus <= 2^37 < 2^40 in these units, is too small to reach the next
 * quotient. */
#define QUOTIENT_SHIFT 40

static bool is_power_of_two(unsigned n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

bool fec_count_is_bad(unsigned fragment_count)
{
    return fragment_count != 0 && fragment_count % 64 == 0 && !is_power_of_two(fragment_count);
}

uint32_t fec_prbs23(uint32_t x)
{
    uint32_t bit = (x ^ x >> 5) & 1u;

    return (x >> 1) + (bit << 22); /* not OR: a seed above 23 bits carries here */
}

/* The 64 bits of the sequence that start with the state x < 2^23. */
static uint64_t window_of(uint32_t x)
{
    uint64_t window = x;

    window |= ((window ^ window >> 5) & 0x3FFFF) << 23;
    window |= ((window >> 18 ^ window >> 23) & 0x3FFFF) << 41;
    window |= (window >> 36 ^ window >> 41) << 59;
    return window;
}

/* Marks the column of a draw; returns 1 if it counts, otherwise 0. */
static inline unsigned mark(const struct fec_draws *draws, uint32_t column)
{
    unsigned counts = draws->is_distinct ? !draws->columns[column] : column != draws->count;

    draws->columns[column] = 1;
    return counts;
}

unsigned fec_draw_portable(struct fec_draws *draws, unsigned block_count)
{
    const struct fec_draws d =
        *draws; /* else the compiler reads it again after every octet written */
    const uint64_t reciprocal = (UINT64_C(1) << QUOTIENT_SHIFT) / d.modulus + 1;
    uint64_t window = d.window;
    unsigned counted = 0;

    for (unsigned block = 0; block < block_count; block++) {
        for (unsigned i = 1; i <= FEC_DRAWS_PER_BLOCK; i++) {
            uint32_t x = (uint32_t)(window >> i) & STATE_MASK;
            uint32_t quotient = (uint32_t)(x * reciprocal >> QUOTIENT_SHIFT);

            counted += mark(&d, x - quotient * d.modulus);
        }
        window = fec_window_next(window);
    }
    draws->window = window;
    return counted;
}

/* Eight octets in one word; written like this, compilers make a single load of it. */
static inline uint64_t load_octets(const uint8_t *o)
{
    return (uint64_t)o[0] | (uint64_t)o[1] << 8 | (uint64_t)o[2] << 16 | (uint64_t)o[3] << 24 |
           (uint64_t)o[4] << 32 | (uint64_t)o[5] << 40 | (uint64_t)o[6] << 48 |
           (uint64_t)o[7] << 56;
}

void fec_pack_portable(const uint8_t *columns, size_t word_count, uint64_t *row)
{
    for (size_t w = 0; w < word_count; w++) {
        uint64_t word = 0;

        /* The product moves bit 0 of octet i to bit 56 + i; no two terms meet, so nothing carries.
         */
        for (unsigned i = 0; i < 64; i += 8)
            word |= load_octets(columns + 64 * w + i) * UINT64_C(0x0102040810204080) >> 56 << i;
        row[w] = word;
    }
}

void fec_row_with(fec_draw_fn *draw, fec_pack_fn *pack, enum fec_version version,
                  unsigned coded_index, unsigned fragment_count, uint8_t *columns, uint64_t *row)
{
    struct fec_draws draws = {
        .modulus = fragment_count + is_power_of_two(fragment_count),
        .count = fragment_count,
        .is_distinct = version == FEC_V2,
        .columns = columns,
    };
    const unsigned wanted = fragment_count / 2;
    const size_t word_count = fec_row_words(fragment_count);
    uint32_t x = 1 + 1001 * coded_index;
    unsigned counted = 0;

    memset(columns, 0, 64 * word_count + 1);
    columns[fragment_count] = draws.is_distinct;
    /* A state above 23 bits is outside the linear sequence. Each step halves what exceeds 2^23, so
     * this ends soon. */
    while (counted < wanted && x > STATE_MASK) {
        x = fec_prbs23(x);
        counted += mark(&draws, x % draws.modulus);
    }
    draws.window = window_of(x & STATE_MASK);
    /* Each draw counts at most once, so as many as are missing can be taken without looking. */
    while (wanted - counted >= FEC_DRAWS_PER_BLOCK)
        counted += draw(&draws, (wanted - counted) / FEC_DRAWS_PER_BLOCK);
    while (counted < wanted) {
        for (unsigned i = 1; i <= FEC_DRAWS_PER_BLOCK && counted < wanted; i++) {
            x = (uint32_t)(draws.window >> i) & STATE_MASK;
            counted += mark(&draws, x % draws.modulus);
        }
        draws.window = fec_window_next(draws.window);
    }
    columns[fragment_count] = 0;
    pack(columns, word_count, row);
}

enum err fec_row(enum fec_version version, unsigned coded_index, unsigned fragment_count,
                 uint64_t *row)
{
    uint8_t columns[FEC_COLUMNS_SIZE];

    assert(version == FEC_V1 || version == FEC_V2);
    if (fragment_count == 0 || coded_index == 0 || fragment_count > FEC_NUMBER_MAX ||
        coded_index > FEC_NUMBER_MAX - fragment_count)
        return ERR_RANGE;
    fec_row_with(fec_draw_portable, fec_pack_portable, version, coded_index, fragment_count,
                 columns, row);
    return ERR_OK;
}
