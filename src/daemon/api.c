/* api.c - the HTTP API: routes, images, reads, live events. Deployments are made in
 * api_deployments.c. */
#include "api.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/log.h"
#include "daemon/secrets.h"
#include "failpoint.h"

#define BODY_SIZE_MAX (8u << 20)
#define DEVICES_LIMIT 1000

struct http_call *call_new(struct daemon *daemon, struct http_request *request)
{
    struct http_call *call = must(calloc(1, sizeof(*call)));

    call->daemon = daemon;
    call->request = request;
    return call;
}

void answer_store_error(struct http_request *request, enum err err, const char *text,
                        const char *what, const char *state_text)
{
    char detail[TEXT_SIZE];

    if (err == ERR_MISSING) {
        snprintf(detail, sizeof(detail), "there is no such %s", what);
        http_answer_problem(request, 404, detail, NULL, NULL);
    } else if (err == ERR_WRONG_STATE) {
        http_answer_problem(request, 409, state_text, NULL, NULL);
    } else if (err == ERR_EXISTS) {
        snprintf(detail, sizeof(detail), "the %s exists already", what);
        http_answer_problem(request, 409, detail, NULL, NULL);
    } else {
        snprintf(detail, sizeof(detail), "the database does not answer: %s", text);
        http_answer_problem(request, 503, detail, NULL, NULL);
    }
}

bool param_is_uuid(struct http_request *request, const char *what)
{
    struct uuid id;
    char detail[TEXT_SIZE];

    if (uuid_parse(http_param(request, "id"), &id) == ERR_OK) {
        return true;
    }
    snprintf(detail, sizeof(detail), "there is no such %s: an id is a UUID", what);
    http_answer_problem(request, 404, detail, "id", NULL);
    return false;
}

/* plain answers: JSON as it comes from the store */

static void answer_json(void *arg, enum err err, const char *text, const char *json)
{
    struct http_call *call = arg;

    if (err == ERR_OK) {
        http_answer_json(call->request, 200, json);
    } else {
        answer_store_error(call->request, err, text, call->what, "not possible in this state");
    }
    free(call);
}

static void answer_done(void *arg, enum err err, const char *text)
{
    struct http_call *call = arg;

    if (err == ERR_OK) {
        http_answer_empty(call->request, 204);
    } else {
        answer_store_error(call->request, err, text, call->what, call->state_text);
    }
    free(call);
}

static struct http_call *asking(void *arg, struct http_request *request, const char *what)
{
    struct http_call *call = call_new(arg, request);

    call->what = what;
    return call;
}

/* images */

static bool image_text(struct http_request *request, const char *name, bool is_needed,
                       const char **ret)
{
    char detail[TEXT_SIZE];
    const char *text = http_query(request, name);

    if (text == NULL && !is_needed) {
        *ret = "";
        return true;
    }
    if (text == NULL || text[0] == '\0' || strlen(text) > 200) {
        snprintf(detail, sizeof(detail), "%s must have 1 to 200 characters", name);
        http_answer_problem(request, 422, detail, name, NULL);
        return false;
    }
    *ret = text;
    return true;
}

static void image_added(void *arg, enum err err, const char *text, const char *json)
{
    struct http_call *call = arg;
    char location[100];

    FAILPOINT(IMAGE_ADDED);
    if (err == ERR_OK) {
        snprintf(location, sizeof(location), "/api/v1/images/%s", call->id);
        http_answer_location(call->request, 201, location, json);
    } else {
        answer_store_error(call->request, err, text, "image (name, version and hardware)", "");
    }
    free(call);
}

static void add_image(void *arg, struct http_request *request)
{
    struct daemon *daemon = arg;
    struct store_image image = {0};
    uint8_t hash[32];
    char hex[65];

    image.data = http_body(request, &image.size);
    if (!image_text(request, "name", true, &image.name) ||
        !image_text(request, "version", true, &image.version) ||
        !image_text(request, "hardware", false, &image.hardware) ||
        !image_text(request, "base_version", false, &image.base_version)) {
        return;
    }
    if (image.size == 0) {
        http_answer_problem(request, 422, "the image is empty", "image", NULL);
        return;
    }
    secrets_sha256(image.data, image.size, hash);
    hex_encode(hash, sizeof(hash), hex);
    const char *wanted = http_query(request, "sha256");
    if (wanted != NULL && strcasecmp(wanted, hex) != 0) {
        char detail[TEXT_SIZE];
        snprintf(detail, sizeof(detail), "the file that came has SHA-256 %s", hex);
        http_answer_problem(request, 422, detail, "sha256", NULL);
        return;
    }
    struct http_call *call = asking(daemon, request, "image");
    image.sha256 = hash;
    image.id = secrets_uuid();
    uuid_format(&image.id, call->id);
    store_image_add(daemon->store, &image, image_added, call);
}

