/* frames.c - pacing of the multicast frames: one Enqueue under way, never faster than the gap. */
#include "fec/odds.h"
#include "impl.h"

/* The last frame leaves this long before the devices close their session. */
#define SESSION_END_MARGIN_MS 5000

/* The device takes the counter for 16 bits wide (command.c). */
#define F_CNT_LAST 65534

/* See docs/deployment.md, "Expiry": what may delay a frame at the network server, and a re-sending.
 */
#define EXPIRY_EXTRA_MS 4000

/* A call is answered at once as a rule. One that was slow may have queued the frame just now. */
#define ANSWERED_SOON_MS 1000

/*
 * About so many refused frames in a row make it twice as slow, so many that were sent through all
 * gateways twice as fast again. A refused frame weighs as much as so many that a gateway sent, and
 * the more the more gateways send each.
 */
#define REFUSALS_TO_SLOW 3
#define REFUSAL_WEIGHT   3
#define SENT_TO_SPEED_UP 15

/* A refusal_score that no sum reaches: for this session it is not slowed down any more. */
#define SLOWING_IS_IN_VAIN UINT8_MAX

/* Rows that are added in a round. */
#define MADE_UP_MIN   8
#define MADE_UP_SHARE 8

#define RESULT_AGE_MAX 64

#define RETRY_FIRST_MS 2000
#define RETRY_LAST_MS  60000

int64_t session_end_ms(const struct deployment *d)
{
    return d->transmission.session_time_ms + (INT64_C(1000) << d->transmission.time_out);
}

static int64_t next_emission_ms(const struct deployment *d)
{
    int64_t next_ms = d->transmission.next_emission_ms;

    return next_ms > d->now_ms ? next_ms : d->now_ms;
}

/* Longer than the parameters ask while gateways refuse frames. */
static int64_t paced_gap_ms(const struct deployment *d)
{
    return (int64_t)deployment_gap_ms(&d->params, deployment_gateway_count(d))
           << d->transmission.slowness;
}

bool session_has_room(const struct deployment *d, unsigned count)
{
    int64_t gap_ms = paced_gap_ms(d);

    return next_emission_ms(d) + count * gap_ms + SESSION_END_MARGIN_MS <= session_end_ms(d);
}

unsigned deployment_fragment_number(const struct deployment *d, unsigned ordinal)
{
    unsigned count = d->params.fragment_count;

    return ordinal <= count ? ordinal
                            : count + fec_seed_index(d->chosen, d->chosen_count, ordinal - count);
}

unsigned ordinal_max(const struct deployment *d)
{
    unsigned skipped = d->chosen_count > 0 ? d->chosen[d->chosen_count - 1] - d->chosen_count : 0u;

    return FRAG_NUMBER_MAX - skipped;
}

uint32_t frames_left(const struct deployment *d)
{
    const struct transmission *t = &d->transmission;
    uint32_t counters = t->f_cnt <= F_CNT_LAST ? F_CNT_LAST - t->f_cnt : 0;
    uint32_t budget = UINT32_MAX;

    if (d->params.frames_max > 0) {
        budget = d->params.frames_max > t->frame_count ? d->params.frames_max - t->frame_count : 0;
    }
    return counters < budget ? counters : budget;
}

void fragment_is_sent(struct deployment *d)
{
    struct transmission *t = &d->transmission;
    bool is_coded = t->next_number > d->params.fragment_count;

    t->repeat_index++;
    if (is_coded || t->repeat_index >= t->repeat_count) {
        t->repeat_index = 0;
        t->next_number++;
    }
}

static int64_t expiry_ms(const struct deployment *d)
{
    return d->transmission.frame_emission_ms +
           deployment_gateway_count(d) * (int64_t)d->params.margin_ms +
           INT64_C(2) * d->params.scheduler_interval_ms + EXPIRY_EXTRA_MS;
}

void frame_send(struct deployment *d, enum frame_kind kind)
{
    struct transmission *t = &d->transmission;
    int64_t emission_ms = next_emission_ms(d);

    if (t->frame_call != FRAME_CALL_NONE) {
        return;
    }
    if (t->is_paused) {
        transmission_set_deadline(d, DEPLOYMENT_NEVER);
        return;
    }
    /*
     * One frame at a time, by our own clock: the network server spaces a frame only behind rows
     * that still wait, and sends at once when its queue has just drained.
     */
    if (emission_ms > d->now_ms) {
        transmission_set_deadline(d, emission_ms);
        return;
    }
    struct deployment_action *action = act(d, DEPLOYMENT_ACTION_FRAME);

    action->frame_kind = kind;
    action->number =
        kind == FRAME_FRAGMENT ? (uint16_t)deployment_fragment_number(d, t->next_number) : 0;
    action->f_cnt = t->f_cnt;
    t->frame_call = FRAME_CALL_OPEN;
    t->frame_kind = kind;
    t->frame_emission_ms = emission_ms;
    action->expires_ms = expiry_ms(d);
    transmission_set_deadline(d, DEPLOYMENT_NEVER);
}

