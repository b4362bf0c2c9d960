#include "base/cursor.h"

#include <string.h>

void reader_init(struct reader *r, const void *data, size_t size)
{
    *r = (struct reader){.data = data, .size = size};
}

size_t reader_left(const struct reader *r)
{
    return r->error == ERR_OK ? r->size - r->offset : 0;
}

/* The next `size` octets, or NULL and a sticky error. */
static const uint8_t *take(struct reader *r, size_t size)
{
    if (r->error != ERR_OK || r->size - r->offset < size) {
        r->error = ERR_SHORT;
        return NULL;
    }
    const uint8_t *octets = r->data + r->offset;
    r->offset += size;
    return octets;
}

static uint64_t read_le(struct reader *r, size_t size)
{
    const uint8_t *octets = take(r, size);
    uint64_t value = 0;

    if (octets != NULL) {
        for (size_t i = size; i-- > 0;) {
            value = value << 8 | octets[i];
        }
    }
    return value;
}

uint8_t read_u8(struct reader *r)
{
    return (uint8_t)read_le(r, 1);
}

uint16_t read_u16(struct reader *r)
{
    return (uint16_t)read_le(r, 2);
}

uint32_t read_u24(struct reader *r)
{
    return (uint32_t)read_le(r, 3);
}

uint32_t read_u32(struct reader *r)
{
    return (uint32_t)read_le(r, 4);
}

uint64_t read_u64(struct reader *r)
{
    return read_le(r, 8);
}

void read_bytes(struct reader *r, void *out, size_t size)
{
    const uint8_t *octets = take(r, size);

    if (octets != NULL) {
        memcpy(out, octets, size);
    } else {
        memset(out, 0, size);
    }
}

void writer_init(struct writer *w, void *data, size_t size)
{
    *w = (struct writer){.data = data, .size = size};
}

static uint8_t *room(struct writer *w, size_t size)
{
    if (w->error != ERR_OK || w->size - w->offset < size) {
        w->error = ERR_SPACE;
        return NULL;
    }
    uint8_t *octets = w->data + w->offset;
    w->offset += size;
    return octets;
}

static void write_le(struct writer *w, uint64_t value, size_t size)
{
    uint8_t *octets = room(w, size);

    if (octets != NULL) {
        for (size_t i = 0; i < size; i++) {
            octets[i] = (uint8_t)(value >> (8 * i));
        }
    }
}

void write_u8(struct writer *w, uint8_t value)
{
    write_le(w, value, 1);
}

void write_u16(struct writer *w, uint16_t value)
{
    write_le(w, value, 2);
}

void write_u24(struct writer *w, uint32_t value)
{
    write_le(w, value, 3);
}

void write_u32(struct writer *w, uint32_t value)
{
    write_le(w, value, 4);
}

void write_u64(struct writer *w, uint64_t value)
{
    write_le(w, value, 8);
}

void write_bytes(struct writer *w, const void *bytes, size_t size)
{
    uint8_t *octets = room(w, size);

    if (octets != NULL && size > 0) {
        memcpy(octets, bytes, size);
    }
}
