/* api.DeviceProfileService, ApplicationService, GatewayService and FuotaService */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/application.pb-c.h"
#include "api/device_profile.pb-c.h"
#include "api/fuota.pb-c.h"
#include "api/gateway.pb-c.h"
#include "sim/services.h"

static void fill_profile(const struct network *network, const struct sim_profile *p,
                         Api__DeviceProfile *profile, Api__AppLayerParams *params)
{
    profile->name = "simulated profile";
    profile->region = (Common__Region)network->region->common_region;
    profile->mac_version =
        p->is_lorawan_1_1 ? COMMON__MAC_VERSION__LORAWAN_1_1_0 : COMMON__MAC_VERSION__LORAWAN_1_0_4;
    profile->reg_params_revision = COMMON__REG_PARAMS_REVISION__RP002_1_0_3;
    profile->uplink_interval = (uint32_t)network->options->all.uplink_interval_s;
    profile->supports_otaa = 1;
    profile->supports_class_c = p->is_class_c; /* outside of multicast sessions */
    params->ts003_version =
        p->ts003 ? API__TS003_VERSION__TS003_V100 : API__TS003_VERSION__TS003_NOT_IMPLEMENTED;
    params->ts003_f_port = DEVICE_PORT_CLOCK;
    params->ts004_version =
        p->ts004 ? API__TS004_VERSION__TS004_V100 : API__TS004_VERSION__TS004_NOT_IMPLEMENTED;
    params->ts004_f_port = DEVICE_PORT_FRAGMENTATION;
    params->ts005_version =
        p->ts005 ? API__TS005_VERSION__TS005_V100 : API__TS005_VERSION__TS005_NOT_IMPLEMENTED;
    params->ts005_f_port = DEVICE_PORT_MULTICAST;
    profile->app_layer_params = params;
}

static void get_profile(struct network *network, struct grpc_call *call)
{
    Api__GetDeviceProfileRequest *req =
        (void *)services_unpack(call, &api__get_device_profile_request__descriptor);
    const struct sim_profile *found = NULL;
    struct uuid id;

    if (req != NULL && services_uuid(call, req->id, &id)) {
        for (size_t i = 0; i < network->profile_count; i++) {
            if (memcmp(&network->profiles[i].id, &id, sizeof(id)) == 0) {
                found = &network->profiles[i];
            }
        }
        if (found == NULL) {
            services_fail_missing(network, call, req->id);
        }
    }
    if (found != NULL) {
        Api__GetDeviceProfileResponse rep = API__GET_DEVICE_PROFILE_RESPONSE__INIT;
        Api__DeviceProfile profile = API__DEVICE_PROFILE__INIT;
        Api__AppLayerParams params = API__APP_LAYER_PARAMS__INIT;
        char id_text[UUID_TEXT_SIZE];
        char tenant[UUID_TEXT_SIZE];
        uuid_format(&found->id, id_text);
        uuid_format(&network->tenant_id, tenant);
        profile.id = id_text;
        profile.tenant_id = tenant;
        fill_profile(network, found, &profile, &params);
        rep.device_profile = &profile;
        services_reply(call, &rep.base);
    }
    protobuf_c_message_free_unpacked((ProtobufCMessage *)req, NULL);
}

static void list_adr_algorithms(struct network *network, struct grpc_call *call)
{
    (void)network;
    (void)call; /* an empty list: the call is used as a probe of the token */
}

static void get_application(struct network *network, struct grpc_call *call)
{
    Api__GetApplicationRequest *req =
        (void *)services_unpack(call, &api__get_application_request__descriptor);
    struct uuid id;

    if (req != NULL && services_uuid(call, req->id, &id)) {
        if (memcmp(&id, &network->application_id, sizeof(id)) != 0) {
            services_fail_missing(network, call, req->id);
        } else {
            Api__GetApplicationResponse rep = API__GET_APPLICATION_RESPONSE__INIT;
            Api__Application application = API__APPLICATION__INIT;
            char tenant[UUID_TEXT_SIZE];
            uuid_format(&network->tenant_id, tenant);
            application.id = req->id;
            application.name = "simulated devices";
            application.tenant_id = tenant;
            rep.application = &application;
            services_reply(call, &rep.base);
        }
    }
    protobuf_c_message_free_unpacked((ProtobufCMessage *)req, NULL);
}

/* One row of the list and what it points to. */
struct gateway_row {
    Api__GatewayListItem item;
    Api__GatewayListItem__PropertiesEntry properties[2];
    Api__GatewayListItem__PropertiesEntry *property_list[2];
    Google__Protobuf__Timestamp seen;
    char id[EUI64_TEXT_SIZE];
    char name[32];
};

