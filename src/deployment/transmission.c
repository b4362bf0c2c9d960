/* transmission.c - the states of a transmission: every event in every state, and what may follow.
 */
#include <assert.h>

#include "states.h"

#define STATUS_GRACE_MS 30000

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

/* TRANSMIT and STATUS share the handling of a frame's call */

static enum transmission_state send_fragments(struct deployment *d)
{
    struct transmission *t = &d->transmission;

    if (t->frame_call != FRAME_CALL_NONE) {
        return TRANSMISSION_TRANSMIT;
    }
    if (d->stage_count[DEVICE_RECEIVING] == 0 && !d->is_group_call_open) {
        return next_pass(d);
    }
    if (!t->has_gateways && !has_old_group(t)) { /* fewer from now on */
        if (!d->is_group_call_open) {
            group_call(d, DEPLOYMENT_ACTION_SET_GATEWAYS);
        }
        return TRANSMISSION_TRANSMIT;
    }
    enum reason stop = stop_reason(d);
    if (stop != REASON_NONE && t->next_number <= t->last_number) {
        note(d, NOTE_NO_DEVICE, NOTE_STOPPED, stop, t->next_number);
        t->last_number = (uint16_t)(t->next_number - 1);
    }
    if (t->next_number > t->last_number) {
        return TRANSMISSION_STATUS;
    }
    if (!session_has_room(d, 1)) {
        if (t->has_status_request && d->now_ms < t->status_until_ms) {
            return TRANSMISSION_STATUS; /* what is still answered counts */
        }
        note(d, NOTE_NO_DEVICE, NOTE_SESSION_FULL, t->next_number, 0);
        return next_session(d);
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

/* Its turn comes later: it was not queued. */
static enum transmission_state frame_deferred(struct deployment *d,
                                              const struct deployment_event *event)
{
    struct transmission *t = &d->transmission;

    if (t->frame_call != FRAME_CALL_OPEN) {
        return t->state;
    }
    t->frame_call = FRAME_CALL_NONE;
    if (t->next_emission_ms < event->u.until_ms) {
        t->next_emission_ms = event->u.until_ms;
    }
    d->is_transmission_changed = true;
    return t->state == TRANSMISSION_TRANSMIT ? send_fragments(d) : status_on_timer(d);
}

static enum transmission_state result_told(struct deployment *d,
                                           const struct deployment_event *event)
{
    frame_result(d, event);
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

static enum transmission_state gateways_shrunk(struct deployment *d,
                                               const struct deployment_event *event)
{
    (void)event;
    d->is_group_call_open = false;
    d->transmission.has_gateways = true;
    d->transmission.failure_count = 0;
    d->is_transmission_changed = true;
    return send_fragments(d);
}

/* Reading the counter, or taking gateways off. */
static enum transmission_state counter_failed(struct deployment *d,
                                              const struct deployment_event *event)
{
    if (group_is_tried_again(d, event)) {
        return d->transmission.state;
    }
    if (event->u.failure.is_final) {
        return group_is_lost(d);
    }
    if (d->transmission.frame_call == FRAME_CALL_NONE) {
        d->transmission.has_gateways = true; /* as they are: the session is over */
        d->is_transmission_changed = true;
        return d->transmission.state == TRANSMISSION_TRANSMIT ? send_fragments(d)
                                                              : status_on_timer(d);
    }
    /* The session is over, and nobody says what the frame came to: it may have been on air. */
    d->transmission.frame_call = FRAME_CALL_NONE;
    if (d->transmission.frame_kind == FRAME_FRAGMENT) {
        fragment_is_sent(d);
    }
    return d->transmission.state == TRANSMISSION_TRANSMIT ? send_fragments(d) : status_on_timer(d);
}

static enum transmission_state frames_restored(struct deployment *d,
                                               const struct deployment_event *event)
{
    struct transmission *t = &d->transmission;

    if (take_over_is_wanted(d)) {
        t->resume_state = t->state;
        return TRANSMISSION_TAKE_OVER;
    }
    if (t->frame_call != FRAME_CALL_NONE) {
        t->frame_call = FRAME_CALL_UNKNOWN;
        /* What the stopped daemon had sent lands before its outcome is read. */
        transmission_set_deadline(d, d->now_ms + event->u.settle_ms);
    } else if (t->state == TRANSMISSION_TRANSMIT) {
        transmission_set_deadline(d, d->now_ms);
    } else if (!t->is_unicast_status && t->deadline_ms < d->now_ms + STATUS_GRACE_MS) {
        transmission_set_deadline(d, d->now_ms + STATUS_GRACE_MS); /* answers wait at the broker */
    }
    return t->state;
}

/* A call of the session before has reported late. */
static enum transmission_state call_is_over(struct deployment *d,
                                            const struct deployment_event *event)
{
    (void)event;
    d->is_group_call_open = false;
    return d->transmission.state;
}

static enum transmission_state paused(struct deployment *d, const struct deployment_event *event)
{
    (void)event;
    pause_it(d);
    return d->transmission.state;
}

static enum transmission_state resumed(struct deployment *d, const struct deployment_event *event)
{
    (void)event;
    resume_it(d);
    return d->transmission.state;
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

#define TRANSMISSION_EVENT_COUNT (DEPLOYMENT_EVENT_GAP + 1)

static const struct rule rules[TRANSMISSION_STATE_COUNT][TRANSMISSION_EVENT_COUNT] =
    {
        [TRANSMISSION_CREATE_GROUP] =
            {
                [DEPLOYMENT_EVENT_BEGIN] = {create_group, 0},
                [DEPLOYMENT_EVENT_RESTORED] = {create_group, 0},
                [DEPLOYMENT_EVENT_TIMER] = {create_group, 0},
                [DEPLOYMENT_EVENT_ABORT] = {abort_it, TO(RELEASE)},
                [DEPLOYMENT_EVENT_PAUSE] = {paused, 0},
                [DEPLOYMENT_EVENT_RESUME] = {resumed, 0},
                [DEPLOYMENT_EVENT_GROUP_CREATED] = {begin_setup, TO(SETUP)},
                [DEPLOYMENT_EVENT_GROUP_FAILED] = {create_group_failed, TO(RELEASE)},
                [DEPLOYMENT_EVENT_GATEWAYS_SET] = IGNORE,
                [DEPLOYMENT_EVENT_GROUP_DELETED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_QUEUED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_FAILED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_UNKNOWN] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_DEFERRED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_RESULT] = IGNORE,
                [DEPLOYMENT_EVENT_COUNTER] = IGNORE,
                [DEPLOYMENT_EVENT_OLD_QUEUE] = IGNORE,
                [DEPLOYMENT_EVENT_GAP] = IGNORE,
            },
        [TRANSMISSION_SETUP] =
            {
                [DEPLOYMENT_EVENT_BEGIN] = IGNORE,
                [DEPLOYMENT_EVENT_RESTORED] = IGNORE,
                [DEPLOYMENT_EVENT_TIMER] = {setup_timer, TO(START_SESSION) | TO(RELEASE)},
                [DEPLOYMENT_EVENT_ABORT] = {abort_it, TO(RELEASE)},
                [DEPLOYMENT_EVENT_PAUSE] = {paused, 0},
                [DEPLOYMENT_EVENT_RESUME] = {resumed, 0},
                [DEPLOYMENT_EVENT_GROUP_CREATED] = IGNORE,
                [DEPLOYMENT_EVENT_GROUP_FAILED] = {call_is_over, 0},
                [DEPLOYMENT_EVENT_GATEWAYS_SET] = {call_is_over, 0},
                [DEPLOYMENT_EVENT_GROUP_DELETED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_QUEUED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_FAILED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_UNKNOWN] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_DEFERRED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_RESULT] = IGNORE,
                [DEPLOYMENT_EVENT_COUNTER] = {call_is_over, 0},
                [DEPLOYMENT_EVENT_OLD_QUEUE] = IGNORE,
                [DEPLOYMENT_EVENT_GAP] = IGNORE,
            },
        [TRANSMISSION_START_SESSION] =
            {
                [DEPLOYMENT_EVENT_BEGIN] = IGNORE,
                [DEPLOYMENT_EVENT_RESTORED] = {start_session_timer,
                                               TO(TRANSMIT) | TO(SETUP) | TO(RELEASE)},
                [DEPLOYMENT_EVENT_TIMER] = {start_session_timer,
                                            TO(TRANSMIT) | TO(SETUP) | TO(RELEASE)},
                [DEPLOYMENT_EVENT_ABORT] = {abort_it, TO(RELEASE)},
                [DEPLOYMENT_EVENT_PAUSE] = {paused, 0},
                [DEPLOYMENT_EVENT_RESUME] = {resumed, 0},
                [DEPLOYMENT_EVENT_GROUP_CREATED] = IGNORE,
                [DEPLOYMENT_EVENT_GROUP_FAILED] = {set_gateways_failed, TO(RELEASE)},
                [DEPLOYMENT_EVENT_GATEWAYS_SET] = {gateways_set,
                                                   TO(TRANSMIT) | TO(SETUP) | TO(RELEASE)},
                [DEPLOYMENT_EVENT_GROUP_DELETED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_QUEUED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_FAILED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_UNKNOWN] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_DEFERRED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_RESULT] = IGNORE,
                [DEPLOYMENT_EVENT_COUNTER] = IGNORE,
                [DEPLOYMENT_EVENT_OLD_QUEUE] = IGNORE,
                [DEPLOYMENT_EVENT_GAP] = IGNORE,
            },
        [TRANSMISSION_TRANSMIT] =
            {
                [DEPLOYMENT_EVENT_BEGIN] = IGNORE,
                [DEPLOYMENT_EVENT_RESTORED] = {frames_restored, TO(TAKE_OVER)},
                [DEPLOYMENT_EVENT_TIMER] = {transmit_timer, TO(STATUS) | TO(SETUP) | TO(RELEASE)},
                [DEPLOYMENT_EVENT_ABORT] = {abort_it, TO(RELEASE)},
                [DEPLOYMENT_EVENT_PAUSE] = {paused, 0},
                [DEPLOYMENT_EVENT_RESUME] = {resumed, 0},
                [DEPLOYMENT_EVENT_GROUP_CREATED] = IGNORE,
                [DEPLOYMENT_EVENT_GROUP_FAILED] = {counter_failed,
                                                   TO(STATUS) | TO(SETUP) | TO(RELEASE)},
                [DEPLOYMENT_EVENT_GATEWAYS_SET] = {gateways_shrunk, TO(STATUS) | TO(SETUP) | TO(RELEASE)},
                [DEPLOYMENT_EVENT_GROUP_DELETED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_QUEUED] = {frame_queued,
                                                   TO(STATUS) | TO(SETUP) | TO(RELEASE)},
                [DEPLOYMENT_EVENT_FRAME_FAILED] = {frame_failed, TO(RELEASE)},
                [DEPLOYMENT_EVENT_FRAME_UNKNOWN] = {frame_unknown, 0},
                [DEPLOYMENT_EVENT_FRAME_DEFERRED] = {frame_deferred, TO(STATUS) | TO(SETUP) | TO(RELEASE)},
                [DEPLOYMENT_EVENT_FRAME_RESULT] = {result_told, 0},
                [DEPLOYMENT_EVENT_COUNTER] = {counter_read, TO(STATUS) | TO(SETUP) | TO(RELEASE)},
                [DEPLOYMENT_EVENT_OLD_QUEUE] = IGNORE,
                [DEPLOYMENT_EVENT_GAP] = IGNORE,
            },
        [TRANSMISSION_STATUS] =
            {
                [DEPLOYMENT_EVENT_BEGIN] = IGNORE,
                [DEPLOYMENT_EVENT_RESTORED] = {frames_restored, TO(TAKE_OVER)},
                [DEPLOYMENT_EVENT_TIMER] = {status_timer, TO(TRANSMIT) | TO(SETUP) | TO(RELEASE)},
                [DEPLOYMENT_EVENT_ABORT] = {abort_it, TO(RELEASE)},
                [DEPLOYMENT_EVENT_PAUSE] = {paused, 0},
                [DEPLOYMENT_EVENT_RESUME] = {resumed, 0},
                [DEPLOYMENT_EVENT_GROUP_CREATED] = IGNORE,
                [DEPLOYMENT_EVENT_GROUP_FAILED] = {counter_failed,
                                                   TO(TRANSMIT) | TO(SETUP) | TO(RELEASE)},
                [DEPLOYMENT_EVENT_GATEWAYS_SET] = IGNORE,
                [DEPLOYMENT_EVENT_GROUP_DELETED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_QUEUED] = {frame_queued, TO(TRANSMIT)},
                [DEPLOYMENT_EVENT_FRAME_FAILED] = {frame_failed, TO(RELEASE)},
                [DEPLOYMENT_EVENT_FRAME_UNKNOWN] = {frame_unknown, 0},
                [DEPLOYMENT_EVENT_FRAME_DEFERRED] = {frame_deferred, TO(TRANSMIT) | TO(SETUP) | TO(RELEASE)},
                [DEPLOYMENT_EVENT_FRAME_RESULT] = {result_told, 0},
                [DEPLOYMENT_EVENT_COUNTER] = {counter_read, TO(TRANSMIT) | TO(SETUP) | TO(RELEASE)},
                [DEPLOYMENT_EVENT_OLD_QUEUE] = IGNORE,
                [DEPLOYMENT_EVENT_GAP] = IGNORE,
            },
        [TRANSMISSION_RELEASE] =
            {
                [DEPLOYMENT_EVENT_BEGIN] = IGNORE,
                [DEPLOYMENT_EVENT_RESTORED] = {release_restored, TO(DONE)},
                [DEPLOYMENT_EVENT_TIMER] = {release_timer, TO(DONE)},
                [DEPLOYMENT_EVENT_ABORT] = IGNORE,
                [DEPLOYMENT_EVENT_PAUSE] = {paused, 0},
                [DEPLOYMENT_EVENT_RESUME] = {resumed, 0},
                [DEPLOYMENT_EVENT_GROUP_CREATED] = {group_created_late, TO(DONE)},
                [DEPLOYMENT_EVENT_GROUP_FAILED] = {release_failed, TO(DONE)},
                [DEPLOYMENT_EVENT_GATEWAYS_SET] = {release_calls, TO(DONE)},
                [DEPLOYMENT_EVENT_GROUP_DELETED] = {group_deleted, TO(DONE)},
                [DEPLOYMENT_EVENT_FRAME_QUEUED] = {release_calls, 0},
                [DEPLOYMENT_EVENT_FRAME_FAILED] = {release_calls, 0},
                [DEPLOYMENT_EVENT_FRAME_UNKNOWN] = {release_calls, 0},
                [DEPLOYMENT_EVENT_FRAME_DEFERRED] = {release_calls, 0},
                [DEPLOYMENT_EVENT_FRAME_RESULT] = IGNORE,
                [DEPLOYMENT_EVENT_COUNTER] = {release_calls, TO(DONE)},
                [DEPLOYMENT_EVENT_OLD_QUEUE] = {release_calls, TO(DONE)},
                [DEPLOYMENT_EVENT_GAP] = IGNORE,
            },
        [TRANSMISSION_TAKE_OVER] =
            {
                [DEPLOYMENT_EVENT_BEGIN] = IGNORE,
                [DEPLOYMENT_EVENT_RESTORED] = {take_over_timer, 0},
                [DEPLOYMENT_EVENT_TIMER] = {take_over_timer, 0},
                [DEPLOYMENT_EVENT_ABORT] = {abort_it, TO(RELEASE)},
                [DEPLOYMENT_EVENT_PAUSE] = {paused, 0},
                [DEPLOYMENT_EVENT_RESUME] = {resumed, 0},
                [DEPLOYMENT_EVENT_GROUP_CREATED] = {take_over_created, 0},
                [DEPLOYMENT_EVENT_GROUP_FAILED] = {take_over_failed, TO(STATUS)},
                [DEPLOYMENT_EVENT_GATEWAYS_SET] = {take_over_gateways, 0},
                [DEPLOYMENT_EVENT_GROUP_DELETED] = {take_over_deleted, TO(TRANSMIT) | TO(STATUS)},
                [DEPLOYMENT_EVENT_FRAME_QUEUED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_FAILED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_UNKNOWN] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_DEFERRED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_RESULT] = IGNORE,
                [DEPLOYMENT_EVENT_COUNTER] = IGNORE,
                [DEPLOYMENT_EVENT_OLD_QUEUE] = {take_over_queue, 0},
                [DEPLOYMENT_EVENT_GAP] = IGNORE,
            },
        [TRANSMISSION_DONE] =
            {
                [DEPLOYMENT_EVENT_BEGIN] = IGNORE,
                [DEPLOYMENT_EVENT_RESTORED] = IGNORE,
                [DEPLOYMENT_EVENT_TIMER] = IGNORE,
                [DEPLOYMENT_EVENT_ABORT] = IGNORE,
                [DEPLOYMENT_EVENT_PAUSE] = {paused, 0},
                [DEPLOYMENT_EVENT_RESUME] = {resumed, 0},
                [DEPLOYMENT_EVENT_GROUP_CREATED] = IGNORE,
                [DEPLOYMENT_EVENT_GROUP_FAILED] = IGNORE,
                [DEPLOYMENT_EVENT_GATEWAYS_SET] = IGNORE,
                [DEPLOYMENT_EVENT_GROUP_DELETED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_QUEUED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_FAILED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_UNKNOWN] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_DEFERRED] = IGNORE,
                [DEPLOYMENT_EVENT_FRAME_RESULT] = IGNORE,
                [DEPLOYMENT_EVENT_COUNTER] = IGNORE,
                [DEPLOYMENT_EVENT_OLD_QUEUE] = IGNORE,
                [DEPLOYMENT_EVENT_GAP] = IGNORE,
            },
};

