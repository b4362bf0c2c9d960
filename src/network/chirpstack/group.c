/* group.c - calls about a multicast group. */
#include <stdlib.h>
#include <string.h>

#include "api/multicast_group.pb-c.h"
#include "impl.h"

#define LIST_LIMIT 100

/* A group's id; all zero stands for none in driver.h, so a server's must be another. */
static enum err parse_group_id(const char *text, struct uuid *ret_id)
{
    struct uuid id;

    if (uuid_parse(text, &id) != ERR_OK || uuid_is_zero(&id)) {
        return ERR_FORMAT;
    }
    *ret_id = id;
    return ERR_OK;
}

/* create: look for the name first, so that a repeat after a crash finds what the first try made */

static void on_created(void *arg, enum grpc_result result, int status, const char *text,
                       const uint8_t *message, size_t size)
{
    struct request *r = arg;
    enum network_outcome outcome = outcome_of(result, status, text);
    struct network_answer answer = {0};

    if (outcome == NETWORK_DONE) {
        Api__CreateMulticastGroupResponse *response =
            api__create_multicast_group_response__unpack(NULL, size, message);
        if (response == NULL || parse_group_id(response->id, &answer.id) != ERR_OK) {
            outcome = NETWORK_UNKNOWN;
            text = "the answer to Create has no id";
        }
        if (response != NULL) {
            api__create_multicast_group_response__free_unpacked(response, NULL);
        }
    }
    request_end(r, outcome, text, &answer);
}

/* The id of the group called r->name: found, not found, or no answer. */
static enum network_outcome find_by_name(const struct request *r, enum grpc_result result,
                                         int status, const char *text, const uint8_t *message,
                                         size_t size, struct uuid *ret_id)
{
    enum network_outcome outcome = outcome_of(result, status, text);
    Api__ListMulticastGroupsResponse *response;

    if (outcome != NETWORK_DONE) {
        return outcome;
    }
    response = api__list_multicast_groups_response__unpack(NULL, size, message);
    if (response == NULL) {
        return NETWORK_UNKNOWN;
    }
    outcome = NETWORK_MISSING;
    for (size_t i = 0; i < response->n_result; i++) {
        if (strcmp(response->result[i]->name, r->name) == 0 &&
            parse_group_id(response->result[i]->id, ret_id) == ERR_OK) {
            outcome = NETWORK_DONE;
        }
    }
    api__list_multicast_groups_response__free_unpacked(response, NULL);
    return outcome;
}

static void list_by_name(struct request *r, grpc_done_fn *done)
{
    Api__ListMulticastGroupsRequest request = API__LIST_MULTICAST_GROUPS_REQUEST__INIT;
    char application[UUID_TEXT_SIZE];

    uuid_format(&r->application_id, application);
    request.limit = LIST_LIMIT;
    request.application_id = application;
    request.search = r->name;
    request_send(r, "/api.MulticastGroupService/List", &request.base, done);
}

static void on_list_to_create(void *arg, enum grpc_result result, int status, const char *text,
                              const uint8_t *message, size_t size)
{
    struct request *r = arg;
    struct network_answer answer = {0};
    enum network_outcome outcome = find_by_name(r, result, status, text, message, size, &answer.id);

    /* Only an answer to the question itself says "not there"; a hidden application says it, too,
     * and Create will tell. */
    if (outcome == NETWORK_MISSING) {
        grpc_call(r->cs->grpc, "/api.MulticastGroupService/Create", r->packed, r->packed_size,
                  on_created, r);
        return;
    }
    request_end(r, outcome, text, &answer);
}

static Common__Region region_of(enum region region)
{
    static const Common__Region regions[REGION_COUNT] = {
        [REGION_EU868] = COMMON__REGION__EU868, [REGION_US915] = COMMON__REGION__US915,
        [REGION_AU915] = COMMON__REGION__AU915, [REGION_AS923] = COMMON__REGION__AS923,
        [REGION_IN865] = COMMON__REGION__IN865, [REGION_KR920] = COMMON__REGION__KR920,
        [REGION_CN470] = COMMON__REGION__CN470, [REGION_RU864] = COMMON__REGION__RU864,
        [REGION_EU433] = COMMON__REGION__EU433,
    };
    return regions[region];
}

