/* actions.c - what deployments ask for, carried out at the network server after the commit. */
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "daemon/log.h"
#include "deployment/command.h"
#include "failpoint.h"
#include "lorawan/fragmentation.h"

#define GROUP_NAME_SIZE 64

/* A call under way, or one whose report waits; the deployment may be gone, or another life of it,
 * when it reports. */
struct call {
    struct call *next;  /* of those that wait */
    uint64_t report_at; /* uv_now() */
    struct daemon *daemon;
    struct uuid id;
    uint64_t generation;
    struct deployment_action action;
    struct command_bytes bytes; /* CHECK_QUEUE compares with them */
};

static struct call *call_new(struct daemon *daemon, const struct running *r,
                             const struct deployment_action *action)
{
    struct call *call = must(calloc(1, sizeof(*call)));

    *call = (struct call){
        .daemon = daemon, .id = r->id, .generation = r->generation, .action = *action};
    return call;
}

/* Ends the call: steps its event if the deployment is still the one that asked. */
static void report(struct call *call, struct deployment_event *event)
{
    struct running *r = running_find(call->daemon, &call->id);

    FAILPOINT(CALL_ANSWERED);
    event->device_index = call->action.device_index;
    if (r != NULL && r->generation == call->generation) {
        engine_step(call->daemon, r, event);
    }
    free(call);
}

static void log_failure(const struct call *call, const char *what, const char *text)
{
    char id[UUID_TEXT_SIZE];

    uuid_format(&call->id, id);
    log_warning("network: %s: %s deployment=%s", what, text, id);
}

static bool is_final(enum network_outcome outcome)
{
    return outcome == NETWORK_REFUSED || outcome == NETWORK_MISSING;
}

/* the group */

/* A later group of the same transmission has another name. */
static void group_name(const struct running *r, char name[GROUP_NAME_SIZE])
{
    uint32_t number = deployment_get_transmission(r->d)->group_number;
    char text[UUID_TEXT_SIZE];

    uuid_format(&r->id, text);
    if (number == 0) {
        snprintf(name, GROUP_NAME_SIZE, "fuotad %s", text);
    } else {
        snprintf(name, GROUP_NAME_SIZE, "fuotad %s %u", text, number + 1);
    }
}

static void on_group(void *arg, enum network_outcome outcome, const char *text,
                     const struct network_answer *answer)
{
    struct call *call = arg;
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_GROUP_FAILED};

    if (outcome == NETWORK_DONE) {
        switch (call->action.kind) {
        case DEPLOYMENT_ACTION_CREATE_GROUP:
            event.kind = DEPLOYMENT_EVENT_GROUP_CREATED;
            event.u.group_id = answer->id;
            break;
        case DEPLOYMENT_ACTION_SET_GATEWAYS:
            event.kind = DEPLOYMENT_EVENT_GATEWAYS_SET;
            break;
        case DEPLOYMENT_ACTION_DELETE_GROUP:
        case DEPLOYMENT_ACTION_DELETE_OLD_GROUP:
            event.kind = DEPLOYMENT_EVENT_GROUP_DELETED;
            break;
        case DEPLOYMENT_ACTION_READ_COUNTER:
            event.kind = DEPLOYMENT_EVENT_COUNTER;
            event.u.f_cnt = answer->f_cnt;
            break;
        case DEPLOYMENT_ACTION_READ_OLD_QUEUE:
        case DEPLOYMENT_ACTION_FRAME:
        case DEPLOYMENT_ACTION_COMMAND:
        case DEPLOYMENT_ACTION_CHECK_QUEUE:
        case DEPLOYMENT_ACTION_FINISHED:
            break;
        }
    } else {
        log_failure(call, "multicast group", text);
        event.u.failure.is_final = is_final(outcome);
    }
    report(call, &event);
}

