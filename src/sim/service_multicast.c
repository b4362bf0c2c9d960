/* api.MulticastGroupService */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/multicast_group.pb-c.h"
#include "sim/services.h"

/* The group with that id; NULL after failing the call. */
static struct multicast_group *group_of(struct network *network, struct grpc_call *call,
                                        const char *text)
{
    struct uuid id;

    if (!services_uuid(call, text, &id)) {
        return NULL;
    }
    struct multicast_group *group = multicast_find(network, &id);
    if (group == NULL) {
        services_fail_missing(network, call, text);
    }
    return group;
}

static bool read_key(struct grpc_call *call, const char *text, uint8_t key[DEVICE_KEY_SIZE])
{
    if (text[0] == '\0') {
        memset(key, 0, DEVICE_KEY_SIZE);
        return true;
    }
    if (hex_decode(text, strlen(text), key, DEVICE_KEY_SIZE) == ERR_OK) {
        return true;
    }
    services_fail(call, GRPC_INTERNAL, "Invalid character or length in AES128 key");
    return false;
}

static bool fill_group(struct network *network, struct grpc_call *call,
                       const Api__MulticastGroup *from, struct multicast_group *group)
{
    struct uuid application;

    if (!services_uuid(call, from->application_id, &application)) {
        return false;
    }
    if (memcmp(&application, &network->application_id, sizeof(application)) != 0) {
        services_fail_missing(network, call, from->application_id);
        return false;
    }
    if (from->name[0] == '\0') {
        services_fail(call, GRPC_INVALID_ARGUMENT, "name is not set");
        return false;
    }
    if (from->mc_addr[0] != '\0' && dev_addr_parse(from->mc_addr, &group->mc_addr) != ERR_OK) {
        services_fail(call, GRPC_INTERNAL, "Invalid character or length in DevAddr: \"%s\"",
                      from->mc_addr);
        return false;
    }
    if (!read_key(call, from->mc_app_s_key, group->app_s_key) ||
        !read_key(call, from->mc_nwk_s_key, group->nwk_s_key)) {
        return false;
    }
    snprintf(group->name, sizeof(group->name), "%s", from->name);
    group->region = (int)from->region;
    group->is_class_b = from->group_type == API__MULTICAST_GROUP_TYPE__CLASS_B;
    group->is_gps_time =
        from->class_c_scheduling_type == API__MULTICAST_GROUP_SCHEDULING_TYPE__GPS_TIME;
    group->f_cnt = from->f_cnt;
    group->dr = from->dr;
    group->frequency_hz = from->frequency;
    group->ping_slot_periodicity = from->class_b_ping_slot_periodicity;
    return true;
}

static void create_from(struct network *network, struct grpc_call *call,
                        const Api__MulticastGroup *from)
{
    struct multicast_group *group;
    struct multicast_group **end = &network->groups;

    if (network->group_count == NETWORK_GROUP_MAX || (group = calloc(1, sizeof(*group))) == NULL) {
        services_fail(call, GRPC_INTERNAL, "the simulator has no room for another multicast group");
        return;
    }
    if (!fill_group(network, call, from, group)) {
        free(group);
        return;
    }
    network_dump_key(network, "McAppSKey", from->mc_addr, group->app_s_key);
    network_dump_key(network, "McNwkSKey", from->mc_addr, group->nwk_s_key);
    group->id = network_new_id(network);
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = group;
    network->group_count++;
    Api__CreateMulticastGroupResponse rep = API__CREATE_MULTICAST_GROUP_RESPONSE__INIT;
    char id[UUID_TEXT_SIZE];
    uuid_format(&group->id, id);
    rep.id = id;
    services_reply(call, &rep.base);
}

static void create(struct network *network, struct grpc_call *call)
{
    Api__CreateMulticastGroupRequest *req =
        (void *)services_unpack(call, &api__create_multicast_group_request__descriptor);

    if (req == NULL) {
        return;
    }
    if (req->multicast_group == NULL) {
        services_fail(call, GRPC_INVALID_ARGUMENT, "multicast_group is missing");
    } else {
        create_from(network, call, req->multicast_group);
    }
    protobuf_c_message_free_unpacked(&req->base, NULL);
}

