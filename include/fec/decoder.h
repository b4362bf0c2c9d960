/*
 * decoder.h - rebuilds an image from uncoded and coded fragments; for checks and statistics, not for devices.
 *
 * Pure: no I/O, no clock, no allocation. Full Gaussian elimination over GF(2): takes fragments in any order, any subset.
 */
#ifndef FEC_DECODER_H
#define FEC_DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "fec/rows.h"

struct fec_decoder;

/* Octets of memory a decoder for `fragment_count` fragments of `fragment_size` octets needs (fragment_size 0: ranks
 * only, no data). */
size_t fec_decoder_size(unsigned fragment_count, unsigned fragment_size);

/*
 * Makes a decoder inside `memory` (fec_decoder_size() octets, aligned for uint64_t), which stays the caller's.
 *
 * ERR_RANGE  fragment_count is 0 or above FEC_NUMBER_MAX, or fragment_size is above 255
 */
MUST_CHECK enum err fec_decoder_init(void *memory, enum fec_version version, unsigned fragment_count,
                                     unsigned fragment_size, struct fec_decoder **ret_decoder);

/*
 * Takes fragment `number` with its fragment_size octets of `data` (NULL when fragment_size is 0). What brings nothing
 * new is ignored. `*ret_is_new` (may be NULL) says whether the rank grew.
 *
 * ERR_RANGE  `number` is 0 or above FEC_NUMBER_MAX
 */
MUST_CHECK enum err fec_decoder_take(struct fec_decoder *decoder, unsigned number, const uint8_t *data,
                                     bool *ret_is_new);

unsigned fec_decoder_rank(const struct fec_decoder *decoder);
bool fec_decoder_is_complete(const struct fec_decoder *decoder);

/*
 * Writes the block, fragment_count × fragment_size octets (padding included), to `data`.
 *
 * ERR_WRONG_STATE  the block is not complete
 */
MUST_CHECK enum err fec_decoder_read(const struct fec_decoder *decoder, uint8_t *data);

#endif
