/* The air: losses, gateways that send or hear, uplinks on their way. */
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "sim/events.h"
#include "sim/network.h"

#define WINDOWS_MS       2100  /* from the end of an uplink to the end of RX2 without a frame */
#define GATEWAY_QUEUE_MS 60000 /* a gateway refuses what would wait longer */
#define GILBERT_BLOCK    64    /* frames after which the burst model begins anew */
#define PORT_CLOCK       202
#define APP_TIME_REQ     0x01
#define GPS_EPOCH_UNIX_S INT64_C(315964800)
#define LEAP_S           18

struct uplink {
    struct sim_device *d;
    int64_t from_ms;
    int64_t to_ms;
    uint32_t f_cnt;
    uint8_t f_port;
    size_t size;
    uint8_t payload[DEVICE_PAYLOAD_SIZE_MAX];
};

static double draw(uint64_t key, uint64_t index)
{
    return (double)(random_mix(key, index) >> 11) / 9007199254740992.0;
}

/*
 * Gilbert: in the bad state all frames are lost, in the good one none. The state of frame n follows
 * from the first frame of its block, so that it is the same whatever was asked before.
 */
static bool is_in_burst(uint64_t key, uint32_t f_cnt, double loss, double burst)
{
    uint32_t first = f_cnt / GILBERT_BLOCK * GILBERT_BLOCK;
    double leave = 1 / burst;
    double enter = loss < 1 ? leave * loss / (1 - loss) : 1;
    bool is_bad = draw(key, first) < loss;

    for (uint32_t n = first + 1; n <= f_cnt; n++) {
        is_bad = draw(key, n) < (is_bad ? 1 - leave : enter);
    }
    return is_bad;
}

bool radio_is_lost(const struct sim_device *d, size_t gateway_index, enum direction direction,
                   uint32_t f_cnt, uint32_t attempt)
{
    const struct device_options *o = d->options;
    double loss = direction == DIRECTION_UP ? o->uplink_loss : o->loss;
    uint64_t key = random_mix(random_mix(d->network->seed, d->eui),
                              d->network->gateways[gateway_index].id ^ (uint64_t)direction << 60 ^
                                  (uint64_t)attempt << 40);

    if (loss <= 0) {
        return false;
    }
    return o->burst > 1 ? is_in_burst(key, f_cnt, loss, o->burst) : draw(key, f_cnt) < loss;
}

bool radio_is_sending(const struct sim_gateway *gateway, int64_t from_ms, int64_t to_ms)
{
    for (size_t i = 0; i < NETWORK_SPAN_COUNT; i++) {
        if (gateway->sent[i].from_ms < to_ms && gateway->sent[i].to_ms > from_ms) {
            return true;
        }
    }
    return false;
}

bool radio_has_room(const struct sim_gateway *gateway, int64_t from_ms)
{
    return gateway->busy_until_ms < from_ms + GATEWAY_QUEUE_MS;
}

/* When a frame begins that is given to the gateway to be sent at `at_ms`. */
static int64_t begin_of(const struct sim_gateway *gateway, int64_t at_ms)
{
    return gateway->busy_until_ms > at_ms ? gateway->busy_until_ms : at_ms;
}

bool radio_fits_duty_cycle(const struct network *network, size_t gateway_index,
                           uint32_t frequency_hz, int64_t at_ms, uint32_t airtime)
{
    const struct sim_gateway *gateway = &network->gateways[gateway_index];
    double share = network->options->gateway_duty_cycle;
    uint32_t band = region_band(network->region, frequency_hz);
    int64_t to_ms = begin_of(gateway, at_ms) + airtime;

    return share <= 0 || (double)(airtime_log_hour(&gateway->airtime, band, to_ms) + airtime) <=
                             share * AIRTIME_LOG_HOUR_MS;
}

int64_t radio_queue(struct network *network, size_t gateway_index, uint32_t frequency_hz,
                    int64_t at_ms, uint32_t airtime)
{
    struct sim_gateway *gateway = &network->gateways[gateway_index];
    int64_t from_ms = begin_of(gateway, at_ms);

    airtime_log_add(&gateway->airtime, region_band(network->region, frequency_hz), from_ms,
                    airtime);
    gateway->busy_until_ms = from_ms + airtime;
    gateway->sent[gateway->sent_next] = (struct span){from_ms, from_ms + airtime};
    gateway->sent_next = (gateway->sent_next + 1) % NETWORK_SPAN_COUNT;
    return from_ms;
}

/* What ChirpStack does when the profile names TS003: it answers an AppTimeReq that is alone in its
 * payload. */
