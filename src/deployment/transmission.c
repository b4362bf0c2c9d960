/* transmission.c - the states of a transmission: every event in every state, and what may follow.
 */
#include <assert.h>

#include "impl.h"

/*
 * The set-up is planned for an uplink for each command and a few that are lost, whatever the number
 * of attempts; who needs more has until the quorum is reached.
 */
#define SETUP_LOST_MAX  5
#define SETUP_EXCHANGES 4
#define SETUP_EXTRA_MS  120000

/* A gateway sends one downlink at a time, and hears nothing meanwhile. */
#define SETUP_DOWNLINK_MS 1000

#define GROUP_RETRY_FIRST_MS 5000
#define GROUP_RETRY_LAST_MS  60000

/* A group that cannot be deleted is left behind after so many tries, a minute apart. */
#define RELEASE_FAILURES_MAX 180

/* After a restart: what the stopped daemon had sent lands before its outcome is read. */
#define RESTORE_SETTLE_MS 10000
#define STATUS_GRACE_MS   30000

typedef enum transmission_state rule_fn(struct deployment *d, const struct deployment_event *event);

void transmission_set_deadline(struct deployment *d, int64_t deadline_ms)
{
    d->transmission.deadline_ms = deadline_ms;
    d->is_transmission_changed = true;
}

bool transmission_is_before_session(const struct deployment *d)
{
    const struct transmission *t = &d->transmission;

    return (t->state == TRANSMISSION_SETUP || t->state == TRANSMISSION_START_SESSION) &&
           d->now_ms < t->session_time_ms - DEPLOYMENT_QUIET_MS;
}

static uint32_t pending_count(const struct deployment *d)
{
    return d->stage_count[DEVICE_VERSION] + d->stage_count[DEVICE_GROUP] +
           d->stage_count[DEVICE_FRAGMENTATION] + d->stage_count[DEVICE_CLOCK] +
           d->stage_count[DEVICE_SESSION];
}

static void fail_all(struct deployment *d, enum reason reason)
{
    for (uint32_t i = 0; i < d->params.device_count; i++) {
        if (!device_stage_is_terminal(d->devices[i].stage)) {
            device_fail(d, &d->devices[i], reason, 0);
        }
    }
}

static int64_t group_backoff_ms(struct transmission *t)
{
    int64_t wait_ms = GROUP_RETRY_FIRST_MS;

    for (unsigned i = 1; i < t->failure_count && wait_ms < GROUP_RETRY_LAST_MS; i++) {
        wait_ms *= 2;
    }
    return wait_ms;
}

static void group_call(struct deployment *d, enum deployment_action_kind kind)
{
    d->is_group_call_open = true;
    act(d, kind);
    transmission_set_deadline(d, DEPLOYMENT_NEVER);
}

static int64_t setup_end_limit_ms(const struct deployment *d)
{
    return d->transmission.started_ms + d->params.setup_limit_ms;
}

/* Until when a failing network server is waited for: a deployment ends in a time that can be
 * computed. */
static int64_t give_up_ms(const struct deployment *d)
{
    const struct transmission *t = &d->transmission;

    switch (t->state) {
    case TRANSMISSION_CREATE_GROUP:
        return setup_end_limit_ms(d);
    case TRANSMISSION_START_SESSION:
    case TRANSMISSION_TRANSMIT:
    case TRANSMISSION_STATUS:
        return session_end_ms(d);
    case TRANSMISSION_RELEASE:
        return t->failure_count < RELEASE_FAILURES_MAX ? INT64_MAX : 0;
    case TRANSMISSION_SETUP:
    case TRANSMISSION_DONE:
    case TRANSMISSION_STATE_COUNT:
        break;
    }
    return 0;
}

