/* device.c - the pipeline of one device: one command at a time, its attempts, its end. */
#include <assert.h>
#include <string.h>

#include "impl.h"

/* A device that heard a command answers at once, after a few seconds at most; only its status is
 * delayed. */
#define ANSWER_WAIT_MS 30000

/* The network server drops what waits longer in its queue than this many uplink intervals. */
#define QUEUE_INTERVALS 3
#define QUEUE_EXTRA_MS  30000

/* After a failed call, also one that reads a queue: doubles up to a minute. */
#define CALL_RETRY_FIRST_MS 2000
#define CALL_RETRY_LAST_MS  60000

/* After so long a call has reported. */
#define CALL_OVER_MS 30000

struct stage_rule {
    enum device_command command;
    enum reason not_sent, no_answer;
};

static const struct stage_rule stage_rules[DEVICE_STAGE_COUNT] = {
    [DEVICE_VERSION] = {COMMAND_VERSION, REASON_VERSION_NOT_SENT, REASON_VERSION_NO_ANSWER},
    [DEVICE_GROUP] = {COMMAND_GROUP_SESSION, REASON_GROUP_NOT_SENT, REASON_GROUP_NO_ANSWER},
    [DEVICE_FRAGMENTATION] = {COMMAND_FRAGMENTATION, REASON_FRAGMENTATION_NOT_SENT,
                              REASON_FRAGMENTATION_NO_ANSWER},
    [DEVICE_CLOCK] = {COMMAND_RESYNC, REASON_CLOCK_NOT_SENT, REASON_CLOCK_NO_ANSWER},
    [DEVICE_SESSION] = {COMMAND_SESSION, REASON_SESSION_NOT_SENT, REASON_SESSION_NO_ANSWER},
    [DEVICE_RECEIVING] = {COMMAND_STATUS, REASON_STATUS_NOT_SENT, REASON_STATUS_NO_ANSWER},
    [DEVICE_SET_ASIDE] = {COMMAND_NONE, REASON_NONE, REASON_NONE},
    [DEVICE_DELIVERED] = {COMMAND_NONE, REASON_NONE, REASON_NONE},
    [DEVICE_FAILED] = {COMMAND_NONE, REASON_NONE, REASON_NONE},
};

bool device_is_out(const struct device *dev)
{
    return dev->stage == DEVICE_SET_ASIDE ||
           device_stage_is_terminal((enum device_stage)dev->stage);
}

static enum device_command stage_command(const struct deployment *d, const struct device *dev)
{
    enum device_command command = stage_rules[dev->stage].command;

    return command == COMMAND_GROUP_SESSION && !d->params.combine_setup ? COMMAND_GROUP : command;
}

static bool carries_session(enum device_command command)
{
    return command == COMMAND_GROUP_SESSION || command == COMMAND_SESSION;
}

static void set_call(struct deployment *d, struct device *dev, enum device_call call,
                     int64_t deadline_ms)
{
    dev->call = (uint8_t)call;
    device_touch(d, dev);
    device_set_deadline(d, dev, deadline_ms);
}

/* The end of a device. A call that is under way still reports, and is ignored then. */
static void end(struct deployment *d, struct device *dev, enum device_stage stage)
{
    set_call(d, dev, CALL_NONE, DEPLOYMENT_NEVER);
    device_set_stage(d, dev, stage);
}

void device_fail(struct deployment *d, struct device *dev, enum reason reason, uint8_t bits)
{
    assert(!device_stage_is_terminal(dev->stage));
    dev->reason = (uint8_t)reason;
    dev->reason_bits = bits;
    end(d, dev, DEVICE_FAILED);
}

void device_set_aside(struct deployment *d, struct device *dev, enum reason reason, uint8_t bits)
{
    if (!may_repair(d)) {
        device_fail(d, dev, reason, bits);
        return;
    }
    dev->reason = (uint8_t)reason;
    dev->reason_bits = bits;
    end(d, dev, DEVICE_SET_ASIDE);
}

static enum reason reason_of_silence(const struct device *dev)
{
    const struct stage_rule *rule = &stage_rules[dev->stage];
    enum reason reason = dev->sent_count > 0 ? rule->no_answer : rule->not_sent;

    if (dev->stage == DEVICE_RECEIVING && (dev->flags & DEVICE_HAS_FRAGMENTATION) == 0) {
        reason = REASON_FRAGMENTATION_NO_ANSWER;
    } else if (dev->stage == DEVICE_RECEIVING && (dev->flags & DEVICE_HAS_SESSION) == 0) {
        reason = REASON_SESSION_NO_ANSWER; /* it may never have opened the session */
    } else if (dev->stage == DEVICE_RECEIVING && (dev->flags & DEVICE_REJOINED) != 0) {
        reason = REASON_SESSION_LOST;
    }
    return reason;
}

