/*
 * encoder_impl.h - what the implementations of the encoder share; for src/fec only.
 *
 * Many rows are encoded by the Method of the Four Russians: for every eight fragments a table holds
 * the XOR of each of their 256 subsets, so that one octet of a row picks one sum instead of four
 * fragments on average. Eight tables are applied in one pass, one word of each row. An
 * implementation brings the four loops that take the time.
 */
#ifndef FEC_ENCODER_IMPL_H
#define FEC_ENCODER_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "fec/encoder.h"
#include "fec/rows.h"

#define FEC_COLUMNS_SIZE    (64 * FEC_ROW_WORDS_MAX + 1) /* octets, at most, of fec_draws.columns */
#define FEC_DRAWS_PER_BLOCK 32u
#define FEC_TABLE_COUNT     8u   /* applied in one pass: the octets of a word */
#define FEC_TABLE_ENTRIES   256u /* subsets of eight fragments */
#define FEC_ALIGNMENT       64u  /* of everything in the scratch memory; no vector is longer */

/* One row while it is drawn. */
struct fec_draws {
    uint64_t
        window; /* 64 bits of the generator's sequence, from the state before the next draw on */
    uint32_t modulus; /* M + 1 where M is a power of two, otherwise M: never a power of two */
    uint32_t count;   /* M; a draw of M itself does not count */
    bool is_distinct; /* v2: a repeated draw does not count */
    uint8_t *columns; /* M + 1 octets, not 0 where the column was drawn; in v2 [M] is set from the
                         start */
};

/* Takes block_count × FEC_DRAWS_PER_BLOCK draws; returns how many counted. */
typedef unsigned fec_draw_fn(struct fec_draws *draws, unsigned block_count);

/* Makes a row of `word_count` words out of one octet, 0 or 1, for each column. */
typedef void fec_pack_fn(const uint8_t *columns, size_t word_count, uint64_t *row);

/* Completes a table in which the caller has set entry 0 to zeros and entry 2^b to fragment b <
 * fragment_count. */
typedef void fec_build_fn(uint8_t *table, unsigned fragment_count, size_t stride);

/* XORs into each of the `row_count` sums what its word selects from the FEC_TABLE_COUNT tables. */
typedef void fec_apply_fn(const uint8_t *tables, const uint64_t *words, unsigned row_count,
                          size_t stride, uint8_t *sums);

struct fec_operations {
    size_t vector_size; /* a fragment takes a multiple of this in tables and sums: the stride */
    fec_draw_fn *draw;
    fec_pack_fn *pack;
    fec_build_fn *build;
    fec_apply_fn *apply;
};

/* NULL where this build or this processor does not have it. */
const struct fec_operations *fec_portable_operations(void);
const struct fec_operations *fec_avx2_operations(void);
const struct fec_operations *fec_avx512_operations(void);
const struct fec_operations *fec_neon_operations(void);

fec_draw_fn fec_draw_portable;
fec_pack_fn fec_pack_portable;
#ifdef __x86_64__
fec_draw_fn fec_draw_avx2;
fec_pack_fn fec_pack_avx2;
#endif

/* As fec_row(), for values in range, with given loops. `columns`: FEC_COLUMNS_SIZE octets to work
 * in. */
void fec_row_with(fec_draw_fn *draw, fec_pack_fn *pack, enum fec_version version,
                  unsigned coded_index, unsigned fragment_count, uint8_t *columns, uint64_t *row);

/* The window FEC_DRAWS_PER_BLOCK draws later. The sequence obeys s[k + 23] = s[k] + s[k + 5] in
 * GF(2), and so, squared, s[k + 46] = s[k] + s[k + 10]: 32 new bits follow from the 64 at hand. */
static inline uint64_t fec_window_next(uint64_t window)
{
    return window >> 32 | (window >> 18 ^ window >> 28) << 32;
}

static inline void fec_xor(uint8_t *restrict sum, const uint8_t *restrict added, size_t size)
{
    uint64_t a, b;
    size_t i = 0;

    for (; i + sizeof(a) <= size; i += sizeof(a)) {
        memcpy(&a, sum + i, sizeof(a));
        memcpy(&b, added + i, sizeof(b));
        a ^= b;
        memcpy(sum + i, &a, sizeof(a));
    }
    for (; i < size; i++)
        sum[i] = (uint8_t)(sum[i] ^ added[i]);
}

#endif
