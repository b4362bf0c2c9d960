/* turn.c - what one turn of the loop changes, as one transaction. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "record.h"
#include "store_impl.h"

#define CHANGES_MAX 512 /* devices or notes of one statement */

struct store_turn {
    struct pg_batch *batch;
};

struct store_turn *store_turn_new(void)
{
    struct store_turn *turn = store_must(malloc(sizeof(*turn)));

    turn->batch = pg_batch_new();
    return turn;
}

void store_turn_free(struct store_turn *turn)
{
    pg_batch_free(turn->batch);
    free(turn);
}

struct pg_batch *store_turn_batch(struct store_turn *turn)
{
    return turn->batch;
}

bool store_turn_is_empty(const struct store_turn *turn)
{
    return pg_batch_is_empty(turn->batch);
}

void store_add_fence(struct pg_batch *batch, const struct store_fence *fence)
{
    char slot[12], epoch[24];
    const char *params[] = {slot, epoch};

    snprintf(slot, sizeof(slot), "%u", fence->slot);
    snprintf(epoch, sizeof(epoch), "%" PRIu64, fence->epoch);
    pg_add(batch, "SELECT fence($1, $2)", 2, params);
}

void store_turn_fence(struct store_turn *turn, const struct store_fence *fence)
{
    store_add_fence(turn->batch, fence);
}

static void save_transmission(struct store_turn *turn, const char *id, const struct transmission *t)
{
    char texts[32][FIELD_TEXT_SIZE];
    const char *params[32] = {id};
    struct text sql;
    FILE *stream = text_begin(&sql);

    fputs("UPDATE transmission SET ", stream);
    for (size_t f = 0; f < transmission_field_count; f++) {
        field_format(&transmission_fields[f], t, texts[f]);
        params[f + 1] = texts[f];
        fprintf(stream, "%s%s = $%zu", f > 0 ? ", " : "", transmission_fields[f].column, f + 2);
    }
    fputs(" WHERE deployment_id = $1", stream);
    char *statement = text_end(&sql);
    pg_add(turn->batch, statement, transmission_field_count + 1, params);
    free(statement);
}

/* UPDATE ... FROM unnest(arrays): one statement for any number of devices. */
static void save_devices(struct store_turn *turn, const char *id, const struct deployment *d,
                         const uint32_t *indices, size_t count)
{
    const char *params[PG_PARAMS_MAX] = {id};
    char *arrays[PG_PARAMS_MAX] = {NULL};
    char text[FIELD_TEXT_SIZE];
    struct text sql, array;
    FILE *stream = text_begin(&array);

    fputc('{', stream);
    for (size_t i = 0; i < count; i++) {
        fprintf(stream, "%s%" PRIu32, i > 0 ? "," : "", indices[i]);
    }
    fputc('}', stream);
    arrays[1] = text_end(&array);
    for (size_t f = 0; f < device_field_count; f++) {
        stream = text_begin(&array);
        fputc('{', stream);
        for (size_t i = 0; i < count; i++) {
            field_format(&device_fields[f], deployment_get_device(d, indices[i]), text);
            fprintf(stream, "%s%s", i > 0 ? "," : "", text);
        }
        fputc('}', stream);
        arrays[f + 2] = text_end(&array);
    }
    stream = text_begin(&sql);
    fputs("UPDATE deployment_device t SET updated_at = now()", stream);
    for (size_t f = 0; f < device_field_count; f++) {
        fprintf(stream, ", %s = u.%s", device_fields[f].column, device_fields[f].column);
    }
    fputs(" FROM unnest($2::integer[]", stream);
    for (size_t f = 0; f < device_field_count; f++) {
        fprintf(stream, ", $%zu::%s[]", f + 3, field_sql_type(&device_fields[f]));
    }
    fputs(") AS u(device_index", stream);
    for (size_t f = 0; f < device_field_count; f++) {
        fprintf(stream, ", %s", device_fields[f].column);
    }
    fputs(") WHERE t.deployment_id = $1 AND t.device_index = u.device_index", stream);
    char *statement = text_end(&sql);
    for (size_t p = 1; p < device_field_count + 2; p++) {
        params[p] = arrays[p];
    }
    pg_add(turn->batch, statement, device_field_count + 2, params);
    free(statement);
    for (size_t p = 1; p < device_field_count + 2; p++) {
        free(arrays[p]);
    }
}

