/* engine.c - running deployments and the turn of the loop: step, commit, act. */
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "daemon/log.h"
#include "daemon/secrets.h"

#define ACTIONS_FIRST      64
#define STEPS_PER_TURN_MAX 2000

struct pending_action {
    struct uuid id;
    uint64_t generation;
    struct deployment_action action;
};

struct after {
    struct after *next;
    void (*run)(struct daemon *daemon, void *data, bool is_committed);
    void *data;
};

struct turn {
    struct daemon *daemon;
    struct store_turn *store_turn;
    struct pending_action *actions;
    size_t action_count, action_capacity;
    struct after *first_after, **last_after;
    bool has_batch; /* the broker's events in it are acknowledged after the commit */
};

void *must(void *memory)
{
    if (memory == NULL) {
        abort(); /* out of memory: the supervisor starts us again, the store knows where we were */
    }
    return memory;
}

static struct turn *open_turn(struct daemon *daemon)
{
    if (daemon->turn == NULL) {
        struct turn *turn = must(calloc(1, sizeof(*turn)));
        turn->daemon = daemon;
        turn->store_turn = store_turn_new();
        turn->last_after = &turn->first_after;
        daemon->turn = turn;
    }
    return daemon->turn;
}

struct store_turn *engine_store_turn(struct daemon *daemon)
{
    return open_turn(daemon)->store_turn;
}

void engine_after_commit(struct daemon *daemon,
                         void (*run)(struct daemon *daemon, void *data, bool is_committed),
                         void *data)
{
    struct turn *turn = open_turn(daemon);
    struct after *after = must(malloc(sizeof(*after)));

    *after = (struct after){.run = run, .data = data};
    *turn->last_after = after;
    turn->last_after = &after->next;
}

/* running deployments */

static void free_running(struct running *r)
{
    key_wipe(&r->mc_key, sizeof(r->mc_key));
    key_wipe(&r->session_keys, sizeof(r->session_keys));
    free(r->memory);
    free(r->image);
    free(r->lorawan_versions);
    free(r->by_eui);
    free(r);
}

static void drop_running(struct daemon *daemon, struct running *gone)
{
    for (struct running **r = &daemon->running; *r != NULL; r = &(*r)->next) {
        if (*r == gone) {
            *r = gone->next;
            free_running(gone);
            return;
        }
    }
}

struct running *engine_find(struct daemon *daemon, const struct uuid *id)
{
    for (struct running *r = daemon->running; r != NULL; r = r->next) {
        if (memcmp(&r->id, id, sizeof(*id)) == 0) {
            return r;
        }
    }
    return NULL;
}

void engine_set_applications(struct daemon *daemon)
{
    size_t count = 0;

    for (const struct running *r = daemon->running; r != NULL; r = r->next) {
        count++;
    }
    struct uuid *applications = must(calloc(count + CONFIG_LIST_MAX + 1, sizeof(*applications)));
    count = 0;
    for (const struct running *r = daemon->running; r != NULL; r = r->next) {
        applications[count++] = r->application_id;
    }
    for (char *const *a = daemon->config.clock_service_applications; *a != NULL; a++) {
        if (uuid_parse(*a, &applications[count]) == ERR_OK) { /* checked by config.c */
            count++;
        }
    }
    daemon->network.set_applications(daemon->network.self, applications, count);
    free(applications);
}

static const char *final_state(const struct deployment *d)
{
    uint32_t delivered = deployment_stage_count(d, DEVICE_DELIVERED);

    if (deployment_get_transmission(d)->is_aborted) {
        return "aborted";
    }
    return delivered == deployment_get_params(d)->device_count ? "completed"
           : delivered > 0                                     ? "partial"
                                                               : "failed";
}

static void plan_timer(struct daemon *daemon);

