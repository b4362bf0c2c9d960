/* release.c - the state RELEASE: devices are cleaned, the group is deleted. */
#include "states.h"

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

static void group_is_gone(struct transmission *t)
{
    if (has_old_group(t)) {
        t->old_group_id = (struct uuid){0};
    } else {
        t->has_group = false;
    }
}

enum transmission_state release_timer(struct deployment *d, const struct deployment_event *event)
{
    struct transmission *t = &d->transmission;

    (void)event;
    if (t->clean_index < d->params.device_count) {
        clean(d);
    }
    if (t->clean_index < d->params.device_count) {
        return TRANSMISSION_RELEASE;
    }
    if (has_old_group(t) && !d->is_group_call_open) {
        group_call(d, DEPLOYMENT_ACTION_DELETE_OLD_GROUP);
    } else if (t->has_group && !d->is_group_call_open) {
        group_call(d, DEPLOYMENT_ACTION_DELETE_GROUP);
    }
    if (t->has_group || d->is_group_call_open) {
        return TRANSMISSION_RELEASE;
    }
    act(d, DEPLOYMENT_ACTION_FINISHED);
    return TRANSMISSION_DONE;
}

/* The group may have come into being behind our back: deleting goes by its name, too. */
enum transmission_state release_restored(struct deployment *d, const struct deployment_event *event)
{
    d->transmission.has_group = true;
    return release_timer(d, event);
}

enum transmission_state group_created_late(struct deployment *d,
                                           const struct deployment_event *event)
{
    (void)begin_setup(d, event);
    return release_timer(d, event);
}

enum transmission_state group_deleted(struct deployment *d, const struct deployment_event *event)
{
    d->is_group_call_open = false;
    group_is_gone(&d->transmission);
    return release_timer(d, event);
}

enum transmission_state release_failed(struct deployment *d, const struct deployment_event *event)
{
    if (group_is_tried_again(d, event)) {
        return TRANSMISSION_RELEASE;
    }
    group_is_gone(&d->transmission); /* left behind, named after the deployment */
    return release_timer(d, event);
}

enum transmission_state release_calls(struct deployment *d, const struct deployment_event *event)
{
    /* The last call before the abort: nothing follows from it. */
    d->transmission.frame_call = FRAME_CALL_NONE;
    if (event->kind == DEPLOYMENT_EVENT_COUNTER || event->kind == DEPLOYMENT_EVENT_GATEWAYS_SET ||
        event->kind == DEPLOYMENT_EVENT_OLD_QUEUE) {
        d->is_group_call_open = false;
        return release_timer(d, event);
    }
    return TRANSMISSION_RELEASE;
}

enum transmission_state abort_it(struct deployment *d, const struct deployment_event *event)
{
    (void)event;
    d->transmission.is_aborted = true;
    fail_all(d, REASON_ABORTED);
    return TRANSMISSION_RELEASE;
}
