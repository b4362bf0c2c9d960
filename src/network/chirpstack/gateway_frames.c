#include "network/chirpstack/gateway_frames.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/hex.h"
#include "events_impl.h"
#include "gw/gw.pb-c.h"
#include "json_arena.h"

#define PHY_MAX        256
#define FHDR_SIZE      8    /* MHDR, DevAddr, FCtrl, FCnt */
#define MHDR_DATA_DOWN 0x60 /* unconfirmed */

static const char gateway_level[] = "/gateway/";

enum err gateway_topic_read(const char *topic, uint64_t *ret_gateway_id,
                            enum gateway_topic *ret_topic)
{
    const char *at = NULL;
    char id[EUI64_TEXT_SIZE];

    for (const char *next = topic; (next = strstr(next, gateway_level)) != NULL; next++) {
        at = next + strlen(gateway_level); /* the last one: a prefix may have it, too */
    }
    if (at == NULL || strlen(at) < EUI64_TEXT_SIZE || at[EUI64_TEXT_SIZE - 1] != '/') {
        return ERR_UNKNOWN;
    }
    memcpy(id, at, EUI64_TEXT_SIZE - 1);
    id[EUI64_TEXT_SIZE - 1] = '\0';
    const char *rest = at + EUI64_TEXT_SIZE;
    if (eui64_parse(id, ret_gateway_id) != ERR_OK) {
        return ERR_UNKNOWN;
    }
    if (strcmp(rest, "command/down") == 0) {
        *ret_topic = GATEWAY_DOWN;
    } else if (strcmp(rest, "event/ack") == 0) {
        *ret_topic = GATEWAY_ACK;
    } else {
        return ERR_UNKNOWN;
    }
    return ERR_OK;
}

static bool is_json(const uint8_t *payload, size_t size)
{
    return size > 0 && payload[0] == '{';
}

static enum err read_phy(const uint8_t *phy, size_t size, struct gateway_downlink *ret)
{
    if (size < FHDR_SIZE || phy[0] != MHDR_DATA_DOWN) {
        return ERR_MISSING;
    }
    ret->dev_addr =
        phy[1] | (uint32_t)phy[2] << 8 | (uint32_t)phy[3] << 16 | (uint32_t)phy[4] << 24;
    ret->f_cnt = (uint16_t)(phy[6] | phy[7] << 8);
    return ERR_OK;
}

/* JSON leaves out what is 0. */
static bool read_id(const cJSON *object, uint32_t *ret)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, "downlinkId");

    *ret = 0;
    if (item == NULL) {
        return true;
    }
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0.0 && item->valuedouble <= UINT32_MAX)) {
        return false;
    }
    *ret = (uint32_t)item->valuedouble;
    return true;
}

static enum err downlink_of_json(const cJSON *object, struct gateway_downlink *ret)
{
    const cJSON *items = cJSON_GetObjectItemCaseSensitive(object, "items");
    const cJSON *first = cJSON_GetArrayItem(items, 0);
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(first, "phyPayload"));
    uint8_t phy[PHY_MAX];
    size_t size;

    if (!read_id(object, &ret->downlink_id) || text == NULL ||
        !events_parse_base64(text, phy, sizeof(phy), &size)) {
        return ERR_FORMAT;
    }
    return read_phy(phy, size, ret);
}

static enum err downlink_of_protobuf(const uint8_t *payload, size_t size,
                                     struct gateway_downlink *ret)
{
    Gw__DownlinkFrame *frame = gw__downlink_frame__unpack(NULL, size, payload);
    enum err err = ERR_FORMAT;

    if (frame != NULL && frame->n_items > 0) {
        ret->downlink_id = frame->downlink_id;
        err = read_phy(frame->items[0]->phy_payload.data, frame->items[0]->phy_payload.len, ret);
    }
    if (frame != NULL) {
        gw__downlink_frame__free_unpacked(frame, NULL);
    }
    return err;
}

enum err gateway_downlink_decode(const uint8_t *payload, size_t size, struct gateway_downlink *ret)
{
    struct gateway_downlink downlink = {0};
    enum err err;

