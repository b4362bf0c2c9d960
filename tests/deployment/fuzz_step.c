/*
 * fuzz_step.c - whatever devices, gateways and the network server say, in any order: the deployment
 * holds its invariants, asks for nothing that is out of place, and ends once the world behaves.
 *
 * The input is a row of happenings. Answers come to calls that were made, as the daemon sees to;
 * uplinks, joins, acknowledgements and time come as they like.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "deployment/command.h"
#include "deployment/deployment.h"
#include "lib/fuzz_input.h"
#include "lib/params.h"
#include "lorawan/fragmentation.h"

#define DEVICES_MAX 4
#define START_MS    INT64_C(1790000000000)
#define F_CNT_LAST  65534 /* devices take the counter for 16 bits wide */
#define STEPS_MAX   4096  /* of the hostile part */
#define CALLS_MAX   16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct calls { /* under way, oldest first */
    struct deployment_action items[CALLS_MAX];
    size_t count;
};

struct world {
    struct fuzz_input in;
    int64_t now_ms;
    struct deployment_params params;
    void *memory;
    struct deployment *d;
    struct calls commands, group, frames;
    uint32_t f_cnt;           /* of the network server's group */
    int64_t last_emission_ms; /* of a frame that was queued; 0: none */
    bool is_finished;
};

/* calls */

static void add_call(struct calls *calls, const struct deployment_action *action)
{
    if (calls->count == CALLS_MAX) { /* clean-up commands that nobody answered */
        calls->count--;
        memmove(calls->items, calls->items + 1, calls->count * sizeof(calls->items[0]));
    }
    calls->items[calls->count++] = *action;
}

static struct deployment_action take_call(struct calls *calls, size_t at)
{
    struct deployment_action action = calls->items[at];

    calls->count--;
    memmove(calls->items + at, calls->items + at + 1,
            (calls->count - at) * sizeof(calls->items[0]));
    return action;
}

/* actions: what must hold of what the deployment asks for */

static void check_frame(const struct world *w, const struct deployment_action *action)
{
    const struct transmission *t = deployment_get_transmission(w->d);
    struct command_bytes bytes;

    assert(w->frames.count == 0);
    assert(t->state == TRANSMISSION_TRANSMIT || t->state == TRANSMISSION_STATUS);
    assert(t->has_group);
    assert(action->f_cnt <= F_CNT_LAST);
    assert(action->expires_ms > w->now_ms);
    /* Never faster than the gap. */
    assert(t->next_emission_ms <= w->now_ms);
    assert(w->last_emission_ms == 0 ||
           t->frame_emission_ms >=
               w->last_emission_ms + deployment_gap_ms(&w->params, deployment_gateway_count(w->d)));
    if (action->frame_kind == FRAME_FRAGMENT) {
        assert(action->number >= 1 && action->number <= FRAG_NUMBER_MAX);
        assert(action->number == deployment_fragment_number(w->d, t->next_number));
    } else {
        command_encode_group_status(w->d, &bytes);
        assert(bytes.size > 0);
    }
}

static void check_command(const struct world *w, const struct deployment_action *action)
{
    static const uint8_t no_key[KEY_SIZE];
    struct command_bytes bytes;

    assert(action->device_index < w->params.device_count);
    command_encode(w->d, action->command, no_key, &bytes);
    assert(bytes.size > 0 && bytes.f_port > 0);
    if (action->kind == DEPLOYMENT_ACTION_COMMAND) {
        assert(action->expires_ms > w->now_ms);
    }
}

static void take_actions(struct world *w, const struct deployment_actions *actions)
{
    for (size_t i = 0; i < actions->count; i++) {
        const struct deployment_action *action = &actions->items[i];

        assert(!w->is_finished);
        switch (action->kind) {
        case DEPLOYMENT_ACTION_CREATE_GROUP:
        case DEPLOYMENT_ACTION_SET_GATEWAYS:
        case DEPLOYMENT_ACTION_DELETE_GROUP:
        case DEPLOYMENT_ACTION_READ_COUNTER:
        case DEPLOYMENT_ACTION_READ_OLD_QUEUE:
        case DEPLOYMENT_ACTION_DELETE_OLD_GROUP:
            assert(w->group.count == 0); /* one at a time */
            add_call(&w->group, action);
            break;
        case DEPLOYMENT_ACTION_FRAME:
            check_frame(w, action);
            add_call(&w->frames, action);
            break;
        case DEPLOYMENT_ACTION_COMMAND:
        case DEPLOYMENT_ACTION_CHECK_QUEUE:
            check_command(w, action);
            add_call(&w->commands, action);
            break;
        case DEPLOYMENT_ACTION_FINISHED:
            assert(deployment_is_done(w->d));
            w->is_finished = true;
            break;
        }
    }
}

