/* api_deployments.c - making deployments, starting, aborting and retrying them. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api.h"
#include "daemon/log.h"
#include "daemon/secrets.h"
#include "failpoint.h"

void answer_problems(struct http_request *request, cJSON *problems)
{
    const cJSON *first = cJSON_GetArrayItem(problems, 0);
    char *json = must(cJSON_PrintUnformatted(problems));

    http_answer_problem(request, 422, cJSON_GetStringValue(cJSON_GetObjectItem(first, "detail")),
                        cJSON_GetStringValue(cJSON_GetObjectItem(first, "field")), json);
    free(json);
}

/* the draft */

static void on_added(void *arg, enum err err, const char *text, const char *json)
{
    struct http_call *call = arg;
    char location[100];

    FAILPOINT(DRAFT_ADDED);
    if (err == ERR_OK) {
        snprintf(location, sizeof(location), "/api/v1/deployments/%s", call->id);
        http_answer_location(call->request, 201, location, json);
    } else if (err == ERR_MISSING) {
        http_answer_problem(call->request, 422, "there is no such image", "image_id", NULL);
    } else {
        answer_store_error(call->request, err, text, "deployment", "");
    }
    cJSON_Delete(call->json);
    free(call);
}

/* Stores the draft that call->json describes, for these devices. */
static void add_draft(struct http_call *call, const uint64_t *dev_euis, size_t count)
{
    cJSON *body = call->json;
    struct store_draft draft = {
        .id = secrets_uuid(),
        .name = cJSON_GetStringValue(cJSON_GetObjectItem(body, "name")),
        .image_id = cJSON_GetStringValue(cJSON_GetObjectItem(body, "image_id")),
        .application_id = cJSON_GetStringValue(cJSON_GetObjectItem(body, "application_id")),
        .start_at = cJSON_GetStringValue(cJSON_GetObjectItem(body, "start")),
        .dev_euis = dev_euis,
        .device_count = count,
    };
    char name[60];

    uuid_format(&draft.id, call->id);
    if (draft.name == NULL) {
        snprintf(name, sizeof(name), "deployment %.8s", call->id);
        draft.name = name;
    }
    cJSON *wish = must(cJSON_Duplicate(body, true));
    cJSON_DeleteItemFromObject(wish, "devices"); /* they have their own table */
    char *json = must(cJSON_PrintUnformatted(wish));
    cJSON_Delete(wish);
    draft.wish_json = json;
    store_deployment_add(call->daemon->store, &draft, on_added, call);
    free(json);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* The devices of the list, in its order; NULL and problems where it is wrong. */
static uint64_t *read_devices(const cJSON *list, cJSON *problems, size_t *ret_count)
{
    size_t size = (size_t)cJSON_GetArraySize(list), count = 0;
    uint64_t *euis = must(calloc(size + 1, sizeof(*euis)));
    const cJSON *item;

    cJSON_ArrayForEach(item, list)
    {
        const char *text = cJSON_GetStringValue(item);
        if (text == NULL || eui64_parse(text, &euis[count]) != ERR_OK || euis[count] == 0) {
            problem_add(problems, "devices", 0, "a DevEUI is 16 hexadecimal digits, not \"%.40s\"",
                        text != NULL ? text : "");
            break;
        }
        count++;
    }
    uint64_t *sorted = must(calloc(size + 1, sizeof(*sorted)));
    memcpy(sorted, euis, count * sizeof(*euis));
    qsort(sorted, count, sizeof(*sorted), by_value);
    for (size_t i = 1; i < count; i++) {
        if (sorted[i] == sorted[i - 1]) {
            problem_add(problems, "devices", sorted[i], "the device is listed twice");
            break;
        }
    }
    free(sorted);
    if (count == 0 && cJSON_GetArraySize(problems) == 0) {
        problem_add(problems, "devices", 0, "the list of devices is empty");
    }
    if (count > DEPLOYMENT_DEVICES_MAX) {
        problem_add(problems, "devices", 0, "a deployment has at most %d devices",
                    DEPLOYMENT_DEVICES_MAX);
    }
    *ret_count = count;
    return euis;
}

static void on_listed(void *arg, enum network_outcome outcome, const char *text,
                      const struct network_answer *answer)
{
    struct http_call *call = arg;
    char detail[TEXT_SIZE];

    if (outcome != NETWORK_DONE) {
        snprintf(detail, sizeof(detail),
                 "the network server does not list the application's devices: %s", text);
        http_answer_problem(call->request, outcome == NETWORK_MISSING ? 422 : 503, detail,
                            "application_id", NULL);
    } else if (answer->eui_count == 0) {
        http_answer_problem(call->request, 422, "no device of the application matches", "devices",
                            NULL);
    } else if (answer->eui_count > DEPLOYMENT_DEVICES_MAX) {
        snprintf(detail, sizeof(detail), "%zu devices match, a deployment has at most %d",
                 answer->eui_count, DEPLOYMENT_DEVICES_MAX);
        http_answer_problem(call->request, 422, detail, "devices", NULL);
    } else {
        add_draft(call, answer->euis, answer->eui_count);
        return;
    }
    cJSON_Delete(call->json);
    free(call);
}

/* Asks the network server which devices are meant. */
static void select_devices(struct http_call *call, const struct uuid *application)
{
    struct network_driver *network = &call->daemon->network;
    const cJSON *tags = cJSON_GetObjectItem(call->json, "tags");
    const cJSON *item;
    struct network_filter filter = {
        .profile_id = cJSON_GetStringValue(cJSON_GetObjectItem(call->json, "device_profile_id")),
    };
    const char **pairs = must(calloc(2 * (size_t)cJSON_GetArraySize(tags) + 1, sizeof(*pairs)));

    cJSON_ArrayForEach(item, tags)
    {
        pairs[2 * filter.tag_count] = item->string;
        pairs[2 * filter.tag_count + 1] = cJSON_GetStringValue(item);
        filter.tag_count++;
    }
    filter.tags = pairs;
    network->list_devices(network->self, application, &filter, on_listed, call);
    free(pairs);
}

static const char *const known_members[] = {
    "name",
    "image_id",
    "application_id",
    "devices",
    "device_profile_id",
    "tags",
    "all",
    "region",
    "data_rate",
    "frequency_hz",
    "fragment_size",
    "redundancy",
    "rounds",
    "sessions",
    "repair_passes",
    "airtime_budget_s",
    "time_limit_s",
    "unicast_attempts",
    "start",
    "setup_deadline_s",
    "quorum_percent",
    "gateways",
    "descriptor",
    "min_gap_ms",
    "allow_bad_block_count",
    "allow_any_class",
    "consecutive_rows",
    "own_evidence_only",
    "loss",
    "duty_cycle",
    "override_duty_cycle",
    "class",
};

static bool is_member(const char *name, const char *const *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(name, members[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Those of a deployment, and `more`. */
void check_members(const cJSON *body, const char *const *more, size_t more_count,
                          cJSON *problems)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, body)
    {
        if (!is_member(item->string, known_members,
                       sizeof(known_members) / sizeof(known_members[0])) &&
            !is_member(item->string, more, more_count)) {
            problem_add(problems, item->string, 0, "there is no such member");
        }
    }
}

static void check_uuid(const cJSON *body, const char *name, cJSON *problems, struct uuid *ret)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(body, name));

    if (text == NULL || uuid_parse(text, ret) != ERR_OK) {
        problem_add(problems, name, 0, "%s must be a UUID", name);
    }
}

