/* api.c - the questions of the HTTP API; PostgreSQL builds the JSON. */
#include <stdlib.h>
#include <string.h>

#include "store_impl.h"

#define TIME(expression)                                                                           \
    "to_char(" expression " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
#define TIME_MS(column)                                                                            \
    "CASE WHEN " column                                                                            \
    " > 0 THEN " TIME("to_timestamp(" column "::double precision / 1000)") " END"

#define IMAGE_JSON                                                                                 \
    "json_build_object('id', i.id, 'name', i.name, 'version', i.version, 'hardware', i.hardware, " \
    "'base_version', i.base_version, 'sha256', encode(i.sha256, 'hex'), 'size', i.size, "          \
    "'created_at', " TIME("i.created_at") ")"

/* images */

void store_image_add(struct store *store, const struct store_image *image, store_json_fn *done,
                     void *arg)
{
    char id[UUID_TEXT_SIZE], sha256[67] = "\\x";
    char *data = store_must(malloc(2 * image->size + 3));

    uuid_format(&image->id, id);
    hex_encode(image->sha256, 32, sha256 + 2);
    memcpy(data, "\\x", 2);
    hex_encode(image->data, image->size, data + 2);
    const char *params[] = {
        id, image->name, image->version, image->hardware, image->base_version, sha256, data};
    store_ask_json(
        store->writer,
        "INSERT INTO image AS i (id, name, version, hardware, base_version, sha256, data, size) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, length($7::bytea)) RETURNING " IMAGE_JSON,
        7, params, ERR_MISSING, done, arg);
    free(data);
}

void store_image_list(struct store *store, store_json_fn *done, void *arg)
{
    store_ask_json(store->reader,
                   "SELECT json_build_object('images', coalesce(json_agg(" IMAGE_JSON
                   " ORDER BY i.created_at, i.id), '[]')) FROM image i",
                   0, NULL, ERR_MISSING, done, arg);
}

void store_image_get(struct store *store, const char *id, store_json_fn *done, void *arg)
{
    store_ask_json(store->reader, "SELECT " IMAGE_JSON " FROM image i WHERE i.id = $1", 1, &id,
                   ERR_MISSING, done, arg);
}

/* Deletes unless something forbids it; tells "not there" from "forbidden". */
struct delete_call {
    store_done_fn *done;
    void *arg;
};

static void on_delete(void *arg, enum err err, const char *text, const struct pg_results *results)
{
    struct delete_call *call = arg;

    if (err == ERR_OK && pg_affected(results, 1) == 0) {
        err = pg_row_count(results, 0) == 0 ? ERR_MISSING : ERR_WRONG_STATE;
        text = err_text(err);
    }
    call->done(call->arg, err, text);
    free(call);
}

static void delete_unless(struct store *store, const char *exists_sql, const char *delete_sql,
                          const char *id, store_done_fn *done, void *arg)
{
    struct delete_call *call = store_must(malloc(sizeof(*call)));
    struct pg_batch *batch = pg_batch_new();

    *call = (struct delete_call){.done = done, .arg = arg};
    pg_add(batch, exists_sql, 1, &id);
    pg_add(batch, delete_sql, 1, &id);
    pg_send(store->writer, batch, on_delete, call);
}

void store_image_delete(struct store *store, const char *id, store_done_fn *done, void *arg)
{
    delete_unless(store, "SELECT 1 FROM image WHERE id = $1",
                  "DELETE FROM image WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM deployment WHERE "
                  "image_id = $1)",
                  id, done, arg);
}

/* deployments */

/* clang-format off */
#define NUMBER(name) "(d.params->>'" name "')::bigint"

/* The gap between two frames as deployment_gap_ms() has it, and longer while gateways refuse. */
#define GAP_MS \
    "(1 << t.slowness) * greatest(" NUMBER("margin_ms") " * greatest(1, length(t.gateways) - length(replace(t.gateways, '*', ''))), " \
    "(" NUMBER("frame_airtime_ms") " / (d.params->>'duty_cycle')::double precision)::bigint, " NUMBER("min_gap_ms") ")"

