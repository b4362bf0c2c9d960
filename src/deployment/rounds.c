/*
 * rounds.c - the state STATUS: who has the image, and what is sent next.
 *
 * When the planned fragments are sent, the whole group is asked by one multicast request, which
 * only a device that hears the group answers. Each answer says how many rows the device still
 * needs, and fragments go on flowing while others still answer. When all have answered, or had the
 * time to, the next round is planned: so many new coded fragments as will probably do for all.
 * Whoever stays silent, and who is left when no further fragment is allowed, is asked alone.
 */
#include <assert.h>

#include "evidence.h"
#include "states.h"

/* So few silent devices, or one in so many of all, are asked one by one: a request to the group
 * makes all of it answer. */
#define ALONE_MAX   8
#define ALONE_SHARE 25

/* So little open needs no fragment: they are asked again. */
#define OPEN_NONE 0.1

/* A device may lose the answer that it is preparing by a frame that follows at once (LBM). */
#define STATUS_PAUSE_MS 4000

/* asking */

/* Another device, which no gateway hears that this one is not heard by, was reached and heard. */
static bool was_reachable(const struct deployment *d, const struct device *dev)
{
    for (unsigned i = 0; i < d->answered_from_count; i++) {
        if ((d->answered_from[i] & ~dev->gateways) == 0) {
            return true;
        }
    }
    return false;
}

static void note_reachable(struct deployment *d, const struct device *dev)
{
    if (dev->gateways != 0 && !was_reachable(d, dev) &&
        d->answered_from_count < ANSWERED_FROM_MAX) {
        d->answered_from[d->answered_from_count++] = dev->gateways;
    }
}

static void clear_answers(struct deployment *d)
{
    for (uint32_t i = 0; i < d->params.device_count; i++) {
        struct device *dev = &d->devices[i];
        if (dev->stage == DEVICE_RECEIVING && d->transmission.asked_number > 0 &&
            (dev->flags & DEVICE_ANSWERED) == 0) {
            device_set_flag(d, dev, DEVICE_OWES, true);
            uint16_t asked_at = was_reachable(d, dev) ? d->transmission.asked_number : 0;
            dev->owed_at = dev->owed_at < asked_at ? dev->owed_at : asked_at;
            device_touch(d, dev);
        }
        device_set_flag(d, dev, DEVICE_ANSWERED | DEVICE_SPOKE, false);
    }
    d->answered_from_count = 0;
}

static void ask_one_by_one(struct deployment *d)
{
    d->transmission.is_unicast_status = true;
    d->is_transmission_changed = true;
    transmission_set_deadline(d, DEPLOYMENT_NEVER);
    for (uint32_t i = 0; i < d->params.device_count; i++) {
        struct device *dev = &d->devices[i];
        if (dev->stage == DEVICE_RECEIVING) {
            dev->sent_count = 0;
            dev->unsent_count = 0;
            dev->owed_at = 0; /* an answer to this request shows nothing of the group */
            device_set_flag(d, dev, DEVICE_ANSWERED | DEVICE_SPOKE, false);
            device_touch(d, dev);
            device_set_deadline(d, dev, d->now_ms);
        }
    }
}

/* The request goes out if the session still holds it. */
static void ask_group(struct deployment *d)
{
    if (session_has_room(d, 1) && frames_left(d) > 0) {
        frame_send(d, FRAME_STATUS);
    } else {
        ask_one_by_one(d);
    }
}

static void ask_anew(struct deployment *d)
{
    d->transmission.has_status_request = false;
    d->transmission.is_unicast_status = false;
    clear_answers(d);
    ask_group(d);
}

void status_enter(struct deployment *d)
{
    struct transmission *t = &d->transmission;

    t->is_unicast_status = false;
    if (t->has_status_request) { /* fragments have flown meanwhile */
        transmission_set_deadline(d, t->status_until_ms);
    } else {
        ask_anew(d);
    }
}

