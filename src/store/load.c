/* load.c - deployments as they were stored, and the start of new ones. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "lorawan/keys.h"
#include "record.h"
#include "store_impl.h"

void stored_deployment_release(struct stored_deployment *stored)
{
    if (stored == NULL) {
        return;
    }
    free(stored->name);
    free(stored->devices);
    free(stored->lorawan_versions);
    free(stored->mc_key_id);
    free(stored->mc_key_sealed);
    free(stored->image);
    free(stored->suspended);
    *stored = (struct stored_deployment){0};
}

/* running deployments */

struct ids_call {
    store_ids_fn *done;
    void *arg;
};

static void on_ids(void *arg, enum err err, const char *text, const struct pg_results *results)
{
    struct ids_call *call = arg;
    size_t count = err == ERR_OK ? pg_row_count(results, 0) : 0;
    struct uuid *ids = store_must(calloc(count + 1, sizeof(*ids)));

    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        err = uuid_parse(pg_text(results, 0, i, 0), &ids[i]);
    }
    call->done(call->arg, err, text, ids, count);
    free(ids);
    free(call);
}

void store_list_running(struct store *store, unsigned slot, store_ids_fn *done, void *arg)
{
    struct ids_call *call = store_must(malloc(sizeof(*call)));
    struct pg_batch *batch = pg_batch_new();
    char index[12];
    const char *params[] = {index};

    *call = (struct ids_call){.done = done, .arg = arg};
    snprintf(index, sizeof(index), "%u", slot);
    pg_add(batch,
           "SELECT id FROM deployment WHERE state = 'running' AND slot_index = $1 "
           "ORDER BY started_at, id",
           1, params);
    pg_send(store->writer, batch, on_ids, call);
}

/* one deployment */

struct load_call {
    store_load_fn *done;
    void *arg;
    struct uuid id;
};

static enum err parse_row(const struct pg_results *results, size_t statement, size_t row,
                          size_t first_column, const struct field *fields, size_t field_count,
                          void *record)
{
    for (size_t f = 0; f < field_count; f++) {
        enum err err =
            field_parse(&fields[f], pg_text(results, statement, row, first_column + f), record);
        if (err != ERR_OK) {
            return err;
        }
    }
    return ERR_OK;
}

static enum err parse_params(const char *json, struct deployment_params *params)
{
    cJSON *object = cJSON_Parse(json);
    enum err err = object == NULL ? ERR_FORMAT : ERR_OK;

    for (size_t f = 0; f < params_field_count && err == ERR_OK; f++) {
        const cJSON *item = cJSON_GetObjectItem(object, params_fields[f].column);
        char plain[FIELD_TEXT_SIZE];
        const char *text = cJSON_GetStringValue(item);
        if (cJSON_IsNumber(item) || cJSON_IsBool(item)) { /* written by a migration */
            text = plain;
            if (!cJSON_PrintPreallocated((cJSON *)item, plain, sizeof(plain), false)) {
                text = NULL;
            }
        }
        err = text == NULL ? ERR_FORMAT : field_parse(&params_fields[f], text, params);
    }
    cJSON_Delete(object);
    return err;
}

static char *format_params(const struct deployment_params *params)
{
    cJSON *object = store_must(cJSON_CreateObject());
    char text[FIELD_TEXT_SIZE];

    for (size_t f = 0; f < params_field_count; f++) {
        field_format(&params_fields[f], params, text);
        store_must(cJSON_AddStringToObject(object, params_fields[f].column, text));
    }
    char *json = store_must(cJSON_PrintUnformatted(object));
    cJSON_Delete(object);
    return json;
}

static enum err parse_devices(const struct pg_results *results, struct stored_deployment *stored)
{
    size_t count = pg_row_count(results, 2);