static void step(struct world *w, struct deployment_event *event)
{
    struct deployment_actions actions;
    struct deployment_note notes[16];
    uint32_t indices[DEVICES_MAX];
    size_t count;

    event->now_ms = w->now_ms;
    deployment_step(w->d, event, &actions);
    deployment_assert_invariant(w->d);
    take_actions(w, &actions);
    assert(deployment_is_done(w->d) == w->is_finished);
    (void)deployment_take_transmission_change(w->d);
    while ((count = deployment_take_device_changes(w->d, indices, DEVICES_MAX)) > 0) {
        for (size_t i = 0; i < count; i++) {
            assert(indices[i] < w->params.device_count);
        }
    }
    while ((count = deployment_take_notes(w->d, notes, 16)) > 0) {
        for (size_t i = 0; i < count; i++) {
            assert(note_kind_name(notes[i].kind) != NULL);
        }
    }
}

static void simple_step(struct world *w, enum deployment_event_kind kind)
{
    step(w, &(struct deployment_event){.kind = kind});
}

/* answers: `how` 0 is the good one */

enum { HOW_GOOD, HOW_FAILED, HOW_FINAL, HOW_UNKNOWN, HOW_DEFERRED, HOW_COUNT };

static struct uuid item_of(uint8_t number)
{
    return (struct uuid){{number}};
}

static void answer_command(struct world *w, size_t at, unsigned how, uint8_t item)
{
    struct deployment_action action = take_call(&w->commands, at);
    struct deployment_event event = {.device_index = action.device_index};

    if (how == HOW_UNKNOWN || (how != HOW_GOOD && action.kind == DEPLOYMENT_ACTION_CHECK_QUEUE)) {
        event.kind = DEPLOYMENT_EVENT_COMMAND_UNKNOWN;
    } else if (action.kind == DEPLOYMENT_ACTION_CHECK_QUEUE) {
        event.kind = DEPLOYMENT_EVENT_QUEUE_CHECKED;
        event.u.queue.is_present = item != 0;
        event.u.queue.item_id = item_of(item);
    } else if (how == HOW_GOOD) {
        event.kind = DEPLOYMENT_EVENT_COMMAND_QUEUED;
        event.u.item_id = item_of(item);
    } else {
        event.kind = DEPLOYMENT_EVENT_COMMAND_FAILED;
        event.u.failure.is_final = how == HOW_FINAL;
        event.u.failure.reason = item % 2 == 0 ? REASON_CALL_REFUSED : REASON_KEY_UNAVAILABLE;
    }
    step(w, &event);
}

static void answer_group(struct world *w, unsigned how, uint32_t f_cnt)
{
    struct deployment_action action = take_call(&w->group, 0);
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_GROUP_FAILED};
    uint16_t numbers[8];

    if (how != HOW_GOOD) {
        event.u.failure.is_final = how == HOW_FINAL;
    } else if (action.kind == DEPLOYMENT_ACTION_CREATE_GROUP) {
        event.kind = DEPLOYMENT_EVENT_GROUP_CREATED;
        event.u.group_id = item_of(1);
    } else if (action.kind == DEPLOYMENT_ACTION_SET_GATEWAYS) {
        event.kind = DEPLOYMENT_EVENT_GATEWAYS_SET;
    } else if (action.kind == DEPLOYMENT_ACTION_DELETE_GROUP ||
               action.kind == DEPLOYMENT_ACTION_DELETE_OLD_GROUP) {
        event.kind = DEPLOYMENT_EVENT_GROUP_DELETED;
    } else if (action.kind == DEPLOYMENT_ACTION_READ_OLD_QUEUE) {
        uint8_t head = fuzz_u8(&w->in);
        event.kind = DEPLOYMENT_EVENT_OLD_QUEUE;
        event.u.queued.numbers = numbers;
        event.u.queued.count = head % 8;
        event.u.queued.has_status = (head & 8) != 0;
        for (size_t i = 0; i < event.u.queued.count; i++) {
            numbers[i] = (head & 16) != 0 ? fuzz_u16(&w->in) : fuzz_u8(&w->in);
        }
    } else {
        const struct transmission *t = deployment_get_transmission(w->d);
        event.kind = DEPLOYMENT_EVENT_COUNTER;
        event.u.f_cnt = f_cnt;
        if (t->frame_call == FRAME_CALL_UNKNOWN && f_cnt > t->f_cnt) {
            w->last_emission_ms = t->frame_emission_ms;
        }
    }
    step(w, &event);
}

