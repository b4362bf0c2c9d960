/* load_api.c - a stand-in for ChirpStack's API that knows every device and every group. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/device.pb-c.h"
#include "api/multicast_group.pb-c.h"
#include "load.h"
#include "sim/grpc_server.h"

#define GROUPS_MAX 4096

struct api {
    struct grpc_server *server;
    struct api_calls calls;
    uint32_t item_count;
    uint32_t f_cnts[GROUPS_MAX]; /* of the group whose id ends with that number */
    void (*on_call)(void *arg, uint64_t dev_eui, bool is_command);
    void *arg;
};

uint64_t load_now_us(void)
{
    return uv_hrtime() / 1000;
}

static void reply(struct grpc_call *call, const ProtobufCMessage *message)
{
    call->reply = malloc(protobuf_c_message_get_packed_size(message) + 1);
    if (call->reply == NULL) {
        abort();
    }
    call->reply_size = protobuf_c_message_pack(message, call->reply);
}

static void hear(struct api *api, const char *text, bool is_command)
{
    uint64_t dev_eui;

    if (eui64_parse(text, &dev_eui) == ERR_OK) {
        api->on_call(api->arg, dev_eui, is_command);
    }
}

static void count(struct api *api, uint64_t *calls)
{
    api->calls.last_us = load_now_us();
    if (api->calls.first_us == 0) {
        api->calls.first_us = api->calls.last_us;
    }
    (*calls)++;
}

static void get_keys(struct api *api, struct grpc_call *call)
{
    static char key[] = "000102030405060708090a0b0c0d0e0f";
    Api__GetDeviceKeysRequest *request =
        api__get_device_keys_request__unpack(NULL, call->request_size, call->request);
    Api__GetDeviceKeysResponse response = API__GET_DEVICE_KEYS_RESPONSE__INIT;
    Api__DeviceKeys keys = API__DEVICE_KEYS__INIT;

    keys.app_key = keys.gen_app_key = key;
    response.device_keys = &keys;
    reply(call, &response.base);
    count(api, &api->calls.keys);
    if (api->calls.keys == 1) {
        api->calls.keys_us = api->calls.last_us;
    }
    if (request != NULL) {
        hear(api, request->dev_eui, false);
        api__get_device_keys_request__free_unpacked(request, NULL);
    }
}

static void enqueue(struct api *api, struct grpc_call *call)
{
    Api__EnqueueDeviceQueueItemRequest *request =
        api__enqueue_device_queue_item_request__unpack(NULL, call->request_size, call->request);
    Api__EnqueueDeviceQueueItemResponse response = API__ENQUEUE_DEVICE_QUEUE_ITEM_RESPONSE__INIT;
    char id[UUID_TEXT_SIZE];

    snprintf(id, sizeof(id), "00000000-0000-4000-8000-%012x", ++api->item_count);
    response.id = id;
    reply(call, &response.base);
    count(api, &api->calls.commands);
    if (request != NULL) {
        hear(api, request->queue_item->dev_eui, true);
        api__enqueue_device_queue_item_request__free_unpacked(request, NULL);
    }
}

static void enqueue_group(struct api *api, struct grpc_call *call)
{
    Api__EnqueueMulticastGroupQueueItemRequest *request =
        api__enqueue_multicast_group_queue_item_request__unpack(NULL, call->request_size,
                                                                call->request);
    Api__EnqueueMulticastGroupQueueItemResponse response =
        API__ENQUEUE_MULTICAST_GROUP_QUEUE_ITEM_RESPONSE__INIT;
    struct uuid id;

    if (request != NULL && uuid_parse(request->queue_item->multicast_group_id, &id) == ERR_OK) {
        response.f_cnt = api->f_cnts[(id.octets[14] << 8 | id.octets[15]) % GROUPS_MAX]++;
    }
    reply(call, &response.base);
    count(api, &api->calls.frames);
    if (request != NULL) {
        api__enqueue_multicast_group_queue_item_request__free_unpacked(request, NULL);
    }
}

static void on_grpc(void *arg, struct grpc_call *call)
{
    struct api *api = arg;

    if (strcmp(call->path, "/api.DeviceService/GetKeys") == 0) {
        get_keys(api, call);
    } else if (strcmp(call->path, "/api.DeviceService/Enqueue") == 0) {
        enqueue(api, call);
    } else if (strcmp(call->path, "/api.MulticastGroupService/Enqueue") == 0) {
        enqueue_group(api, call);
    } else {
        count(api, &api->calls.others);
        call->status = GRPC_NOT_FOUND;
    }
}

struct api *api_new(uv_loop_t *loop, uint16_t port,
                    void (*on_call)(void *arg, uint64_t dev_eui, bool is_command), void *arg)
{
    struct api *api = calloc(1, sizeof(*api));
    int bound;

    if (api == NULL) {
        abort();
    }
    api->on_call = on_call;
    api->arg = arg;
    if (grpc_server_new(loop, port, on_grpc, api, &bound, &api->server) != ERR_OK) {
        exit(1);
    }
    return api;
}

struct api_calls *api_get_calls(struct api *api)
{
    return &api->calls;
}