/* A call of the group failed. Whether it is worth another try; the deadline is set then. */
static bool group_is_tried_again(struct deployment *d, const struct deployment_event *event)
{
    struct transmission *t = &d->transmission;

    d->is_group_call_open = false;
    if (t->failure_count < UINT8_MAX) {
        t->failure_count++;
    }
    if (event->u.failure.is_final || d->now_ms >= give_up_ms(d)) {
        return false;
    }
    transmission_set_deadline(d, d->now_ms + group_backoff_ms(t));
    return true;
}

static enum transmission_state group_is_lost(struct deployment *d)
{
    fail_all(d, REASON_GROUP_UNAVAILABLE);
    return TRANSMISSION_RELEASE;
}

/* the session's time */

static void plan_session(struct deployment *d)
{
    struct transmission *t = &d->transmission;
    uint32_t slowest_s = 0;

    for (uint32_t i = 0; i < d->params.device_count; i++) {
        const struct device *dev = &d->devices[i];
        if (!device_stage_is_terminal(dev->stage) && dev->uplink_interval_s > slowest_s) {
            slowest_s = dev->uplink_interval_s;
        }
    }
    unsigned lost =
        d->params.attempts_max < SETUP_LOST_MAX ? d->params.attempts_max : SETUP_LOST_MAX;
    int64_t end_ms = d->now_ms + INT64_C(1000) * slowest_s * (lost + SETUP_EXCHANGES) +
                     SETUP_EXTRA_MS +
                     (int64_t)pending_count(d) * SETUP_EXCHANGES * SETUP_DOWNLINK_MS;
    int64_t limit_ms = setup_end_limit_ms(d);
    if (end_ms > limit_ms && limit_ms > d->now_ms) {
        end_ms = limit_ms;
    }
    /* Whole seconds: that is what goes over the air. */
    t->session_time_ms = (end_ms + DEPLOYMENT_SETUP_END_MS + 999) / 1000 * 1000;
    transmission_set_deadline(d, t->session_time_ms - DEPLOYMENT_SETUP_END_MS);
}

static void move_session(struct deployment *d)
{
    plan_session(d);
    note(d, NOTE_NO_DEVICE, NOTE_SESSION_MOVED, d->transmission.session_time_ms / 1000, 0);
    for (uint32_t i = 0; i < d->params.device_count; i++) {
        struct device *dev = &d->devices[i];
        if (device_stage_is_terminal(dev->stage)) {
            continue;
        }
        bool had_session = (dev->flags & DEVICE_HAS_SESSION) != 0;
        device_set_flag(d, dev, DEVICE_HAS_SESSION | DEVICE_SESSION_SENT, false);
        if (had_session || (dev->call == CALL_NONE && dev->deadline_ms == DEPLOYMENT_NEVER)) {
            device_begin_set_up(d, dev);
        }
    }
}

/* CREATE_GROUP */

static enum transmission_state create_group(struct deployment *d,
                                            const struct deployment_event *event)
{
    if (event->kind == DEPLOYMENT_EVENT_BEGIN) {
        d->transmission.started_ms = d->now_ms;
        note(d, NOTE_NO_DEVICE, NOTE_STATE, TRANSMISSION_CREATE_GROUP, 0);
    }
    group_call(d, DEPLOYMENT_ACTION_CREATE_GROUP);
    return TRANSMISSION_CREATE_GROUP;
}

static enum transmission_state begin_setup(struct deployment *d,
                                           const struct deployment_event *event)
{
    struct transmission *t = &d->transmission;

    d->is_group_call_open = false;
    t->group_id = event->u.group_id;
    t->has_group = true;
    t->failure_count = 0;
    return TRANSMISSION_SETUP;
}

static enum transmission_state create_group_failed(struct deployment *d,
                                                   const struct deployment_event *event)
{
    return group_is_tried_again(d, event) ? TRANSMISSION_CREATE_GROUP : group_is_lost(d);
}

/* SETUP */

