/* slots.c - leases of slots, and notifications between daemons. */
#include "store/slots.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store_impl.h"

/* A notification carries less than 8000 octets. */
#define CHANGES_PER_NOTE 200

unsigned store_slot_of(const struct uuid *application_id)
{
    return application_id->octets[3] % STORE_SLOT_COUNT;
}

/* leases */

struct slots_call {
    store_slots_fn *done;
    void *arg;
};

static void on_slots(void *arg, enum err err, const char *text, const struct pg_results *results)
{
    struct slots_call *call = arg;
    struct store_slots slots = {0};

    for (size_t row = 0; err == ERR_OK && row < pg_row_count(results, 3); row++) {
        int64_t index = pg_number(results, 3, row, 0);
        if (index < 0 || index >= STORE_SLOT_COUNT) {
            continue;
        }
        int64_t lease_ms = pg_number(results, 3, row, 4);
        slots.slots[index] = (struct store_slot){
            .epoch = (uint64_t)pg_number(results, 3, row, 1),
            .is_mine = pg_text(results, 3, row, 2)[0] == 't',
            .is_free = pg_text(results, 3, row, 3)[0] == 't',
            .lease_ms = lease_ms > 0 && lease_ms < UINT32_MAX ? (uint32_t)lease_ms : 0,
        };
    }
    if (err == ERR_OK) {
        slots.instance_count = (unsigned)pg_number(results, 4, 0, 0);
    }
    call->done(call->arg, err, text, err == ERR_OK ? &slots : NULL);
    free(call);
}

/* Array literals of the slots that are held and of their epochs; the caller frees them. */
static void format_held(const uint64_t epochs[STORE_SLOT_COUNT], char *ret_arrays[2])
{
    struct text texts[2];
    FILE *streams[2] = {text_begin(&texts[0]), text_begin(&texts[1])};
    const char *separator = "{";

    for (unsigned i = 0; i < STORE_SLOT_COUNT; i++) {
        if (epochs[i] != 0) {
            fprintf(streams[0], "%s%u", separator, i);
            fprintf(streams[1], "%s%" PRIu64, separator, epochs[i]);
            separator = ",";
        }
    }
    for (size_t t = 0; t < 2; t++) {
        fputs(separator[0] == '{' ? "{}" : "}", streams[t]);
        ret_arrays[t] = text_end(&texts[t]);
    }
}

void store_slots_renew(struct store *store, const struct uuid *instance, const char *name,
                       uint32_t lease_ms, const uint64_t epochs[STORE_SLOT_COUNT],
                       store_slots_fn *done, void *arg)
{
    struct slots_call *call = store_must(malloc(sizeof(*call)));
    struct pg_batch *batch = pg_batch_new();
    char id[UUID_TEXT_SIZE], lease[16], *held[2];

    *call = (struct slots_call){.done = done, .arg = arg};
    uuid_format(instance, id);
    snprintf(lease, sizeof(lease), "%" PRIu32, lease_ms);
    format_held(epochs, held);
    const char *alive[] = {id, name};
    pg_add(batch,
           "INSERT INTO instance (id, name) VALUES ($1, $2) "
           "ON CONFLICT (id) DO UPDATE SET name = excluded.name, seen_at = now()",
           2, alive);
    pg_add(batch, "DELETE FROM instance WHERE seen_at < now() - interval '1 day'", 0, NULL);
    const char *renewed[] = {id, lease, held[0], held[1]};
    pg_add(batch,
           "UPDATE slot s SET lease_until = now() + $2::integer * interval '1 ms' "
           "FROM unnest($3::integer[], $4::bigint[]) AS h(slot_index, epoch) "
           "WHERE s.slot_index = h.slot_index AND s.epoch = h.epoch AND s.owner = $1",
           4, renewed);
    const char *me[] = {id};
    pg_add(batch,
           "SELECT slot_index, epoch, owner IS NOT DISTINCT FROM $1::uuid, "
           "owner IS NULL OR lease_until < now(), CASE WHEN owner IS NULL OR lease_until < now() "
           "THEN 0 ELSE ceil(extract(epoch FROM lease_until - now()) * 1000)::bigint END FROM slot",
           1, me);
    const char *span[] = {lease};
    pg_add(batch,
           "SELECT count(*) FROM instance WHERE seen_at > now() - $1::integer * interval '1 ms'", 1,
           span);
    free(held[0]);
    free(held[1]);
    pg_send(store->keeper, batch, on_slots, call);
}

struct take_call {
    store_take_fn *done;
    void *arg;
};

static void on_take(void *arg, enum err err, const char *text, const struct pg_results *results)
{
    struct take_call *call = arg;
    uint64_t epoch = 0;

    if (err == ERR_OK && pg_row_count(results, 1) == 0) {
        err = ERR_WRONG_STATE;
        text = err_text(err);
    } else if (err == ERR_OK) {
        epoch = (uint64_t)pg_number(results, 1, 0, 0);
    }
    call->done(call->arg, err, text, epoch);
    free(call);
}

