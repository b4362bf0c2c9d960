/*
 * pass.c - what follows a session and a pass: a further session of the same pass for the frames
 * that are planned, a further pass from N = 1 for the devices that coded fragments alone cannot
 * help, and what the operator stops and starts again.
 */
#include <assert.h>
#include <math.h>

#include "deployment/reception.h"
#include "states.h"

/* The devices have closed the session that ended, by clocks that may be slow. */
#define AFTER_SESSION_MS 10000

/* In a repair each uncoded fragment is sent at most so many times: the airtime grows with it. */
#define REPEATS_MAX 4

enum reason stop_reason(const struct deployment *d)
{
    const struct transmission *t = &d->transmission;

    if (has_old_group(t) || uuid_is_zero(&t->group_id)) {
        return REASON_GROUP_UNAVAILABLE; /* a take-over that failed */
    }
    if (d->params.time_limit_ms > 0 && d->now_ms >= t->started_ms + d->params.time_limit_ms) {
        return REASON_DEADLINE_PASSED;
    }
    return frames_left(d) == 0 ? REASON_BUDGET_SPENT : REASON_NONE;
}

bool may_repair(const struct deployment *d)
{
    const struct transmission *t = &d->transmission;

    return t->repair_number < d->params.repairs_max && t->session_number < d->params.sessions_max &&
           stop_reason(d) == REASON_NONE;
}

int64_t next_setup_ms(const struct deployment *d)
{
    int64_t closed_ms = session_end_ms(d) + AFTER_SESSION_MS;

    return d->transmission.session_number > 0 && closed_ms > d->now_ms ? closed_ms : d->now_ms;
}

/* further sessions */

/* What is planned, each fragment as often as it is sent. */
static uint32_t planned_frames(const struct deployment *d)
{
    const struct transmission *t = &d->transmission;
    uint32_t frames = t->last_number + 1u - t->next_number;

    if (t->next_number <= d->params.fragment_count) {
        frames += (t->repeat_count - 1u) * (d->params.fragment_count + 1u - t->next_number);
    }
    return frames;
}

/* A further session: its length, and what the set-up begins with. */
static enum transmission_state plan_next(struct deployment *d, int64_t begin_ms)
{
    struct transmission *t = &d->transmission;

    d->is_new_setup = true;
    t->setup_started_ms = begin_ms;
    t->time_out = deployment_time_out(&d->params, deployment_gateway_count(d), planned_frames(d));
    t->has_gateways = false;
    t->made_up_count = 0;
    t->refusal_score = 0;
    t->slowness = 0; /* gateways may have changed, and results may not come any more */
    t->has_status_request = false;
    t->is_unicast_status = false;
    t->failure_count = 0;
    return TRANSMISSION_SETUP;
}

bool may_open_session(const struct deployment *d)
{
    return d->transmission.session_number < d->params.sessions_max && stop_reason(d) == REASON_NONE;
}

enum transmission_state next_session(struct deployment *d)
{
    struct transmission *t = &d->transmission;
    int64_t begin_ms = next_setup_ms(d);
    const unsigned needed = DEVICE_HAS_VERSION | DEVICE_HAS_GROUP | DEVICE_HAS_FRAGMENTATION;

    if (!may_open_session(d)) {
        t->last_number = (uint16_t)(t->next_number - 1);
        d->is_transmission_changed = true;
        return TRANSMISSION_STATUS;
    }
    for (uint32_t i = 0; i < d->params.device_count; i++) {
        struct device *dev = &d->devices[i];
        if (dev->stage != DEVICE_RECEIVING) {
            continue;
        }
        if ((dev->flags & needed) != needed) {
            /* Never confirmed, nor has it counted a fragment: asking again might erase some. */
            device_set_aside(d, dev, REASON_FRAGMENTATION_NO_ANSWER, 0);
        } else {
            device_set_flag(
                d, dev, DEVICE_HAS_SESSION | DEVICE_SESSION_SENT | DEVICE_ANSWERED | DEVICE_SPOKE,
                false);
            dev->resync_count = 0;
            device_begin_set_up(d, dev, begin_ms);
        }
    }
    if (pending_count(d) == 0) {
        return next_pass(d);
    }
    return plan_next(d, begin_ms);
}

/* further passes */

/* How often each uncoded fragment must be sent for this device; 0: no pass can help it. */
static unsigned repeats_for(const struct deployment *d, const struct device *dev)
{
    unsigned heard = dev->received_count > 0 ? dev->received_count : 1u;

    if (dev->reason != REASON_NO_MATRIX_MEMORY) {
        return 1;
    }
    if (dev->missing_count == 0) {
        return 0; /* it holds none at all */
    }
    /* Its counts stand where its memory was full. So few losses tell the rate but roughly: rather
     * once more than in vain. */
    double missing = dev->missing_count;
    double loss = missing / (heard + missing);
    unsigned count = d->params.fragment_count;
    unsigned repeats = reception_repeats(loss * (1.0 + 1.0 / sqrt(missing)), count,
                                         dev->missing_count, REPEATS_MAX);

    if (repeats == 0 && reception_repeats(loss, count, dev->missing_count, REPEATS_MAX) > 0) {
        repeats = REPEATS_MAX;
    }
    return repeats;
}

