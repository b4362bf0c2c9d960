/*
 * network.c - a network server in memory: the daemon's calls, which fail, are slow, land late or
 * stay unanswered, and the queues of the devices.
 */
#include <assert.h>
#include <string.h>

#include "lorawan/fragmentation.h"
#include "sim/sim.h"

#define WINDOW_AFTER_MS 700 /* of the uplink's start */
#define DOUBLE_AFTER_MS 8000

#define CALL_LATENCY_MS 20
#define LATE_MOST_MS    600000

/* The daemon looks only when the time that any call may take has passed once more. */
#define UNKNOWN_AFTER_MS (INT64_C(2) * SIM_CALL_DEADLINE_MS)

#define GATEWAY_ID UINT64_C(0x0101010101010101)

/* calls */

static void answer(struct sim *sim, const struct deployment_event *event, int64_t after_ms,
                   uint64_t generation)
{
    sim_schedule(sim, &(struct sim_event){
                          .at_ms = sim->now_ms + after_ms,
                          .kind = SIM_DAEMON_ANSWER,
                          .generation = generation,
                          .event = *event,
                      });
}

void network_tell_result(struct sim *sim, uint32_t f_cnt, bool is_refused)
{
    struct deployment_event event = {
        .kind = DEPLOYMENT_EVENT_FRAME_RESULT,
        .u.result = {.f_cnt = (uint16_t)f_cnt, .is_refused = is_refused},
    };

    if (sim->options.tells_results) {
        answer(sim, &event, 1 + (int64_t)random_below(&sim->random, 3000), sim->generation);
    }
}

static bool is_command(const struct deployment_action *action)
{
    return action->kind == DEPLOYMENT_ACTION_COMMAND ||
           action->kind == DEPLOYMENT_ACTION_CHECK_QUEUE;
}

/* What the daemon is told of a call that certainly failed, or whose outcome nobody knows. */
static struct deployment_event failure_of(const struct deployment_action *action, bool is_unknown)
{
    struct deployment_event event = {.device_index = action->device_index};

    switch (action->kind) {
    case DEPLOYMENT_ACTION_FRAME:
        event.kind = is_unknown ? DEPLOYMENT_EVENT_FRAME_UNKNOWN : DEPLOYMENT_EVENT_FRAME_FAILED;
        break;
    case DEPLOYMENT_ACTION_COMMAND:
        event.kind =
            is_unknown ? DEPLOYMENT_EVENT_COMMAND_UNKNOWN : DEPLOYMENT_EVENT_COMMAND_FAILED;
        break;
    case DEPLOYMENT_ACTION_CHECK_QUEUE:
        event.kind = DEPLOYMENT_EVENT_COMMAND_UNKNOWN;
        break;
    case DEPLOYMENT_ACTION_CREATE_GROUP:
    case DEPLOYMENT_ACTION_SET_GATEWAYS:
    case DEPLOYMENT_ACTION_DELETE_GROUP:
    case DEPLOYMENT_ACTION_READ_COUNTER:
    case DEPLOYMENT_ACTION_READ_OLD_QUEUE:
    case DEPLOYMENT_ACTION_DELETE_OLD_GROUP:
    case DEPLOYMENT_ACTION_FINISHED:
        event.kind = DEPLOYMENT_EVENT_GROUP_FAILED;
        break;
    }
    return event;
}

static void encode(struct sim *sim, struct sim_call *call)
{
    const struct deployment_action *action = &call->action;
    const struct transmission *now = deployment_get_transmission(sim->d);
    bool is_old = action->kind == DEPLOYMENT_ACTION_READ_OLD_QUEUE ||
                  action->kind == DEPLOYMENT_ACTION_DELETE_OLD_GROUP;

    call->group_id = is_old ? now->old_group_id : now->group_id;
    call->group_number = now->group_number;
    call->group_f_cnt = now->f_cnt;
    if (is_command(action)) {
        struct key mc_root, mc_ke;
        uint8_t encrypted[KEY_SIZE];
        assert(key_mc_root(&sim->root_key, LORAWAN_1_0, &mc_root) == ERR_OK);
        assert(key_mc_ke(&mc_root, &mc_ke) == ERR_OK);
        assert(key_mc_key_encrypt(&mc_ke, &sim->mc_key, encrypted) == ERR_OK);
        command_encode(sim->d, action->command, encrypted, &call->bytes);
    } else if (action->kind == DEPLOYMENT_ACTION_FRAME && action->frame_kind == FRAME_STATUS) {
        command_encode_group_status(sim->d, &call->bytes);
    } else if (action->kind == DEPLOYMENT_ACTION_SET_GATEWAYS) {
        const struct transmission *t = deployment_get_transmission(sim->d);
        for (unsigned g = 0; g < t->gateway_count; g++) {
            if (t->gateways[g].is_chosen) {
                call->gateway_mask |= 1u << (t->gateways[g].id / GATEWAY_ID - 1);
            }
        }
    }
}