/* What a device said of its version serves later deployments, too. */
static void save_version(struct daemon *daemon, const struct device *before,
                         const struct device *dev)
{
    if ((before->flags & DEVICE_HAS_VERSION) == 0 && (dev->flags & DEVICE_HAS_VERSION) != 0) {
        store_turn_version_known(engine_store_turn(daemon), dev->dev_eui, 1);
    } else if (dev->reason == REASON_VERSION_UNSUPPORTED && before->reason != dev->reason) {
        store_turn_version_known(engine_store_turn(daemon), dev->dev_eui, dev->reason_bits);
    }
}

void engine_step(struct daemon *daemon, struct running *r, struct deployment_event *event)
{
    struct deployment_actions actions;
    struct turn *turn = open_turn(daemon);

    if (daemon->is_reloading || daemon->is_stopping) {
        return;
    }
    bool is_uplink = event->kind == DEPLOYMENT_EVENT_UPLINK;
    struct device before = *deployment_get_device(r->d, is_uplink ? event->device_index : 0);
    event->now_ms = daemon_now_ms(daemon);
    deployment_step(r->d, event, &actions);
    if (is_uplink) {
        save_version(daemon, &before, deployment_get_device(r->d, event->device_index));
    }
    store_turn_save(turn->store_turn, &r->id, r->d);
    r->is_changed = true;
    for (size_t i = 0; i < actions.count; i++) {
        const struct deployment_action *action = &actions.items[i];
        if (action->kind == DEPLOYMENT_ACTION_FRAME) {
            store_turn_frame(turn->store_turn, &r->id, r->d, action);
        } else if (action->kind == DEPLOYMENT_ACTION_FINISHED) {
            store_turn_finish(turn->store_turn, &r->id, final_state(r->d));
        }
        if (turn->action_count == turn->action_capacity) {
            turn->action_capacity =
                turn->action_capacity == 0 ? ACTIONS_FIRST : 2 * turn->action_capacity;
            turn->actions =
                must(realloc(turn->actions, turn->action_capacity * sizeof(*turn->actions)));
        }
        turn->actions[turn->action_count++] =
            (struct pending_action){.id = r->id, .generation = r->generation, .action = *action};
    }
    plan_timer(daemon);
}

/* the timer of all deadlines */

static void on_timer(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    unsigned steps = 0;

    /* Protocol time may pass faster than commits: the open turn is bounded. */
    for (struct running *r = daemon->running; r != NULL; r = r->next) {
        while (steps < STEPS_PER_TURN_MAX && deployment_deadline(r->d) <= daemon_now_ms(daemon)) {
            engine_step(daemon, r, &(struct deployment_event){.kind = DEPLOYMENT_EVENT_TIMER});
            steps++;
            if (daemon->is_reloading || daemon->is_stopping) {
                return;
            }
        }
    }
    plan_timer(daemon);
}

static void plan_timer(struct daemon *daemon)
{
    int64_t deadline_ms = DEPLOYMENT_NEVER;

    for (const struct running *r = daemon->running; r != NULL; r = r->next) {
        int64_t at_ms = deployment_deadline(r->d);
        if (at_ms < deadline_ms) {
            deadline_ms = at_ms;
        }
    }
    if (deadline_ms == DEPLOYMENT_NEVER || daemon->is_reloading || daemon->is_stopping) {
        uv_timer_stop(&daemon->timer);
        return;
    }
    uv_update_time(&daemon->loop);
    uint64_t wait_ms = clock_wait_ms(&daemon->clock, deadline_ms - daemon_now_ms(daemon));
    if (wait_ms > 60000) {
        wait_ms = 60000; /* the machine's clock may be stepped */
    }
    uv_timer_start(&daemon->timer, on_timer, wait_ms, 0);
}

/* the turn */

static void free_turn(struct turn *turn)
{
    free(turn->actions);
    free(turn);
}

static void run_after(struct turn *turn, bool is_committed)
{
    while (turn->first_after != NULL) {
        struct after *after = turn->first_after;
        turn->first_after = after->next;
        after->run(turn->daemon, after->data, is_committed);
        free(after);
    }
}

static void forget_everything(struct daemon *daemon)
{
    while (daemon->running != NULL) {
        drop_running(daemon, daemon->running);
    }
}

