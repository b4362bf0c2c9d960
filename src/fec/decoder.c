#include "fec/decoder.h"

#include <assert.h>
#include <string.h>

#include "encoder_impl.h"

/* Each row held has a pivot, its lowest column, and each column is the pivot of at most one row: a
 * triangle. What comes in is reduced by the rows of its columns, from the lowest on, until a column
 * without a row is left, or nothing. */
enum pivot {
    PIVOT_NONE,
    PIVOT_UNIT, /* the fragment itself: its row need not be added, only its bit taken away */
    PIVOT_ROW,
};

/* The arrays follow in the same memory. */
struct fec_decoder {
    enum fec_version version;
    unsigned fragment_count;
    unsigned fragment_size;
    unsigned rank;
    size_t word_count;
    uint64_t *rows;  /* by pivot, word_count words each */
    uint64_t *row;   /* the one at work */
    uint8_t *pivots; /* enum pivot of each column */
    uint8_t *data;   /* by pivot, fragment_size octets each */
    uint8_t *sum;    /* the one at work */
};

size_t fec_decoder_size(unsigned fragment_count, unsigned fragment_size)
{
    const size_t rows = (size_t)fragment_count + 1; /* one at work */

    return sizeof(struct fec_decoder) + rows * fec_row_words(fragment_count) * sizeof(uint64_t) +
           fragment_count + rows * fragment_size;
}

enum err fec_decoder_init(void *memory, enum fec_version version, unsigned fragment_count,
                          unsigned fragment_size, struct fec_decoder **ret_decoder)
{
    struct fec_decoder *decoder = memory;

    assert(version == FEC_V1 || version == FEC_V2);
    if (fragment_count == 0 || fragment_count > FEC_NUMBER_MAX ||
        fragment_size > FEC_FRAGMENT_SIZE_MAX)
        return ERR_RANGE;
    *decoder = (struct fec_decoder){
        .version = version,
        .fragment_count = fragment_count,
        .fragment_size = fragment_size,
        .word_count = fec_row_words(fragment_count),
    };
    decoder->rows = (uint64_t *)(void *)(decoder + 1);
    decoder->row = decoder->rows + fragment_count * decoder->word_count;
    decoder->pivots = (uint8_t *)(decoder->row + decoder->word_count);
    decoder->data = decoder->pivots + fragment_count;
    decoder->sum = decoder->data + (size_t)fragment_count * fragment_size;
    memset(decoder->pivots, PIVOT_NONE, fragment_count);
    *ret_decoder = decoder;
    return ERR_OK;
}

static uint8_t *data_of(const struct fec_decoder *decoder, unsigned column)
{
    return decoder->data + (size_t)column * decoder->fragment_size;
}

static uint64_t *row_of(const struct fec_decoder *decoder, unsigned column)
{
    return decoder->rows + column * decoder->word_count;
}

/* Reduces the row at work; returns the column without a row that it starts with, or fragment_count
 * for nothing. */
static unsigned reduce(struct fec_decoder *decoder)
{
    for (size_t w = 0; w < decoder->word_count; w++) {
        while (decoder->row[w] != 0) {
            unsigned bit = (unsigned)__builtin_ctzll(decoder->row[w]);
            unsigned column = (unsigned)(64 * w) + bit;

            switch ((enum pivot)decoder->pivots[column]) {
            case PIVOT_NONE:
                return column;
            case PIVOT_UNIT:
                decoder->row[w] ^= UINT64_C(1) << bit;
                break;
            case PIVOT_ROW:
                for (size_t i = w; i < decoder->word_count; i++)
                    decoder->row[i] ^= row_of(decoder, column)[i];
                break;
            }
            fec_xor(decoder->sum, data_of(decoder, column), decoder->fragment_size);
        }
    }
    return decoder->fragment_count;
}

enum err fec_decoder_take(struct fec_decoder *decoder, unsigned number, const uint8_t *data,
                          bool *ret_is_new)
{
    const unsigned count = decoder->fragment_count;
    bool is_new = false;
    enum err err = ERR_OK;
    unsigned column;

    if (number == 0 || number > FEC_NUMBER_MAX)
        return ERR_RANGE;
    assert(data != NULL || decoder->fragment_size == 0);
    if (decoder->rank == count) /* nothing can be new; spares the row */
        goto out;
    if (number <= count) {
        memset(decoder->row, 0, decoder->word_count * sizeof(uint64_t));
        decoder->row[(number - 1) / 64] = UINT64_C(1) << (number - 1) % 64;
    } else {
        err = fec_row(decoder->version, number - count, count, decoder->row);
        if (err != ERR_OK)
            return err;
    }
    if (decoder->fragment_size != 0)
        memcpy(decoder->sum, data, decoder->fragment_size);
    column = reduce(decoder);
    if (column == count)
        goto out;
    is_new = true;
    decoder->pivots[column] = column + 1 == number ? PIVOT_UNIT : PIVOT_ROW;
    memcpy(row_of(decoder, column), decoder->row, decoder->word_count * sizeof(uint64_t));
    if (decoder->fragment_size != 0)
        memcpy(data_of(decoder, column), decoder->sum, decoder->fragment_size);
    decoder->rank++;
out:
    if (ret_is_new != NULL)
        *ret_is_new = is_new;
    return ERR_OK;
}

unsigned fec_decoder_rank(const struct fec_decoder *decoder)
{
    return decoder->rank;
}

bool fec_decoder_is_complete(const struct fec_decoder *decoder)
{
    return decoder->rank == decoder->fragment_count;
}

enum err fec_decoder_read(const struct fec_decoder *decoder, uint8_t *data)
{
    const size_t size = decoder->fragment_size;

    if (!fec_decoder_is_complete(decoder))
        return ERR_WRONG_STATE;
    if (size == 0)
        return ERR_OK;
    /* Back substitution: what a row holds beyond its pivot is known when the columns are taken from
     * the last on. */
    for (unsigned column = decoder->fragment_count; column-- > 0;) {
        const uint64_t *row = row_of(decoder, column);
        uint8_t *fragment = data + column * size;

        memcpy(fragment, data_of(decoder, column), size);
        for (size_t w = column / 64; w < decoder->word_count; w++) {
            for (uint64_t word = row[w]; word != 0; word &= word - 1) {
                size_t other = 64 * w + (unsigned)__builtin_ctzll(word);

                if (other != column)
                    fec_xor(fragment, data + other * size, size);
            }
        }
    }
    return ERR_OK;
}