static void list_images(void *arg, struct http_request *request)
{
    struct daemon *daemon = arg;

    store_image_list(daemon->store, answer_json, asking(daemon, request, "image"));
}

static void get_image(void *arg, struct http_request *request)
{
    struct daemon *daemon = arg;

    if (param_is_uuid(request, "image")) {
        store_image_get(daemon->store, http_param(request, "id"), answer_json,
                        asking(daemon, request, "image"));
    }
}

static void delete_image(void *arg, struct http_request *request)
{
    struct daemon *daemon = arg;

    if (param_is_uuid(request, "image")) {
        struct http_call *call = asking(daemon, request, "image");
        call->state_text = "a deployment uses this image";
        store_image_delete(daemon->store, http_param(request, "id"), answer_done, call);
    }
}

/* deployments: reads */

static void list_deployments(void *arg, struct http_request *request)
{
    struct daemon *daemon = arg;

    store_deployment_list(daemon->store, answer_json, asking(daemon, request, "deployment"));
}

static void get_deployment(void *arg, struct http_request *request)
{
    struct daemon *daemon = arg;

    if (param_is_uuid(request, "deployment")) {
        store_deployment_get(daemon->store, http_param(request, "id"), answer_json,
                             asking(daemon, request, "deployment"));
    }
}

static void delete_deployment(void *arg, struct http_request *request)
{
    struct daemon *daemon = arg;

    if (param_is_uuid(request, "deployment")) {
        struct http_call *call = asking(daemon, request, "deployment");
        call->state_text = "the deployment is running: abort it first";
        store_deployment_delete(daemon->store, http_param(request, "id"), answer_done, call);
    }
}

/* Devices and timelines get the reasons' texts here: they are the program's, not the database's. */
static void add_reason_texts(cJSON *list)
{
    cJSON *item;

    cJSON_ArrayForEach(item, list)
    {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(item, "reason"));
        const cJSON *command = cJSON_GetObjectItem(item, "command");
        const cJSON *call = cJSON_GetObjectItem(item, "call");
        static const char *const calls[] = {"none", "open", "unknown", "queued", "sent"};
        for (unsigned r = 0; name != NULL && r < REASON_COUNT; r++) {
            if (strcmp(name, reason_name((enum reason)r)) == 0) {
                must(cJSON_AddStringToObject(item, "reason_text", reason_text((enum reason)r)));
            }
        }
        if (cJSON_IsNumber(command)) {
            const char *text = device_command_name((enum device_command)command->valueint);
            cJSON_ReplaceItemInObject(item, "command", must(cJSON_CreateString(text)));
        }
        if (cJSON_IsNumber(call) && call->valueint >= 0 && call->valueint <= 4) {
            cJSON_ReplaceItemInObject(item, "call",
                                      must(cJSON_CreateString(calls[call->valueint])));
        }
    }
}

static void answer_devices(void *arg, enum err err, const char *text, const char *json)
{
    struct http_call *call = arg;
    cJSON *answer = err == ERR_OK ? cJSON_Parse(json) : NULL;

    if (answer == NULL) {
        answer_store_error(call->request, err == ERR_OK ? ERR_FORMAT : err, text, call->what, "");
    } else {
        add_reason_texts(cJSON_GetObjectItem(answer, "devices"));
        add_reason_texts(cJSON_GetObjectItem(answer, "deployments"));
        char *printed = must(cJSON_PrintUnformatted(answer));
        http_answer_json(call->request, 200, printed);
        free(printed);
    }
    cJSON_Delete(answer);
    free(call);
}

static bool query_number(struct http_request *request, const char *name, unsigned fallback,
                         unsigned max, unsigned *ret)
{
    const char *text = http_query(request, name);
    char *end, detail[TEXT_SIZE];

    *ret = fallback;
    if (text == NULL) {
        return true;
    }
    unsigned long number = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || number > max) {
        snprintf(detail, sizeof(detail), "%s must be an integer from 0 to %u", name, max);
        http_answer_problem(request, 422, detail, name, NULL);
        return false;
    }
    *ret = (unsigned)number;
    return true;
}

