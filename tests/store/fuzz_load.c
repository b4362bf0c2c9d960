/*
 * fuzz_load.c - whatever stands in the database, which operators can write to: a deployment is
 * refused when it is loaded, or it goes on and ends.
 *
 * pg.h is played here. The input: an octet for a good deployment, then changes of its fields: which
 * one, a length, a text.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "deployment/command.h"
#include "lib/fuzz_input.h"
#include "lib/params.h"
#include "lorawan/fragmentation.h"
#include "record.h"
#include "store_impl.h"

#define DEVICES     2
#define COLUMNS_MAX 48
#define TEXT_MAX    1024
#define NOW_MS      INT64_C(1790000000000)
#define STEPS_MAX   20000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* pg.h: three statements, see store_load() */

enum { ROW_DEPLOYMENT, ROW_TRANSMISSION, ROW_DEVICES, ROW_COUNT = ROW_DEVICES + DEVICES };

struct pg_results {
    char texts[ROW_COUNT][COLUMNS_MAX][TEXT_MAX];
    uint8_t image[200];
    size_t image_size;
};

static pg_done_fn *sent_done;
static void *sent_arg;

struct pg *pg_new(struct uv_loop_s *loop, const char *conninfo, pg_state_fn *on_state, void *arg)
{
    (void)loop, (void)conninfo, (void)on_state, (void)arg;
    return NULL;
}

void pg_close(struct pg *pg, void (*cb)(void *arg), void *arg)
{
    (void)pg, (void)cb, (void)arg;
}

void pg_on_notify(struct pg *pg, pg_notify_fn *on_notify)
{
    (void)pg, (void)on_notify;
}

size_t pg_queued(const struct pg *pg)
{
    (void)pg;
    return 0;
}

void pg_batch_free(struct pg_batch *batch)
{
    (void)batch;
}

bool pg_batch_is_empty(const struct pg_batch *batch)
{
    (void)batch;
    return true;
}

bool pg_is_connected(const struct pg *pg)
{
    (void)pg;
    return true;
}

struct pg_batch *pg_batch_new(void)
{
    return NULL;
}

void pg_add(struct pg_batch *batch, const char *sql, size_t param_count, const char *const *params)
{
    (void)batch, (void)sql, (void)param_count, (void)params;
}

void pg_add_arrays(struct pg_batch *batch, const char *sql, size_t param_count,
                   struct pg_array *arrays)
{
    (void)batch, (void)sql;
    for (size_t i = 0; i < param_count; i++) {
        pg_array_release(&arrays[i]);
    }
}

void pg_send(struct pg *pg, struct pg_batch *batch, pg_done_fn *done, void *arg)
{
    (void)pg, (void)batch;
    sent_done = done;
    sent_arg = arg;
}

size_t pg_row_count(const struct pg_results *results, size_t statement)
{
    (void)results;
    return statement == 2 ? DEVICES : 1;
}

const char *pg_text(const struct pg_results *results, size_t statement, size_t row, size_t column)
{
    return results->texts[statement + row][column];
}

bool pg_is_null(const struct pg_results *results, size_t statement, size_t row, size_t column)
{
    return pg_text(results, statement, row, column)[0] == '\0';
}

int64_t pg_number(const struct pg_results *results, size_t statement, size_t row, size_t column)
{
    return strtoll(pg_text(results, statement, row, column), NULL, 10);
}

size_t pg_affected(const struct pg_results *results, size_t statement)
{
    (void)results, (void)statement;
    return 1;
}

uint8_t *pg_bytes(const struct pg_results *results, size_t statement, size_t row, size_t column,
                  size_t *ret_size)
{
    uint8_t *bytes = malloc(sizeof(results->image));

    (void)row, (void)column;
    assert(bytes != NULL);
    memcpy(bytes, results->image, sizeof(results->image));
    *ret_size = statement == 0 ? results->image_size : 44;
    return bytes;
}

/* a good deployment */

static struct deployment_params good_params(void)
{
    struct deployment_params p = test_params(DEVICES);

    p.fragment_count = 4;
    p.coded_count = 2;
    p.time_out = 12;
    p.combine_setup = false;
    return p;
}

static void put_row(struct pg_results *results, size_t row, size_t column,
                    const struct field *fields, size_t count, const void *record)
{
    for (size_t f = 0; f < count; f++) {
        field_format(&fields[f], record, results->texts[row][column + f]);
    }
}

