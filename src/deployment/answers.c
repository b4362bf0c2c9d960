/* answers.c - what devices say on the ports of the packages. Bytes from the air: nothing is taken
 * for granted. */
#include <assert.h>

#include "deployment/status.h"
#include "impl.h"
#include "lorawan/clock_sync.h"
#include "lorawan/multicast_setup.h"

/*
 * Many stacks compute TimeToStart when they parse the request, so that whatever the answer waits
 * makes the start look late. It waited no longer than the request has been out. Of a device that
 * takes minutes the clock is set first; then it is believed, however slow it is.
 */
#define TIME_TO_START_EARLY_MS 5000
#define TIME_TO_START_LATE_MS  10000
#define ANSWER_WAITED_MAX_MS   120000

/* So many one after the other; then, up to the attempts of a command, in peace. */
#define RESYNCS_MIN     3
#define RESYNC_PAUSE_MS 60000

/* The AppTimeAns goes into the device's queue first. */
#define AFTER_APP_TIME_REQ_MS 2000

/* LoRaMac-node refuses a group while its transmitter is busy. */
#define GROUP_RETRY_MS 5000

/* AppTimeAns is lost as other commands are, and nobody says so; ChirpStack's moves a clock by 2^31
 * s at most, so that one which is further ahead needs two. */
static unsigned resyncs_max(const struct deployment *d)
{
    return d->params.attempts_max > RESYNCS_MIN ? d->params.attempts_max : RESYNCS_MIN;
}

static void clock_is_wrong(struct deployment *d, struct device *dev, int64_t error_s)
{
    note(d, index_of(d, dev), NOTE_CLOCK_WRONG, error_s, 0);
    if (dev->stage == DEVICE_RECEIVING) {
        return; /* a late answer: the session is on, its status will tell */
    }
    if (dev->resync_count >= resyncs_max(d)) {
        device_fail(d, dev, REASON_CLOCK_DRIFT, 0);
        return;
    }
    dev->resync_count++;
    device_set_flag(d, dev, DEVICE_SESSION_SENT, false);
    bool is_often = dev->resync_count > RESYNCS_MIN;
    device_begin_stage(d, dev, DEVICE_CLOCK, d->now_ms + (is_often ? RESYNC_PAUSE_MS : 0));
}

/* It has restarted and nobody saw a join: the set-up begins anew, a bounded number of times. */
static void group_is_forgotten(struct deployment *d, struct device *dev, uint8_t status)
{
    note(d, index_of(d, dev), NOTE_REFUSED, COMMAND_SESSION, status);
    if (dev->stage == DEVICE_RECEIVING) {
        return; /* a late answer, as above */
    }
    dev->resync_count++;
    device_set_flag(d, dev, DEVICE_HAS_GROUP | DEVICE_HAS_FRAGMENTATION | DEVICE_SESSION_SENT,
                    false);
    if (d->transmission.next_number > 1) { /* with what it had of this pass */
        device_set_aside(d, dev, REASON_SESSION_LOST, 0);
        return;
    }
    device_begin_set_up(d, dev, d->now_ms);
}

/* Whether the latest session request is on its way, perhaps sent already without our knowing. */
static bool is_session_under_way(const struct device *dev)
{
    return (dev->command == COMMAND_SESSION || dev->command == COMMAND_GROUP_SESSION) &&
           (dev->call == CALL_OPEN || dev->call == CALL_QUEUED);
}

/* How far TimeToStart is beside the session's start, beyond what a right clock explains; 0: right.
 */
static int64_t start_error_ms(const struct device *dev, const struct mc_session_ans *ans,
                              int64_t received_ms, int64_t start_ms)
{
    int64_t error_ms = received_ms + INT64_C(1000) * ans->time_to_start_s - start_ms;
    int64_t waited_ms =
        dev->sent_ms > 0 && received_ms > dev->sent_ms ? received_ms - dev->sent_ms : 0;

    if (waited_ms > ANSWER_WAITED_MAX_MS && dev->resync_count == 0) {
        waited_ms = ANSWER_WAITED_MAX_MS;
    }
    bool is_right = ans->time_to_start_s != MC_TIME_TO_START_UNKNOWN &&
                    error_ms >= -TIME_TO_START_EARLY_MS &&
                    error_ms <= TIME_TO_START_LATE_MS + waited_ms;
    return is_right ? 0 : error_ms;
}

/* The device can start no session at that time. */
static void on_start_refused(struct deployment *d, struct device *dev,
                             const struct mc_session_ans *ans)
{
    /* Of a group that the device has, "undefined" means a start in the past (LoRaMac-node). Said
     * again after the clock was set, it is meant as it is said. */
    if (ans->mc_group_undefined && !ans->start_missed && dev->resync_count % 2 == 1 &&
        dev->resync_count < RESYNCS_MIN) {
        group_is_forgotten(d, dev, ans->status);
    } else {
        clock_is_wrong(d, dev, 0);
    }
}

