/* broker.c - events on their way to the daemon: kept until they are acknowledged, or lost. */
#include <assert.h>
#include <string.h>

#include "sim/sim.h"

#define UPLINK_MS      600 /* from the start of the uplink: its time on air, and its way */
#define DELIVERY_MS    5
#define DELAY_LEAST_MS 60000
#define DELAY_MOST_MS  7200000

void broker_publish(struct sim *sim, const struct deployment_event *event, const uint8_t *data,
                    size_t size)
{
    uint32_t i = event->device_index;
    int64_t soon_ms =
        sim->now_ms + (event->kind == DEPLOYMENT_EVENT_UPLINK ? UPLINK_MS : DELIVERY_MS);
    int64_t at_ms = soon_ms;

    if (sim_is_in(sim, &sim->options.events_lost)) {
        sim->watch.excuses[i]++;
        sim_trace(sim, "broker: an event of device %u is lost, the daemon is not connected", i);
        return;
    }
    if (sim_is_in(sim, &sim->options.events_held)) {
        at_ms = sim->started_ms + sim->options.events_held.until_ms;
    } else if (sim_draw(sim, sim->options.faults.event_delayed)) {
        at_ms += sim_draw_between(sim, DELAY_LEAST_MS, DELAY_MOST_MS);
    }
    /* Events of one device keep their order, those of different devices do not. */
    if (at_ms < sim->last_delivery_ms[i]) {
        at_ms = sim->last_delivery_ms[i];
    }
    if (at_ms > soon_ms) {
        sim->watch.excuses[i]++;
        sim_trace(sim, "broker: an event of device %u will take %lld s", i,
                  (long long)(at_ms - sim->now_ms) / 1000);
    }
    sim->last_delivery_ms[i] = at_ms;
    struct sim_event delivery = {
        .at_ms = at_ms, .kind = SIM_DELIVERY, .event = *event, .size = size};
    if (size > 0) {
        memcpy(delivery.data, data, size);
    }
    sim_schedule(sim, &delivery);
}

static void append(struct sim *sim, const struct sim_message *message)
{
    assert(sim->inbox_count < SIM_INBOX_MAX);
    sim->inbox[(sim->inbox_first + sim->inbox_count++) % SIM_INBOX_MAX] = *message;
}

void broker_deliver(struct sim *sim, const struct sim_event *event)
{
    struct sim_message message = {.event = event->event, .size = event->size};

    memcpy(message.data, event->data, event->size);
    append(sim, &message);
}

void broker_acknowledge(struct sim *sim, size_t count)
{
    for (; count > 0; count--) {
        struct sim_message message = sim->inbox[sim->inbox_first];
        sim->inbox_first = (sim->inbox_first + 1) % SIM_INBOX_MAX;
        sim->inbox_count--;
        sim->inbox_taken--;
        if (sim_draw(sim, sim->options.faults.event_doubled)) { /* it missed our PUBACK */
            sim->watch.excuses[message.event.device_index]++;
            append(sim, &message);
        }
    }
}
