/* The network server's multicast queues and their scheduler. */
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "sim/gateway_topics.h"
#include "sim/network.h"

#define LOCK_MS            2000 /* scheduler_lock_duration */
#define BATCH_SIZE         100
#define PORT_FRAGMENTATION 201
#define DATA_FRAGMENT      0x08

/* A frame on its way from one gateway to all devices. */
struct multicast_flight {
    struct network *network;
    size_t gateway_index;
    uint32_t attempt;
    int64_t from_ms;
    struct device_multicast_frame frame;
    uint8_t payload[];
};

struct multicast_group *multicast_find(struct network *network, const struct uuid *id)
{
    for (struct multicast_group *g = network->groups; g != NULL; g = g->next) {
        if (memcmp(&g->id, id, sizeof(*id)) == 0) {
            return g;
        }
    }
    return NULL;
}

static void remove_row(struct multicast_group *group, struct multicast_row **at)
{
    struct multicast_row *row = *at;

    *at = row->next;
    if (*at == NULL) {
        group->rows_end = at;
    }
    free(row);
    group->row_count--;
}

void multicast_flush(struct multicast_group *group)
{
    while (group->rows != NULL) {
        remove_row(group, &group->rows);
    }
}

static void on_flight_end(void *arg, uint64_t value)
{
    struct multicast_flight *f = arg;
    struct network *network = f->network;
    int64_t now_ms = network->world->now_ms;
    size_t heard = 0;
    size_t lost = 0;

    (void)value;
    for (size_t i = 0; i < network->device_count; i++) {
        struct sim_device *d = &network->devices[i];
        if (!device_session_is_open(&d->device) || (d->gateway_mask >> f->gateway_index & 1) == 0) {
            continue;
        }
        bool is_sending = d->sending.from_ms < now_ms && d->sending.to_ms > f->from_ms;
        if (is_sending ||
            radio_is_lost(d, f->gateway_index, DIRECTION_MULTICAST, f->frame.f_cnt, f->attempt)) {
            lost++;
            continue;
        }
        heard += device_on_multicast(&d->device, &f->frame, now_ms) == DEVICE_HEARD ? 1 : 0;
        network_plan_wake(d);
    }
    network_trace(network,
                  "multicast gateway=%zu addr=%08x fcnt=%u port=%u size=%zu heard=%zu lost=%zu",
                  f->gateway_index, f->frame.mc_addr, f->frame.f_cnt, f->frame.f_port,
                  f->frame.size, heard, lost);
    free(f);
}

/* The gateway sends the frame, which it has found possible. */
static enum tx_status send_row(struct network *network, const struct multicast_group *group,
                               const struct multicast_row *row, const struct region_dr *rate)
{
    struct multicast_flight *f = malloc(sizeof(*f) + row->size);
    int64_t now_ms = network->world->now_ms;
    uint32_t airtime = airtime_ms(rate, row->size, false);

    if (f == NULL) {
        return TX_INTERNAL_ERROR;
    }
    *f = (struct multicast_flight){
        .network = network,
        .gateway_index = row->gateway_index,
        .attempt = row->attempt,
        .frame = {.mc_addr = group->mc_addr,
                  .f_cnt = row->f_cnt,
                  .frequency_hz = group->frequency_hz,
                  .dr = (uint8_t)group->dr,
                  .f_port = row->f_port,
                  .size = row->size},
    };
    memcpy(f->frame.app_s_key, group->app_s_key, DEVICE_KEY_SIZE);
    memcpy(f->frame.nwk_s_key, group->nwk_s_key, DEVICE_KEY_SIZE);
    memcpy(f->payload, row->payload, row->size);
    f->frame.payload = f->payload;
    f->from_ms = radio_queue(network, row->gateway_index, group->frequency_hz, now_ms, airtime);
    network->counters.multicast_sent++;
    network->gateways[row->gateway_index].multicast_sent++;
    network->counters.multicast_duplicate_fcnt += row->attempt > 0 ? 1 : 0;
    world_at_take(network->world, f->from_ms + airtime, on_flight_end, f, 0);
    return TX_OK;
}

