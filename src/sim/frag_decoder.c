#include "sim/frag_decoder.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BITMAP_SIZE(count) (((size_t)(count) + 7) / 8)
#define BITMAP_SIZE_MAX    BITMAP_SIZE(FRAG_DECODER_COUNT_MAX)

static bool bit_is_set(const uint8_t *bits, size_t index)
{
    assert(bits != NULL);
    return (bits[index / 8] >> (index % 8) & 1) != 0;
}

static void bit_set(uint8_t *bits, size_t index)
{
    bits[index / 8] = (uint8_t)(bits[index / 8] | 1u << (index % 8));
}

static void xor_octets(uint8_t *to, const uint8_t *from, size_t size)
{
    size_t i = 0;

    for (; i + 8 <= size; i += 8) {
        uint64_t a;
        uint64_t b;
        memcpy(&a, to + i, 8);
        memcpy(&b, from + i, 8);
        a ^= b;
        memcpy(to + i, &a, 8);
    }
    for (; i < size; i++) {
        to[i] ^= from[i];
    }
}

/* The addition is arithmetic: seeds of more than 23 bits carry into bit 23. */
static uint32_t prbs23(uint32_t x)
{
    return (x >> 1) + (((x ^ x >> 5) & 1) << 22);
}

void frag_decoder_row(uint32_t index, uint16_t count, uint8_t version, uint8_t *ret_bits)
{
    bool is_power_of_two = (count & (count - 1)) == 0;
    uint32_t modulus = is_power_of_two ? count + 1u : count;
    uint32_t x = 1 + 1001 * index;
    uint32_t drawn = 0;

    memset(ret_bits, 0, BITMAP_SIZE(count));
    while (drawn < count / 2u) {
        uint32_t column;
        do {
            x = prbs23(x);
            column = x % modulus;
        } while (column >= count);
        if (version == 1 || !bit_is_set(ret_bits, column)) {
            drawn++; /* version 1 counts repeated draws too */
        }
        bit_set(ret_bits, column);
    }
}

static uint8_t *fragment_at(const struct frag_decoder *decoder, size_t column)
{
    return decoder->image + column * decoder->config.fragment_size;
}

static uint16_t lost_max(const struct frag_decoder *decoder)
{
    uint16_t count = decoder->config.fragment_count;
    uint16_t max = decoder->config.lost_max;

    return max == 0 || max > count ? count : max;
}

static void release_rows(struct frag_decoder *decoder)
{
    if (decoder->rows != NULL) {
        for (size_t i = 0; i < decoder->lost_count; i++) {
            free(decoder->rows[i]);
        }
        free(decoder->rows);
        decoder->rows = NULL;
    }
}

void frag_decoder_release(struct frag_decoder *decoder)
{
    release_rows(decoder);
    free(decoder->image);
    free(decoder->known);
    free(decoder->lost);
    *decoder = (struct frag_decoder){.phase = FRAG_DECODER_EMPTY};
}

enum err frag_decoder_setup(struct frag_decoder *decoder, const struct frag_decoder_config *config)
{
    if (config->fragment_count == 0 || config->fragment_count > FRAG_DECODER_COUNT_MAX ||
        config->fragment_size == 0) {
        return ERR_RANGE;
    }
    frag_decoder_release(decoder);
    decoder->config = *config;
    decoder->image = calloc(config->fragment_count, config->fragment_size);
    decoder->known = calloc(BITMAP_SIZE(config->fragment_count), 1);
    decoder->lost = calloc(lost_max(decoder), sizeof(*decoder->lost));
    if (decoder->image == NULL || decoder->known == NULL || decoder->lost == NULL) {
        frag_decoder_release(decoder);
        return ERR_NO_MEMORY;
    }
    decoder->phase = FRAG_DECODER_UNCODED;
    return ERR_OK;
}

/* Notes column `column` as lost; false when there is no room. */
static bool note_lost(struct frag_decoder *decoder, uint16_t column)
{
    decoder->lost_count++;
    if (decoder->lost_count > lost_max(decoder)) {
        decoder->phase = FRAG_DECODER_FAILED;
        decoder->lost_count--; /* the table holds no more */
        return false;
    }
    decoder->lost[decoder->lost_count - 1] = column;
    return true;
}

static void take_uncoded(struct frag_decoder *decoder, uint16_t number, const uint8_t *data)
{
    bool is_next = number > decoder->last_uncoded;

    if (!decoder->config.takes_any_order) {
        if (!is_next) {
            if (number == decoder->last_uncoded) {
                decoder->last_accepted = number;
            }
            return; /* late ones are dropped, even the missing ones */
        }
        for (uint16_t n = (uint16_t)(decoder->last_uncoded + 1); n < number; n++) {
            if (!note_lost(decoder, (uint16_t)(n - 1))) {
                return;
            }
        }
    }
    if (is_next) {
        decoder->last_uncoded = number;
    }
    decoder->last_accepted = number;
    if (!bit_is_set(decoder->known, number - 1u)) {
        bit_set(decoder->known, number - 1u);
        memcpy(fragment_at(decoder, number - 1u), data, decoder->config.fragment_size);
        decoder->uncoded_count++;
    }
    if (decoder->uncoded_count == decoder->config.fragment_count) {
        decoder->phase = FRAG_DECODER_COMPLETE;
    }
}