static enum transmission_state setup_timer(struct deployment *d,
                                           const struct deployment_event *event)
{
    struct transmission *t = &d->transmission;
    uint32_t ready = d->stage_count[DEVICE_RECEIVING];
    uint32_t pending = pending_count(d);

    (void)event;
    if (d->now_ms < t->session_time_ms - DEPLOYMENT_SETUP_END_MS) { /* a restart, not the end */
        transmission_set_deadline(d, t->session_time_ms - DEPLOYMENT_SETUP_END_MS);
        return TRANSMISSION_SETUP;
    }
    bool has_quorum =
        (uint64_t)ready * 100 >= (uint64_t)d->params.quorum_percent * (ready + pending);
    bool is_too_late = d->now_ms > t->session_time_ms - DEPLOYMENT_QUIET_MS; /* we were down */
    bool may_move = setup_end_limit_ms(d) - d->now_ms >= SETUP_EXTRA_MS;
    if (may_move && (is_too_late || !has_quorum)) {
        move_session(d);
        return TRANSMISSION_SETUP;
    }
    if (ready > 0) {
        return TRANSMISSION_START_SESSION;
    }
    for (uint32_t i = 0; i < d->params.device_count; i++) {
        if (!device_stage_is_terminal(d->devices[i].stage)) {
            device_give_up(d, &d->devices[i]);
        }
    }
    return TRANSMISSION_RELEASE;
}

static enum transmission_state setup_device(struct deployment *d)
{
    if (pending_count(d) > 0) {
        return TRANSMISSION_SETUP;
    }
    return d->stage_count[DEVICE_RECEIVING] > 0 ? TRANSMISSION_START_SESSION : TRANSMISSION_RELEASE;
}

/* START_SESSION */

/* Whether the device may have everything it needs, though an answer is missing: its status will
 * tell. */
static bool may_take_part(const struct device *dev)
{
    const unsigned needed = DEVICE_HAS_GROUP | DEVICE_SESSION_SENT;
    bool is_frag_sent = dev->stage == DEVICE_FRAGMENTATION && dev->sent_count > 0;

    return (dev->flags & needed) == needed &&
           ((dev->flags & DEVICE_HAS_FRAGMENTATION) != 0 || is_frag_sent);
}

static void set_aside_the_rest(struct deployment *d)
{
    for (uint32_t i = 0; i < d->params.device_count; i++) {
        struct device *dev = &d->devices[i];
        if (device_stage_is_terminal(dev->stage)) {
            continue;
        }
        if (dev->stage != DEVICE_RECEIVING && !may_take_part(dev)) {
            device_give_up(d, dev);
            continue;
        }
        if (dev->stage != DEVICE_RECEIVING) {
            device_set_stage(d, dev, DEVICE_RECEIVING);
        }
        dev->call = CALL_NONE; /* what is still queued has expired */
        dev->sent_count = 0;
        dev->unsent_count = 0;
        device_touch(d, dev);
        device_set_deadline(d, dev, DEPLOYMENT_NEVER);
    }
}

static int64_t first_emission_ms(const struct deployment *d)
{
    return d->transmission.session_time_ms + DEPLOYMENT_SESSION_GUARD_MS;
}

static enum transmission_state start_session_timer(struct deployment *d,
                                                   const struct deployment_event *event)
{
    struct transmission *t = &d->transmission;

    (void)event;
    if (!t->has_gateways && !d->is_group_call_open) {
        group_call(d, DEPLOYMENT_ACTION_ADD_GATEWAYS);
        return TRANSMISSION_START_SESSION;
    }
    if (!t->has_gateways || d->now_ms < first_emission_ms(d)) {
        transmission_set_deadline(d, t->has_gateways ? first_emission_ms(d) : DEPLOYMENT_NEVER);
        return TRANSMISSION_START_SESSION;
    }
    set_aside_the_rest(d);
    return d->stage_count[DEVICE_RECEIVING] > 0 ? TRANSMISSION_TRANSMIT : TRANSMISSION_RELEASE;
}