/* Whether the row is still as it was read, and to be had. */
#define IS_TO_BE_HAD                                                                               \
    "slot_index = $1 AND epoch = $2 AND (owner IS NULL OR owner = $3 OR lease_until < now())"

void store_slot_take(struct store *store, const struct uuid *instance, uint32_t lease_ms,
                     unsigned slot, uint64_t epoch, store_take_fn *done, void *arg)
{
    struct take_call *call = store_must(malloc(sizeof(*call)));
    struct pg_batch *batch = pg_batch_new();
    char id[UUID_TEXT_SIZE], index[12], old_epoch[24], lease[16];
    const char *params[] = {index, old_epoch, id, lease};

    *call = (struct take_call){.done = done, .arg = arg};
    uuid_format(instance, id);
    snprintf(index, sizeof(index), "%u", slot);
    snprintf(old_epoch, sizeof(old_epoch), "%" PRIu64, epoch);
    snprintf(lease, sizeof(lease), "%" PRIu32, lease_ms);
    /* The row is locked first: who holds it through a commit ends that commit before us. */
    pg_add(
        batch,
        "WITH gone AS (SELECT slot_index FROM slot WHERE " IS_TO_BE_HAD
        " AND owner <> $3 FOR UPDATE) "
        "UPDATE transmission t SET is_taken_over = true FROM deployment d, gone "
        "WHERE d.id = t.deployment_id AND d.state = 'running' AND d.slot_index = gone.slot_index",
        3, params);
    pg_add(batch,
           "UPDATE slot SET owner = $3, epoch = epoch + 1, "
           "lease_until = now() + $4::integer * interval '1 ms' WHERE " IS_TO_BE_HAD
           " RETURNING epoch",
           4, params);
    pg_send(store->keeper, batch, on_take, call);
}

void store_slots_leave(struct store *store, const struct uuid *instance,
                       const uint64_t epochs[STORE_SLOT_COUNT], bool is_end, store_done_fn *done,
                       void *arg)
{
    struct pg_batch *batch = pg_batch_new();
    char id[UUID_TEXT_SIZE], *held[2];

    uuid_format(instance, id);
    format_held(epochs, held);
    const char *params[] = {id, held[0], held[1]};
    pg_add(batch,
           "UPDATE slot s SET owner = NULL, lease_until = '-infinity' "
           "FROM unnest($2::integer[], $3::bigint[]) AS h(slot_index, epoch) "
           "WHERE s.slot_index = h.slot_index AND s.epoch = h.epoch AND s.owner = $1",
           3, params);
    if (is_end) {
        const char *me[] = {id};
        pg_add(batch, "DELETE FROM instance WHERE id = $1", 1, me);
    }
    pg_add(batch, "NOTIFY fuotad, 'slots'", 0, NULL);
    free(held[0]);
    free(held[1]);
    store_do_anyway(store->keeper, batch, done, arg);
}

/* news */

static void on_notify(void *arg, const char *payload)
{
    struct store *store = arg;
    const struct store_news *news = &store->news;
    char id[UUID_TEXT_SIZE];

    if (store->has_news && strcmp(payload, "slots") == 0) {
        news->on_slots(store->news_arg);
    } else if (store->has_news && strncmp(payload, "request ", 8) == 0) {
        news->on_request(store->news_arg, (unsigned)strtoul(payload + 8, NULL, 10));
    } else if (store->has_news && strncmp(payload, "change", 6) == 0) {
        for (const char *at = payload + 6; at[0] == ' ' && strlen(at) >= UUID_TEXT_SIZE;
             at += UUID_TEXT_SIZE) {
            memcpy(id, at + 1, UUID_TEXT_SIZE - 1);
            id[UUID_TEXT_SIZE - 1] = '\0';
            news->on_change(store->news_arg, id);
        }
    }
}

void store_keeper_connected(struct store *store)
{
    struct pg_batch *batch = pg_batch_new();

    pg_add(batch, "LISTEN fuotad", 0, NULL);
    store_do_anyway(store->keeper, batch, NULL, NULL);
}

void store_listen(struct store *store, const struct store_news *news, void *arg)
{
    store->news = *news;
    store->news_arg = arg;
    store->has_news = true;
    pg_on_notify(store->keeper, on_notify);
}

void store_tell_changes(struct store *store, const struct uuid *deployment_ids, size_t count)
{
    struct pg_batch *batch = pg_batch_new();

    for (size_t i = 0; i < count; i += CHANGES_PER_NOTE) {
        struct text note;
        FILE *stream = text_begin(&note);
        char id[UUID_TEXT_SIZE];
        fputs("change", stream);
        for (size_t j = i; j < count && j < i + CHANGES_PER_NOTE; j++) {
            uuid_format(&deployment_ids[j], id);
            fprintf(stream, " %s", id);
        }
        char *payload = text_end(&note);
        const char *params[] = {payload};
        pg_add(batch, "SELECT pg_notify('fuotad', $1)", 1, params);
        free(payload);
    }
    store_do_anyway(store->keeper, batch, NULL, NULL);
}