/* A draw for the share options, from what identifies the frame. */
static bool happens(const struct network *network, const struct multicast_row *row, uint64_t what,
                    double share)
{
    uint64_t key = random_mix(network->seed, what);
    uint64_t frame = (uint64_t)row->f_cnt << 32 | (uint64_t)row->attempt << 8 | row->gateway_index;

    return share > 0 && (double)(random_mix(key, frame) >> 11) / 9007199254740992.0 < share;
}

/* The first refusal of the scenario that names this gateway and time and whose share hits. */
static enum tx_status refusal(const struct network *network, const struct multicast_row *row)
{
    double since_s = (double)(network->world->now_ms - network->start_ms) / 1000;

    for (size_t i = 0; i < network->options->refusal_count; i++) {
        const struct gateway_refusal *r = &network->options->refusals[i];
        if (r->gateway == row->gateway_index && since_s >= r->from_s && since_s < r->to_s &&
            happens(network, row, 0x5EF00 + i, r->share)) {
            return r->status;
        }
    }
    return TX_OK;
}

/* What the gateway says to a frame that it may send now. */
static enum tx_status answer(const struct network *network, const struct multicast_group *group,
                             const struct multicast_row *row, const struct region_dr *rate)
{
    int64_t now_ms = network->world->now_ms;
    enum tx_status status = refusal(network, row);

    if (status == TX_OK && happens(network, row, 0x4E, network->options->gateway_rejects)) {
        status = TX_COLLISION_PACKET;
    }
    if (status == TX_OK && !radio_has_room(&network->gateways[row->gateway_index], now_ms)) {
        status = TX_QUEUE_FULL;
    }
    if (status == TX_OK && !radio_fits_duty_cycle(network, row->gateway_index, group->frequency_hz,
                                                  now_ms, airtime_ms(rate, row->size, false))) {
        status = TX_DUTY_CYCLE_OVERFLOW;
    }
    return status;
}

static void tell_down(struct network *network, const struct multicast_group *group,
                      const struct multicast_row *row, const struct downlink *downlink)
{
    struct phy_downlink frame = {
        .dev_addr = group->mc_addr,
        .f_cnt = row->f_cnt,
        .f_port = row->f_port,
        .payload = row->payload,
        .size = row->size,
    };

    memcpy(frame.app_s_key, group->app_s_key, DEVICE_KEY_SIZE);
    memcpy(frame.nwk_s_key, group->nwk_s_key, DEVICE_KEY_SIZE);
    gateway_topics_down(network, downlink, &frame);
}

/* One due row; true when it is done with and leaves the queue. */
static bool run_row(struct network *network, struct multicast_group *group,
                    struct multicast_row *row)
{
    const struct options *options = network->options;
    const struct region_dr *rate = region_dr(network->region, group->dr);

    row->run_after_ms = network->world->now_ms + LOCK_MS;
    if (row->expires_ms <= network->world->now_ms) {
        network->counters.multicast_dropped++;
        return true;
    }
    if (rate == NULL || group->is_class_b || group->is_gps_time) {
        return group->is_class_b ||
               group->is_gps_time; /* a wrong data rate is tried for ever; 3.3 for GPS_TIME */
    }
    if (row->size > rate->payload_max) {
        network->counters.multicast_dropped++;
        return true;
    }
    struct downlink downlink = {.id = network_new_downlink_id(network),
                                .gateway_index = row->gateway_index,
                                .item_count = 1,
                                .items = {{group->frequency_hz, group->dr, 0, TX_OK}}};
    tell_down(network, group, row, &downlink);
    enum tx_status status = answer(network, group, row, rate);
    status = status == TX_OK ? send_row(network, group, row, rate) : status;
    downlink.items[0].status = status;
    if (status != TX_OK) {
        gateway_topics_ack(network, &downlink);
        network->counters.multicast_rejected++;
        network->gateways[row->gateway_index].multicast_refused++;
        network_trace(network, "refused gateway=%u addr=%08x fcnt=%u status=%s", row->gateway_index,
                      group->mc_addr, row->f_cnt, tx_status_name(status));
        return true; /* a frame that was refused leaves the queue like one that was sent */
    }
    if (happens(network, row, 0xAC, options->lost_gateway_acks)) {
        row->attempt++; /* the row stays, and its lock runs out */
        return false;
    }
    gateway_topics_ack(network, &downlink);
    return true;
}