void chirpstack_create_group(void *self, const struct network_group *group, network_done_fn *done,
                             void *arg)
{
    struct request *r = request_new(self, done, arg);
    Api__CreateMulticastGroupRequest request = API__CREATE_MULTICAST_GROUP_REQUEST__INIT;
    Api__MulticastGroup to = API__MULTICAST_GROUP__INIT;
    char application[UUID_TEXT_SIZE], mc_addr[DEV_ADDR_TEXT_SIZE];
    char app_s_key[2 * KEY_SIZE + 1], nwk_s_key[2 * KEY_SIZE + 1];

    uuid_format(&group->application_id, application);
    dev_addr_format(group->mc_addr, mc_addr);
    hex_encode(group->keys->mc_app_s_key.octets, KEY_SIZE, app_s_key);
    hex_encode(group->keys->mc_nwk_s_key.octets, KEY_SIZE, nwk_s_key);
    to.name = (char *)(uintptr_t)group->name;
    to.application_id = application;
    to.region = region_of(group->region);
    to.mc_addr = mc_addr;
    to.mc_app_s_key = app_s_key;
    to.mc_nwk_s_key = nwk_s_key;
    to.group_type = API__MULTICAST_GROUP_TYPE__CLASS_C;
    to.class_c_scheduling_type = API__MULTICAST_GROUP_SCHEDULING_TYPE__DELAY;
    to.dr = group->data_rate;
    to.frequency = group->frequency_hz;
    to.f_cnt = group->f_cnt;
    request.multicast_group = &to;
    r->packed_size = api__create_multicast_group_request__get_packed_size(&request);
    r->packed = malloc(r->packed_size);
    r->name = strdup(group->name);
    if (r->packed == NULL || r->name == NULL) {
        abort();
    }
    api__create_multicast_group_request__pack(&request, r->packed);
    key_wipe(app_s_key, sizeof(app_s_key));
    key_wipe(nwk_s_key, sizeof(nwk_s_key));
    r->application_id = group->application_id;
    list_by_name(r, on_list_to_create);
}

/* gateways, one after another; a repeat finds them there, or gone */

static void next_gateway(struct request *r);

static void on_gateway(void *arg, enum grpc_result result, int status, const char *text,
                       const uint8_t *message, size_t size)
{
    struct request *r = arg;
    enum network_outcome outcome = outcome_of(result, status, text);

    (void)message, (void)size;
    bool is_wanted = r->gateway_index < r->gateway_count;
    bool is_done = outcome == NETWORK_DONE || is_duplicate(result, status, text);
    /* Of another tenant, or gone: the others do without it. */
    bool is_foreign = outcome == NETWORK_MISSING || outcome == NETWORK_REFUSED;
    if (!is_done && !is_foreign) {
        request_end(r, outcome, text, NULL);
        return;
    }
    r->gateways_added += is_wanted && is_done;
    r->gateway_index++;
    next_gateway(r);
}

static void next_gateway(struct request *r)
{
    Api__AddGatewayToMulticastGroupRequest add = API__ADD_GATEWAY_TO_MULTICAST_GROUP_REQUEST__INIT;
    Api__RemoveGatewayFromMulticastGroupRequest remove =
        API__REMOVE_GATEWAY_FROM_MULTICAST_GROUP_REQUEST__INIT;
    char group[UUID_TEXT_SIZE], gateway[EUI64_TEXT_SIZE];

    if (r->gateway_index == r->gateway_count + r->gateway_others) {
        bool is_good = r->gateways_added > 0;
        request_end(r, is_good ? NETWORK_DONE : NETWORK_REFUSED, "none of the gateways can be used",
                    NULL);
        return;
    }
    uuid_format(&r->group_id, group);
    eui64_format(r->gateways[r->gateway_index], gateway);
    add.multicast_group_id = remove.multicast_group_id = group;
    add.gateway_id = remove.gateway_id = gateway;
    if (r->gateway_index < r->gateway_count) {
        request_send(r, "/api.MulticastGroupService/AddGateway", &add.base, on_gateway);
    } else {
        request_send(r, "/api.MulticastGroupService/RemoveGateway", &remove.base, on_gateway);
    }
}