/* Nobody answers: it is done in time, long after, or never. */
static void leave_unanswered(struct sim *sim, struct sim_event *landing)
{
    bool is_looked_for = landing->call.action.kind == DEPLOYMENT_ACTION_FRAME ||
                         landing->call.action.kind == DEPLOYMENT_ACTION_COMMAND;
    struct deployment_event event = failure_of(&landing->call.action, true);

    answer(sim, &event, is_looked_for ? UNKNOWN_AFTER_MS : SIM_CALL_DEADLINE_MS, sim->generation);
    landing->call.answer_after_ms = -1;
    landing->call.is_late = sim_draw(sim, sim->options.faults.call_lands_late);
    if (landing->call.is_late) {
        landing->at_ms = sim->now_ms + sim_draw_between(sim, UNKNOWN_AFTER_MS + 1, LATE_MOST_MS);
        sim_schedule(sim, landing);
    } else if (sim_draw(sim, 0.5)) {
        landing->at_ms = sim->now_ms + sim_draw_between(sim, 1, SIM_CALL_DEADLINE_MS);
        sim_schedule(sim, landing);
    }
    if (is_command(&landing->call.action)) {
        sim->watch.excuses[landing->call.action.device_index]++;
    }
}

/*
 * The ledger, with another deployment that takes a turn after each of ours. A turn that is not
 * taken in time has gone by.
 */
static bool waits_for_its_turn(struct sim *sim)
{
    const struct transmission *t = deployment_get_transmission(sim->d);
    int64_t now_ms = sim_daemon_ms(sim), booked_ms = sim->booked_ms;
    int64_t busy_ms = deployment_busy_ms(&sim->params, deployment_gateway_count(sim->d));

    sim->booked_ms = 0;
    if (!sim->options.shares_air ||
        (booked_ms > 0 && now_ms >= booked_ms && now_ms <= booked_ms + busy_ms)) {
        return false;
    }
    int64_t start_ms = t->frame_emission_ms > sim->air_free_ms ? t->frame_emission_ms
                                                               : sim->air_free_ms;
    sim->air_free_ms = start_ms + 2 * busy_ms;
    if (start_ms <= now_ms) {
        return false;
    }
    sim->booked_ms = start_ms;
    sim->deferred_count++;
    answer(sim,
           &(struct deployment_event){.kind = DEPLOYMENT_EVENT_FRAME_DEFERRED,
                                      .u.until_ms = start_ms},
           1, sim->generation);
    return true;
}

void network_act(struct sim *sim, const struct deployment_action *action)
{
    const struct sim_faults *faults = &sim->options.faults;
    int64_t takes_ms = CALL_LATENCY_MS;
    struct sim_event landing = {
        .kind = SIM_CALL_LANDS,
        .generation = sim->generation,
        .call = {.action = *action,
                 .made_ms = sim->now_ms,
                 .clock_error_ms = sim_daemon_ms(sim) - sim->now_ms},
    };

    if (action->kind == DEPLOYMENT_ACTION_FINISHED) {
        sim->is_finished = true;
        return;
    }
    if (action->kind == DEPLOYMENT_ACTION_FRAME && waits_for_its_turn(sim)) {
        return;
    }
    encode(sim, &landing.call);
    if (sim_draw(sim, faults->call_slow)) {
        takes_ms = sim_draw_between(sim, CALL_LATENCY_MS, SIM_CALL_DEADLINE_MS - 1);
    }
    if (sim_draw(sim, faults->call_failed)) {
        struct deployment_event event = failure_of(action, false);
        answer(sim, &event, takes_ms, sim->generation);
    } else if (sim_draw(sim, faults->call_unanswered)) {
        leave_unanswered(sim, &landing);
    } else {
        int64_t lands_after_ms = sim_draw_between(sim, 1, takes_ms - 1);
        landing.at_ms = sim->now_ms + lands_after_ms;
        landing.call.answer_after_ms = takes_ms - lands_after_ms;
        sim_schedule(sim, &landing);
    }
    if (action->kind == DEPLOYMENT_ACTION_FRAME && landing.at_ms > 0 && !landing.call.is_late &&
        landing.at_ms > sim->watch.frame_lands_by_ms) {
        sim->watch.frame_lands_by_ms = landing.at_ms;
    }
}

