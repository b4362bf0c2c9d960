#include "sim/gateway_topics.h"

#include <stdio.h>

#include "gw/gw.pb-c.h"
#include "sim/events.h"

#define FSK_DEVIATION_HZ 25000

static void publish(struct network *network, const char *gateway_id, const char *what,
                    const ProtobufCMessage *message)
{
    char topic[OPTIONS_TOPIC_SIZE + 64];

    snprintf(topic, sizeof(topic), "%s/gateway/%s/%s", network->options->gateway_topics, gateway_id,
             what);
    events_publish(network, topic, message);
}

/* An item and the messages within it. */
struct item_parts {
    Gw__DownlinkFrameItem item;
    Gw__DownlinkTxInfo tx_info;
    Gw__Modulation modulation;
    Gw__LoraModulationInfo lora;
    Gw__FskModulationInfo fsk;
    Gw__Timing timing;
    Gw__ImmediatelyTimingInfo immediately;
    Gw__DelayTimingInfo delay;
    Google__Protobuf__Duration duration;
};

static void describe_modulation(struct item_parts *p, const struct region_dr *rate)
{
    gw__modulation__init(&p->modulation);
    if (rate->spreading_factor == 0) {
        gw__fsk_modulation_info__init(&p->fsk);
        p->fsk.frequency_deviation = FSK_DEVIATION_HZ;
        p->fsk.datarate = rate->bitrate;
        p->modulation.parameters_case = GW__MODULATION__PARAMETERS_FSK;
        p->modulation.fsk = &p->fsk;
        return;
    }
    gw__lora_modulation_info__init(&p->lora);
    p->lora.bandwidth = rate->bandwidth_hz;
    p->lora.spreading_factor = rate->spreading_factor;
    p->lora.code_rate = GW__CODE_RATE__CR_4_5;
    p->lora.polarization_inversion = 1;
    p->modulation.parameters_case = GW__MODULATION__PARAMETERS_LORA;
    p->modulation.lora = &p->lora;
}

static void describe_timing(struct item_parts *p, uint32_t delay_ms)
{
    gw__timing__init(&p->timing);
    if (delay_ms == 0) {
        gw__immediately_timing_info__init(&p->immediately);
        p->timing.parameters_case = GW__TIMING__PARAMETERS_IMMEDIATELY;
        p->timing.immediately = &p->immediately;
        return;
    }
    google__protobuf__duration__init(&p->duration);
    p->duration.seconds = delay_ms / 1000;
    p->duration.nanos = (int32_t)(delay_ms % 1000) * 1000000;
    gw__delay_timing_info__init(&p->delay);
    p->delay.delay = &p->duration;
    p->timing.parameters_case = GW__TIMING__PARAMETERS_DELAY;
    p->timing.delay = &p->delay;
}

void gateway_topics_down(struct network *network, const struct downlink *downlink,
                         const struct phy_downlink *frame)
{
    Gw__DownlinkFrame message = GW__DOWNLINK_FRAME__INIT;
    struct item_parts parts[DOWNLINK_ITEM_MAX];
    Gw__DownlinkFrameItem *items[DOWNLINK_ITEM_MAX];
    char gateway_id[EUI64_TEXT_SIZE];
    uint8_t octets[PHY_SIZE_MAX];
    size_t size = 0;

    if (network->options->gateway_topics[0] == '\0') {
        return;
    }
    if (phy_encode(frame, octets, &size) != ERR_OK) {
        network->counters.events_dropped++;
        return;
    }
    eui64_format(network->gateways[downlink->gateway_index].id, gateway_id);
    for (size_t i = 0; i < downlink->item_count; i++) {
        struct item_parts *p = &parts[i];
        gw__downlink_frame_item__init(&p->item);
        gw__downlink_tx_info__init(&p->tx_info);
        describe_modulation(p, region_dr(network->region, downlink->items[i].dr));
        describe_timing(p, downlink->items[i].delay_ms);
        p->tx_info.frequency = downlink->items[i].frequency_hz;
        p->tx_info.modulation = &p->modulation;
        p->tx_info.timing = &p->timing;
        p->item.phy_payload.data = octets;
        p->item.phy_payload.len = size;
        p->item.tx_info = &p->tx_info;
        items[i] = &p->item;
    }
    message.downlink_id = downlink->id;
    message.gateway_id = gateway_id;
    message.items = items;
    message.n_items = downlink->item_count;
    publish(network, gateway_id, "command/down", &message.base);
}

void gateway_topics_ack(struct network *network, const struct downlink *downlink)
{
    Gw__DownlinkTxAck message = GW__DOWNLINK_TX_ACK__INIT;
    Gw__DownlinkTxAckItem parts[DOWNLINK_ITEM_MAX];
    Gw__DownlinkTxAckItem *items[DOWNLINK_ITEM_MAX];
    char gateway_id[EUI64_TEXT_SIZE];

    if (network->options->gateway_topics[0] == '\0') {
        return;
    }
    eui64_format(network->gateways[downlink->gateway_index].id, gateway_id);
    for (size_t i = 0; i < downlink->item_count; i++) {
        gw__downlink_tx_ack_item__init(&parts[i]);
        parts[i].status = (Gw__TxAckStatus)downlink->items[i].status; /* the same values */
        items[i] = &parts[i];
    }
    message.downlink_id = downlink->id;
    message.gateway_id = gateway_id;
    message.items = items;
    message.n_items = downlink->item_count;
    publish(network, gateway_id, "event/ack", &message.base);
}
