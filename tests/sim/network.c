/* network.c - a network server in memory: device queues, one multicast group, calls that fail or
 * stay unanswered. */
#include <assert.h>
#include <string.h>

#include "lorawan/fragmentation.h"
#include "sim/sim.h"

#define UPLINK_AIR_MS    400
#define PUBLISH_AFTER_MS (UPLINK_AIR_MS + 200)
#define WINDOW_AFTER_MS  (UPLINK_AIR_MS + 300)

#define CALL_LATENCY_MS  20
#define CALL_DEADLINE_MS 10000

static void answer(struct sim *sim, const struct deployment_event *event, int64_t after_ms)
{
    sim_schedule(sim, &(struct sim_event){
                          .at_ms = sim->now_ms + after_ms,
                          .kind = SIM_DAEMON_ANSWER,
                          .generation = sim->generation,
                          .event = *event,
                      });
}

static bool is_down(const struct sim *sim)
{
    int64_t at_ms = sim->now_ms - sim->started_ms;

    return at_ms >= sim->options.network_down_from_ms && at_ms < sim->options.network_down_until_ms;
}

enum outcome { DONE, FAILED, DONE_UNANSWERED, LOST_UNANSWERED };

static enum outcome draw_outcome(struct sim *sim)
{
    if (is_down(sim) || sim_draw(sim, sim->options.faults.call_failed)) {
        return FAILED;
    }
    if (sim_draw(sim, sim->options.faults.call_unanswered)) {
        return sim_draw(sim, 0.5) ? DONE_UNANSWERED : LOST_UNANSWERED;
    }
    return DONE;
}

/* the group */

static void create_group(struct sim *sim)
{
    enum outcome outcome = draw_outcome(sim);

    /* The daemon looks for the group by its name first. */
    if ((outcome == DONE || outcome == DONE_UNANSWERED) && !sim->has_group) {
        sim->has_group = true;
        sim->group_id = sim_new_id(sim);
        sim->f_cnt = 0;
        sim->row_count = 0;
        sim->group_creations++;
    }
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_GROUP_FAILED};
    if (outcome == DONE) {
        event.kind = DEPLOYMENT_EVENT_GROUP_CREATED;
        event.u.group_id = sim->group_id;
    }
    answer(sim, &event, outcome == DONE ? CALL_LATENCY_MS : CALL_DEADLINE_MS);
}

static void enqueue_frame(struct sim *sim, const struct deployment_action *action)
{
    enum outcome outcome = draw_outcome(sim);
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_FRAME_FAILED};

    if ((outcome == DONE || outcome == DONE_UNANSWERED) && !sim->has_group) {
        outcome = FAILED;
    }
    if (outcome == DONE || outcome == DONE_UNANSWERED) {
        assert(sim->row_count < SIM_ROWS_MAX);
        struct sim_row row = {.f_cnt = sim->f_cnt++, .expires_ms = action->expires_ms};
        row.f_port = sim->params.port_fragmentation;
        if (action->frame_kind == FRAME_FRAGMENT) {
            uint8_t fragment[FRAG_SIZE_MAX];
            size_t size = 0;
            assert(fec_fragment(&sim->block, action->number, fragment) == ERR_OK);
            assert(data_fragment_encode(sim->params.frag_index, action->number, fragment,
                                        sim->params.fragment_size, row.data, sizeof(row.data),
                                        &size) == ERR_OK);
            row.size = (uint8_t)size;
            sim->enqueued[action->number]++;
        } else {
            struct command_bytes bytes;
            command_encode_group_status(sim->d, &bytes);
            memcpy(row.data, bytes.data, bytes.size);
            row.size = bytes.size;
        }
        row.due_ms = sim->row_count == 0
                         ? sim->now_ms
                         : sim->rows[sim->row_count - 1].due_ms + sim->params.margin_ms;
        sim->rows[sim->row_count++] = row;
        sim_schedule(sim, &(struct sim_event){.at_ms = row.due_ms, .kind = SIM_ROW_DUE});
        event.kind = DEPLOYMENT_EVENT_FRAME_QUEUED;
        event.u.f_cnt = row.f_cnt;
    }
    if (outcome == DONE_UNANSWERED || outcome == LOST_UNANSWERED) {
        event = (struct deployment_event){.kind = DEPLOYMENT_EVENT_FRAME_UNKNOWN};
        answer(sim, &event, 2 * CALL_DEADLINE_MS);
    } else {
        answer(sim, &event, CALL_LATENCY_MS);
    }
}

