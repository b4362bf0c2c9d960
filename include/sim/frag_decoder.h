/*
 * frag_decoder.h - the erasure decoder of a virtual device, built like those of real stacks.
 *
 * No I/O, no clock. The uncoded fragments come first, ascending (or in any order for stacks that
 * allow it); the first coded one closes the list of the L lost ones; from then on coded fragments
 * fill an upper triangular matrix over the L unknowns, and with L independent rows back
 * substitution ends it. Written from the annex of LoRaWAN TS004-1.0.0 and -2.0.0; shares nothing
 * with the encoder it is to test.
 */
#ifndef SIM_FRAG_DECODER_H
#define SIM_FRAG_DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define FRAG_DECODER_COUNT_MAX 16383

enum frag_decoder_phase {
    FRAG_DECODER_EMPTY, /* never set up */
    FRAG_DECODER_UNCODED,
    FRAG_DECODER_CODED,
    FRAG_DECODER_COMPLETE,
    FRAG_DECODER_FAILED, /* more lost than it holds */
};

struct frag_decoder_config {
    uint16_t fragment_count; /* M, 1 .. FRAG_DECODER_COUNT_MAX */
    uint8_t fragment_size;   /* at least 1 */
    uint8_t version;         /* of the parity rows, 1 or 2 */
    uint16_t lost_max;       /* uncoded fragments it can do without; 0: all of them */
    bool takes_any_order;    /* of uncoded fragments */
};

struct frag_decoder {
    struct frag_decoder_config config;
    enum frag_decoder_phase phase;
    uint8_t *image; /* fragment_count × fragment_size octets, ours until taken */
    uint8_t *known; /* bitmap of the uncoded fragments received */
    uint16_t *lost; /* columns that are unknown, ascending */
    uint8_t **rows; /* one per lost column, NULL or the bits from its diagonal on */
    uint16_t lost_count;
    uint16_t uncoded_count; /* distinct uncoded fragments received */
    uint16_t row_count;     /* independent coded fragments held */
    uint16_t last_uncoded;  /* highest uncoded N accepted */
    uint16_t last_accepted; /* N of the last fragment that was not dropped */
    uint16_t last_seen;     /* N of the last fragment, dropped ones included */
    uint16_t
        overflow_count; /* uncoded fragments that came after it had failed; for the report only */
    uint32_t
        received_count; /* all fragments that reached it before the end, repeated ones included */
};

/*
 * Makes an empty decoder ready for a block, giving up what it held. Zeroed storage is an empty
 * decoder.
 *
 * ERR_RANGE      the configuration is outside its bounds
 * ERR_NO_MEMORY  the decoder is empty then
 */
MUST_CHECK enum err frag_decoder_setup(struct frag_decoder *decoder,
                                       const struct frag_decoder_config *config);

/* Frees what the decoder holds; it is empty afterwards. */
void frag_decoder_release(struct frag_decoder *decoder);

/* Takes fragment `number` (N); `data` holds fragment_size octets. Returns the phase reached. */
enum frag_decoder_phase frag_decoder_take(struct frag_decoder *decoder, uint16_t number,
                                          const uint8_t *data);

/* The image of a complete decoder, padding included; the caller frees it. NULL when taken already
 * or not complete. */
uint8_t *frag_decoder_take_image(struct frag_decoder *decoder);

/* Sets the bits of parity row `index` (n = 1, 2, ...) of M = `count` columns; column c is bit c % 8
 * of octet c / 8. */
void frag_decoder_row(uint32_t index, uint16_t count, uint8_t version, uint8_t *ret_bits);

#endif
