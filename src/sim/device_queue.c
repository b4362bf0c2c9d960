/* The network server's queue of each device: first in, first out, one item per opportunity. */
#include <stdlib.h>
#include <string.h>

#include "sim/events.h"
#include "sim/gateway_topics.h"
#include "sim/network.h"

#define QUEUE_READ_DELAY_MS 100 /* get_downlink_data_delay */
#define RX1_DELAY_MS        1000
#define RX2_DELAY_MS        2000
#define CLASS_A_LOCK_MS     5000 /* class_a_lock_duration */
#define CLASS_C_LOCK_MS     5000 /* class_c_lock_duration */

/* A receive opportunity, and later the frame in it. */
struct opportunity {
    struct sim_device *d;
    uint32_t heard_mask;
    int64_t uplink_end_ms;
    bool is_class_c;
    size_t gateway_index;
    struct downlink downlink;
    uint32_t f_cnt;
    struct queue_item item; /* a copy: the queue may be flushed meanwhile */
};

enum err device_queue_add(struct sim_device *d, const struct queue_item *item)
{
    struct queue_item **end = &d->queue;
    struct queue_item *copy;

    if (d->queue_count >= NETWORK_QUEUE_MAX) {
        return ERR_LIMIT;
    }
    copy = malloc(sizeof(*copy));
    if (copy == NULL) {
        return ERR_NO_MEMORY;
    }
    *copy = *item;
    copy->next = NULL;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = copy;
    d->queue_count++;
    device_queue_plan_class_c(d);
    return ERR_OK;
}

static void drop(struct sim_device *d, struct queue_item **at)
{
    struct queue_item *item = *at;

    *at = item->next;
    free(item);
    d->queue_count--;
}

void device_queue_flush(struct sim_device *d, bool with_under_way)
{
    struct queue_item **at = &d->queue;

    while (*at != NULL) {
        if ((*at)->is_under_way && !with_under_way) {
            at = &(*at)->next;
        } else {
            drop(d, at);
        }
    }
}

/* The item to send now; what is expired or too large is dropped on the way, with an event. */
static struct queue_item *next_item(struct sim_device *d, uint32_t dr)
{
    const struct region_dr *rate = region_dr(d->network->region, dr);

    while (d->queue != NULL) {
        struct queue_item *item = d->queue;
        if (item->is_under_way) {
            return NULL;
        }
        if (item->expires_ms <= d->network->world->now_ms) {
            events_log(d, LOG_EXPIRED, "Device queue-item discarded because it has expired", item);
        } else if (item->size > rate->payload_max) {
            events_log(d, LOG_DOWNLINK_PAYLOAD_SIZE,
                       "Device queue-item discarded because of max. payload size", item);
        } else {
            return item;
        }
        drop(d, &d->queue);
    }
    return NULL;
}

static void remove_by_id(struct sim_device *d, const struct uuid *id)
{
    for (struct queue_item **at = &d->queue; *at != NULL; at = &(*at)->next) {
        if (memcmp(&(*at)->id, id, sizeof(*id)) == 0) {
            drop(d, at);
            return;
        }
    }
}

static void on_downlink_end(void *arg, uint64_t value)
{
    struct opportunity *o = arg;
    struct sim_device *d = o->d;
    struct network *network = d->network;
    int64_t now_ms = network->world->now_ms;
    int64_t from_ms = (int64_t)value;
    /* Class C windows are closed while a multicast session uses the radio; class A windows come
     * first. */
    bool listens =
        !o->is_class_c || (d->options->is_class_c && !device_session_is_open(&d->device));
    bool is_sending = d->sending.from_ms < now_ms && d->sending.to_ms > from_ms;
    bool is_heard = listens && !is_sending && (d->gateway_mask >> o->gateway_index & 1) != 0 &&
                    !radio_is_lost(d, o->gateway_index, DIRECTION_DOWN, o->f_cnt, 0);

    network_trace(network, "down eui=%016llx fcnt=%u port=%u size=%u heard=%d",
                  (unsigned long long)d->eui, o->f_cnt, o->item.f_port, o->item.size, is_heard);
    remove_by_id(d, &o->item.id);
    network->counters.unicast_sent++;
    gateway_topics_ack(network, &o->downlink);
    events_txack(d, &o->item.id, o->downlink.id, o->f_cnt, o->gateway_index);
    if (!o->is_class_c) {
        device_hold(&d->device, now_ms);
    }
    if (is_heard) {
        device_on_downlink(&d->device, o->item.f_port, o->item.payload, o->item.size, now_ms);
    }
    network_plan_wake(d);
    device_queue_plan_class_c(d);
    free(o);
}

