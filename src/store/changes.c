#include "changes.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "record.h"
#include "store_impl.h"

#define ROWS_FIRST 16

/* Where a row belongs: one statement must not touch a row twice. */
struct key {
    struct uuid deployment_id;
    uint32_t number, second_number; /* device_index; or f_cnt and number of a frame */
    size_t at;                      /* in the order of adding */
};

struct device_row {
    struct key key;
    struct device device;
};

struct transmission_row {
    struct key key;
    struct transmission transmission;
};

struct frame_row {
    struct key key;
    enum frame_kind kind;
    int64_t planned_ms;
};

struct note_row {
    struct key key;
    uint64_t dev_eui;
    struct deployment_note note;
};

/* Rows of one kind; each begins with its key. */
struct rows {
    size_t row_size, count, capacity;
    char *rows;
};

struct changes {
    struct rows devices, transmissions, frames, notes;
};

struct changes *changes_new(void)
{
    struct changes *changes = store_must(calloc(1, sizeof(*changes)));

    changes->devices.row_size = sizeof(struct device_row);
    changes->transmissions.row_size = sizeof(struct transmission_row);
    changes->frames.row_size = sizeof(struct frame_row);
    changes->notes.row_size = sizeof(struct note_row);
    return changes;
}

void changes_free(struct changes *changes)
{
    free(changes->devices.rows);
    free(changes->transmissions.rows);
    free(changes->frames.rows);
    free(changes->notes.rows);
    free(changes);
}

bool changes_are_none(const struct changes *changes)
{
    return changes->devices.count == 0 && changes->transmissions.count == 0 &&
           changes->frames.count == 0 && changes->notes.count == 0;
}

/* adding */

static void *add_row(struct rows *rows, const struct uuid *deployment_id, uint32_t number,
                     uint32_t second_number)
{
    if (rows->count == rows->capacity) {
        rows->capacity = rows->capacity == 0 ? ROWS_FIRST : 2 * rows->capacity;
        rows->rows = store_must(realloc(rows->rows, rows->capacity * rows->row_size));
    }
    struct key *key = (void *)(rows->rows + rows->row_size * rows->count);
    *key = (struct key){*deployment_id, number, second_number, rows->count++};
    return key;
}

void changes_add_device(struct changes *changes, const struct uuid *deployment_id, uint32_t index,
                        const struct device *device)
{
    struct device_row *row = add_row(&changes->devices, deployment_id, index, 0);

    row->device = *device;
}

void changes_add_transmission(struct changes *changes, const struct uuid *deployment_id,
                              const struct transmission *transmission)
{
    struct transmission_row *row = add_row(&changes->transmissions, deployment_id, 0, 0);

    row->transmission = *transmission;
}

void changes_add_frame(struct changes *changes, const struct uuid *deployment_id,
                       const struct deployment_action *action, int64_t planned_ms)
{
    struct frame_row *row = add_row(&changes->frames, deployment_id, action->f_cnt, action->number);

    row->kind = action->frame_kind;
    row->planned_ms = planned_ms;
}

void changes_add_note(struct changes *changes, const struct uuid *deployment_id, uint64_t dev_eui,
                      const struct deployment_note *note)
{
    struct note_row *row = add_row(&changes->notes, deployment_id, 0, 0);

    row->dev_eui = dev_eui;
    row->note = *note;
}

/* of rows with the same key the last one stays */

