/*
 * choice.h - which coded fragments to send where the block is small.
 *
 * Pure: no I/O, no clock, no allocation.
 * A DataFragment carries its own number, and the device computes the row from it: numbers may be skipped. The rows of
 * TS004 are unequal, and in a small block a bad one costs (M = 50, a tenth lost: 3.2 rows beyond the lost on average;
 * chosen, 1.4).
 */
#ifndef FEC_CHOICE_H
#define FEC_CHOICE_H

#include <stdint.h>

#include "fec/rows.h"

#define FEC_CHOICE_ROWS      32  /* so many are chosen; behind them every row is sent */
#define FEC_CHOICE_COUNT_MIN 8   /* of uncoded fragments; below there is nothing to choose from */
#define FEC_CHOICE_COUNT_MAX 128 /* above it choosing gains nothing */
#define FEC_CHOICE_INDEX_MAX 512 /* no seed index that is chosen is larger */

/*
 * Writes the seed indices (n = N - M, ascending) of the coded fragments to send first to `ret_indices`, FEC_CHOICE_ROWS
 * of them. The same for the same arguments, for ever: running deployments depend on it.
 *
 * ERR_RANGE  `fragment_count` is not within FEC_CHOICE_COUNT_MIN .. FEC_CHOICE_COUNT_MAX
 */
MUST_CHECK enum err fec_choose_rows(enum fec_version version, unsigned fragment_count,
                                    uint16_t *ret_indices);

#endif