/* A receive window. */
struct window {
    int64_t at_ms;
    uint32_t frequency_hz;
    uint32_t dr;
};

static uint32_t airtime_in(const struct sim_device *d, const struct queue_item *item,
                           const struct window *w)
{
    return airtime_ms(region_dr(d->network->region, w->dr), item->size, false);
}

/* Hands the item to the gateway, to be sent in that window; takes over `o`. */
static void hand_over(struct opportunity *o, struct queue_item *item, const struct window *w)
{
    struct sim_device *d = o->d;
    uint32_t airtime = airtime_in(d, item, w);
    int64_t from_ms = radio_queue(d->network, o->gateway_index, w->frequency_hz, w->at_ms, airtime);

    item->is_under_way = true;
    o->item = *item;
    o->f_cnt = d->f_cnt_down++;
    if (!o->is_class_c) {
        device_hold(&d->device, from_ms + airtime);
        network_plan_wake(d);
    }
    world_at_take(d->network->world, from_ms + airtime, on_downlink_end, o, (uint64_t)from_ms);
}

/* What the gateway says to the item in that window. */
static enum tx_status answer(const struct opportunity *o, const struct queue_item *item,
                             const struct window *w, bool is_busy)
{
    if (is_busy) {
        return TX_COLLISION_PACKET;
    }
    return radio_fits_duty_cycle(o->d->network, o->gateway_index, w->frequency_hz, w->at_ms,
                                 airtime_in(o->d, item, w))
               ? TX_OK
               : TX_DUTY_CYCLE_OVERFLOW;
}

/* The network server offers the item to the gateway in each of the windows, in that order. */
static void offer(struct opportunity *o, const struct queue_item *item,
                  const struct downlink_item *windows, size_t window_count)
{
    struct sim_device *d = o->d;
    struct phy_downlink frame = {
        .dev_addr = d->dev_addr,
        .f_cnt = d->f_cnt_down,
        .f_port = item->f_port,
        .payload = item->payload,
        .size = item->size,
    };

    o->downlink = (struct downlink){.id = network_new_downlink_id(d->network),
                                    .gateway_index = o->gateway_index,
                                    .item_count = window_count};
    memcpy(o->downlink.items, windows, window_count * sizeof(*windows));
    network_session_keys(d, frame.app_s_key, frame.nwk_s_key);
    gateway_topics_down(d->network, &o->downlink, &frame);
}

/* No window is possible: the item waits for the next opportunity. Takes over `o`. */
static void refuse(struct opportunity *o)
{
    const struct downlink *downlink = &o->downlink;

    gateway_topics_ack(o->d->network, downlink);
    /* The status of the last item is what ChirpStack tells. */
    events_log(o->d, LOG_DOWNLINK_GATEWAY,
               tx_status_name(downlink->items[downlink->item_count - 1].status), NULL);
    free(o);
}

