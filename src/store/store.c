/* store.c - the two connections, and the shapes that most questions to them have. */
#include "store/store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store_impl.h"

void *store_must(void *memory)
{
    if (memory == NULL) {
        abort(); /* out of memory: a restart from the store is a tested path */
    }
    return memory;
}

FILE *text_begin(struct text *text)
{
    text->stream = store_must(open_memstream(&text->chars, &text->size));
    return text->stream;
}

char *text_end(struct text *text)
{
    if (fclose(text->stream) != 0) {
        abort();
    }
    return text->chars;
}

void text_put_element(FILE *stream, const char *value, bool is_first)
{
    if (!is_first) {
        fputc(',', stream);
    }
    if (value == NULL) {
        fputs("NULL", stream);
        return;
    }
    fputc('"', stream);
    for (; *value != '\0'; value++) {
        if (*value == '"' || *value == '\\') {
            fputc('\\', stream);
        }
        fputc(*value, stream);
    }
    fputc('"', stream);
}

/* one JSON answer */

struct json_call {
    store_json_fn *done;
    void *arg;
    enum err no_row;
};

static void on_json(void *arg, enum err err, const char *text, const struct pg_results *results)
{
    struct json_call *call = arg;

    if (err != ERR_OK) {
        call->done(call->arg, err, text, NULL);
    } else if (pg_row_count(results, 0) == 0 || pg_is_null(results, 0, 0, 0)) {
        call->done(call->arg, call->no_row, err_text(call->no_row), NULL);
    } else {
        call->done(call->arg, ERR_OK, NULL, pg_text(results, 0, 0, 0));
    }
    free(call);
}

void store_ask_json(struct pg *pg, const char *sql, size_t param_count, const char *const *params,
                    enum err no_row, store_json_fn *done, void *arg)
{
    struct json_call *call = store_must(malloc(sizeof(*call)));
    struct pg_batch *batch = pg_batch_new();

    *call = (struct json_call){.done = done, .arg = arg, .no_row = no_row};
    pg_add(batch, sql, param_count, params);
    pg_send(pg, batch, on_json, call);
}

/* something done, decided by the rows that one statement touched */

#define NOTHING_DECIDES SIZE_MAX

struct do_call {
    store_done_fn *done;
    void *arg;
    size_t decisive;
    enum err untouched;
};

static void on_do(void *arg, enum err err, const char *text, const struct pg_results *results)
{
    struct do_call *call = arg;

    if (err == ERR_OK && call->decisive != NOTHING_DECIDES &&
        pg_affected(results, call->decisive) == 0) {
        err = call->untouched;
        text = err_text(err);
    }
    if (call->done != NULL) {
        call->done(call->arg, err, text);
    }
    free(call);
}

void store_do(struct pg *pg, struct pg_batch *batch, size_t decisive, enum err untouched,
              store_done_fn *done, void *arg)
{
    struct do_call *call = store_must(malloc(sizeof(*call)));

    *call =
        (struct do_call){.done = done, .arg = arg, .decisive = decisive, .untouched = untouched};
    pg_send(pg, batch, on_do, call);
}

void store_do_anyway(struct pg *pg, struct pg_batch *batch, store_done_fn *done, void *arg)
{
    store_do(pg, batch, NOTHING_DECIDES, ERR_OK, done, arg);
}

void store_do_at(struct pg *pg, const char *sql, int64_t now_ms, store_done_fn *done, void *arg)
{
    struct pg_batch *batch = pg_batch_new();
    char now[24];
    const char *params[] = {now};

    snprintf(now, sizeof(now), "%" PRId64, now_ms);
    pg_add(batch, sql, 1, params);
    store_do_anyway(pg, batch, done, arg);
}

/* opening and closing */

static void on_writer_state(void *arg, const char *text)
{
    struct store *store = arg;

    store->on_state(store->state_arg, text);
}

static void on_reader_state(void *arg, const char *text)
{
    (void)arg, (void)text; /* the writer speaks for both */
}

static void on_keeper_state(void *arg, const char *text)
{
    if (text == NULL) {
        store_keeper_connected(arg);
    }
}

struct store *store_new(struct uv_loop_s *loop, const char *conninfo,
                        void (*on_state)(void *arg, const char *text), void *arg)
{
    struct store *store = store_must(calloc(1, sizeof(*store)));

    store->on_state = on_state;
    store->state_arg = arg;
    store->writer = pg_new(loop, conninfo, on_writer_state, store);
    store->reader = pg_new(loop, conninfo, on_reader_state, store);
    store->keeper = pg_new(loop, conninfo, on_keeper_state, store);
    store->open_count = 3;
    return store;
}

static void on_pg_closed(void *arg)
{
    struct store *store = arg;

    if (--store->open_count == 0) {
        if (store->on_closed != NULL) {
            store->on_closed(store->closed_arg);
        }
        free(store);
    }
}

void store_close(struct store *store, void (*cb)(void *arg), void *arg)
{
    store->on_closed = cb;
    store->closed_arg = arg;
    pg_close(store->writer, on_pg_closed, store);
    pg_close(store->reader, on_pg_closed, store);
    pg_close(store->keeper, on_pg_closed, store);
}

bool store_is_connected(const struct store *store)
{
    return pg_is_connected(store->writer);
}