static void get(struct network *network, struct grpc_call *call)
{
    Api__GetMulticastGroupRequest *req =
        (void *)services_unpack(call, &api__get_multicast_group_request__descriptor);
    struct multicast_group *group = req != NULL ? group_of(network, call, req->id) : NULL;

    if (group != NULL) {
        Api__GetMulticastGroupResponse rep = API__GET_MULTICAST_GROUP_RESPONSE__INIT;
        Api__MulticastGroup g = API__MULTICAST_GROUP__INIT;
        char id[UUID_TEXT_SIZE];
        char application[UUID_TEXT_SIZE];
        char addr[DEV_ADDR_TEXT_SIZE];
        char app_s_key[2 * DEVICE_KEY_SIZE + 1];
        char nwk_s_key[2 * DEVICE_KEY_SIZE + 1];
        uuid_format(&group->id, id);
        uuid_format(&network->application_id, application);
        dev_addr_format(group->mc_addr, addr);
        hex_encode(group->app_s_key, DEVICE_KEY_SIZE, app_s_key);
        hex_encode(group->nwk_s_key, DEVICE_KEY_SIZE, nwk_s_key);
        g.id = id;
        g.name = group->name;
        g.application_id = application;
        g.region = (Common__Region)group->region;
        g.mc_addr = addr;
        g.mc_app_s_key = app_s_key;
        g.mc_nwk_s_key = nwk_s_key;
        g.f_cnt = group->f_cnt;
        g.group_type = group->is_class_b ? API__MULTICAST_GROUP_TYPE__CLASS_B
                                         : API__MULTICAST_GROUP_TYPE__CLASS_C;
        g.dr = group->dr;
        g.frequency = group->frequency_hz;
        g.class_c_scheduling_type = group->is_gps_time
                                        ? API__MULTICAST_GROUP_SCHEDULING_TYPE__GPS_TIME
                                        : API__MULTICAST_GROUP_SCHEDULING_TYPE__DELAY;
        g.class_b_ping_slot_periodicity = group->ping_slot_periodicity;
        rep.multicast_group = &g;
        services_reply(call, &rep.base);
    }
    protobuf_c_message_free_unpacked((ProtobufCMessage *)req, NULL);
}

static void delete_group(struct network *network, struct grpc_call *call)
{
    Api__DeleteMulticastGroupRequest *req =
        (void *)services_unpack(call, &api__delete_multicast_group_request__descriptor);
    struct multicast_group *group = req != NULL ? group_of(network, call, req->id) : NULL;

    if (group != NULL) {
        struct multicast_group **at = &network->groups;
        while (*at != group) {
            at = &(*at)->next;
        }
        *at = group->next;
        network->group_count--;
        multicast_flush(group); /* frames not yet handed over are lost */
        free(group);
    }
    protobuf_c_message_free_unpacked((ProtobufCMessage *)req, NULL);
}

/* One row of the list and the text it points to. */
struct list_row {
    Api__MulticastGroupListItem item;
    char id[UUID_TEXT_SIZE];
};

static void list_pages(const struct network *network, struct grpc_call *call,
                       const Api__ListMulticastGroupsRequest *req)
{
    Api__ListMulticastGroupsResponse rep = API__LIST_MULTICAST_GROUPS_RESPONSE__INIT;
    size_t room = req->limit < network->group_count ? req->limit : network->group_count;
    struct list_row *rows = calloc(room + 1, sizeof(*rows));
    Api__MulticastGroupListItem **items = calloc(room + 1, sizeof(*items));

    for (struct multicast_group *g = network->groups; rows != NULL && items != NULL && g != NULL;
         g = g->next) {
        if (req->search[0] != '\0' && strstr(g->name, req->search) == NULL) {
            continue;
        }
        if (rep.total_count++ >= req->offset && rep.n_result < room) {
            struct list_row *row = &rows[rep.n_result];
            api__multicast_group_list_item__init(&row->item);
            uuid_format(&g->id, row->id);
            row->item.id = row->id;
            row->item.name = g->name;
            items[rep.n_result++] = &row->item;
        }
    }
    rep.result = items;
    services_reply(call, &rep.base);
    free(rows);
    free(items);
}