/* What another daemon's group still has to send. */
static void on_old_queue(void *arg, enum network_outcome outcome, const char *text,
                         const struct network_answer *answer)
{
    struct call *call = arg;
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_OLD_QUEUE};
    uint16_t *numbers = NULL;

    if (outcome != NETWORK_DONE && outcome != NETWORK_MISSING) {
        log_failure(call, "the queue of the group before cannot be read", text);
        event.kind = DEPLOYMENT_EVENT_GROUP_FAILED;
        event.u.failure.is_final = false;
    } else if (outcome == NETWORK_DONE) {
        numbers = must(calloc(answer->item_count + 1, sizeof(*numbers)));
        for (size_t i = 0; i < answer->item_count; i++) {
            const struct network_queue_item *item = &answer->items[i];
            if (data_fragment_number(item->data, item->size, &numbers[event.u.queued.count]) ==
                ERR_OK) {
                event.u.queued.count++;
            } else {
                event.u.queued.has_status = true;
            }
        }
        event.u.queued.numbers = numbers;
    }
    report(call, &event);
    free(numbers);
}

static void create_group(struct daemon *daemon, struct running *r, struct call *call)
{
    const struct deployment_params *p = deployment_get_params(r->d);
    char name[GROUP_NAME_SIZE];
    struct network_group group = {
        .name = name,
        .application_id = r->application_id,
        .region = p->region,
        .mc_addr = p->mc_addr,
        .keys = &r->session_keys,
        .data_rate = p->data_rate,
        .frequency_hz = p->frequency_hz,
        .f_cnt = deployment_get_transmission(r->d)->f_cnt,
    };

    group_name(r, name);
    daemon->network.create_group(daemon->network.self, &group, on_group, call);
}

static void set_gateways(struct daemon *daemon, struct running *r, struct call *call)
{
    const struct transmission *t = deployment_get_transmission(r->d);
    uint64_t gateways[DEPLOYMENT_GATEWAYS_MAX];
    size_t count = 0, others = 0;

    for (unsigned g = 0; g < t->gateway_count; g++) {
        if (t->gateways[g].is_chosen) {
            gateways[count++] = t->gateways[g].id;
        }
    }
    /* Those of an earlier session or round would go on sending, and the server space its frames for
     * them. */
    bool had_others = t->session_number > 1 || t->next_number > 1;
    for (unsigned g = 0; had_others && g < t->gateway_count; g++) {
        if (!t->gateways[g].is_chosen) {
            gateways[count + others++] = t->gateways[g].id;
        }
    }
    daemon->network.set_gateways(daemon->network.self, &t->group_id, gateways, count, others,
                                 on_group, call);
}

/* frames */

/*
 * Perhaps it was queued, perhaps the server is still at it: the outcome is looked up only after the
 * time that any call may take, so that nothing lands behind the look.
 */
static void report_later(struct call *call)
{
    struct daemon *daemon = call->daemon;
    struct call **last = &daemon->waiting_calls;

    call->report_at = uv_now(&daemon->loop) + (uint64_t)daemon->config.grpc_deadline_ms;
    call->next = NULL;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = call;
}

void actions_report_waiting(struct daemon *daemon)
{
    while (daemon->waiting_calls != NULL &&
           daemon->waiting_calls->report_at <= uv_now(&daemon->loop)) {
        struct call *call = daemon->waiting_calls;
        bool is_frame = call->action.kind == DEPLOYMENT_ACTION_FRAME;
        daemon->waiting_calls = call->next;
        report(call,
               &(struct deployment_event){.kind = is_frame ? DEPLOYMENT_EVENT_FRAME_UNKNOWN
                                                           : DEPLOYMENT_EVENT_COMMAND_UNKNOWN});
    }
}

void actions_release(struct daemon *daemon)
{
    while (daemon->waiting_calls != NULL) {
        struct call *call = daemon->waiting_calls;
        daemon->waiting_calls = call->next;
        free(call);
    }
}