void status_resume(struct deployment *d)
{
    struct transmission *t = &d->transmission;

    if (!t->has_gateways || has_old_group(t)) {
        ask_one_by_one(d); /* the take-over failed: there is no group to ask */
    } else if (t->has_status_request) {
        transmission_set_deadline(d, d->now_ms + deployment_status_wait_ms(&d->params));
    } else {
        ask_group(d);
    }
}

static bool has_fragments(const struct deployment *d)
{
    const struct transmission *t = &d->transmission;

    return t->next_number <= t->last_number && session_has_room(d, 1) &&
           stop_reason(d) == REASON_NONE;
}

enum transmission_state status_on_frame(struct deployment *d)
{
    struct transmission *t = &d->transmission;
    int64_t quiet_ms = d->now_ms + STATUS_PAUSE_MS;

    t->has_status_request = true;
    t->asked_number = (uint16_t)(t->next_number - 1);
    d->older_answers_ms = t->status_until_ms;
    t->status_until_ms = t->frame_emission_ms + deployment_status_wait_ms(&d->params);
    if (t->next_emission_ms < quiet_ms) {
        t->next_emission_ms = quiet_ms;
    }
    transmission_set_deadline(d, t->status_until_ms);
    return has_fragments(d) ? TRANSMISSION_TRANSMIT : TRANSMISSION_STATUS;
}

static void leave_out(struct deployment *d, struct device *dev)
{
    device_set_aside(
        d, dev, (dev->flags & DEVICE_REJOINED) != 0 ? REASON_SESSION_LOST : REASON_GROUP_NOT_HEARD,
        dev->missing_count);
}

/* No further round: what the device said last is final. */
static void finalize(struct deployment *d, struct device *dev, enum reason stop)
{
    if (!has_said_incomplete(d, dev)) {
        device_fail(d, dev, REASON_UNPROVEN, dev->missing_count);
    } else if ((dev->flags & DEVICE_REJOINED) != 0 || stop == REASON_GROUP_NOT_HEARD) {
        leave_out(d, dev);
    } else {
        device_fail(d, dev, stop, dev->missing_count);
    }
}

static void finalize_all(struct deployment *d, enum reason stop)
{
    for (uint32_t i = 0; i < d->params.device_count; i++) {
        if (d->devices[i].stage == DEVICE_RECEIVING) {
            finalize(d, &d->devices[i], stop);
        }
    }
}

/* planning */

/* A device says that it lacks `rows`: they are sent while the others still answer. */
static void raise_last_number(struct deployment *d, const struct device *dev)
{
    struct transmission *t = &d->transmission;
    struct reception r = reception_of(d, dev);

    if (lacks_rows(d, dev, &r) < OPEN_MAX || t->round >= d->params.rounds_max ||
        dev->counted_at == 0) {
        return;
    }
    double number = dev->counted_at + r.rows / (1.0 - recent_loss(dev));
    if (number > ordinal_max(d)) {
        number = ordinal_max(d);
    }
    if (number > t->last_number) {
        t->last_number = (uint16_t)number;
        d->is_transmission_changed = true;
    }
}

static void deliver(struct deployment *d, struct device *dev)
{
    dev->call = CALL_NONE;
    device_set_deadline(d, dev, DEPLOYMENT_NEVER);
    device_set_stage(d, dev, DEVICE_DELIVERED);
}

/* Goes through the answers. Returns how many devices were silent and are still worth a request to
 * the group. */
