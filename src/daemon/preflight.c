/*
 * preflight.c - before anything is sent: are the devices there, have they keys, is nobody else
 * working on them, are the gateways online? All problems are found and listed at once; launch.c
 * goes on with them.
 */
#include "preflight.h"

#include <stdlib.h>
#include <string.h>

#define IN_FLIGHT_MAX 100
#define PROBLEMS_MAX  1000 /* more are counted, not listed */

static bool is_full(const struct preflight *p)
{
    return cJSON_GetArraySize(p->problems) >= PROBLEMS_MAX;
}

/* third: profiles, gateways, busy devices, an address */

static void check_profiles(struct preflight *p)
{
    const struct network_profile *first = NULL;

    for (size_t i = 0; i < p->profile_count; i++) {
        const struct network_profile *f = &p->profiles[i].facts;
        char id[UUID_TEXT_SIZE];
        uuid_format(&p->profiles[i].id, id);
        if (!p->profiles[i].is_known) {
            problem_add(p->problems, "device_profile", 0, "device profile %s cannot be read", id);
            continue;
        }
        if (!f->supports_class_c && f->multicast_setup_version == 0 && !p->wish.allow_any_class) {
            problem_add(p->problems, "device_profile", 0,
                        "device profile %s supports neither class C nor TS005: the devices cannot "
                        "open a class C session "
                        "(allow_any_class overrides)",
                        id);
        }
        if (f->fragmentation_version > 1 || f->multicast_setup_version > 1) {
            problem_add(p->problems, "device_profile", 0,
                        "device profile %s says version 2 of TS004 or TS005, version 1 is "
                        "supported",
                        id);
        }
        if (first == NULL) {
            first = f;
        } else if (first->region != f->region ||
                   first->fragmentation_port != f->fragmentation_port ||
                   first->multicast_setup_port != f->multicast_setup_port ||
                   first->clock_sync_port != f->clock_sync_port) {
            problem_add(
                p->problems, "device_profile", 0,
                "the devices' profiles differ in region or FPorts (%s): deploy to them apart", id);
        }
    }
}

static void stage_done(struct preflight *p)
{
    if (--p->stage_left == 0) {
        if (!p->daemon->is_stopping) {
            check_profiles(p);
        }
        launch(p);
    }
}

struct profile_call {
    struct preflight *p;
    size_t index;
};

static void on_profile(void *arg, enum network_outcome outcome, const char *text,
                       const struct network_answer *answer)
{
    struct profile_call *call = arg;

    (void)text;
    if (outcome == NETWORK_DONE) {
        call->p->profiles[call->index].facts = answer->profile;
        call->p->profiles[call->index].is_known = true;
    }
    stage_done(call->p);
    free(call);
}

static void on_gateways(void *arg, enum network_outcome outcome, const char *text,
                        const struct network_answer *answer)
{
    struct preflight *p = arg;
    if (outcome != NETWORK_DONE) {
        problem_add(p->problems, "gateways", 0, "the gateways cannot be listed: %s", text);
        stage_done(p);
        return;
    }
    p->online = must(calloc(answer->gateway_count + 1, sizeof(*p->online)));
    for (size_t i = 0; i < answer->gateway_count; i++) {
        if (answer->gateways[i].is_online) {
            p->online[p->online_count++] = answer->gateways[i].id;
        }
    }
    for (size_t w = 0; w < p->wish.gateway_count; w++) {
        const struct network_gateway *found = NULL;
        char id[EUI64_TEXT_SIZE];
        for (size_t i = 0; i < answer->gateway_count; i++) {
            if (answer->gateways[i].id == p->wish.gateways[w]) {
                found = &answer->gateways[i];
            }
        }
        eui64_format(p->wish.gateways[w], id);
        if (found == NULL) {
            problem_add(p->problems, "gateways", 0, "gateway %s is unknown", id);
        } else if (!found->is_online) {
            problem_add(p->problems, "gateways", 0, "gateway %s is offline", id);
        }
    }
    if (p->wish.gateway_count == 0 && p->online_count == 0) {
        problem_add(p->problems, "gateways", 0, "none of the tenant's %zu gateways is online",
                    answer->gateway_count);
    }
    stage_done(p);
}

static void on_busy(void *arg, enum network_outcome outcome, const char *text,
                    const struct network_answer *answer)
{
    struct preflight *p = arg;

    if (outcome != NETWORK_DONE) {
        problem_add(p->problems, "devices", 0,
                    "the network server's own FUOTA deployments cannot be read: %s", text);
    }
    for (size_t i = 0; outcome == NETWORK_DONE && i < answer->eui_count; i++) {
        for (size_t c = 0; c < p->count; c++) {
            if (p->candidates[c].dev_eui == answer->euis[i]) {
                problem_add(p->problems, "devices", answer->euis[i],
                            "the network server's own FUOTA is working on it");
            }
        }
    }
    stage_done(p);
}