static void answer_frame(struct world *w, unsigned how, uint32_t f_cnt)
{
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_FRAME_FAILED};
    const struct transmission *t = deployment_get_transmission(w->d);

    (void)take_call(&w->frames, 0);
    if (how == HOW_GOOD) {
        event.kind = DEPLOYMENT_EVENT_FRAME_QUEUED;
        event.u.f_cnt = f_cnt;
        w->f_cnt = f_cnt + 1;
        w->last_emission_ms = t->frame_emission_ms;
    } else if (how == HOW_UNKNOWN) {
        event.kind = DEPLOYMENT_EVENT_FRAME_UNKNOWN;
    } else if (how == HOW_DEFERRED) {
        event.kind = DEPLOYMENT_EVENT_FRAME_DEFERRED;
        event.u.until_ms = w->now_ms + fuzz_u16(&w->in);
    } else {
        event.u.failure.is_final = how == HOW_FINAL;
    }
    step(w, &event);
}

/* happenings */

static void uplink(struct world *w, uint32_t index)
{
    static const uint8_t ports[] = {200, 201, 202, 1};
    uint8_t head = fuzz_u8(&w->in);
    uint8_t data[20];
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_UPLINK, .device_index = index};
    size_t size;
    const uint8_t *octets = fuzz_octets(&w->in, head >> 3, &size);

    size = size < sizeof(data) ? size : sizeof(data);
    if (size > 0) {
        memcpy(data, octets, size);
    }
    event.u.uplink.f_port = ports[head % 4];
    event.u.uplink.data = data;
    event.u.uplink.data_size = size;
    event.u.uplink.received_ms = w->now_ms;
    if ((head & 4) != 0) { /* a gateway's clock may say anything */
        uint8_t shift = fuzz_u8(&w->in);
        event.u.uplink.received_ms =
            w->now_ms + ((int64_t)(int32_t)fuzz_u32(&w->in) * (INT64_C(1) << shift % 21));
        event.u.uplink.gateway_count = shift % 9;
        for (unsigned g = 0; g < event.u.uplink.gateway_count; g++) {
            event.u.uplink.gateways[g] = fuzz_u8(&w->in);
        }
    }
    step(w, &event);
}

/* What a device with a right clock answers to the command of its stage, two seconds later. */
static void answer_as_asked(struct world *w, uint32_t index)
{
    w->now_ms += 2000;
    const struct device *dev = deployment_get_device(w->d, index);
    const struct transmission *t = deployment_get_transmission(w->d);
    uint32_t start_s = (uint32_t)((t->session_time_ms - w->now_ms) / 1000);
    uint8_t start[3] = {(uint8_t)start_s, (uint8_t)(start_s >> 8), (uint8_t)(start_s >> 16)};
    uint8_t status[5] = {0x01, 0, 0, 0, 0};
    uint8_t group_session[7] = {0x02, 0x00, 0x04, 0x00, start[0], start[1], start[2]};
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_UPLINK, .device_index = index};
    static const uint8_t version[3] = {0x00, 0x03, 0x01}, frag_setup[2] = {0x02, 0x00},
                         app_time[6] = {0x01, 1, 2, 3, 4, 0x00};

    event.u.uplink.f_port = 201;
    event.u.uplink.received_ms = w->now_ms;
    event.u.uplink.gateway_count = 1;
    event.u.uplink.gateways[0] = 1;
    switch ((enum device_stage)dev->stage) {
    case DEVICE_VERSION:
        event.u.uplink.data = version;
        event.u.uplink.data_size = sizeof(version);
        break;
    case DEVICE_GROUP:
    case DEVICE_SESSION:
        event.u.uplink.f_port = 200;
        event.u.uplink.data = dev->stage == DEVICE_GROUP ? group_session : group_session + 2;
        event.u.uplink.data_size = dev->stage == DEVICE_GROUP ? 7 : 5;
        break;
    case DEVICE_FRAGMENTATION:
        event.u.uplink.data = frag_setup;
        event.u.uplink.data_size = sizeof(frag_setup);
        break;
    case DEVICE_CLOCK:
        event.u.uplink.f_port = 202;
        event.u.uplink.data = app_time;
        event.u.uplink.data_size = sizeof(app_time);
        break;
    case DEVICE_RECEIVING:
        status[1] = (uint8_t)(w->params.fragment_count + fuzz_u8(&w->in) % 64 - 8);
        status[3] = fuzz_u8(&w->in) % 4;
        event.u.uplink.data = status;
        event.u.uplink.data_size = sizeof(status);
        break;
    case DEVICE_SET_ASIDE:
    case DEVICE_DELIVERED:
    case DEVICE_FAILED:
    case DEVICE_STAGE_COUNT:
        return;
    }
    step(w, &event);
}

