/*
 * launch.c - what follows from the checks: parameters, the plan, the multicast key, and the start;
 * or the problems, or the plan alone.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/secrets.h"
#include "failpoint.h"
#include "preflight.h"

static void release(struct preflight *p)
{
    cJSON_Delete(p->problems);
    cJSON_Delete(p->heard);
    cJSON_Delete(p->neighbours);
    free(p->online);
    free(p->candidates);
    free(p);
}

/* The result is being saved. */
struct started {
    struct daemon *daemon;
    struct slot *slot;
    struct store_fence fence;
    struct uuid id, request_id;
};

static struct started *started_new(const struct preflight *p)
{
    struct started *started = must(malloc(sizeof(*started)));

    *started = (struct started){.daemon = p->daemon,
                                .slot = p->slot,
                                .fence = p->fence,
                                .id = p->deployment_id,
                                .request_id = p->request_id};
    return started;
}

static void on_saved(void *arg, enum err err, const char *text)
{
    struct started *started = arg;

    requests_ended(started->daemon, &started->request_id);
    if (err != ERR_OK) { /* the request stays open */
        log_error("preflight: its result could not be saved: %s", text);
    }
    free(started);
}

/* Nothing comes of it: the request stays open, for the next start or the next owner. */
static void drop(struct preflight *p)
{
    requests_ended(p->daemon, &p->request_id);
    release(p);
}

static char *text_of(const cJSON *json)
{
    return json != NULL ? must(cJSON_PrintUnformatted(json)) : NULL;
}

/* The plan (NULL: none can be made) is the result. */
static void end_with_plan(struct preflight *p, const cJSON *plan)
{
    char *problems = text_of(p->problems), *text = text_of(plan);

    FAILPOINT(PLAN_MADE);
    store_planned(p->daemon->store, &p->fence, &p->request_id,
                  plan != NULL && cJSON_GetArraySize(p->problems) == 0, problems, text, on_saved,
                  started_new(p));
    free(text);
    free(problems);
    release(p);
}

void launch_refuse(struct preflight *p)
{
    if (p->daemon->is_stopping) {
        drop(p);
        return;
    }
    if (p->is_plan) {
        end_with_plan(p, NULL);
        return;
    }
    char *json = must(cJSON_PrintUnformatted(p->problems));
    char detail[120], id[UUID_TEXT_SIZE];
    int count = cJSON_GetArraySize(p->problems);

    snprintf(detail, sizeof(detail), "%d problem%s found before anything was sent", count,
             count == 1 ? "" : "s");
    uuid_format(&p->deployment_id, id);
    log_warning("preflight: %s deployment=%s", detail, id);
    FAILPOINT(START_REFUSED);
    store_start_failed(p->daemon->store, &p->fence, &p->deployment_id, &p->request_id, detail, json,
                       on_saved, started_new(p));
    free(json);
    release(p);
}

/* the end: parameters, key, start */

static void on_started(void *arg, enum err err, const char *text)
{
    struct started *started = arg;
    struct slot *slot = started->slot;

    FAILPOINT(STARTED);
    requests_ended(started->daemon, &started->request_id);
    if (err == ERR_OK && slot->epoch == started->fence.epoch) {
        running_load_one(slot, &started->id);
    } else if (err != ERR_OK) {
        log_error("preflight: the deployment could not be started: %s", text);
        if (err == ERR_UNAVAILABLE) {
            started->daemon->must_reload = true; /* it may be running in the database */
        } else if (slot->epoch == started->fence.epoch) {
            store_turn_request_done(engine_store_turn(slot), &started->request_id, false,
                                    "the deployment was started or ended already", NULL);
        }
    }
    free(started);
}

static uint32_t uplink_interval_s(const struct preflight *p, const struct network_profile *profile)
{
    return profile->uplink_interval_s > 0 ? profile->uplink_interval_s
                                          : (uint32_t)p->daemon->config.wish.uplink_interval_s;
}

static void start(struct preflight *p, const cJSON *plan)
{
    struct daemon *daemon = p->daemon;
    struct device *devices = must(calloc(p->count, sizeof(*devices)));
    uint8_t *versions = must(calloc(p->count, 1));
    uint8_t sealed[KEY_SIZE + SEAL_OVERHEAD];
    char key_id[SEAL_KEY_ID_SIZE];
    struct key mc_key;

    for (size_t i = 0; i < p->count; i++) {
        const struct candidate *c = &p->candidates[i];
        const struct network_profile *profile = &p->profiles[c->profile].facts;
        devices[i].dev_eui = c->dev_eui;
        devices[i].uplink_interval_s = uplink_interval_s(p, profile);
        devices[i].flags =
            profile->fragmentation_version == 1 || c->known_version == 1 ? DEVICE_HAS_VERSION : 0;
        versions[i] = (uint8_t)profile->lorawan_version;
    }
    secrets_random(&mc_key, sizeof(mc_key));
    seal_key_id(daemon->config.seal_keys.current, key_id);
    enum err err = seal(daemon->config.seal_keys.current, &mc_key, sizeof(mc_key), sealed);
    key_wipe(&mc_key, sizeof(mc_key));
    if (err != ERR_OK) {
        problem_add(p->problems, "keys.seal_key_file", 0, "the multicast key could not be sealed");
        launch_refuse(p);
    } else {
        char *plan_text = text_of(plan);
        char *warnings = text_of(cJSON_GetObjectItem(plan, "warnings"));
        struct store_start start = {
            .plan_json = plan_text,
            .warnings_json = warnings,
            .fence = p->fence,
            .deployment_id = p->deployment_id,
            .request_id = p->request_id,
            .params = p->params,
            .devices = devices,
            .lorawan_versions = versions,
            .mc_key_id = key_id,
            .mc_key_sealed = sealed,
            .mc_key_sealed_size = sizeof(sealed),
        };
        FAILPOINT(START_STORED);
        store_start(daemon->store, &start, on_started, started_new(p));
        free(warnings);
        free(plan_text);
        release(p);
    }
    free(devices);
    free(versions);
}

