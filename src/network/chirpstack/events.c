/* events.c - from either encoding to the driver's event. */
#include "network/chirpstack/events.h"

#include <string.h>

#include "events_impl.h"
#include "lorawan/airtime.h"
#include "lorawan/gps_time.h"

#define GATEWAY_CLOCK_ERROR_MS 30000

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

/*
 * When the frame ended. GPS time is exact. A gateway's own clock may be any: like ChirpStack we
 * believe it near the network server's time only.
 */
static void take_end(const struct raw_event *raw, struct make *m)
{
    struct network_event *event = m->event;
    int64_t server_ms = raw->time_us / 1000;
    int64_t gps_ms = INT64_MAX, gateway_ms = INT64_MAX;

    for (size_t i = 0; i < raw->rx_count; i++) {
        const struct raw_rx *rx = &raw->rx[i];
        int64_t at_ms = rx->gw_time_us / 1000;
        if (rx->has_gps_time) {
            int64_t rx_ms = unix_from_gps_ms(rx->gps_time_us / 1000, m->leap_s);
            gps_ms = rx_ms < gps_ms ? rx_ms : gps_ms;
        } else if (rx->has_gw_time && at_ms >= server_ms - GATEWAY_CLOCK_ERROR_MS &&
                   at_ms <= server_ms + GATEWAY_CLOCK_ERROR_MS) {
            gateway_ms = at_ms < gateway_ms ? at_ms : gateway_ms;
        }
    }
    event->is_gateway_time = gps_ms != INT64_MAX || gateway_ms != INT64_MAX;
    event->received_ms = gps_ms != INT64_MAX       ? gps_ms
                         : gateway_ms != INT64_MAX ? gateway_ms
                                                   : server_ms;
}

/* When the frame began: the gateways stamp its end. */
static void take_time(const struct raw_event *raw, struct make *m)
{
    struct network_event *event = m->event;
    bool is_sf = raw->spreading_factor >= 7 && raw->spreading_factor <= 12;
    struct data_rate rate = {
        .modulation = raw->bit_rate > 0 ? MODULATION_FSK : MODULATION_LORA,
        .spreading_factor = is_sf ? (uint8_t)raw->spreading_factor : 0,
        .bandwidth_hz = raw->bandwidth_hz,
        .bit_rate = raw->bit_rate,
    };

    take_end(raw, m);
    bool is_lora = is_sf && rate.bandwidth_hz >= 7800;
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
