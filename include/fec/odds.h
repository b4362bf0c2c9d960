/*
 * odds.h - how likely a device has solved its block, by the number of coded fragments that were sent.
 *
 * Pure: no I/O, no clock, no allocation; the draws come from a generator with a fixed seed.
 */
#ifndef FEC_ODDS_H
#define FEC_ODDS_H

#include <stddef.h>
#include <stdint.h>

#include "fec/rows.h"

#define FEC_ODDS_LOSS_MAX 0.9

struct fec_odds {
    enum fec_version version;
    unsigned fragment_count; /* M, 1.. */
    double loss;             /* share of fragments that the device loses, 0 .. FEC_ODDS_LOSS_MAX */
    const uint16_t *indices; /* ascending seed indices of the first coded fragments; NULL: 1, 2, ... */
    unsigned index_count;    /* behind them every row is sent */
    unsigned coded_count;    /* M + the last index <= FEC_NUMBER_MAX */
};

/* Octets of scratch memory that fec_odds_done() needs. */
size_t fec_odds_size(unsigned fragment_count, unsigned coded_count);

/*
 * Writes the probability that the device holds the block after all uncoded and n coded fragments to ret_done[n], for
 * n = 0 .. coded_count. Where few rows decide (small blocks, small losses) the very rows are tried on some ten thousand
 * devices; else the rows are taken for random ones, whose ranks are known exactly. Both are within half a point of what
 * devices do (tests/fec/odds_test.c).
 *
 * `scratch`: fec_odds_size() octets, aligned for double.
 *
 * ERR_RANGE  M is 0, the loss is out of its range, or a number would exceed FEC_NUMBER_MAX
 */
MUST_CHECK enum err fec_odds_done(const struct fec_odds *odds, void *scratch, double *ret_done);

/* The seed index of the coded fragment `ordinal` (1..): the n-th of `indices`, or behind them. */
unsigned fec_seed_index(const uint16_t *indices, unsigned index_count, unsigned ordinal);

#endif