static void put_params(struct pg_results *results)
{
    const struct deployment_params params = good_params();
    cJSON *object = cJSON_CreateObject();
    char text[FIELD_TEXT_SIZE];

    for (size_t f = 0; f < params_field_count; f++) {
        field_format(&params_fields[f], &params, text);
        cJSON_AddStringToObject(object, params_fields[f].column, text);
    }
    cJSON_PrintPreallocated(object, results->texts[ROW_DEPLOYMENT][2], TEXT_MAX, 0);
    cJSON_Delete(object);
}

static void put_good(struct pg_results *results, uint8_t choice)
{
    enum transmission_state state = (enum transmission_state)(choice % TRANSMISSION_STATE_COUNT);
    bool is_over = state == TRANSMISSION_RELEASE || state == TRANSMISSION_DONE;
    bool is_session = state >= TRANSMISSION_TRANSMIT && !is_over;
    struct transmission t = {
        .state = state,
        .started_ms = NOW_MS - 1000000,
        .session_time_ms = is_session ? NOW_MS - 60000 : NOW_MS + 600000,
        .deadline_ms = NOW_MS,
        .next_number = is_session ? 3 : 1,
        .last_number = 6,
        .repeat_count = 1,
        .time_out = 15,
        .has_group = state > TRANSMISSION_CREATE_GROUP,
        .has_gateways = is_session,
        .resume_state = TRANSMISSION_STATUS,
        .gateway_count = 1,
        .gateways = {{.id = 7, .is_chosen = true}},
    };

    memset(results, 0, sizeof(*results));
    results->image_size = 197;
    strcpy(results->texts[ROW_DEPLOYMENT][0], "00000000-0000-0000-0000-000000000001");
    put_params(results);
    put_row(results, ROW_TRANSMISSION, 2, transmission_fields, transmission_field_count, &t);
    for (unsigned i = 0; i < DEVICES; i++) {
        struct device dev = {
            .deadline_ms = is_over ? DEPLOYMENT_NEVER : NOW_MS,
            .uplink_interval_s = 60,
            .stage = is_over      ? DEVICE_FAILED
                     : is_session ? DEVICE_RECEIVING
                                  : (uint8_t)(i + DEVICE_GROUP),
            .reason = is_over ? REASON_ABORTED : REASON_NONE,
            .call = is_over ? CALL_NONE : CALL_SENT,
            .command = COMMAND_GROUP,
            .flags = DEVICE_HAS_VERSION | DEVICE_HAS_GROUP,
        };
        strcpy(results->texts[ROW_DEVICES + i][0], "0102030405060708");
        strcpy(results->texts[ROW_DEVICES + i][1], "1");
        put_row(results, ROW_DEVICES + i, 2, device_fields, device_field_count, &dev);
    }
}

static void change(struct pg_results *results, struct fuzz_input *in)
{
    while (in->size > 0) {
        uint8_t row = fuzz_u8(in) % ROW_COUNT, column = fuzz_u8(in) % COLUMNS_MAX;
        size_t size;
        const uint8_t *text = fuzz_octets(in, fuzz_u16(in) % TEXT_MAX, &size);
        char *to = results->texts[row][column];

        if (row == ROW_DEPLOYMENT && column != 4 && column != 5) { /* the parameters */
            to = results->texts[ROW_DEPLOYMENT][2];
        }
        if (size > 0) {
            memcpy(to, text, size);
        }
        to[size] = '\0';
    }
}

/* what was loaded goes on, and the world behaves */

struct run {
    struct deployment *d;
    int64_t now_ms;
    struct deployment_action calls[DEPLOYMENT_ACTIONS_MAX];
    size_t count;
};

static void step(struct run *run, struct deployment_event *event)
{
    static const uint8_t no_key[KEY_SIZE];
    struct deployment_actions actions;
    struct command_bytes bytes;

    event->now_ms = run->now_ms;
    deployment_step(run->d, event, &actions);
    deployment_assert_invariant(run->d);
    for (size_t i = 0; i < actions.count; i++) {
        const struct deployment_action *action = &actions.items[i];
        if (action->kind == DEPLOYMENT_ACTION_COMMAND ||
            action->kind == DEPLOYMENT_ACTION_CHECK_QUEUE) {
            command_encode(run->d, action->command, no_key, &bytes);
        } else if (action->kind == DEPLOYMENT_ACTION_FRAME &&
                   action->frame_kind == FRAME_FRAGMENT) {
            assert(action->number >= 1 && action->number <= FRAG_NUMBER_MAX);
        }
        assert(run->count < DEPLOYMENT_ACTIONS_MAX);
        run->calls[run->count++] = *action;
    }
}