/* Milliseconds until the last planned fragment is out. */
#define REMAINING_MS "(t.last_number + 1 - t.next_number) * " GAP_MS

#define COUNTS(column, condition) \
    "(SELECT coalesce(json_object_agg(s.name, s.n), '{}') FROM (SELECT " column " AS name, count(*) AS n " \
    "FROM deployment_device WHERE deployment_id = d.id AND " condition " GROUP BY 1) s)"

#define DEPLOYMENT_JSON \
    "json_build_object('id', d.id, 'name', d.name, 'state', d.state, 'transmission_state', t.state, " \
    "'image_id', d.image_id, 'image_name', i.name, 'image_version', i.version, 'image_size', i.size, " \
    "'image_sha256', encode(i.sha256, 'hex'), 'application_id', d.application_id, " \
    "'device_count', d.device_count, 'stages', " COUNTS("stage", "true") ", " \
    "'reasons', " COUNTS("reason", "reason <> 'none'") ", " \
    "'fragment_size', " NUMBER("fragment_size") ", 'fragment_count', " NUMBER("fragment_count") ", " \
    "'coded_count', " NUMBER("coded_count") ", 'fragments_sent', t.next_number - 1, " \
    "'fragments_total', t.last_number, 'frames_sent', t.frame_count, 'frames_refused', t.refused_count, 'slowed', 1 << t.slowness, 'round', t.round, " \
    "'rounds_max', " NUMBER("rounds_max") ", 'session_number', t.session_number, " \
    "'repair_number', t.repair_number, 'is_paused', coalesce(t.is_paused, false), " \
    "'region', d.params->>'region', 'data_rate', " NUMBER("data_rate") ", " \
    "'frequency_hz', " NUMBER("frequency_hz") ", 'session_time', " TIME_MS("t.session_time_ms") ", " \
    "'session_end', CASE WHEN t.session_time_ms > 0 THEN " TIME("to_timestamp(t.session_time_ms / 1000 + " \
    "(1 << t.time_out))") " END, " \
    "'remaining_s', CASE WHEN t.state = 'transmit' THEN " REMAINING_MS " / 1000.0 END, " \
    "'estimated_end', CASE WHEN t.state = 'transmit' THEN " \
    TIME("to_timestamp((t.next_emission_ms + " REMAINING_MS ")::double precision / 1000)") " END, " \
    "'created_at', " TIME("d.created_at") ", 'started_at', " TIME("d.started_at") ", " \
    "'finished_at', " TIME("d.finished_at") ", 'start_at', " TIME("d.start_at") ", 'problems', d.problems, " \
    "'suspended', d.suspended, 'plan', d.plan)"

#define DEPLOYMENT_FROM                                                                            \
    " FROM deployment d JOIN image i ON i.id = d.image_id LEFT JOIN transmission t ON "            \
    "t.deployment_id = d.id "
/* clang-format on */