static void on_commit(void *arg, enum err err, const char *text)
{
    struct turn *turn = arg;
    struct daemon *daemon = turn->daemon;

    daemon->commits_in_flight--;
    run_after(turn, err == ERR_OK);
    if (err != ERR_OK && !daemon->is_stopping) {
        log_error("store: a commit failed, the deployments are loaded again: %s", text);
        if (turn->has_batch) {
            daemon->network.reject(daemon->network.self);
        }
        daemon->must_reload = true;
    } else if (!daemon->must_reload && err == ERR_OK) {
        if (turn->has_batch) {
            daemon->network.acknowledge(daemon->network.self);
        }
        for (size_t i = 0; i < turn->action_count; i++) {
            const struct pending_action *pending = &turn->actions[i];
            struct running *r = engine_find(daemon, &pending->id);
            if (r == NULL || r->generation != pending->generation) {
                continue;
            }
            if (pending->action.kind == DEPLOYMENT_ACTION_FINISHED) {
                char id[UUID_TEXT_SIZE];
                uuid_format(&r->id, id);
                log_info("deployment: over state=%s delivered=%u failed=%u deployment=%s",
                         final_state(r->d), deployment_stage_count(r->d, DEVICE_DELIVERED),
                         deployment_stage_count(r->d, DEVICE_FAILED), id);
                api_publish_changes(daemon);
                drop_running(daemon, r);
                engine_set_applications(daemon);
            } else {
                action_perform(daemon, r, &pending->action);
            }
        }
    } else if (turn->has_batch && !daemon->is_stopping) {
        daemon->network.reject(daemon->network.self);
    }
    free_turn(turn);
    if (daemon->must_reload && daemon->commits_in_flight == 0 && !daemon->is_stopping) {
        engine_reload(daemon);
    }
}

static void commit(struct daemon *daemon)
{
    struct turn *turn = daemon->turn;

    daemon->turn = NULL;
    daemon->commits_in_flight++;
    /* Nothing may have changed, but events wait for their acknowledgement: an empty batch keeps the
     * order. */
    store_turn_commit(daemon->store, turn->store_turn, on_commit, turn);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct daemon *daemon = prepare->data;

    if (daemon->turn != NULL && daemon->commits_in_flight == 0 && !daemon->must_reload) {
        commit(daemon);
    }
}

bool engine_is_loaded(const struct daemon *daemon)
{
    return daemon->is_loaded && !daemon->is_reloading && !daemon->must_reload &&
           daemon->loads_left == 0;
}

bool engine_is_quiet(const struct daemon *daemon)
{
    return daemon->turn == NULL && daemon->commits_in_flight == 0;
}

/* the network server's events */

static bool find_device(const struct running *r, uint64_t dev_eui, uint32_t *ret_index)
{
    uint32_t low = 0, high = deployment_get_params(r->d)->device_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        uint64_t eui = deployment_get_device(r->d, r->by_eui[middle])->dev_eui;
        if (eui == dev_eui) {
            *ret_index = r->by_eui[middle];
            return true;
        }
        if (eui < dev_eui) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}

void engine_on_network_event(void *arg, const struct network_event *event)
{
    struct daemon *daemon = arg;
    struct deployment_event out = {0};

    if (!engine_is_loaded(daemon) || daemon->is_stopping) {
        return; /* the batch is rejected, or comes again after the restart */
    }
    if (event->kind == NETWORK_UPLINK) {
        clock_service_on_uplink(daemon, event);
    } else if (event->kind == NETWORK_JOIN) {
        clock_service_on_join(daemon, event);
    }
    for (struct running *r = daemon->running; r != NULL; r = r->next) {
        if (!find_device(r, event->dev_eui, &out.device_index)) {
            continue;
        }
        switch (event->kind) {
        case NETWORK_UPLINK:
            out.kind = DEPLOYMENT_EVENT_UPLINK;
            out.u.uplink.received_ms = event->received_ms;
            out.u.uplink.data = event->data;
            out.u.uplink.data_size = event->data_size;
            out.u.uplink.f_port = event->f_port;
            out.u.uplink.gateway_count = event->gateway_count;
            memcpy(out.u.uplink.gateways, event->gateways, sizeof(event->gateways));
            break;
        case NETWORK_JOIN:
            out.kind = DEPLOYMENT_EVENT_JOIN;
            break;
        case NETWORK_TXACK:
            out.kind = DEPLOYMENT_EVENT_TXACK;
            out.u.item_id = event->item_id;
            break;
        case NETWORK_DROPPED:
            out.kind = DEPLOYMENT_EVENT_ITEM_DROPPED;
            out.u.item_id = event->item_id;
            break;
        }
        engine_step(daemon, r, &out);
    }
}