static void on_frame(void *arg, enum network_outcome outcome, const char *text,
                     const struct network_answer *answer)
{
    struct call *call = arg;
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_FRAME_FAILED};

    if (outcome == NETWORK_DONE) {
        event.kind = DEPLOYMENT_EVENT_FRAME_QUEUED;
        event.u.f_cnt = answer->f_cnt;
    } else {
        log_failure(call, "a multicast frame was not queued", text);
        if (outcome == NETWORK_UNKNOWN) {
            report_later(call);
            return;
        }
        event.u.failure.is_final = is_final(outcome);
    }
    report(call, &event);
}

static void enqueue_frame(struct daemon *daemon, struct running *r, struct call *call)
{
    const struct deployment_params *p = deployment_get_params(r->d);
    const struct transmission *t = deployment_get_transmission(r->d);
    uint8_t fragment[FEC_FRAGMENT_SIZE_MAX], payload[NETWORK_PAYLOAD_MAX];
    size_t size = 0;

    if (call->action.frame_kind == FRAME_STATUS) {
        command_encode_group_status(r->d, &call->bytes);
        memcpy(payload, call->bytes.data, call->bytes.size);
        size = call->bytes.size;
    } else {
        enum err err = fec_fragment(&r->block, call->action.number, fragment);
        if (err == ERR_OK) {
            err = data_fragment_encode(p->frag_index, call->action.number, fragment,
                                       p->fragment_size, payload, sizeof(payload), &size);
        }
        if (err != ERR_OK) {
            abort(); /* the parameters were checked */
        }
    }
    FAILPOINT(ACT_FRAME);
    daemon->network.enqueue_group(daemon->network.self, &t->group_id, p->port_fragmentation,
                                  payload, size, call->action.expires_ms, on_frame, call);
}

/* The frame may be on air at `start_ms`: now, or it has to wait for its turn. */
static void on_booked(void *arg, enum err err, const char *text, int64_t start_ms)
{
    struct call *call = arg;
    struct running *r = running_find(call->daemon, &call->id);
    bool is_ours = r != NULL && r->generation == call->generation && r->d != NULL;

    FAILPOINT(AIRTIME_BOOKED);
    if (err != ERR_OK) {
        log_failure(call, "a multicast frame waits for the ledger of airtime", text);
        report(call, &(struct deployment_event){.kind = DEPLOYMENT_EVENT_FRAME_FAILED});
    } else if (start_ms > daemon_now_ms(call->daemon)) {
        if (is_ours) {
            r->booked_ms = start_ms;
        }
        report(call, &(struct deployment_event){.kind = DEPLOYMENT_EVENT_FRAME_DEFERRED,
                                                .u.until_ms = start_ms});
    } else if (!is_ours || deployment_get_transmission(r->d)->frame_call != FRAME_CALL_OPEN) {
        free(call); /* aborted meanwhile */
    } else if (!slot_is_ours(r->slot)) {
        call->daemon->must_reload = true; /* with the lease ended it says nothing */
        free(call);
    } else if (daemon_now_ms(call->daemon) > call->action.expires_ms) {
        report(call, &(struct deployment_event){.kind = DEPLOYMENT_EVENT_FRAME_FAILED});
    } else {
        enqueue_frame(call->daemon, r, call);
    }
}

/* Whether the turn that it has been waiting for is here. One that was missed went by. */
static bool takes_its_turn(struct running *r, int64_t now_ms, int64_t busy_ms)
{
    int64_t booked_ms = r->booked_ms;

    r->booked_ms = 0;
    return booked_ms > 0 && now_ms >= booked_ms && now_ms <= booked_ms + busy_ms;
}

static void send_frame(struct daemon *daemon, struct running *r, struct call *call)
{
    const struct deployment_params *p = deployment_get_params(r->d);
    const struct transmission *t = deployment_get_transmission(r->d);
    uint64_t gateways[DEPLOYMENT_GATEWAYS_MAX];
    char band[REGION_BAND_SIZE];
    struct store_airtime frame = {
        .gateways = gateways,
        .band = band,
        .now_ms = t->frame_emission_ms,
        .airtime_ms = p->frame_airtime_ms,
        .busy_ms = deployment_busy_ms(p, deployment_gateway_count(r->d)),
        .duty_ms = deployment_duty_ms(p),
    };

    for (unsigned g = 0; g < t->gateway_count; g++) {
        if (t->gateways[g].is_chosen) {
            gateways[frame.gateway_count++] = t->gateways[g].id;
        }
    }
    if (frame.gateway_count == 0 || takes_its_turn(r, daemon_now_ms(daemon), frame.busy_ms)) {
        enqueue_frame(daemon, r, call);
        return;
    }
    region_band_name(p->region, p->frequency_hz, band);
    store_book_airtime(daemon->store, &frame, on_booked, call);
}