static void on_session_ans(struct deployment *d, struct device *dev,
                           const struct mc_session_ans *ans, int64_t received_ms)
{
    bool is_sent = (dev->flags & DEVICE_SESSION_SENT) != 0;

    if (ans->mc_group_id != d->params.mc_group_id || (!is_sent && !is_session_under_way(dev)) ||
        (dev->flags & (DEVICE_HAS_GROUP | DEVICE_HAS_SESSION)) != DEVICE_HAS_GROUP) {
        return;
    }
    bool is_start_refused = ans->start_missed || ans->mc_group_undefined;
    const struct transmission *t = &d->transmission;
    int64_t error_ms = 0;
    if (ans->has_time_to_start) {
        error_ms = start_error_ms(dev, ans, received_ms, t->session_time_ms);
    }
    if (error_ms != 0 && t->last_session_ms > 0 &&
        start_error_ms(dev, ans, received_ms, t->last_session_ms) == 0) {
        return; /* to a request for the start before */
    }
    /* Until our request is known to be sent, an answer that does not fit is taken for one to an
     * earlier request, for another start. */
    if (!is_sent && (is_start_refused || error_ms != 0)) {
        return;
    }
    if (is_start_refused) {
        on_start_refused(d, dev, ans);
    } else if (ans->freq_error || ans->dr_error) {
        note(d, index_of(d, dev), NOTE_REFUSED, COMMAND_SESSION, ans->status);
        device_fail(d, dev, REASON_SESSION_REFUSED, ans->status);
    } else if (error_ms != 0) {
        clock_is_wrong(d, dev, error_ms / 1000);
    } else if (ans->has_time_to_start) {
        device_set_flag(d, dev, DEVICE_SESSION_SENT | DEVICE_HAS_SESSION, true);
    }
}

static void on_group_setup_ans(struct deployment *d, struct device *dev,
                               const struct mc_group_setup_ans *ans)
{
    if (ans->mc_group_id != d->params.mc_group_id) {
        return;
    }
    if (!ans->id_error) {
        device_set_flag(d, dev, DEVICE_HAS_GROUP, true);
        return;
    }
    if (dev->stage != DEVICE_GROUP) {
        return;
    }
    uint8_t status = (uint8_t)(ans->mc_group_id | 1u << 2);
    note(d, index_of(d, dev), NOTE_REFUSED, COMMAND_GROUP, status);
    if (dev->sent_count >= d->params.attempts_max) {
        device_fail(d, dev, REASON_GROUP_REFUSED, status);
    } else if (dev->call == CALL_SENT) {
        device_set_deadline(d, dev, d->now_ms + GROUP_RETRY_MS);
    }
}

static void on_multicast_setup(struct deployment *d, struct device *dev, struct reader *r,
                               int64_t received_ms)
{
    struct multicast_setup_ans ans;
    enum err err;

    while ((err = multicast_setup_ans_decode(r, &ans)) == ERR_OK) {
        if (device_stage_is_terminal(dev->stage)) {
            return;
        }
        switch (ans.kind) {
        case MULTICAST_SETUP_GROUP_SETUP_ANS:
            on_group_setup_ans(d, dev, &ans.u.group_setup);
            break;
        case MULTICAST_SETUP_CLASS_C_SESSION_ANS:
            on_session_ans(d, dev, &ans.u.session, received_ms);
            break;
        case MULTICAST_SETUP_VERSION_ANS:
        case MULTICAST_SETUP_GROUP_STATUS_ANS:
        case MULTICAST_SETUP_GROUP_DELETE_ANS:
        case MULTICAST_SETUP_CLASS_B_SESSION_ANS:
            break; /* not asked */
        }
    }
    if (err != ERR_MISSING) {
        note(d, index_of(d, dev), NOTE_BAD_ANSWER, d->params.port_multicast_setup, err);
    }
}

static void on_version_ans(struct deployment *d, struct device *dev,
                           const struct package_version_ans *ans)
{
    if (ans->identifier != PACKAGE_FRAGMENTATION || dev->stage != DEVICE_VERSION) {
        return;
    }
    if (ans->version == 1) {
        device_set_flag(d, dev, DEVICE_HAS_VERSION, true);
    } else {
        device_fail(d, dev, REASON_VERSION_UNSUPPORTED, ans->version);
    }
}

static void on_frag_setup_ans(struct deployment *d, struct device *dev,
                              const struct frag_session_setup_ans *ans)
{
    if (ans->frag_index != d->params.frag_index) {
        return; /* stale: of another session */
    }
    if (!ans->wrong_descriptor && !ans->frag_index_unsupported && !ans->not_enough_memory &&
        !ans->encoding_unsupported) {
        if ((dev->flags & DEVICE_HAS_GROUP) != 0) { /* never before ours was asked for */
            device_set_flag(d, dev, DEVICE_HAS_FRAGMENTATION, true);
        }
    } else if (dev->stage == DEVICE_FRAGMENTATION) {
        note(d, index_of(d, dev), NOTE_REFUSED, COMMAND_FRAGMENTATION, ans->status);
        device_fail(d, dev, REASON_FRAGMENTATION_REFUSED, ans->status);
    }
}