void store_deployment_add(struct store *store, const struct store_draft *draft, store_json_fn *done,
                          void *arg)
{
    char id[UUID_TEXT_SIZE], count[16];
    struct text array;
    FILE *stream = text_begin(&array);

    uuid_format(&draft->id, id);
    snprintf(count, sizeof(count), "%zu", draft->device_count);
    fputc('{', stream);
    for (size_t i = 0; i < draft->device_count; i++) {
        char eui[EUI64_TEXT_SIZE];
        eui64_format(draft->dev_euis[i], eui);
        text_put_element(stream, eui, i == 0);
    }
    fputc('}', stream);
    char *euis = text_end(&array);
    const char *params[] = {id,
                            draft->name,
                            draft->image_id,
                            draft->application_id,
                            draft->wish_json,
                            count,
                            draft->start_at,
                            euis};
    /* One statement, so that the answer is built from what it inserted. */
    store_ask_json(
        store->writer,
        "WITH image_row AS (SELECT * FROM image WHERE id = $3), "
        "added AS (INSERT INTO deployment (id, name, image_id, application_id, wish, device_count, "
        "start_at) SELECT $1, $2, id, $4, $5::jsonb, $6, $7 FROM image_row RETURNING *), "
        "devices AS (INSERT INTO deployment_device (deployment_id, device_index, dev_eui) "
        "SELECT added.id, u.n - 1, u.dev_eui FROM added, "
        "unnest($8::text[]) WITH ORDINALITY AS u(dev_eui, n) RETURNING 1) "
        "SELECT json_build_object('id', d.id, 'name', d.name, 'state', d.state, "
        "'transmission_state', NULL, 'image_id', d.image_id, 'image_name', i.name, "
        "'image_version', i.version, 'image_size', i.size, 'image_sha256', encode(i.sha256, "
        "'hex'), "
        "'application_id', d.application_id, 'device_count', d.device_count, "
        "'stages', json_build_object('version', d.device_count), 'reasons', '{}'::json, "
        "'fragment_size', NULL, 'fragment_count', NULL, 'coded_count', NULL, 'fragments_sent', "
        "NULL, "
        "'fragments_total', NULL, 'frames_sent', NULL, 'frames_refused', NULL, 'slowed', NULL, "
        "'region', NULL, 'data_rate', NULL, "
        "'frequency_hz', NULL, 'round', NULL, 'rounds_max', NULL, 'session_number', NULL, "
        "'repair_number', NULL, 'is_paused', false, 'session_time', NULL, 'session_end', NULL, "
        "'remaining_s', NULL, 'estimated_end', NULL, "
        "'created_at', " TIME(
            "d.created_at") ", 'started_at', NULL, 'finished_at', NULL, "
                            "'start_at', " TIME(
                                "d.start_at") ", 'problems', '[]'::json, 'suspended', NULL, "
                                              "'plan', NULL) FROM "
                                              "added d, image_row i",
        8, params, ERR_MISSING, done, arg);
    free(euis);
}

void store_deployment_list(struct store *store, store_json_fn *done, void *arg)
{
    store_ask_json(store->reader,
                   "SELECT json_build_object('deployments', coalesce(json_agg(" DEPLOYMENT_JSON
                   " ORDER BY d.created_at, d.id), '[]'))" DEPLOYMENT_FROM,
                   0, NULL, ERR_MISSING, done, arg);
}

void store_deployment_get(struct store *store, const char *id, store_json_fn *done, void *arg)
{
    store_ask_json(store->reader, "SELECT " DEPLOYMENT_JSON DEPLOYMENT_FROM "WHERE d.id = $1", 1,
                   &id, ERR_MISSING, done, arg);
}

void store_deployment_delete(struct store *store, const char *id, store_done_fn *done, void *arg)
{
    delete_unless(store, "SELECT 1 FROM deployment WHERE id = $1",
                  "DELETE FROM deployment WHERE id = $1 AND state <> 'running'", id, done, arg);
}

