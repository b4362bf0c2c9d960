#include "sim/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "integration/integration.pb-c.h"
#include "sim/events_json.h"
#include "sim/mqtt.h"

#define GPS_EPOCH_UNIX_S INT64_C(315964800)
#define LEAP_S           18
#define TAG_COUNT_MAX    OPTIONS_TAG_MAX

/* What every event says about its device; the strings live as long as this does. */
struct device_texts {
    char tenant_id[UUID_TEXT_SIZE];
    char application_id[UUID_TEXT_SIZE];
    char profile_id[UUID_TEXT_SIZE];
    char eui[EUI64_TEXT_SIZE];
    char name[32];
    char dev_addr[DEV_ADDR_TEXT_SIZE];
    char id[UUID_TEXT_SIZE];
    Integration__DeviceInfo info;
    Integration__DeviceInfo__TagsEntry tags[TAG_COUNT_MAX];
    Integration__DeviceInfo__TagsEntry *tag_list[TAG_COUNT_MAX];
    Google__Protobuf__Timestamp time;
};

static void set_time(Google__Protobuf__Timestamp *t, int64_t ms)
{
    google__protobuf__timestamp__init(t);
    t->seconds = ms / 1000;
    t->nanos = (int32_t)(ms % 1000) * 1000000;
}

static void describe(struct sim_device *d, struct device_texts *t)
{
    struct network *network = d->network;
    struct uuid id = network_new_id(network);

    uuid_format(&network->tenant_id, t->tenant_id);
    uuid_format(&network->application_id, t->application_id);
    uuid_format(&d->profile->id, t->profile_id);
    uuid_format(&id, t->id);
    eui64_format(d->eui, t->eui);
    dev_addr_format(d->dev_addr, t->dev_addr);
    snprintf(t->name, sizeof(t->name), "device-%05u", d->index);
    integration__device_info__init(&t->info);
    t->info.tenant_id = t->tenant_id;
    t->info.tenant_name = "simulator";
    t->info.application_id = t->application_id;
    t->info.application_name = "simulated devices";
    t->info.device_profile_id = t->profile_id;
    t->info.device_profile_name = "simulated profile";
    t->info.device_name = t->name;
    t->info.dev_eui = t->eui;
    t->info.device_class_enabled =
        d->options->is_class_c ? COMMON__DEVICE_CLASS__CLASS_C : COMMON__DEVICE_CLASS__CLASS_A;
    for (size_t i = 0; i < d->options->tag_count; i++) {
        integration__device_info__tags_entry__init(&t->tags[i]);
        t->tags[i].key = (char *)d->options->tags[i][0];
        t->tags[i].value = (char *)d->options->tags[i][1];
        t->tag_list[i] = &t->tags[i];
    }
    t->info.n_tags = d->options->tag_count;
    t->info.tags = t->tag_list;
    set_time(&t->time, network->world->now_ms);
}

void events_publish(struct network *network, const char *topic, const ProtobufCMessage *message)
{
    enum err err = ERR_NO_MEMORY;

    if (network->options->protobuf) {
        size_t size = protobuf_c_message_get_packed_size(message);
        uint8_t *octets = malloc(size + 1);
        if (octets != NULL) {
            protobuf_c_message_pack(message, octets);
            err = mqtt_publish(network->mqtt, topic, octets, size);
        }
        free(octets);
    } else {
        char *text = events_json(message);
        if (text != NULL) {
            err = mqtt_publish(network->mqtt, topic, text, strlen(text));
        }
        free(text);
    }
    if (err != ERR_OK) {
        network->counters.events_dropped++;
    }
}

static void publish(struct sim_device *d, const struct device_texts *t, const char *event,
                    const ProtobufCMessage *message)
{
    char topic[160];

    snprintf(topic, sizeof(topic), "application/%s/device/%s/event/%s", t->application_id, t->eui,
             event);
    events_publish(d->network, topic, message);
}

/* One gateway's copy of an uplink. */
struct reception {
    char gateway_id[EUI64_TEXT_SIZE];
    Gw__UplinkRxInfo info;
    Google__Protobuf__Timestamp gw_time;
    Google__Protobuf__Timestamp ns_time;
    Google__Protobuf__Duration gps_time;
};

static void describe_reception(const struct sim_device *d, size_t gateway, uint32_t f_cnt,
                               struct reception *r)
{
    int64_t now_ms = d->network->world->now_ms;
    uint64_t drawn = random_mix(d->network->seed ^ d->eui, (uint64_t)f_cnt << 8 | gateway);