static void on_fragmentation(struct deployment *d, struct device *dev, struct reader *r,
                             int64_t received_ms)
{
    struct fragmentation_ans ans;
    enum err err;

    while ((err = fragmentation_ans_decode_v1(r, &ans)) == ERR_OK) {
        if (device_stage_is_terminal(dev->stage)) {
            return;
        }
        switch (ans.kind) {
        case FRAGMENTATION_VERSION_ANS:
            on_version_ans(d, dev, &ans.u.version);
            break;
        case FRAGMENTATION_SESSION_SETUP_ANS:
            on_frag_setup_ans(d, dev, &ans.u.session_setup);
            break;
        case FRAGMENTATION_SESSION_STATUS_ANS:
            status_on_answer(d, dev, &ans.u.session_status, received_ms);
            break;
        case FRAGMENTATION_SESSION_DELETE_ANS:
            break;
        }
    }
    if (err != ERR_MISSING) {
        note(d, index_of(d, dev), NOTE_BAD_ANSWER, d->params.port_fragmentation, err);
    }
}

static void on_clock_sync(struct deployment *d, struct device *dev, struct reader *r)
{
    struct clock_sync_uplink uplink;
    enum err err;

    while ((err = clock_sync_uplink_decode(r, &uplink)) == ERR_OK) {
        if (uplink.kind == CLOCK_SYNC_APP_TIME_REQ && dev->stage == DEVICE_CLOCK) {
            device_begin_stage(d, dev, DEVICE_SESSION, d->now_ms + AFTER_APP_TIME_REQ_MS);
        }
    }
    if (err != ERR_MISSING) {
        note(d, index_of(d, dev), NOTE_BAD_ANSWER, d->params.port_clock_sync, err);
    }
}

static bool is_set_up_stage(const struct device *dev)
{
    return dev->stage == DEVICE_VERSION || dev->stage == DEVICE_GROUP ||
           dev->stage == DEVICE_FRAGMENTATION || dev->stage == DEVICE_SESSION;
}

/* An answer may have given more than its stage asked for, or come before its stage. */
static void advance(struct deployment *d, struct device *dev)
{
    static const struct {
        enum device_stage stage;
        unsigned flag;
    } done[] = {
        {DEVICE_VERSION, DEVICE_HAS_VERSION},
        {DEVICE_GROUP, DEVICE_HAS_GROUP},
        {DEVICE_FRAGMENTATION, DEVICE_HAS_FRAGMENTATION},
        {DEVICE_SESSION, DEVICE_HAS_SESSION},
    };

    for (size_t i = 0; i < sizeof(done) / sizeof(done[0]); i++) {
        if (dev->stage == done[i].stage && (dev->flags & done[i].flag) != 0) {
            device_begin_set_up(d, dev, d->now_ms);
            return;
        }
    }
}

static void on_delivered(struct deployment *d, struct device *dev,
                         const struct deployment_event *event)
{
    struct fragmentation_ans ans;
    struct reader r;

    reader_init(&r, event->u.uplink.data, event->u.uplink.data_size);
    if (fragmentation_ans_decode_v1(&r, &ans) == ERR_OK &&
        ans.kind == FRAGMENTATION_SESSION_STATUS_ANS) {
        gateways_learn(d, dev, event->u.uplink.gateways, event->u.uplink.gateway_count);
        device_touch(d, dev);
        status_on_delivered(d, dev, &ans.u.session_status, event->u.uplink.received_ms);
    }
}

void device_on_uplink(struct deployment *d, struct device *dev,
                      const struct deployment_event *event)
{
    const struct deployment_params *p = &d->params;
    struct reader r;

    if (dev->stage == DEVICE_DELIVERED && event->u.uplink.f_port == p->port_fragmentation) {
        on_delivered(d, dev, event);
    }
    if (device_stage_is_terminal(dev->stage)) {
        return;
    }
    if (dev->last_uplink_ms == event->u.uplink.received_ms) {
        return; /* the broker delivered it again */
    }
    dev->last_uplink_ms = event->u.uplink.received_ms;
    device_touch(d, dev);
    gateways_learn(d, dev, event->u.uplink.gateways, event->u.uplink.gateway_count);
    reader_init(&r, event->u.uplink.data, event->u.uplink.data_size);
    if (event->u.uplink.data_size == 0 || dev->stage == DEVICE_SET_ASIDE) {
        return;
    }
    if (event->u.uplink.f_port == p->port_multicast_setup) {
        on_multicast_setup(d, dev, &r, event->u.uplink.received_ms);
    } else if (event->u.uplink.f_port == p->port_fragmentation) {
        on_fragmentation(d, dev, &r, event->u.uplink.received_ms);
    } else if (event->u.uplink.f_port == p->port_clock_sync) {
        on_clock_sync(d, dev, &r);
    }
    if (is_set_up_stage(dev)) {
        advance(d, dev);
    }
}
