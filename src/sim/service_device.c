/* api.DeviceService */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/device.pb-c.h"
#include "base/random.h"
#include "sim/services.h"

#define ZERO_KEY "00000000000000000000000000000000"

static void set_timestamp(Google__Protobuf__Timestamp *t, int64_t ms)
{
    google__protobuf__timestamp__init(t);
    t->seconds = ms / 1000;
    t->nanos = (int32_t)(ms % 1000) * 1000000;
}

static void get(struct network *network, struct grpc_call *call)
{
    Api__GetDeviceRequest *req =
        (void *)services_unpack(call, &api__get_device_request__descriptor);
    struct sim_device *d = req != NULL ? services_device(network, call, req->dev_eui) : NULL;

    if (d != NULL) {
        Api__GetDeviceResponse rep = API__GET_DEVICE_RESPONSE__INIT;
        Api__Device device = API__DEVICE__INIT;
        Api__Device__TagsEntry tags[OPTIONS_TAG_MAX];
        Api__Device__TagsEntry *tag_list[OPTIONS_TAG_MAX];
        Google__Protobuf__Timestamp seen;
        char eui[EUI64_TEXT_SIZE];
        char name[32];
        char application[UUID_TEXT_SIZE];
        char profile[UUID_TEXT_SIZE];
        eui64_format(d->eui, eui);
        snprintf(name, sizeof(name), "device-%05u", d->index);
        uuid_format(&network->application_id, application);
        uuid_format(&d->profile->id, profile);
        for (size_t i = 0; i < d->options->tag_count; i++) {
            api__device__tags_entry__init(&tags[i]);
            tags[i].key = (char *)d->options->tags[i][0];
            tags[i].value = (char *)d->options->tags[i][1];
            tag_list[i] = &tags[i];
        }
        device.dev_eui = eui;
        device.name = name;
        device.application_id = application;
        device.device_profile_id = profile;
        device.n_tags = d->options->tag_count;
        device.tags = tag_list;
        rep.device = &device;
        if (d->last_seen_ms != 0) {
            set_timestamp(&seen, d->last_seen_ms);
            rep.last_seen_at = &seen;
        }
        rep.class_enabled =
            d->options->is_class_c ? COMMON__DEVICE_CLASS__CLASS_C : COMMON__DEVICE_CLASS__CLASS_A;
        services_reply(call, &rep.base);
    }
    protobuf_c_message_free_unpacked((ProtobufCMessage *)req, NULL);
}

static bool has_tags(const struct sim_device *d, const Api__ListDevicesRequest *req)
{
    for (size_t i = 0; i < req->n_tags; i++) {
        bool is_found = false;
        for (size_t k = 0; k < d->options->tag_count && !is_found; k++) {
            is_found = strcmp(d->options->tags[k][0], req->tags[i]->key) == 0 &&
                       strcmp(d->options->tags[k][1], req->tags[i]->value) == 0;
        }
        if (!is_found) {
            return false;
        }
    }
    return true;
}

/* One row of the list and the texts it points to. */
struct list_row {
    Api__DeviceListItem item;
    Api__DeviceListItem__TagsEntry tags[OPTIONS_TAG_MAX];
    Api__DeviceListItem__TagsEntry *tag_list[OPTIONS_TAG_MAX];
    Google__Protobuf__Timestamp seen;
    char eui[EUI64_TEXT_SIZE];
    char name[32];
    char profile[UUID_TEXT_SIZE];
};

static void fill_row(const struct sim_device *d, struct list_row *row)
{
    api__device_list_item__init(&row->item);
    eui64_format(d->eui, row->eui);
    snprintf(row->name, sizeof(row->name), "device-%05u", d->index);
    uuid_format(&d->profile->id, row->profile);
    row->item.dev_eui = row->eui;
    row->item.name = row->name;
    row->item.device_profile_id = row->profile;
    if (d->last_seen_ms != 0) {
        set_timestamp(&row->seen, d->last_seen_ms);
        row->item.last_seen_at = &row->seen;
    }
    for (size_t i = 0; i < d->options->tag_count; i++) {
        api__device_list_item__tags_entry__init(&row->tags[i]);
        row->tags[i].key = (char *)d->options->tags[i][0];
        row->tags[i].value = (char *)d->options->tags[i][1];
        row->tag_list[i] = &row->tags[i];
    }
    row->item.n_tags = d->options->tag_count;
    row->item.tags = row->tag_list;
}

static bool is_listed(const struct network *network, const struct sim_device *d,
                      const Api__ListDevicesRequest *req, const struct uuid *application,
                      const struct uuid *profile)
{
    char name[32];

    snprintf(name, sizeof(name), "device-%05u", d->index);
    return memcmp(application, &network->application_id, sizeof(*application)) == 0 &&
           (profile == NULL || memcmp(profile, &d->profile->id, sizeof(*profile)) == 0) &&
           (req->search[0] == '\0' || strstr(name, req->search) != NULL) && has_tags(d, req);
}