void transmission_enter(struct deployment *d, enum transmission_state state)
{
    struct transmission *t = &d->transmission;
    bool is_taken_over = t->state == TRANSMISSION_TAKE_OVER;

    t->state = state;
    t->failure_count = 0;
    d->is_transmission_changed = true;
    note(d, NOTE_NO_DEVICE, NOTE_STATE, state, 0);
    switch (state) {
    case TRANSMISSION_SETUP:
        enter_setup(d);
        break;
    case TRANSMISSION_START_SESSION:
        gateways_choose(d);
        group_call(d, DEPLOYMENT_ACTION_SET_GATEWAYS);
        break;
    case TRANSMISSION_TRANSMIT:
        transmission_set_deadline(d, d->now_ms);
        break;
    case TRANSMISSION_STATUS:
        if (is_taken_over) {
            status_resume(d);
        } else {
            status_enter(d);
        }
        break;
    case TRANSMISSION_TAKE_OVER:
        take_over_enter(d);
        break;
    case TRANSMISSION_RELEASE:
        t->is_paused = false;
        t->has_group =
            true; /* perhaps, if its making never reported: deleting goes by its name, too */
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
    if (next != d->transmission.state || d->is_new_setup) {
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
        if (d->stage_count[DEVICE_RECEIVING] == 0 && !d->is_group_call_open &&
            d->transmission.frame_call == FRAME_CALL_NONE) { /* all ended while fragments flow */
            move(d, next_pass(d));
        }
        break;
    case TRANSMISSION_CREATE_GROUP:
    case TRANSMISSION_RELEASE:
    case TRANSMISSION_TAKE_OVER:
    case TRANSMISSION_DONE:
    case TRANSMISSION_STATE_COUNT:
        break;
    }
}
