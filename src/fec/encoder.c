#include "fec/encoder.h"

#include <assert.h>
#include <string.h>

#include "encoder_impl.h"

/* Rows of one batch. Tables are built once per batch (a cost of about 300 rows), but the batch
 * should stay in the cache: more rows bring little. */
#define BATCH_ROWS_MAX 4096u

/* Fewer rows than this are cheaper one by one than with tables (measured for 100 to 1000 fragments
 * of 200 octets). */
#define TABLE_ROWS_MIN 96u

/* Fragments that are added in one pass over a sum. */
#define SUM_COUNT 8u

enum err fec_block_init(struct fec_block *block, enum fec_version version, const uint8_t *image,
                        size_t image_size, unsigned fragment_size)
{
    assert(version == FEC_V1 || version == FEC_V2);
    if (image_size == 0 || fragment_size == 0 || fragment_size > FEC_FRAGMENT_SIZE_MAX ||
        image_size > (size_t)FEC_NUMBER_MAX * fragment_size)
        return ERR_RANGE;
    *block = (struct fec_block){
        .image = image,
        .image_size = image_size,
        .fragment_size = fragment_size,
        .fragment_count = (unsigned)((image_size + fragment_size - 1) / fragment_size),
        .version = version,
    };
    return ERR_OK;
}

unsigned fec_block_padding(const struct fec_block *block)
{
    return (unsigned)((size_t)block->fragment_count * block->fragment_size - block->image_size);
}

/* Octets of column `column` that the image holds; the rest of the fragment is padding. */
static size_t column_size(const struct fec_block *block, unsigned column)
{
    size_t offset = (size_t)column * block->fragment_size;
    size_t left = block->image_size - offset;

    return left < block->fragment_size ? left : block->fragment_size;
}

static const uint8_t *column_data(const struct fec_block *block, unsigned column)
{
    return block->image + (size_t)column * block->fragment_size;
}

static void copy_padded(const struct fec_block *block, unsigned column, uint8_t *data, size_t size)
{
    const size_t used = column_size(block, column);

    memcpy(data, column_data(block, column), used);
    memset(data + used, 0, size - used);
}

static void add_columns(uint8_t *restrict sum, const uint8_t *const added[SUM_COUNT], size_t size)
{
    size_t i = 0;

    for (; i + sizeof(uint64_t) <= size; i += sizeof(uint64_t)) {
        uint64_t words[SUM_COUNT], word;

        for (unsigned k = 0; k < SUM_COUNT; k++)
            memcpy(&words[k], added[k] + i, sizeof(uint64_t));
        memcpy(&word, sum + i, sizeof(uint64_t));
        for (unsigned k = 0; k < SUM_COUNT; k++)
            word ^= words[k];
        memcpy(sum + i, &word, sizeof(uint64_t));
    }
    for (; i < size; i++)
        for (unsigned k = 0; k < SUM_COUNT; k++)
            sum[i] = (uint8_t)(sum[i] ^ added[k][i]);
}

/* The XOR of the columns in `row`. */
static void add_row(const struct fec_block *block, const uint64_t *row, uint8_t *data)
{
    const unsigned last = block->fragment_count - 1;
    const uint8_t *added[SUM_COUNT];
    unsigned added_count = 0;

    memset(data, 0, block->fragment_size);
    for (size_t w = 0; w < fec_row_words(block->fragment_count); w++) {
        for (uint64_t word = row[w]; word != 0; word &= word - 1) {
            unsigned column = (unsigned)(64 * w) + (unsigned)__builtin_ctzll(word);

            if (column == last) { /* it may be shorter than the others */
                fec_xor(data, column_data(block, last), column_size(block, last));
                continue;
            }
            added[added_count++] = column_data(block, column);
            if (added_count == SUM_COUNT) {
                add_columns(data, added, block->fragment_size);
                added_count = 0;
            }
        }
    }
    for (unsigned k = 0; k < added_count; k++)
        fec_xor(data, added[k], block->fragment_size);
}

enum err fec_fragment(const struct fec_block *block, unsigned number, uint8_t *data)
{
    uint64_t row[FEC_ROW_WORDS_MAX];
    enum err err;

    if (number == 0 || number > FEC_NUMBER_MAX)
        return ERR_RANGE;
    if (number <= block->fragment_count) {
        copy_padded(block, number - 1, data, block->fragment_size);
        return ERR_OK;
    }
    err = fec_row(block->version, number - block->fragment_count, block->fragment_count, row);
    if (err == ERR_OK)
        add_row(block, row, data);
    return err;
}

/* How the scratch memory is divided: offsets from its start, each a multiple of FEC_ALIGNMENT. */
struct layout {
    unsigned batch_rows;
    size_t words_stride;
    size_t tables;
    size_t words; /* of all rows of a batch: word w of row r at [w × words_stride + r], so that a
                     pass reads in order */
    size_t row;
    size_t columns;
    size_t sums;
    size_t size;
};

static size_t round_up(size_t size, size_t unit)
{
    return (size + unit - 1) / unit * unit;
}

static size_t reserve(struct layout *layout, size_t size)
{
    size_t offset = layout->size;

    layout->size += round_up(size, FEC_ALIGNMENT);
    return offset;
}

static struct layout layout_of(const struct fec_block *block)
{
    const unsigned rows_max = FEC_NUMBER_MAX - block->fragment_count;
    const size_t stride_max = round_up(block->fragment_size, FEC_ALIGNMENT);
    const size_t word_count = fec_row_words(block->fragment_count);
    struct layout layout = {
        .batch_rows = rows_max < BATCH_ROWS_MAX ? rows_max : BATCH_ROWS_MAX,
    };