/* Exactly one way to say which devices. */
static void check_selection(const cJSON *body, cJSON *problems)
{
    static const char *const ways[] = {"devices", "device_profile_id", "tags", "all"};
    const cJSON *tags = cJSON_GetObjectItem(body, "tags");
    const cJSON *tag;
    unsigned count = 0;
    struct uuid ignored;

    for (size_t i = 0; i < 4; i++) {
        count += cJSON_HasObjectItem(body, ways[i]) ? 1 : 0;
    }
    if (count != 1) {
        problem_add(problems, "devices", 0,
                    "exactly one of devices, device_profile_id, tags and all must be given");
        return;
    }
    if (cJSON_HasObjectItem(body, "devices") &&
        !cJSON_IsArray(cJSON_GetObjectItem(body, "devices"))) {
        problem_add(problems, "devices", 0, "devices must be a list of DevEUIs");
    }
    if (cJSON_HasObjectItem(body, "device_profile_id")) {
        check_uuid(body, "device_profile_id", problems, &ignored);
    }
    if (tags != NULL && (!cJSON_IsObject(tags) || tags->child == NULL)) {
        problem_add(problems, "tags", 0, "tags must be an object of texts");
    }
    cJSON_ArrayForEach(tag, tags)
    {
        if (!cJSON_IsString(tag)) {
            problem_add(problems, "tags", 0, "tag %s must be a text", tag->string);
        }
    }
    if (cJSON_HasObjectItem(body, "all") && !cJSON_IsTrue(cJSON_GetObjectItem(body, "all"))) {
        problem_add(problems, "all", 0, "all can only be true");
    }
}

/* "2026-12-01T22:00:00Z", and a day that exists. */
static bool is_time(const char *text)
{
    struct tm asked = {0}, real;
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &asked);
    time_t seconds = timegm(&asked);

    return end != NULL && *end == '\0' && strlen(text) == 20 && gmtime_r(&seconds, &real) != NULL &&
           asked.tm_sec < 60 && real.tm_mday == asked.tm_mday && real.tm_mon == asked.tm_mon &&
           asked.tm_year >= 100;
}