void engine_on_batch(void *arg)
{
    struct daemon *daemon = arg;

    if (daemon->is_stopping) {
        return; /* never acknowledged: it comes again after the next start */
    }
    if (!engine_is_loaded(daemon)) {
        daemon->network.reject(daemon->network.self);
        return;
    }
    open_turn(daemon)->has_batch = true;
}

/* loading */

static const struct running *ordering; /* of the comparison below; one thread */

static int by_eui(const void *a, const void *b)
{
    uint64_t x = deployment_get_device(ordering->d, *(const uint32_t *)a)->dev_eui;
    uint64_t y = deployment_get_device(ordering->d, *(const uint32_t *)b)->dev_eui;

    return x < y ? -1 : x > y;
}

static enum err make_running(struct daemon *daemon, struct stored_deployment *stored,
                             struct running *r)
{
    uint8_t mc_key[64];
    uint32_t count = stored->params.device_count;

    r->id = stored->id;
    r->application_id = stored->application_id;
    r->generation = ++daemon->next_generation;
    if (stored->mc_key_sealed_size != KEY_SIZE + SEAL_OVERHEAD ||
        unseal(daemon->config.seal_key, stored->mc_key_sealed, stored->mc_key_sealed_size,
               mc_key) != ERR_OK) {
        log_error("deployment: its multicast key cannot be opened with keys.seal_key_file");
        return ERR_FORMAT;
    }
    memcpy(r->mc_key.octets, mc_key, KEY_SIZE);
    key_wipe(mc_key, sizeof(mc_key));
    enum err err = key_mc_session(&r->mc_key, stored->params.mc_addr, &r->session_keys);
    if (err != ERR_OK) {
        return err;
    }
    r->image = stored->image;
    stored->image = NULL;
    err = fec_block_init(&r->block, FEC_V1, r->image, stored->image_size,
                         stored->params.fragment_size);
    if (err != ERR_OK) {
        return err;
    }
    r->memory = must(malloc(deployment_size(count)));
    if (stored->is_new) {
        r->d = deployment_init(r->memory, &stored->params, stored->devices);
    } else {
        err = deployment_restore(r->memory, &stored->params, &stored->transmission, stored->devices,
                                 &r->d);
        if (err != ERR_OK) {
            return err;
        }
    }
    r->lorawan_versions = stored->lorawan_versions;
    stored->lorawan_versions = NULL;
    r->by_eui = must(calloc(count, sizeof(*r->by_eui)));
    for (uint32_t i = 0; i < count; i++) {
        r->by_eui[i] = i;
    }
    ordering = r;
    qsort(r->by_eui, count, sizeof(*r->by_eui), by_eui);
    return ERR_OK;
}

struct load_call {
    struct daemon *daemon;
    struct uuid id;
    bool is_start; /* of a new deployment: nobody waits for it */
};

static void load_ended(struct daemon *daemon, bool is_start)
{
    if (is_start) {
        if (engine_is_loaded(daemon)) {
            engine_set_applications(daemon);
        }
        return;
    }
    if (daemon->loads_left > 0 && --daemon->loads_left == 0 && !daemon->must_reload &&
        !daemon->is_reloading) {
        engine_set_applications(daemon);
        requests_run_open(daemon, !daemon->is_loaded);
        daemon->is_loaded = true;
    }
}

