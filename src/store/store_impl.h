/*
 * store_impl.h - what the files of this folder share. Not for others.
 */
#ifndef STORE_IMPL_H
#define STORE_IMPL_H

#include <stdio.h>

#include "store/pg.h"
#include "store/slots.h"
#include "store/store.h"

struct store {
    struct pg *writer;
    struct pg *reader;
    struct pg *keeper; /* of leases and notifications */
    struct store_news news;
    void *news_arg;
    bool has_news;
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

/* Octets as a bytea literal; the caller frees it. */
char *bytea_text(const uint8_t *octets, size_t size);

void *store_must(void *memory);
/* turn.c: the batch fails with ERR_WRONG_STATE unless the slot has this epoch. */
void store_add_fence(struct pg_batch *batch, const struct store_fence *fence);
/* load.c: the wish was carried out. `detail`: NULL, or what was made of it. */
void store_add_request_done(struct pg_batch *batch, const struct uuid *request_id,
                            const char *detail);
/* The batch of a turn. */
struct pg_batch *store_turn_batch(struct store_turn *turn);

/* Sends one statement to the reader or writer and hands its first field on as JSON; no row is
 * `no_row`. */
struct json_call;
void store_ask_json(struct pg *pg, const char *sql, size_t param_count, const char *const *params,
                    enum err no_row, store_json_fn *done, void *arg);
/* Carries out a batch; no row touched by statement `decisive` is `untouched`. `done` may be NULL.
 */
void store_do(struct pg *pg, struct pg_batch *batch, size_t decisive, enum err untouched,
              store_done_fn *done, void *arg);
/* The same where it does not matter what was touched. */
void store_do_anyway(struct pg *pg, struct pg_batch *batch, store_done_fn *done, void *arg);
/* One statement, whose parameter is the time. */
void store_do_at(struct pg *pg, const char *sql, int64_t now_ms, store_done_fn *done, void *arg);
/* slots.c: listens again. */
void store_keeper_connected(struct store *store);

#endif