    gw__uplink_rx_info__init(&r->info);
    google__protobuf__duration__init(&r->gps_time);
    eui64_format(d->network->gateways[gateway].id, r->gateway_id);
    set_time(&r->gw_time, now_ms);
    set_time(&r->ns_time, now_ms);
    r->gps_time.seconds = now_ms / 1000 - GPS_EPOCH_UNIX_S + LEAP_S;
    r->gps_time.nanos = (int32_t)(now_ms % 1000) * 1000000;
    r->info.gateway_id = r->gateway_id;
    r->info.uplink_id = (uint32_t)(drawn >> 32);
    r->info.gw_time = &r->gw_time;
    r->info.ns_time = &r->ns_time;
    r->info.time_since_gps_epoch = &r->gps_time;
    r->info.rssi = -110 + (int32_t)(drawn & 63);
    r->info.snr = (float)(int32_t)(drawn >> 8 & 127) / 8.0f - 6.0f;
    r->info.crc_status = GW__CRCSTATUS__CRC_OK;
}

void events_up(struct sim_device *d, uint32_t f_cnt, uint8_t f_port, const uint8_t *payload,
               size_t size, uint32_t heard_mask)
{
    const struct region *region = d->network->region;
    const struct region_dr *rate = region_dr(region, region->uplink_dr);
    struct device_texts texts;
    struct reception receptions[OPTIONS_GATEWAY_MAX];
    Gw__UplinkRxInfo *rx_info[OPTIONS_GATEWAY_MAX];
    Integration__UplinkEvent event = INTEGRATION__UPLINK_EVENT__INIT;
    Gw__UplinkTxInfo tx_info = GW__UPLINK_TX_INFO__INIT;
    Gw__Modulation modulation = GW__MODULATION__INIT;
    Gw__LoraModulationInfo lora = GW__LORA_MODULATION_INFO__INIT;

    describe(d, &texts);
    for (size_t g = 0; g < d->network->gateway_count; g++) {
        if ((heard_mask >> g & 1) != 0) {
            describe_reception(d, g, f_cnt, &receptions[event.n_rx_info]);
            rx_info[event.n_rx_info] = &receptions[event.n_rx_info].info;
            event.n_rx_info++;
        }
    }
    lora.bandwidth = rate->bandwidth_hz;
    lora.spreading_factor = rate->spreading_factor;
    modulation.parameters_case = GW__MODULATION__PARAMETERS_LORA;
    modulation.lora = &lora;
    tx_info.frequency = region->uplink_frequency_hz;
    tx_info.modulation = &modulation;
    event.deduplication_id = texts.id;
    event.time = &texts.time;
    event.device_info = &texts.info;
    event.dev_addr = texts.dev_addr;
    event.dr = region->uplink_dr;
    event.f_cnt = f_cnt;
    event.f_port = f_port;
    event.data.data = (uint8_t *)payload;
    event.data.len = size;
    event.rx_info = rx_info;
    event.tx_info = &tx_info;
    event.region_config_id = (char *)region->config_id;
    publish(d, &texts, "up", &event.base);
}

void events_join(struct sim_device *d)
{
    struct device_texts texts;
    Integration__JoinEvent event = INTEGRATION__JOIN_EVENT__INIT;

    describe(d, &texts);
    event.deduplication_id = texts.id;
    event.time = &texts.time;
    event.device_info = &texts.info;
    event.dev_addr = texts.dev_addr;
    publish(d, &texts, "join", &event.base);
}

void events_txack(struct sim_device *d, const struct uuid *item_id, uint32_t downlink_id,
                  uint32_t f_cnt_down, size_t gateway_index)
{
    struct device_texts texts;
    char item_text[UUID_TEXT_SIZE];
    char gateway_text[EUI64_TEXT_SIZE];
    Integration__TxAckEvent event = INTEGRATION__TX_ACK_EVENT__INIT;

    describe(d, &texts);
    uuid_format(item_id, item_text);
    eui64_format(d->network->gateways[gateway_index].id, gateway_text);
    event.downlink_id = downlink_id;
    event.time = &texts.time;
    event.device_info = &texts.info;
    event.queue_item_id = item_text;
    event.f_cnt_down = f_cnt_down;
    event.gateway_id = gateway_text;
    publish(d, &texts, "txack", &event.base);
}

void events_log(struct sim_device *d, enum log_code code, const char *description,
                const struct queue_item *item)
{
    struct device_texts texts;
    char item_text[UUID_TEXT_SIZE];
    Integration__LogEvent event = INTEGRATION__LOG_EVENT__INIT;
    Integration__LogEvent__ContextEntry entry = INTEGRATION__LOG_EVENT__CONTEXT_ENTRY__INIT;
    Integration__LogEvent__ContextEntry *entries[1] = {&entry};

    describe(d, &texts);
    event.time = &texts.time;
    event.device_info = &texts.info;
    event.level = INTEGRATION__LOG_LEVEL__ERROR;
    event.code = (Integration__LogCode)code;
    event.description = (char *)description;
    if (item != NULL) {
        uuid_format(&item->id, item_text);
        entry.key = "queue_item_id";
        entry.value = item_text;
        event.n_context = 1;
        event.context = entries;
    }
    network_trace(d->network, "log eui=%s code=%d %s", texts.eui, (int)code, description);
    publish(d, &texts, "log", &event.base);
}
