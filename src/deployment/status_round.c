/*
 * status_round.c - the state STATUS: who has the image?
 *
 * First the whole group is asked by one multicast request, which only a device that hears the group
 * answers. While answers prove nothing and the session is open, a probe of a few more coded
 * fragments follows (status.h), and the group is asked again. In the end those that stayed silent
 * are asked one by one.
 */
#include "deployment/status.h"
#include "impl.h"

/* A device silent to so many multicast requests is not waited for by further probes. */
#define SILENT_ROUNDS_MAX 3

static void clear_answers(struct deployment *d)
{
    for (uint32_t i = 0; i < d->params.device_count; i++) {
        device_set_flag(d, &d->devices[i], DEVICE_ANSWERED, false);
    }
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
            device_touch(d, dev);
            device_set_deadline(d, dev, d->now_ms);
        }
    }
}

/* The request goes out if the session still holds it. */
static void ask_group(struct deployment *d)
{
    if (session_has_room(d, 1)) {
        frame_send(d, FRAME_STATUS);
    } else {
        ask_one_by_one(d);
    }
}

void status_enter(struct deployment *d)
{
    d->transmission.has_status_request = false;
    d->transmission.is_unicast_status = false;
    clear_answers(d);
    ask_group(d);
}

void status_resume(struct deployment *d)
{
    if (!d->transmission.has_gateways || has_old_group(&d->transmission)) {
        ask_one_by_one(d); /* the take-over failed: there is no group to ask */
    } else if (d->transmission.has_status_request) {
        transmission_set_deadline(d, d->now_ms + deployment_status_wait_ms(&d->params));
    } else {
        ask_group(d);
    }
}

enum transmission_state status_on_frame(struct deployment *d)
{
    struct transmission *t = &d->transmission;

    t->has_status_request = true;
    transmission_set_deadline(d, t->frame_emission_ms + deployment_status_wait_ms(&d->params));
    return TRANSMISSION_STATUS;
}

static enum status_verdict verdict_of(const struct deployment *d, const struct device *dev)
{
    struct frag_session_status_ans ans = {
        .received_count = dev->received_count,
        .missing_count = dev->missing_count,
    };
    return status_read(&ans, d->params.fragment_count, false);
}

/* No further probe: what the device said last is final. */
static void finalize(struct deployment *d, struct device *dev)
{
    switch (verdict_of(d, dev)) {
    case STATUS_COMPLETE:
        device_set_stage(d, dev, DEVICE_DELIVERED);
        break;
    case STATUS_AMBIGUOUS:
        device_fail(d, dev, REASON_UNPROVEN, dev->missing_count);
        break;
    case STATUS_INCOMPLETE:
    case STATUS_NO_MEMORY: /* ended the device when it came */
        device_fail(d, dev,
                    (dev->flags & DEVICE_REJOINED) != 0 ? REASON_SESSION_LOST : REASON_INCOMPLETE,
                    dev->missing_count);
        break;
    }
}

static bool is_probe_wanted(struct deployment *d)
{
    bool is_wanted = false;

    for (uint32_t i = 0; i < d->params.device_count; i++) {
        struct device *dev = &d->devices[i];
        if (dev->stage != DEVICE_RECEIVING) {
            continue;
        }
        if ((dev->flags & DEVICE_ANSWERED) != 0) {
            dev->unsent_count = 0;
            is_wanted = is_wanted || verdict_of(d, dev) == STATUS_AMBIGUOUS;
        } else if (dev->unsent_count < SILENT_ROUNDS_MAX) {
            dev->unsent_count++; /* counts silent rounds here: nothing is sent to it alone */
            is_wanted = true;
        }
        device_touch(d, dev);
    }
    return is_wanted;
}

static enum transmission_state evaluate(struct deployment *d)
{
    struct transmission *t = &d->transmission;
    bool has_numbers = t->last_number + DEPLOYMENT_PROBE_FRAMES <= FRAG_NUMBER_MAX;

    if (is_probe_wanted(d) && t->probe_round < DEPLOYMENT_PROBE_ROUNDS && has_numbers &&
        session_has_room(d, DEPLOYMENT_PROBE_FRAMES + 1)) {
        t->probe_round++;
        t->next_number = (uint16_t)(t->last_number + 1);
        t->last_number = (uint16_t)(t->last_number + DEPLOYMENT_PROBE_FRAMES);
        return TRANSMISSION_TRANSMIT;
    }
    /* Who is not proven by now is asked alone: a slow device may have answered an older request. */
    if (d->stage_count[DEVICE_RECEIVING] == 0) {
        return TRANSMISSION_RELEASE;
    }
    ask_one_by_one(d);
    return TRANSMISSION_STATUS;
}

