/*
 * record.h - structs as rows: one table of fields names columns, kinds and offsets, and serves
 * saving, loading and JSON.
 */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "store/pg_array.h"

enum field_kind {
    FIELD_BOOL,
    FIELD_U8,
    FIELD_I8,
    FIELD_U16,
    FIELD_U32,
    FIELD_I64,
    FIELD_DOUBLE,
    FIELD_ENUM, /* an enum, stored as its number */
    FIELD_UUID,
    FIELD_EUI,        /* uint64_t, 16 digits */
    FIELD_STATE,      /* enum transmission_state by name */
    FIELD_STAGE,      /* uint8_t, enum device_stage by name */
    FIELD_REASON,     /* uint8_t, enum reason by name */
    FIELD_REGION,     /* enum region by name */
    FIELD_DESCRIPTOR, /* uint8_t[4], 8 digits */
    FIELD_GATEWAYS,   /* struct gateway[DEPLOYMENT_GATEWAYS_MAX]; a star marks those on the group */
    FIELD_EUI_LIST,   /* uint64_t[DEPLOYMENT_GATEWAYS_MAX], up to the first 0 */
};

struct field {
    const char *column;
    enum field_kind kind;
    size_t offset;
};

/* Holds the text of any field. */
#define FIELD_TEXT_SIZE 320

/* Writes the field of `record` as text. */
void field_format(const struct field *field, const void *record, char text[FIELD_TEXT_SIZE]);
/* Reads it back. ERR_FORMAT: no text that field_format() writes, or out of the field's width. */
MUST_CHECK enum err field_parse(const struct field *field, const char *text, void *record);
/* The SQL type of the field's column. */
const char *field_sql_type(const struct field *field);
enum pg_type field_pg_type(const struct field *field);
/* Puts it into an array of that type. */
void field_put(const struct field *field, const void *record, struct pg_array *array);

extern const struct field device_fields[];
extern const size_t device_field_count;
extern const struct field transmission_fields[];
extern const size_t transmission_field_count;
extern const struct field params_fields[];
extern const size_t params_field_count;

#endif