/* What a note says, for people. */
static void note_text(const struct deployment_note *n, char *text, size_t size)
{
    const char *command = device_command_name((enum device_command)n->value);
    long long value = (long long)n->value;

    switch (n->kind) {
    case NOTE_STATE:
        snprintf(text, size, "the transmission is in %s",
                 transmission_state_name((enum transmission_state)n->value));
        break;
    case NOTE_STAGE:
        if (n->detail != REASON_NONE) {
            snprintf(text, size, "%s: %s", device_stage_name((enum device_stage)n->value),
                     reason_text((enum reason)n->detail));
        } else {
            snprintf(text, size, "stage %s", device_stage_name((enum device_stage)n->value));
        }
        break;
    case NOTE_COMMAND:
        snprintf(text, size, "%s goes to the network server, attempt %u", command, n->detail);
        break;
    case NOTE_SENT:
        snprintf(text, size, "%s was sent by a gateway", command);
        break;
    case NOTE_NOT_SENT:
        snprintf(text, size, "%s never left the network server", command);
        break;
    case NOTE_NO_ANSWER:
        snprintf(text, size, "no answer to %s", command);
        break;
    case NOTE_REFUSED:
        snprintf(text, size, "the device refused %s with status 0x%02x", command, n->detail);
        break;
    case NOTE_CLOCK_WRONG:
        snprintf(text, size, "the device's clock is wrong by %lld s, or it has none", value);
        break;
    case NOTE_STATUS:
        snprintf(text, size, "the device says: %lld received, %u missing", value, n->detail);
        break;
    case NOTE_JOIN:
        snprintf(text, size, "the device joined");
        break;
    case NOTE_CALL_FAILED:
        snprintf(text, size, "the network server did not take %s%s", command,
                 n->detail != 0 ? " and never will" : "");
        break;
    case NOTE_BAD_ANSWER:
        snprintf(text, size, "an answer on FPort %lld could not be read: %s", value,
                 err_text((enum err)n->detail));
        break;
    case NOTE_COUNTER_JUMP:
        snprintf(text, size,
                 "the group's counter is %lld where %u was expected: somebody else uses the group",
                 value, n->detail);
        break;
    case NOTE_SESSION_MOVED:
        snprintf(text, size, "too few devices are ready: SessionTime moves to Unix time %lld",
                 value);
        break;
    case NOTE_TAKEN_OVER:
        snprintf(
            text, size,
            "another daemon takes the transmission over, goes on with fragment %lld, and sends "
            "%u of the old queue anew",
            value, n->detail);
        break;
    case NOTE_SESSION_FULL:
        snprintf(text, size, "the session ends before fragment %lld", value);
        break;
    case NOTE_KIND_COUNT:
        snprintf(text, size, "?");
        break;
    }
}

static void save_notes(struct store_turn *turn, const char *id, const struct deployment *d,
                       const struct deployment_note *notes, size_t count)
{
    struct text columns[6];
    FILE *streams[6];
    char *arrays[6];
    const char *params[7] = {id};

    for (size_t c = 0; c < 6; c++) {
        streams[c] = text_begin(&columns[c]);
        fputc('{', streams[c]);
    }
    for (size_t i = 0; i < count; i++) {
        const struct deployment_note *n = &notes[i];
        char eui[EUI64_TEXT_SIZE], text[200];
        bool is_first = i == 0;
        if (n->device_index != NOTE_NO_DEVICE) {
            eui64_format(deployment_get_device(d, n->device_index)->dev_eui, eui);
        }
        note_text(n, text, sizeof(text));
        text_put_element(streams[0], n->device_index == NOTE_NO_DEVICE ? NULL : eui, is_first);
        fprintf(streams[1], "%s%" PRId64, is_first ? "" : ",", n->at_ms);
        text_put_element(streams[2], note_kind_name(n->kind), is_first);
        text_put_element(streams[3], text, is_first);
        fprintf(streams[4], "%s%" PRId64, is_first ? "" : ",", n->value);
        fprintf(streams[5], "%s%" PRIu32, is_first ? "" : ",", n->detail);
    }
    for (size_t c = 0; c < 6; c++) {
        fputc('}', streams[c]);
        params[c + 1] = arrays[c] = text_end(&columns[c]);
    }
    pg_add(turn->batch,
           "INSERT INTO event (deployment_id, dev_eui, at_ms, kind, text, value, detail) "
           "SELECT $1, u.* FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[], "
           "$6::bigint[], "
           "$7::bigint[]) AS u",
           7, params);
    for (size_t c = 0; c < 6; c++) {
        free(arrays[c]);
    }
}

void store_turn_save(struct store_turn *turn, const struct uuid *deployment_id,
                     struct deployment *d)
{
    uint32_t indices[CHANGES_MAX];
    struct deployment_note notes[CHANGES_MAX];
    char id[UUID_TEXT_SIZE];
    size_t count;

    uuid_format(deployment_id, id);
    if (deployment_take_transmission_change(d)) {
        save_transmission(turn, id, deployment_get_transmission(d));
    }
    while ((count = deployment_take_device_changes(d, indices, CHANGES_MAX)) > 0) {
        save_devices(turn, id, d, indices, count);
    }
    while ((count = deployment_take_notes(d, notes, CHANGES_MAX)) > 0) {
        save_notes(turn, id, d, notes, count);
    }
}