    /* A stride of a power of two would put the words of a row, which are written together, into one
     * set of the cache. */
    layout.words_stride = round_up(layout.batch_rows, 8) + 8;
    layout.tables = reserve(&layout, FEC_TABLE_COUNT * FEC_TABLE_ENTRIES * stride_max);
    layout.words = reserve(&layout, layout.words_stride * word_count * sizeof(uint64_t));
    layout.row = reserve(&layout, word_count * sizeof(uint64_t));
    layout.columns = reserve(&layout, 64 * word_count + 1);
    layout.sums = reserve(&layout, layout.batch_rows * stride_max);
    return layout;
}

size_t fec_encode_scratch_size(const struct fec_block *block)
{
    return layout_of(block).size;
}

static void draw_batch(const struct fec_operations *operations, const struct fec_block *block,
                       unsigned coded_index, unsigned row_count, const struct layout *layout,
                       uint8_t *scratch)
{
    const size_t word_count = fec_row_words(block->fragment_count);
    uint64_t *words = (uint64_t *)(void *)(scratch + layout->words);
    uint64_t *row = (uint64_t *)(void *)(scratch + layout->row);

    for (unsigned r = 0; r < row_count; r++) {
        fec_row_with(operations->draw, operations->pack, block->version, coded_index + r,
                     block->fragment_count, scratch + layout->columns, row);
        for (size_t w = 0; w < word_count; w++)
            words[w * layout->words_stride + r] = row[w];
    }
}

/* Makes the tables of the 64 columns from `column` on. Where the block ends earlier, tables have
 * fewer entries, down to the one of the empty set: rows have no bits there. */
static void build_tables(const struct fec_operations *operations, const struct fec_block *block,
                         unsigned column, size_t stride, uint8_t *table)
{
    for (unsigned t = 0; t < FEC_TABLE_COUNT; t++, table += FEC_TABLE_ENTRIES * stride) {
        unsigned count = 0;

        memset(table, 0, stride);
        for (; count < 8 && column < block->fragment_count; count++, column++)
            copy_padded(block, column, table + (stride << count), stride);
        operations->build(table, count, stride);
    }
}

static void encode_batch(const struct fec_operations *operations, const struct fec_block *block,
                         unsigned coded_index, unsigned row_count, const struct layout *layout,
                         uint8_t *scratch, uint8_t *data)
{
    const size_t stride = round_up(block->fragment_size, operations->vector_size);
    const uint64_t *words = (const uint64_t *)(const void *)(scratch + layout->words);
    uint8_t *sums = scratch + layout->sums;

    draw_batch(operations, block, coded_index, row_count, layout, scratch);
    memset(sums, 0, row_count * stride);
    for (size_t w = 0; w < fec_row_words(block->fragment_count); w++) {
        build_tables(operations, block, (unsigned)(64 * w), stride, scratch + layout->tables);
        operations->apply(scratch + layout->tables, words + w * layout->words_stride, row_count,
                          stride, sums);
    }
    for (unsigned r = 0; r < row_count; r++)
        memcpy(data + (size_t)r * block->fragment_size, sums + r * stride, block->fragment_size);
}

static const struct fec_operations *operations_of(enum fec_implementation implementation)
{
    const struct fec_operations *operations;

    switch (implementation) {
    case FEC_BEST:
        if ((operations = fec_avx512_operations()) != NULL ||
            (operations = fec_avx2_operations()) != NULL ||
            (operations = fec_neon_operations()) != NULL)
            return operations;
        return fec_portable_operations();
    case FEC_PORTABLE:
        return fec_portable_operations();
    case FEC_AVX2:
        return fec_avx2_operations();
    case FEC_AVX512:
        return fec_avx512_operations();
    case FEC_NEON:
        return fec_neon_operations();
    case FEC_IMPLEMENTATION_COUNT:
        break;
    }
    return NULL;
}

const char *fec_implementation_name(enum fec_implementation implementation)
{
    static const char *const names[FEC_IMPLEMENTATION_COUNT] = {
        [FEC_BEST] = "best",     [FEC_PORTABLE] = "portable", [FEC_AVX2] = "avx2",
        [FEC_AVX512] = "avx512", [FEC_NEON] = "neon",
    };

    return implementation < FEC_IMPLEMENTATION_COUNT ? names[implementation] : "unknown";
}

int fec_implementation_is_available(enum fec_implementation implementation)
{
    return operations_of(implementation) != NULL;
}

enum err fec_encode_with(enum fec_implementation implementation, const struct fec_block *block,
                         unsigned first_number, unsigned count, uint8_t *data, void *scratch)
{
    const struct fec_operations *operations = operations_of(implementation);
    const struct layout layout = layout_of(block);
    enum err err = ERR_OK;

    if (operations == NULL)
        return ERR_UNKNOWN;
    if (first_number <= block->fragment_count || first_number > FEC_NUMBER_MAX ||
        count > FEC_NUMBER_MAX - first_number + 1)
        return ERR_RANGE;
    if (count < TABLE_ROWS_MIN) {
        for (unsigned i = 0; i < count && err == ERR_OK; i++)
            err = fec_fragment(block, first_number + i, data + (size_t)i * block->fragment_size);
        return err;
    }
    for (unsigned done = 0; done < count;) {
        unsigned row_count = count - done < layout.batch_rows ? count - done : layout.batch_rows;

        encode_batch(operations, block, first_number - block->fragment_count + done, row_count,
                     &layout, scratch, data + (size_t)done * block->fragment_size);
        done += row_count;
    }
    return ERR_OK;
}

enum err fec_encode(const struct fec_block *block, unsigned first_number, unsigned count,
                    uint8_t *data, void *scratch)
{
    return fec_encode_with(FEC_BEST, block, first_number, count, data, scratch);
}
