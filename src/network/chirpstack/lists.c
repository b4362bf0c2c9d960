/* lists.c - calls that page through lists. Pages end on a short one: ChirpStack's total count may
 * be too large. */
#include <stdlib.h>
#include <string.h>

#include "api/application.pb-c.h"
#include "api/device.pb-c.h"
#include "api/fuota.pb-c.h"
#include "api/gateway.pb-c.h"
#include "impl.h"

#define PAGE_SIZE 500
#define LIST_MAX  200000 /* a server that pages for ever */

static void *must(void *memory)
{
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static void add_eui(struct request *r, const char *text)
{
    uint64_t eui;

    if (eui64_parse(text, &eui) != ERR_OK) {
        return;
    }
    if (r->eui_count == r->eui_capacity) {
        r->eui_capacity = r->eui_capacity == 0 ? PAGE_SIZE : 2 * r->eui_capacity;
        r->euis = must(realloc(r->euis, r->eui_capacity * sizeof(*r->euis)));
    }
    r->euis[r->eui_count++] = eui;
}

static void end_with_euis(struct request *r)
{
    struct network_answer answer = {.euis = r->euis, .eui_count = r->eui_count};

    request_end(r, NETWORK_DONE, NULL, &answer);
}

/* devices of an application */

static void list_devices_page(struct request *r);

static void on_devices(void *arg, enum grpc_result result, int status, const char *text,
                       const uint8_t *message, size_t size)
{
    struct request *r = arg;
    enum network_outcome outcome = outcome_of(result, status, text);
    Api__ListDevicesResponse *response =
        outcome == NETWORK_DONE ? api__list_devices_response__unpack(NULL, size, message) : NULL;

    if (response == NULL) {
        request_end(r, outcome == NETWORK_DONE ? NETWORK_UNKNOWN : outcome, text, NULL);
        return;
    }
    size_t count = response->n_result;
    for (size_t i = 0; i < count; i++) {
        add_eui(r, response->result[i]->dev_eui);
    }
    api__list_devices_response__free_unpacked(response, NULL);
    r->offset += PAGE_SIZE;
    if (count < PAGE_SIZE || r->offset >= LIST_MAX) {
        end_with_euis(r);
    } else {
        list_devices_page(r);
    }
}

static void list_devices_page(struct request *r)
{
    Api__ListDevicesRequest request = API__LIST_DEVICES_REQUEST__INIT;
    Api__ListDevicesRequest__TagsEntry *entries = must(calloc(r->tag_count + 1, sizeof(*entries)));
    Api__ListDevicesRequest__TagsEntry **tags = must(calloc(r->tag_count + 1, sizeof(*tags)));
    char application[UUID_TEXT_SIZE];

    uuid_format(&r->application_id, application);
    for (size_t i = 0; i < r->tag_count; i++) {
        api__list_devices_request__tags_entry__init(&entries[i]);
        entries[i].key = r->tags[2 * i];
        entries[i].value = r->tags[2 * i + 1];
        tags[i] = &entries[i];
    }
    request.limit = PAGE_SIZE;
    request.offset = r->offset;
    request.application_id = application;
    request.order_by = API__LIST_DEVICES_REQUEST__ORDER_BY__DEV_EUI;
    request.device_profile_id = r->profile_id;
    request.n_tags = r->tag_count;
    request.tags = tags;
    request_send(r, "/api.DeviceService/List", &request.base, on_devices);
    free(entries);
    free(tags);
}

void chirpstack_list_devices(void *self, const struct uuid *application_id,
                             const struct network_filter *filter, network_done_fn *done, void *arg)
{
    struct request *r = request_new(self, done, arg);

    r->application_id = *application_id;
    if (filter->profile_id != NULL) {
        snprintf(r->profile_id, sizeof(r->profile_id), "%s", filter->profile_id);
    }
    r->tag_count = filter->tag_count;
    r->tags = must(calloc(2 * filter->tag_count + 1, sizeof(*r->tags)));
    for (size_t i = 0; i < 2 * filter->tag_count; i++) {
        r->tags[i] = must(strdup(filter->tags[i]));
    }
    list_devices_page(r);
}

/* gateways of the application's tenant */

static void list_gateways_page(struct request *r);

static void on_gateways(void *arg, enum grpc_result result, int status, const char *text,
                        const uint8_t *message, size_t size)
{
    struct request *r = arg;
    enum network_outcome outcome = outcome_of(result, status, text);
    Api__ListGatewaysResponse *response =
        outcome == NETWORK_DONE ? api__list_gateways_response__unpack(NULL, size, message) : NULL;

    if (response == NULL) {
        request_end(r, outcome == NETWORK_DONE ? NETWORK_UNKNOWN : outcome, text, NULL);
        return;
    }
    size_t count = response->n_result;
    for (size_t i = 0; i < count; i++) {
        struct network_gateway gateway = {.is_online = response->result[i]->state ==
                                                       API__GATEWAY_STATE__ONLINE};
        if (eui64_parse(response->result[i]->gateway_id, &gateway.id) != ERR_OK) {
            continue;
        }
        if (r->found_count == r->found_capacity) {
            r->found_capacity = r->found_capacity == 0 ? 64 : 2 * r->found_capacity;
            r->found = must(realloc(r->found, r->found_capacity * sizeof(*r->found)));
        }
        r->found[r->found_count++] = gateway;
    }
    api__list_gateways_response__free_unpacked(response, NULL);
    r->offset += PAGE_SIZE;
    if (count == PAGE_SIZE && r->offset < LIST_MAX) {
        list_gateways_page(r);
        return;
    }
    struct network_answer answer = {.gateways = r->found, .gateway_count = r->found_count};
    request_end(r, NETWORK_DONE, NULL, &answer);
}

static void list_gateways_page(struct request *r)
{
    Api__ListGatewaysRequest request = API__LIST_GATEWAYS_REQUEST__INIT;

    request.limit = PAGE_SIZE;
    request.offset = r->offset;
    request.tenant_id = r->name;
    request.order_by = API__LIST_GATEWAYS_REQUEST__ORDER_BY__GATEWAY_ID;
    request_send(r, "/api.GatewayService/List", &request.base, on_gateways);
}

static void on_application(void *arg, enum grpc_result result, int status, const char *text,
                           const uint8_t *message, size_t size)
{
    struct request *r = arg;
    enum network_outcome outcome = outcome_of(result, status, text);
    Api__GetApplicationResponse *response =
        outcome == NETWORK_DONE ? api__get_application_response__unpack(NULL, size, message) : NULL;

    if (response == NULL || response->application == NULL) {
        if (response != NULL) {
            api__get_application_response__free_unpacked(response, NULL);
        }
        request_end(r, outcome == NETWORK_DONE ? NETWORK_UNKNOWN : outcome, text, NULL);
        return;
    }
    r->name = must(strdup(response->application->tenant_id));
    api__get_application_response__free_unpacked(response, NULL);
    list_gateways_page(r);
}

void chirpstack_list_gateways(void *self, const struct uuid *application_id, network_done_fn *done,
                              void *arg)
{
    struct request *r = request_new(self, done, arg);
    Api__GetApplicationRequest request = API__GET_APPLICATION_REQUEST__INIT;
    char application[UUID_TEXT_SIZE];

    uuid_format(application_id, application);
    request.id = application;
    request_send(r, "/api.ApplicationService/Get", &request.base, on_application);
}

/* devices that the built-in FUOTA works on: of deployments that are started and not completed */

static void list_busy_page(struct request *r);

static void on_busy_devices(void *arg, enum grpc_result result, int status, const char *text,
                            const uint8_t *message, size_t size)
{
    struct request *r = arg;
    enum network_outcome outcome = outcome_of(result, status, text);
    Api__ListFuotaDeploymentDevicesResponse *response =
        outcome == NETWORK_DONE
            ? api__list_fuota_deployment_devices_response__unpack(NULL, size, message)
            : NULL;

    if (response == NULL) {
        request_end(r, outcome == NETWORK_DONE ? NETWORK_UNKNOWN : outcome, text, NULL);
        return;
    }
    size_t count = response->n_result;
    for (size_t i = 0; i < count; i++) {
        add_eui(r, response->result[i]->dev_eui);
    }
    api__list_fuota_deployment_devices_response__free_unpacked(response, NULL);
    r->offset += PAGE_SIZE;
    if (count < PAGE_SIZE || r->offset >= LIST_MAX) {
        r->offset = 0;
        r->id_index++;
    }
    list_busy_page(r);
}

static void list_busy_page(struct request *r)
{
    Api__ListFuotaDeploymentDevicesRequest request =
        API__LIST_FUOTA_DEPLOYMENT_DEVICES_REQUEST__INIT;

    if (r->id_index == r->id_count) {
        end_with_euis(r);
        return;
    }
    request.limit = PAGE_SIZE;
    request.offset = r->offset;
    request.fuota_deployment_id = r->ids[r->id_index];
    request_send(r, "/api.FuotaService/ListDevices", &request.base, on_busy_devices);
}

static void on_busy_deployments(void *arg, enum grpc_result result, int status, const char *text,
                                const uint8_t *message, size_t size)
{
    struct request *r = arg;
    enum network_outcome outcome = outcome_of(result, status, text);

    /* Before 4.12 there is no such service, and nothing that could be busy. */
    if (result == GRPC_ANSWERED && status == GRPC_UNIMPLEMENTED) {
        end_with_euis(r);
        return;
    }
    Api__ListFuotaDeploymentsResponse *response =
        outcome == NETWORK_DONE ? api__list_fuota_deployments_response__unpack(NULL, size, message)
                                : NULL;
    if (response == NULL) {
        request_end(r, outcome == NETWORK_DONE ? NETWORK_UNKNOWN : outcome, text, NULL);
        return;
    }
    r->ids = must(calloc(response->n_result + 1, sizeof(*r->ids)));
    for (size_t i = 0; i < response->n_result; i++) {
        const Api__FuotaDeploymentListItem *item = response->result[i];
        if (item->started_at != NULL && item->completed_at == NULL) {
            r->ids[r->id_count++] = must(strdup(item->id));
        }
    }
    api__list_fuota_deployments_response__free_unpacked(response, NULL);
    list_busy_page(r);
}

void chirpstack_list_busy_devices(void *self, const struct uuid *application_id,
                                  network_done_fn *done, void *arg)
{
    struct request *r = request_new(self, done, arg);
    Api__ListFuotaDeploymentsRequest request = API__LIST_FUOTA_DEPLOYMENTS_REQUEST__INIT;
    char application[UUID_TEXT_SIZE];

    uuid_format(application_id, application);
    request.limit = PAGE_SIZE;
    request.application_id = application;
    request_send(r, "/api.FuotaService/ListDeployments", &request.base, on_busy_deployments);
}