static void fill_gateway(const struct network *network, size_t index, const char *tenant,
                         struct gateway_row *row)
{
    int64_t now_ms = network->world->now_ms;
    bool is_online = network_gateway_is_online(network, index, now_ms);
    const char *const texts[2][2] = {{"region_config_id", network->region->config_id},
                                     {"region_common_name", network->region->name}};

    api__gateway_list_item__init(&row->item);
    eui64_format(network->gateways[index].id, row->id);
    snprintf(row->name, sizeof(row->name), "gateway-%zu", index);
    for (size_t i = 0; i < 2; i++) {
        api__gateway_list_item__properties_entry__init(&row->properties[i]);
        row->properties[i].key = (char *)texts[i][0];
        row->properties[i].value = (char *)texts[i][1];
        row->property_list[i] = &row->properties[i];
    }
    google__protobuf__timestamp__init(&row->seen);
    row->seen.seconds = now_ms / 1000 - (is_online ? 0 : 120);
    row->item.tenant_id = (char *)tenant;
    row->item.gateway_id = row->id;
    row->item.name = row->name;
    row->item.n_properties = 2;
    row->item.properties = row->property_list;
    row->item.last_seen_at = &row->seen;
    row->item.state = is_online ? API__GATEWAY_STATE__ONLINE : API__GATEWAY_STATE__OFFLINE;
}

static bool read_filters(struct network *network, struct grpc_call *call,
                         const Api__ListGatewaysRequest *req, uint32_t *ret_mask)
{
    struct uuid id;

    if (req->tenant_id[0] != '\0') {
        if (!services_uuid(call, req->tenant_id, &id)) {
            return false;
        }
        *ret_mask = memcmp(&id, &network->tenant_id, sizeof(id)) == 0 ? *ret_mask : 0;
    }
    if (req->multicast_group_id[0] != '\0') {
        if (!services_uuid(call, req->multicast_group_id, &id)) {
            return false;
        }
        const struct multicast_group *group = multicast_find(network, &id);
        if (group == NULL) {
            services_fail_missing(network, call, req->multicast_group_id);
            return false;
        }
        *ret_mask &= group->gateway_mask;
    }
    return true;
}

static void list_gateways(struct network *network, struct grpc_call *call)
{
    Api__ListGatewaysRequest *req =
        (void *)services_unpack(call, &api__list_gateways_request__descriptor);
    Api__ListGatewaysResponse rep = API__LIST_GATEWAYS_RESPONSE__INIT;
    struct gateway_row rows[OPTIONS_GATEWAY_MAX];
    Api__GatewayListItem *items[OPTIONS_GATEWAY_MAX];
    char tenant[UUID_TEXT_SIZE];
    uint32_t mask = UINT32_MAX;

    if (req == NULL) {
        return;
    }
    if (read_filters(network, call, req, &mask)) {
        uuid_format(&network->tenant_id, tenant);
        for (size_t i = 0; i < network->gateway_count; i++) {
            if ((mask >> i & 1) == 0) {
                continue;
            }
            if (rep.total_count++ >= req->offset && rep.n_result < req->limit) {
                fill_gateway(network, i, tenant, &rows[rep.n_result]);
                items[rep.n_result] = &rows[rep.n_result].item;
                rep.n_result++;
            }
        }
        rep.result = items;
        services_reply(call, &rep.base);
    }
    protobuf_c_message_free_unpacked(&req->base, NULL);
}

static void list_deployments(struct network *network, struct grpc_call *call)
{
    Api__ListFuotaDeploymentsRequest *req =
        (void *)services_unpack(call, &api__list_fuota_deployments_request__descriptor);
    struct uuid id;

    /* There are no built-in deployments; only the application is checked. */
    if (req != NULL && services_uuid(call, req->application_id, &id) &&
        memcmp(&id, &network->application_id, sizeof(id)) != 0) {
        services_fail_missing(network, call, req->application_id);
    }
    protobuf_c_message_free_unpacked((ProtobufCMessage *)req, NULL);
}

static void list_deployment_devices(struct network *network, struct grpc_call *call)
{
    Api__ListFuotaDeploymentDevicesRequest *req =
        (void *)services_unpack(call, &api__list_fuota_deployment_devices_request__descriptor);
    struct uuid id;

    if (req != NULL && services_uuid(call, req->fuota_deployment_id, &id)) {
        services_fail_missing(network, call, req->fuota_deployment_id);
    }
    protobuf_c_message_free_unpacked((ProtobufCMessage *)req, NULL);
}

const struct service_method service_other_methods[] = {
    {"/api.DeviceProfileService/Get", get_profile},
    {"/api.DeviceProfileService/ListAdrAlgorithms", list_adr_algorithms},
    {"/api.ApplicationService/Get", get_application},
    {"/api.GatewayService/List", list_gateways},
    {"/api.FuotaService/ListDeployments", list_deployments},
    {"/api.FuotaService/ListDevices", list_deployment_devices},
    {NULL, NULL},
};