void chirpstack_set_gateways(void *self, const struct uuid *group_id, const uint64_t *gateways,
                             size_t count, size_t others, network_done_fn *done, void *arg)
{
    struct request *r = request_new(self, done, arg);

    r->group_id = *group_id;
    r->gateway_count = count;
    r->gateway_others = others;
    r->gateways = calloc(count + others + 1, sizeof(*gateways));
    if (r->gateways == NULL) {
        abort();
    }
    memcpy(r->gateways, gateways, (count + others) * sizeof(*gateways));
    if (count > 0) {
        next_gateway(r);
    } else {
        chirpstack_read_counter(self, group_id, done, arg); /* reports later, as every call does */
        free(r->gateways);
        free(r);
    }
}

/* delete: what is gone is deleted */

static void on_deleted(void *arg, enum grpc_result result, int status, const char *text,
                       const uint8_t *message, size_t size)
{
    enum network_outcome outcome = outcome_of(result, status, text);

    (void)message, (void)size;
    request_end(arg, outcome == NETWORK_MISSING ? NETWORK_DONE : outcome, text, NULL);
}

static void delete_now(struct request *r)
{
    Api__DeleteMulticastGroupRequest request = API__DELETE_MULTICAST_GROUP_REQUEST__INIT;
    char group[UUID_TEXT_SIZE];

    uuid_format(&r->group_id, group);
    request.id = group;
    request_send(r, "/api.MulticastGroupService/Delete", &request.base, on_deleted);
}

static void on_list_to_delete(void *arg, enum grpc_result result, int status, const char *text,
                              const uint8_t *message, size_t size)
{
    struct request *r = arg;
    enum network_outcome outcome =
        find_by_name(r, result, status, text, message, size, &r->group_id);

    if (outcome == NETWORK_DONE) {
        delete_now(r);
    } else {
        request_end(r, outcome == NETWORK_MISSING ? NETWORK_DONE : outcome, text, NULL);
    }
}

void chirpstack_delete_group(void *self, const struct uuid *group_id,
                             const struct uuid *application_id, const char *name,
                             network_done_fn *done, void *arg)
{
    struct request *r = request_new(self, done, arg);

    r->group_id = *group_id;
    r->application_id = *application_id;
    r->name = strdup(name);
    if (r->name == NULL) {
        abort();
    }
    if (uuid_is_zero(group_id)) {
        list_by_name(r, on_list_to_delete);
    } else {
        delete_now(r);
    }
}

/* frames */

static void on_frame(void *arg, enum grpc_result result, int status, const char *text,
                     const uint8_t *message, size_t size)
{
    struct request *r = arg;
    enum network_outcome outcome = outcome_of(result, status, text);
    struct network_answer answer = {0};

    if (outcome == NETWORK_DONE) {
        Api__EnqueueMulticastGroupQueueItemResponse *response =
            api__enqueue_multicast_group_queue_item_response__unpack(NULL, size, message);
        if (response == NULL) {
            outcome = NETWORK_UNKNOWN;
            text = "the answer to Enqueue cannot be read";
        } else {
            answer.f_cnt = response->f_cnt;
            api__enqueue_multicast_group_queue_item_response__free_unpacked(response, NULL);
        }
    }
    request_end(r, outcome, text, &answer);
}

