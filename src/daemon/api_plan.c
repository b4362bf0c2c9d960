/* api_plan.c - the plan of bare parameters; that of a draft is a request (api_deployments.c). */
#include <stdlib.h>

#include "api.h"
#include "daemon/log.h"

static const char *const plan_members[] = {
    "size",
    "device_count",
    "gateway_count",
    "uplink_interval_s",
};

static void read_plan_member(const cJSON *body, size_t index, double min, double max,
                             double fallback, cJSON *problems, double *ret)
{
    const char *name = plan_members[index];
    const cJSON *item = cJSON_GetObjectItem(body, name);

    *ret = item != NULL ? cJSON_GetNumberValue(item) : fallback;
    if (!(*ret >= min && *ret <= max)) {
        problem_add(problems, name, 0, "%s must be a number from %.0f to %.0f", name, min, max);
    }
}

static void on_bare_plan(void *arg, cJSON *plan)
{
    struct http_call *call = arg;

    if (plan == NULL) {
        http_answer_problem(call->request, 503, "the daemon is ending", NULL, NULL);
    } else {
        char *json = must(cJSON_PrintUnformatted(plan));
        http_answer_json(call->request, 200, json);
        free(json);
    }
    free(call);
}

void api_plan(void *arg, struct http_request *request)
{
    struct daemon *daemon = arg;
    const struct wish_defaults *defaults = &daemon->config.wish;
    struct network_profile profile = {
        .clock_sync_port = 202, .fragmentation_port = 201, .multicast_setup_port = 200};
    struct wish_facts facts = {.profile = &profile, .mc_addr = 1};
    struct plan_question question = {.defaults = *defaults};
    size_t size;
    const uint8_t *body = http_body(request, &size);
    cJSON *json = cJSON_ParseWithLength((const char *)body, size);
    cJSON *problems = must(cJSON_CreateArray());
    double values[4];

    if (!cJSON_IsObject(json)) {
        http_answer_problem(request, 400, "the body is not a JSON object", NULL, NULL);
        goto out;
    }
    check_members(json, plan_members, sizeof(plan_members) / sizeof(plan_members[0]), problems);
    if (cJSON_GetObjectItem(json, "region") == NULL) {
        problem_add(problems, "region", 0, "region must be given");
    }
    wish_read(json, problems, &question.wish);
    read_plan_member(json, 0, 1, IMAGE_SIZE_MAX, -1, problems, &values[0]);
    read_plan_member(json, 1, 1, DEPLOYMENT_DEVICES_MAX, 1, problems, &values[1]);
    read_plan_member(json, 2, 1, DEPLOYMENT_GATEWAYS_MAX, 1, problems, &values[2]);
    read_plan_member(json, 3, 1, 2592000, (double)defaults->uplink_interval_s, problems,
                     &values[3]);
    if (cJSON_GetArraySize(problems) == 0) {
        facts.image_size = (size_t)values[0];
        facts.device_count = (uint32_t)values[1];
        question.gateway_count = (unsigned)values[2];
        question.uplink_interval_s = (uint32_t)values[3];
        question.defaults.gateways_max = question.gateway_count;
        wish_params(&question.wish, &facts, &question.defaults, problems, &question.params);
    }
    if (cJSON_GetArraySize(problems) > 0) {
        answer_problems(request, problems);
    } else if (daemon->plan_job_count >= PLAN_JOBS_MAX) {
        http_answer_problem(request, 503, "other plans are being made: ask again", NULL, NULL);
    } else {
        plan_job_run(daemon, &question, on_bare_plan, call_new(daemon, request));
    }
out:
    cJSON_Delete(json);
    cJSON_Delete(problems);
}
