/* engine.c - the turn of the loop: step, commit, act. */
#include <stdlib.h>
#include <string.h>

#include "crash.h"
#include "daemon.h"
#include "daemon/log.h"
#include "failpoint.h"

#define ACTIONS_FIRST      64
#define STEPS_PER_TURN_MAX 2000
#define TIMER_MAX_MS       60000
#define RELOAD_FIRST_MS    250
#define RELOAD_LAST_MS     10000

/* Commits after which a deployment's crashes are forgotten. */
#define GOOD_COMMITS 100

/* No device sends so many uplinks in a minute of its own: each has two receive windows to wait for.
 */
#define UPLINKS_PER_MINUTE_MAX 60
#define FLOOD_LOG_MS           60000

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
    struct running **changed; /* to be saved with it, each once */
    size_t changed_count, changed_capacity;
    struct pending_action *actions;
    size_t action_count, action_capacity;
    struct after *first_after, **last_after;
    bool has_slot[STORE_SLOT_COUNT];  /* it saves something in the slot's name */
    bool has_batch[STORE_SLOT_COUNT]; /* it has events of the slot: acknowledged when committed */
};

void *must(void *memory)
{
    if (memory == NULL) {
        abort(); /* out of memory: the supervisor starts us again, the store knows where we were */
    }
    return memory;
}

/* the open turn */

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

struct store_turn *engine_store_turn(struct slot *slot)
{
    struct turn *turn = open_turn(slot->daemon);