static enum transmission_state gateways_added(struct deployment *d,
                                              const struct deployment_event *event)
{
    d->is_group_call_open = false;
    d->transmission.has_gateways = true;
    d->transmission.failure_count = 0;
    return start_session_timer(d, event);
}

static enum transmission_state add_gateways_failed(struct deployment *d,
                                                   const struct deployment_event *event)
{
    return group_is_tried_again(d, event) ? TRANSMISSION_START_SESSION : group_is_lost(d);
}

static enum transmission_state start_session_device(struct deployment *d)
{
    return d->stage_count[DEVICE_RECEIVING] + pending_count(d) > 0 ? TRANSMISSION_START_SESSION
                                                                   : TRANSMISSION_RELEASE;
}

/* TRANSMIT and STATUS share the handling of a frame's call */

static enum transmission_state send_fragments(struct deployment *d)
{
    struct transmission *t = &d->transmission;

    if (t->frame_call != FRAME_CALL_NONE) {
        return TRANSMISSION_TRANSMIT;
    }
    if (t->next_number > t->last_number) {
        return TRANSMISSION_STATUS;
    }
    if (!session_has_room(d, 1)) {
        note(d, NOTE_NO_DEVICE, NOTE_SESSION_FULL, t->next_number, 0);
        return TRANSMISSION_STATUS;
    }
    frame_send(d, FRAME_FRAGMENT);
    return TRANSMISSION_TRANSMIT;
}

static enum transmission_state transmit_timer(struct deployment *d,
                                              const struct deployment_event *event)
{
    (void)event;
    if (d->transmission.frame_call == FRAME_CALL_UNKNOWN) {
        frame_check(d);
        return TRANSMISSION_TRANSMIT;
    }
    return send_fragments(d);
}

static enum transmission_state status_timer(struct deployment *d,
                                            const struct deployment_event *event)
{
    (void)event;
    return status_on_timer(d);
}

static enum transmission_state after_frame(struct deployment *d)
{
    return d->transmission.state == TRANSMISSION_TRANSMIT ? send_fragments(d) : status_on_frame(d);
}

static enum transmission_state frame_queued(struct deployment *d,
                                            const struct deployment_event *event)
{
    if (d->transmission.frame_call == FRAME_CALL_NONE) {
        return d->transmission.state;
    }
    frame_book(d, event->u.f_cnt);
    return after_frame(d);
}

static enum transmission_state frame_failed(struct deployment *d,
                                            const struct deployment_event *event)
{
    if (event->u.failure.is_final) {
        d->transmission.frame_call = FRAME_CALL_NONE;
        return group_is_lost(d);
    }
    frame_retry(d);
    return d->transmission.state;
}

static enum transmission_state frame_unknown(struct deployment *d,
                                             const struct deployment_event *event)
{
    (void)event;
    frame_check(d);
    return d->transmission.state;
}

static enum transmission_state counter_read(struct deployment *d,
                                            const struct deployment_event *event)
{
    struct transmission *t = &d->transmission;

    d->is_group_call_open = false;
    t->failure_count = 0;
    if (t->frame_call != FRAME_CALL_UNKNOWN) {
        return t->state;
    }
    if (event->u.f_cnt <= t->f_cnt) { /* it never arrived: now it goes out */
        t->frame_call = FRAME_CALL_NONE;
        d->is_transmission_changed = true;
        return t->state == TRANSMISSION_TRANSMIT ? send_fragments(d) : status_on_timer(d);
    }
    if (event->u.f_cnt > t->f_cnt + 1) {
        note(d, NOTE_NO_DEVICE, NOTE_COUNTER_JUMP, event->u.f_cnt, t->f_cnt + 1);
    }
    frame_book(d, t->f_cnt);
    t->f_cnt = event->u.f_cnt;
    return after_frame(d);
}