void store_turn_frame(struct store_turn *turn, const struct uuid *deployment_id,
                      const struct deployment *d, const struct deployment_action *action)
{
    char id[UUID_TEXT_SIZE], f_cnt[24], kind[24], number[24], planned[24];
    const char *params[] = {id, f_cnt, kind, number, planned};

    uuid_format(deployment_id, id);
    snprintf(f_cnt, sizeof(f_cnt), "%" PRIu32, action->f_cnt);
    snprintf(kind, sizeof(kind), "%d", (int)action->frame_kind);
    snprintf(number, sizeof(number), "%u", action->number);
    snprintf(planned, sizeof(planned), "%" PRId64,
             deployment_get_transmission(d)->frame_emission_ms);
    /* The same frame again: its call certainly failed before. */
    pg_add(
        turn->batch,
        "INSERT INTO frame (deployment_id, f_cnt, kind, number, planned_ms) VALUES ($1, $2, $3, "
        "$4, $5) "
        "ON CONFLICT (deployment_id, f_cnt, number) DO UPDATE SET planned_ms = excluded.planned_ms",
        5, params);
}

/* What is over needs its multicast key no more. */
static void forget_key(struct store_turn *turn, const char *id)
{
    pg_add(
        turn->batch,
        "UPDATE transmission SET mc_key_id = '', mc_key_sealed = '' WHERE deployment_id = $1 AND "
        "EXISTS (SELECT 1 FROM deployment WHERE id = $1 AND state <> 'running')",
        1, &id);
}

void store_turn_finish(struct store_turn *turn, const struct uuid *deployment_id, const char *state)
{
    char id[UUID_TEXT_SIZE];
    const char *params[] = {id, state};

    uuid_format(deployment_id, id);
    pg_add(turn->batch, "UPDATE deployment SET state = $2, finished_at = now() WHERE id = $1", 2,
           params);
    forget_key(turn, id);
}

void store_turn_abort(struct store_turn *turn, const struct uuid *deployment_id)
{
    char id[UUID_TEXT_SIZE];
    const char *params[] = {id};

    uuid_format(deployment_id, id);
    pg_add(turn->batch,
           "UPDATE deployment SET state = 'aborted', finished_at = now() "
           "WHERE id = $1 AND state IN ('scheduled', 'running')",
           1, params);
    pg_add(turn->batch, "DELETE FROM held_event WHERE deployment_id = $1", 1, params);
    forget_key(turn, id);
}

void store_turn_request_done(struct store_turn *turn, const struct uuid *request_id, bool is_done,
                             const char *detail, const char *problems_json)
{
    char id[UUID_TEXT_SIZE];
    const char *params[] = {id, is_done ? "done" : "failed", detail, problems_json};

    uuid_format(request_id, id);
    pg_add(turn->batch,
           "UPDATE request SET state = $2, detail = $3, problems = coalesce($4::jsonb, '[]'), "
           "done_at = now() "
           "WHERE id = $1 AND state = 'open'",
           4, params);
}

void store_turn_version_known(struct store_turn *turn, uint64_t dev_eui, int version)
{
    char eui[EUI64_TEXT_SIZE], number[12];
    const char *params[] = {eui, number};

    eui64_format(dev_eui, eui);
    snprintf(number, sizeof(number), "%d", version);
    pg_add(turn->batch,
           "INSERT INTO known_device (dev_eui, fragmentation_version) VALUES ($1, $2) "
           "ON CONFLICT (dev_eui) DO UPDATE SET fragmentation_version = "
           "excluded.fragmentation_version, "
           "updated_at = now()",
           2, params);
}

void store_turn_clock_answer(struct store_turn *turn, uint64_t dev_eui, uint32_t f_cnt)
{
    char eui[EUI64_TEXT_SIZE], number[16];
    const char *params[] = {eui, number};

    eui64_format(dev_eui, eui);
    snprintf(number, sizeof(number), "%" PRIu32, f_cnt);
    pg_add(turn->batch,
           "INSERT INTO clock_answer (dev_eui, f_cnt) VALUES ($1, $2) "
           "ON CONFLICT (dev_eui) DO UPDATE SET f_cnt = excluded.f_cnt, updated_at = now()",
           2, params);
}

struct commit_call {
    store_done_fn *done;
    void *arg;
};

static void on_commit(void *arg, enum err err, const char *text, const struct pg_results *results)
{
    struct commit_call *call = arg;

    (void)results;
    call->done(call->arg, err, text);
    free(call);
}

void store_turn_commit(struct store *store, struct store_turn *turn, store_done_fn *done, void *arg)
{
    struct commit_call *call = store_must(malloc(sizeof(*call)));

    *call = (struct commit_call){.done = done, .arg = arg};
    pg_send(store->writer, turn->batch, on_commit, call);
    free(turn);
}
