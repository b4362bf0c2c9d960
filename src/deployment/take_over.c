/*
 * take_over.c - the state TAKE_OVER: another daemon had this transmission and did not leave it.
 *
 * The database refuses what that daemon still writes, but the network server knows no epochs: a
 * frame that it asked for long ago may land at any time. So its group is left to it. A new one is
 * made with the same address and keys and a counter that is ahead; what still waits in the old
 * queue is read and will be sent anew; then the old group is deleted, and what lands there fails.
 */
#include "states.h"

/* The old owner had one frame under way, and its group may have got a few more than it booked. */
#define COUNTER_AHEAD 16

bool has_old_group(const struct transmission *t)
{
    return !uuid_is_zero(&t->old_group_id);
}

bool take_over_is_wanted(struct deployment *d)
{
    struct transmission *t = &d->transmission;
    bool is_sending = t->state == TRANSMISSION_TRANSMIT ||
                      (t->state == TRANSMISSION_STATUS && !t->is_unicast_status);

    if (t->is_taken_over && !is_sending && t->state != TRANSMISSION_TAKE_OVER) {
        t->is_taken_over = false; /* no frame can be under way */
        d->is_transmission_changed = true;
    }
    return t->is_taken_over && is_sending;
}

void take_over_enter(struct deployment *d)
{
    struct transmission *t = &d->transmission;

    t->old_group_id = t->group_id;
    t->group_id = (struct uuid){0};
    t->group_number++;
    t->f_cnt = t->f_cnt < UINT32_MAX - COUNTER_AHEAD ? t->f_cnt + COUNTER_AHEAD : UINT32_MAX;
    t->has_gateways = false;
    group_call(d, DEPLOYMENT_ACTION_CREATE_GROUP);
}

/* The next call, by what is there already. */
static enum transmission_state go_on(struct deployment *d)
{
    const struct transmission *t = &d->transmission;

    if (d->is_group_call_open) {
        return TRANSMISSION_TAKE_OVER;
    }
    group_call(d, uuid_is_zero(&t->group_id) ? DEPLOYMENT_ACTION_CREATE_GROUP
                  : !t->has_gateways         ? DEPLOYMENT_ACTION_SET_GATEWAYS
                                             : DEPLOYMENT_ACTION_READ_OLD_QUEUE);
    return TRANSMISSION_TAKE_OVER;
}

enum transmission_state take_over_timer(struct deployment *d, const struct deployment_event *event)
{
    (void)event;
    return go_on(d);
}

static enum transmission_state called(struct deployment *d)
{
    d->is_group_call_open = false;
    d->transmission.failure_count = 0;
    return go_on(d);
}

enum transmission_state take_over_created(struct deployment *d,
                                          const struct deployment_event *event)
{
    d->transmission.group_id = event->u.group_id;
    return called(d);
}

enum transmission_state take_over_gateways(struct deployment *d,
                                           const struct deployment_event *event)
{
    (void)event;
    d->transmission.has_gateways = true;
    return called(d);
}

static bool is_queued(const struct deployment_event *event, uint16_t number)
{
    for (size_t i = 0; i < event->u.queued.count; i++) {
        if (event->u.queued.numbers[i] == number) {
            return true;
        }
    }
    return false;
}

/*
 * What waits in the old queue has not been on air, and never will be: it is sent anew. The frame
 * whose call was under way counts as sent unless it waits, too: it may have been on air.
 */
enum transmission_state take_over_queue(struct deployment *d, const struct deployment_event *event)
{
    struct transmission *t = &d->transmission;

    if (t->frame_call != FRAME_CALL_NONE && t->frame_kind == FRAME_FRAGMENT) {
        fragment_is_sent(d);
        t->frame_count++;
    }
    t->frame_call = FRAME_CALL_NONE;
    uint16_t before = t->next_number;
    while (t->next_number > 1 &&
           is_queued(event, (uint16_t)deployment_fragment_number(d, t->next_number - 1u))) {
        t->next_number--;
        t->repeat_index = 0;
    }
    if (t->asked_number >= t->next_number) {
        t->asked_number = (uint16_t)(t->next_number - 1);
    }
    for (uint32_t i = 0; i < d->params.device_count; i++) {
        struct device *dev = &d->devices[i];
        if (dev->owed_at != OWES_NOTHING && dev->owed_at > t->asked_number) {
            dev->owed_at = t->asked_number;
            device_touch(d, dev);
        }
    }
    if (event->u.queued.has_status) {
        t->has_status_request = false;
    }
    if (t->next_number <= t->last_number) {
        t->resume_state = TRANSMISSION_TRANSMIT; /* before anybody is asked for them */
    }
    note(d, NOTE_NO_DEVICE, NOTE_TAKEN_OVER, t->next_number, (uint32_t)(before - t->next_number));
    d->is_group_call_open = false;
    group_call(d, DEPLOYMENT_ACTION_DELETE_OLD_GROUP);
    return TRANSMISSION_TAKE_OVER;
}

static enum transmission_state end(struct deployment *d, enum transmission_state next)
{
    struct transmission *t = &d->transmission;
    int64_t next_ms = d->now_ms + deployment_gap_ms(&d->params, deployment_gateway_count(d));

    t->is_taken_over = false;
    d->is_group_call_open = false;
    if (t->next_emission_ms < next_ms) {
        t->next_emission_ms = next_ms; /* the old group's last frame may just have been on air */
    }
    return next;
}

enum transmission_state take_over_deleted(struct deployment *d,
                                          const struct deployment_event *event)
{
    (void)event;
    d->transmission.old_group_id = (struct uuid){0};
    return end(d, d->transmission.resume_state);
}

enum transmission_state take_over_failed(struct deployment *d, const struct deployment_event *event)
{
    if (group_is_tried_again(d, event)) {
        return TRANSMISSION_TAKE_OVER;
    }
    /* The session is over, or there is no new group: the devices still tell what they have. What
     * is left of the old group goes in RELEASE. */
    d->transmission.frame_call = FRAME_CALL_NONE;
    return end(d, TRANSMISSION_STATUS);
}
