#include "store/pg.h"

#include <assert.h>
#include <limits.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>
#include <uv.h>

#include "pg_impl.h"

#define RETRY_FIRST_MS  200
#define RETRY_LAST_MS   5000
#define CONNECT_MS      10000 /* until a connection attempt is given up */
#define ANSWER_MS       5000  /* until a batch without an answer is told of */
#define SQLSTATE_UNIQUE "23505"
#define SQLSTATE_FENCE  "FU001" /* migrations/0002_slots.sql */
/* The text was parsed when the tables were others, or somebody made the server forget it. */
#define SQLSTATE_PLAN_IS_OLD  "0A000"
#define SQLSTATE_NO_SUCH_NAME "26000"
#define PREPARED_MAX          64
/* A statement is planned once, perhaps when its tables were nearly empty: the plan must hold when
 * they have grown. Every look-up has its index. */
#define OPTIONS   "-c search_path=fuotad -c enable_seqscan=off -c jit=off"
#define TRIM_ROWS 500
#define NAME_SIZE 16

/* A text that the server has parsed. Beyond PREPARED_MAX they are sent each time. */
struct prepared {
    char *sql;
    enum { PREPARED_NOT, PREPARED_SENT, PREPARED_READY } state;
};

enum trouble {
    TROUBLE_NONE,
    TROUBLE_LATE,    /* over with the next answer */
    TROUBLE_REFUSED, /* over with the next change that is taken: questions may be answered all along
                      */
};

struct pg {
    uv_loop_t *loop;
    char *conninfo;
    PGconn *conn;
    uv_poll_t *poll;  /* of conn's socket; freed by its close callback */
    uv_timer_t retry; /* when not connected: the next attempt, or the end of this one */
    uv_timer_t late;  /* when connected: the batch under way is late */
    pg_state_fn *on_state;
    pg_notify_fn *on_notify;
    void *arg;
    struct pg_batch *first, **last; /* the first one is under way when is_busy */
    size_t queued;
    bool is_connected, is_busy, is_closing;
    enum trouble trouble;                /* that was told */
    bool is_server_trouble, has_written; /* of the batch under way */
    unsigned open_handles;
    struct pg_results results; /* of the batch under way */
    struct prepared prepared[PREPARED_MAX];
    size_t prepared_count;
    struct prepared **expected; /* for each result to come of the batch under way: the text it
                                   prepares, or NULL where it is a statement's own */
    size_t expected_count, expected_at;
    bool must_reconnect; /* what the server has parsed is of no use any more */
    char *error;         /* the first error of the batch under way */
    enum err err;
    uint64_t retry_ms;
    void (*on_closed)(void *arg);
    void *closed_arg;
};

/* statements that the server knows */

static void forget_prepared(struct pg *pg)
{
    for (size_t i = 0; i < pg->prepared_count; i++) {
        free(pg->prepared[i].sql);
    }
    pg->prepared_count = 0;
    pg->must_reconnect = false;
    pg->expected_count = pg->expected_at = 0;
}

/* NULL: there are too many. */
static struct prepared *find_prepared(struct pg *pg, const char *sql)
{
    for (size_t i = 0; i < pg->prepared_count; i++) {
        if (strcmp(pg->prepared[i].sql, sql) == 0) {
            return &pg->prepared[i];
        }
    }
    if (pg->prepared_count == PREPARED_MAX) {
        return NULL;
    }
    struct prepared *new = &pg->prepared[pg->prepared_count++];
    *new = (struct prepared){.sql = pg_must(strdup(sql))};
    return new;
}

/* the connection */

static void connect_again(struct pg *pg);
static void on_poll(uv_poll_t *poll, int status, int events);
static void send_next(struct pg *pg);

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void stop_polling(struct pg *pg)
{
    if (pg->poll != NULL) {
        uv_poll_stop(pg->poll);
        uv_close((uv_handle_t *)pg->poll, free_handle);
        pg->poll = NULL;
    }
}

static void poll_for(struct pg *pg, int events)
{
    int fd = PQsocket(pg->conn);
    uv_os_fd_t polled = -1;

    if (pg->poll != NULL && (uv_fileno((uv_handle_t *)pg->poll, &polled) != 0 || polled != fd)) {
        stop_polling(pg); /* libpq may change its socket while it connects */
    }
    if (pg->poll == NULL) {
        pg->poll = pg_must(calloc(1, sizeof(*pg->poll)));
        if (uv_poll_init(pg->loop, pg->poll, fd) != 0) {
            abort(); /* only for a descriptor that is none */
        }
        pg->poll->data = pg;
    }
    uv_poll_start(pg->poll, events, on_poll);
}

