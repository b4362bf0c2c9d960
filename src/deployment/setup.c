/* setup.c - the states CREATE_GROUP, SETUP and START_SESSION: planning SessionTime, and who takes
 * part. */
#include "states.h"

/* So short a set-up is not worth it. */
#define SETUP_LEFT_MIN_MS 120000

/* the session's time */

void plan_session(struct deployment *d)
{
    struct transmission *t = &d->transmission;
    int64_t begin_ms = t->setup_started_ms > d->now_ms ? t->setup_started_ms : d->now_ms;
    uint32_t slowest_s = 0;
    bool is_session_only = true;

    for (uint32_t i = 0; i < d->params.device_count; i++) {
        const struct device *dev = &d->devices[i];
        if (device_is_out(dev)) {
            continue;
        }
        if (dev->uplink_interval_s > slowest_s) {
            slowest_s = dev->uplink_interval_s;
        }
        if ((dev->flags & DEVICE_HAS_FRAGMENTATION) == 0) {
            is_session_only = false;
        }
    }
    int64_t end_ms = begin_ms + deployment_setup_ms(&d->params, slowest_s, pending_count(d),
                                                    is_session_only);
    int64_t limit_ms = setup_end_limit_ms(d);
    if (end_ms > limit_ms && limit_ms > begin_ms) {
        end_ms = limit_ms;
    }
    /* Whole seconds: that is what goes over the air. */
    t->last_session_ms = t->session_time_ms;
    t->session_time_ms = (end_ms + DEPLOYMENT_SETUP_END_MS + 999) / 1000 * 1000;
    transmission_set_deadline(d, t->session_time_ms - DEPLOYMENT_SETUP_END_MS);
}

static void move_session(struct deployment *d)
{
    plan_session(d);
    note(d, NOTE_NO_DEVICE, NOTE_SESSION_MOVED, d->transmission.session_time_ms / 1000, 0);
    for (uint32_t i = 0; i < d->params.device_count; i++) {
        struct device *dev = &d->devices[i];
        if (!device_is_out(dev)) {
            device_session_moved(d, dev);
        }
    }
}

/* CREATE_GROUP */

enum transmission_state create_group(struct deployment *d, const struct deployment_event *event)
{
    if (event->kind == DEPLOYMENT_EVENT_BEGIN) {
        d->transmission.started_ms = d->now_ms;
        d->transmission.setup_started_ms = d->now_ms;
        note(d, NOTE_NO_DEVICE, NOTE_STATE, TRANSMISSION_CREATE_GROUP, 0);
    }
    group_call(d, DEPLOYMENT_ACTION_CREATE_GROUP);
    return TRANSMISSION_CREATE_GROUP;
}

enum transmission_state begin_setup(struct deployment *d, const struct deployment_event *event)
{
    struct transmission *t = &d->transmission;

    d->is_group_call_open = false;
    t->group_id = event->u.group_id;
    t->has_group = true;
    t->failure_count = 0;
    return TRANSMISSION_SETUP;
}

void enter_setup(struct deployment *d)
{
    struct transmission *t = &d->transmission;

    d->is_new_setup = false;
    t->session_number++;
    note(d, NOTE_NO_DEVICE, NOTE_SESSION, t->session_number, 0);
    plan_session(d);
    for (uint32_t i = 0; t->session_number == 1 && i < d->params.device_count; i++) {
        /* What a device said unasked, while the group was being made, may have ended it. */
        if (!device_is_out(&d->devices[i])) {
            device_set_deadline(d, &d->devices[i], d->now_ms);
        }
    }
}

enum transmission_state create_group_failed(struct deployment *d,
                                            const struct deployment_event *event)
{
    return group_is_tried_again(d, event) ? TRANSMISSION_CREATE_GROUP : group_is_lost(d);
}

/* SETUP */

enum transmission_state setup_timer(struct deployment *d, const struct deployment_event *event)
{
    struct transmission *t = &d->transmission;
    uint32_t ready = d->stage_count[DEVICE_RECEIVING];
    uint32_t pending = pending_count(d);