void store_deployment_devices(struct store *store, const char *id, const char *stage,
                              unsigned limit, unsigned offset, store_json_fn *done, void *arg)
{
    char limit_text[16], offset_text[16];
    const char *params[] = {id, stage, limit_text, offset_text};

    snprintf(limit_text, sizeof(limit_text), "%u", limit);
    snprintf(offset_text, sizeof(offset_text), "%u", offset);
    store_ask_json(
        store->reader,
        "SELECT json_build_object('total', (SELECT count(*) FROM deployment_device WHERE "
        "deployment_id = d.id AND ($2::text IS NULL OR stage = $2)), 'devices', coalesce((SELECT "
        "json_agg(json_build_object('dev_eui', v.dev_eui, 'stage', v.stage, 'reason', v.reason, "
        "'reason_bits', v.reason_bits, 'command', v.command, 'call', v.call, "
        "'attempts', v.sent_count + v.unsent_count, 'received_count', v.received_count, "
        "'missing_count', v.missing_count, 'last_uplink_at', " TIME_MS(
            "v.last_uplink_ms") ", "
                                "'updated_at', " TIME(
                                    "v.updated_at") ") ORDER BY v.device_index) FROM (SELECT * "
                                                    "FROM "
                                                    "deployment_device WHERE deployment_id = d.id "
                                                    "AND ($2::text IS NULL OR stage = $2) "
                                                    "ORDER BY device_index LIMIT $3::bigint OFFSET "
                                                    "$4::bigint) v), '[]')) FROM deployment d "
                                                    "WHERE d.id = $1",
        4, params, ERR_MISSING, done, arg);
}

void store_deployment_retry_source(struct store *store, const char *id, store_json_fn *done,
                                   void *arg)
{
    store_ask_json(
        store->reader,
        "SELECT json_build_object('wish', d.wish, 'image_id', d.image_id, "
        "'application_id', d.application_id, 'name', d.name, 'devices', (SELECT json_agg(dev_eui "
        "ORDER "
        "BY device_index) FROM deployment_device WHERE deployment_id = d.id AND stage = 'failed')) "
        "FROM deployment d WHERE d.id = $1 AND d.state IN ('partial', 'failed', 'aborted') "
        "AND EXISTS (SELECT 1 FROM deployment_device WHERE deployment_id = d.id AND stage = "
        "'failed')",
        1, &id, ERR_WRONG_STATE, done, arg);
}

/* requests */

#define REQUEST_JSON                                                                               \
    "json_build_object('id', r.id, 'kind', r.kind, 'deployment_id', r.deployment_id, 'state', "    \
    "r.state, "                                                                                    \
    "'detail', r.detail, 'problems', r.problems, 'plan', r.plan, 'created_at', " TIME(             \
        "r.created_at") ", "                                                                       \
                        "'done_at', " TIME("r.done_at") ")"

void store_request_add(struct store *store, const struct uuid *id, const char *kind,
                       const char *deployment_id, store_json_fn *done, void *arg)
{
    char id_text[UUID_TEXT_SIZE];
    const char *params[] = {id_text, kind, deployment_id};

    uuid_format(id, id_text);
    store_ask_json(
        store->writer,
        "WITH d AS (SELECT * FROM deployment WHERE id = $3 AND CASE $2::text "
        "WHEN 'start' THEN state IN ('draft', 'scheduled') "
        "WHEN 'plan' THEN state IN ('draft', 'scheduled') "
        "WHEN 'abort' THEN state IN ('running', 'scheduled') "
        "WHEN 'pause' THEN state = 'running' AND suspended IS NULL AND NOT EXISTS (SELECT 1 "
        "FROM transmission t WHERE t.deployment_id = deployment.id AND t.is_paused) "
        "ELSE state = 'running' AND (suspended IS NOT NULL OR EXISTS (SELECT 1 "
        "FROM transmission t WHERE t.deployment_id = deployment.id AND t.is_paused)) "
        "END), "
        "told AS (SELECT pg_notify('fuotad', 'request ' || d.slot_index) FROM d), "
        "r AS (INSERT INTO request (id, kind, deployment_id) "
        "SELECT $1, $2::text, d.id FROM d, told RETURNING *) "
        "SELECT " REQUEST_JSON " FROM r",
        3, params, ERR_WRONG_STATE, done, arg);
}

void store_request_get(struct store *store, const char *id, store_json_fn *done, void *arg)
{
    store_ask_json(store->reader, "SELECT " REQUEST_JSON " FROM request r WHERE r.id = $1", 1, &id,
                   ERR_MISSING, done, arg);
}