static uint32_t judge_answers(struct deployment *d)
{
    bool is_alone = d->transmission.is_unicast_status;
    uint32_t silent = 0;

    for (uint32_t i = 0; i < d->params.device_count; i++) {
        struct device *dev = &d->devices[i];
        if (dev->stage != DEVICE_RECEIVING) {
            continue;
        }
        if (is_proven(d, dev)) {
            deliver(d, dev);
        } else if (takes_nothing(d, dev)) {
            leave_out(d, dev);
        } else if (is_alone && dev->alone_count >= ALONE_TIMES_MAX) {
            finalize(d, dev, REASON_GROUP_NOT_HEARD);
        } else if (is_alone) {
            continue; /* each has answered */
        } else if ((dev->flags & DEVICE_ANSWERED) != 0) {
            dev->unsent_count = 0;
        } else if (dev->unsent_count < SILENT_ROUNDS_MAX) {
            dev->unsent_count++; /* counts silent rounds here: nothing is sent to it alone */
            silent++;
        }
        device_touch(d, dev);
    }
    return silent;
}

static enum transmission_state begin_round(struct deployment *d)
{
    struct transmission *t = &d->transmission;

    t->round++;
    d->is_transmission_changed = true;
    note(d, NOTE_NO_DEVICE, NOTE_ROUND, t->round, t->last_number);
    t->has_status_request = false;
    t->is_unicast_status = false;
    t->made_up_count = 0;
    if (t->next_number <= t->last_number) {
        if (gateways_shrink(d)) {
            t->has_gateways = false; /* before the next fragment */
            note(d, NOTE_NO_DEVICE, NOTE_GATEWAYS, deployment_gateway_count(d), 0);
        }
        return TRANSMISSION_TRANSMIT;
    }
    ask_anew(d);
    return TRANSMISSION_STATUS;
}

/*
 * Plans new fragments for the devices whose need is known. Whether another round is worth it:
 * whoever lacks nothing must still say so to the group.
 */
static bool plan_round(struct deployment *d)
{
    struct transmission *t = &d->transmission;
    unsigned number = plan_last_number(d);
    bool is_any_open = false;

    for (uint32_t i = 0; i < d->params.device_count && !is_any_open; i++) {
        is_any_open = is_open(&d->devices[i]);
    }
    if (number == t->asked_number && open_devices(d, number) > OPEN_NONE &&
        number < ordinal_max(d)) {
        number++; /* some device needs a row, though hardly any does */
    }
    if (number < t->next_number && !session_has_room(d, 1)) {
        number = t->next_number; /* to be asked, the group needs a session, and that a fragment */
    }
    if (number > t->last_number) {
        t->last_number = (uint16_t)number;
    }
    return is_any_open;
}

static uint32_t alone_max(const struct deployment *d)
{
    uint32_t share = d->params.device_count / ALONE_SHARE;

    return share > ALONE_MAX ? share : ALONE_MAX;
}

/* The few that are left need probably no fragment, and what they say alone can prove it. */
static bool is_better_alone(const struct deployment *d)
{
    const struct transmission *t = &d->transmission;

    if (t->is_unicast_status || t->next_number <= t->last_number ||
        d->stage_count[DEVICE_RECEIVING] > alone_max(d)) {
        return false;
    }
    for (uint32_t i = 0; i < d->params.device_count; i++) {
        const struct device *dev = &d->devices[i];
        if (is_open(dev) && !can_prove_alone(d, dev)) {
            return false;
        }
    }
    return true;
}

/* Every answer is in, or had its time. */
static enum transmission_state evaluate(struct deployment *d)
{
    struct transmission *t = &d->transmission;
    bool was_alone = t->is_unicast_status;
    uint32_t silent = judge_answers(d);
    enum reason stop = t->round < d->params.rounds_max ? stop_reason(d) : REASON_INCOMPLETE;
    if (stop == REASON_NONE && !session_has_room(d, 1) && !may_open_session(d)) {
        stop = REASON_DEADLINE_PASSED;
    }