    (void)event;
    if (t->is_paused) {
        transmission_set_deadline(d, DEPLOYMENT_NEVER);
        return TRANSMISSION_SETUP;
    }
    if (d->now_ms < t->session_time_ms - DEPLOYMENT_SETUP_END_MS) { /* a restart, not the end */
        transmission_set_deadline(d, t->session_time_ms - DEPLOYMENT_SETUP_END_MS);
        return TRANSMISSION_SETUP;
    }
    bool has_quorum =
        (uint64_t)ready * 100 >= (uint64_t)d->params.quorum_percent * (ready + pending);
    bool is_too_late = d->now_ms > t->session_time_ms - DEPLOYMENT_QUIET_MS; /* we were down */
    bool may_move = setup_end_limit_ms(d) - d->now_ms >= SETUP_LEFT_MIN_MS;
    if (may_move && (is_too_late || !has_quorum)) {
        move_session(d);
        return TRANSMISSION_SETUP;
    }
    if (ready > 0) {
        return TRANSMISSION_START_SESSION;
    }
    for (uint32_t i = 0; i < d->params.device_count; i++) {
        struct device *dev = &d->devices[i];
        if (!device_is_out(dev)) {
            device_give_up(d, dev);
        }
    }
    return next_pass(d);
}

enum transmission_state setup_device(struct deployment *d)
{
    if (pending_count(d) > 0) {
        return TRANSMISSION_SETUP;
    }
    return d->stage_count[DEVICE_RECEIVING] > 0 ? TRANSMISSION_START_SESSION : next_pass(d);
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
        if (device_is_out(dev)) {
            continue;
        }
        if (dev->stage != DEVICE_RECEIVING && !may_take_part(dev)) {
            device_is_late(d, dev);
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

/* It may hear them all the same: it takes part, and the operator knows. */
static void tell_who_is_not_covered(struct deployment *d)
{
    const struct transmission *t = &d->transmission;
    unsigned chosen = 0;

    for (unsigned g = 0; g < t->gateway_count; g++) {
        chosen |= t->gateways[g].is_chosen ? 1u << g : 0;
    }
    for (uint32_t i = 0; i < d->params.device_count; i++) {
        const struct device *dev = &d->devices[i];
        if (dev->stage == DEVICE_RECEIVING && (dev->gateways & chosen) == 0) {
            note(d, i, NOTE_NOT_COVERED, 0, 0);
        }
    }
}

static int64_t first_emission_ms(const struct deployment *d)
{
    return d->transmission.session_time_ms + DEPLOYMENT_SESSION_GUARD_MS;
}

enum transmission_state start_session_timer(struct deployment *d,
                                            const struct deployment_event *event)
{
    struct transmission *t = &d->transmission;

    (void)event;
    if (!t->has_gateways && !d->is_group_call_open) {
        group_call(d, DEPLOYMENT_ACTION_SET_GATEWAYS);
        return TRANSMISSION_START_SESSION;
    }
    if (!t->has_gateways || d->now_ms < first_emission_ms(d)) {
        transmission_set_deadline(d, t->has_gateways ? first_emission_ms(d) : DEPLOYMENT_NEVER);
        return TRANSMISSION_START_SESSION;
    }
    set_aside_the_rest(d);
    tell_who_is_not_covered(d);
    return d->stage_count[DEVICE_RECEIVING] > 0 ? TRANSMISSION_TRANSMIT : next_pass(d);
}

enum transmission_state gateways_set(struct deployment *d, const struct deployment_event *event)
{
    d->is_group_call_open = false;
    d->transmission.has_gateways = true;
    d->transmission.failure_count = 0;
    return start_session_timer(d, event);
}

enum transmission_state set_gateways_failed(struct deployment *d,
                                            const struct deployment_event *event)
{
    return group_is_tried_again(d, event) ? TRANSMISSION_START_SESSION : group_is_lost(d);
}

enum transmission_state start_session_device(struct deployment *d)
{
    return d->stage_count[DEVICE_RECEIVING] + pending_count(d) > 0 ? TRANSMISSION_START_SESSION
                                                                   : next_pass(d);
}