static void clear_results(struct pg *pg)
{
    for (size_t i = 0; i < pg->results.count; i++) {
        PQclear(pg->results.items[i]);
    }
    free(pg->results.items);
    pg->results = (struct pg_results){0};
    free(pg->error);
    pg->error = NULL;
    pg->err = ERR_OK;
}

/* A server that hangs is waited for, and told of: what it is at may still take effect. */
static void on_late(uv_timer_t *timer)
{
    struct pg *pg = timer->data;

    pg->trouble = TROUBLE_LATE;
    pg->on_state(pg->arg, "connected, but it does not answer");
}

/* What an answer says of the server. */
static void judge(struct pg *pg)
{
    bool is_over =
        pg->trouble == TROUBLE_LATE || (pg->trouble == TROUBLE_REFUSED && pg->has_written);

    if (pg->is_server_trouble) {
        if (pg->trouble != TROUBLE_REFUSED) {
            pg->trouble = TROUBLE_REFUSED;
            pg->on_state(pg->arg, pg->error);
        }
    } else if (is_over && pg->err == ERR_OK) {
        pg->trouble = TROUBLE_NONE;
        pg->on_state(pg->arg, NULL);
    }
}

/* A large result leaves the heap full of holes that would stay resident for good. */
static void give_back_memory(size_t row_count)
{
#ifdef __GLIBC__
    if (row_count >= TRIM_ROWS) {
        malloc_trim(0);
    }
#else
    (void)row_count;
#endif
}

/* Ends the first batch of the queue. */
static void finish_batch(struct pg *pg, enum err err, const char *text)
{
    struct pg_batch *batch = pg->first;
    struct pg_results results = pg->results;
    char *error = pg->error;

    pg->first = batch->next;
    if (pg->first == NULL) {
        pg->last = &pg->first;
    }
    pg->queued--;
    pg->is_busy = pg->is_server_trouble = pg->has_written = false;
    uv_timer_stop(&pg->late);
    pg->results = (struct pg_results){0};
    pg->error = NULL;
    pg->err = ERR_OK;
    if (batch->done != NULL) {
        batch->done(batch->arg, err, text, err == ERR_OK ? &results : NULL);
    }
    pg_batch_free(batch);
    size_t row_count = 0;
    for (size_t i = 0; i < results.count; i++) {
        row_count += (size_t)PQntuples(results.items[i]);
        PQclear(results.items[i]);
    }
    free(results.items);
    free(error);
    give_back_memory(row_count);
}

static void on_retry(uv_timer_t *timer)
{
    connect_again(timer->data);
}

/* `why`: NULL where libpq knows it. */
static void lose_for(struct pg *pg, const char *why)
{
    const char *known = pg->error != NULL  ? pg->error
                        : pg->conn != NULL ? PQerrorMessage(pg->conn)
                                           : "out of memory";
    char *text = pg_must(strdup(why != NULL ? why : known));
    size_t size = strlen(text);

    while (size > 0 && text[size - 1] == '\n') {
        text[--size] = '\0';
    }
    stop_polling(pg);
    PQfinish(pg->conn);
    pg->conn = NULL;
    pg->is_connected = false;
    pg->trouble = TROUBLE_NONE;
    forget_prepared(pg);
    if (pg->is_busy) {
        finish_batch(pg, ERR_UNAVAILABLE, text);
    }
    if (!pg->is_closing) {
        pg->on_state(pg->arg, text);
        uv_timer_start(&pg->retry, on_retry, pg->retry_ms, 0);
        pg->retry_ms = pg->retry_ms * 2 > RETRY_LAST_MS ? RETRY_LAST_MS : pg->retry_ms * 2;
    }
    free(text);
}

static void lose(struct pg *pg)
{
    lose_for(pg, NULL);
}

static void on_connect_late(uv_timer_t *timer)
{
    lose_for(timer->data, "no answer to a connection attempt");
}

static void on_connected(struct pg *pg)
{
    if (PQsetnonblocking(pg->conn, 1) != 0 || PQenterPipelineMode(pg->conn) != 1) {
        lose(pg);
        return;
    }
    uv_timer_stop(&pg->retry);
    pg->is_connected = true;
    pg->retry_ms = RETRY_FIRST_MS;
    poll_for(pg, UV_READABLE);
    pg->on_state(pg->arg, NULL);
    send_next(pg);
}

static void connect_step(struct pg *pg)
{
    switch (PQconnectPoll(pg->conn)) {
    case PGRES_POLLING_READING:
        poll_for(pg, UV_READABLE);
        break;
    case PGRES_POLLING_WRITING:
        poll_for(pg, UV_WRITABLE);
        break;
    case PGRES_POLLING_OK:
        on_connected(pg);
        break;
    case PGRES_POLLING_FAILED:
    case PGRES_POLLING_ACTIVE:
    default:
        lose(pg);
        break;
    }
}

static void ignore_notice(void *arg, const PGresult *result)
{
    (void)arg, (void)result;
}