static void list(struct network *network, struct grpc_call *call)
{
    Api__ListMulticastGroupsRequest *req =
        (void *)services_unpack(call, &api__list_multicast_groups_request__descriptor);
    struct uuid application = network->application_id;

    if (req == NULL) {
        return;
    }
    if (req->application_id[0] == '\0' || services_uuid(call, req->application_id, &application)) {
        if (memcmp(&application, &network->application_id, sizeof(application)) != 0) {
            services_fail_missing(network, call, req->application_id);
        } else {
            list_pages(network, call, req);
        }
    }
    protobuf_c_message_free_unpacked(&req->base, NULL);
}

static void add_gateway(struct network *network, struct grpc_call *call)
{
    Api__AddGatewayToMulticastGroupRequest *req =
        (void *)services_unpack(call, &api__add_gateway_to_multicast_group_request__descriptor);
    struct multicast_group *group =
        req != NULL ? group_of(network, call, req->multicast_group_id) : NULL;
    uint64_t id;

    if (group != NULL && services_eui(call, req->gateway_id, &id)) {
        size_t index = network_find_gateway(network, id);
        if (index == OPTIONS_GATEWAY_MAX) {
            services_fail_missing(network, call, req->gateway_id);
        } else if ((group->gateway_mask >> index & 1) != 0) {
            services_fail(
                call, GRPC_INTERNAL,
                "duplicate key value violates unique constraint \"multicast_group_gateway_pkey\"");
        } else {
            group->gateway_mask |= 1u << index;
        }
    }
    protobuf_c_message_free_unpacked((ProtobufCMessage *)req, NULL);
}

static void remove_gateway(struct network *network, struct grpc_call *call)
{
    Api__RemoveGatewayFromMulticastGroupRequest *req =
        (void *)services_unpack(call, &api__remove_gateway_from_multicast_group_request__descriptor);
    struct multicast_group *group =
        req != NULL ? group_of(network, call, req->multicast_group_id) : NULL;
    uint64_t id;

    if (group != NULL && services_eui(call, req->gateway_id, &id)) {
        size_t index = network_find_gateway(network, id);
        if (index == OPTIONS_GATEWAY_MAX || (group->gateway_mask >> index & 1) == 0) {
            services_fail_missing(network, call, req->gateway_id);
        } else {
            group->gateway_mask &= ~(1u << index);
        }
    }
    protobuf_c_message_free_unpacked((ProtobufCMessage *)req, NULL);
}

static void enqueue_item(struct network *network, struct grpc_call *call,
                         const Api__MulticastGroupQueueItem *item)
{
    struct multicast_group *group = group_of(network, call, item->multicast_group_id);
    Api__EnqueueMulticastGroupQueueItemResponse rep =
        API__ENQUEUE_MULTICAST_GROUP_QUEUE_ITEM_RESPONSE__INIT;
    int64_t expires_ms;

    if (group == NULL) {
        return;
    }
    if (item->f_port == 0 || item->f_port > 255) {
        services_fail(call, GRPC_INTERNAL,
                      "FPort must be between 1 - 255"); /* flattened on this path */
        return;
    }
    if (!services_time(call, item->expires_at, &expires_ms)) {
        return;
    }
    if (multicast_enqueue(network, group, (uint8_t)item->f_port, item->data.data, item->data.len,
                          expires_ms, &rep.f_cnt) != ERR_OK) {
        services_fail(call, GRPC_INTERNAL, "the simulator's multicast queue is full");
        return;
    }
    services_reply(call, &rep.base);
}