/* what a call does */

static struct sim_group *find_by_name(struct sim *sim, uint32_t number)
{
    for (size_t g = 0; g < SIM_GROUPS_MAX; g++) {
        if (sim->groups[g].exists && sim->groups[g].number == number) {
            return &sim->groups[g];
        }
    }
    return NULL;
}

static struct deployment_event create_group(struct sim *sim, const struct sim_call *call)
{
    struct sim_group *group = find_by_name(sim, call->group_number);

    /* The daemon looks for the group by its name first. */
    if (group == NULL) {
        group = sim->groups;
        while (group->exists) {
            group++;
            assert(group < sim->groups + SIM_GROUPS_MAX);
        }
        *group = (struct sim_group){.exists = true,
                                    .id = sim_new_id(sim),
                                    .number = call->group_number,
                                    .f_cnt = call->group_f_cnt};
        sim->group_creations++;
    }
    return (struct deployment_event){.kind = DEPLOYMENT_EVENT_GROUP_CREATED,
                                     .u.group_id = group->id};
}

/* What waits, as the network server lists it. */
static struct deployment_event read_queue(struct sim *sim, const struct sim_group *group)
{
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_OLD_QUEUE};

    for (size_t i = 0; group != NULL && i < sim->row_count; i++) {
        const struct sim_row *row = &sim->rows[i];
        if (row->group == (unsigned)(group - sim->groups) && row->number == 0) {
            event.u.queued.has_status = true;
        } else if (row->group == (unsigned)(group - sim->groups)) {
            sim->listed[event.u.queued.count++] = row->number;
        }
    }
    event.u.queued.numbers = sim->listed;
    if (group != NULL) {
        check_taken_over(sim, group);
    }
    return event;
}

/* Gone is gone; a group without an id goes by its name. */
static void delete_group(struct sim *sim, const struct sim_call *call)
{
    bool is_named =
        uuid_is_zero(&call->group_id) && call->action.kind == DEPLOYMENT_ACTION_DELETE_GROUP;
    struct sim_group *group =
        is_named ? find_by_name(sim, call->group_number) : multicast_find(sim, &call->group_id);

    if (group != NULL) {
        multicast_delete(sim, group);
    }
    if (call->action.kind == DEPLOYMENT_ACTION_DELETE_OLD_GROUP) {
        sim->watch.frame_lands_by_ms = 0; /* what is under way to it will fail */
    }
}

static struct deployment_event enqueue_command(struct sim *sim, const struct sim_call *call)
{
    uint32_t i = call->action.device_index;
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_COMMAND_QUEUED, .device_index = i};

    assert(sim->queue_counts[i] < SIM_QUEUE_MAX);
    struct sim_item *item = &sim->queues[i][sim->queue_counts[i]++];
    *item = (struct sim_item){
        .id = sim_new_id(sim),
        .command = call->action.command,
        .bytes = call->bytes,
        .expires_ms = call->action.expires_ms,
    };
    check_command_lands(sim, i);
    event.u.item_id = item->id;
    return event;
}

static struct deployment_event check_queue(struct sim *sim, const struct sim_call *call)
{
    uint32_t i = call->action.device_index;
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_QUEUE_CHECKED, .device_index = i};

    for (size_t q = 0; q < sim->queue_counts[i]; q++) {
        const struct sim_item *item = &sim->queues[i][q];
        if (item->bytes.f_port == call->bytes.f_port && item->bytes.size == call->bytes.size &&
            memcmp(item->bytes.data, call->bytes.data, call->bytes.size) == 0) {
            event.u.queue.is_present = true;
            event.u.queue.item_id = item->id;
        }
    }
    return event;
}