static void connect_again(struct pg *pg)
{
    static const char *const names[] = {
        "dbname",          "options", "client_encoding", "application_name", "tcp_user_timeout",
        "keepalives_idle", NULL};
    /* A server that vanished without a word must not hold the commits for a quarter of an hour. */
    const char *values[] = {pg->conninfo, OPTIONS, "UTF8", "fuotad", "10000", "10", NULL};

    pg->conn = PQconnectStartParams(names, values, 1);
    if (pg->conn == NULL || PQstatus(pg->conn) == CONNECTION_BAD) {
        lose(pg);
        return;
    }
    PQsetNoticeReceiver(pg->conn, ignore_notice, NULL);
    uv_timer_start(&pg->retry, on_connect_late, CONNECT_MS, 0);
    poll_for(pg, UV_WRITABLE);
}

/* sending and receiving */

static void flush(struct pg *pg)
{
    int left = PQflush(pg->conn);

    if (left < 0) {
        lose(pg);
    } else {
        poll_for(pg, left > 0 ? UV_READABLE | UV_WRITABLE : UV_READABLE);
    }
}

static void expect(struct pg *pg, struct prepared *prepared)
{
    pg->expected = pg_must(realloc(pg->expected, (pg->expected_count + 1) * sizeof(*pg->expected)));
    pg->expected[pg->expected_count++] = prepared;
}

static bool send_statement(struct pg *pg, const struct statement *s)
{
    const char *const *params = (const char *const *)s->params;
    struct prepared *prepared = find_prepared(pg, s->sql);
    char name[NAME_SIZE];

    if (prepared == NULL) {
        expect(pg, NULL);
        return PQsendQueryParams(pg->conn, s->sql, (int)s->param_count, NULL, params, s->sizes,
                                 s->formats, 0) == 1;
    }
    snprintf(name, sizeof(name), "s%zu", (size_t)(prepared - pg->prepared));
    if (prepared->state == PREPARED_NOT) {
        expect(pg, prepared);
        prepared->state = PREPARED_SENT;
        if (PQsendPrepare(pg->conn, name, s->sql, (int)s->param_count, NULL) != 1) {
            return false;
        }
    }
    expect(pg, NULL);
    return PQsendQueryPrepared(pg->conn, name, (int)s->param_count, params, s->sizes, s->formats,
                               0) == 1;
}

static void send_next(struct pg *pg)
{
    if (!pg->is_connected || pg->is_busy || pg->first == NULL) {
        return;
    }
    struct pg_batch *batch = pg->first;
    bool is_sent = true;

    pg->is_busy = true;
    uv_timer_start(&pg->late, on_late, ANSWER_MS, 0);
    pg->expected_count = pg->expected_at = 0;
    for (size_t i = 0; i < batch->count && is_sent; i++) {
        is_sent = send_statement(pg, &batch->statements[i]);
    }
    if (!is_sent || PQpipelineSync(pg->conn) != 1) {
        lose(pg);
        return;
    }
    flush(pg);
}

/* Resources, intervention, system errors, read-only: nothing that another statement would mend. */
static bool is_server_trouble(const char *state)
{
    static const char *const classes[] = {"53", "57", "58", "25", "XX"};

    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (strncmp(state, classes[i], 2) == 0) {
            return true;
        }
    }
    return false;
}

static void keep_error(struct pg *pg, PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    if (state != NULL &&
        (strcmp(state, SQLSTATE_PLAN_IS_OLD) == 0 || strcmp(state, SQLSTATE_NO_SUCH_NAME) == 0)) {
        pg->must_reconnect = true;
    }

    if (pg->err == ERR_OK) {
        const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
        pg->err = state == NULL                         ? ERR_REFUSED
                  : strcmp(state, SQLSTATE_UNIQUE) == 0 ? ERR_EXISTS
                  : strcmp(state, SQLSTATE_FENCE) == 0  ? ERR_WRONG_STATE
                                                        : ERR_REFUSED;
        pg->error = pg_must(strdup(text != NULL ? text : "no text"));
        pg->is_server_trouble = state != NULL && is_server_trouble(state);
    }
    PQclear(result);
}

static void keep_result(struct pg *pg, PGresult *result)
{
    struct pg_results *r = &pg->results;

    assert(pg->expected_at < pg->expected_count);
    struct prepared *prepared = pg->expected[pg->expected_at++];
    if (prepared != NULL) {
        prepared->state = PREPARED_READY;
        PQclear(result);
        return;
    }
    pg->has_written = pg->has_written || PQresultStatus(result) == PGRES_COMMAND_OK;
    r->items = pg_must(realloc(r->items, (r->count + 1) * sizeof(PGresult *)));
    r->items[r->count++] = result;
}