static void list_devices(void *arg, struct http_request *request)
{
    struct daemon *daemon = arg;
    unsigned limit, offset;

    if (param_is_uuid(request, "deployment") &&
        query_number(request, "limit", DEVICES_LIMIT, 100000, &limit) &&
        query_number(request, "offset", 0, 1000000, &offset)) {
        store_deployment_devices(daemon->store, http_param(request, "id"),
                                 http_query(request, "stage"), limit, offset, answer_devices,
                                 asking(daemon, request, "deployment"));
    }
}

static void get_device(void *arg, struct http_request *request)
{
    struct daemon *daemon = arg;
    uint64_t eui;
    char text[EUI64_TEXT_SIZE];

    if (eui64_parse(http_param(request, "id"), &eui) != ERR_OK) {
        http_answer_problem(request, 422, "a DevEUI is 16 hexadecimal digits", "dev_eui", NULL);
        return;
    }
    eui64_format(eui, text);
    store_device_timeline(daemon->store, text, answer_devices, asking(daemon, request, "device"));
}

static void get_request(void *arg, struct http_request *request)
{
    struct daemon *daemon = arg;

    if (param_is_uuid(request, "request")) {
        store_request_get(daemon->store, http_param(request, "id"), answer_json,
                          asking(daemon, request, "request"));
    }
}

/* health and status */

static void waiting_for(const struct daemon *daemon, cJSON *json_array)
{
    static const char *const names[] = {"database", "broker", "network server"};
    const char *const states[] = {daemon->database_state, slots_broker_state(daemon),
                                  daemon->network_state};

    for (size_t i = 0; i < 3; i++) {
        if (strcmp(states[i], "ok") != 0) {
            char text[TEXT_SIZE + 40];
            snprintf(text, sizeof(text), "the %s: %s", names[i], states[i]);
            cJSON_AddItemToArray(json_array, must(cJSON_CreateString(text)));
        }
    }
    if (daemon->tokens == NULL) {
        cJSON_AddItemToArray(json_array, must(cJSON_CreateString("the tokens: not read yet")));
    }
    seals_waiting_for(daemon, json_array);
}

/* This daemon's share of the work. */
static void add_slots(const struct daemon *daemon, cJSON *object)
{
    cJSON *slots = must(cJSON_AddArrayToObject(object, "slots"));

    for (unsigned i = 0; i < STORE_SLOT_COUNT; i++) {
        if (daemon->slots[i].epoch != 0) {
            cJSON_AddItemToArray(slots, must(cJSON_CreateNumber(i)));
        }
    }
    must(cJSON_AddNumberToObject(object, "daemons", daemon->instance_count));
}

static cJSON *state_object(const struct daemon *daemon)
{
    cJSON *object = must(cJSON_CreateObject());
    cJSON *waiting = must(cJSON_CreateArray());

    waiting_for(daemon, waiting);
    must(cJSON_AddStringToObject(object, "status",
                                 cJSON_GetArraySize(waiting) == 0 ? "ok" : "degraded"));
    must(cJSON_AddStringToObject(object, "version", FUOTAD_VERSION));
    must(cJSON_AddStringToObject(object, "database", daemon->database_state));
    must(cJSON_AddStringToObject(object, "broker", slots_broker_state(daemon)));
    must(cJSON_AddStringToObject(object, "network", daemon->network_state));
    must(cJSON_AddNumberToObject(object, "clock_rate", daemon->clock.rate));
    must(cJSON_AddNumberToObject(object, "time_ms", (double)daemon_now_ms(daemon)));
    must(cJSON_AddNumberToObject(object, "uptime_s",
                                 (double)(real_us() - daemon->started_real_ms * 1000) / 1e6));
    cJSON_AddItemToObject(object, "waiting_for", waiting);
    add_slots(daemon, object);
    return object;
}

static void get_health(void *arg, struct http_request *request)
{
    cJSON *object = state_object(arg);
    char *json = must(cJSON_PrintUnformatted(object));

    http_answer_json(request, 200, json);
    free(json);
    cJSON_Delete(object);
}

static void on_counts(void *arg, enum err err, const char *text, const char *json)
{
    struct http_call *call = arg;

    (void)text;
    cJSON *object = state_object(call->daemon);
    cJSON *counts = err == ERR_OK ? cJSON_Parse(json) : NULL;
    cJSON *states = cJSON_DetachItemFromObject(counts, "deployments");
    cJSON_AddItemToObject(object, "deployments",
                          states != NULL ? states : must(cJSON_CreateObject()));
    seals_describe(call->daemon, cJSON_GetObjectItem(counts, "seal_keys"), object);
    cJSON_Delete(counts);
    char *printed = must(cJSON_PrintUnformatted(object));
    http_answer_json(call->request, 200, printed);
    free(printed);
    cJSON_Delete(object);
    free(call);
}

