/*
 * encoder_tables.h - the two loops over tables, for one length of vector.
 *
 * Included by each implementation after it has defined the type `vector` and TARGET, the attribute
 * of a function that may use it. Everything but the vector is the same, and GCC and clang need no
 * intrinsics for an XOR.
 */
static TARGET void build(uint8_t *table, unsigned fragment_count, size_t stride)
{
    const size_t size = stride / sizeof(vector); /* of an entry, in vectors */
    vector *entries = (vector *)(void *)table;

    for (unsigned b = 1; b < fragment_count; b++) {
        const size_t half = size << b;

        for (size_t offset = size; offset < half; offset += size)
            for (size_t i = 0; i < size; i++)
                entries[half + offset + i] = entries[offset + i] ^ entries[half + i];
    }
}

static TARGET void apply(const uint8_t *tables, const uint64_t *words, unsigned row_count,
                         size_t stride, uint8_t *sums)
{
    const size_t size = stride / sizeof(vector);
    const size_t table_size = FEC_TABLE_ENTRIES * size;
    const vector *t = (const vector *)(const void *)tables;
    vector *sum = (vector *)(void *)sums;

    for (unsigned row = 0; row < row_count; row++, sum += size) {
        const uint64_t word = words[row];
        const vector *t0 = t + 0 * table_size + (word >> 0 & 255) * size;
        const vector *t1 = t + 1 * table_size + (word >> 8 & 255) * size;
        const vector *t2 = t + 2 * table_size + (word >> 16 & 255) * size;
        const vector *t3 = t + 3 * table_size + (word >> 24 & 255) * size;
        const vector *t4 = t + 4 * table_size + (word >> 32 & 255) * size;
        const vector *t5 = t + 5 * table_size + (word >> 40 & 255) * size;
        const vector *t6 = t + 6 * table_size + (word >> 48 & 255) * size;
        const vector *t7 = t + 7 * table_size + (word >> 56 & 255) * size;

        for (size_t i = 0; i < size; i++)
            sum[i] ^= t0[i] ^ t1[i] ^ t2[i] ^ t3[i] ^ t4[i] ^ t5[i] ^ t6[i] ^ t7[i];
    }
}