void network_call_lands(struct sim *sim, const struct sim_event *landing)
{
    const struct sim_call *call = &landing->call;
    const struct deployment_action *action = &call->action;
    bool is_group_needed = action->kind == DEPLOYMENT_ACTION_SET_GATEWAYS ||
                           action->kind == DEPLOYMENT_ACTION_FRAME ||
                           action->kind == DEPLOYMENT_ACTION_READ_COUNTER;
    struct sim_group *group = multicast_find(sim, &call->group_id);
    struct deployment_event event = failure_of(action, false);

    if (landing->generation != sim->generation && sim_draw(sim, 0.5)) {
        return; /* it never left the daemon that was killed */
    }
    if (call->is_late) {
        sim_trace(sim, "network: a call of %lld s ago is carried out now",
                  (long long)(sim->now_ms - call->made_ms) / 1000);
    }
    if (!sim_is_in(sim, &sim->options.network_down) && (group != NULL || !is_group_needed)) {
        switch (action->kind) {
        case DEPLOYMENT_ACTION_CREATE_GROUP:
            event = create_group(sim, call);
            break;
        case DEPLOYMENT_ACTION_SET_GATEWAYS:
            group->gateways =
                call->is_late ? group->gateways | call->gateway_mask : call->gateway_mask;
            event.kind = DEPLOYMENT_EVENT_GATEWAYS_SET;
            break;
        case DEPLOYMENT_ACTION_DELETE_GROUP:
        case DEPLOYMENT_ACTION_DELETE_OLD_GROUP:
            delete_group(sim, call);
            event.kind = DEPLOYMENT_EVENT_GROUP_DELETED;
            break;
        case DEPLOYMENT_ACTION_FRAME:
            multicast_enqueue(sim, group, call);
            event.kind = DEPLOYMENT_EVENT_FRAME_QUEUED;
            event.u.f_cnt = group->f_cnt++;
            break;
        case DEPLOYMENT_ACTION_READ_COUNTER:
            event.kind = DEPLOYMENT_EVENT_COUNTER;
            event.u.f_cnt = group->f_cnt;
            break;
        case DEPLOYMENT_ACTION_COMMAND:
            event = enqueue_command(sim, call);
            break;
        case DEPLOYMENT_ACTION_CHECK_QUEUE:
            event = check_queue(sim, call);
            break;
        case DEPLOYMENT_ACTION_READ_OLD_QUEUE:
            event = read_queue(sim, group);
            break;
        case DEPLOYMENT_ACTION_FINISHED:
            break;
        }
    }
    if (call->answer_after_ms >= 0) {
        answer(sim, &event, call->answer_after_ms, landing->generation);
    }
}

/* devices */

/* As a network server with TS003 switched on: the answer is queued like any other downlink. */
static void answer_app_time(struct sim *sim, uint32_t index, const uint8_t *data)
{
    uint32_t device_s = (uint32_t)data[1] | (uint32_t)data[2] << 8 | (uint32_t)data[3] << 16 |
                        (uint32_t)data[4] << 24;
    uint32_t right_s = (uint32_t)(sim->now_ms / 1000 - 315964800 + 18);
    uint32_t correction_s = right_s - device_s;

    if (correction_s == 0 || sim->queue_counts[index] == SIM_QUEUE_MAX) {
        return;
    }
    struct sim_item *item = &sim->queues[index][sim->queue_counts[index]++];
    *item = (struct sim_item){.id = sim_new_id(sim), .expires_ms = INT64_MAX};
    item->bytes = (struct command_bytes){.f_port = 202, .size = 6};
    item->bytes.data[0] = 0x01;
    for (unsigned i = 0; i < 4; i++) {
        item->bytes.data[1 + i] = (uint8_t)(correction_s >> 8 * i);
    }
    item->bytes.data[5] = data[5] & 0x0F;
}

uint32_t network_gateways_of(const struct sim *sim, uint32_t index)
{
    uint32_t all = (1u << sim->options.gateway_count) - 1;
    uint32_t mask = sim->options.hears[index] == 0 ? all : sim->options.hears[index] & all;

    for (unsigned g = 0; g < sim->options.gateway_count; g++) {
        if (sim_is_in(sim, &sim->options.gateway_down[g])) {
            mask &= ~(1u << g);
        }
    }
    return mask;
}

