/* pg_results.c - what came back. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "pg_impl.h"

size_t pg_row_count(const struct pg_results *results, size_t statement)
{
    assert(statement < results->count);
    return (size_t)PQntuples(results->items[statement]);
}

bool pg_is_null(const struct pg_results *results, size_t statement, size_t row, size_t column)
{
    assert(statement < results->count);
    return PQgetisnull(results->items[statement], (int)row, (int)column) == 1;
}

const char *pg_text(const struct pg_results *results, size_t statement, size_t row, size_t column)
{
    assert(statement < results->count);
    return PQgetvalue(results->items[statement], (int)row, (int)column);
}

int64_t pg_number(const struct pg_results *results, size_t statement, size_t row, size_t column)
{
    return strtoll(pg_text(results, statement, row, column), NULL, 10);
}

size_t pg_affected(const struct pg_results *results, size_t statement)
{
    assert(statement < results->count);
    return strtoul(PQcmdTuples(results->items[statement]), NULL, 10);
}

uint8_t *pg_bytes(const struct pg_results *results, size_t statement, size_t row, size_t column,
                  size_t *ret_size)
{
    if (pg_is_null(results, statement, row, column)) {
        return NULL;
    }
    const char *text = pg_text(results, statement, row, column);
    size_t size = 0;
    unsigned char *octets = PQunescapeBytea((const unsigned char *)text, &size);

    pg_must(octets);
    uint8_t *copy = pg_must(malloc(size > 0 ? size : 1));
    memcpy(copy, octets, size);
    PQfreemem(octets);
    *ret_size = size;
    return copy;
}