    if (d->stage_count[DEVICE_RECEIVING] == 0) {
        return next_pass(d);
    }
    if (stop == REASON_NONE && plan_round(d) && !is_better_alone(d)) {
        return begin_round(d);
    }
    if (stop == REASON_NONE && silent > alone_max(d) && session_has_room(d, 1)) {
        return begin_round(d);
    }
    if (was_alone) { /* each had its last word */
        note(d, NOTE_NO_DEVICE, NOTE_STOPPED, stop, 0);
        finalize_all(d, stop == REASON_NONE ? REASON_INCOMPLETE : stop);
        return next_pass(d);
    }
    ask_one_by_one(d);
    return TRANSMISSION_STATUS;
}

/* events */

enum transmission_state status_on_timer(struct deployment *d)
{
    struct transmission *t = &d->transmission;

    if (t->frame_call == FRAME_CALL_UNKNOWN) {
        frame_check(d);
    } else if (t->is_unicast_status) {
        transmission_set_deadline(d, DEPLOYMENT_NEVER);
    } else if (!t->has_status_request) {
        ask_group(d);
    } else if (has_fragments(d)) {
        return TRANSMISSION_TRANSMIT;
    } else if (d->now_ms < t->status_until_ms) {
        transmission_set_deadline(d, t->status_until_ms);
    } else {
        return evaluate(d);
    }
    return TRANSMISSION_STATUS;
}

enum transmission_state status_on_device(struct deployment *d)
{
    const struct transmission *t = &d->transmission;

    if (t->frame_call != FRAME_CALL_NONE) {
        return TRANSMISSION_STATUS; /* its outcome first */
    }
    if (d->stage_count[DEVICE_RECEIVING] == 0) {
        return next_pass(d);
    }
    if (!t->has_status_request && !t->is_unicast_status) {
        return TRANSMISSION_STATUS;
    }
    if (d->answered_count == d->stage_count[DEVICE_RECEIVING]) {
        return evaluate(d);
    }
    return !t->is_unicast_status && has_fragments(d) ? TRANSMISSION_TRANSMIT : TRANSMISSION_STATUS;
}

static void has_answered(struct deployment *d, struct device *dev)
{
    device_set_flag(d, dev, DEVICE_ANSWERED, true);
    device_set_flag(d, dev, DEVICE_OWES, false);
}

/* An answer to a request to the group, or one that came by itself. */
static void on_group_answer(struct deployment *d, struct device *dev)
{
    bool has_owed = (dev->flags & DEVICE_OWES) != 0;

    dev->alone_count = 0;
    dev->owed_at = OWES_NOTHING;
    has_answered(d, dev);
    if (!has_owed) {
        raise_last_number(d, dev);
    }
}

/*
 * An answer of a device that is asked alone. A slow device may answer an older request: only what
 * it says twice in a row is its last word.
 */
static void on_single_answer(struct deployment *d, struct device *dev, bool has_moved, bool is_same)
{
    bool is_repeated = (dev->flags & DEVICE_SPOKE) != 0 && dev->call == CALL_SENT && is_same;

    if (has_moved) {
        dev->sent_count =
            0; /* it still works off older requests; no fragment flows, so that ends */
    }
    device_set_flag(d, dev, DEVICE_SPOKE, true);
    if (is_repeated || dev->sent_count >= d->params.attempts_max) {
        dev->call = CALL_NONE;
        device_set_deadline(d, dev, DEPLOYMENT_NEVER);
        dev->alone_count++;
        has_answered(d, dev);
    } else if (dev->call == CALL_SENT) {
        dev->call = CALL_NONE;
        device_set_deadline(d, dev, d->now_ms);
    }
}

bool status_is_worth_more(struct deployment *d, struct device *dev)
{
    bool has_spoken = (dev->flags & DEVICE_HAS_STATUS) != 0; /* and may lose much */
    bool may_go_on = d->transmission.round < d->params.rounds_max && stop_reason(d) == REASON_NONE;

    if (!has_spoken || !may_go_on || dev->alone_count + 1 >= ALONE_TIMES_MAX) {
        return false;
    }
    dev->alone_count++;
    dev->call = CALL_NONE;
    device_set_deadline(d, dev, DEPLOYMENT_NEVER);
    device_set_flag(d, dev, DEVICE_ANSWERED, true); /* it is not waited for */
    return true;
}

