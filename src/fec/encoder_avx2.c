#include "encoder_impl.h"

#ifdef __x86_64__

#include <immintrin.h>

#define TARGET __attribute__((target("avx2")))
typedef uint64_t vector __attribute__((vector_size(32)));
#include "encoder_tables.h"

/* From here on the 16-bit arithmetic below is exact, see remainders(). */
#define MODULUS_MIN 512

/*
 * The remainders, in 16-bit lanes and in some order, of sixteen states of 23 bits: eight in the low
 * bits of each of two vectors of 32-bit lanes.
 *
 * The quotient is estimated from the upper 16 bits h of a state alone: h × floor(2^(23 + shift) /
 * modulus), divided by 2^(16 + shift), with the largest shift that keeps the factor within 16 bits.
 * That is less than the true quotient by below 2^-shift <= 1/4 for the factor and below 128 /
 * modulus <= 1/4 for the lower bits, so its floor is short by 1 at most: the remainder is below 2 ×
 * modulus < 2^15, fits its lane, and needs one correction.
 */
static inline TARGET __m256i remainders(__m256i x0, __m256i x1, __m256i factor, __m128i shift,
                                        __m256i modulus)
{
    __m256i low = _mm256_blend_epi16(x0, _mm256_slli_epi32(x1, 16), 0xAA);
    __m256i high = _mm256_blend_epi16(_mm256_srli_epi32(x0, 7), _mm256_slli_epi32(x1, 9), 0xAA);
    __m256i quotient = _mm256_srl_epi16(_mm256_mulhi_epu16(high, factor), shift);
    __m256i remainder = _mm256_sub_epi16(low, _mm256_mullo_epi16(quotient, modulus));

    /* Below the modulus the difference wraps to a large number. */
    return _mm256_min_epu16(remainder, _mm256_sub_epi16(remainder, modulus));
}

/* The four octets of the window from `octet` on, in each lane shifted right by 1 to 8: states in
 * the low 23 bits. */
static inline TARGET __m256i states(uint64_t window, unsigned octet)
{
    const __m256i shifts = _mm256_setr_epi32(1, 2, 3, 4, 5, 6, 7, 8);

    return _mm256_srlv_epi32(_mm256_set1_epi32((int)(uint32_t)(window >> 8 * octet)), shifts);
}

/* Returns 1 if the column was not marked, otherwise 0. */
static inline unsigned mark_new(uint8_t *columns, unsigned column)
{
    unsigned is_new = columns[column] ^ 1u;

    columns[column] = 1;
    return is_new;
}

TARGET unsigned fec_draw_avx2(struct fec_draws *draws, unsigned block_count)
{
    if (draws->modulus < MODULUS_MIN)
        return fec_draw_portable(draws, block_count);

    unsigned shift = 1;

    while (UINT32_C(1) << (23 + (shift + 1) - 16) < draws->modulus)
        shift++; /* the modulus is never a power of two, so the factor stays below 2^16 */

    const __m128i shift_count = _mm_cvtsi32_si128((int)shift);
    const __m256i factor =
        _mm256_set1_epi16((short)((UINT64_C(1) << (23 + shift)) / draws->modulus));
    const __m256i modulus = _mm256_set1_epi16((short)draws->modulus);
    const __m256i count = _mm256_set1_epi16((short)draws->count);
    const bool is_distinct = draws->is_distinct;
    uint8_t *const columns = draws->columns;
    uint64_t window = draws->window;
    unsigned counted = 0;

    for (unsigned block = 0; block < block_count; block++) {
        _Alignas(32) uint16_t drawn[FEC_DRAWS_PER_BLOCK];
        __m256i first =
            remainders(states(window, 0), states(window, 1), factor, shift_count, modulus);
        __m256i second =
            remainders(states(window, 2), states(window, 3), factor, shift_count, modulus);

        _mm256_store_si256((__m256i *)(void *)drawn, first);
        _mm256_store_si256((__m256i *)(void *)(drawn + 16), second);
        window = fec_window_next(window);
        /* Four at a time: the compiler does not unroll here, and the loop would cost as much as the
         * marks. */
        if (is_distinct) {
            for (unsigned i = 0; i < FEC_DRAWS_PER_BLOCK; i += 4)
                counted += mark_new(columns, drawn[i]) + mark_new(columns, drawn[i + 1]) +
                           mark_new(columns, drawn[i + 2]) + mark_new(columns, drawn[i + 3]);
        } else {
            __m256i is_count = _mm256_packs_epi16(_mm256_cmpeq_epi16(first, count),
                                                  _mm256_cmpeq_epi16(second, count));

            for (unsigned i = 0; i < FEC_DRAWS_PER_BLOCK; i += 4) {
                columns[drawn[i]] = 1;
                columns[drawn[i + 1]] = 1;
                columns[drawn[i + 2]] = 1;
                columns[drawn[i + 3]] = 1;
            }
            counted += FEC_DRAWS_PER_BLOCK;
            for (unsigned mask = (unsigned)_mm256_movemask_epi8(is_count); mask != 0;
                 mask &= mask - 1)
                counted--;
        }
    }
    draws->window = window;
    return counted;
}

TARGET void fec_pack_avx2(const uint8_t *columns, size_t word_count, uint64_t *row)
{
    for (size_t w = 0; w < word_count; w++) {
        const __m256i *c = (const __m256i *)(const void *)(columns + 64 * w);
        /* The octets are 0 or 1; movemask wants bit 7. */
        unsigned low = (unsigned)_mm256_movemask_epi8(_mm256_slli_epi16(_mm256_loadu_si256(c), 7));
        unsigned high =
            (unsigned)_mm256_movemask_epi8(_mm256_slli_epi16(_mm256_loadu_si256(c + 1), 7));

        row[w] = low | (uint64_t)high << 32;
    }
}

const struct fec_operations *fec_avx2_operations(void)
{
    static const struct fec_operations operations = {
        .vector_size = sizeof(vector),
        .draw = fec_draw_avx2,
        .pack = fec_pack_avx2,
        .build = build,
        .apply = apply,
    };

    return __builtin_cpu_supports("avx2") ? &operations : NULL;
}

#else

const struct fec_operations *fec_avx2_operations(void)
{
    return NULL;
}

#endif