    if (count != stored->params.device_count) {
        return ERR_FORMAT;
    }
    stored->devices = store_must(calloc(count, sizeof(*stored->devices)));
    stored->lorawan_versions = store_must(calloc(count, 1));
    for (size_t i = 0; i < count; i++) {
        struct device *dev = &stored->devices[i];
        enum err err = eui64_parse(pg_text(results, 2, i, 0), &dev->dev_eui);
        if (err == ERR_OK) {
            err = parse_row(results, 2, i, 2, device_fields, device_field_count, dev);
        }
        int64_t version = pg_number(results, 2, i, 1);
        if (err != ERR_OK || version < LORAWAN_1_0 || version > LORAWAN_1_1) {
            return ERR_FORMAT;
        }
        stored->lorawan_versions[i] = (uint8_t)version;
    }
    return ERR_OK;
}

/* Of a suspended one no more than whose events are to be kept, and its sealed key. ERR_REFUSED: not
 * even that. */
static enum err parse_suspended(const struct pg_results *results, struct stored_deployment *stored)
{
    size_t count = pg_row_count(results, 2);

    stored->params.device_count = (uint32_t)count;
    stored->devices = store_must(calloc(count + 1, sizeof(*stored->devices)));
    for (size_t i = 0; i < count; i++) {
        if (eui64_parse(pg_text(results, 2, i, 0), &stored->devices[i].dev_eui) != ERR_OK) {
            return ERR_REFUSED;
        }
    }
    return ERR_OK;
}

static enum err parse_deployment(const struct pg_results *results, struct stored_deployment *stored)
{
    const char *field;
    enum err err = uuid_parse(pg_text(results, 0, 0, 0), &stored->application_id);

    stored->name = store_must(strdup(pg_text(results, 0, 0, 1)));
    stored->mc_key_id = store_must(strdup(pg_text(results, 1, 0, 0)));
    stored->mc_key_sealed = pg_bytes(results, 1, 0, 1, &stored->mc_key_sealed_size);
    stored->crash_count = (unsigned)pg_number(results, 0, 0, 4);
    if (!pg_is_null(results, 0, 0, 5)) {
        stored->suspended = store_must(strdup(pg_text(results, 0, 0, 5)));
        return err == ERR_OK ? parse_suspended(results, stored) : ERR_REFUSED;
    }
    if (err == ERR_OK) {
        err = parse_params(pg_text(results, 0, 0, 2), &stored->params);
    }
    if (err == ERR_OK && deployment_params_check(&stored->params, &field) != ERR_OK) {
        err = ERR_FORMAT;
    }
    if (err != ERR_OK) {
        return err;
    }
    stored->image = pg_bytes(results, 0, 0, 3, &stored->image_size);
    if (stored->image_size + stored->params.padding_size !=
        (size_t)stored->params.fragment_count * stored->params.fragment_size) {
        return ERR_FORMAT;
    }
    err = parse_row(results, 1, 0, 2, transmission_fields, transmission_field_count,
                    &stored->transmission);
    /* No group was asked for yet, and no time was taken. */
    stored->is_new = stored->transmission.started_ms == 0;
    return err == ERR_OK ? parse_devices(results, stored) : err;
}

static void on_load(void *arg, enum err err, const char *text, const struct pg_results *results)
{
    struct load_call *call = arg;
    struct stored_deployment stored = {.id = call->id};

    if (err == ERR_OK && (pg_row_count(results, 0) == 0 || pg_row_count(results, 1) == 0)) {
        err = ERR_MISSING;
    }
    if (err == ERR_OK) {
        err = parse_deployment(results, &stored);
    }
    call->done(call->arg, err, text != NULL ? text : err_text(err), err == ERR_OK ? &stored : NULL);
    stored_deployment_release(&stored);
    free(call);
}

static void put_columns(FILE *stream, const struct field *fields, size_t count)
{
    for (size_t f = 0; f < count; f++) {
        fprintf(stream, ", %s", fields[f].column);
    }
}

