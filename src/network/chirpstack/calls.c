/* calls.c - calls about one device. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/device.pb-c.h"
#include "api/device_profile.pb-c.h"
#include "impl.h"

#define QUEUE_ITEMS_MAX 64

/* Timestamp of a protocol time. */
#define TIMESTAMP(name, ms)                                                                        \
    Google__Protobuf__Timestamp name = GOOGLE__PROTOBUF__TIMESTAMP__INIT;                          \
    name.seconds = (ms) / 1000;                                                                    \
    name.nanos = (int32_t)((ms) % 1000) * 1000000

static void on_enqueue(void *arg, enum grpc_result result, int status, const char *text,
                       const uint8_t *message, size_t size)
{
    struct request *r = arg;
    enum network_outcome outcome = outcome_of(result, status, text);
    struct network_answer answer = {0};

    if (outcome == NETWORK_DONE) {
        Api__EnqueueDeviceQueueItemResponse *response =
            api__enqueue_device_queue_item_response__unpack(NULL, size, message);
        if (response == NULL || uuid_parse(response->id, &answer.id) != ERR_OK) {
            outcome = NETWORK_UNKNOWN;
            text = "the answer to Enqueue has no id";
        }
        if (response != NULL) {
            api__enqueue_device_queue_item_response__free_unpacked(response, NULL);
        }
    }
    request_end(r, outcome, text, &answer);
}

void chirpstack_enqueue(void *self, uint64_t dev_eui, uint8_t f_port, const uint8_t *data,
                        size_t size, int64_t expires_ms, network_done_fn *done, void *arg)
{
    struct request *r = request_new(self, done, arg);
    Api__EnqueueDeviceQueueItemRequest request = API__ENQUEUE_DEVICE_QUEUE_ITEM_REQUEST__INIT;
    Api__DeviceQueueItem item = API__DEVICE_QUEUE_ITEM__INIT;
    char eui[EUI64_TEXT_SIZE];
    TIMESTAMP(expires, expires_ms);

    eui64_format(dev_eui, eui);
    item.dev_eui = eui;
    item.f_port = f_port;
    item.data.data = (uint8_t *)(uintptr_t)data;
    item.data.len = size;
    item.expires_at = &expires;
    request.queue_item = &item;
    request_send(r, "/api.DeviceService/Enqueue", &request.base, on_enqueue);
}

static void on_queue(void *arg, enum grpc_result result, int status, const char *text,
                     const uint8_t *message, size_t size)
{
    struct request *r = arg;
    enum network_outcome outcome = outcome_of(result, status, text);
    struct network_queue_item items[QUEUE_ITEMS_MAX];
    struct network_answer answer = {.items = items};
    Api__GetDeviceQueueItemsResponse *response = NULL;

    if (outcome == NETWORK_DONE) {
        response = api__get_device_queue_items_response__unpack(NULL, size, message);
        outcome = response == NULL ? NETWORK_UNKNOWN : NETWORK_DONE;
    }
    for (size_t i = 0;
         response != NULL && i < response->n_result && answer.item_count < QUEUE_ITEMS_MAX; i++) {
        const Api__DeviceQueueItem *from = response->result[i];
        struct network_queue_item *item = &items[answer.item_count];
        if (uuid_parse(from->id, &item->id) == ERR_OK && from->f_port <= UINT8_MAX) {
            item->f_port = (uint8_t)from->f_port;
            item->data = from->data.data;
            item->size = from->data.len;
            answer.item_count++;
        }
    }
    request_end(r, outcome, text, &answer);
    if (response != NULL) {
        api__get_device_queue_items_response__free_unpacked(response, NULL);
    }
}

void chirpstack_read_queue(void *self, uint64_t dev_eui, network_done_fn *done, void *arg)
{
    struct request *r = request_new(self, done, arg);
    Api__GetDeviceQueueItemsRequest request = API__GET_DEVICE_QUEUE_ITEMS_REQUEST__INIT;
    char eui[EUI64_TEXT_SIZE];

    eui64_format(dev_eui, eui);
    request.dev_eui = eui;
    request_send(r, "/api.DeviceService/GetQueue", &request.base, on_queue);
}