void network_row_due(struct sim *sim)
{
    if (sim->row_count == 0 || sim->rows[0].due_ms > sim->now_ms) {
        return; /* the group was deleted meanwhile */
    }
    struct sim_row row = sim->rows[0];
    memmove(sim->rows, sim->rows + 1, --sim->row_count * sizeof(row));
    if (row.expires_ms < sim->now_ms || !sim->has_gateway) {
        sim_trace(sim, "network: frame %u expired", row.f_cnt);
        return;
    }
    sim_trace(sim, "network: frame %u is on air", row.f_cnt);
    for (uint32_t i = 0; i < sim->params.device_count; i++) {
        if (!sim_draw(sim, sim->options.faults.multicast_loss)) {
            virtual_device_multicast(
                sim->devices[i], sim->params.mc_addr, sim->session_keys.mc_app_s_key.octets,
                sim->session_keys.mc_nwk_s_key.octets, row.f_cnt, sim->params.frequency_hz,
                sim->params.data_rate, row.f_port, row.data, row.size, sim->now_ms);
            sim_plan_wake(sim, i);
        }
    }
}

/* devices */

static void enqueue_command(struct sim *sim, const struct deployment_action *action)
{
    enum outcome outcome = draw_outcome(sim);
    uint32_t i = action->device_index;
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_COMMAND_FAILED, .device_index = i};
    int64_t after_ms = CALL_LATENCY_MS;

    if (outcome == DONE || outcome == DONE_UNANSWERED) {
        struct key mc_root, mc_ke;
        uint8_t encrypted[KEY_SIZE];
        assert(sim->queue_counts[i] < SIM_QUEUE_MAX);
        struct sim_item *item = &sim->queues[i][sim->queue_counts[i]++];
        assert(key_mc_root(&sim->root_key, LORAWAN_1_0, &mc_root) == ERR_OK);
        assert(key_mc_ke(&mc_root, &mc_ke) == ERR_OK);
        assert(key_mc_key_encrypt(&mc_ke, &sim->mc_key, encrypted) == ERR_OK);
        item->id = sim_new_id(sim);
        item->expires_ms = action->expires_ms;
        command_encode(sim->d, action->command, encrypted, &item->bytes);
        event.kind = DEPLOYMENT_EVENT_COMMAND_QUEUED;
        event.u.item_id = item->id;
    }
    if (outcome == DONE_UNANSWERED || outcome == LOST_UNANSWERED) {
        event =
            (struct deployment_event){.kind = DEPLOYMENT_EVENT_COMMAND_UNKNOWN, .device_index = i};
        after_ms = 2 * CALL_DEADLINE_MS;
    }
    answer(sim, &event, after_ms);
}

static void check_queue(struct sim *sim, const struct deployment_action *action)
{
    uint32_t i = action->device_index;
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_QUEUE_CHECKED, .device_index = i};

    if (draw_outcome(sim) != DONE) {
        event.kind = DEPLOYMENT_EVENT_COMMAND_UNKNOWN;
        answer(sim, &event, CALL_DEADLINE_MS);
        return;
    }
    for (size_t q = 0; q < sim->queue_counts[i]; q++) {
        const struct sim_item *item = &sim->queues[i][q];
        struct command_bytes bytes;
        uint8_t any_key[KEY_SIZE] = {0};
        command_encode(sim->d, action->command, any_key, &bytes);
        if (item->bytes.f_port == bytes.f_port && item->bytes.size == bytes.size &&
            item->bytes.data[0] == bytes.data[0]) {
            event.u.queue.is_present = true;
            event.u.queue.item_id = item->id;
        }
    }
    answer(sim, &event, CALL_LATENCY_MS);
}

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