static void on_address(void *arg, enum network_outcome outcome, const char *text,
                       const struct network_answer *answer)
{
    struct preflight *p = arg;

    if (outcome == NETWORK_DONE) {
        p->mc_addr = answer->mc_addr;
    } else {
        problem_add(p->problems, "mc_addr", 0, "the network server gives no multicast address: %s",
                    text);
    }
    stage_done(p);
}

static void on_heard(void *arg, enum err err, const char *text, const char *json)
{
    struct preflight *p = arg;

    (void)text;
    p->heard = err == ERR_OK ? cJSON_Parse(json) : NULL; /* a plan can do without */
    stage_done(p);
}

static void on_neighbours(void *arg, enum err err, const char *text, const char *json)
{
    struct preflight *p = arg;

    (void)text;
    p->neighbours = err == ERR_OK ? cJSON_Parse(json) : NULL;
    stage_done(p);
}

static void ask_the_rest(struct preflight *p)
{
    struct network_driver *network = &p->daemon->network;

    if (p->is_given_up || p->daemon->is_stopping) {
        launch_refuse(p);
        return;
    }
    p->stage_left = 5 + (unsigned)p->profile_count;
    for (size_t i = 0; i < p->profile_count; i++) {
        struct profile_call *call = must(malloc(sizeof(*call)));
        *call = (struct profile_call){.p = p, .index = i};
        network->read_profile(network->self, &p->profiles[i].id, on_profile, call);
    }
    network->list_gateways(network->self, &p->application_id, on_gateways, p);
    network->list_busy_devices(network->self, &p->application_id, on_busy, p);
    store_coverage(p->daemon->store, &p->deployment_id, daemon_now_ms(p->daemon) - HEARD_LATELY_MS,
                   on_heard, p);
    store_neighbours(p->daemon->store, &p->deployment_id, on_neighbours, p);
    network->random_address(network->self, p->candidates[0].dev_eui, on_address, p);
}

/* second: each device, then its key */

struct candidate_call {
    struct preflight *p;
    size_t index;
};

static void ask_devices(struct preflight *p);

static size_t profile_index(struct preflight *p, const struct uuid *id)
{
    size_t i = 0;

    while (i < p->profile_count && memcmp(&p->profiles[i].id, id, sizeof(*id)) != 0) {
        i++;
    }
    if (i == PROFILES_AT_ONCE) {
        return PROFILES_AT_ONCE;
    }
    if (i == p->profile_count) {
        p->profiles[p->profile_count++].id = *id;
    }
    return i;
}

static void device_done(struct preflight *p)
{
    p->in_flight--;
    if (p->in_flight == 0 && (p->next == p->count || p->is_given_up)) {
        ask_the_rest(p);
    } else {
        ask_devices(p);
    }
}

static void check_device(struct preflight *p, struct candidate *c,
                         const struct network_device *device)
{
    if (memcmp(&device->application_id, &p->application_id, sizeof(p->application_id)) != 0) {
        problem_add(p->problems, "devices", c->dev_eui, "it belongs to another application");
    } else if (device->is_disabled) {
        problem_add(p->problems, "devices", c->dev_eui, "it is disabled in the network server");
    }
    c->profile = profile_index(p, &device->profile_id);
    if (c->profile == PROFILES_AT_ONCE) {
        problem_add(p->problems, "devices", c->dev_eui, "the devices have more than %d profiles",
                    PROFILES_AT_ONCE);
        c->profile = 0;
    }
}

static void on_key(void *arg, enum network_outcome outcome, const char *text,
                   const struct network_answer *answer)
{
    struct candidate_call *call = arg;
    struct preflight *p = call->p;
    uint64_t dev_eui = p->candidates[call->index].dev_eui;

    (void)answer;
    if (outcome == NETWORK_MISSING) {
        problem_add(p->problems, "devices", dev_eui,
                    "it has no GenAppKey (LoRaWAN 1.0.x) or AppKey (1.1) in the network server");
    } else if (outcome != NETWORK_DONE && !p->is_given_up) {
        p->is_given_up = true;
        problem_add(p->problems, "devices", dev_eui, "its keys cannot be read: %s", text);
    }
    free(call);
    device_done(p);
}

static void on_device_profile(void *arg, enum network_outcome outcome, const char *text,
                              const struct network_answer *answer)
{
    struct candidate_call *call = arg;
    struct preflight *p = call->p;
    struct network_driver *network = &p->daemon->network;

    if (outcome != NETWORK_DONE) {
        problem_add(p->problems, "devices", p->candidates[call->index].dev_eui,
                    "its device profile cannot be read: %s", text);
        free(call);
        device_done(p);
        return;
    }
    size_t profile = p->candidates[call->index].profile;
    p->profiles[profile].facts = answer->profile;
    p->profiles[profile].is_known = true;
    network->read_root_key(network->self, p->candidates[call->index].dev_eui,
                           answer->profile.lorawan_version, on_key, call);
}