void chirpstack_enqueue_group(void *self, const struct uuid *group_id, uint8_t f_port,
                              const uint8_t *data, size_t size, int64_t expires_ms,
                              network_done_fn *done, void *arg)
{
    struct request *r = request_new(self, done, arg);
    Api__EnqueueMulticastGroupQueueItemRequest request =
        API__ENQUEUE_MULTICAST_GROUP_QUEUE_ITEM_REQUEST__INIT;
    Api__MulticastGroupQueueItem item = API__MULTICAST_GROUP_QUEUE_ITEM__INIT;
    Google__Protobuf__Timestamp expires = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    char group[UUID_TEXT_SIZE];

    uuid_format(group_id, group);
    expires.seconds = expires_ms / 1000;
    expires.nanos = (int32_t)(expires_ms % 1000) * 1000000;
    item.multicast_group_id = group;
    item.f_port = f_port;
    item.data.data = (uint8_t *)(uintptr_t)data;
    item.data.len = size;
    item.expires_at = &expires;
    request.queue_item = &item;
    request_send(r, "/api.MulticastGroupService/Enqueue", &request.base, on_frame);
}

static void on_group_queue(void *arg, enum grpc_result result, int status, const char *text,
                           const uint8_t *message, size_t size)
{
    enum network_outcome outcome = outcome_of(result, status, text);
    struct network_answer answer = {0};
    Api__ListMulticastGroupQueueResponse *response = NULL;
    struct network_queue_item *items = NULL;

    if (outcome == NETWORK_DONE) {
        response = api__list_multicast_group_queue_response__unpack(NULL, size, message);
        if (response == NULL) {
            outcome = NETWORK_UNKNOWN;
            text = "the answer to ListQueue cannot be read";
        } else {
            items = calloc(response->n_items + 1, sizeof(*items));
            if (items == NULL) {
                abort();
            }
            for (size_t i = 0; i < response->n_items; i++) {
                items[i].f_port = (uint8_t)response->items[i]->f_port;
                items[i].data = response->items[i]->data.data;
                items[i].size = response->items[i]->data.len;
            }
            answer.items = items;
            answer.item_count = response->n_items;
        }
    }
    request_end(arg, outcome, text, &answer);
    if (response != NULL) {
        api__list_multicast_group_queue_response__free_unpacked(response, NULL);
    }
    free(items);
}

void chirpstack_read_group_queue(void *self, const struct uuid *group_id, network_done_fn *done,
                                 void *arg)
{
    struct request *r = request_new(self, done, arg);
    Api__ListMulticastGroupQueueRequest request = API__LIST_MULTICAST_GROUP_QUEUE_REQUEST__INIT;
    char group[UUID_TEXT_SIZE];

    uuid_format(group_id, group);
    request.multicast_group_id = group;
    request_send(r, "/api.MulticastGroupService/ListQueue", &request.base, on_group_queue);
}

static void on_counter(void *arg, enum grpc_result result, int status, const char *text,
                       const uint8_t *message, size_t size)
{
    struct request *r = arg;
    enum network_outcome outcome = outcome_of(result, status, text);
    struct network_answer answer = {0};

    if (outcome == NETWORK_DONE) {
        Api__GetMulticastGroupResponse *response =
            api__get_multicast_group_response__unpack(&wiping_allocator, size, message);
        if (response == NULL || response->multicast_group == NULL) {
            outcome = NETWORK_UNKNOWN;
            text = "the answer to Get has no group";
        } else {
            answer.f_cnt = response->multicast_group->f_cnt;
        }
        if (response != NULL) {
            api__get_multicast_group_response__free_unpacked(response,
                                                             &wiping_allocator); /* its keys, too */
        }
    }
    request_end(r, outcome, text, &answer);
}

void chirpstack_read_counter(void *self, const struct uuid *group_id, network_done_fn *done,
                             void *arg)
{
    struct request *r = request_new(self, done, arg);
    Api__GetMulticastGroupRequest request = API__GET_MULTICAST_GROUP_REQUEST__INIT;
    char group[UUID_TEXT_SIZE];

    uuid_format(group_id, group);
    request.id = group;
    request_send(r, "/api.MulticastGroupService/Get", &request.base, on_counter);
}