void network_on_uplink(struct sim *sim, uint32_t index, uint8_t f_port, const uint8_t *data,
                       size_t size)
{
    if (sim_draw(sim, sim->options.faults.uplink_loss)) {
        return;
    }
    if (f_port == 202 && size == 6 && data[0] == 0x01 && !sim->options.is_clock_unanswered) {
        answer_app_time(sim, index, data);
    }
    struct sim_event up = {
        .at_ms = sim->now_ms + PUBLISH_AFTER_MS,
        .kind = SIM_UPLINK_EVENT,
        .index = index,
        .event = {.kind = DEPLOYMENT_EVENT_UPLINK, .device_index = index},
        .size = size < sizeof(up.data) ? size : sizeof(up.data),
    };
    up.event.u.uplink.received_ms = sim->now_ms;
    up.event.u.uplink.f_port = f_port;
    up.event.u.uplink.gateway_count = 1;
    up.event.u.uplink.gateways[0] = 0x0101010101010101u;
    if (up.size > 0) {
        memcpy(up.data, data, up.size);
    }
    sim_schedule(sim, &up);
    sim_schedule(sim, &(struct sim_event){
                          .at_ms = sim->now_ms + WINDOW_AFTER_MS,
                          .kind = SIM_WINDOW,
                          .index = index,
                      });
}

void network_on_join(struct sim *sim, uint32_t index)
{
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_JOIN, .device_index = index};

    sim_trace(sim, "device %u joins", index);
    sim_publish(sim, &event, NULL, 0);
}

/* The receive window of an uplink: the first item that has not expired goes out. */
void network_window(struct sim *sim, uint32_t index)
{
    while (sim->queue_counts[index] > 0) {
        struct sim_item item = sim->queues[index][0];
        memmove(sim->queues[index], sim->queues[index] + 1,
                --sim->queue_counts[index] * sizeof(item));
        struct deployment_event event = {.device_index = index, .u.item_id = item.id};
        if (item.expires_ms < sim->now_ms) {
            event.kind = DEPLOYMENT_EVENT_ITEM_DROPPED;
            sim_publish(sim, &event, NULL, 0);
            continue;
        }
        event.kind = DEPLOYMENT_EVENT_TXACK;
        sim_publish(sim, &event, NULL, 0);
        if (!sim_draw(sim, sim->options.faults.downlink_loss)) {
            virtual_device_downlink(sim->devices[index], item.bytes.f_port, item.bytes.data,
                                    item.bytes.size, sim->now_ms);
            sim_plan_wake(sim, index);
        }
        return;
    }
}

/* the daemon's calls */

void network_act(struct sim *sim, const struct deployment_action *action)
{
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_GROUP_FAILED};
    enum outcome outcome;

    switch (action->kind) {
    case DEPLOYMENT_ACTION_CREATE_GROUP:
        create_group(sim);
        break;
    case DEPLOYMENT_ACTION_ADD_GATEWAYS:
        outcome = draw_outcome(sim);
        sim->has_gateway = sim->has_gateway || outcome == DONE || outcome == DONE_UNANSWERED;
        if (outcome == DONE) {
            event.kind = DEPLOYMENT_EVENT_GATEWAYS_ADDED;
        }
        answer(sim, &event, CALL_LATENCY_MS);
        break;
    case DEPLOYMENT_ACTION_DELETE_GROUP:
        outcome = draw_outcome(sim);
        if (outcome == DONE || outcome == DONE_UNANSWERED) {
            sim->has_group = false;
            sim->row_count = 0;
        }
        if (outcome == DONE) {
            event.kind = DEPLOYMENT_EVENT_GROUP_DELETED;
        }
        answer(sim, &event, CALL_LATENCY_MS);
        break;
    case DEPLOYMENT_ACTION_READ_OLD_QUEUE:
        event.kind = DEPLOYMENT_EVENT_OLD_QUEUE;
        answer(sim, &event, CALL_LATENCY_MS);
        break;
    case DEPLOYMENT_ACTION_DELETE_OLD_GROUP:
        event.kind = DEPLOYMENT_EVENT_GROUP_DELETED;
        answer(sim, &event, CALL_LATENCY_MS);
        break;
    case DEPLOYMENT_ACTION_FRAME:
        enqueue_frame(sim, action);
        break;
    case DEPLOYMENT_ACTION_READ_COUNTER:
        if (draw_outcome(sim) == DONE) {
            event.kind = DEPLOYMENT_EVENT_COUNTER;
            event.u.f_cnt = sim->f_cnt;
        }
        answer(sim, &event, CALL_LATENCY_MS);
        break;
    case DEPLOYMENT_ACTION_COMMAND:
        enqueue_command(sim, action);
        break;
    case DEPLOYMENT_ACTION_CHECK_QUEUE:
        check_queue(sim, action);
        break;
    case DEPLOYMENT_ACTION_FINISHED:
        sim->is_finished = true;
        break;
    }
}