enum transmission_state status_on_timer(struct deployment *d)
{
    struct transmission *t = &d->transmission;

    if (t->frame_call == FRAME_CALL_UNKNOWN) {
        frame_check(d);
    } else if (t->is_unicast_status) {
        transmission_set_deadline(d, DEPLOYMENT_NEVER);
    } else if (t->has_status_request) {
        return evaluate(d);
    } else {
        ask_group(d);
    }
    return TRANSMISSION_STATUS;
}

enum transmission_state status_on_device(struct deployment *d)
{
    const struct transmission *t = &d->transmission;

    if (d->stage_count[DEVICE_RECEIVING] == 0) {
        return TRANSMISSION_RELEASE;
    }
    if (t->has_status_request && !t->is_unicast_status &&
        d->answered_count == d->stage_count[DEVICE_RECEIVING]) {
        return evaluate(d);
    }
    return TRANSMISSION_STATUS;
}

void status_on_answer(struct deployment *d, struct device *dev,
                      const struct frag_session_status_ans *ans, int64_t received_ms)
{
    const struct transmission *t = &d->transmission;
    uint32_t sent = t->next_number - 1u;
    bool is_asked = t->state == TRANSMISSION_STATUS;

    if (dev->stage != DEVICE_RECEIVING || ans->frag_index != d->params.frag_index ||
        (t->state != TRANSMISSION_TRANSMIT && !is_asked)) {
        return;
    }
    note(d, index_of(d, dev), NOTE_STATUS, ans->received_count, ans->missing_count);
    /*
     * Only an answer to a request to the group shows that the device hears the group now, and only
     * then does a count that stayed mean that it drops what it hears.
     */
    bool is_frozen = is_asked && !t->is_unicast_status && t->has_status_request &&
                     received_ms >= t->frame_emission_ms && (dev->flags & DEVICE_HAS_STATUS) != 0 &&
                     dev->received_count == ans->received_count &&
                     sent >= dev->status_frame + DEPLOYMENT_PROBE_FRAMES;

    switch (status_read(ans, d->params.fragment_count, is_frozen)) {
    case STATUS_COMPLETE:
        dev->call = CALL_NONE;
        device_set_deadline(d, dev, DEPLOYMENT_NEVER);
        device_set_stage(d, dev, DEVICE_DELIVERED);
        return;
    case STATUS_NO_MEMORY:
        device_fail(d, dev, REASON_NO_MATRIX_MEMORY, ans->missing_count);
        return;
    case STATUS_INCOMPLETE:
    case STATUS_AMBIGUOUS:
        break;
    }
    if (!is_asked) {
        return; /* a late answer while fragments flow: what it counted is not known well enough */
    }
    /* A slow device may answer an older request: only what it says twice in a row, asked alone, is
     * its last word. */
    bool is_repeated = (dev->flags & DEVICE_ANSWERED) != 0 && t->is_unicast_status &&
                       dev->call == CALL_SENT && dev->received_count == ans->received_count &&
                       dev->missing_count == ans->missing_count;
    bool has_moved =
        (dev->flags & DEVICE_HAS_STATUS) != 0 && dev->received_count != ans->received_count;

    dev->received_count = ans->received_count;
    dev->missing_count = ans->missing_count;
    dev->status_frame = sent;
    device_set_flag(d, dev, DEVICE_HAS_STATUS | DEVICE_ANSWERED, true);
    device_touch(d, dev);
    if (!t->is_unicast_status) {
        return;
    }
    if (has_moved) {
        dev->sent_count =
            0; /* it still works off older requests; no fragment flows, so that ends */
    }
    if (is_repeated || dev->sent_count >= d->params.attempts_max) {
        dev->call = CALL_NONE;
        device_set_deadline(d, dev, DEPLOYMENT_NEVER);
        finalize(d, dev);
    } else if (dev->call == CALL_SENT) {
        dev->call = CALL_NONE;
        device_set_deadline(d, dev, d->now_ms);
    }
}
