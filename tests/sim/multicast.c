/*
 * multicast.c - the group's queue as the network server keeps it: a row per gateway, spaced by its
 * margin behind rows that still wait, handed over by a scheduler that looks once per interval.
 */
#include <assert.h>
#include <string.h>

#include "lorawan/fragmentation.h"
#include "sim/sim.h"

#define AGAIN_MS 2000 /* a row that no gateway acknowledged */

struct sim_group *multicast_find(struct sim *sim, const struct uuid *id)
{
    for (size_t g = 0; g < SIM_GROUPS_MAX; g++) {
        if (sim->groups[g].exists && memcmp(&sim->groups[g].id, id, sizeof(*id)) == 0) {
            return &sim->groups[g];
        }
    }
    return NULL;
}

bool multicast_has_group(const struct sim *sim)
{
    bool has_group = false;

    for (size_t g = 0; g < SIM_GROUPS_MAX; g++) {
        has_group = has_group || sim->groups[g].exists;
    }
    return has_group;
}

void multicast_delete(struct sim *sim, struct sim_group *group)
{
    unsigned index = (unsigned)(group - sim->groups);
    size_t kept = 0;

    for (size_t i = 0; i < sim->row_count; i++) {
        if (sim->rows[i].group != index) {
            sim->rows[kept++] = sim->rows[i];
        }
    }
    sim->row_count = kept;
    group->exists = false;
}

static void encode(struct sim *sim, const struct sim_call *call, struct sim_row *row)
{
    uint8_t fragment[FRAG_SIZE_MAX];
    size_t size = 0;

    if (call->action.frame_kind == FRAME_STATUS) {
        memcpy(row->data, call->bytes.data, call->bytes.size);
        row->size = call->bytes.size;
        return;
    }
    row->number = call->action.number;
    assert(fec_fragment(&sim->block, row->number, fragment) == ERR_OK);
    assert(data_fragment_encode(sim->params.frag_index, row->number, fragment,
                                sim->params.fragment_size, row->data, sizeof(row->data),
                                &size) == ERR_OK);
    row->size = (uint8_t)size;
}

void multicast_enqueue(struct sim *sim, struct sim_group *group, const struct sim_call *call)
{
    struct sim_row row = {.group = (unsigned)(group - sim->groups),
                          .f_cnt = group->f_cnt,
                          .expires_ms = call->action.expires_ms};
    int64_t due_ms = sim->now_ms;

    check_frame_lands(sim, call);
    encode(sim, call, &row);
    for (size_t i = 0; i < sim->row_count; i++) {
        int64_t after_ms = sim->rows[i].due_ms + sim->params.margin_ms;
        due_ms = sim->rows[i].group == row.group && after_ms > due_ms ? after_ms : due_ms;
    }
    for (unsigned g = 0; g < sim->options.gateway_count; g++) {
        if ((group->gateways & 1u << g) != 0) {
            assert(sim->row_count < SIM_ROWS_MAX);
            row.gateway = (uint8_t)g;
            row.due_ms = due_ms;
            sim->rows[sim->row_count++] = row;
            due_ms += sim->params.margin_ms;
        }
    }
    multicast_schedule(sim);
}

/* The scheduler's first run after the earliest row is due. */
void multicast_schedule(struct sim *sim)
{
    int64_t first_ms = INT64_MAX;
    int64_t interval_ms = sim->params.scheduler_interval_ms;

    for (size_t i = 0; i < sim->row_count; i++) {
        first_ms = sim->rows[i].due_ms < first_ms ? sim->rows[i].due_ms : first_ms;
    }
    if (first_ms == INT64_MAX) {
        return;
    }
    int64_t phase_ms = (int64_t)(sim->options.seed % (uint64_t)interval_ms);
    int64_t at_ms = first_ms > sim->now_ms ? first_ms : sim->now_ms;
    at_ms += interval_ms - (at_ms + phase_ms) % interval_ms;
    if (at_ms != sim->scheduler_ms) {
        sim->scheduler_ms = at_ms;
        sim_schedule(sim, &(struct sim_event){.at_ms = at_ms, .kind = SIM_SCHEDULER});
    }
}

static void emit(struct sim *sim, const struct sim_row *row)
{
    uint32_t heard = 0;

    if (row->number > 0) {
        sim->fragments_on_air++;
    }
    check_frame_on_air(sim, row);
    for (uint32_t i = 0; i < sim->params.device_count; i++) {
        bool is_in_reach = (network_gateways_of(sim, i) & 1u << row->gateway) != 0;
        if (is_in_reach && !sim_draw(sim, sim->options.faults.multicast_loss)) {
            heard += virtual_device_multicast(
                sim->devices[i], sim->params.mc_addr, sim->session_keys.mc_app_s_key.octets,
                sim->session_keys.mc_nwk_s_key.octets, row->f_cnt, sim->params.frequency_hz,
                sim->params.data_rate, sim->params.port_fragmentation, row->data, row->size,
                sim->now_ms);
            sim_plan_wake(sim, i);
        }
    }
    if (row->number > 0) {
        sim_trace(sim, "gateway %c: sends fragment %u with counter %u, %u devices hear it",
                  'A' + row->gateway, row->number, row->f_cnt, heard);
    } else {
        sim_trace(sim,
                  "gateway %c: asks the group for its status with counter %u, %u devices "
                  "hear it",
                  'A' + row->gateway, row->f_cnt, heard);
    }
}

/* Rows that are due at one run go out at once, in any order. */
static size_t choose_due(struct sim *sim)
{
    size_t due[SIM_ROWS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < sim->row_count; i++) {
        if (sim->rows[i].due_ms <= sim->now_ms) {
            due[count++] = i;
        }
    }
    return count == 0 ? SIZE_MAX : due[count == 1 ? 0 : random_below(&sim->random, count)];
}

void multicast_scheduler_runs(struct sim *sim)
{
    size_t at;

    sim->scheduler_ms = 0;
    while (!sim_is_in(sim, &sim->options.network_down) && (at = choose_due(sim)) != SIZE_MAX) {
        struct sim_row *row = &sim->rows[at];
        struct sim_row copy = *row;
        bool is_expired = copy.expires_ms < sim->now_ms;
        bool is_sent = !is_expired && !sim_is_in(sim, &sim->options.gateway_down[copy.gateway]);
        if (is_expired || (is_sent && !sim_draw(sim, sim->options.faults.ack_lost))) {
            memmove(row, row + 1, (--sim->row_count - at) * sizeof(*row));
        } else {
            row->due_ms = sim->now_ms + AGAIN_MS;
        }
        if (is_expired) {
            sim_trace(sim, "network: the frame with counter %u has expired", copy.f_cnt);
        } else if (is_sent && sim_is_in(sim, &sim->options.gateway_refuses[copy.gateway])) {
            sim_trace(sim, "gateway %c: refuses the frame with counter %u", 'A' + copy.gateway,
                      copy.f_cnt);
            network_tell_result(sim, copy.f_cnt, true);
        } else if (is_sent) {
            emit(sim, &copy);
            network_tell_result(sim, copy.f_cnt, false);
        }
    }
    multicast_schedule(sim);
}
