/* group.c - the calls about the multicast group: one at a time, repeated while it can still help.
 */
#include "states.h"

#define GROUP_RETRY_FIRST_MS 5000
#define GROUP_RETRY_LAST_MS  60000

/* A group that cannot be deleted is left behind after so many tries, a minute apart. */
#define RELEASE_FAILURES_MAX 180

uint32_t pending_count(const struct deployment *d)
{
    return d->stage_count[DEVICE_VERSION] + d->stage_count[DEVICE_GROUP] +
           d->stage_count[DEVICE_FRAGMENTATION] + d->stage_count[DEVICE_CLOCK] +
           d->stage_count[DEVICE_SESSION];
}

void fail_all(struct deployment *d, enum reason reason)
{
    for (uint32_t i = 0; i < d->params.device_count; i++) {
        if (!device_stage_is_terminal(d->devices[i].stage)) {
            device_fail(d, &d->devices[i], reason, 0);
        }
    }
}

void fail_set_aside(struct deployment *d)
{
    for (uint32_t i = 0; i < d->params.device_count; i++) {
        struct device *dev = &d->devices[i];
        if (dev->stage == DEVICE_SET_ASIDE) {
            device_fail(d, dev, (enum reason)dev->reason, dev->reason_bits);
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

void group_call(struct deployment *d, enum deployment_action_kind kind)
{
    d->is_group_call_open = true;
    act(d, kind);
    transmission_set_deadline(d, DEPLOYMENT_NEVER);
}

int64_t setup_end_limit_ms(const struct deployment *d)
{
    return d->transmission.setup_started_ms + d->params.setup_limit_ms;
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
    case TRANSMISSION_TAKE_OVER:
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
bool group_is_tried_again(struct deployment *d, const struct deployment_event *event)
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

enum transmission_state group_is_lost(struct deployment *d)
{
    fail_all(d, REASON_GROUP_UNAVAILABLE);
    return TRANSMISSION_RELEASE;
}