static void get_status(void *arg, struct http_request *request)
{
    struct daemon *daemon = arg;

    if (!store_is_connected(
            daemon->store)) { /* the truth about an outage must not wait for its end */
        struct http_call *call = asking(daemon, request, "status");
        on_counts(call, ERR_UNAVAILABLE, "", NULL);
        return;
    }
    store_counts(daemon->store, on_counts, asking(daemon, request, "status"));
}

static void get_airtime(void *arg, struct http_request *request)
{
    struct daemon *daemon = arg;

    store_airtime_get(daemon->store, daemon_now_ms(daemon), answer_json,
                      asking(daemon, request, "airtime"));
}

/* live events */

struct stream {
    struct stream *next, **previous;
    struct http_stream *http;
    char deployment_id[UUID_TEXT_SIZE]; /* "": all */
};

static void on_stream_end(void *arg)
{
    struct stream *stream = arg;

    *stream->previous = stream->next;
    if (stream->next != NULL) {
        stream->next->previous = stream->previous;
    }
    free(stream);
}

static void get_events(void *arg, struct http_request *request)
{
    struct daemon *daemon = arg;
    const char *id = http_query(request, "deployment_id");
    struct uuid ignored;

    if (id != NULL && uuid_parse(id, &ignored) != ERR_OK) {
        http_answer_problem(request, 422, "deployment_id must be a UUID", "deployment_id", NULL);
        return;
    }
    struct stream *stream = must(calloc(1, sizeof(*stream)));
    snprintf(stream->deployment_id, sizeof(stream->deployment_id), "%s", id != NULL ? id : "");
    stream->http = http_answer_stream(request, on_stream_end, stream);
    if (stream->http == NULL) {
        free(stream);
        return;
    }
    stream->next = daemon->streams;
    stream->previous = &daemon->streams;
    if (stream->next != NULL) {
        stream->next->previous = &stream->next;
    }
    daemon->streams = stream;
}

static void on_changed(void *arg, enum err err, const char *text, const char *json)
{
    struct http_call *call = arg;

    (void)text;
    for (struct stream *s = call->daemon->streams, *next; s != NULL && err == ERR_OK; s = next) {
        next = s->next; /* sending may end it */
        if (s->deployment_id[0] == '\0' || strcasecmp(s->deployment_id, call->id) == 0) {
            http_stream_send(s->http, NULL, "deployment", json);
        }
    }
    free(call);
}

void api_publish(struct daemon *daemon, const char *deployment_id)
{
    struct uuid id;

    /* What this daemon changed it has told itself. */
    if (daemon->streams != NULL && uuid_parse(deployment_id, &id) == ERR_OK &&
        running_find(daemon, &id) == NULL) {
        struct http_call *call = call_new(daemon, NULL);
        uuid_format(&id, call->id);
        store_deployment_get(daemon->store, call->id, on_changed, call);
    }
}

/* Each changed deployment once, however much changed. */
void api_publish_changes(struct daemon *daemon)
{
    struct uuid *told = NULL;
    size_t count = 0;

    for (struct running *r = daemon->running; r != NULL; r = r->next) {
        if (!r->is_changed) {
            continue;
        }
        r->is_changed = false;
        if (daemon->streams != NULL) {
            struct http_call *call = call_new(daemon, NULL);
            uuid_format(&r->id, call->id);
            store_deployment_get(daemon->store, call->id, on_changed, call);
        }
        if (daemon->instance_count > 1) {
            told = must(realloc(told, (count + 1) * sizeof(*told)));
            told[count++] = r->id;
        }
    }
    if (count > 0 && store_is_connected(daemon->store)) {
        FAILPOINT(CHANGES_TOLD);
        store_tell_changes(daemon->store, told, count);
    }
    free(told);
}

/* tokens */

static enum http_access check_token(void *arg, const char *token)
{
    const struct daemon *daemon = arg;
    uint8_t octets[32], hash[32];
    enum http_access access = HTTP_ACCESS_NONE;