static void take_into_pass(struct deployment *d, struct device *dev, int64_t begin_ms)
{
    unsigned lost = DEVICE_HAS_FRAGMENTATION | DEVICE_HAS_SESSION | DEVICE_SESSION_SENT |
                    DEVICE_REJOINED | DEVICE_HAS_STATUS | DEVICE_ANSWERED | DEVICE_SPOKE;

    if (dev->reason == REASON_SESSION_LOST) {
        lost |= DEVICE_HAS_GROUP; /* who has restarted may have lost that, too */
    }
    dev->reason = REASON_NONE;
    dev->reason_bits = 0;
    dev->received_count = 0;
    dev->missing_count = 0;
    dev->counted_at = 0;
    dev->same_since = 0;
    dev->there_since = 0;
    dev->owed_at = 0;
    dev->resync_count = 0;
    dev->alone_count = 0;
    device_set_flag(d, dev, lost, false);
    device_set_flag(d, dev, DEVICE_OWES, true); /* perhaps an answer of the pass before */
    device_begin_set_up(d, dev, begin_ms);
}

/* Those that no pass can help end with their reason. Returns how many are left, and how often each
 * uncoded fragment must be sent for all of these. */
static uint32_t choose_for_pass(struct deployment *d, unsigned *ret_repeats)
{
    uint32_t count = 0;

    *ret_repeats = 1;
    for (uint32_t i = 0; i < d->params.device_count; i++) {
        struct device *dev = &d->devices[i];
        if (dev->stage != DEVICE_SET_ASIDE) {
            continue;
        }
        unsigned repeats = may_repair(d) ? repeats_for(d, dev) : 0;
        if (repeats == 0) {
            device_fail(d, dev, (enum reason)dev->reason, dev->reason_bits);
            continue;
        }
        *ret_repeats = repeats > *ret_repeats ? repeats : *ret_repeats;
        count++;
    }
    return count;
}

static uint16_t last_number_of_pass(const struct deployment *d)
{
    return (uint16_t)(d->params.fragment_count + d->params.coded_count);
}

enum transmission_state next_pass(struct deployment *d)
{
    struct transmission *t = &d->transmission;
    int64_t begin_ms = next_setup_ms(d);
    unsigned repeats;

    assert(d->stage_count[DEVICE_RECEIVING] == 0);
    uint32_t count = choose_for_pass(d, &repeats);
    if (count > 0 && frames_left(d) < repeats * (uint32_t)d->params.fragment_count) {
        note(d, NOTE_NO_DEVICE, NOTE_STOPPED, REASON_BUDGET_SPENT, 0);
        fail_set_aside(d);
        count = 0;
    }
    if (count == 0) {
        return TRANSMISSION_RELEASE;
    }
    t->repair_number++;
    t->round = 1;
    t->next_number = 1;
    t->last_number = last_number_of_pass(d);
    t->asked_number = 0;
    t->repeat_count = (uint8_t)repeats;
    t->repeat_index = 0;
    note(d, NOTE_NO_DEVICE, NOTE_REPAIR, count, repeats);
    for (uint32_t i = 0; i < d->params.device_count; i++) {
        if (d->devices[i].stage == DEVICE_SET_ASIDE) {
            take_into_pass(d, &d->devices[i], begin_ms);
        }
    }
    return plan_next(d, begin_ms);
}

/* the operator's pause */

void pause_it(struct deployment *d)
{
    struct transmission *t = &d->transmission;

    if (t->is_paused || t->state == TRANSMISSION_RELEASE || t->state == TRANSMISSION_DONE) {
        return;
    }
    t->is_paused = true;
    t->paused_ms = d->now_ms;
    d->is_transmission_changed = true;
    note(d, NOTE_NO_DEVICE, NOTE_PAUSED, 1, 0);
}

void resume_it(struct deployment *d)
{
    struct transmission *t = &d->transmission;

    if (!t->is_paused) {
        return;
    }
    t->is_paused = false;
    t->setup_started_ms += d->now_ms - t->paused_ms; /* a set-up has its whole time */
    d->is_transmission_changed = true;
    note(d, NOTE_NO_DEVICE, NOTE_PAUSED, 0, 0);
    if (!d->is_group_call_open && t->frame_call == FRAME_CALL_NONE) {
        transmission_set_deadline(d, d->now_ms);
    }
    for (uint32_t i = 0; i < d->params.device_count; i++) {
        device_on_resume(d, &d->devices[i]);
    }
}
