/*
 * cursor.h - reading and writing little-endian fields within bounds.
 *
 * Pure. A cursor walks over the caller's bytes and remembers the first error: after it, reads give
 * zero and writes do nothing, so that a codec runs straight through and asks once at its end.
 * Multi-octet fields are little endian, as in every LoRaWAN application layer package.
 */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct reader {
    const uint8_t *data; /* borrowed */
    size_t size;
    size_t offset;  /* of the next octet; at most size */
    enum err error; /* ERR_OK or ERR_SHORT */
};

struct writer {
    uint8_t *data; /* borrowed */
    size_t size;
    size_t offset;  /* octets written */
    enum err error; /* ERR_OK or ERR_SPACE */
};

/* `data` may be NULL when `size` is 0. */
void reader_init(struct reader *r, const void *data, size_t size);
size_t reader_left(const struct reader *r);
uint8_t read_u8(struct reader *r);
uint16_t read_u16(struct reader *r);
uint32_t read_u24(struct reader *r);
uint32_t read_u32(struct reader *r);
uint64_t read_u64(struct reader *r);
/* Copies `size` octets to `out`; zeroes `out` when fewer are left (ERR_SHORT). */
void read_bytes(struct reader *r, void *out, size_t size);

void writer_init(struct writer *w, void *data, size_t size);
void write_u8(struct writer *w, uint8_t value);
void write_u16(struct writer *w, uint16_t value);
/* Writes the low 24 bits of `value`. */
void write_u24(struct writer *w, uint32_t value);
void write_u32(struct writer *w, uint32_t value);
void write_u64(struct writer *w, uint64_t value);
void write_bytes(struct writer *w, const void *bytes, size_t size);

#endif