/* The last word, for people. */
static void show_counts(struct device *dev, const struct frag_session_status_ans *ans)
{
    dev->received_count = ans->received_count;
    dev->missing_count = ans->missing_count;
}

static bool is_listening_to_answers(const struct transmission *t)
{
    return t->state == TRANSMISSION_STATUS || t->state == TRANSMISSION_TRANSMIT;
}

/* Of the latest request to the group, unless the device is slow. */
static bool is_to_the_group(const struct deployment *d, int64_t received_ms)
{
    const struct transmission *t = &d->transmission;

    return t->has_status_request && !t->is_unicast_status &&
           received_ms >= t->status_until_ms - deployment_status_wait_ms(&d->params);
}

/* Nobody waits for delivered devices: they may still answer the request before. */
void status_on_delivered(struct deployment *d, const struct device *dev,
                         const struct frag_session_status_ans *ans, int64_t received_ms)
{
    if (ans->frag_index == d->params.frag_index && is_listening_to_answers(&d->transmission) &&
        is_to_the_group(d, received_ms) && received_ms > d->older_answers_ms &&
        (dev->flags & DEVICE_OWES) == 0) {
        note_reachable(d, dev);
    }
}

void status_on_answer(struct deployment *d, struct device *dev,
                      const struct frag_session_status_ans *ans, int64_t received_ms)
{
    const struct transmission *t = &d->transmission;
    uint16_t sent = (uint16_t)(t->next_number - 1);

    if (dev->stage != DEVICE_RECEIVING || ans->frag_index != d->params.frag_index ||
        !is_listening_to_answers(t)) {
        return;
    }
    note(d, index_of(d, dev), NOTE_STATUS, ans->received_count, ans->missing_count);
    bool had_status = (dev->flags & DEVICE_HAS_STATUS) != 0;
    bool is_same_count = had_status && dev->received_count == ans->received_count;
    bool is_same = is_same_count && dev->missing_count == ans->missing_count;
    /*
     * Only an answer to a request to the group shows that the device hears the group now, and only
     * then does a count that stayed mean that it drops what it hears. Who was silent to a request
     * may answer that one now; and if nobody answered it from there, all of its gateways may have
     * been away, and no fragment since its last answer was on air for it.
     */
    bool is_to_group = is_to_the_group(d, received_ms);
    bool was_there = is_to_group && dev->owed_at != 0;
    unsigned asked_at = dev->owed_at < t->asked_number ? dev->owed_at : t->asked_number;
    bool is_frozen = was_there && is_same_count && asked_at >= proof_number(d, dev);
    struct status_facts facts = status_facts_of(d, dev, sent, is_frozen);

    if (is_to_group && (dev->flags & DEVICE_OWES) == 0) {
        note_reachable(d, dev);
    }
    switch (status_read(ans, &facts)) {
    case STATUS_COMPLETE:
        show_counts(dev, ans);
        deliver(d, dev);
        return;
    case STATUS_NO_MEMORY:
        if ((dev->flags & DEVICE_OWES) != 0) {
            device_set_flag(d, dev, DEVICE_OWES,
                            false); /* of the pass before; the next one counts */
            return;
        }
        show_counts(dev, ans);
        device_set_aside(d, dev, REASON_NO_MATRIX_MEMORY, ans->missing_count);
        return;
    case STATUS_INCOMPLETE:
    case STATUS_AMBIGUOUS:
        break;
    }
    if (!is_to_group && !t->is_unicast_status) {
        return; /* of an older request, while fragments flow: what it counted is not known */
    }
    take_counts(d, dev, ans, is_to_group ? t->asked_number : sent, was_there);
    if (t->is_unicast_status) {
        on_single_answer(d, dev, had_status && !is_same_count, is_same);
    } else {
        on_group_answer(d, dev);
    }
}