    if (daemon->tokens == NULL) {
        return HTTP_ACCESS_NOT_YET;
    }
    if (hex_decode(token, strlen(token), octets, sizeof(octets)) != ERR_OK) {
        return HTTP_ACCESS_NONE;
    }
    secrets_sha256(octets, sizeof(octets), hash);
    key_wipe(octets, sizeof(octets));
    for (size_t i = 0; i < daemon->token_count; i++) {
        if (memcmp(daemon->tokens[i].sha256, hash, sizeof(hash)) ==
            0) { /* of hashes: time tells nothing */
            access = daemon->tokens[i].access;
        }
    }
    return access;
}

/* start */

static const struct http_route routes[] = {
    {"GET", "/api/v1/health", HTTP_ACCESS_NONE, 0, NULL, get_health},
    {"GET", "/api/v1/status", HTTP_ACCESS_READ, 0, NULL, get_status},
    {"GET", "/api/v1/airtime", HTTP_ACCESS_READ, 0, NULL, get_airtime},
    {"GET", "/api/v1/events", HTTP_ACCESS_READ, 0, NULL, get_events},
    {"GET", "/api/v1/images", HTTP_ACCESS_READ, 0, NULL, list_images},
    {"POST", "/api/v1/images", HTTP_ACCESS_WRITE, IMAGE_SIZE_MAX, "application/octet-stream",
     add_image},
    {"GET", "/api/v1/images/{id}", HTTP_ACCESS_READ, 0, NULL, get_image},
    {"DELETE", "/api/v1/images/{id}", HTTP_ACCESS_WRITE, 0, NULL, delete_image},
    {"POST", "/api/v1/plan", HTTP_ACCESS_READ, BODY_SIZE_MAX, "application/json", api_plan},
    {"GET", "/api/v1/deployments", HTTP_ACCESS_READ, 0, NULL, list_deployments},
    {"POST", "/api/v1/deployments", HTTP_ACCESS_WRITE, BODY_SIZE_MAX, "application/json",
     api_add_deployment},
    {"GET", "/api/v1/deployments/{id}", HTTP_ACCESS_READ, 0, NULL, get_deployment},
    {"DELETE", "/api/v1/deployments/{id}", HTTP_ACCESS_WRITE, 0, NULL, delete_deployment},
    {"GET", "/api/v1/deployments/{id}/devices", HTTP_ACCESS_READ, 0, NULL, list_devices},
    {"POST", "/api/v1/deployments/{id}/start", HTTP_ACCESS_WRITE, 0, NULL, api_start_deployment},
    {"POST", "/api/v1/deployments/{id}/plan", HTTP_ACCESS_WRITE, 0, NULL, api_plan_deployment},
    {"POST", "/api/v1/deployments/{id}/pause", HTTP_ACCESS_WRITE, 0, NULL, api_pause_deployment},
    {"POST", "/api/v1/deployments/{id}/abort", HTTP_ACCESS_WRITE, 0, NULL, api_abort_deployment},
    {"POST", "/api/v1/deployments/{id}/resume", HTTP_ACCESS_WRITE, 0, NULL, api_resume_deployment},
    {"POST", "/api/v1/deployments/{id}/retry", HTTP_ACCESS_WRITE, 0, NULL, api_retry_deployment},
    {"GET", "/api/v1/requests/{id}", HTTP_ACCESS_READ, 0, NULL, get_request},
    {"GET", "/api/v1/devices/{id}", HTTP_ACCESS_READ, 0, NULL, get_device},
};

void api_start(struct daemon *daemon)
{
    const struct config *c = &daemon->config;
    struct http_server_options options = {
        .bind = c->http_bind,
        .port = (uint16_t)c->http_port,
        .tls_cert_file = c->http_tls_cert_file[0] != '\0' ? c->http_tls_cert_file : NULL,
        .tls_key_file = c->http_tls_key_file[0] != '\0' ? c->http_tls_key_file : NULL,
        .hosts = (const char *const *)c->http_hosts,
        .connections_max = (unsigned)c->http_connections_max,
        .timeout_s = 30,
        .streams_max = (unsigned)c->http_connections_max / 2 + 1,
        .routes = routes,
        .route_count = sizeof(routes) / sizeof(routes[0]),
        .check_token = check_token,
        .arg = daemon,
    };
    const char *text = "";

    if (http_server_new(&daemon->loop, &options, &daemon->http, &text) != ERR_OK) {
        log_error("http: cannot listen on %s port %lld: %s", c->http_bind, (long long)c->http_port,
                  text);
        exit(1);
    }
    log_info("http: listening bind=%s port=%u", c->http_bind, http_server_port(daemon->http));
}