static void enqueue(struct network *network, struct grpc_call *call)
{
    Api__EnqueueMulticastGroupQueueItemRequest *req =
        (void *)services_unpack(call, &api__enqueue_multicast_group_queue_item_request__descriptor);

    if (req == NULL) {
        return;
    }
    if (req->queue_item == NULL) {
        services_fail(call, GRPC_INVALID_ARGUMENT, "queue_item is missing");
    } else {
        enqueue_item(network, call, req->queue_item);
    }
    protobuf_c_message_free_unpacked(&req->base, NULL);
}

static void flush_queue(struct network *network, struct grpc_call *call)
{
    Api__FlushMulticastGroupQueueRequest *req =
        (void *)services_unpack(call, &api__flush_multicast_group_queue_request__descriptor);
    struct multicast_group *group =
        req != NULL ? group_of(network, call, req->multicast_group_id) : NULL;

    if (group != NULL) {
        multicast_flush(group); /* the counter is not rolled back */
    }
    protobuf_c_message_free_unpacked((ProtobufCMessage *)req, NULL);
}

/* One counter of the queue and what it points to. */
struct queue_row {
    Api__MulticastGroupQueueItem item;
    Google__Protobuf__Timestamp expires;
};

/* Copies for several gateways are one entry; they stand next to each other. */
static void reply_queue(struct grpc_call *call, struct multicast_group *group, const char *id)
{
    Api__ListMulticastGroupQueueResponse rep = API__LIST_MULTICAST_GROUP_QUEUE_RESPONSE__INIT;
    struct queue_row *rows = calloc(group->row_count + 1, sizeof(*rows));
    Api__MulticastGroupQueueItem **items = calloc(group->row_count + 1, sizeof(*items));

    for (struct multicast_row *r = group->rows; rows != NULL && items != NULL && r != NULL;
         r = r->next) {
        if (rep.n_items > 0 && items[rep.n_items - 1]->f_cnt == r->f_cnt) {
            continue;
        }
        struct queue_row *row = &rows[rep.n_items];
        api__multicast_group_queue_item__init(&row->item);
        row->item.multicast_group_id = (char *)id;
        row->item.f_cnt = r->f_cnt;
        row->item.f_port = r->f_port;
        row->item.data.data = r->payload;
        row->item.data.len = r->size;
        if (r->expires_ms != INT64_MAX) {
            google__protobuf__timestamp__init(&row->expires);
            row->expires.seconds = r->expires_ms / 1000;
            row->expires.nanos = (int32_t)(r->expires_ms % 1000) * 1000000;
            row->item.expires_at = &row->expires;
        }
        items[rep.n_items++] = &row->item;
    }
    rep.items = items;
    services_reply(call, &rep.base);
    free(rows);
    free(items);
}

static void list_queue(struct network *network, struct grpc_call *call)
{
    Api__ListMulticastGroupQueueRequest *req =
        (void *)services_unpack(call, &api__list_multicast_group_queue_request__descriptor);
    struct multicast_group *group =
        req != NULL ? group_of(network, call, req->multicast_group_id) : NULL;

    if (group != NULL) {
        reply_queue(call, group, req->multicast_group_id);
    }
    protobuf_c_message_free_unpacked((ProtobufCMessage *)req, NULL);
}

const struct service_method service_multicast_methods[] = {
    {"/api.MulticastGroupService/Create", create},
    {"/api.MulticastGroupService/Get", get},
    {"/api.MulticastGroupService/Delete", delete_group},
    {"/api.MulticastGroupService/List", list},
    {"/api.MulticastGroupService/AddGateway", add_gateway},
    {"/api.MulticastGroupService/RemoveGateway", remove_gateway},
    {"/api.MulticastGroupService/Enqueue", enqueue},
    {"/api.MulticastGroupService/FlushQueue", flush_queue},
    {"/api.MulticastGroupService/ListQueue", list_queue},
    {NULL, NULL},
};