static void answer_time(struct sim_device *d, const struct uplink *up)
{
    if (!d->profile->ts003 || up->f_port != PORT_CLOCK || up->size != 6 ||
        up->payload[0] != APP_TIME_REQ) {
        return;
    }
    uint32_t device_s = (uint32_t)up->payload[1] | (uint32_t)up->payload[2] << 8 |
                        (uint32_t)up->payload[3] << 16 | (uint32_t)up->payload[4] << 24;
    int64_t gps_s = up->to_ms / 1000 - GPS_EPOCH_UNIX_S + LEAP_S;
    int64_t correction = gps_s - device_s;
    if (correction == 0 && (up->payload[5] & 0x10) == 0) {
        return;
    }
    correction = correction > INT32_MAX   ? INT32_MAX
                 : correction < INT32_MIN ? INT32_MIN
                                          : correction;
    uint32_t sent = (uint32_t)(int32_t)correction;
    struct queue_item item = {
        .id = network_new_id(d->network),
        .f_port = PORT_CLOCK,
        .size = 6,
        .expires_ms = INT64_MAX,
        .payload = {APP_TIME_REQ, (uint8_t)sent, (uint8_t)(sent >> 8), (uint8_t)(sent >> 16),
                    (uint8_t)(sent >> 24), up->payload[5] & 0x0F},
    };
    if (device_queue_add(d, &item) != ERR_OK) {
        network_trace(d->network, "queue-full eui=%016llx", (unsigned long long)d->eui);
    }
}

/* The gateway of the next downlink: any that heard the uplink, as ChirpStack draws among those with
 * enough margin. */
static uint32_t pick_gateway(const struct sim_device *d, uint32_t heard_mask, uint32_t f_cnt)
{
    uint64_t skip = random_mix(d->network->seed ^ d->eui, 0x9A7E0000u ^ f_cnt) %
                    (uint64_t)__builtin_popcount(heard_mask);

    while (skip-- > 0) {
        heard_mask &= heard_mask - 1;
    }
    return (uint32_t)__builtin_ctz(heard_mask);
}

static void on_uplink_end(void *arg, uint64_t value)
{
    struct uplink *up = arg;
    struct sim_device *d = up->d;
    struct network *network = d->network;
    uint32_t heard_mask = 0;

    (void)value;
    for (size_t g = 0; g < network->gateway_count; g++) {
        if ((d->gateway_mask >> g & 1) != 0 && network_gateway_is_online(network, g, up->to_ms) &&
            !radio_is_sending(&network->gateways[g], up->from_ms, up->to_ms) &&
            !radio_is_lost(d, g, DIRECTION_UP, up->f_cnt, 0)) {
            heard_mask |= 1u << g;
        }
    }
    network_trace(network, "up eui=%016llx fcnt=%u port=%u size=%zu heard=%x",
                  (unsigned long long)d->eui, up->f_cnt, up->f_port, up->size, heard_mask);
    if (heard_mask != 0) {
        network->counters.uplinks_heard++;
        d->has_been_heard = true;
        d->last_seen_ms = up->to_ms;
        d->last_gateway = pick_gateway(d, heard_mask, up->f_cnt);
        events_up(d, up->f_cnt, up->f_port, up->payload, up->size, heard_mask);
        answer_time(d, up);
        device_queue_open_windows(d, heard_mask, up->to_ms);
    }
    free(up);
}

uint32_t radio_send_uplink(void *arg, struct device *device, uint8_t f_port, const uint8_t *payload,
                           size_t size, int64_t now_ms)
{
    struct sim_device *d = arg;
    struct network *network = d->network;
    struct uplink *up = malloc(sizeof(*up));

    (void)device;
    uint32_t airtime =
        airtime_ms(region_dr(network->region, network->region->uplink_dr), size, true);
    if (up == NULL || size > sizeof(up->payload)) {
        free(up);
        return airtime;
    }
    *up = (struct uplink){.d = d,
                          .from_ms = now_ms,
                          .to_ms = now_ms + airtime,
                          .f_cnt = d->f_cnt_up++,
                          .f_port = f_port,
                          .size = size};
    memcpy(up->payload, payload, size);
    network->counters.uplinks++;
    d->sending = (struct span){up->from_ms, up->to_ms};
    world_at_take(network->world, up->to_ms, on_uplink_end, up, 0);
    return airtime + WINDOWS_MS;
}

void radio_join(void *arg, struct device *device, int64_t now_ms)
{
    struct sim_device *d = arg;

    (void)device;
    (void)now_ms;
    d->f_cnt_up = 0;
    d->f_cnt_down = 0;
    d->has_been_heard = false; /* class C waits for the first uplink of the session */
    network_trace(d->network, "join eui=%016llx", (unsigned long long)d->eui);
    events_join(d);
}
