/*
 * pg.h - PostgreSQL on the loop: batches of statements, each batch one transaction.
 *
 * Wraps libpq in pipeline mode; no type of it shows here. A batch is a list of parameterised
 * statements that are sent together and end with one Sync, which makes them one transaction: if one
 * fails, none took effect. Batches are carried out in the order of pg_send(). When the connection
 * breaks, the batch under way fails with ERR_UNAVAILABLE and nobody knows whether it took effect;
 * batches behind it wait for the next connection, which is tried again and again.
 *
 * Each statement's text is parsed and planned once per connection: a program has few of them.
 */
#ifndef STORE_PG_H
#define STORE_PG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "store/pg_array.h"

struct uv_loop_s;
struct pg;
struct pg_batch;
struct pg_results;

#define PG_PARAMS_MAX 48

/* Called when the connection comes (`text` NULL) and goes (why; borrowed); also when the server has
 * not answered for 5 s or has refused a change for a reason of its own (disk full, read-only), and
 * when that is over. */
typedef void pg_state_fn(void *arg, const char *text);
/* Called for each notification of a channel that a batch's LISTEN asked for. */
typedef void pg_notify_fn(void *arg, const char *payload);
/* Called once for each batch. `results` is valid during the call, NULL unless err is ERR_OK.
 * ERR_UNAVAILABLE: connection lost; ERR_EXISTS: a unique constraint; ERR_WRONG_STATE: the slot of a
 * fence (migrations/0002_slots.sql) is not ours; ERR_REFUSED: any other error of the database,
 * `text` has its words. */
typedef void pg_done_fn(void *arg, enum err err, const char *text,
                        const struct pg_results *results);

/* `conninfo` as libpq takes it; copied. The first connection is made in the background. */
struct pg *pg_new(struct uv_loop_s *loop, const char *conninfo, pg_state_fn *on_state, void *arg);
/* `arg` of pg_new() goes to it, too. A connection that was lost must LISTEN again. */
void pg_on_notify(struct pg *pg, pg_notify_fn *on_notify);
/* Drops what is queued (its callbacks come with ERR_UNAVAILABLE); `cb` when all handles are closed.
 */
void pg_close(struct pg *pg, void (*cb)(void *arg), void *arg);
bool pg_is_connected(const struct pg *pg);
size_t pg_queued(const struct pg *pg); /* batches not done */

struct pg_batch *pg_batch_new(void);
void pg_batch_free(struct pg_batch *batch); /* of a batch that was not sent; NULL is nothing */
bool pg_batch_is_empty(const struct pg_batch *batch);
/* Adds a statement; parameters are texts (NULL: SQL NULL), copied. */
void pg_add(struct pg_batch *batch, const char *sql, size_t param_count, const char *const *params);
/* Adds a statement whose parameters are arrays; takes them, and leaves them released. */
void pg_add_arrays(struct pg_batch *batch, const char *sql, size_t param_count,
                   struct pg_array *arrays);
/* Takes the batch. */
void pg_send(struct pg *pg, struct pg_batch *batch, pg_done_fn *done, void *arg);

/* Results of statement `statement` (from 0). */
size_t pg_row_count(const struct pg_results *results, size_t statement);
bool pg_is_null(const struct pg_results *results, size_t statement, size_t row, size_t column);
/* The text of a field, "" for NULL. */
const char *pg_text(const struct pg_results *results, size_t statement, size_t row, size_t column);
int64_t pg_number(const struct pg_results *results, size_t statement, size_t row, size_t column);
/* Rows that an INSERT, UPDATE or DELETE touched. */
size_t pg_affected(const struct pg_results *results, size_t statement);
/* Decodes a bytea field into memory that the caller frees; NULL for NULL. */
uint8_t *pg_bytes(const struct pg_results *results, size_t statement, size_t row, size_t column,
                  size_t *ret_size);

#endif