static void plan_scheduler(struct network *network);

static void on_scheduler(void *arg, uint64_t value)
{
    struct network *network = arg;
    int64_t now_ms = network->world->now_ms;
    size_t budget = BATCH_SIZE;

    (void)value;
    network->scheduler_planned = false;
    for (struct multicast_group *group = network->groups; group != NULL; group = group->next) {
        struct multicast_row **at = &group->rows;
        while (*at != NULL && budget > 0) {
            struct multicast_row *row = *at;
            bool is_due = row->run_after_ms <= now_ms &&
                          (row->expires_ms <= now_ms ||
                           network_gateway_is_online(network, row->gateway_index, now_ms));
            if (is_due) {
                budget--;
            }
            if (is_due && run_row(network, group, row)) {
                remove_row(group, at);
            } else {
                at = &row->next;
            }
        }
    }
    plan_scheduler(network);
}

/* Runs come at whole intervals, whether there is work or not; those without work are left out. */
static void plan_scheduler(struct network *network)
{
    int64_t interval_ms = (int64_t)(network->options->interval_s * 1000);
    bool has_rows = false;

    for (const struct multicast_group *g = network->groups; g != NULL; g = g->next) {
        has_rows = has_rows || g->rows != NULL;
    }
    if (has_rows && !network->scheduler_planned) {
        int64_t since_ms = network->world->now_ms - network->start_ms;
        network->scheduler_planned = true;
        world_at(network->world, network->start_ms + (since_ms / interval_ms + 1) * interval_ms,
                 on_scheduler, network, 0);
    }
}

static void count_number(struct network *network, uint8_t f_port, const uint8_t *payload,
                         size_t size)
{
    if (f_port == PORT_FRAGMENTATION && size > 3 && payload[0] == DATA_FRAGMENT) {
        network->enqueued_numbers[(payload[1] | (uint32_t)payload[2] << 8) & 0x3FFF]++;
    }
}

/* When the first copy is due (3.2): now in an empty queue, else a margin behind the last row. */
static int64_t first_time(const struct network *network, const struct multicast_group *group,
                          int64_t margin_ms)
{
    int64_t last_ms = INT64_MIN;

    for (const struct multicast_row *row = group->rows; row != NULL; row = row->next) {
        last_ms = row->run_after_ms > last_ms ? row->run_after_ms : last_ms;
    }
    return group->rows == NULL ? network->world->now_ms : last_ms + margin_ms;
}

enum err multicast_enqueue(struct network *network, struct multicast_group *group, uint8_t f_port,
                           const uint8_t *payload, size_t size, int64_t expires_ms,
                           uint32_t *ret_f_cnt)
{
    int64_t margin_ms = (int64_t)(network->options->margin_s * 1000);
    int64_t at_ms = first_time(network, group, margin_ms);

    if (group->rows_end == NULL) {
        group->rows_end = &group->rows;
    }
    if (group->row_count + network->gateway_count > NETWORK_GROUP_ROWS_MAX) {
        return ERR_LIMIT;
    }
    for (uint32_t g = 0; g < network->gateway_count; g++) {
        if ((group->gateway_mask >> g & 1) == 0) {
            continue;
        }
        struct multicast_row *row = malloc(sizeof(*row) + size);
        if (row == NULL) {
            return ERR_NO_MEMORY;
        }
        *row = (struct multicast_row){.gateway_index = g,
                                      .f_cnt = group->f_cnt,
                                      .run_after_ms = at_ms,
                                      .expires_ms = expires_ms,
                                      .f_port = f_port,
                                      .size = size};
        if (size > 0) {
            memcpy(row->payload, payload, size);
        }
        at_ms += margin_ms;
        *group->rows_end = row;
        group->rows_end = &row->next;
        group->row_count++;
    }
    count_number(network, f_port, payload, size);
    network->counters.multicast_enqueued++;
    *ret_f_cnt = group->f_cnt++;
    plan_scheduler(network);
    return ERR_OK;
}
