/* requests.c - wishes of operators to deployments: rows first, on whichever daemon; the owner of
 * the slot carries them out, and takes up what is open when it becomes the owner. */
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "daemon.h"
#include "daemon/log.h"
#include "failpoint.h"

/* A wish that takes its time: it must not be begun twice. */
struct open_request {
    struct open_request *next;
    struct uuid id;
};

static bool is_open(const struct daemon *daemon, const struct uuid *id)
{
    const struct open_request *request = daemon->open_requests;

    while (request != NULL && memcmp(&request->id, id, sizeof(*id)) != 0) {
        request = request->next;
    }
    return request != NULL;
}

static void begins(struct daemon *daemon, const struct uuid *id)
{
    struct open_request *request = must(malloc(sizeof(*request)));

    *request = (struct open_request){.next = daemon->open_requests, .id = *id};
    daemon->open_requests = request;
}

void requests_ended(struct daemon *daemon, const struct uuid *id)
{
    for (struct open_request **at = &daemon->open_requests; *at != NULL; at = &(*at)->next) {
        if (memcmp(&(*at)->id, id, sizeof(*id)) == 0) {
            struct open_request *gone = *at;
            *at = gone->next;
            free(gone);
            return;
        }
    }
}

void requests_release(struct daemon *daemon)
{
    while (daemon->open_requests != NULL) {
        requests_ended(daemon, &daemon->open_requests->id);
    }
}

/* the kinds */

static void abort_deployment(struct slot *slot, const struct uuid *id,
                             const struct uuid *deployment_id)
{
    struct daemon *daemon = slot->daemon;
    struct running *r = running_find(daemon, deployment_id);

    if (r == NULL || r->d == NULL) { /* scheduled, or suspended */
        store_turn_abort(engine_store_turn(slot), deployment_id);
        if (r != NULL) {
            running_drop(daemon, r);
            slot_set_applications(slot);
        }
    } else {
        engine_step(daemon, r, &(struct deployment_event){.kind = DEPLOYMENT_EVENT_ABORT});
    }
    store_turn_request_done(engine_store_turn(slot), id, true, NULL, NULL);
}

struct resume_call {
    struct slot *slot;
    struct uuid id, deployment_id;
};

static void on_resumed(void *arg, enum err err, const char *text)
{
    struct resume_call call = *(struct resume_call *)arg;
    struct daemon *daemon = call.slot->daemon;

    free(arg);
    requests_ended(daemon, &call.id);
    if (err != ERR_OK) {
        log_error("deployment: it could not be resumed: %s", text);
        return;
    }
    struct running *r = running_find(daemon, &call.deployment_id);
    if (r != NULL && r->d == NULL) {
        running_drop(daemon, r);
    }
    running_load_one(call.slot, &call.deployment_id);
}

static void resume_deployment(struct slot *slot, const struct uuid *id,
                              const struct uuid *deployment_id)
{
    struct resume_call *call = must(malloc(sizeof(*call)));
    struct store_fence fence = slot_fence(slot);

    *call = (struct resume_call){.slot = slot, .id = *id, .deployment_id = *deployment_id};
    begins(slot->daemon, id);
    FAILPOINT(RESUME);
    store_resume(slot->daemon->store, &fence, deployment_id, id, on_resumed, call);
}

/* A paused one goes on in memory; a suspended one is loaded. */
static void pause_or_resume(struct slot *slot, const struct uuid *id,
                            const struct uuid *deployment_id, bool is_pause)
{
    struct running *r = running_find(slot->daemon, deployment_id);

    if (r != NULL && r->d != NULL) {
        engine_step(slot->daemon, r,
                    &(struct deployment_event){.kind = is_pause ? DEPLOYMENT_EVENT_PAUSE
                                                                : DEPLOYMENT_EVENT_RESUME});
        store_turn_request_done(engine_store_turn(slot), id, true, NULL, NULL);
    } else if (is_pause) {
        store_turn_request_done(engine_store_turn(slot), id, false, "it is not running any more",
                                NULL);
    } else {
        resume_deployment(slot, id, deployment_id);
    }
}

static void run(struct slot *slot, const struct uuid *id, const char *kind,
                const struct uuid *deployment_id)
{
    if (is_open(slot->daemon, id)) {
        return;
    }
    FAILPOINT(REQUEST_TAKEN);
    bool is_plan = strcmp(kind, "plan") == 0;
    if (is_plan || strcmp(kind, "start") == 0) {
        begins(slot->daemon, id);
        preflight_run(slot, id, deployment_id, is_plan);
    } else if (strcmp(kind, "abort") == 0) {
        abort_deployment(slot, id, deployment_id);
    } else if (strcmp(kind, "pause") == 0 || strcmp(kind, "resume") == 0) {
        pause_or_resume(slot, id, deployment_id, strcmp(kind, "pause") == 0);
    }
}

/* taking them up */

static void on_open(void *arg, enum err err, const char *text, const char *json)
{
    struct daemon *daemon = arg;
    cJSON *requests = err == ERR_OK ? cJSON_Parse(json) : NULL;
    const cJSON *item;

    if (requests == NULL) {
        log_error("requests: the open ones cannot be read: %s", text != NULL ? text : "malformed");
        return;
    }
    cJSON_ArrayForEach(item, requests)
    {
        const char *id = cJSON_GetStringValue(cJSON_GetObjectItem(item, "id"));
        const char *kind = cJSON_GetStringValue(cJSON_GetObjectItem(item, "kind"));
        const char *deployment = cJSON_GetStringValue(cJSON_GetObjectItem(item, "deployment_id"));
        const cJSON *slot = cJSON_GetObjectItem(item, "slot");
        unsigned s = cJSON_IsNumber(slot) ? (unsigned)slot->valueint : STORE_SLOT_COUNT;
        struct uuid request_id, deployment_id;
        if (s < STORE_SLOT_COUNT && daemon->slots[s].state == SLOT_READY && id != NULL &&
            kind != NULL && deployment != NULL && uuid_parse(id, &request_id) == ERR_OK &&
            uuid_parse(deployment, &deployment_id) == ERR_OK) {
            run(&daemon->slots[s], &request_id, kind, &deployment_id);
        }
    }
    cJSON_Delete(requests);
}

void requests_run_due(struct daemon *daemon)
{
    store_request_due(daemon->store, &daemon->instance, daemon_now_ms(daemon), on_open, daemon);
}

void requests_take(struct slot *slot)
{
    store_request_open(slot->daemon->store, slot->index, on_open, slot->daemon);
}