static void on_device(void *arg, enum grpc_result result, int status, const char *text,
                      const uint8_t *message, size_t size)
{
    struct request *r = arg;
    enum network_outcome outcome = outcome_of(result, status, text);
    struct network_answer answer = {0};
    Api__GetDeviceResponse *response = NULL;

    if (outcome == NETWORK_DONE) {
        response = api__get_device_response__unpack(NULL, size, message);
        outcome = NETWORK_UNKNOWN;
        text = "the answer to Get has no device";
    }
    if (response != NULL && response->device != NULL &&
        uuid_parse(response->device->application_id, &answer.device.application_id) == ERR_OK &&
        uuid_parse(response->device->device_profile_id, &answer.device.profile_id) == ERR_OK) {
        answer.device.is_disabled = response->device->is_disabled;
        answer.device.was_seen = response->last_seen_at != NULL;
        answer.device.is_class_c = response->class_enabled == COMMON__DEVICE_CLASS__CLASS_C;
        outcome = NETWORK_DONE;
    }
    request_end(r, outcome, text, &answer);
    if (response != NULL) {
        api__get_device_response__free_unpacked(response, NULL);
    }
}

void chirpstack_read_device(void *self, uint64_t dev_eui, network_done_fn *done, void *arg)
{
    struct request *r = request_new(self, done, arg);
    Api__GetDeviceRequest request = API__GET_DEVICE_REQUEST__INIT;
    char eui[EUI64_TEXT_SIZE];

    eui64_format(dev_eui, eui);
    request.dev_eui = eui;
    request_send(r, "/api.DeviceService/Get", &request.base, on_device);
}

static bool take_region(Common__Region from, enum region *ret_region)
{
    static const struct {
        Common__Region from;
        enum region to;
    } regions[] = {
        {COMMON__REGION__EU868, REGION_EU868},   {COMMON__REGION__US915, REGION_US915},
        {COMMON__REGION__AU915, REGION_AU915},   {COMMON__REGION__AS923, REGION_AS923},
        {COMMON__REGION__AS923_2, REGION_AS923}, {COMMON__REGION__AS923_3, REGION_AS923},
        {COMMON__REGION__AS923_4, REGION_AS923}, {COMMON__REGION__IN865, REGION_IN865},
        {COMMON__REGION__KR920, REGION_KR920},   {COMMON__REGION__CN470, REGION_CN470},
        {COMMON__REGION__RU864, REGION_RU864},   {COMMON__REGION__EU433, REGION_EU433},
    };

    for (size_t i = 0; i < sizeof(regions) / sizeof(regions[0]); i++) {
        if (regions[i].from == from) {
            *ret_region = regions[i].to;
            return true;
        }
    }
    return false;
}

/* A port that was never set comes as 0: the default holds. */
static uint8_t port_or(uint32_t port, uint8_t fallback)
{
    return port >= 1 && port <= 223 ? (uint8_t)port : fallback;
}

static void take_profile(const Api__DeviceProfile *from, struct network_profile *profile)
{
    const Api__AppLayerParams *layer = from->app_layer_params;

    profile->is_region_known = take_region(from->region, &profile->region);
    profile->lorawan_version =
        from->mac_version == COMMON__MAC_VERSION__LORAWAN_1_1_0 ? LORAWAN_1_1 : LORAWAN_1_0;
    profile->uplink_interval_s = from->uplink_interval;
    profile->supports_class_c = from->supports_class_c;
    profile->clock_sync_version = layer != NULL ? (uint8_t)layer->ts003_version : 0;
    profile->fragmentation_version = layer != NULL ? (uint8_t)layer->ts004_version : 0;
    profile->multicast_setup_version = layer != NULL ? (uint8_t)layer->ts005_version : 0;
    profile->clock_sync_port = port_or(layer != NULL ? layer->ts003_f_port : 0, 202);
    profile->fragmentation_port = port_or(layer != NULL ? layer->ts004_f_port : 0, 201);
    profile->multicast_setup_port = port_or(layer != NULL ? layer->ts005_f_port : 0, 200);
}

static void on_profile(void *arg, enum grpc_result result, int status, const char *text,
                       const uint8_t *message, size_t size)
{
    struct request *r = arg;
    enum network_outcome outcome = outcome_of(result, status, text);
    struct network_answer answer = {0};
    Api__GetDeviceProfileResponse *response = NULL;

    if (outcome == NETWORK_DONE) {
        response = api__get_device_profile_response__unpack(NULL, size, message);
        outcome = NETWORK_UNKNOWN;
        text = "the answer to Get has no device profile";
    }
    if (response != NULL && response->device_profile != NULL) {
        take_profile(response->device_profile, &answer.profile);
        outcome = NETWORK_DONE;
    }
    request_end(r, outcome, text, &answer);
    if (response != NULL) {
        api__get_device_profile_response__free_unpacked(response, NULL);
    }
}

