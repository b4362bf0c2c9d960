/* events.c - from either encoding to the driver's event. */
#include "network/chirpstack/events.h"

#include <string.h>

#include "events_impl.h"
#include "lorawan/airtime.h"
#include "lorawan/gps_time.h"

const char *events_topic_name(enum events_topic topic)
{
    static const char *const names[] = {"up", "join", "txack", "log"};

    return topic < EVENTS_TOPIC_COUNT ? names[topic] : "";
}

struct make {
    enum events_topic topic;
    int leap_s;
    const uint8_t *buffer;
    struct network_event *event;
    const char *field;
};

/* Better signal first; as many as fit. */
static enum err take_gateways(const struct raw_event *raw, struct make *m)
{
    double signals[NETWORK_GATEWAYS_MAX] = {0};
    struct network_event *event = m->event;

    for (size_t i = 0; i < raw->rx_count; i++) {
        const struct raw_rx *rx = &raw->rx[i];
        /* Below the noise floor the SNR tells, above it the RSSI. */
        double signal = rx->rssi + (rx->snr < 0.0 ? rx->snr : 0.0);
        uint64_t id;
        if (rx->gateway_id == NULL || eui64_parse(rx->gateway_id, &id) != ERR_OK) {
            m->field = "rxInfo.gatewayId";
            return ERR_FORMAT;
        }
        size_t at = event->gateway_count;
        while (at > 0 && signals[at - 1] < signal) {
            at--;
        }
        if (at == NETWORK_GATEWAYS_MAX) {
            continue;
        }
        size_t last = event->gateway_count < NETWORK_GATEWAYS_MAX ? event->gateway_count++
                                                                  : NETWORK_GATEWAYS_MAX - 1u;
        for (size_t k = last; k > at; k--) {
            event->gateways[k] = event->gateways[k - 1];
            signals[k] = signals[k - 1];
        }
        event->gateways[at] = id;
        signals[at] = signal;
    }
    return ERR_OK;
}

/* When the frame began: the gateways stamp its end. */
static void take_time(const struct raw_event *raw, struct make *m)
{
    struct network_event *event = m->event;
    struct data_rate rate = {
        .modulation = raw->bit_rate > 0 ? MODULATION_FSK : MODULATION_LORA,
        .spreading_factor = (uint8_t)raw->spreading_factor,
        .bandwidth_hz = raw->bandwidth_hz,
        .bit_rate = raw->bit_rate,
    };
    int64_t earliest_ms = INT64_MAX;

    for (size_t i = 0; i < raw->rx_count; i++) {
        int64_t at_ms = raw->rx[i].has_gps_time
                            ? unix_from_gps_ms(raw->rx[i].gps_time_us / 1000, m->leap_s)
                        : raw->rx[i].has_gw_time ? raw->rx[i].gw_time_us / 1000
                                                 : INT64_MAX;
        if (at_ms < earliest_ms) {
            earliest_ms = at_ms;
        }
    }
    event->is_gateway_time = earliest_ms != INT64_MAX;
    event->received_ms = event->is_gateway_time ? earliest_ms : raw->time_us / 1000;
    bool is_lora =
        rate.spreading_factor >= 7 && rate.spreading_factor <= 12 && rate.bandwidth_hz >= 7800;
    if (is_lora || rate.modulation == MODULATION_FSK) {
        event->received_ms -= airtime_us(&rate, event->data_size + PHY_OVERHEAD, true) / 1000;
    }
}

static enum err make_event(const struct raw_event *raw, void *arg)
{
    struct make *m = arg;
    struct network_event *event = m->event;
    static const enum network_event_kind kinds[] = {NETWORK_UPLINK, NETWORK_JOIN, NETWORK_TXACK,
                                                    NETWORK_DROPPED};

    *event = (struct network_event){.kind = kinds[m->topic]};
    if (raw->dev_eui == NULL || eui64_parse(raw->dev_eui, &event->dev_eui) != ERR_OK) {
        m->field = "deviceInfo.devEui";
        return ERR_FORMAT;
    }
    if (raw->application_id == NULL ||
        uuid_parse(raw->application_id, &event->application_id) != ERR_OK) {
        m->field = "deviceInfo.applicationId";
        return ERR_FORMAT;
    }
    if (raw->profile_id == NULL || uuid_parse(raw->profile_id, &event->profile_id) != ERR_OK) {
        m->field = "deviceInfo.deviceProfileId";
        return ERR_FORMAT;
    }
    if (m->topic == EVENTS_LOG && raw->item_id == NULL) {
        return ERR_MISSING;
    }
    if (m->topic == EVENTS_TXACK || m->topic == EVENTS_LOG) {
        if (raw->item_id == NULL || uuid_parse(raw->item_id, &event->item_id) != ERR_OK) {
            m->field = "queueItemId";
            return ERR_FORMAT;
        }
    }
    if (m->topic != EVENTS_UP) {
        return ERR_OK;
    }
    if (raw->is_encrypted) {
        return ERR_MISSING;
    }
    if (raw->f_port > UINT8_MAX) {
        m->field = "fPort";
        return ERR_FORMAT;
    }
    if (!raw->has_time) {
        m->field = "time";
        return ERR_FORMAT;
    }
    event->f_cnt = raw->f_cnt;
    event->f_port = (uint8_t)raw->f_port;
    event->is_relayed = raw->is_relayed;
    event->data = m->buffer;
    event->data_size = raw->data_size;
    take_time(raw, m);
    return take_gateways(raw, m);
}

enum err events_decode(enum events_topic topic, const uint8_t *payload, size_t size, int leap_s,
                       uint8_t buffer[NETWORK_PAYLOAD_MAX], struct network_event *ret_event,
                       const char **ret_field)
{
    struct network_event event = {0};
    struct make m = {
        .topic = topic, .leap_s = leap_s, .buffer = buffer, .event = &event, .field = "the event"};
    bool is_json = size > 0 && payload[0] == '{';
    const char *field = NULL;
    enum err err =
        is_json ? events_decode_json(topic, payload, size, buffer, make_event, &m, &field)
                : events_decode_protobuf(topic, payload, size, buffer, make_event, &m, &field);

    if (err == ERR_OK) {
        *ret_event = event;
    } else {
        *ret_field = field != NULL ? field : m.field;
    }
    return err;
}
