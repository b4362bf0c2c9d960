/*
 * encoder.h - coded fragments of an image.
 *
 * Pure: no I/O, no clock, no allocation. The portable code is the reference; faster versions for the machine at hand are
 * chosen at run time and give the same bytes.
 * Spec: TS004 annex. The last uncoded fragment is padded with zero octets, which the code covers.
 */
#ifndef FEC_ENCODER_H
#define FEC_ENCODER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "fec/rows.h"

#define FEC_FRAGMENT_SIZE_MAX 255 /* FragSize has 8 bits; what a data rate carries is region.h's matter */

/* What is encoded. The image is borrowed for every call that gets the block. */
struct fec_block {
    const uint8_t *image;
    size_t image_size;       /* 1 .. fragment_count × fragment_size */
    unsigned fragment_size;  /* octets, 1 .. FEC_FRAGMENT_SIZE_MAX */
    unsigned fragment_count; /* M, 1 .. FEC_NUMBER_MAX */
    enum fec_version version;
};

/*
 * Describes `image` cut into fragments of `fragment_size`.
 *
 * ERR_RANGE  the image is empty, fragment_size is 0 or above FEC_FRAGMENT_SIZE_MAX, or M would exceed FEC_NUMBER_MAX
 */
MUST_CHECK enum err fec_block_init(struct fec_block *block, enum fec_version version,
                                   const uint8_t *image, size_t image_size, unsigned fragment_size);

/* Octets of padding in the last fragment: 0 .. fragment_size - 1. */
unsigned fec_block_padding(const struct fec_block *block);

/*
 * Writes the data of fragment `number` (N, from 1; coded from M + 1 on) to `data`, fragment_size octets.
 *
 * ERR_RANGE  `number` is 0 or above FEC_NUMBER_MAX
 */
MUST_CHECK enum err fec_fragment(const struct fec_block *block, unsigned number, uint8_t *data);

/* Octets of scratch memory fec_encode() needs for `block`; suitably aligned for any type (64 octets) by the caller. */
size_t fec_encode_scratch_size(const struct fec_block *block);

/*
 * Writes the coded fragments first_number .. first_number + count - 1 (all above M) one after another to `data`
 * (count × fragment_size octets), much faster than one by one. `scratch` holds fec_encode_scratch_size(block) octets.
 *
 * ERR_RANGE  first_number is not above M, or the last number exceeds FEC_NUMBER_MAX
 */
MUST_CHECK enum err fec_encode(const struct fec_block *block, unsigned first_number, unsigned count,
                               uint8_t *data, void *scratch);

/* The implementations, for benchmarks and tests; the encoder chooses the best that the processor has. */
enum fec_implementation {
    FEC_BEST,     /* what the processor has */
    FEC_PORTABLE, /* plain C: the reference */
    FEC_AVX2,
    FEC_AVX512,
    FEC_NEON,
    FEC_IMPLEMENTATION_COUNT,
};
const char *fec_implementation_name(enum fec_implementation implementation);
/* Whether this build and this processor have it. */
int fec_implementation_is_available(enum fec_implementation implementation);
/* As fec_encode(), with a given implementation. ERR_UNKNOWN: not available here. */
MUST_CHECK enum err fec_encode_with(enum fec_implementation implementation,
                                    const struct fec_block *block, unsigned first_number,
                                    unsigned count, uint8_t *data, void *scratch);

#endif
