/*
 * rows.h - the parity rows of TS004 (FragAlgo 0): which uncoded fragments each coded fragment is the XOR of.
 *
 * Pure: no I/O, no clock, no allocation.
 * Spec: TS004-1.0.0 and TS004-2.0.0, annex. A row is a bitmap: column c (uncoded fragment N = c + 1) is bit c mod 64 of
 * word c / 64; bits from M on are 0.
 */
#ifndef FEC_ROWS_H
#define FEC_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define FEC_NUMBER_MAX    16383 /* largest fragment number: M + coded fragments */
#define FEC_ROW_WORDS_MAX 256   /* words of a row of FEC_NUMBER_MAX columns */

enum fec_version {
    FEC_V1 = 1,
    FEC_V2 = 2,
};

/* Words of a row of `fragment_count` columns. */
static inline size_t fec_row_words(unsigned fragment_count)
{
    return (fragment_count + 63u) / 64u;
}

/* One step of the 23-bit generator, as the specification writes it; seeds may exceed 23 bits. */
uint32_t fec_prbs23(uint32_t x);

/*
 * Writes the row of the coded fragment with seed index `coded_index` (n = N - M, from 1) for `fragment_count` (M)
 * uncoded fragments to `row`, fec_row_words(M) words. v1 counts repeated draws, v2 does not.
 *
 * ERR_RANGE  M is 0 or M + n exceeds FEC_NUMBER_MAX, or n is 0
 */
MUST_CHECK enum err fec_row(enum fec_version version, unsigned coded_index, unsigned fragment_count,
                            uint64_t *row);

/*
 * Whether M is one of the block counts for which the generator is defective: a multiple of 64 that is no power of two.
 * Pairs of fragments then share their coefficients for many rows, and a device that lost both is stuck.
 */
bool fec_count_is_bad(unsigned fragment_count);

#endif