/* commands */

static void on_command(void *arg, enum network_outcome outcome, const char *text,
                       const struct network_answer *answer)
{
    struct call *call = arg;
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_COMMAND_FAILED};

    if (outcome == NETWORK_DONE) {
        event.kind = DEPLOYMENT_EVENT_COMMAND_QUEUED;
        event.u.item_id = answer->id;
    } else {
        log_failure(call, "a command was not queued", text);
        if (outcome == NETWORK_UNKNOWN) {
            report_later(call);
            return;
        }
        event.u.failure.is_final = is_final(outcome);
        event.u.failure.reason = REASON_CALL_REFUSED;
    }
    report(call, &event);
}

static void enqueue(struct call *call, const struct running *r)
{
    struct daemon *daemon = call->daemon;
    uint64_t dev_eui = deployment_get_device(r->d, call->action.device_index)->dev_eui;

    daemon->network.enqueue(daemon->network.self, dev_eui, call->bytes.f_port, call->bytes.data,
                            call->bytes.size, call->action.expires_ms, on_command, call);
}

static enum err encrypt_mc_key(const struct running *r, const struct key *root,
                               enum lorawan_version version, uint8_t ret_encrypted[KEY_SIZE])
{
    struct key mc_root, mc_ke;
    enum err err = key_mc_root(root, version, &mc_root);

    if (err == ERR_OK) {
        err = key_mc_ke(&mc_root, &mc_ke);
    }
    if (err == ERR_OK) {
        err = key_mc_key_encrypt(&mc_ke, &r->mc_key, ret_encrypted);
    }
    key_wipe(&mc_root, sizeof(mc_root));
    key_wipe(&mc_ke, sizeof(mc_ke));
    return err;
}

static void on_root_key(void *arg, enum network_outcome outcome, const char *text,
                        const struct network_answer *answer)
{
    struct call *call = arg;
    struct running *r = running_find(call->daemon, &call->id);
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_COMMAND_FAILED};
    uint8_t encrypted[KEY_SIZE];

    if (r == NULL || r->generation != call->generation || !slot_is_ours(r->slot)) {
        free(call);
        return;
    }
    if (outcome != NETWORK_DONE) {
        log_failure(call, "a root key was not given", text);
        event.u.failure.is_final = is_final(outcome);
        event.u.failure.reason = REASON_KEY_UNAVAILABLE;
        report(call, &event);
        return;
    }
    FAILPOINT(ROOT_KEY_READ);
    enum lorawan_version version =
        r->lorawan_versions[call->action.device_index] == LORAWAN_1_1 ? LORAWAN_1_1 : LORAWAN_1_0;
    if (encrypt_mc_key(r, answer->key, version, encrypted) != ERR_OK) {
        log_failure(call, "a key could not be derived", err_text(ERR_CRYPTO));
        report(call, &event);
        return;
    }
    command_encode(r->d, call->action.command, encrypted, &call->bytes);
    enqueue(call, r);
}

static void send_command(struct daemon *daemon, struct running *r, struct call *call)
{
    uint32_t index = call->action.device_index;

    if (command_needs_key(call->action.command)) {
        enum lorawan_version version =
            r->lorawan_versions[index] == LORAWAN_1_1 ? LORAWAN_1_1 : LORAWAN_1_0;
        daemon->network.read_root_key(daemon->network.self,
                                      deployment_get_device(r->d, index)->dev_eui, version,
                                      on_root_key, call);
        return;
    }
    command_encode(r->d, call->action.command, NULL, &call->bytes);
    enqueue(call, r);
}