static void end(struct preflight *p, const cJSON *plan)
{
    if (p->is_plan) {
        end_with_plan(p, plan);
    } else if (cJSON_GetArraySize(p->problems) > 0) {
        launch_refuse(p);
    } else if (p->start_ms > daemon_now_ms(p->daemon)) {
        FAILPOINT(START_SCHEDULED);
        store_schedule(p->daemon->store, &p->fence, &p->deployment_id, &p->request_id, on_saved,
                       started_new(p));
        release(p);
    } else {
        start(p, plan);
    }
}

/* What is known of the gateways: who hears the devices, who else sends. */
static void add_gateways(struct preflight *p, cJSON *plan)
{
    const uint64_t *gateways = p->online; /* any of them may be chosen */
    size_t count = p->online_count;

    if (p->has_coverage) {
        wish_add_coverage(plan, &p->coverage, engine_is_observed(p->daemon, &p->application_id));
    }
    if (p->wish.gateway_count > 0) {
        gateways = p->wish.gateways;
        count = p->wish.gateway_count;
    } else if (p->has_coverage && p->coverage.gateway_count > 0) {
        gateways = p->coverage.gateways;
        count = p->coverage.gateway_count;
    }
    wish_add_sharing(plan, p->neighbours, &p->params, gateways, count);
}

static void on_plan(void *arg, cJSON *plan)
{
    struct preflight *p = arg;

    if (p->daemon->is_stopping || plan == NULL) {
        drop(p);
        return;
    }
    add_gateways(p, plan);
    end(p, plan);
}

/* False, and problems: no plan can be made. */
static bool find_params(struct preflight *p)
{
    const struct preflight_profile *profile = &p->profiles[p->candidates[0].profile];
    struct wish_facts facts = {
        .profile = &profile->facts,
        .image_size = p->image_size,
        .device_count = (uint32_t)p->count,
        .mc_addr = p->mc_addr > 0 ? p->mc_addr : 1, /* else it is a problem already */
    };
    int before = cJSON_GetArraySize(p->problems);

    if (!profile->is_known) {
        return false;
    }
    wish_params(&p->wish, &facts, &p->daemon->config.wish, p->problems, &p->params);
    return cJSON_GetArraySize(p->problems) == before;
}

/* The gateways of the group: named, or those that reach all devices; where that is not known of all
 * of them, as many as are allowed. */
static unsigned gateway_count(struct preflight *p)
{
    const struct wish *wish = &p->wish;
    bool is_any = wish->gateway_count > 0 || p->online_count > 0;

    p->has_coverage = is_any && p->heard != NULL &&
                      wish_coverage(p->heard, wish->gateways, wish->gateway_count, p->online,
                                    p->online_count, p->params.gateways_max, &p->coverage);
    cJSON_Delete(p->heard); /* it may be large */
    p->heard = NULL;
    if (wish->gateway_count > 0) {
        return (unsigned)wish->gateway_count;
    }
    if (p->has_coverage && p->coverage.unknown == 0 && p->coverage.gateway_count > 0) {
        return (unsigned)p->coverage.gateway_count;
    }
    return p->online_count < p->params.gateways_max ? (unsigned)p->online_count
                                                    : p->params.gateways_max;
}

static void plan(struct preflight *p)
{
    struct plan_question question = {
        .wish = p->wish,
        .params = p->params,
        .defaults = p->daemon->config.wish,
        .gateway_count = gateway_count(p),
    };

    for (size_t i = 0; i < p->profile_count; i++) {
        uint32_t interval_s = uplink_interval_s(p, &p->profiles[i].facts);
        if (interval_s > question.uplink_interval_s) {
            question.uplink_interval_s = interval_s;
        }
    }
    plan_job_run(p->daemon, &question, on_plan, p);
}

void launch(struct preflight *p)
{
    if (p->daemon->is_stopping) {
        drop(p);
        return;
    }
    bool is_wanted = p->is_plan || cJSON_GetArraySize(p->problems) == 0;
    if (is_wanted && find_params(p)) {
        plan(p);
    } else {
        end(p, NULL);
    }
}