static void list_pages(struct network *network, struct grpc_call *call,
                       const Api__ListDevicesRequest *req, const struct uuid *application,
                       const struct uuid *profile)
{
    Api__ListDevicesResponse rep = API__LIST_DEVICES_RESPONSE__INIT;
    size_t room = req->limit < network->device_count ? req->limit : network->device_count;
    struct list_row *rows = calloc(room + 1, sizeof(*rows));
    Api__DeviceListItem **items = calloc(room + 1, sizeof(*items));

    for (size_t i = 0; rows != NULL && items != NULL && i < network->device_count; i++) {
        const struct sim_device *d =
            &network->devices[i]; /* names and EUIs are in the same order */
        if (!is_listed(network, d, req, application, profile)) {
            continue;
        }
        if (rep.total_count++ >= req->offset && rep.n_result < room) {
            fill_row(d, &rows[rep.n_result]);
            items[rep.n_result] = &rows[rep.n_result].item;
            rep.n_result++;
        }
    }
    rep.result = items;
    services_reply(call, &rep.base);
    free(rows);
    free(items);
}

static void list(struct network *network, struct grpc_call *call)
{
    Api__ListDevicesRequest *req =
        (void *)services_unpack(call, &api__list_devices_request__descriptor);
    struct uuid application;
    struct uuid profile;

    if (req == NULL) {
        return;
    }
    bool has_profile = req->device_profile_id[0] != '\0';
    if (req->application_id[0] == '\0') {
        services_fail(call, GRPC_INVALID_ARGUMENT, "application_id must be set");
    } else if (services_uuid(call, req->application_id, &application) &&
               (!has_profile || services_uuid(call, req->device_profile_id, &profile))) {
        if (network->options->tenant_key &&
            memcmp(&application, &network->application_id, sizeof(application)) != 0) {
            services_fail_missing(network, call, req->application_id);
        } else {
            list_pages(network, call, req, &application, has_profile ? &profile : NULL);
        }
    }
    protobuf_c_message_free_unpacked(&req->base, NULL);
}

static void get_keys(struct network *network, struct grpc_call *call)
{
    Api__GetDeviceKeysRequest *req =
        (void *)services_unpack(call, &api__get_device_keys_request__descriptor);
    struct sim_device *d = req != NULL ? services_device(network, call, req->dev_eui) : NULL;

    if (d != NULL) {
        Api__GetDeviceKeysResponse rep = API__GET_DEVICE_KEYS_RESPONSE__INIT;
        Api__DeviceKeys keys = API__DEVICE_KEYS__INIT;
        uint8_t join_key[DEVICE_KEY_SIZE];
        char eui[EUI64_TEXT_SIZE];
        char root[2 * DEVICE_KEY_SIZE + 1];
        char join[2 * DEVICE_KEY_SIZE + 1];
        eui64_format(d->eui, eui);
        hex_encode(d->root_key, sizeof(d->root_key), root);
        network_join_key(d, join_key);
        hex_encode(join_key, sizeof(join_key), join);
        keys.dev_eui = eui;
        keys.nwk_key = join;
        keys.app_key = d->profile->is_lorawan_1_1 ? root : ZERO_KEY;
        keys.gen_app_key = d->profile->is_lorawan_1_1 ? ZERO_KEY : root;
        rep.device_keys = &keys;
        services_reply(call, &rep.base);
    }
    protobuf_c_message_free_unpacked((ProtobufCMessage *)req, NULL);
}

static void get_random_dev_addr(struct network *network, struct grpc_call *call)
{
    Api__GetRandomDevAddrRequest *req =
        (void *)services_unpack(call, &api__get_random_dev_addr_request__descriptor);
    struct sim_device *d = req != NULL ? services_device(network, call, req->dev_eui) : NULL;

    if (d != NULL) {
        Api__GetRandomDevAddrResponse rep = API__GET_RANDOM_DEV_ADDR_RESPONSE__INIT;
        char text[DEV_ADDR_TEXT_SIZE];
        uint32_t addr =
            (uint32_t)random_mix(network->seed, 0xADD20000u + network->id_count++) & 0x00FFFFFFu;
        dev_addr_format(addr | 0x01000000u, text);
        rep.dev_addr = text;
        services_reply(call, &rep.base);
    }
    protobuf_c_message_free_unpacked((ProtobufCMessage *)req, NULL);
}