static enum transmission_state counter_failed(struct deployment *d,
                                              const struct deployment_event *event)
{
    if (group_is_tried_again(d, event)) {
        return d->transmission.state;
    }
    if (event->u.failure.is_final) {
        return group_is_lost(d);
    }
    /* The session is over: what the frame came to does not matter any more, what the devices have
     * does. */
    d->transmission.frame_call = FRAME_CALL_NONE;
    return d->transmission.state == TRANSMISSION_TRANSMIT ? TRANSMISSION_STATUS
                                                          : status_on_timer(d);
}

static enum transmission_state frames_restored(struct deployment *d,
                                               const struct deployment_event *event)
{
    struct transmission *t = &d->transmission;

    (void)event;
    if (t->frame_call != FRAME_CALL_NONE) {
        t->frame_call = FRAME_CALL_UNKNOWN;
        transmission_set_deadline(d, d->now_ms + RESTORE_SETTLE_MS);
    } else if (t->state == TRANSMISSION_TRANSMIT) {
        transmission_set_deadline(d, d->now_ms);
    } else if (!t->is_unicast_status && t->deadline_ms < d->now_ms + STATUS_GRACE_MS) {
        transmission_set_deadline(d, d->now_ms + STATUS_GRACE_MS); /* answers wait at the broker */
    }
    return t->state;
}

/* RELEASE */

/* Nobody waits for the answers: a deaf device must not delay the end. */
static void clean(struct deployment *d)
{
    static const enum device_command commands[] = {COMMAND_DELETE_FRAGMENTATION,
                                                   COMMAND_DELETE_GROUP};
    struct transmission *t = &d->transmission;

    for (; t->clean_index < d->params.device_count && has_room(d); t->clean_index++) {
        const struct device *dev = &d->devices[t->clean_index];
        for (size_t i = 0; i < 2 && (dev->flags & DEVICE_HAS_GROUP) != 0; i++) {
            struct deployment_action *action = act(d, DEPLOYMENT_ACTION_COMMAND);
            action->device_index = t->clean_index;
            action->command = commands[i];
            action->expires_ms = d->now_ms + INT64_C(3000) * dev->uplink_interval_s + 30000;
        }
    }
    transmission_set_deadline(d, t->clean_index < d->params.device_count ? d->now_ms
                                                                         : DEPLOYMENT_NEVER);
}

static enum transmission_state release_timer(struct deployment *d,
                                             const struct deployment_event *event)
{
    struct transmission *t = &d->transmission;

    (void)event;
    if (t->clean_index < d->params.device_count) {
        clean(d);
    }
    if (t->clean_index < d->params.device_count) {
        return TRANSMISSION_RELEASE;
    }
    if (t->has_group && !d->is_group_call_open) {
        group_call(d, DEPLOYMENT_ACTION_DELETE_GROUP);
    }
    if (t->has_group || d->is_group_call_open) {
        return TRANSMISSION_RELEASE;
    }
    act(d, DEPLOYMENT_ACTION_FINISHED);
    return TRANSMISSION_DONE;
}

/* The group may have come into being behind our back: deleting goes by its name, too. */
static enum transmission_state release_restored(struct deployment *d,
                                                const struct deployment_event *event)
{
    d->transmission.has_group = true;
    return release_timer(d, event);
}

static enum transmission_state group_created_late(struct deployment *d,
                                                  const struct deployment_event *event)
{
    (void)begin_setup(d, event);
    return release_timer(d, event);
}

static enum transmission_state group_deleted(struct deployment *d,
                                             const struct deployment_event *event)
{
    d->is_group_call_open = false;
    d->transmission.has_group = false;
    return release_timer(d, event);
}

static enum transmission_state release_failed(struct deployment *d,
                                              const struct deployment_event *event)
{
    if (!group_is_tried_again(d, event)) {
        d->transmission.has_group = false; /* left behind, named after the deployment */
    }
    return d->transmission.has_group ? TRANSMISSION_RELEASE : release_timer(d, event);
}

