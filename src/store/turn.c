/* turn.c - what one turn of the loop changes, as one transaction. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "changes.h"
#include "store_impl.h"

#define CHANGES_MAX 64 /* taken at once */

struct store_turn {
    struct pg_batch *batch;
    struct changes *changes; /* follow what is in the batch */
};

struct store_turn *store_turn_new(void)
{
    struct store_turn *turn = store_must(malloc(sizeof(*turn)));

    turn->batch = pg_batch_new();
    turn->changes = changes_new();
    return turn;
}

void store_turn_free(struct store_turn *turn)
{
    pg_batch_free(turn->batch);
    changes_free(turn->changes);
    free(turn);
}

struct pg_batch *store_turn_batch(struct store_turn *turn)
{
    return turn->batch;
}

bool store_turn_is_empty(const struct store_turn *turn)
{
    return pg_batch_is_empty(turn->batch) && changes_are_none(turn->changes);
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

void store_turn_save(struct store_turn *turn, const struct uuid *deployment_id,
                     struct deployment *d)
{
    uint32_t indices[CHANGES_MAX];
    size_t count;

    if (deployment_take_transmission_change(d)) {
        changes_add_transmission(turn->changes, deployment_id, deployment_get_transmission(d));
    }
    while ((count = deployment_take_device_changes(d, indices, CHANGES_MAX)) > 0) {
        for (size_t i = 0; i < count; i++) {
            changes_add_device(turn->changes, deployment_id, indices[i],
                               deployment_get_device(d, indices[i]));
        }
    }
    store_turn_save_notes(turn, deployment_id, d);
}

void store_turn_save_notes(struct store_turn *turn, const struct uuid *deployment_id,
                           struct deployment *d)
{
    struct deployment_note notes[CHANGES_MAX];
    size_t count;

    while ((count = deployment_take_notes(d, notes, CHANGES_MAX)) > 0) {
        for (size_t i = 0; i < count; i++) {
            bool is_of_device = notes[i].device_index != NOTE_NO_DEVICE;
            changes_add_note(turn->changes, deployment_id,
                             is_of_device ? deployment_get_device(d, notes[i].device_index)->dev_eui
                                          : 0,
                             &notes[i]);
        }
    }
}

void store_turn_frame(struct store_turn *turn, const struct uuid *deployment_id,
                      const struct deployment *d, const struct deployment_action *action)
{
    changes_add_frame(turn->changes, deployment_id, action,
                      deployment_get_transmission(d)->frame_emission_ms);
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
    changes_put(turn->changes, turn->batch);
    changes_free(turn->changes);
    pg_send(store->writer, turn->batch, on_commit, call);
    free(turn);
}
