#include "store/pg_array.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Dimensions, whether NULLs may come, type of the elements, then count and first index of the one
 * dimension. */
#define HEADER_SIZE   20
#define NULL_SIZE     UINT32_MAX /* an element without octets */
#define FIRST_SIZE    256
#define COUNT_OFFSET  12
#define NUMBER_OCTETS 8

static void put_be(uint8_t *to, uint64_t number, size_t size)
{
    while (size-- > 0) {
        to[size] = (uint8_t)number;
        number >>= 8;
    }
}

/* Room for `size` more octets; returns where they go. */
static uint8_t *grow(struct pg_array *array, size_t size)
{
    if (array->size + size > array->capacity) {
        array->capacity = 2 * (array->size + size) + FIRST_SIZE;
        array->octets = realloc(array->octets, array->capacity);
        if (array->octets == NULL) {
            abort(); /* out of memory: a restart from the store is a tested path */
        }
    }
    uint8_t *at = array->octets + array->size;
    array->size += size;
    return at;
}

static void put_header(struct pg_array *array)
{
    uint8_t *header = grow(array, HEADER_SIZE);

    put_be(header, 1, 4);
    put_be(header + 4, 1, 4);
    put_be(header + 8, array->type, 4);
    put_be(header + COUNT_OFFSET, 0, 4);
    put_be(header + 16, 1, 4);
}

/* Returns where the element's octets go. */
static uint8_t *put_element(struct pg_array *array, uint32_t size)
{
    uint8_t *at = grow(array, 4 + (size == NULL_SIZE ? 0 : size));

    put_be(at, size, 4);
    put_be(array->octets + COUNT_OFFSET, ++array->count, 4);
    return at + 4;
}

void pg_array_init(struct pg_array *array, enum pg_type type)
{
    *array = (struct pg_array){.type = type};
    put_header(array);
}

void pg_array_release(struct pg_array *array)
{
    free(array->octets);
    *array = (struct pg_array){.type = array->type};
}

void pg_array_put_number(struct pg_array *array, int64_t number)
{
    uint32_t size = array->type == PG_TYPE_BOOLEAN ? 1 : array->type == PG_TYPE_INTEGER ? 4 : 8;

    assert(size != 4 || (number >= INT32_MIN && number <= INT32_MAX));
    put_be(put_element(array, size), (uint64_t)number, size);
}

void pg_array_put_double(struct pg_array *array, double number)
{
    uint64_t bits;

    assert(array->type == PG_TYPE_DOUBLE);
    memcpy(&bits, &number, sizeof(bits));
    put_be(put_element(array, NUMBER_OCTETS), bits, NUMBER_OCTETS);
}

void pg_array_put_text(struct pg_array *array, const char *text)
{
    assert(array->type == PG_TYPE_TEXT);
    if (text == NULL) {
        put_element(array, NULL_SIZE);
        return;
    }
    size_t size = strlen(text);
    memcpy(put_element(array, (uint32_t)size), text, size);
}

void pg_array_put_uuid(struct pg_array *array, const uint8_t octets[16])
{
    assert(array->type == PG_TYPE_UUID);
    memcpy(put_element(array, 16), octets, 16);
}
