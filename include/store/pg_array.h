/*
 * pg_array.h - an array as a parameter, in PostgreSQL's binary format.
 *
 * Many rows go into one statement as one array for each column: nothing is turned into text and
 * parsed again.
 */
#ifndef STORE_PG_ARRAY_H
#define STORE_PG_ARRAY_H

#include <stddef.h>
#include <stdint.h>

/* The numbers that PostgreSQL gives these types (pg_type.h), the same in every version. */
enum pg_type {
    PG_TYPE_BOOLEAN = 16,
    PG_TYPE_BIGINT = 20,
    PG_TYPE_INTEGER = 23,
    PG_TYPE_TEXT = 25,
    PG_TYPE_DOUBLE = 701,
    PG_TYPE_UUID = 2950,
};

struct pg_array {
    enum pg_type type;
    uint32_t count;
    uint8_t *octets; /* NULL while it is empty */
    size_t size, capacity;
};

void pg_array_init(struct pg_array *array, enum pg_type type);
void pg_array_release(struct pg_array *array);
/* Of a boolean, an integer (which `number` must fit) or a bigint. */
void pg_array_put_number(struct pg_array *array, int64_t number);
void pg_array_put_double(struct pg_array *array, double number);
/* NULL: SQL NULL. */
void pg_array_put_text(struct pg_array *array, const char *text);
void pg_array_put_uuid(struct pg_array *array, const uint8_t octets[16]);

#endif