/* The daemon is killed, a commit failed for good, or another daemon takes over: what was stored is
 * loaded again. */
static void restart(struct world *w, bool is_taken_over)
{
    struct transmission transmission = *deployment_get_transmission(w->d);
    struct device devices[DEVICES_MAX];

    for (uint32_t i = 0; i < w->params.device_count; i++) {
        devices[i] = *deployment_get_device(w->d, i);
    }
    transmission.is_taken_over = transmission.is_taken_over || is_taken_over;
    w->commands.count = w->group.count = w->frames.count = 0;
    enum err err = deployment_restore(w->memory, &w->params, &transmission, devices, &w->d);
    assert(err == ERR_OK); /* whatever it wrote it can read */
    simple_step(w, DEPLOYMENT_EVENT_RESTORED);
}

static void pass_time(struct world *w, int64_t ms)
{
    w->now_ms += ms;
    if (deployment_deadline(w->d) <= w->now_ms) {
        simple_step(w, DEPLOYMENT_EVENT_TIMER);
    }
}

static void to_deadline(struct world *w)
{
    int64_t deadline_ms = deployment_deadline(w->d);

    if (deadline_ms != DEPLOYMENT_NEVER) {
        pass_time(w, deadline_ms > w->now_ms ? deadline_ms - w->now_ms : 0);
    }
}

static void happen(struct world *w)
{
    uint8_t what = fuzz_u8(&w->in);
    uint32_t index = (what >> 4) % w->params.device_count;
    unsigned how = (what >> 4) % HOW_COUNT;
    struct deployment_event event = {.device_index = index};

    switch (what & 15) {
    case 0:
    case 1:
        to_deadline(w);
        break;
    case 2:
        pass_time(w, (int64_t)fuzz_u16(&w->in) << (what >> 4));
        break;
    case 3:
    case 4:
        uplink(w, index);
        break;
    case 5:
        answer_as_asked(w, index);
        break;
    case 6:
    case 7:
        if (w->commands.count > 0) {
            uint8_t at = fuzz_u8(&w->in);
            answer_command(w, at % w->commands.count, how, at >> 4);
        }
        break;
    case 8:
        if (w->group.count > 0) {
            answer_group(w, how, w->f_cnt);
        }
        break;
    case 9:
        if (w->group.count > 0) {
            answer_group(w, how, fuzz_u32(&w->in));
        }
        break;
    case 10:
        if (w->frames.count > 0) {
            answer_frame(w, how, w->frames.items[0].f_cnt);
        }
        break;
    case 11:
        if (w->frames.count > 0) {
            answer_frame(w, how, fuzz_u32(&w->in));
        }
        break;
    case 12:
        event.kind = DEPLOYMENT_EVENT_TXACK;
        event.u.item_id = item_of(fuzz_u8(&w->in) & 15);
        step(w, &event);
        break;
    case 13:
        event.kind = DEPLOYMENT_EVENT_ITEM_DROPPED;
        event.u.item_id = item_of(fuzz_u8(&w->in) & 15);
        step(w, &event);
        break;
    case 14:
        event.kind = DEPLOYMENT_EVENT_JOIN;
        step(w, &event);
        break;
    default:
        if (what >> 4 == 11) {
            event.kind = DEPLOYMENT_EVENT_FRAME_RESULT;
            event.u.result.is_refused = (fuzz_u8(&w->in) & 1) != 0;
            event.u.result.f_cnt = (uint16_t)(w->f_cnt - fuzz_u8(&w->in));
            step(w, &event);
        } else if (what >> 4 == 13) {
            simple_step(w, DEPLOYMENT_EVENT_PAUSE);
        } else if (what >> 4 == 12) {
            simple_step(w, DEPLOYMENT_EVENT_RESUME);
        } else if (what >> 4 == 15) {
            simple_step(w, DEPLOYMENT_EVENT_ABORT);
        } else if (what >> 4 == 14) {
            simple_step(w, DEPLOYMENT_EVENT_GAP);
        } else {
            restart(w, what >> 4 >= 8);
        }
    }
}