void store_request_open(struct store *store, unsigned slot, store_json_fn *done, void *arg)
{
    char index[12];
    const char *params[] = {index};

    snprintf(index, sizeof(index), "%u", slot);
    store_ask_json(
        store->writer,
        "SELECT coalesce(json_agg(json_build_object('id', r.id, 'kind', r.kind, 'deployment_id', "
        "r.deployment_id, 'slot', d.slot_index) ORDER BY r.created_at, r.id), '[]') FROM request r "
        "JOIN deployment d ON d.id = r.deployment_id WHERE r.state = 'open' AND d.slot_index = $1",
        1, params, ERR_MISSING, done, arg);
}

/* the rest */

void store_device_timeline(struct store *store, const char *dev_eui, store_json_fn *done, void *arg)
{
    store_ask_json(
        store->reader,
        "SELECT json_build_object('dev_eui', $1::text, 'deployments', coalesce((SELECT "
        "json_agg(json_build_object('id', d.id, "
        "'name', d.name, 'state', d.state, 'stage', v.stage, 'reason', v.reason) ORDER BY "
        "d.created_at) "
        "FROM deployment_device v JOIN deployment d ON d.id = v.deployment_id WHERE v.dev_eui = "
        "$1), '[]'), "
        "'gateways', coalesce((SELECT json_agg(json_build_object('gateway_id', h.gateway_id, "
        "'heard_at', " TIME_MS(
            "h.heard_ms") ") ORDER BY h.heard_ms DESC, h.gateway_id) FROM heard h WHERE h.dev_eui "
                          "= $1), '[]'), "
                          "'events', coalesce((SELECT json_agg(json_build_object('at', " TIME_MS(
                              "e.at_ms") ", 'deployment_id', "
                                         "e.deployment_id, 'kind', e.kind, 'text', e.text, "
                                         "'value', e.value, "
                                         "'detail', e.detail) ORDER BY e.id) "
                                         "FROM (SELECT * FROM event WHERE dev_eui = $1 ORDER BY id "
                                         "DESC LIMIT 500) "
                                         "e), '[]')) "
                                         "WHERE EXISTS (SELECT 1 FROM deployment_device WHERE "
                                         "dev_eui = $1) OR "
                                         "EXISTS (SELECT 1 FROM heard WHERE dev_eui = $1)",
        1, &dev_eui, ERR_MISSING, done, arg);
}

void store_counts(struct store *store, store_json_fn *done, void *arg)
{
    store_ask_json(
        store->reader,
        "SELECT json_build_object('deployments', (SELECT "
        "coalesce(json_object_agg(s.state, s.n), '{}') FROM (SELECT state, count(*) AS n "
        "FROM deployment GROUP BY state) s), 'seal_keys', (SELECT "
        "coalesce(json_object_agg(k.id, k.n), '{}') FROM (SELECT t.mc_key_id AS id, "
        "count(*) AS n FROM transmission t JOIN deployment d ON d.id = t.deployment_id "
        "WHERE d.state = 'running' GROUP BY t.mc_key_id) k))",
        0, NULL, ERR_MISSING, done, arg);
}

void store_tokens(struct store *store, store_json_fn *done, void *arg)
{
    store_ask_json(store->writer,
                   "SELECT coalesce(json_agg(json_build_object('sha256', encode(sha256, 'hex'), "
                   "'access', access)), "
                   "'[]') FROM api_token",
                   0, NULL, ERR_MISSING, done, arg);
}

void store_token_add(struct store *store, const char *name, const uint8_t sha256[32],
                     const char *access, store_done_fn *done, void *arg)
{
    char hash[67] = "\\x";
    const char *params[] = {hash, name, access};
    struct pg_batch *batch = pg_batch_new();

    hex_encode(sha256, 32, hash + 2);
    pg_add(batch, "INSERT INTO api_token (sha256, name, access) VALUES ($1, $2, $3)", 3, params);
    store_do(store->writer, batch, 0, ERR_REFUSED, done, arg);
}