void store_load(struct store *store, const struct uuid *id, store_load_fn *done, void *arg)
{
    struct load_call *call = store_must(malloc(sizeof(*call)));
    struct pg_batch *batch = pg_batch_new();
    char id_text[UUID_TEXT_SIZE];
    const char *params[] = {id_text};
    struct text sql;

    *call = (struct load_call){.done = done, .arg = arg, .id = *id};
    uuid_format(id, id_text);
    pg_add(batch,
           "SELECT d.application_id, d.name, d.params, i.data, d.crash_count, d.suspended "
           "FROM deployment d JOIN image i ON "
           "i.id = d.image_id "
           "WHERE d.id = $1 AND d.state = 'running'",
           1, params);
    FILE *stream = text_begin(&sql);
    fputs("SELECT mc_key_id, mc_key_sealed", stream);
    put_columns(stream, transmission_fields, transmission_field_count);
    fputs(" FROM transmission WHERE deployment_id = $1", stream);
    char *statement = text_end(&sql);
    pg_add(batch, statement, 1, params);
    free(statement);
    stream = text_begin(&sql);
    fputs("SELECT dev_eui, lorawan_version", stream);
    put_columns(stream, device_fields, device_field_count);
    fputs(" FROM deployment_device WHERE deployment_id = $1 ORDER BY device_index", stream);
    statement = text_end(&sql);
    pg_add(batch, statement, 1, params);
    free(statement);
    pg_send(store->writer, batch, on_load, call);
}

/* clock answers */

struct clock_call {
    store_clock_fn *done;
    void *arg;
};

static void on_clock(void *arg, enum err err, const char *text, const struct pg_results *results)
{
    struct clock_call *call = arg;
    size_t count = err == ERR_OK ? pg_row_count(results, 0) : 0;
    uint64_t *dev_euis = store_must(calloc(count + 1, sizeof(*dev_euis)));
    uint32_t *f_cnts = store_must(calloc(count + 1, sizeof(*f_cnts)));

    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        err = eui64_parse(pg_text(results, 0, i, 0), &dev_euis[i]);
        f_cnts[i] = (uint32_t)pg_number(results, 0, i, 1);
    }
    call->done(call->arg, err, text, count, dev_euis, f_cnts);
    free(dev_euis);
    free(f_cnts);
    free(call);
}

void store_load_clock_answers(struct store *store, store_clock_fn *done, void *arg)
{
    struct clock_call *call = store_must(malloc(sizeof(*call)));
    struct pg_batch *batch = pg_batch_new();

    *call = (struct clock_call){.done = done, .arg = arg};
    pg_add(batch,
           "SELECT dev_eui, f_cnt FROM clock_answer WHERE updated_at > now() - interval '1 day'", 0,
           NULL);
    pg_send(store->writer, batch, on_clock, call);
}

/* starting */

/* That this transaction made it running: now() is the same all through a transaction, and no two
 * have the same. */
#define JUST_STARTED                                                                               \
    "EXISTS (SELECT 1 FROM deployment WHERE id = $1 AND state = 'running' AND started_at = now())"

char *bytea_text(const uint8_t *octets, size_t size)
{
    char *text = store_must(malloc(2 * size + 3));

    memcpy(text, "\\x", 2);
    hex_encode(octets, size, text + 2);
    return text;
}

static void add_transmission(struct pg_batch *batch, const struct store_start *start,
                             const char *id)
{
    const struct transmission nothing = {
        .next_number = 1, .last_number = start->params.fragment_count, .repeat_count = 1};
    char texts[PG_PARAMS_MAX][FIELD_TEXT_SIZE];
    char *sealed = bytea_text(start->mc_key_sealed, start->mc_key_sealed_size);
    const char *params[PG_PARAMS_MAX] = {id, start->mc_key_id, sealed};
    struct text sql;

    assert(transmission_field_count + 3 <= PG_PARAMS_MAX);
    FILE *stream = text_begin(&sql);

    fputs("INSERT INTO transmission (deployment_id, mc_key_id, mc_key_sealed", stream);
    put_columns(stream, transmission_fields, transmission_field_count);
    fputs(") SELECT $1, $2, $3", stream);
    for (size_t f = 0; f < transmission_field_count; f++) {
        field_format(&transmission_fields[f], &nothing, texts[f]);
        params[f + 3] = texts[f];
        fprintf(stream, ", $%zu", f + 4);
    }
    fputs(" WHERE " JUST_STARTED, stream);
    char *statement = text_end(&sql);
    pg_add(batch, statement, transmission_field_count + 3, params);
    free(statement);
    free(sealed);
}