/* Those behind a statement that failed were not carried out. */
static void end_preparations(struct pg *pg)
{
    for (size_t i = 0; i < pg->expected_count; i++) {
        if (pg->expected[i] != NULL && pg->expected[i]->state == PREPARED_SENT) {
            pg->expected[i]->state = PREPARED_NOT;
        }
    }
}

static void receive(struct pg *pg)
{
    while (pg->conn != NULL && pg->is_busy && !PQisBusy(pg->conn)) {
        PGresult *result = PQgetResult(pg->conn);
        if (result == NULL && PQstatus(pg->conn) == CONNECTION_BAD) {
            return; /* nothing more will come */
        }
        if (result == NULL) {
            continue; /* the end of one statement's results */
        }
        switch (PQresultStatus(result)) {
        case PGRES_PIPELINE_SYNC:
            PQclear(result);
            if (pg->must_reconnect) {
                lose(pg);
                return;
            }
            end_preparations(pg);
            judge(pg);
            finish_batch(pg, pg->err, pg->error);
            send_next(pg);
            break;
        case PGRES_COMMAND_OK:
        case PGRES_TUPLES_OK:
            keep_result(pg, result);
            break;
        case PGRES_PIPELINE_ABORTED: /* behind the statement that failed */
            PQclear(result);
            break;
        case PGRES_EMPTY_QUERY:
        case PGRES_COPY_OUT:
        case PGRES_COPY_IN:
        case PGRES_BAD_RESPONSE:
        case PGRES_NONFATAL_ERROR:
        case PGRES_FATAL_ERROR:
        case PGRES_COPY_BOTH:
        case PGRES_SINGLE_TUPLE:
        default:
            keep_error(pg, result);
            break;
        }
    }
}

static void receive_notifications(struct pg *pg)
{
    PGnotify *notification;

    while (pg->conn != NULL && (notification = PQnotifies(pg->conn)) != NULL) {
        if (pg->on_notify != NULL) {
            pg->on_notify(pg->arg, notification->extra);
        }
        PQfreemem(notification);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct pg *pg = poll->data;

    if (!pg->is_connected) {
        connect_step(pg);
        return;
    }
    if (status < 0) {
        lose(pg);
        return;
    }
    if ((events & UV_READABLE) != 0 && PQconsumeInput(pg->conn) != 1) {
        lose(pg);
        return;
    }
    receive(pg);
    receive_notifications(pg);
    if (pg->conn != NULL && pg->is_connected) {
        if (PQstatus(pg->conn) == CONNECTION_BAD) {
            lose(pg);
        } else {
            flush(pg);
        }
    }
}

struct pg *pg_new(struct uv_loop_s *loop, const char *conninfo, pg_state_fn *on_state, void *arg)
{
    struct pg *pg = pg_must(calloc(1, sizeof(*pg)));

    pg->loop = loop;
    pg->conninfo = pg_must(strdup(conninfo));
    pg->on_state = on_state;
    pg->arg = arg;
    pg->last = &pg->first;
    pg->retry_ms = RETRY_FIRST_MS;
    pg->open_handles = 2;
    uv_timer_init(loop, &pg->retry);
    uv_timer_init(loop, &pg->late);
    pg->retry.data = pg->late.data = pg;
    uv_timer_start(&pg->retry, on_retry, 0, 0);
    return pg;
}

void pg_on_notify(struct pg *pg, pg_notify_fn *on_notify)
{
    pg->on_notify = on_notify;
}

static void on_closed(uv_handle_t *handle)
{
    struct pg *pg = handle->data;

    if (--pg->open_handles > 0) {
        return;
    }
    if (pg->on_closed != NULL) {
        pg->on_closed(pg->closed_arg);
    }
    free(pg->conninfo);
    free(pg);
}

void pg_close(struct pg *pg, void (*cb)(void *arg), void *arg)
{
    pg->is_closing = true;
    pg->on_closed = cb;
    pg->closed_arg = arg;
    stop_polling(pg);
    PQfinish(pg->conn);
    pg->conn = NULL;
    pg->is_connected = false;
    clear_results(pg);
    forget_prepared(pg);
    free(pg->expected);
    while (pg->first != NULL) {
        finish_batch(pg, ERR_UNAVAILABLE, "the program ends");
    }
    uv_close((uv_handle_t *)&pg->retry, on_closed);
    uv_close((uv_handle_t *)&pg->late, on_closed);
}

bool pg_is_connected(const struct pg *pg)
{
    return pg->is_connected;
}

size_t pg_queued(const struct pg *pg)
{
    return pg->queued;
}

void pg_send(struct pg *pg, struct pg_batch *batch, pg_done_fn *done, void *arg)
{
    batch->done = done;
    batch->arg = arg;
    *pg->last = batch;
    pg->last = &batch->next;
    pg->queued++;
    send_next(pg);
}