/* The latest time at which the frame that is under way can have left. */
static int64_t emitted_by_ms(const struct deployment *d)
{
    int64_t planned_ms = d->transmission.frame_emission_ms;
    int64_t queued_ms = d->now_ms - ANSWERED_SOON_MS;
    int64_t last_ms = queued_ms < expiry_ms(d) ? queued_ms : expiry_ms(d);

    return last_ms > planned_ms ? last_ms : planned_ms;
}

void frame_book(struct deployment *d, uint32_t f_cnt)
{
    struct transmission *t = &d->transmission;

    if (f_cnt != t->f_cnt) {
        note(d, NOTE_NO_DEVICE, NOTE_COUNTER_JUMP, f_cnt, t->f_cnt);
    }
    t->f_cnt = f_cnt < UINT32_MAX ? f_cnt + 1 : UINT32_MAX; /* at its end, not back at 0 */
    t->frame_count++;
    t->frame_call = FRAME_CALL_NONE;
    t->failure_count = 0;
    t->next_emission_ms = emitted_by_ms(d) + paced_gap_ms(d);
    if (t->frame_kind == FRAME_FRAGMENT) {
        fragment_is_sent(d);
    }
    d->is_transmission_changed = true;
}

static int64_t backoff_ms(struct transmission *t)
{
    int64_t wait_ms = RETRY_FIRST_MS;

    for (unsigned i = 0; i < t->failure_count && wait_ms < RETRY_LAST_MS; i++) {
        wait_ms *= 2;
    }
    if (t->failure_count < UINT8_MAX) {
        t->failure_count++;
    }
    return wait_ms;
}

void frame_retry(struct deployment *d)
{
    struct transmission *t = &d->transmission;
    int64_t again_ms = d->now_ms + backoff_ms(t);

    t->frame_call = FRAME_CALL_NONE;
    if (t->next_emission_ms < again_ms) {
        t->next_emission_ms = again_ms;
    }
    transmission_set_deadline(d, again_ms);
}

/* Whoever is behind that gateway has lost it: one more row, however many gateways refused; not
 * without end, the devices' answers tell the rest. */
static void make_up_for(struct deployment *d, uint32_t f_cnt)
{
    struct transmission *t = &d->transmission;
    unsigned most = MADE_UP_MIN + d->params.fragment_count / MADE_UP_SHARE;

    if (d->params.rounds_max > 1 && t->made_up_count < most && t->next_number <= t->last_number &&
        t->last_number < ordinal_max(d)) {
        t->last_number++;
        t->made_up_count++;
    }
    t->refused_f_cnt = f_cnt + 1;
}

static void frame_was_refused(struct deployment *d, uint32_t f_cnt, unsigned gateways)
{
    struct transmission *t = &d->transmission;

    t->refused_count++;
    t->sent_in_row = 0;
    if (t->refused_f_cnt == f_cnt + 1) {
        return; /* by another gateway, too */
    }
    make_up_for(d, f_cnt);
    if (t->refusal_score == SLOWING_IS_IN_VAIN) {
        return;
    }
    t->refusal_score = (uint8_t)(t->refusal_score + REFUSAL_WEIGHT * gateways);
    if (t->refusal_score < REFUSALS_TO_SLOW * REFUSAL_WEIGHT * gateways) {
        return;
    }
    if (t->slowness < SLOWNESS_MAX) {
        t->slowness++;
        t->refusal_score = 0;
    } else { /* it has another reason, and whoever is behind other gateways need not wait */
        t->slowness = 0;
        t->refusal_score = SLOWING_IS_IN_VAIN;
    }
    note(d, NOTE_NO_DEVICE, NOTE_REFUSALS, t->refused_count, 1u << t->slowness);
}

void frame_result(struct deployment *d, const struct deployment_event *event)
{
    struct transmission *t = &d->transmission;
    uint16_t age = (uint16_t)((uint16_t)t->f_cnt - event->u.result.f_cnt);
    unsigned gateways = deployment_gateway_count(d);

    if (age > RESULT_AGE_MAX || age > t->f_cnt) {
        return; /* of another group, or long ago; age 0: the frame whose call is under way */
    }
    if (event->u.result.is_refused) {
        frame_was_refused(d, t->f_cnt - age, gateways);
    } else {
        if (t->refusal_score > 0 && t->refusal_score < SLOWING_IS_IN_VAIN) {
            t->refusal_score--;
        }
        t->sent_in_row++;
        if (t->sent_in_row >= SENT_TO_SPEED_UP * gateways || t->sent_in_row == UINT8_MAX) {
            t->sent_in_row = 0;
            t->slowness = (uint8_t)(t->slowness - (t->slowness > 0));
        }
    }
    d->is_transmission_changed = true;
}

void frame_check(struct deployment *d)
{
    d->transmission.frame_call = FRAME_CALL_UNKNOWN;
    d->is_group_call_open = true;
    act(d, DEPLOYMENT_ACTION_READ_COUNTER);
    transmission_set_deadline(d, DEPLOYMENT_NEVER);
}
