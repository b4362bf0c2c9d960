/* requests.c - wishes of operators to deployments: rows first, then carried out; what is open is
 * taken up after a restart. */
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "daemon.h"
#include "daemon/log.h"

static void abort_deployment(struct daemon *daemon, const struct uuid *id,
                             const struct uuid *deployment_id)
{
    struct running *r = engine_find(daemon, deployment_id);

    if (!engine_is_loaded(daemon)) {
        return; /* the request stays open, and is taken up when everything is loaded */
    }
    if (r == NULL) { /* scheduled, or stored so that it cannot be loaded */
        store_turn_abort(engine_store_turn(daemon), deployment_id);
        store_turn_request_done(engine_store_turn(daemon), id, true, NULL, NULL);
        return;
    }
    engine_step(daemon, r, &(struct deployment_event){.kind = DEPLOYMENT_EVENT_ABORT});
    store_turn_request_done(engine_store_turn(daemon), id, true, NULL, NULL);
}

void requests_run(struct daemon *daemon, const struct uuid *id, const char *kind,
                  const struct uuid *deployment_id)
{
    if (strcmp(kind, "start") == 0) {
        preflight_run(daemon, id, deployment_id);
    } else {
        abort_deployment(daemon, id, deployment_id);
    }
}

/* A preflight that is under way needs no second one: after a reload only aborts are taken up again.
 */
static void take_up(struct daemon *daemon, enum err err, const char *text, const char *json,
                    bool with_starts)
{
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
        struct uuid request_id, deployment_id;
        if (id != NULL && kind != NULL && deployment != NULL &&
            uuid_parse(id, &request_id) == ERR_OK &&
            uuid_parse(deployment, &deployment_id) == ERR_OK &&
            (with_starts || strcmp(kind, "start") != 0)) {
            requests_run(daemon, &request_id, kind, &deployment_id);
        }
    }
    cJSON_Delete(requests);
}

static void on_open(void *arg, enum err err, const char *text, const char *json)
{
    take_up(arg, err, text, json, true);
}

static void on_open_again(void *arg, enum err err, const char *text, const char *json)
{
    take_up(arg, err, text, json, false);
}

void requests_run_due(struct daemon *daemon)
{
    store_request_due(daemon->store, daemon_now_ms(daemon), on_open, daemon);
}

void requests_run_open(struct daemon *daemon, bool is_first)
{
    store_request_open(daemon->store, is_first ? on_open : on_open_again, daemon);
}