void api_add_deployment(void *arg, struct http_request *request)
{
    struct daemon *daemon = arg;
    size_t size, count = 0;
    const uint8_t *body = http_body(request, &size);
    cJSON *json = cJSON_ParseWithLength((const char *)body, size);
    cJSON *problems = must(cJSON_CreateArray());
    uint64_t *euis = NULL;
    struct uuid application = {{0}}, image;
    struct wish wish;

    if (!cJSON_IsObject(json)) {
        http_answer_problem(request, 400, "the body is not a JSON object", NULL, NULL);
        goto out;
    }
    check_members(json, NULL, 0, problems);
    check_uuid(json, "image_id", problems, &image);
    check_uuid(json, "application_id", problems, &application);
    const cJSON *name = cJSON_GetObjectItem(json, "name");
    if (name != NULL && (!cJSON_IsString(name) || strlen(name->valuestring) > 200)) {
        problem_add(problems, "name", 0, "name must be a text of at most 200 characters");
    }
    const cJSON *start = cJSON_GetObjectItem(json, "start");
    if (start != NULL && (!cJSON_IsString(start) || !is_time(start->valuestring))) {
        problem_add(problems, "start", 0, "start must be a time such as 2026-12-01T22:00:00Z");
    }
    check_selection(json, problems);
    wish_read(json, problems, &wish);
    if (cJSON_GetArraySize(problems) == 0 && cJSON_HasObjectItem(json, "devices")) {
        euis = read_devices(cJSON_GetObjectItem(json, "devices"), problems, &count);
    }
    if (cJSON_GetArraySize(problems) > 0) {
        answer_problems(request, problems);
        goto out;
    }
    struct http_call *call = call_new(daemon, request);
    call->json = json;
    json = NULL;
    if (euis != NULL) {
        add_draft(call, euis, count);
    } else {
        select_devices(call, &application);
    }
out:
    free(euis);
    cJSON_Delete(json);
    cJSON_Delete(problems);
}

/* requests */

static void on_request(void *arg, enum err err, const char *text, const char *json)
{
    struct http_call *call = arg;
    char location[100];

    FAILPOINT(REQUEST_ADDED);
    if (err != ERR_OK) {
        answer_store_error(call->request, err, text, "deployment", call->state_text);
    } else {
        snprintf(location, sizeof(location), "/api/v1/requests/%s", call->id);
        http_answer_location(call->request, 202, location, json);
    }
    free(call);
}

static void make_request(struct daemon *daemon, struct http_request *request, const char *kind,
                         const char *state_text)
{
    struct uuid id = secrets_uuid();

    if (!param_is_uuid(request, "deployment")) {
        return;
    }
    struct http_call *call = call_new(daemon, request);
    uuid_format(&id, call->id);
    call->state_text = state_text;
    store_request_add(daemon->store, &id, kind, http_param(request, "id"), on_request, call);
}

void api_start_deployment(void *arg, struct http_request *request)
{
    make_request(arg, request, "start", "there is no such deployment, or it was started already");
}

void api_plan_deployment(void *arg, struct http_request *request)
{
    make_request(arg, request, "plan", "there is no such deployment, or it was started already");
}

void api_abort_deployment(void *arg, struct http_request *request)
{
    make_request(arg, request, "abort", "there is no such deployment, or it is not running");
}

void api_resume_deployment(void *arg, struct http_request *request)
{
    make_request(arg, request, "resume",
                 "there is no such deployment, or it is neither paused nor suspended");
}

void api_pause_deployment(void *arg, struct http_request *request)
{
    make_request(arg, request, "pause",
                 "there is no such deployment, or it is not running, or paused already");
}

/* retry: a new deployment of the devices that failed */

static void on_retry_source(void *arg, enum err err, const char *text, const char *json)
{
    struct http_call *call = arg;
    cJSON *source = err == ERR_OK ? cJSON_Parse(json) : NULL;
    cJSON *wish = cJSON_DetachItemFromObject(source, "wish");
    cJSON *problems = must(cJSON_CreateArray());
    uint64_t *euis = NULL;
    size_t count = 0;

    if (!cJSON_IsObject(wish)) {
        answer_store_error(call->request, err == ERR_OK ? ERR_FORMAT : err, text, "deployment",
                           "there is no such deployment, it is not over, or no device failed");
        cJSON_Delete(wish);
        free(call);
        goto out;
    }
    static const char *const replaced[] = {"name", "all", "tags", "device_profile_id", "start"};
    for (size_t i = 0; i < sizeof(replaced) / sizeof(replaced[0]); i++) {
        cJSON_DeleteItemFromObject(wish, replaced[i]);
    }
    char name[220];
    snprintf(name, sizeof(name), "%.190s (retry)",
             cJSON_GetStringValue(cJSON_GetObjectItem(source, "name")));
    text_mend(name);
    must(cJSON_AddStringToObject(wish, "name", name));
    call->json = wish;
    euis = read_devices(cJSON_GetObjectItem(source, "devices"), problems, &count);
    add_draft(call, euis, count);
out:
    free(euis);
    cJSON_Delete(problems);
    cJSON_Delete(source);
}

void api_retry_deployment(void *arg, struct http_request *request)
{
    struct daemon *daemon = arg;

    if (param_is_uuid(request, "deployment")) {
        store_deployment_retry_source(daemon->store, http_param(request, "id"), on_retry_source,
                                      call_new(daemon, request));
    }
}
