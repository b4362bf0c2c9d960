/* held.c - deployments that brought the daemon down: suspended, and the events that come meanwhile.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store_impl.h"

/* suspending and resuming */

void store_report_crash(struct store *store, const char *deployment_id, unsigned suspend_count,
                        const char *text, store_done_fn *done, void *arg)
{
    struct pg_batch *batch = pg_batch_new();
    char count[12];
    const char *params[] = {deployment_id, count, text};

    snprintf(count, sizeof(count), "%u", suspend_count);
    pg_add(batch,
           "UPDATE deployment SET crash_count = crash_count + 1, "
           "suspended = CASE WHEN crash_count + 1 >= $2::integer THEN $3 ELSE suspended END "
           "WHERE id = $1 AND state = 'running'",
           3, params);
    store_do(store->writer, batch, 0, ERR_MISSING, done, arg);
}

void store_suspend(struct store *store, const struct store_fence *fence,
                   const struct uuid *deployment_id, const char *text, store_done_fn *done,
                   void *arg)
{
    struct pg_batch *batch = pg_batch_new();
    char id[UUID_TEXT_SIZE];
    const char *params[] = {id, text};

    uuid_format(deployment_id, id);
    pg_add(batch, "UPDATE deployment SET suspended = $2 WHERE id = $1 AND state = 'running'", 2,
           params);
    store_add_fence(batch, fence);
    store_do(store->writer, batch, 0, ERR_MISSING, done, arg);
}

void store_resume(struct store *store, const struct store_fence *fence,
                  const struct uuid *deployment_id, const struct uuid *request_id,
                  store_done_fn *done, void *arg)
{
    struct pg_batch *batch = pg_batch_new();
    char id[UUID_TEXT_SIZE];
    const char *params[] = {id};

    uuid_format(deployment_id, id);
    pg_add(batch,
           "UPDATE deployment SET suspended = NULL, crash_count = 0 "
           "WHERE id = $1 AND state = 'running'",
           1, params);
    store_add_request_done(batch, request_id, NULL);
    store_add_fence(batch, fence);
    store_do(store->writer, batch, 0, ERR_MISSING, done, arg);
}

void store_turn_forgive(struct store_turn *turn, const struct uuid *deployment_id)
{
    char id[UUID_TEXT_SIZE];
    const char *params[] = {id};

    uuid_format(deployment_id, id);
    pg_add(store_turn_batch(turn), "UPDATE deployment SET crash_count = 0 WHERE id = $1", 1,
           params);
}

/* events */

void store_turn_hold_event(struct store_turn *turn, const struct uuid *deployment_id,
                           const struct store_held_event *event)
{
    char id[UUID_TEXT_SIZE], kind[12], eui[EUI64_TEXT_SIZE], item[UUID_TEXT_SIZE], received[24],
        port[12];
    struct text data, gateways;
    FILE *stream = text_begin(&data);

    uuid_format(deployment_id, id);
    snprintf(kind, sizeof(kind), "%d", event->kind);
    eui64_format(event->dev_eui, eui);
    uuid_format(&event->item_id, item);
    snprintf(received, sizeof(received), "%" PRId64, event->received_ms);
    snprintf(port, sizeof(port), "%u", event->f_port);
    fputs("\\x", stream);
    for (size_t i = 0; i < event->data_size; i++) {
        fprintf(stream, "%02x", event->data[i]);
    }
    char *data_text = text_end(&data);
    stream = text_begin(&gateways);
    for (size_t g = 0; g < event->gateway_count; g++) {
        fprintf(stream, "%s%016" PRIx64, g > 0 ? "," : "", event->gateways[g]);
    }
    char *gateways_text = text_end(&gateways);
    const char *params[] = {id, kind, eui, item, received, port, data_text, gateways_text};
    pg_add(store_turn_batch(turn),
           "INSERT INTO held_event (deployment_id, kind, dev_eui, item_id, received_ms, f_port, "
           "data, gateways) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
           8, params);
    free(data_text);
    free(gateways_text);
}

void store_turn_drop_held(struct store_turn *turn, const struct uuid *deployment_id,
                          int64_t last_id)
{
    char id[UUID_TEXT_SIZE], last[24];
    const char *params[] = {id, last};

    uuid_format(deployment_id, id);
    snprintf(last, sizeof(last), "%" PRId64, last_id);
    pg_add(store_turn_batch(turn), "DELETE FROM held_event WHERE deployment_id = $1 AND id <= $2",
           2, params);
}

struct held_call {
    store_held_fn *done;
    void *arg;
};

static enum err parse_held(const struct pg_results *results, size_t row,
                           struct store_held_event *event,
                           uint64_t gateways[STORE_HELD_GATEWAYS_MAX])
{
    const char *text = pg_text(results, 0, row, 7);
    size_t size = 0;

    event->id = pg_number(results, 0, row, 0);
    event->kind = (int)pg_number(results, 0, row, 1);
    event->received_ms = pg_number(results, 0, row, 4);
    event->f_port = (uint8_t)pg_number(results, 0, row, 5);
    event->data = pg_bytes(results, 0, row, 6, &size);
    event->data_size = size;
    event->gateways = gateways;
    while (event->gateway_count < STORE_HELD_GATEWAYS_MAX && strlen(text) >= 16) {
        char eui[EUI64_TEXT_SIZE] = "";
        memcpy(eui, text, 16);
        if (eui64_parse(eui, &gateways[event->gateway_count]) != ERR_OK) {
            return ERR_FORMAT;
        }
        event->gateway_count++;
        text += text[16] == ',' ? 17 : 16;
    }
    enum err err = eui64_parse(pg_text(results, 0, row, 2), &event->dev_eui);
    return err == ERR_OK ? uuid_parse(pg_text(results, 0, row, 3), &event->item_id) : err;
}

static void on_held(void *arg, enum err err, const char *text, const struct pg_results *results)
{
    struct held_call *call = arg;
    size_t count = err == ERR_OK ? pg_row_count(results, 0) : 0;
    struct store_held_event *events = store_must(calloc(count + 1, sizeof(*events)));
    uint64_t(*gateways)[STORE_HELD_GATEWAYS_MAX] = store_must(calloc(count + 1, sizeof(*gateways)));

    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        err = parse_held(results, i, &events[i], gateways[i]);
    }
    call->done(call->arg, err, text != NULL ? text : err_text(err), events, count);
    for (size_t i = 0; i < count; i++) {
        free((void *)(uintptr_t)events[i].data);
    }
    free(gateways);
    free(events);
    free(call);
}

void store_load_held(struct store *store, const struct uuid *deployment_id, unsigned max,
                     store_held_fn *done, void *arg)
{
    struct held_call *call = store_must(malloc(sizeof(*call)));
    struct pg_batch *batch = pg_batch_new();
    char id[UUID_TEXT_SIZE], limit[12];
    const char *params[] = {id, limit};

    *call = (struct held_call){.done = done, .arg = arg};
    uuid_format(deployment_id, id);
    snprintf(limit, sizeof(limit), "%u", max);
    pg_add(batch,
           "SELECT id, kind, dev_eui, item_id, received_ms, f_port, data, gateways FROM held_event "
           "WHERE deployment_id = $1 ORDER BY id LIMIT $2",
           2, params);
    pg_send(store->writer, batch, on_held, call);
}