    turn->has_slot[slot->index] = true;
    return turn->store_turn;
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

static void add_changed(struct turn *turn, struct running *r)
{
    turn->has_slot[r->slot->index] = true;
    if (r->is_in_turn) {
        return;
    }
    if (turn->changed_count == turn->changed_capacity) {
        turn->changed_capacity = turn->changed_capacity == 0 ? 16 : 2 * turn->changed_capacity;
        turn->changed =
            must(realloc(turn->changed, turn->changed_capacity * sizeof(*turn->changed)));
    }
    turn->changed[turn->changed_count++] = r;
    r->is_in_turn = true;
}

static void add_action(struct turn *turn, const struct running *r,
                       const struct deployment_action *action)
{
    if (turn->action_count == turn->action_capacity) {
        turn->action_capacity =
            turn->action_capacity == 0 ? ACTIONS_FIRST : 2 * turn->action_capacity;
        turn->actions =
            must(realloc(turn->actions, turn->action_capacity * sizeof(*turn->actions)));
    }
    turn->actions[turn->action_count++] =
        (struct pending_action){.id = r->id, .generation = r->generation, .action = *action};
}

void engine_forget(struct daemon *daemon, struct running *r)
{
    struct turn *turn = daemon->turn;

    for (size_t i = 0; turn != NULL && i < turn->changed_count; i++) {
        if (turn->changed[i] == r) {
            store_turn_save(turn->store_turn, &r->id, r->d);
            turn->changed[i] = turn->changed[--turn->changed_count];
            return;
        }
    }
}

/* step */

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

/* What a device said of its version serves later deployments, too. */
static void save_version(struct store_turn *turn, const struct device *before,
                         const struct device *dev)
{
    if ((before->flags & DEVICE_HAS_VERSION) == 0 && (dev->flags & DEVICE_HAS_VERSION) != 0) {
        store_turn_version_known(turn, dev->dev_eui, 1);
    } else if (dev->reason == REASON_VERSION_UNSUPPORTED && before->reason != dev->reason) {
        store_turn_version_known(turn, dev->dev_eui, dev->reason_bits);
    }
}

void engine_step(struct daemon *daemon, struct running *r, struct deployment_event *event)
{
    struct deployment_actions actions;

    if (daemon->is_stopping || r->d == NULL) {
        return;
    }
    struct turn *turn = open_turn(daemon);
    bool is_uplink = event->kind == DEPLOYMENT_EVENT_UPLINK;
    struct device before = *deployment_get_device(r->d, is_uplink ? event->device_index : 0);
    event->now_ms = daemon_now_ms(daemon);
    crash_enter(&r->id, event);
    FAILPOINT_POISON(event);
    deployment_step(r->d, event, &actions);
    crash_leave();
    if (is_uplink) {
        save_version(turn->store_turn, &before, deployment_get_device(r->d, event->device_index));
    }
    add_changed(turn, r);
    store_turn_save_notes(turn->store_turn, &r->id, r->d);
    r->is_changed = true;
    for (size_t i = 0; i < actions.count; i++) {
        const struct deployment_action *action = &actions.items[i];
        if (action->kind == DEPLOYMENT_ACTION_FRAME) {
            store_turn_frame(turn->store_turn, &r->id, r->d, action);
        } else if (action->kind == DEPLOYMENT_ACTION_FINISHED) {
            store_turn_finish(turn->store_turn, &r->id, final_state(r->d));
        }
        add_action(turn, r, action);
    }
    running_plan(daemon, r);
}

/* the timer of all deadlines */

static void on_timer(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    struct running *r;

    /* Protocol time may pass faster than commits: the open turn is bounded. */
    for (unsigned steps = 0; steps < STEPS_PER_TURN_MAX && !daemon->is_stopping; steps++) {
        r = running_first(daemon);
        if (r == NULL || deployment_deadline(r->d) > daemon_now_ms(daemon)) {
            return;
        }
        engine_step(daemon, r, &(struct deployment_event){.kind = DEPLOYMENT_EVENT_TIMER});
    }
}

static void plan_timer(struct daemon *daemon)
{
    const struct running *r = running_first(daemon);

    if (r == NULL || daemon->is_stopping) {
        uv_timer_stop(&daemon->timer);
        return;
    }
    uv_update_time(&daemon->loop);
    uint64_t wait_ms =
        clock_wait_ms(&daemon->clock, deployment_deadline(r->d) - daemon_now_ms(daemon));
    if (wait_ms > TIMER_MAX_MS) {
        wait_ms = TIMER_MAX_MS; /* the machine's clock may be stepped */
    }
    uv_timer_start(&daemon->timer, on_timer, wait_ms, 0);
}

/* act */

static void free_turn(struct turn *turn)
{
    free(turn->changed);
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

static void finish(struct daemon *daemon, struct running *r)
{
    char id[UUID_TEXT_SIZE];
    struct slot *slot = r->slot;

    uuid_format(&r->id, id);
    log_info("deployment: over state=%s delivered=%u failed=%u deployment=%s", final_state(r->d),
             deployment_stage_count(r->d, DEVICE_DELIVERED),
             deployment_stage_count(r->d, DEVICE_FAILED), id);
    api_publish_changes(daemon);
    running_drop(daemon, r);
    slot_set_applications(slot);
}

static void act(struct daemon *daemon, const struct pending_action *pending)
{
    struct running *r = running_find(daemon, &pending->id);

    if (r == NULL || r->generation != pending->generation) {
        return;
    }
    if (pending->action.kind == DEPLOYMENT_ACTION_FINISHED) {
        FAILPOINT(ACT_FINISHED);
        finish(daemon, r);
    } else if (slot_is_ours(r->slot)) {
        action_perform(daemon, r, &pending->action);
    } else {
        daemon->must_reload = true; /* we slept: whoever owns it by now derives its actions anew */
    }
}

static void answer_batches(struct turn *turn, bool is_committed)
{
    struct daemon *daemon = turn->daemon;

    for (unsigned i = 0; i < STORE_SLOT_COUNT; i++) {
        struct network_stream *stream = daemon->slots[i].stream;
        if (!turn->has_batch[i] || stream == NULL) {
            continue;
        }
        if (is_committed) {
            daemon->network.acknowledge(stream);
        } else {
            daemon->network.reject(stream);
        }
    }
}

/* At once after the first commit that fails, then less and less often. */
static void plan_reload(struct daemon *daemon)
{
    uint64_t pause_ms = daemon->reload_pause_ms;

    daemon->must_reload = true;
    daemon->reload_at = uv_now(&daemon->loop) + pause_ms;
    pause_ms = pause_ms == 0 ? RELOAD_FIRST_MS : 2 * pause_ms;
    daemon->reload_pause_ms = pause_ms < RELOAD_LAST_MS ? pause_ms : RELOAD_LAST_MS;
}

static void on_commit(void *arg, enum err err, const char *text)
{
    struct turn *turn = arg;
    struct daemon *daemon = turn->daemon;
    bool is_good = err == ERR_OK && !daemon->must_reload;

    FAILPOINT(COMMITTED);
    daemon->commits_in_flight--;
    run_after(turn, err == ERR_OK);
    if (err != ERR_OK && !daemon->is_stopping) {
        log_error("store: a commit failed, the deployments are loaded again: %s", text);
        plan_reload(daemon);
    }
    if (is_good) {
        daemon->reload_pause_ms = 0;
    }
    if (is_good || !daemon->is_stopping) {
        answer_batches(turn, is_good);
    }
    FAILPOINT(ACKNOWLEDGED);
    for (size_t i = 0; is_good && i < turn->action_count; i++) {
        act(daemon, &turn->actions[i]);
    }
    FAILPOINT(ACTED);
    free_turn(turn);
}

/* commit */

static void forgive(struct turn *turn, struct running *r)
{
    if (r->crash_count > 0 && ++r->good_commits == GOOD_COMMITS) {
        r->crash_count = 0;
        store_turn_forgive(turn->store_turn, &r->id);
    }
}

static void commit(struct daemon *daemon)
{
    struct turn *turn = daemon->turn;

    FAILPOINT(COMMIT_BEGINS);
    daemon->turn = NULL;
    daemon->commits_in_flight++;
    for (size_t i = 0; i < turn->changed_count; i++) {
        struct running *r = turn->changed[i];
        r->is_in_turn = false;
        store_turn_save(turn->store_turn, &r->id, r->d);
        forgive(turn, r);
    }
    for (unsigned i = 0; i < STORE_SLOT_COUNT; i++) {
        if (turn->has_slot[i]) {
            struct store_fence fence = slot_fence(&daemon->slots[i]);
            store_turn_fence(turn->store_turn, &fence);
        }
    }
    /* Nothing may have changed, but events wait for their acknowledgement: an empty batch keeps the
     * order. */
    store_turn_commit(daemon->store, turn->store_turn, on_commit, turn);
    FAILPOINT(COMMIT_SENT);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct daemon *daemon = prepare->data;

    if (daemon->must_reload && daemon->commits_in_flight == 0 && !daemon->is_stopping &&
        uv_now(&daemon->loop) >= daemon->reload_at) {
        engine_reload(daemon);
    }
    if (daemon->turn != NULL && daemon->commits_in_flight == 0 && !daemon->must_reload) {
        commit(daemon);
    }
    plan_timer(daemon);
}

bool engine_is_quiet(const struct daemon *daemon)
{
    return daemon->turn == NULL && daemon->commits_in_flight == 0;
}

static void discard_turn(struct daemon *daemon)
{
    struct turn *turn = daemon->turn;

    if (turn == NULL) {
        return;
    }
    daemon->turn = NULL;
    for (size_t i = 0; i < turn->changed_count; i++) {
        turn->changed[i]->is_in_turn = false;
    }
    run_after(turn, false);
    if (!daemon->is_stopping) {
        answer_batches(turn, false);
    }
    store_turn_free(turn->store_turn);
    free_turn(turn);
}

void engine_reload(struct daemon *daemon)
{
    daemon->must_reload = false;
    discard_turn(daemon);
    for (unsigned i = 0; i < STORE_SLOT_COUNT; i++) {
        struct slot *slot = &daemon->slots[i];
        running_drop_slot(daemon, slot);
        if (slot->state == SLOT_LOADING || slot->state == SLOT_READY) {
            slot->state = SLOT_HELD;
            slot->load_number++;
        }
    }
    slots_renew(daemon);
}

/* the network server's events */

/* A device that floods must not slow the others down: what is too much is dropped unread. */
static bool is_flood(struct daemon *daemon, struct running *r, uint32_t index,
                     const struct network_event *event)
{
    struct flood *flood = &r->floods[index];
    uint32_t minute = (uint32_t)(event->received_ms / 60000);
    char id[UUID_TEXT_SIZE];

    if (flood->minute != minute) {
        *flood = (struct flood){.minute = minute};
    }
    if (flood->count < UPLINKS_PER_MINUTE_MAX) {
        flood->count++;
        return false;
    }
    r->flood_count++;
    if (uv_now(&daemon->loop) >= r->next_flood_log) {
        r->next_flood_log = uv_now(&daemon->loop) + FLOOD_LOG_MS;
        uuid_format(&r->id, id);
        log_warning("network: a device sends more than %d uplinks in a minute, what is more is "
                    "dropped dev_eui=%016llx dropped=%u deployment=%s",
                    UPLINKS_PER_MINUTE_MAX, (unsigned long long)event->dev_eui, r->flood_count, id);
        r->flood_count = 0;
    }
    return true;
}

static void to_deployment_event(const struct network_event *event, uint32_t index,
                                struct deployment_event *ret)
{
    _Static_assert(sizeof(ret->u.uplink.gateways) >= sizeof(event->gateways), "all are passed on");

    *ret = (struct deployment_event){.device_index = index};
    switch (event->kind) {
    case NETWORK_UPLINK:
        ret->kind = DEPLOYMENT_EVENT_UPLINK;
        ret->u.uplink.received_ms = event->received_ms;
        ret->u.uplink.data = event->data;
        ret->u.uplink.data_size = event->data_size;
        ret->u.uplink.f_port = event->f_port;
        ret->u.uplink.gateway_count = event->gateway_count;
        memcpy(ret->u.uplink.gateways, event->gateways, sizeof(event->gateways));
        break;
    case NETWORK_JOIN:
        ret->kind = DEPLOYMENT_EVENT_JOIN;
        break;
    case NETWORK_TXACK:
        ret->kind = DEPLOYMENT_EVENT_TXACK;
        ret->u.item_id = event->item_id;
        break;
    case NETWORK_DROPPED:
        ret->kind = DEPLOYMENT_EVENT_ITEM_DROPPED;
        ret->u.item_id = event->item_id;
        break;
    }
}

void engine_step_network_event(struct daemon *daemon, struct running *r, uint32_t index,
                               const struct network_event *event)
{
    struct deployment_event out;

    to_deployment_event(event, index, &out);
    engine_step(daemon, r, &out);
}

static bool has_id(const struct uuid *ids, size_t count, const struct uuid *id)
{
    for (size_t i = 0; i < count; i++) {
        if (memcmp(&ids[i], id, sizeof(*id)) == 0) {
            return true;
        }
    }
    return false;
}

bool engine_is_observed(const struct daemon *daemon, const struct uuid *application_id)
{
    return has_id(daemon->config.observe_ids, daemon->config.observe_id_count, application_id);
}

/* An application of the clock service may have requests from any of its devices. */
static bool is_clock_served(const struct daemon *daemon, const struct uuid *application_id)
{
    const struct config *config = &daemon->config;

    return config->clock_service_enabled &&
           has_id(config->clock_service_ids, config->clock_service_id_count, application_id);
}

bool engine_is_wanted(void *arg, const struct uuid *application_id, uint64_t dev_eui)
{
    const struct slot *slot = arg;
    const struct daemon *daemon = slot->daemon;
    size_t cursor = 0;
    uint32_t index;

    /* Before it is known what runs, the batch is rejected. */
    return slot->state != SLOT_READY || daemon->must_reload || daemon->is_stopping ||
           is_clock_served(daemon, application_id) || engine_is_observed(daemon, application_id) ||
           running_of_device(daemon, dev_eui, &cursor, &index) != NULL;
}

void engine_on_network_event(void *arg, const struct network_event *event)
{
    struct slot *slot = arg;
    struct daemon *daemon = slot->daemon;
    struct running *r;
    size_t cursor = 0;
    uint32_t index;

    if (slot->state != SLOT_READY || daemon->must_reload || daemon->is_stopping) {
        return; /* the batch is rejected, or comes again after the restart */
    }
    if (event->kind == NETWORK_UPLINK) {
        if (is_clock_served(daemon, &event->application_id) ||
            running_of_device(daemon, event->dev_eui, &cursor, &index) != NULL) {
            clock_service_on_uplink(slot, event);
        }
        cursor = 0;
        heard_on_uplink(daemon, event);
    } else if (event->kind == NETWORK_JOIN) {
        clock_service_on_join(daemon, event);
    }
    while ((r = running_of_device(daemon, event->dev_eui, &cursor, &index)) != NULL) {
        if (event->kind == NETWORK_UPLINK && is_flood(daemon, r, index, event)) {
            continue;
        }
        if (r->d == NULL) {
            suspended_hold(r, event);
        } else {
            engine_step_network_event(daemon, r, index, event);
        }
    }
}

void engine_on_batch(void *arg)
{
    struct slot *slot = arg;
    struct daemon *daemon = slot->daemon;

    if (daemon->is_stopping) {
        return; /* never acknowledged: it comes again after the next start */
    }
    if (slot->state != SLOT_READY || daemon->must_reload) {
        daemon->network.reject(slot->stream);
        return;
    }
    open_turn(daemon)->has_batch[slot->index] = true;
}

/* start and end */

void engine_start(struct daemon *daemon)
{
    uv_timer_init(&daemon->loop, &daemon->timer);
    uv_prepare_init(&daemon->loop, &daemon->prepare);
    daemon->timer.data = daemon->prepare.data = daemon;
    uv_prepare_start(&daemon->prepare, on_prepare);
}

void engine_release(struct daemon *daemon)
{
    discard_turn(daemon);
    running_release(daemon);
}