void device_give_up(struct deployment *d, struct device *dev)
{
    device_fail(d, dev, reason_of_silence(dev), 0);
}

void device_is_late(struct deployment *d, struct device *dev)
{
    device_set_aside(d, dev, reason_of_silence(dev), 0);
}

/* The stage that the device's flags ask for. */
static enum device_stage wanted_stage(const struct device *dev)
{
    if ((dev->flags & DEVICE_HAS_VERSION) == 0) {
        return DEVICE_VERSION;
    }
    if ((dev->flags & DEVICE_HAS_GROUP) == 0) {
        return DEVICE_GROUP;
    }
    if ((dev->flags & DEVICE_HAS_FRAGMENTATION) == 0) {
        return DEVICE_FRAGMENTATION;
    }
    return (dev->flags & DEVICE_HAS_SESSION) == 0 ? DEVICE_SESSION : DEVICE_RECEIVING;
}

void device_begin_stage(struct deployment *d, struct device *dev, enum device_stage stage,
                        int64_t begin_ms)
{
    dev->sent_count = 0;
    dev->unsent_count = 0;
    dev->call_failures = 0;
    /* An open call reports first: two commands of one device are never under way together. */
    if (dev->call != CALL_OPEN && dev->call != CALL_UNKNOWN) {
        set_call(d, dev, CALL_NONE, stage == DEVICE_RECEIVING ? DEPLOYMENT_NEVER : begin_ms);
    }
    device_set_stage(d, dev, stage);
}

void device_begin_set_up(struct deployment *d, struct device *dev, int64_t begin_ms)
{
    device_begin_stage(d, dev, wanted_stage(dev), begin_ms);
}

void device_session_moved(struct deployment *d, struct device *dev)
{
    bool is_idle = dev->call == CALL_NONE && dev->deadline_ms == DEPLOYMENT_NEVER;
    bool is_void = carries_session(dev->command);
    bool had_session = (dev->flags & DEVICE_HAS_SESSION) != 0;

    device_set_flag(d, dev, DEVICE_HAS_SESSION | DEVICE_SESSION_SENT, false);
    if (had_session || is_idle) {
        device_begin_set_up(d, dev, d->now_ms);
    } else if (is_void && dev->call == CALL_QUEUED) {
        set_call(d, dev, CALL_NONE, d->now_ms); /* a copy for the new start; the old one expires */
    } else if (is_void && dev->call == CALL_OPEN) {
        /* Its answer is not waited for. By then it has come, and the queue holds no copy for the
         * new start. */
        set_call(d, dev, CALL_UNKNOWN, d->now_ms + CALL_OVER_MS);
    }
}

/* Until when the network server may keep the command: not into the session, where the device does
 * not listen. */
static int64_t queue_until_ms(const struct deployment *d, const struct device *dev)
{
    int64_t until_ms =
        d->now_ms + QUEUE_INTERVALS * INT64_C(1000) * dev->uplink_interval_s + QUEUE_EXTRA_MS;

    if (dev->stage != DEVICE_RECEIVING) {
        int64_t quiet_ms = d->transmission.session_time_ms - DEPLOYMENT_QUIET_MS;
        if (until_ms > quiet_ms) {
            until_ms = quiet_ms;
        }
    }
    return until_ms;
}

static bool may_speak(const struct deployment *d, const struct device *dev)
{
    if (d->transmission.is_paused) {
        return false;
    }
    if (dev->stage == DEVICE_RECEIVING) {
        return d->transmission.state == TRANSMISSION_STATUS && d->transmission.is_unicast_status;
    }
    return transmission_is_before_session(d);
}

static void send_command(struct deployment *d, struct device *dev)
{
    if (!may_speak(d, dev)) { /* whoever waits for the device decides when the session comes */
        set_call(d, dev, CALL_NONE, DEPLOYMENT_NEVER);
        return;
    }
    struct deployment_action *action = act(d, DEPLOYMENT_ACTION_COMMAND);

    action->device_index = index_of(d, dev);
    action->command = stage_command(d, dev);
    action->expires_ms = queue_until_ms(d, dev);
    dev->command = (uint8_t)action->command;
    memset(&dev->item_id, 0, sizeof(dev->item_id));
    set_call(d, dev, CALL_OPEN, DEPLOYMENT_NEVER);
    note(d, action->device_index, NOTE_COMMAND, action->command,
         1u + dev->sent_count + dev->unsent_count);
}