static void answer(struct run *run)
{
    struct deployment_action action = run->calls[--run->count];
    struct deployment_event event = {.device_index = action.device_index};

    switch (action.kind) {
    case DEPLOYMENT_ACTION_CREATE_GROUP:
        event.kind = DEPLOYMENT_EVENT_GROUP_CREATED;
        event.u.group_id.octets[0] = 1;
        break;
    case DEPLOYMENT_ACTION_SET_GATEWAYS:
        event.kind = DEPLOYMENT_EVENT_GATEWAYS_SET;
        break;
    case DEPLOYMENT_ACTION_READ_OLD_QUEUE:
        event.kind = DEPLOYMENT_EVENT_OLD_QUEUE;
        break;
    case DEPLOYMENT_ACTION_DELETE_GROUP:
    case DEPLOYMENT_ACTION_DELETE_OLD_GROUP:
        event.kind = DEPLOYMENT_EVENT_GROUP_DELETED;
        break;
    case DEPLOYMENT_ACTION_FRAME:
        event.kind = DEPLOYMENT_EVENT_FRAME_QUEUED;
        event.u.f_cnt = action.f_cnt;
        break;
    case DEPLOYMENT_ACTION_READ_COUNTER:
        event.kind = DEPLOYMENT_EVENT_COUNTER;
        event.u.f_cnt = deployment_get_transmission(run->d)->f_cnt;
        break;
    case DEPLOYMENT_ACTION_COMMAND:
        event.kind = DEPLOYMENT_EVENT_COMMAND_QUEUED;
        event.u.item_id.octets[0] = 9;
        break;
    case DEPLOYMENT_ACTION_CHECK_QUEUE:
        event.kind = DEPLOYMENT_EVENT_QUEUE_CHECKED;
        break;
    case DEPLOYMENT_ACTION_FINISHED:
        return;
    }
    step(run, &event);
}

static void go_on(struct deployment *d, bool is_new)
{
    struct run run = {.d = d, .now_ms = NOW_MS};
    unsigned steps = 0;

    step(&run, &(struct deployment_event){.kind = is_new ? DEPLOYMENT_EVENT_BEGIN
                                                         : DEPLOYMENT_EVENT_RESTORED});
    while (!deployment_is_done(d)) {
        int64_t deadline_ms = deployment_deadline(d);

        assert(++steps < STEPS_MAX);
        if (run.count > 0) {
            answer(&run);
            continue;
        }
        if (deployment_get_transmission(d)->is_paused) {
            step(&run, &(struct deployment_event){.kind = DEPLOYMENT_EVENT_RESUME});
            continue;
        }
        assert(deadline_ms != DEPLOYMENT_NEVER); /* it would wait for ever */
        run.now_ms = deadline_ms > run.now_ms ? deadline_ms : run.now_ms;
        step(&run, &(struct deployment_event){.kind = DEPLOYMENT_EVENT_TIMER});
    }
}

static void on_loaded(void *arg, enum err err, const char *text, struct stored_deployment *stored)
{
    static uint64_t memory[8192];
    struct deployment *d = NULL;

    (void)arg;
    assert(text != NULL && (err == ERR_OK) == (stored != NULL));
    if (err != ERR_OK) {
        assert(err == ERR_FORMAT || err == ERR_REFUSED);
        return;
    }
    if (stored->suspended != NULL) { /* it is not taken up */
        assert(stored->params.device_count == DEVICES);
        return;
    }
    assert(stored->params.device_count == DEVICES);
    assert(deployment_size(DEVICES) <= sizeof(memory));
    if (stored->is_new) {
        d = deployment_init(memory, &stored->params, stored->devices);
    } else if (deployment_restore(memory, &stored->params, &stored->transmission, stored->devices,
                                  &d) != ERR_OK) {
        return;
    }
    go_on(d, stored->is_new);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pg_results results; /* too large for the stack */
    struct fuzz_input in = {data, size};
    struct store store = {0};
    static const struct uuid id = {{1}};

    put_good(&results, fuzz_u8(&in));
    change(&results, &in);
    store_load(&store, &id, on_loaded, NULL);
    sent_done(sent_arg, ERR_OK, NULL, &results);
    return 0;
}