static enum transmission_state release_calls(struct deployment *d,
                                             const struct deployment_event *event)
{
    /* The last call before the abort: nothing follows from it. */
    d->transmission.frame_call = FRAME_CALL_NONE;
    if (event->kind == DEPLOYMENT_EVENT_COUNTER || event->kind == DEPLOYMENT_EVENT_GATEWAYS_ADDED) {
        d->is_group_call_open = false;
        return release_timer(d, event);
    }
    return TRANSMISSION_RELEASE;
}

static enum transmission_state abort_it(struct deployment *d, const struct deployment_event *event)
{
    (void)event;
    d->transmission.is_aborted = true;
    fail_all(d, REASON_ABORTED);
    return TRANSMISSION_RELEASE;
}

/* the table */

static enum transmission_state stay(struct deployment *d, const struct deployment_event *event)
{
    (void)event;
    return d->transmission.state;
}

struct rule {
    rule_fn *run;  /* acts, returns the next state */
    uint32_t next; /* states it may return besides the current one */
};

#define IGNORE                                                                                     \
    {                                                                                              \
        stay, 0                                                                                    \
    }
#define TO(state) (1u << TRANSMISSION_##state)

#define TRANSMISSION_EVENT_COUNT (DEPLOYMENT_EVENT_COUNTER + 1)