void chirpstack_read_profile(void *self, const struct uuid *profile_id, network_done_fn *done,
                             void *arg)
{
    struct request *r = request_new(self, done, arg);
    Api__GetDeviceProfileRequest request = API__GET_DEVICE_PROFILE_REQUEST__INIT;
    char id[UUID_TEXT_SIZE];

    uuid_format(profile_id, id);
    request.id = id;
    request_send(r, "/api.DeviceProfileService/Get", &request.base, on_profile);
}

static void on_root_key(void *arg, enum grpc_result result, int status, const char *text,
                        const uint8_t *message, size_t size)
{
    struct request *r = arg;
    enum network_outcome outcome = outcome_of(result, status, text);
    struct key key = {{0}};
    struct network_answer answer = {.key = &key};
    Api__GetDeviceKeysResponse *response = NULL;

    if (outcome == NETWORK_DONE) {
        response = api__get_device_keys_response__unpack(&wiping_allocator, size, message);
        outcome = NETWORK_UNKNOWN;
        text = "the answer to GetKeys has no usable key";
    }
    if (response != NULL && response->device_keys != NULL) {
        const Api__DeviceKeys *keys = response->device_keys;
        const char *digits = r->lorawan_version == LORAWAN_1_1 ? keys->app_key : keys->gen_app_key;
        if (digits[0] == '\0' ||
            (hex_decode(digits, strlen(digits), key.octets, KEY_SIZE) == ERR_OK &&
             key_is_zero(&key))) {
            outcome = NETWORK_MISSING;
            text = "the key is not set";
        } else if (hex_decode(digits, strlen(digits), key.octets, KEY_SIZE) == ERR_OK) {
            outcome = NETWORK_DONE;
        }
    }
    if (response != NULL) {
        api__get_device_keys_response__free_unpacked(response, &wiping_allocator);
    }
    request_end(r, outcome, text, &answer);
    key_wipe(&key, sizeof(key));
}

void chirpstack_read_root_key(void *self, uint64_t dev_eui, enum lorawan_version version,
                              network_done_fn *done, void *arg)
{
    struct request *r = request_new(self, done, arg);
    Api__GetDeviceKeysRequest request = API__GET_DEVICE_KEYS_REQUEST__INIT;
    char eui[EUI64_TEXT_SIZE];

    eui64_format(dev_eui, eui);
    request.dev_eui = eui;
    r->lorawan_version = version;
    request_send(r, "/api.DeviceService/GetKeys", &request.base, on_root_key);
}

static void on_address(void *arg, enum grpc_result result, int status, const char *text,
                       const uint8_t *message, size_t size)
{
    struct request *r = arg;
    enum network_outcome outcome = outcome_of(result, status, text);
    struct network_answer answer = {0};
    Api__GetRandomDevAddrResponse *response = NULL;

    if (outcome == NETWORK_DONE) {
        response = api__get_random_dev_addr_response__unpack(NULL, size, message);
        bool is_good = response != NULL &&
                       dev_addr_parse(response->dev_addr, &answer.mc_addr) == ERR_OK &&
                       answer.mc_addr != 0;
        outcome = is_good ? NETWORK_DONE : NETWORK_UNKNOWN;
        text = "the answer to GetRandomDevAddr has no address";
    }
    request_end(r, outcome, text, &answer);
    if (response != NULL) {
        api__get_random_dev_addr_response__free_unpacked(response, NULL);
    }
}

void chirpstack_random_address(void *self, uint64_t dev_eui, network_done_fn *done, void *arg)
{
    struct request *r = request_new(self, done, arg);
    Api__GetRandomDevAddrRequest request = API__GET_RANDOM_DEV_ADDR_REQUEST__INIT;
    char eui[EUI64_TEXT_SIZE];

    eui64_format(dev_eui, eui);
    request.dev_eui = eui;
    request_send(r, "/api.DeviceService/GetRandomDevAddr", &request.base, on_address);
}