static int compare_numbers(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_places(const struct key *a, const struct key *b)
{
    int order = memcmp(&a->deployment_id, &b->deployment_id, sizeof(a->deployment_id));

    order = order != 0 ? order : compare_numbers(a->number, b->number);
    return order != 0 ? order : compare_numbers(a->second_number, b->second_number);
}

static int compare_keys(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    int order = compare_places(x, y);

    return order != 0 ? order : compare_numbers(x->at, y->at);
}

/* Rows in the order of their keys also find the pages of their table one after the other. */
static void keep_last(struct rows *rows)
{
    size_t kept = 0;

    if (rows->count == 0) {
        return;
    }
    qsort(rows->rows, rows->count, rows->row_size, compare_keys);
    for (size_t i = 1; i < rows->count; i++) {
        const void *row = rows->rows + i * rows->row_size;
        void *last = rows->rows + kept * rows->row_size;
        if (compare_places(row, last) != 0) {
            kept++;
        }
        memmove(rows->rows + kept * rows->row_size, row, rows->row_size);
    }
    rows->count = kept + 1;
}

/* statements */

/* One array for each column, in the order of the statement's parameters. */
struct columns {
    struct pg_array arrays[PG_PARAMS_MAX];
    size_t count;
};

static struct pg_array *add_column(struct columns *columns, enum pg_type type)
{
    struct pg_array *array = &columns->arrays[columns->count++];

    pg_array_init(array, type);
    return array;
}

static void add_fields(struct columns *columns, const struct field *fields, size_t field_count,
                       const struct rows *rows, size_t record_offset)
{
    for (size_t f = 0; f < field_count; f++) {
        struct pg_array *array = add_column(columns, field_pg_type(&fields[f]));
        for (size_t i = 0; i < rows->count; i++) {
            field_put(&fields[f], rows->rows + i * rows->row_size + record_offset, array);
        }
    }
}

static const struct key *key_of(const struct rows *rows, size_t i)
{
    return (const void *)(rows->rows + i * rows->row_size);
}

static void add_deployment_ids(struct columns *columns, const struct rows *rows)
{
    struct pg_array *ids = add_column(columns, PG_TYPE_UUID);

    for (size_t i = 0; i < rows->count; i++) {
        pg_array_put_uuid(ids, key_of(rows, i)->deployment_id.octets);
    }
}

static void add_numbers(struct columns *columns, enum pg_type type, const struct rows *rows)
{
    struct pg_array *numbers = add_column(columns, type);

    for (size_t i = 0; i < rows->count; i++) {
        pg_array_put_number(numbers, key_of(rows, i)->number);
    }
}

/* UPDATE ... FROM unnest(arrays): `keys` and their types are the columns before the fields. */
static void put_update(struct pg_batch *batch, const char *table, const char *first_set,
                       const char *keys, const char *key_types, const char *condition,
                       const struct field *fields, size_t field_count, struct columns *columns)
{
    struct text sql;
    FILE *stream = text_begin(&sql);
    size_t key_count = columns->count - field_count;

    fprintf(stream, "UPDATE %s t SET %s", table, first_set);
    for (size_t f = 0; f < field_count; f++) {
        fprintf(stream, "%s%s = u.%s", f > 0 ? ", " : "", fields[f].column, fields[f].column);
    }
    fprintf(stream, " FROM unnest(%s", key_types);
    for (size_t f = 0; f < field_count; f++) {
        fprintf(stream, ", $%zu::%s[]", key_count + f + 1, field_sql_type(&fields[f]));
    }
    fprintf(stream, ") AS u(%s", keys);
    for (size_t f = 0; f < field_count; f++) {
        fprintf(stream, ", %s", fields[f].column);
    }
    fprintf(stream, ") WHERE %s", condition);
    char *statement = text_end(&sql);
    pg_add_arrays(batch, statement, columns->count, columns->arrays);
    free(statement);
}

static void put_devices(struct rows *rows, struct pg_batch *batch)
{
    struct columns columns = {.count = 0};

    keep_last(rows);
    add_deployment_ids(&columns, rows);
    add_numbers(&columns, PG_TYPE_INTEGER, rows);
    add_fields(&columns, device_fields, device_field_count, rows,
               offsetof(struct device_row, device));
    put_update(batch, "deployment_device", "updated_at = now(), ", "deployment_id, device_index",
               "$1::uuid[], $2::integer[]",
               "t.deployment_id = u.deployment_id AND t.device_index = u.device_index",
               device_fields, device_field_count, &columns);
}

static void put_transmissions(struct rows *rows, struct pg_batch *batch)
{
    struct columns columns = {.count = 0};

    keep_last(rows);
    add_deployment_ids(&columns, rows);
    add_fields(&columns, transmission_fields, transmission_field_count, rows,
               offsetof(struct transmission_row, transmission));
    put_update(batch, "transmission", "", "deployment_id", "$1::uuid[]",
               "t.deployment_id = u.deployment_id", transmission_fields, transmission_field_count,
               &columns);
}

static void put_frames(struct rows *rows, struct pg_batch *batch)
{
    struct columns columns = {.count = 0};

    keep_last(rows);
    add_deployment_ids(&columns, rows);
    add_numbers(&columns, PG_TYPE_BIGINT, rows);
    struct pg_array *kinds = add_column(&columns, PG_TYPE_INTEGER);
    struct pg_array *numbers = add_column(&columns, PG_TYPE_INTEGER);
    struct pg_array *planned = add_column(&columns, PG_TYPE_BIGINT);
    for (size_t i = 0; i < rows->count; i++) {
        const struct frame_row *row = (const void *)key_of(rows, i);
        pg_array_put_number(kinds, (int64_t)row->kind);
        pg_array_put_number(numbers, row->key.second_number);
        pg_array_put_number(planned, row->planned_ms);
    }
    /* The same frame again: its call certainly failed before. */
    pg_add_arrays(batch,
                  "INSERT INTO frame (deployment_id, f_cnt, kind, number, planned_ms) "
                  "SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::integer[], $4::integer[], "
                  "$5::bigint[]) ON CONFLICT (deployment_id, f_cnt, number) DO UPDATE SET "
                  "planned_ms = excluded.planned_ms",
                  columns.count, columns.arrays);
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
        if (value == 0) { /* the start of the session is past */
            snprintf(text, size, "the device's clock is ahead");
        } else {
            snprintf(text, size, "the device's clock is wrong by %lld s, or it has none", value);
        }
        break;
    case NOTE_STATUS:
        snprintf(text, size, "the device says: %lld received, %u missing", value, n->detail);
        break;
    case NOTE_JOIN:
        snprintf(text, size, "the device joined");
        break;
    case NOTE_NOT_COVERED:
        snprintf(text, size, "none of the gateways that send the fragments has heard the device");
        break;
    case NOTE_GATEWAYS:
        snprintf(text, size, "%lld gateways are left on the group: the others hear no device that still receives",
                 value);
        break;
    case NOTE_REFUSALS:
        if (n->detail == 1) {
            snprintf(text, size, "gateways have refused %lld frames: at full speed again", value);
        } else {
            snprintf(text, size, "gateways have refused %lld frames: one is sent every %u gaps",
                     value, n->detail);
        }
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
    case NOTE_ROUND:
        snprintf(text, size, "round %lld: new coded fragments up to %u", value, n->detail);
        break;
    case NOTE_SESSION:
        snprintf(text, size, "class C session %lld is set up", value);
        break;
    case NOTE_REPAIR:
        snprintf(text, size,
                 "a further pass from fragment 1 for %lld devices, each uncoded fragment %u time%s",
                 value, n->detail, n->detail == 1 ? "" : "s");
        break;
    case NOTE_STOPPED:
        snprintf(text, size, "no further fragments: %s", reason_text((enum reason)n->value));
        break;
    case NOTE_PAUSED:
        snprintf(text, size, value != 0 ? "the operator paused it" : "the operator resumed it");
        break;
    case NOTE_KIND_COUNT:
        snprintf(text, size, "?");
        break;
    }
}