static void add_device_facts(struct pg_batch *batch, const struct store_start *start,
                             const char *id)
{
    struct text columns[4];
    FILE *streams[4];
    char *arrays[4];
    const char *params[5] = {id};

    for (size_t c = 0; c < 4; c++) {
        streams[c] = text_begin(&columns[c]);
        fputc('{', streams[c]);
    }
    for (uint32_t i = 0; i < start->params.device_count; i++) {
        const char *comma = i > 0 ? "," : "";
        fprintf(streams[0], "%s%u", comma, i);
        fprintf(streams[1], "%s%u", comma, start->devices[i].uplink_interval_s);
        fprintf(streams[2], "%s%u", comma, start->devices[i].flags);
        fprintf(streams[3], "%s%u", comma, start->lorawan_versions[i]);
    }
    for (size_t c = 0; c < 4; c++) {
        fputc('}', streams[c]);
        params[c + 1] = arrays[c] = text_end(&columns[c]);
    }
    pg_add(
        batch,
        "UPDATE deployment_device t SET uplink_interval_s = u.i, flags = u.f, lorawan_version = "
        "u.v "
        "FROM unnest($2::integer[], $3::bigint[], $4::integer[], $5::integer[]) AS u(n, i, f, v) "
        "WHERE t.deployment_id = $1 AND t.device_index = u.n AND " JUST_STARTED,
        5, params);
    for (size_t c = 0; c < 4; c++) {
        free(arrays[c]);
    }
}

void store_start(struct store *store, const struct store_start *start, store_done_fn *done,
                 void *arg)
{
    struct pg_batch *batch = pg_batch_new();
    char id[UUID_TEXT_SIZE], request_id[UUID_TEXT_SIZE];
    char *json = format_params(&start->params);

    uuid_format(&start->deployment_id, id);
    uuid_format(&start->request_id, request_id);
    const char *params[] = {id, json, start->plan_json, start->warnings_json};
    pg_add(batch,
           "UPDATE deployment SET state = 'running', params = $2, plan = $3, "
           "problems = coalesce($4::jsonb, '[]'), started_at = now() "
           "WHERE id = $1 AND state IN ('draft', 'scheduled')",
           4, params);
    add_transmission(batch, start, id);
    add_device_facts(batch, start, id);
    const char *request_params[] = {id, request_id, start->plan_json, start->warnings_json};
    pg_add(batch,
           "UPDATE request SET state = 'done', plan = $3, problems = coalesce($4::jsonb, '[]'), "
           "done_at = now() WHERE id = $2 AND " JUST_STARTED,
           4, request_params);
    store_add_fence(batch, &start->fence);
    free(json);
    store_do(store->writer, batch, 0, ERR_WRONG_STATE, done, arg);
}

void store_add_request_done(struct pg_batch *batch, const struct uuid *request_id,
                            const char *detail)
{
    char id[UUID_TEXT_SIZE];
    const char *params[] = {id, detail};

    uuid_format(request_id, id);
    pg_add(batch, "UPDATE request SET state = 'done', detail = $2, done_at = now() WHERE id = $1",
           2, params);
}

void store_schedule(struct store *store, const struct store_fence *fence,
                    const struct uuid *deployment_id, const struct uuid *request_id,
                    store_done_fn *done, void *arg)
{
    struct pg_batch *batch = pg_batch_new();
    char id[UUID_TEXT_SIZE];
    const char *id_param = id;

    uuid_format(deployment_id, id);
    pg_add(batch,
           "UPDATE deployment SET state = 'scheduled', problems = '[]' WHERE id = $1 AND state = "
           "'draft'",
           1, &id_param);
    store_add_request_done(batch, request_id, "scheduled");
    store_add_fence(batch, fence);
    store_do(store->writer, batch, 0, ERR_WRONG_STATE, done, arg);
}