/* What a pause held back. */
void device_on_resume(struct deployment *d, struct device *dev)
{
    bool is_idle = dev->call == CALL_NONE && dev->deadline_ms == DEPLOYMENT_NEVER;
    bool has_spoken = dev->stage == DEVICE_RECEIVING && (dev->flags & DEVICE_ANSWERED) != 0;

    if (is_idle && !device_is_out(dev) && !has_spoken && may_speak(d, dev)) {
        device_set_deadline(d, dev, d->now_ms);
    }
}

void device_on_timer(struct deployment *d, struct device *dev)
{
    uint32_t index = index_of(d, dev);

    switch ((enum device_call)dev->call) {
    case CALL_NONE:
        send_command(d, dev);
        return;
    case CALL_OPEN: /* has no deadline: the call reports */
        device_set_deadline(d, dev, DEPLOYMENT_NEVER);
        return;
    case CALL_UNKNOWN: {
        struct deployment_action *action = act(d, DEPLOYMENT_ACTION_CHECK_QUEUE);
        action->device_index = index;
        action->command = dev->command;
        device_set_deadline(d, dev, DEPLOYMENT_NEVER);
        return;
    }
    case CALL_QUEUED:
        note(d, index, NOTE_NOT_SENT, dev->command, 0);
        if (dev->unsent_count < UINT8_MAX) {
            dev->unsent_count++;
        }
        break;
    case CALL_SENT:
        note(d, index, NOTE_NO_ANSWER, dev->command, 0);
        break;
    }
    if (dev->sent_count >= d->params.attempts_max || dev->unsent_count >= d->params.attempts_max) {
        if (dev->stage != DEVICE_RECEIVING || !status_is_worth_more(d, dev)) {
            device_give_up(d, dev);
        }
    } else {
        set_call(d, dev, CALL_NONE, DEPLOYMENT_NEVER);
        send_command(d, dev);
    }
}

static void on_sent(struct deployment *d, struct device *dev)
{
    int64_t wait_ms =
        dev->command == COMMAND_STATUS ? deployment_status_wait_ms(&d->params) : ANSWER_WAIT_MS;

    if (dev->sent_count < UINT8_MAX) {
        dev->sent_count++;
    }
    if (carries_session(dev->command)) {
        device_set_flag(d, dev, DEVICE_SESSION_SENT, true);
        dev->sent_ms = d->now_ms;
    }
    note(d, index_of(d, dev), NOTE_SENT, dev->command, 0);
    set_call(d, dev, CALL_SENT, d->now_ms + wait_ms);
}

static void on_queued(struct deployment *d, struct device *dev, const struct uuid *item_id)
{
    /* The gateway may have been faster than the network server's answer to us. */
    bool is_sent = memcmp(&dev->item_id, item_id, sizeof(*item_id)) == 0;

    if (dev->command != stage_command(d, dev)) { /* meanwhile it answered: go on with its stage */
        set_call(d, dev, CALL_NONE, dev->stage == DEVICE_RECEIVING ? DEPLOYMENT_NEVER : d->now_ms);
        return;
    }
    dev->call_failures = 0;
    dev->item_id = *item_id;
    if (is_sent) {
        on_sent(d, dev);
    } else {
        set_call(d, dev, CALL_QUEUED, queue_until_ms(d, dev) + 5000);
    }
}

/* How long to wait after one more failure: a network server that is down is not asked by each
 * device every few seconds. */
static int64_t back_off_ms(struct device *dev)
{
    int64_t wait_ms = CALL_RETRY_FIRST_MS;

    for (unsigned i = 0; i < dev->call_failures && wait_ms < CALL_RETRY_LAST_MS; i++) {
        wait_ms *= 2;
    }
    if (dev->call_failures < UINT8_MAX) {
        dev->call_failures++;
    }
    return wait_ms < CALL_RETRY_LAST_MS ? wait_ms : CALL_RETRY_LAST_MS;
}

static void on_call_failed(struct deployment *d, struct device *dev,
                           const struct deployment_event *event)
{
    note(d, index_of(d, dev), NOTE_CALL_FAILED, dev->command, event->u.failure.is_final);
    if (event->u.failure.is_final && dev->command == stage_command(d, dev)) {
        device_fail(d, dev, event->u.failure.reason, 0);
        return;
    }
    set_call(d, dev, CALL_NONE, d->now_ms + back_off_ms(dev));
}