/* The first coded fragment closes the list of lost ones. */
static void close_uncoded(struct frag_decoder *decoder)
{
    uint16_t first = decoder->config.takes_any_order ? 1 : (uint16_t)(decoder->last_uncoded + 1);

    for (uint16_t n = first; n <= decoder->config.fragment_count; n++) {
        if (!bit_is_set(decoder->known, n - 1u) && !note_lost(decoder, (uint16_t)(n - 1))) {
            return;
        }
    }
    decoder->rows = calloc(decoder->lost_count, sizeof(*decoder->rows));
    decoder->phase = decoder->rows == NULL ? FRAG_DECODER_FAILED : FRAG_DECODER_CODED;
}

static void substitute_back(struct frag_decoder *decoder)
{
    uint8_t size = decoder->config.fragment_size;

    for (size_t i = decoder->lost_count; i-- > 0;) {
        for (size_t j = i + 1; j < decoder->lost_count; j++) {
            if (bit_is_set(decoder->rows[i], j - i / 8 * 8)) {
                xor_octets(fragment_at(decoder, decoder->lost[i]),
                           fragment_at(decoder, decoder->lost[j]), size);
            }
        }
    }
    release_rows(decoder);
    decoder->phase = FRAG_DECODER_COMPLETE;
}

/* A row's storage begins with the octet of its diagonal, so that `rows[i]` bit b is unknown i / 8 *
 * 8 + b. */
static void take_coded(struct frag_decoder *decoder, uint16_t number, const uint8_t *data)
{
    uint16_t count = decoder->config.fragment_count;
    uint8_t size = decoder->config.fragment_size;
    size_t unknown_size = BITMAP_SIZE(decoder->lost_count);
    uint8_t columns[BITMAP_SIZE_MAX];
    uint8_t unknowns[BITMAP_SIZE_MAX] = {0};
    uint8_t sum[UINT8_MAX];

    decoder->last_accepted = number;
    frag_decoder_row((uint32_t)number - count, count, decoder->config.version, columns);
    memcpy(sum, data, size);
    for (size_t octet = 0; octet < BITMAP_SIZE(count); octet++) {
        for (uint32_t bits = columns[octet] & decoder->known[octet]; bits != 0; bits &= bits - 1) {
            xor_octets(sum, fragment_at(decoder, octet * 8 + (size_t)__builtin_ctz(bits)), size);
        }
    }
    for (size_t i = 0; i < decoder->lost_count; i++) {
        if (bit_is_set(columns, decoder->lost[i])) {
            bit_set(unknowns, i);
        }
    }
    for (size_t i = 0; i < decoder->lost_count; i++) {
        if (!bit_is_set(unknowns, i)) {
            continue;
        }
        size_t from = i / 8;
        if (decoder->rows[i] != NULL) {
            xor_octets(unknowns + from, decoder->rows[i], unknown_size - from);
            xor_octets(sum, fragment_at(decoder, decoder->lost[i]), size);
            continue;
        }
        decoder->rows[i] = malloc(unknown_size - from);
        if (decoder->rows[i] == NULL) {
            return; /* as if the frame had been lost */
        }
        memcpy(decoder->rows[i], unknowns + from, unknown_size - from);
        memcpy(fragment_at(decoder, decoder->lost[i]), sum, size);
        decoder->row_count++;
        break;
    }
    if (decoder->row_count == decoder->lost_count) {
        substitute_back(decoder);
    }
}

enum frag_decoder_phase frag_decoder_take(struct frag_decoder *decoder, uint16_t number,
                                          const uint8_t *data)
{
    if (decoder->phase == FRAG_DECODER_FAILED && number > decoder->last_uncoded &&
        number <= decoder->config.fragment_count) {
        decoder->last_uncoded = number;
        decoder->overflow_count++;
    }
    if (decoder->phase != FRAG_DECODER_UNCODED && decoder->phase != FRAG_DECODER_CODED) {
        return decoder->phase; /* the counters freeze */
    }
    if (number == 0 || number > FRAG_DECODER_COUNT_MAX) {
        return decoder->phase;
    }
    decoder->last_seen = number;
    decoder->received_count++;
    if (number <= decoder->config.fragment_count) {
        if (decoder->phase == FRAG_DECODER_UNCODED) {
            take_uncoded(decoder, number, data);
        }
        return decoder->phase;
    }
    if (decoder->phase == FRAG_DECODER_UNCODED) {
        close_uncoded(decoder);
    }
    if (decoder->phase == FRAG_DECODER_CODED) {
        take_coded(decoder, number, data);
    }
    return decoder->phase;
}

uint8_t *frag_decoder_take_image(struct frag_decoder *decoder)
{
    uint8_t *image = NULL;

    if (decoder->phase == FRAG_DECODER_COMPLETE) {
        image = decoder->image;
        decoder->image = NULL;
    }
    return image;
}
