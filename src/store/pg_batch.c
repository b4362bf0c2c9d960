/* pg_batch.c - statements that are sent together. */
#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "pg_impl.h"

void *pg_must(void *memory)
{
    if (memory == NULL) {
        abort(); /* out of memory: the supervisor starts us again, the store knows where we were */
    }
    return memory;
}

struct pg_batch *pg_batch_new(void)
{
    return pg_must(calloc(1, sizeof(struct pg_batch)));
}

void pg_batch_free(struct pg_batch *batch)
{
    if (batch == NULL) {
        return;
    }
    for (size_t i = 0; i < batch->count; i++) {
        for (size_t p = 0; p < batch->statements[i].param_count; p++) {
            free(batch->statements[i].params[p]);
        }
        free(batch->statements[i].sql);
    }
    free(batch->statements);
    free(batch);
}

bool pg_batch_is_empty(const struct pg_batch *batch)
{
    return batch->count == 0;
}

void pg_add(struct pg_batch *batch, const char *sql, size_t param_count, const char *const *params)
{
    assert(param_count <= PG_PARAMS_MAX);
    if (batch->count == batch->capacity) {
        batch->capacity = batch->capacity == 0 ? 4 : 2 * batch->capacity;
        batch->statements =
            pg_must(realloc(batch->statements, batch->capacity * sizeof(*batch->statements)));
    }
    struct statement *s = &batch->statements[batch->count++];
    *s = (struct statement){.sql = pg_must(strdup(sql)), .param_count = param_count};
    for (size_t p = 0; p < param_count; p++) {
        s->params[p] = params[p] == NULL ? NULL : pg_must(strdup(params[p]));
    }
}

void pg_add_arrays(struct pg_batch *batch, const char *sql, size_t param_count,
                   struct pg_array *arrays)
{
    pg_add(batch, sql, 0, NULL);
    struct statement *s = &batch->statements[batch->count - 1];

    assert(param_count <= PG_PARAMS_MAX);
    s->param_count = param_count;
    for (size_t p = 0; p < param_count; p++) {
        assert(arrays[p].size <= INT_MAX);
        s->params[p] = (char *)arrays[p].octets;
        s->sizes[p] = (int)arrays[p].size;
        s->formats[p] = 1;
        arrays[p].octets = NULL;
        pg_array_release(&arrays[p]);
    }
}