static void on_join(struct deployment *d, struct device *dev)
{
    note(d, index_of(d, dev), NOTE_JOIN, 0, 0);
    if (d->transmission.state == TRANSMISSION_CREATE_GROUP) {
        return; /* nothing was set up yet */
    }
    bool is_set_up = d->transmission.state == TRANSMISSION_SETUP ||
                     d->transmission.state == TRANSMISSION_START_SESSION;
    if (dev->stage == DEVICE_SET_ASIDE) {
        device_set_flag(d, dev, DEVICE_HAS_GROUP, false); /* for the further pass */
    } else if (is_set_up && d->transmission.next_number == 1) {
        device_set_flag(d, dev,
                        DEVICE_HAS_GROUP | DEVICE_HAS_FRAGMENTATION | DEVICE_HAS_SESSION |
                            DEVICE_SESSION_SENT,
                        false);
        device_begin_set_up(d, dev, d->now_ms);
    } else {
        /* A new set-up would erase what it has; its status will tell. */
        device_set_flag(d, dev, DEVICE_REJOINED, true);
    }
}

void device_on_event(struct deployment *d, struct device *dev, const struct deployment_event *event)
{
    bool is_ours = memcmp(&dev->item_id, &event->u.item_id, sizeof(dev->item_id)) == 0;

    if (device_stage_is_terminal(dev->stage)) {
        return; /* cleaning reports here, too; nobody waits for it */
    }
    switch (event->kind) {
    case DEPLOYMENT_EVENT_COMMAND_QUEUED:
        if (dev->call == CALL_OPEN) {
            on_queued(d, dev, &event->u.item_id);
        }
        break;
    case DEPLOYMENT_EVENT_COMMAND_FAILED:
        if (dev->call == CALL_OPEN) {
            on_call_failed(d, dev, event);
        }
        break;
    case DEPLOYMENT_EVENT_COMMAND_UNKNOWN:
        if (dev->call == CALL_OPEN) {
            set_call(d, dev, CALL_UNKNOWN, d->now_ms);
        } else if (dev->call == CALL_UNKNOWN) { /* the queue could not be read either */
            set_call(d, dev, CALL_UNKNOWN, d->now_ms + back_off_ms(dev));
        }
        break;
    case DEPLOYMENT_EVENT_QUEUE_CHECKED:
        if (dev->call != CALL_UNKNOWN) {
            break;
        }
        if (event->u.queue.is_present) {
            dev->call = CALL_OPEN;
            on_queued(d, dev, &event->u.queue.item_id);
        } else {
            /* Never queued, or sent already: up to the session every command may be repeated. */
            set_call(d, dev, CALL_NONE, d->now_ms);
        }
        break;
    case DEPLOYMENT_EVENT_TXACK:
        if (dev->call == CALL_OPEN) {
            dev->item_id = event->u.item_id; /* see on_queued() */
        } else if (dev->call == CALL_QUEUED && is_ours) {
            on_sent(d, dev);
        }
        break;
    case DEPLOYMENT_EVENT_ITEM_DROPPED:
        if (dev->call == CALL_QUEUED && is_ours) {
            device_set_deadline(d, dev, d->now_ms);
        }
        break;
    case DEPLOYMENT_EVENT_JOIN:
        on_join(d, dev);
        break;
    case DEPLOYMENT_EVENT_BEGIN:
    case DEPLOYMENT_EVENT_RESTORED:
    case DEPLOYMENT_EVENT_TIMER:
    case DEPLOYMENT_EVENT_ABORT:
    case DEPLOYMENT_EVENT_PAUSE:
    case DEPLOYMENT_EVENT_RESUME:
    case DEPLOYMENT_EVENT_GROUP_CREATED:
    case DEPLOYMENT_EVENT_GROUP_FAILED:
    case DEPLOYMENT_EVENT_GATEWAYS_SET:
    case DEPLOYMENT_EVENT_GROUP_DELETED:
    case DEPLOYMENT_EVENT_FRAME_QUEUED:
    case DEPLOYMENT_EVENT_FRAME_FAILED:
    case DEPLOYMENT_EVENT_FRAME_UNKNOWN:
    case DEPLOYMENT_EVENT_FRAME_DEFERRED:
    case DEPLOYMENT_EVENT_FRAME_RESULT:
    case DEPLOYMENT_EVENT_COUNTER:
    case DEPLOYMENT_EVENT_OLD_QUEUE:
    case DEPLOYMENT_EVENT_GAP:
    case DEPLOYMENT_EVENT_UPLINK:
    case DEPLOYMENT_EVENT_COUNT:
        assert(false && "an event of a device");
        break;
    }
}