static const struct rule rules[TRANSMISSION_STATE_COUNT][TRANSMISSION_EVENT_COUNT] =
    {
        [TRANSMISSION_CREATE_GROUP] =
            {
                [DEPLOYMENT_EVENT_BEGIN] = {create_group, 0},
                [DEPLOYMENT_EVENT_RESTORED] = {create_group, 0},
                [DEPLOYMENT_EVENT_TIMER] = {create_group, 0},
                [DEPLOYMENT_EVENT_ABORT] = {abort_it, TO(RELEASE)},
                [DEPLOYMENT_EVENT_GROUP_CREATED] = {begin_setup, TO(SETUP)},
                [DEPLOYMENT_EVENT_GROUP_FAILED] = {create_group_failed, TO(RELEASE)},
                [DEPLOYMENT_EVENT_GATEWAYS_ADDED] = IGNORE,
                [DEPLOYMENT_EVENT_GROUP_DELETED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_QUEUED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_FAILED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_UNKNOWN] = IGNORE,
                [DEPLOYMENT_EVENT_COUNTER] = IGNORE,
            },
        [TRANSMISSION_SETUP] =
            {
                [DEPLOYMENT_EVENT_BEGIN] = IGNORE,
                [DEPLOYMENT_EVENT_RESTORED] = IGNORE,
                [DEPLOYMENT_EVENT_TIMER] = {setup_timer, TO(START_SESSION) | TO(RELEASE)},
                [DEPLOYMENT_EVENT_ABORT] = {abort_it, TO(RELEASE)},
                [DEPLOYMENT_EVENT_GROUP_CREATED] = IGNORE,
                [DEPLOYMENT_EVENT_GROUP_FAILED] = IGNORE,
                [DEPLOYMENT_EVENT_GATEWAYS_ADDED] = IGNORE,
                [DEPLOYMENT_EVENT_GROUP_DELETED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_QUEUED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_FAILED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_UNKNOWN] = IGNORE,
                [DEPLOYMENT_EVENT_COUNTER] = IGNORE,
            },
        [TRANSMISSION_START_SESSION] =
            {
                [DEPLOYMENT_EVENT_BEGIN] = IGNORE,
                [DEPLOYMENT_EVENT_RESTORED] = {start_session_timer, TO(TRANSMIT) | TO(RELEASE)},
                [DEPLOYMENT_EVENT_TIMER] = {start_session_timer, TO(TRANSMIT) | TO(RELEASE)},
                [DEPLOYMENT_EVENT_ABORT] = {abort_it, TO(RELEASE)},
                [DEPLOYMENT_EVENT_GROUP_CREATED] = IGNORE,
                [DEPLOYMENT_EVENT_GROUP_FAILED] = {add_gateways_failed, TO(RELEASE)},
                [DEPLOYMENT_EVENT_GATEWAYS_ADDED] = {gateways_added, TO(TRANSMIT) | TO(RELEASE)},
                [DEPLOYMENT_EVENT_GROUP_DELETED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_QUEUED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_FAILED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_UNKNOWN] = IGNORE,
                [DEPLOYMENT_EVENT_COUNTER] = IGNORE,
            },
        [TRANSMISSION_TRANSMIT] =
            {
                [DEPLOYMENT_EVENT_BEGIN] = IGNORE,
                [DEPLOYMENT_EVENT_RESTORED] = {frames_restored, 0},
                [DEPLOYMENT_EVENT_TIMER] = {transmit_timer, TO(STATUS)},
                [DEPLOYMENT_EVENT_ABORT] = {abort_it, TO(RELEASE)},
                [DEPLOYMENT_EVENT_GROUP_CREATED] = IGNORE,
                [DEPLOYMENT_EVENT_GROUP_FAILED] = {counter_failed, TO(STATUS) | TO(RELEASE)},
                [DEPLOYMENT_EVENT_GATEWAYS_ADDED] = IGNORE,
                [DEPLOYMENT_EVENT_GROUP_DELETED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_QUEUED] = {frame_queued, TO(STATUS)},
                [DEPLOYMENT_EVENT_FRAME_FAILED] = {frame_failed, TO(RELEASE)},
                [DEPLOYMENT_EVENT_FRAME_UNKNOWN] = {frame_unknown, 0},
                [DEPLOYMENT_EVENT_COUNTER] = {counter_read, TO(STATUS)},
            },
        [TRANSMISSION_STATUS] =
            {
                [DEPLOYMENT_EVENT_BEGIN] = IGNORE,
                [DEPLOYMENT_EVENT_RESTORED] = {frames_restored, 0},
                [DEPLOYMENT_EVENT_TIMER] = {status_timer, TO(TRANSMIT) | TO(RELEASE)},
                [DEPLOYMENT_EVENT_ABORT] = {abort_it, TO(RELEASE)},
                [DEPLOYMENT_EVENT_GROUP_CREATED] = IGNORE,
                [DEPLOYMENT_EVENT_GROUP_FAILED] = {counter_failed, TO(TRANSMIT) | TO(RELEASE)},
                [DEPLOYMENT_EVENT_GATEWAYS_ADDED] = IGNORE,
                [DEPLOYMENT_EVENT_GROUP_DELETED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_QUEUED] = {frame_queued, 0},
                [DEPLOYMENT_EVENT_FRAME_FAILED] = {frame_failed, TO(RELEASE)},
                [DEPLOYMENT_EVENT_FRAME_UNKNOWN] = {frame_unknown, 0},
                [DEPLOYMENT_EVENT_COUNTER] = {counter_read, TO(TRANSMIT) | TO(RELEASE)},
            },
        [TRANSMISSION_RELEASE] =
            {
                [DEPLOYMENT_EVENT_BEGIN] = IGNORE,
                [DEPLOYMENT_EVENT_RESTORED] = {release_restored, TO(DONE)},
                [DEPLOYMENT_EVENT_TIMER] = {release_timer, TO(DONE)},
                [DEPLOYMENT_EVENT_ABORT] = IGNORE,
                [DEPLOYMENT_EVENT_GROUP_CREATED] = {group_created_late, TO(DONE)},
                [DEPLOYMENT_EVENT_GROUP_FAILED] = {release_failed, TO(DONE)},
                [DEPLOYMENT_EVENT_GATEWAYS_ADDED] = {release_calls, TO(DONE)},
                [DEPLOYMENT_EVENT_GROUP_DELETED] = {group_deleted, TO(DONE)},
                [DEPLOYMENT_EVENT_FRAME_QUEUED] = {release_calls, 0},
                [DEPLOYMENT_EVENT_FRAME_FAILED] = {release_calls, 0},
                [DEPLOYMENT_EVENT_FRAME_UNKNOWN] = {release_calls, 0},
                [DEPLOYMENT_EVENT_COUNTER] = {release_calls, TO(DONE)},
            },
        [TRANSMISSION_DONE] =
            {
                [DEPLOYMENT_EVENT_BEGIN] = IGNORE,
                [DEPLOYMENT_EVENT_RESTORED] = IGNORE,
                [DEPLOYMENT_EVENT_TIMER] = IGNORE,
                [DEPLOYMENT_EVENT_ABORT] = IGNORE,
                [DEPLOYMENT_EVENT_GROUP_CREATED] = IGNORE,
                [DEPLOYMENT_EVENT_GROUP_FAILED] = IGNORE,
                [DEPLOYMENT_EVENT_GATEWAYS_ADDED] = IGNORE,
                [DEPLOYMENT_EVENT_GROUP_DELETED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_QUEUED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_FAILED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_UNKNOWN] = IGNORE,
                [DEPLOYMENT_EVENT_COUNTER] = IGNORE,
            },
};

