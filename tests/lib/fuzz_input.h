/* fuzz_input.h - a fuzzer's input as a row of numbers. What is behind its end reads as zero. */
#ifndef LIB_FUZZ_INPUT_H
#define LIB_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>

struct fuzz_input {
    const uint8_t *data;
    size_t size;
};

static inline uint8_t fuzz_u8(struct fuzz_input *in)
{
    if (in->size == 0) {
        return 0;
    }
    in->size--;
    return *in->data++;
}

static inline uint16_t fuzz_u16(struct fuzz_input *in)
{
    uint16_t high = fuzz_u8(in);

    return (uint16_t)(high << 8 | fuzz_u8(in));
}

static inline uint32_t fuzz_u32(struct fuzz_input *in)
{
    uint32_t high = fuzz_u16(in);

    return high << 16 | fuzz_u16(in);
}

/* The next `size` octets, or what is left of them; `*ret_size` says how many. */
static inline const uint8_t *fuzz_octets(struct fuzz_input *in, size_t size, size_t *ret_size)
{
    const uint8_t *octets = in->data;

    *ret_size = size < in->size ? size : in->size;
    in->data += *ret_size;
    in->size -= *ret_size;
    return octets;
}

#endif