void network_on_uplink(struct sim *sim, uint32_t index, uint8_t f_port, const uint8_t *data,
                       size_t size)
{
    uint32_t heard = network_gateways_of(sim, index);
    struct sim_event up = {
        .event = {.kind = DEPLOYMENT_EVENT_UPLINK, .device_index = index},
    };

    for (unsigned g = 0; g < sim->options.gateway_count; g++) {
        if (sim_draw(sim, sim->options.faults.uplink_loss)) {
            heard &= ~(1u << g);
        }
        if ((heard & 1u << g) != 0) {
            up.event.u.uplink.gateways[up.event.u.uplink.gateway_count++] = GATEWAY_ID * (g + 1);
        }
    }
    trace_uplink(sim, index, f_port, data, size, heard);
    if (heard == 0 || sim_is_in(sim, &sim->options.network_down)) {
        return;
    }
    if (f_port == 202 && size == 6 && data[0] == 0x01 && !sim->options.is_clock_unanswered) {
        answer_app_time(sim, index, data);
    }
    up.event.u.uplink.received_ms = sim->now_ms;
    up.event.u.uplink.f_port = f_port;
    broker_publish(sim, &up.event, data, size < SIM_PAYLOAD_MAX ? size : SIM_PAYLOAD_MAX);
    sim_schedule(sim, &(struct sim_event){
                          .at_ms = sim->now_ms + WINDOW_AFTER_MS,
                          .kind = SIM_WINDOW,
                          .index = index,
                      });
}

void network_on_join(struct sim *sim, uint32_t index)
{
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_JOIN, .device_index = index};

    sim_trace(sim, "device %u: has restarted and joins", index);
    broker_publish(sim, &event, NULL, 0);
}

static void remove_item(struct sim *sim, uint32_t index, size_t at)
{
    size_t left = --sim->queue_counts[index] - at;

    memmove(&sim->queues[index][at], &sim->queues[index][at + 1],
            left * sizeof(sim->queues[index][0]));
}

static void hear(struct sim *sim, uint32_t index, const struct command_bytes *bytes)
{
    virtual_device_downlink(sim->devices[index], bytes->f_port, bytes->data, bytes->size,
                            sim->now_ms);
    sim_plan_wake(sim, index);
    if (sim_draw(sim, sim->options.faults.downlink_doubled)) {
        sim_schedule(sim, &(struct sim_event){
                              .at_ms = sim->now_ms + DOUBLE_AFTER_MS,
                              .kind = SIM_DOUBLE,
                              .index = index,
                              .call = {.bytes = *bytes},
                          });
    }
}

/* One item goes out. Without the gateway's acknowledgement it stays, and goes out again with the
 * same counter, by which the device knows it. */
static void send_item(struct sim *sim, uint32_t index, size_t at)
{
    struct sim_item *item = &sim->queues[index][at];
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_TXACK, .device_index = index};
    bool is_heard = !item->was_heard && !sim_draw(sim, sim->options.faults.downlink_loss);
    struct command_bytes bytes = item->bytes;

    event.u.item_id = item->id;
    sim_trace(sim, "network: device %u is sent %s%s", index, trace_command(item->command),
              is_heard ? "" : ", and does not hear it");
    if (item->command != COMMAND_NONE) {
        check_command_on_air(sim, index, item->command);
    }
    if (sim_draw(sim, sim->options.faults.ack_lost)) {
        item->was_heard = item->was_heard || is_heard;
        sim->watch.excuses[index]++;
    } else {
        remove_item(sim, index, at);
        broker_publish(sim, &event, NULL, 0);
    }
    if (is_heard) {
        hear(sim, index, &bytes);
    }
}

/* The receive window of an uplink: the first item that has not expired goes out. */
void network_window(struct sim *sim, uint32_t index)
{
    if (sim_is_in(sim, &sim->options.network_down) || network_gateways_of(sim, index) == 0) {
        return;
    }
    while (sim->queue_counts[index] > 0) {
        size_t at =
            sim->queue_counts[index] > 1 && sim_draw(sim, sim->options.faults.downlink_reordered);
        const struct sim_item *item = &sim->queues[index][at];
        if (item->expires_ms >= sim->now_ms) {
            send_item(sim, index, at);
            return;
        }
        struct deployment_event event = {
            .kind = DEPLOYMENT_EVENT_ITEM_DROPPED, .device_index = index, .u.item_id = item->id};
        sim_trace(sim, "network: %s for device %u has expired", trace_command(item->command),
                  index);
        remove_item(sim, index, at);
        broker_publish(sim, &event, NULL, 0);
    }
}
