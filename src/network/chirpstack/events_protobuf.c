#include <string.h>

#include "events_impl.h"
#include "integration/integration.pb-c.h"

/* Whether there is one, in a year that matters: the number must not overflow. */
static bool take_timestamp(const Google__Protobuf__Timestamp *t, int64_t *ret_us)
{
    if (t == NULL || t->seconds > INT64_C(1) << 40 || t->seconds < 0) {
        return false;
    }
    *ret_us = t->seconds * 1000000 + t->nanos / 1000;
    return true;
}

static void take_info(const Integration__DeviceInfo *info, struct raw_event *raw)
{
    if (info != NULL) {
        raw->application_id = info->application_id;
        raw->profile_id = info->device_profile_id;
        raw->dev_eui = info->dev_eui;
    }
}

static void take_modulation(const Gw__UplinkTxInfo *tx, struct raw_event *raw)
{
    if (tx == NULL || tx->modulation == NULL) {
        return;
    }
    if (tx->modulation->parameters_case == GW__MODULATION__PARAMETERS_LORA) {
        raw->spreading_factor = tx->modulation->lora->spreading_factor;
        raw->bandwidth_hz = tx->modulation->lora->bandwidth;
    } else if (tx->modulation->parameters_case == GW__MODULATION__PARAMETERS_FSK) {
        raw->bit_rate = tx->modulation->fsk->datarate;
    }
}

static enum err decode_up(const uint8_t *payload, size_t size, uint8_t buffer[NETWORK_PAYLOAD_MAX],
                          enum err (*make)(const struct raw_event *raw, void *arg), void *arg,
                          const char **ret_field)
{
    Integration__UplinkEvent *up = integration__uplink_event__unpack(NULL, size, payload);
    struct raw_event raw = {0};
    enum err err = ERR_FORMAT;

    if (up == NULL) {
        *ret_field = "the Protobuf event";
        return ERR_FORMAT;
    }
    if (up->data.len > NETWORK_PAYLOAD_MAX) {
        *ret_field = "data: more than 242 octets";
        goto out;
    }
    take_info(up->device_info, &raw);
    if (up->data.len > 0) {
        memcpy(buffer, up->data.data, up->data.len);
    }
    raw.data_size = up->data.len;
    raw.f_cnt = up->f_cnt;
    raw.f_port = up->f_port;
    raw.is_encrypted = up->join_server_context != NULL;
    raw.is_relayed = up->relay_rx_info != NULL;
    raw.has_time = take_timestamp(up->time, &raw.time_us);
    take_modulation(up->tx_info, &raw);
    for (size_t i = 0; i < up->n_rx_info && raw.rx_count < RX_INFO_MAX; i++) {
        const Gw__UplinkRxInfo *info = up->rx_info[i];
        struct raw_rx *rx = &raw.rx[raw.rx_count++];
        rx->gateway_id = info->gateway_id;
        rx->rssi = info->rssi;
        rx->snr = (double)info->snr;
        const Google__Protobuf__Duration *gps = info->time_since_gps_epoch;
        rx->has_gps_time = gps != NULL && gps->seconds > 0 && gps->seconds < INT64_C(1) << 40;
        rx->gps_time_us = rx->has_gps_time ? gps->seconds * 1000000 + gps->nanos / 1000 : 0;
        rx->has_gw_time = take_timestamp(info->gw_time, &rx->gw_time_us);
    }
    err = make(&raw, arg);
out:
    integration__uplink_event__free_unpacked(up, NULL);
    return err;
}

static enum err decode_join(const uint8_t *payload, size_t size,
                            enum err (*make)(const struct raw_event *raw, void *arg), void *arg,
                            const char **ret_field)
{
    Integration__JoinEvent *join = integration__join_event__unpack(NULL, size, payload);
    struct raw_event raw = {0};

    if (join == NULL) {
        *ret_field = "the Protobuf event";
        return ERR_FORMAT;
    }
    take_info(join->device_info, &raw);
    enum err err = make(&raw, arg);
    integration__join_event__free_unpacked(join, NULL);
    return err;
}

static enum err decode_txack(const uint8_t *payload, size_t size,
                             enum err (*make)(const struct raw_event *raw, void *arg), void *arg,
                             const char **ret_field)
{
    Integration__TxAckEvent *ack = integration__tx_ack_event__unpack(NULL, size, payload);
    struct raw_event raw = {0};

    if (ack == NULL) {
        *ret_field = "the Protobuf event";
        return ERR_FORMAT;
    }
    take_info(ack->device_info, &raw);
    raw.item_id = ack->queue_item_id;
    enum err err = make(&raw, arg);
    integration__tx_ack_event__free_unpacked(ack, NULL);
    return err;
}

static enum err decode_log(const uint8_t *payload, size_t size,
                           enum err (*make)(const struct raw_event *raw, void *arg), void *arg,
                           const char **ret_field)
{
    Integration__LogEvent *log = integration__log_event__unpack(NULL, size, payload);
    struct raw_event raw = {0};

    if (log == NULL) {
        *ret_field = "the Protobuf event";
        return ERR_FORMAT;
    }
    take_info(log->device_info, &raw);
    for (size_t i = 0; i < log->n_context; i++) {
        if (strcmp(log->context[i]->key, "queue_item_id") == 0) {
            raw.item_id = log->context[i]->value;
        }
    }
    enum err err = make(&raw, arg);
    integration__log_event__free_unpacked(log, NULL);
    return err;
}

enum err events_decode_protobuf(enum events_topic topic, const uint8_t *payload, size_t size,
                                uint8_t buffer[NETWORK_PAYLOAD_MAX],
                                enum err (*make)(const struct raw_event *raw, void *arg), void *arg,
                                const char **ret_field)
{
    switch (topic) {
    case EVENTS_UP:
        return decode_up(payload, size, buffer, make, arg, ret_field);
    case EVENTS_JOIN:
        return decode_join(payload, size, make, arg, ret_field);
    case EVENTS_TXACK:
        return decode_txack(payload, size, make, arg, ret_field);
    case EVENTS_LOG:
        return decode_log(payload, size, make, arg, ret_field);
    case EVENTS_TOPIC_COUNT:
        break;
    }
    return ERR_FORMAT;
}