static void on_load(void *arg, enum err err, const char *text, struct stored_deployment *stored)
{
    struct load_call *call = arg;
    struct daemon *daemon = call->daemon;
    char id[UUID_TEXT_SIZE];

    bool is_start = call->is_start;

    uuid_format(&call->id, id);
    free(call);
    if (daemon->is_reloading) { /* of an earlier loading: the one under way brings it again */
        load_ended(daemon, is_start);
        return;
    }
    if (err != ERR_OK) {
        log_error("deployment: cannot be loaded: %s deployment=%s", text, id);
        if (err == ERR_UNAVAILABLE) {
            daemon->must_reload = true;
        }
        load_ended(daemon, is_start);
        return;
    }
    struct running *r = must(calloc(1, sizeof(*r)));
    bool is_new = stored->is_new;
    if (engine_find(daemon, &stored->id) != NULL || make_running(daemon, stored, r) != ERR_OK) {
        log_error("deployment: what is stored cannot be used deployment=%s", id);
        free_running(r);
        load_ended(daemon, is_start);
        return;
    }
    r->next = daemon->running;
    daemon->running = r;
    log_info("deployment: %s state=%s deployment=%s", is_new ? "begins" : "goes on",
             transmission_state_name(deployment_get_transmission(r->d)->state), id);
    load_ended(daemon, is_start);
    engine_step(daemon, r,
                &(struct deployment_event){.kind = is_new ? DEPLOYMENT_EVENT_BEGIN
                                                          : DEPLOYMENT_EVENT_RESTORED});
}

static void load(struct daemon *daemon, const struct uuid *id, bool is_start)
{
    struct load_call *call = must(malloc(sizeof(*call)));

    *call = (struct load_call){.daemon = daemon, .id = *id, .is_start = is_start};
    daemon->loads_left += !is_start;
    store_load(daemon->store, id, on_load, call);
}

void engine_load_one(struct daemon *daemon, const struct uuid *id)
{
    load(daemon, id, true);
}

static void on_running(void *arg, enum err err, const char *text, const struct uuid *ids,
                       size_t count)
{
    struct daemon *daemon = arg;

    daemon->is_reloading = false;
    if (err != ERR_OK) {
        log_error("store: the running deployments cannot be listed: %s", text);
        daemon->must_reload = true; /* the janitor tries again */
        return;
    }
    daemon->loads_left++; /* for this function itself */
    for (size_t i = 0; i < count; i++) {
        load(daemon, &ids[i], false);
    }
    load_ended(daemon, false);
}

void engine_reload(struct daemon *daemon)
{
    if (daemon->is_reloading || daemon->commits_in_flight > 0) {
        return;
    }
    daemon->is_reloading = true;
    daemon->must_reload = false;
    if (daemon->turn != NULL) { /* of what is thrown away */
        struct turn *turn = daemon->turn;
        daemon->turn = NULL;
        run_after(turn, false);
        if (turn->has_batch) {
            daemon->network.reject(daemon->network.self);
        }
        store_turn_free(turn->store_turn);
        free_turn(turn);
    }
    forget_everything(daemon);
    plan_timer(daemon);
    store_list_running(daemon->store, on_running, daemon);
}

void engine_start(struct daemon *daemon)
{
    uv_timer_init(&daemon->loop, &daemon->timer);
    uv_prepare_init(&daemon->loop, &daemon->prepare);
    daemon->timer.data = daemon->prepare.data = daemon;
    uv_prepare_start(&daemon->prepare, on_prepare);
    engine_reload(daemon);
}

void engine_release(struct daemon *daemon)
{
    forget_everything(daemon);
    if (daemon->turn != NULL) {
        run_after(daemon->turn, false);
        store_turn_free(daemon->turn->store_turn);
        free_turn(daemon->turn);
        daemon->turn = NULL;
    }
}