void transmission_enter(struct deployment *d, enum transmission_state state)
{
    struct transmission *t = &d->transmission;

    t->state = state;
    t->failure_count = 0;
    d->is_transmission_changed = true;
    note(d, NOTE_NO_DEVICE, NOTE_STATE, state, 0);
    switch (state) {
    case TRANSMISSION_SETUP:
        plan_session(d);
        for (uint32_t i = 0; i < d->params.device_count; i++) {
            device_set_deadline(d, &d->devices[i], d->now_ms);
        }
        break;
    case TRANSMISSION_START_SESSION:
        gateways_choose(d);
        group_call(d, DEPLOYMENT_ACTION_ADD_GATEWAYS);
        break;
    case TRANSMISSION_TRANSMIT:
        transmission_set_deadline(d, d->now_ms);
        break;
    case TRANSMISSION_STATUS:
        status_enter(d);
        break;
    case TRANSMISSION_RELEASE:
        transmission_set_deadline(d, d->now_ms);
        break;
    case TRANSMISSION_DONE:
        transmission_set_deadline(d, DEPLOYMENT_NEVER);
        break;
    case TRANSMISSION_CREATE_GROUP:
    case TRANSMISSION_STATE_COUNT:
        assert(false && "a state to enter");
        break;
    }
}

static void move(struct deployment *d, enum transmission_state next)
{
    if (next != d->transmission.state) {
        transmission_enter(d, next);
    }
}

void transmission_on_event(struct deployment *d, const struct deployment_event *event)
{
    enum transmission_state state = d->transmission.state;

    assert((size_t)event->kind < TRANSMISSION_EVENT_COUNT);
    const struct rule *rule = &rules[state][event->kind];
    enum transmission_state next = rule->run(d, event);
    assert(next == state || (rule->next & 1u << next) != 0);
    move(d, next);
}

void transmission_on_device(struct deployment *d)
{
    switch (d->transmission.state) {
    case TRANSMISSION_SETUP:
        move(d, setup_device(d));
        break;
    case TRANSMISSION_START_SESSION:
        move(d, start_session_device(d));
        break;
    case TRANSMISSION_STATUS:
        move(d, status_on_device(d));
        break;
    case TRANSMISSION_TRANSMIT:
        if (d->stage_count[DEVICE_RECEIVING] == 0) { /* all ended while fragments flow */
            move(d, TRANSMISSION_RELEASE);
        }
        break;
    case TRANSMISSION_CREATE_GROUP:
    case TRANSMISSION_RELEASE:
    case TRANSMISSION_DONE:
    case TRANSMISSION_STATE_COUNT:
        break;
    }
}
