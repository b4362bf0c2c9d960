/*
 * store_impl.h - what the files of this folder share. Not for others.
 */
#ifndef STORE_IMPL_H
#define STORE_IMPL_H

#include <stdio.h>

#include "store/pg.h"
#include "store/store.h"

struct store {
    struct pg *writer;
    struct pg *reader;
    void (*on_state)(void *arg, const char *text);
    void *state_arg;
    void (*on_closed)(void *arg);
    void *closed_arg;
    unsigned open_count; /* connections not closed yet */
};

/* A text that grows; out of memory ends the program. */
struct text {
    char *chars;
    size_t size;
    FILE *stream;
};
FILE *text_begin(struct text *text);
/* Ends the writing; the caller frees the result. */
char *text_end(struct text *text);
/* Writes `value` as an element of a PostgreSQL array literal, quoted. */
void text_put_element(FILE *stream, const char *value, bool is_first);

void *store_must(void *memory);

/* Sends one statement to the reader or writer and hands its first field on as JSON; no row is
 * `no_row`. */
struct json_call;
void store_ask_json(struct pg *pg, const char *sql, size_t param_count, const char *const *params,
                    enum err no_row, store_json_fn *done, void *arg);
void store_do(struct pg *pg, struct pg_batch *batch, size_t decisive, enum err untouched,
              store_done_fn *done, void *arg);

#endif
