/*
 * fec_baseline.c - what fec_encode() is measured against: each row XORed together octet by octet.
 *
 * Built twice, with BASELINE as the name: at -O2 without vectorisation, and at -O3.
 */
#include "fec_baseline.h"

void BASELINE(const uint8_t *image, size_t fragment_size, const uint64_t *rows, size_t row_words,
              size_t row_count, uint8_t *data)
{
    for (size_t r = 0; r < row_count; r++) {
        uint8_t *sum = data + r * fragment_size;

        for (size_t i = 0; i < fragment_size; i++)
            sum[i] = 0;
        for (size_t column = 0; column < 64 * row_words; column++) {
            const uint8_t *fragment = image + column * fragment_size;

            if (rows[r * row_words + column / 64] >> column % 64 & 1)
                for (size_t i = 0; i < fragment_size; i++)
                    sum[i] ^= fragment[i];
        }
    }
}