/* Every call is answered well, every deadline kept, and no device speaks any more: that ends it. */
static void check_end(struct world *w)
{
    unsigned steps = 0;

    while (!w->is_finished) {
        int64_t deadline_ms = deployment_deadline(w->d);

        assert(++steps < 100000);
        if (w->frames.count > 0) {
            answer_frame(w, HOW_GOOD, w->frames.items[0].f_cnt);
        } else if (w->group.count > 0) {
            answer_group(w, HOW_GOOD, deployment_get_transmission(w->d)->f_cnt);
        } else if (w->commands.count > 0) {
            answer_command(w, 0, HOW_GOOD, 7);
        } else {
            if (deployment_get_transmission(w->d)->is_paused) {
                simple_step(w, DEPLOYMENT_EVENT_RESUME);
                continue;
            }
            assert(deadline_ms != DEPLOYMENT_NEVER); /* it waits for nothing, for ever */
            to_deadline(w);
        }
    }
    for (uint32_t i = 0; i < w->params.device_count; i++) {
        assert(device_stage_is_terminal((enum device_stage)deployment_get_device(w->d, i)->stage));
    }
}

/* set-up */

static void init_params(struct world *w)
{
    uint8_t flags = fuzz_u8(&w->in);
    uint8_t size = fuzz_u8(&w->in);
    const char *field = "";

    w->params = test_params(1u + flags % DEVICES_MAX);
    w->params.fragment_count = (uint16_t)(1 + size % 16);
    w->params.coded_count = (uint16_t)(size >> 4);
    w->params.choose_rows =
        (flags & 2) != 0 && deployment_may_choose_rows(w->params.fragment_count);
    w->params.time_out = (flags & 4) != 0 ? 15 : 11;
    w->params.gateway_count = (flags & 8) != 0 ? 2 : 0;
    w->params.gateways[0] = 1;
    w->params.gateways[1] = 2;
    w->params.attempts_max = (flags & 16) != 0 ? 1 : 3;
    w->params.quorum_percent = (flags & 32) != 0 ? 50 : 100;
    w->params.setup_limit_ms = (flags & 64) != 0 ? 300000 : 86400000;
    w->params.combine_setup = (flags & 128) != 0;
    enum err err = deployment_params_check(&w->params, &field);
    assert(err == ERR_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint64_t memory[8192];
    struct device devices[DEVICES_MAX] = {0};
    struct world w = {.in = {data, size}, .now_ms = START_MS, .memory = memory};

    init_params(&w);
    assert(deployment_size(w.params.device_count) <= sizeof(memory));
    uint8_t known = fuzz_u8(&w.in);
    for (uint32_t i = 0; i < w.params.device_count; i++) {
        devices[i].dev_eui = i + 1;
        devices[i].uplink_interval_s = (known & 16) != 0 ? 60 : 3600;
        devices[i].flags = (known >> i & 1) != 0 ? DEVICE_HAS_VERSION : 0;
    }
    w.d = deployment_init(memory, &w.params, devices);
    simple_step(&w, DEPLOYMENT_EVENT_BEGIN);
    for (unsigned i = 0; i < STEPS_MAX && w.in.size > 0 && !w.is_finished; i++) {
        happen(&w);
    }
    check_end(&w);
    return 0;
}