/* after an unknown outcome: is the command in the queue? */

#define MC_KEY_OFFSET 6 /* of McKey_encrypted in McGroupSetupReq */

static bool is_same_command(const struct call *call, const struct network_queue_item *item)
{
    uint8_t data[COMMAND_SIZE_MAX];

    if (item->f_port != call->bytes.f_port || item->size != call->bytes.size) {
        return false;
    }
    memcpy(data, item->data, item->size);
    if (command_needs_key(call->action.command)) { /* all but the key tells enough */
        memcpy(data + MC_KEY_OFFSET, call->bytes.data + MC_KEY_OFFSET, KEY_SIZE);
    }
    return memcmp(data, call->bytes.data, item->size) == 0;
}

static void on_queue(void *arg, enum network_outcome outcome, const char *text,
                     const struct network_answer *answer)
{
    struct call *call = arg;
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_QUEUE_CHECKED};

    if (outcome != NETWORK_DONE) {
        log_failure(call, "a device's queue cannot be read", text);
        event.kind = DEPLOYMENT_EVENT_COMMAND_UNKNOWN;
    }
    for (size_t i = 0; outcome == NETWORK_DONE && i < answer->item_count; i++) {
        if (is_same_command(call, &answer->items[i])) {
            event.u.queue.is_present = true;
            event.u.queue.item_id = answer->items[i].id;
        }
    }
    report(call, &event);
}

void action_perform(struct daemon *daemon, struct running *r,
                    const struct deployment_action *action)
{
    static const uint8_t no_key[KEY_SIZE];
    const struct transmission *t = deployment_get_transmission(r->d);
    struct call *call = call_new(daemon, r, action);
    char name[GROUP_NAME_SIZE];

    switch (action->kind) {
    case DEPLOYMENT_ACTION_CREATE_GROUP:
        FAILPOINT(ACT_CREATE_GROUP);
        create_group(daemon, r, call);
        break;
    case DEPLOYMENT_ACTION_SET_GATEWAYS:
        FAILPOINT(ACT_ADD_GATEWAYS);
        set_gateways(daemon, r, call);
        break;
    case DEPLOYMENT_ACTION_DELETE_GROUP:
        FAILPOINT(ACT_DELETE_GROUP);
        group_name(r, name);
        daemon->network.delete_group(daemon->network.self, &t->group_id, &r->application_id, name,
                                     on_group, call);
        break;
    case DEPLOYMENT_ACTION_DELETE_OLD_GROUP:
        FAILPOINT(ACT_DELETE_OLD_GROUP);
        daemon->network.delete_group(daemon->network.self, &t->old_group_id, &r->application_id, "",
                                     on_group, call);
        break;
    case DEPLOYMENT_ACTION_READ_OLD_QUEUE:
        FAILPOINT(ACT_READ_OLD_QUEUE);
        daemon->network.read_group_queue(daemon->network.self, &t->old_group_id, on_old_queue,
                                         call);
        break;
    case DEPLOYMENT_ACTION_READ_COUNTER:
        FAILPOINT(ACT_READ_COUNTER);
        daemon->network.read_counter(daemon->network.self, &t->group_id, on_group, call);
        break;
    case DEPLOYMENT_ACTION_FRAME:
        send_frame(daemon, r, call);
        break;
    case DEPLOYMENT_ACTION_COMMAND:
        FAILPOINT(ACT_COMMAND);
        send_command(daemon, r, call);
        break;
    case DEPLOYMENT_ACTION_CHECK_QUEUE:
        FAILPOINT(ACT_CHECK_QUEUE);
        command_encode(r->d, action->command, no_key, &call->bytes);
        daemon->network.read_queue(daemon->network.self,
                                   deployment_get_device(r->d, action->device_index)->dev_eui,
                                   on_queue, call);
        break;
    case DEPLOYMENT_ACTION_FINISHED:
        free(call);
        break;
    }
}