    if (is_json(payload, size)) {
        json_arena_begin();
        cJSON *object = cJSON_ParseWithLength((const char *)payload, size);
        err = downlink_of_json(object, &downlink);
        cJSON_Delete(object);
        json_arena_end();
    } else {
        err = downlink_of_protobuf(payload, size, &downlink);
    }
    if (err == ERR_OK) {
        *ret = downlink;
    }
    return err;
}

/* gw.TxAckStatus: what the driver says of each. */
static const struct {
    const char *name;
    enum network_tx tx;
} statuses[] = {
    {"IGNORED", NETWORK_TX_COUNT},
    {"OK", NETWORK_TX_OK},
    {"TOO_LATE", NETWORK_TX_TOO_LATE},
    {"TOO_EARLY", NETWORK_TX_TOO_EARLY},
    {"COLLISION_PACKET", NETWORK_TX_COLLISION},
    {"COLLISION_BEACON", NETWORK_TX_COLLISION},
    {"TX_FREQ", NETWORK_TX_FREQUENCY},
    {"TX_POWER", NETWORK_TX_POWER},
    {"GPS_UNLOCKED", NETWORK_TX_NO_GPS},
    {"QUEUE_FULL", NETWORK_TX_QUEUE_FULL},
    {"INTERNAL_ERROR", NETWORK_TX_INTERNAL},
    {"DUTY_CYCLE_OVERFLOW", NETWORK_TX_DUTY_CYCLE},
};
static const size_t status_count = sizeof(statuses) / sizeof(statuses[0]);

/* Names, numbers, or nothing for 0; status_count: none of them. */
static size_t status_of_json(const cJSON *item)
{
    const cJSON *status = cJSON_GetObjectItemCaseSensitive(item, "status");
    const char *name = cJSON_GetStringValue(status);

    if (status == NULL) {
        return 0;
    }
    if (cJSON_IsNumber(status)) {
        bool is_known = status->valuedouble >= 0.0 && status->valuedouble < (double)status_count;
        return is_known ? (size_t)status->valuedouble : status_count;
    }
    for (size_t i = 0; name != NULL && i < status_count; i++) {
        if (strcmp(statuses[i].name, name) == 0) {
            return i;
        }
    }
    return status_count;
}

/* True: this item's status is the answer. */
static bool take_status(size_t status, struct gateway_ack *ret)
{
    if (status >= status_count) {
        ret->tx = NETWORK_TX_INTERNAL; /* one that is newer than this program */
        return true;
    }
    ret->tx = statuses[status].tx;
    return ret->tx != NETWORK_TX_COUNT;
}

static enum err ack_of_json(const cJSON *object, struct gateway_ack *ret)
{
    const cJSON *items = cJSON_GetObjectItemCaseSensitive(object, "items");
    const cJSON *item;

    if (!cJSON_IsObject(object) || !read_id(object, &ret->downlink_id) ||
        (items != NULL && !cJSON_IsArray(items))) {
        return ERR_FORMAT;
    }
    cJSON_ArrayForEach(item, items)
    {
        if (take_status(status_of_json(item), ret)) {
            return ERR_OK;
        }
    }
    return ERR_MISSING;
}

static enum err ack_of_protobuf(const uint8_t *payload, size_t size, struct gateway_ack *ret)
{
    Gw__DownlinkTxAck *ack = gw__downlink_tx_ack__unpack(NULL, size, payload);
    enum err err = ERR_FORMAT;

    if (ack != NULL) {
        err = ERR_MISSING;
        ret->downlink_id = ack->downlink_id;
        for (size_t i = 0; i < ack->n_items && err == ERR_MISSING; i++) {
            err = take_status((size_t)ack->items[i]->status, ret) ? ERR_OK : ERR_MISSING;
        }
        gw__downlink_tx_ack__free_unpacked(ack, NULL);
    }
    return err;
}

enum err gateway_ack_decode(const uint8_t *payload, size_t size, struct gateway_ack *ret)
{
    struct gateway_ack ack = {0};
    enum err err;

    if (is_json(payload, size)) {
        json_arena_begin();
        cJSON *object = cJSON_ParseWithLength((const char *)payload, size);
        err = ack_of_json(object, &ack);
        cJSON_Delete(object);
        json_arena_end();
    } else {
        err = ack_of_protobuf(payload, size, &ack);
    }
    if (err == ERR_OK) {
        *ret = ack;
    }
    return err;
}