void store_request_due(struct store *store, const struct uuid *instance, int64_t now_ms,
                       store_json_fn *done, void *arg)
{
    char now[24], id[UUID_TEXT_SIZE];
    const char *params[] = {now, id};

    snprintf(now, sizeof(now), "%lld", (long long)now_ms);
    uuid_format(instance, id);
    store_ask_json(store->writer,
                   "WITH due AS (INSERT INTO request (id, kind, deployment_id) SELECT "
                   "gen_random_uuid(), 'start', d.id "
                   "FROM deployment d JOIN slot s ON s.slot_index = d.slot_index AND s.owner = $2 "
                   "WHERE d.state = 'scheduled' "
                   "AND d.start_at <= to_timestamp($1::bigint / 1000.0) "
                   "AND NOT EXISTS (SELECT 1 FROM request r WHERE r.deployment_id = d.id AND "
                   "r.state = 'open') "
                   "RETURNING id, kind, deployment_id) SELECT "
                   "coalesce(json_agg(json_build_object('id', due.id, 'kind', kind, "
                   "'deployment_id', deployment_id, 'slot', slot_index)), '[]') "
                   "FROM due JOIN deployment d ON d.id = due.deployment_id",
                   2, params, ERR_MISSING, done, arg);
}

void store_start_failed(struct store *store, const struct store_fence *fence,
                        const struct uuid *deployment_id, const struct uuid *request_id,
                        const char *detail, const char *problems_json, store_done_fn *done,
                        void *arg)
{
    struct pg_batch *batch = pg_batch_new();
    char id[UUID_TEXT_SIZE], request[UUID_TEXT_SIZE];

    uuid_format(deployment_id, id);
    uuid_format(request_id, request);
    const char *params[] = {id, problems_json};
    /* A second request may fail because the first one has started it. */
    pg_add(batch,
           "UPDATE deployment SET problems = $2, state = 'draft' WHERE id = $1 AND state IN "
           "('draft', 'scheduled')",
           2, params);
    const char *request_params[] = {request, detail, problems_json};
    pg_add(batch,
           "UPDATE request SET state = 'failed', detail = $2, problems = $3, done_at = now() WHERE "
           "id = $1",
           3, request_params);
    store_add_fence(batch, fence);
    store_do(store->writer, batch, 1, ERR_MISSING, done, arg);
}

void store_planned(struct store *store, const struct store_fence *fence,
                   const struct uuid *request_id, bool is_done, const char *problems_json,
                   const char *plan_json, store_done_fn *done, void *arg)
{
    struct pg_batch *batch = pg_batch_new();
    char request[UUID_TEXT_SIZE];
    const char *params[] = {request, is_done ? "done" : "failed", problems_json, plan_json};

    uuid_format(request_id, request);
    pg_add(batch,
           "UPDATE request SET state = $2, problems = $3, plan = $4, done_at = now() WHERE id = $1",
           4, params);
    store_add_fence(batch, fence);
    store_do(store->writer, batch, 0, ERR_MISSING, done, arg);
}

void store_read_draft(struct store *store, const struct uuid *deployment_id, store_json_fn *done,
                      void *arg)
{
    char id[UUID_TEXT_SIZE];
    const char *params[] = {id};

    uuid_format(deployment_id, id);
    store_ask_json(
        store->writer,
        "SELECT json_build_object('start_ms', (extract(epoch FROM d.start_at) * 1000)::bigint, "
        "'wish', d.wish, 'application_id', d.application_id, "
        "'image_size', i.size, "
        "'name', d.name, 'devices', (SELECT json_agg(json_build_object('dev_eui', v.dev_eui, "
        "'fragmentation_version', k.fragmentation_version, 'busy_in', (SELECT o.deployment_id FROM "
        "deployment_device o JOIN deployment r ON r.id = o.deployment_id WHERE o.dev_eui = "
        "v.dev_eui AND "
        "r.state = 'running' AND o.stage NOT IN ('delivered', 'failed') LIMIT 1)) ORDER BY "
        "v.device_index) "
        "FROM deployment_device v LEFT JOIN known_device k ON k.dev_eui = v.dev_eui WHERE "
        "v.deployment_id = d.id)) "
        "FROM deployment d JOIN image i ON i.id = d.image_id WHERE d.id = $1 AND d.state IN "
        "('draft', 'scheduled')",
        1, params, ERR_WRONG_STATE, done, arg);
}