static void on_window(void *arg, uint64_t value)
{
    struct opportunity *o = arg;
    struct sim_device *d = o->d;
    const struct region *region = d->network->region;
    int64_t now_ms = d->network->world->now_ms;
    struct queue_item *item = next_item(d, region->rx1_dr);

    (void)value;
    if (item == NULL) {
        free(o);
        return;
    }
    /* With compressed time the windows may be past already; then they count as open until now. */
    int64_t rx1_ms =
        o->uplink_end_ms + RX1_DELAY_MS > now_ms ? o->uplink_end_ms + RX1_DELAY_MS : now_ms;
    const struct window rx1 = {rx1_ms, region->rx1_frequency_hz, region->rx1_dr};
    const struct window rx2 = {rx1_ms + RX2_DELAY_MS - RX1_DELAY_MS, region->rx2_frequency_hz,
                               d->network->rx2_dr};
    const struct downlink_item windows[] = {
        {rx1.frequency_hz, rx1.dr, RX1_DELAY_MS, TX_IGNORED},
        {rx2.frequency_hz, rx2.dr, RX2_DELAY_MS, TX_IGNORED},
    };
    bool fits_rx2 = item->size <= region_dr(region, rx2.dr)->payload_max;
    offer(o, item, windows, fits_rx2 ? 2 : 1);
    const struct sim_gateway *gateway = &d->network->gateways[o->gateway_index];
    int64_t rx1_end_ms = rx1_ms + airtime_in(d, item, &rx1);
    struct downlink_item *items = o->downlink.items;
    items[0].status = answer(o, item, &rx1, radio_is_sending(gateway, rx1_ms, rx1_end_ms));
    if (items[0].status != TX_OK && fits_rx2) {
        items[1].status = answer(o, item, &rx2, gateway->busy_until_ms > rx2.at_ms);
    }
    if (items[0].status == TX_OK) {
        hand_over(o, item, &rx1);
    } else if (items[1].status == TX_OK) {
        hand_over(o, item, &rx2);
    } else {
        refuse(o);
    }
}

void device_queue_open_windows(struct sim_device *d, uint32_t heard_mask, int64_t uplink_end_ms)
{
    struct world *world = d->network->world;
    int64_t at_ms = world->now_ms + QUEUE_READ_DELAY_MS;
    int64_t real_ms =
        world_after_real(world, (uint64_t)d->network->options->downlink_delay_real_ms);
    struct opportunity *o = calloc(1, sizeof(*o));

    d->class_c_after_ms = uplink_end_ms + CLASS_A_LOCK_MS;
    if (o == NULL) {
        return;
    }
    o->d = d;
    o->heard_mask = heard_mask;
    o->uplink_end_ms = uplink_end_ms;
    o->gateway_index = d->last_gateway;
    at_ms = real_ms > at_ms ? real_ms : at_ms;
    world_at_take(world, at_ms, on_window, o, 0);
    /* The device keeps its windows open until we have decided. */
    if (at_ms + RX1_DELAY_MS > d->device.busy_until_ms) {
        device_hold(&d->device, at_ms + RX1_DELAY_MS);
        network_plan_wake(d);
    }
}

/* Takes over `o`. */
static void send_class_c(struct opportunity *o, struct queue_item *item)
{
    struct sim_device *d = o->d;
    const struct network *network = d->network;
    const struct window w = {network->world->now_ms, network->region->rx2_frequency_hz,
                             network->rx2_dr};
    const struct downlink_item window = {w.frequency_hz, w.dr, 0, TX_IGNORED};

    offer(o, item, &window, 1);
    /* It is sent behind what the gateway is sending. */
    o->downlink.items[0].status = answer(o, item, &w, false);
    if (o->downlink.items[0].status == TX_OK) {
        d->class_c_after_ms = w.at_ms + CLASS_C_LOCK_MS;
        hand_over(o, item, &w);
    } else {
        refuse(o);
    }
}

static void on_class_c(void *arg, uint64_t value)
{
    struct sim_device *d = arg;
    struct network *network = d->network;
    int64_t now_ms = network->world->now_ms;

    (void)value;
    d->class_c_planned = false;
    if (d->has_been_heard && now_ms >= d->class_c_after_ms &&
        network_gateway_is_online(network, d->last_gateway, now_ms)) {
        struct queue_item *item = next_item(d, network->rx2_dr);
        struct opportunity *o = item != NULL ? calloc(1, sizeof(*o)) : NULL;
        if (o != NULL) {
            o->d = d;
            o->is_class_c = true;
            o->gateway_index = d->last_gateway;
            send_class_c(o, item);
        }
    }
    device_queue_plan_class_c(d);
}

void device_queue_plan_class_c(struct sim_device *d)
{
    struct world *world = d->network->world;
    int64_t interval_ms = (int64_t)(d->network->options->interval_s * 1000);

    if (!d->options->is_class_c || d->queue == NULL || d->class_c_planned) {
        return;
    }
    d->class_c_planned = true;
    world_at(world, world->now_ms + interval_ms, on_class_c, d, 0);
}