static void on_device(void *arg, enum network_outcome outcome, const char *text,
                      const struct network_answer *answer)
{
    struct candidate_call *call = arg;
    struct preflight *p = call->p;
    struct candidate *c = &p->candidates[call->index];
    struct network_driver *network = &p->daemon->network;

    if (outcome == NETWORK_DONE && !is_full(p)) {
        check_device(p, c, &answer->device);
        if (p->profiles[c->profile].is_known) {
            network->read_root_key(network->self, c->dev_eui,
                                   p->profiles[c->profile].facts.lorawan_version, on_key, call);
        } else {
            network->read_profile(network->self, &p->profiles[c->profile].id, on_device_profile,
                                  call);
        }
        return;
    }
    if (outcome == NETWORK_MISSING || outcome == NETWORK_REFUSED) {
        problem_add(p->problems, "devices", c->dev_eui, "the network server does not know it");
    } else if (outcome != NETWORK_DONE && !p->is_given_up) {
        p->is_given_up = true;
        problem_add(p->problems, "devices", c->dev_eui, "the network server does not answer: %s",
                    text);
    }
    free(call);
    device_done(p);
}

static void ask_devices(struct preflight *p)
{
    struct network_driver *network = &p->daemon->network;

    while (!p->daemon->is_stopping && p->next < p->count && p->in_flight < IN_FLIGHT_MAX &&
           !p->is_given_up && !is_full(p)) {
        struct candidate_call *call = must(malloc(sizeof(*call)));
        *call = (struct candidate_call){.p = p, .index = p->next++};
        p->in_flight++;
        network->read_device(network->self, p->candidates[call->index].dev_eui, on_device, call);
    }
    if (p->in_flight == 0) {
        ask_the_rest(p);
    }
}

/* first: what the draft says */

static void on_draft(void *arg, enum err err, const char *text, const char *json)
{
    struct preflight *p = arg;
    cJSON *draft = err == ERR_OK ? cJSON_Parse(json) : NULL;
    const cJSON *devices = cJSON_GetObjectItem(draft, "devices");
    const char *application = cJSON_GetStringValue(cJSON_GetObjectItem(draft, "application_id"));
    const cJSON *item;

    if (draft == NULL || !cJSON_IsArray(devices) || application == NULL ||
        uuid_parse(application, &p->application_id) != ERR_OK) {
        problem_add(p->problems, "deployment", 0, "the deployment cannot be started: %s",
                    err == ERR_OK ? "what is stored cannot be read" : text);
        cJSON_Delete(draft);
        launch_refuse(p);
        return;
    }
    wish_read(cJSON_GetObjectItem(draft, "wish"), p->problems, &p->wish);
    const cJSON *start_ms = cJSON_GetObjectItem(draft, "start_ms");
    p->start_ms = cJSON_IsNumber(start_ms) ? (int64_t)start_ms->valuedouble : 0;
    p->image_size = (size_t)cJSON_GetNumberValue(cJSON_GetObjectItem(draft, "image_size"));
    p->candidates = must(calloc((size_t)cJSON_GetArraySize(devices) + 1, sizeof(*p->candidates)));
    cJSON_ArrayForEach(item, devices)
    {
        struct candidate *c = &p->candidates[p->count];
        const char *eui = cJSON_GetStringValue(cJSON_GetObjectItem(item, "dev_eui"));
        const cJSON *version = cJSON_GetObjectItem(item, "fragmentation_version");
        const char *busy_in = cJSON_GetStringValue(cJSON_GetObjectItem(item, "busy_in"));
        if (eui == NULL || eui64_parse(eui, &c->dev_eui) != ERR_OK) {
            continue;
        }
        c->known_version = cJSON_IsNumber(version) ? version->valueint : 0;
        if (busy_in != NULL && !is_full(p)) {
            problem_add(p->problems, "devices", c->dev_eui, "it is in the running deployment %s",
                        busy_in);
        }
        p->count++;
    }
    cJSON_Delete(draft);
    if (p->count == 0) {
        problem_add(p->problems, "devices", 0, "the deployment has no devices");
        launch_refuse(p);
        return;
    }
    ask_devices(p);
}

void preflight_run(struct slot *slot, const struct uuid *request_id,
                   const struct uuid *deployment_id, bool is_plan)
{
    struct preflight *p = must(calloc(1, sizeof(*p)));

    p->daemon = slot->daemon;
    p->slot = slot;
    p->fence = slot_fence(slot);
    p->request_id = *request_id;
    p->deployment_id = *deployment_id;
    p->is_plan = is_plan;
    p->problems = must(cJSON_CreateArray());
    store_read_draft(slot->daemon->store, deployment_id, on_draft, p);
}