static void put_notes(const struct rows *rows, struct pg_batch *batch)
{
    struct columns columns = {.count = 0};

    add_deployment_ids(&columns, rows);
    struct pg_array *euis = add_column(&columns, PG_TYPE_TEXT);
    struct pg_array *times = add_column(&columns, PG_TYPE_BIGINT);
    struct pg_array *kinds = add_column(&columns, PG_TYPE_TEXT);
    struct pg_array *texts = add_column(&columns, PG_TYPE_TEXT);
    struct pg_array *values = add_column(&columns, PG_TYPE_BIGINT);
    struct pg_array *details = add_column(&columns, PG_TYPE_BIGINT);
    for (size_t i = 0; i < rows->count; i++) {
        const struct note_row *row = (const void *)key_of(rows, i);
        char eui[EUI64_TEXT_SIZE], text[200];
        eui64_format(row->dev_eui, eui);
        note_text(&row->note, text, sizeof(text));
        pg_array_put_text(euis, row->note.device_index == NOTE_NO_DEVICE ? NULL : eui);
        pg_array_put_number(times, row->note.at_ms);
        pg_array_put_text(kinds, note_kind_name(row->note.kind));
        pg_array_put_text(texts, text);
        pg_array_put_number(values, row->note.value);
        pg_array_put_number(details, row->note.detail);
    }
    pg_add_arrays(batch,
                  "INSERT INTO event (deployment_id, dev_eui, at_ms, kind, text, value, detail) "
                  "SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], "
                  "$5::text[], $6::bigint[], $7::bigint[])",
                  columns.count, columns.arrays);
}

void changes_put(struct changes *changes, struct pg_batch *batch)
{
    if (changes->transmissions.count > 0) {
        put_transmissions(&changes->transmissions, batch);
    }
    if (changes->devices.count > 0) {
        put_devices(&changes->devices, batch);
    }
    if (changes->frames.count > 0) {
        put_frames(&changes->frames, batch);
    }
    if (changes->notes.count > 0) {
        put_notes(&changes->notes, batch);
    }
}