static void enqueue_item(struct network *network, struct grpc_call *call,
                         const Api__EnqueueDeviceQueueItemRequest *req)
{
    const Api__DeviceQueueItem *wanted = req->queue_item;
    struct queue_item item = {.id = {{0}}};
    uint64_t eui;

    if (!services_eui(call, wanted->dev_eui, &eui)) {
        return;
    }
    struct sim_device *d = network_find_device(network, eui);
    if (d == NULL && !network->options->tenant_key) {
        services_fail(call, GRPC_INTERNAL,
                      "insert or update on table \"device_queue_item\" violates foreign key "
                      "constraint \"device_queue_item_dev_eui_fkey\"");
        return;
    }
    if (d == NULL) {
        services_fail_missing(network, call, wanted->dev_eui);
        return;
    }
    if ((wanted->f_port & 0xFF) == 0) { /* cut to 8 bits before the check, as ChirpStack does */
        services_fail(call, GRPC_INVALID_ARGUMENT, "FPort must be between 1 - 255");
        return;
    }
    if (wanted->is_encrypted) {
        services_fail(call, GRPC_INVALID_ARGUMENT,
                      "FCntDown must be set for encrypted queue-items");
        return;
    }
    if (!services_time(call, wanted->expires_at, &item.expires_ms)) {
        return;
    }
    if (req->flush_queue) {
        device_queue_flush(d, false);
    }
    item.id = network_new_id(network);
    item.f_port = (uint8_t)wanted->f_port;
    item.confirmed = wanted->confirmed != 0;
    /* Payloads beyond any data rate are kept at 243 octets, which is too large as well. */
    item.size = (uint8_t)(wanted->data.len > DEVICE_PAYLOAD_SIZE_MAX ? DEVICE_PAYLOAD_SIZE_MAX + 1
                                                                     : wanted->data.len);
    if (item.size > 0) {
        memcpy(item.payload, wanted->data.data,
               item.size > DEVICE_PAYLOAD_SIZE_MAX ? DEVICE_PAYLOAD_SIZE_MAX : item.size);
    }
    if (device_queue_add(d, &item) != ERR_OK) {
        services_fail(call, GRPC_INTERNAL, "the simulator's device queue is full");
        return;
    }
    Api__EnqueueDeviceQueueItemResponse rep = API__ENQUEUE_DEVICE_QUEUE_ITEM_RESPONSE__INIT;
    char id[UUID_TEXT_SIZE];
    uuid_format(&item.id, id);
    rep.id = id;
    services_reply(call, &rep.base);
}

static void enqueue(struct network *network, struct grpc_call *call)
{
    Api__EnqueueDeviceQueueItemRequest *req =
        (void *)services_unpack(call, &api__enqueue_device_queue_item_request__descriptor);

    if (req == NULL) {
        return;
    }
    if (req->queue_item == NULL) {
        services_fail(call, GRPC_INVALID_ARGUMENT, "queue_item is missing");
    } else {
        enqueue_item(network, call, req);
    }
    protobuf_c_message_free_unpacked(&req->base, NULL);
}

/* One row of the queue and what it points to. */
struct queue_row {
    Api__DeviceQueueItem item;
    Google__Protobuf__Timestamp expires;
    char id[UUID_TEXT_SIZE];
};

static void get_queue(struct network *network, struct grpc_call *call)
{
    Api__GetDeviceQueueItemsRequest *req =
        (void *)services_unpack(call, &api__get_device_queue_items_request__descriptor);
    struct sim_device *d = req != NULL ? services_device(network, call, req->dev_eui) : NULL;

    if (d != NULL) {
        Api__GetDeviceQueueItemsResponse rep = API__GET_DEVICE_QUEUE_ITEMS_RESPONSE__INIT;
        struct queue_row *rows = calloc(d->queue_count + 1, sizeof(*rows));
        Api__DeviceQueueItem **items = calloc(d->queue_count + 1, sizeof(*items));
        char eui[EUI64_TEXT_SIZE];
        eui64_format(d->eui, eui);
        for (struct queue_item *q = d->queue; rows != NULL && items != NULL && q != NULL;
             q = q->next) {
            struct queue_row *row = &rows[rep.n_result];
            api__device_queue_item__init(&row->item);
            uuid_format(&q->id, row->id);
            row->item.id = row->id;
            row->item.dev_eui = eui;
            row->item.f_port = q->f_port;
            row->item.confirmed = q->confirmed;
            row->item.data.data = q->payload;
            row->item.data.len =
                q->size > DEVICE_PAYLOAD_SIZE_MAX ? DEVICE_PAYLOAD_SIZE_MAX : q->size;
            if (q->expires_ms != INT64_MAX) {
                set_timestamp(&row->expires, q->expires_ms);
                row->item.expires_at = &row->expires;
            }
            items[rep.n_result++] = &row->item;
        }
        rep.total_count = (uint32_t)d->queue_count;
        rep.result = items;
        services_reply(call, &rep.base);
        free(rows);
        free(items);
    }
    protobuf_c_message_free_unpacked((ProtobufCMessage *)req, NULL);
}

static void flush_queue(struct network *network, struct grpc_call *call)
{
    /* FlushDeviceQueueRequest has the one field of GetDeviceRequest. */
    Api__GetDeviceRequest *req =
        (void *)services_unpack(call, &api__get_device_request__descriptor);
    struct sim_device *d = req != NULL ? services_device(network, call, req->dev_eui) : NULL;

    if (d != NULL) {
        device_queue_flush(d, true);
    }
    protobuf_c_message_free_unpacked((ProtobufCMessage *)req, NULL);
}

const struct service_method service_device_methods[] = {
    {"/api.DeviceService/Get", get},
    {"/api.DeviceService/List", list},
    {"/api.DeviceService/GetKeys", get_keys},
    {"/api.DeviceService/GetRandomDevAddr", get_random_dev_addr},
    {"/api.DeviceService/Enqueue", enqueue},
    {"/api.DeviceService/GetQueue", get_queue},
    {"/api.DeviceService/FlushQueue", flush_queue},
    {NULL, NULL},
};
