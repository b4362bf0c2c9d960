/*
 * checks.c - what must hold after each step, at each call and at the end, seen by the world: it
 * knows what the network server, the gateways and the devices really have, and asks the core only
 * for what it stored.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/sim.h"

/* A fast answer: the frame is taken for sent when it was called for (src/deployment/frames.c). */
#define GAP_SLACK_MS 1000

/* An event that the timer of a loaded machine and a slow commit may bring late. */
#define COMMIT_SLACK_MS 5100

#define CALLS_PER_MINUTE_MAX 12
#define RESYNCS_MIN          3
#define GROUP_UNDEFINED      (1u << 4) /* of McClassCSessionAns: the clock, or what it says */

/* What a join or an answer left behind, and the one that followed. */
#define COMMANDS_WAITING_MAX 4

void sim_fail(const struct sim *sim, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "seed %llu, step %u, %.3f s: ", (unsigned long long)sim->options.seed,
            sim->step_count, (double)(sim->now_ms - sim->started_ms) / 1000.0);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n");
    abort();
}

static int64_t clock_error_ms(const struct sim *sim)
{
    return llabs(sim_daemon_ms(sim) - sim->now_ms);
}

/* one step */

void check_before_step(struct sim *sim)
{
    struct sim_watch *w = &sim->watch;
    int64_t error_ms = clock_error_ms(sim);

    w->before = *deployment_get_transmission(sim->d);
    for (uint32_t i = 0; i < sim->params.device_count; i++) {
        w->devices_before[i] = *deployment_get_device(sim->d, i);
    }
    w->has_jump_note = false;
    w->clock_error_max_ms = error_ms > w->clock_error_max_ms ? error_ms : w->clock_error_max_ms;
}

void check_note(struct sim *sim, const struct deployment_note *note)
{
    struct sim_watch *w = &sim->watch;
    uint32_t i = note->device_index;

    if (note->kind == NOTE_COUNTER_JUMP) {
        w->has_jump_note = true;
        w->jump_count++;
    } else if (note->kind == NOTE_STAGE) {
        w->on_air[i] = 0;
    } else if (note->kind == NOTE_STATUS) {
        const struct device *dev = deployment_get_device(sim->d, i);
        if (dev->received_count != w->devices_before[i].received_count) {
            w->on_air[i] = 0; /* it still works off older requests */
        }
    } else if ((note->kind == NOTE_STATE && note->value == TRANSMISSION_STATUS) ||
               note->kind == NOTE_ROUND) {
        memset(w->on_air, 0, sizeof(w->on_air));
    }
}

static void check_state(const struct sim *sim, enum transmission_state from,
                        enum transmission_state to)
{
    static const uint32_t next[TRANSMISSION_STATE_COUNT] = {
        [TRANSMISSION_CREATE_GROUP] = 1u << TRANSMISSION_SETUP | 1u << TRANSMISSION_RELEASE,
        [TRANSMISSION_SETUP] = 1u << TRANSMISSION_START_SESSION | 1u << TRANSMISSION_RELEASE,
        [TRANSMISSION_START_SESSION] =
            1u << TRANSMISSION_TRANSMIT | 1u << TRANSMISSION_SETUP | 1u << TRANSMISSION_RELEASE,
        [TRANSMISSION_TRANSMIT] = 1u << TRANSMISSION_STATUS | 1u << TRANSMISSION_SETUP |
                                  1u << TRANSMISSION_RELEASE | 1u << TRANSMISSION_TAKE_OVER,
        [TRANSMISSION_STATUS] = 1u << TRANSMISSION_TRANSMIT | 1u << TRANSMISSION_SETUP |
                                1u << TRANSMISSION_RELEASE | 1u << TRANSMISSION_TAKE_OVER,
        [TRANSMISSION_TAKE_OVER] =
            1u << TRANSMISSION_TRANSMIT | 1u << TRANSMISSION_STATUS | 1u << TRANSMISSION_RELEASE,
        [TRANSMISSION_RELEASE] = 1u << TRANSMISSION_DONE,
        [TRANSMISSION_DONE] = 0,
    };

    /* One step may go through two states: the event's, then what a device completes. */
    bool is_two = false;
    for (unsigned s = 0; s < TRANSMISSION_STATE_COUNT; s++) {
        is_two = is_two || ((next[from] & 1u << s) != 0 && (next[s] & 1u << to) != 0);
    }
    if (from != to && (next[from] & 1u << to) == 0 && !is_two) {
        sim_fail(sim, "the transmission goes from %s to %s", transmission_state_name(from),
                 transmission_state_name(to));
    }
}

static bool is_before_fragments(enum transmission_state state)
{
    return state == TRANSMISSION_SETUP || state == TRANSMISSION_START_SESSION;
}

/* Whether a device may go back in its pipeline. */
static bool may_go_back(const struct sim *sim, uint32_t i, const struct deployment_event *event,
                        const struct device *from, const struct device *to)
{
    const struct transmission *t = deployment_get_transmission(sim->d);
    unsigned attempts = sim->params.attempts_max;
    unsigned resyncs_max = attempts > RESYNCS_MIN ? attempts : RESYNCS_MIN;
    bool is_resync = (to->stage == DEVICE_CLOCK || to->stage == DEVICE_GROUP) &&
                     to->resync_count == from->resync_count + 1 && to->resync_count <= resyncs_max;
    bool is_after_clock = from->stage == DEVICE_CLOCK &&
                          (to->stage == DEVICE_SESSION || to->stage == DEVICE_RECEIVING);
    /* Asked together with the group, the session comes first; a late answer may end stage clock. */
    bool is_left_out = (from->stage == DEVICE_SESSION || from->stage == DEVICE_CLOCK) &&
                       to->stage == DEVICE_FRAGMENTATION && to->resync_count > 0 &&
                       (to->flags & DEVICE_HAS_FRAGMENTATION) == 0;
    bool is_join = event->kind == DEPLOYMENT_EVENT_JOIN && event->device_index == i;
    bool is_moved = sim->watch.before.session_time_ms != t->session_time_ms;

    if (sim->watch.before.session_number != t->session_number) {
        return true; /* a further session, perhaps of a further pass */
    }
    return is_before_fragments(sim->watch.before.state) &&
           (is_resync || is_after_clock || is_left_out || is_join || is_moved);
}

static void check_device(const struct sim *sim, uint32_t i, const struct deployment_event *event)
{
    const struct device *from = &sim->watch.devices_before[i];
    const struct device *to = deployment_get_device(sim->d, i);
    bool was_over = device_stage_is_terminal((enum device_stage)from->stage);

    if (from->stage == to->stage) {
        return;
    }
    bool is_forward =
        to->stage > from->stage && from->stage != DEVICE_CLOCK && to->stage != DEVICE_CLOCK;
    bool is_end =
        device_stage_is_terminal((enum device_stage)to->stage) || to->stage == DEVICE_SET_ASIDE;
    if (was_over || (!is_forward && !is_end && !may_go_back(sim, i, event, from, to))) {
        sim_fail(sim, "device %u goes from %s to %s", i,
                 device_stage_name((enum device_stage)from->stage),
                 device_stage_name((enum device_stage)to->stage));
    }
    if (to->stage == DEVICE_DELIVERED && !sim_device_has_image(sim, i)) {
        sim_fail(sim, "device %u is called delivered and has no image", i);
    }
    if (to->reason == REASON_CLOCK_DRIFT && virtual_device_knows_time(sim->devices[i]) &&
        (sim->options.devices[i].refused_session_bits & GROUP_UNDEFINED) == 0 &&
        !(sim->options.devices[i].answers_late && sim->load_count + sim->watch.excuses[i] > 1) &&
        sim->watch.clock_error_max_ms < 1000) {
        sim_fail(sim, "device %u knows the time, and is failed for its clock", i);
    }
}

/* A counter that is not the expected one means a frame that nobody counted, and is told. */
static void check_counter(const struct sim *sim, const struct deployment_event *event)
{
    const struct transmission *before = &sim->watch.before;
    const struct transmission *t = deployment_get_transmission(sim->d);
    bool is_in_use = before->state == TRANSMISSION_TRANSMIT || before->state == TRANSMISSION_STATUS;
    bool is_jump = (event->kind == DEPLOYMENT_EVENT_FRAME_QUEUED &&
                    before->frame_call != FRAME_CALL_NONE && event->u.f_cnt != before->f_cnt) ||
                   (event->kind == DEPLOYMENT_EVENT_COUNTER &&
                    before->frame_call == FRAME_CALL_UNKNOWN && event->u.f_cnt > before->f_cnt + 1);

    if (is_in_use && is_jump != sim->watch.has_jump_note) {
        sim_fail(sim, "the counter %s, and that is%s noted",
                 is_jump ? "has jumped" : "has not jumped", is_jump ? " not" : "");
    }
    bool is_anew = event->kind == DEPLOYMENT_EVENT_OLD_QUEUE || /* what waited there */
                   t->repair_number == before->repair_number + 1;
    if (t->f_cnt < before->f_cnt || (t->next_number < before->next_number && !is_anew) ||
        t->next_number > before->next_number + 1) {
        sim_fail(sim, "counter %u after %u, next fragment %u after %u", t->f_cnt, before->f_cnt,
                 t->next_number, before->next_number);
    }
}

void check_after_step(struct sim *sim, const struct deployment_event *event)
{
    check_state(sim, sim->watch.before.state, deployment_get_transmission(sim->d)->state);
    for (uint32_t i = 0; i < sim->params.device_count; i++) {
        check_device(sim, i, event);
    }
    check_counter(sim, event);
    const struct transmission *before = &sim->watch.before;
    if (deployment_get_transmission(sim->d)->session_number != before->session_number) {
        sim->watch.last_session_ms[0] = before->session_time_ms;
        sim->watch.last_session_ms[1] =
            before->session_time_ms + (INT64_C(1000) << before->time_out);
    }
}

/* calls */

/* Whoever is called in vain waits longer and longer: nothing is asked again and again. */
static void check_rate(struct sim *sim, uint32_t i, const char *what)
{
    struct sim_watch *w = &sim->watch;

    if (sim->now_ms - w->minute_started_ms[i] >= 60000) {
        w->minute_started_ms[i] = sim->now_ms;
        w->minute_calls[i] = 0;
        w->minute_loads[i] = sim->load_count;
    }
    uint32_t loads = sim->load_count - w->minute_loads[i];
    /* Five calls make a take-over, and a failed deletion reads the old queue once more. */
    uint32_t most = CALLS_PER_MINUTE_MAX + 2 * loads + 10 * sim->takeover_count;
    if (++w->minute_calls[i] > most) {
        sim_fail(sim, "%u calls in a minute about %s %u", w->minute_calls[i], what, i);
    }
}

static void check_gap(const struct sim *sim)
{
    const struct sim_watch *w = &sim->watch;
    int64_t gap_ms = deployment_gap_ms(&sim->params, deployment_gateway_count(sim->d));
    /* Frames expire by the network server's clock, and a jump makes a planned time the past. */
    int64_t stepped_ms = clock_error_ms(sim) + llabs(w->clock_error_at_frame);

    if (sim->now_ms + GAP_SLACK_MS + stepped_ms < w->frame_landed_ms + gap_ms) {
        sim_fail(sim, "a frame %lld ms after the one before, the gap is %lld ms",
                 (long long)(sim->now_ms - w->frame_landed_ms), (long long)gap_ms);
    }
}

static void check_frame(struct sim *sim, const struct deployment_action *action)
{
    struct sim_watch *w = &sim->watch;
    const struct transmission *t = &sim->stored;
    int64_t end_ms = t->session_time_ms + (INT64_C(1000) << t->time_out);
    int64_t error_ms = w->clock_error_max_ms;
    bool is_fragment = action->frame_kind == FRAME_FRAGMENT;

    if (t->frame_call == FRAME_CALL_NONE || t->f_cnt != action->f_cnt ||
        (is_fragment && deployment_fragment_number(sim->d, t->next_number) != action->number)) {
        sim_fail(sim, "a frame goes out that is not stored");
    }
    if (w->is_frame_open || sim->now_ms < w->frame_lands_by_ms) {
        sim_fail(sim, "a frame goes out while the one before may be on its way");
    }
    if (sim->now_ms + error_ms < t->session_time_ms + DEPLOYMENT_SESSION_GUARD_MS) {
        sim_fail(sim, "a frame before the session");
    }
    if (sim->now_ms - error_ms - COMMIT_SLACK_MS > end_ms) {
        sim_fail(sim, "a frame after the session");
    }
    check_gap(sim);
    w->is_frame_open = true;
}

static bool is_of_set_up(enum device_command command)
{
    return command != COMMAND_STATUS && command != COMMAND_DELETE_FRAGMENTATION &&
           command != COMMAND_DELETE_GROUP;
}

static void check_command(struct sim *sim, const struct deployment_action *action)
{
    const struct device *dev = &sim->stored_devices[action->device_index];
    int64_t quiet_ms = sim->stored.session_time_ms - DEPLOYMENT_QUIET_MS;
    bool is_over = device_stage_is_terminal((enum device_stage)dev->stage);

    sim->watch.call_counts[action->device_index]++;
    check_rate(sim, action->device_index, "device");
    /* Unknown: the session moved in the same turn, and the queue will tell whether this is for the
     * new start. */
    bool is_stored =
        (dev->call == CALL_OPEN || dev->call == CALL_UNKNOWN) && dev->command == action->command;
    if (!is_over && !is_stored) {
        sim_fail(sim, "a command to device %u goes out that is not stored", action->device_index);
    }
    if (is_of_set_up(action->command) &&
        sim->now_ms - sim->watch.clock_error_max_ms - COMMIT_SLACK_MS > quiet_ms) {
        sim_fail(sim, "device %u is set up when its session comes", action->device_index);
    }
}

void check_action(struct sim *sim, const struct deployment_action *action)
{
    switch (action->kind) {
    case DEPLOYMENT_ACTION_FRAME:
        check_frame(sim, action);
        break;
    case DEPLOYMENT_ACTION_COMMAND:
        check_command(sim, action);
        break;
    case DEPLOYMENT_ACTION_CHECK_QUEUE:
        check_rate(sim, action->device_index, "the queue of device");
        sim->watch.call_counts[action->device_index]++;
        break;
    case DEPLOYMENT_ACTION_CREATE_GROUP:
    case DEPLOYMENT_ACTION_SET_GATEWAYS:
    case DEPLOYMENT_ACTION_DELETE_GROUP:
    case DEPLOYMENT_ACTION_READ_COUNTER:
    case DEPLOYMENT_ACTION_READ_OLD_QUEUE:
    case DEPLOYMENT_ACTION_DELETE_OLD_GROUP:
        check_rate(sim, SIM_DEVICES_MAX, "the group, not device");
        break;
    case DEPLOYMENT_ACTION_FINISHED:
        break;
    }
}

/* at the network server and on the air */

void check_taken_over(struct sim *sim, const struct sim_group *old)
{
    for (size_t i = 0; i < sim->row_count; i++) {
        const struct sim_row *row = &sim->rows[i];
        bool is_first = true; /* of its copies for several gateways */
        for (size_t j = 0; j < i; j++) {
            is_first =
                is_first && (sim->rows[j].group != row->group || sim->rows[j].f_cnt != row->f_cnt);
        }
        if (row->group == (unsigned)(old - sim->groups) && is_first) {
            sim->watch.taken_over[row->number]++;
        }
    }
}

void check_frame_lands(struct sim *sim, const struct sim_call *call)
{
    struct sim_watch *w = &sim->watch;
    uint16_t number = call->action.number;

    if (call->is_late) {
        w->late_frame_count++;
        w->landed_late[number]++;
    } else if (call->action.expires_ms >= sim->now_ms) { /* else it never gets on air */
        w->frame_landed_ms = sim->now_ms;
        w->clock_error_at_frame = call->clock_error_ms;
    }
    if (sim->stored.repair_number != w->repair_number) { /* a pass counts from 1 */
        w->repair_number = sim->stored.repair_number;
        memset(w->enqueued, 0, sizeof(w->enqueued));
        memset(w->landed_late, 0, sizeof(w->landed_late));
        memset(w->taken_over, 0, sizeof(w->taken_over));
        w->landed_late[number] += call->is_late;
    }
    if (call->action.frame_kind == FRAME_FRAGMENT) {
        uint32_t once = number <= sim->params.fragment_count ? sim->stored.repeat_count : 1;
        w->enqueued[number]++;
        if (w->enqueued[number] > once + w->landed_late[number] + w->taken_over[number]) {
            sim_fail(sim, "fragment %u is enqueued again", number);
        }
    }
}

/* The session, as far as clocks may be wrong. */
static bool is_within(const struct sim *sim, int64_t begin_ms, int64_t end_ms)
{
    int64_t error_ms = sim->watch.clock_error_max_ms;

    return sim->now_ms + error_ms >= begin_ms + DEPLOYMENT_SESSION_GUARD_MS &&
           sim->now_ms - error_ms - COMMIT_SLACK_MS <= end_ms;
}

void check_frame_on_air(struct sim *sim, const struct sim_row *row)
{
    const int64_t *last_ms = sim->watch.last_session_ms;
    int64_t begin_ms = sim->stored.session_time_ms;
    int64_t end_ms = begin_ms + (INT64_C(1000) << sim->stored.time_out);

    if (row->number > 0 && !is_within(sim, begin_ms, end_ms) &&
        !is_within(sim, last_ms[0], last_ms[1])) {
        sim_fail(sim, "fragment %u is on air outside of the session", row->number);
    }
}

/* One command of a device waits at the network server, unless something went wrong before. */
void check_command_lands(struct sim *sim, uint32_t index)
{
    uint32_t waiting = 0;

    for (size_t q = 0; q < sim->queue_counts[index]; q++) {
        const struct sim_item *item = &sim->queues[index][q];
        waiting += item->command != COMMAND_NONE && is_of_set_up(item->command) &&
                   item->expires_ms > sim->now_ms;
    }
    uint32_t excuses = sim->watch.excuses[index] + sim->crash_count;
    if (waiting > COMMANDS_WAITING_MAX + excuses && sim->watch.clock_error_max_ms < 1000) {
        sim_fail(sim, "%u commands wait for device %u", waiting, index);
    }
}

void check_command_on_air(struct sim *sim, uint32_t index, enum device_command command)
{
    struct sim_watch *w = &sim->watch;
    uint32_t most = sim->params.attempts_max + w->excuses[index] + sim->load_count - 1;

    if (command == COMMAND_DELETE_FRAGMENTATION || command == COMMAND_DELETE_GROUP) {
        return;
    }
    /* A copy that an earlier stage left in the queue is no attempt of this one. */
    bool is_current = sim->d == NULL || deployment_get_device(sim->d, index)->command == command;
    w->on_air[index] += is_current;
    if (w->on_air[index] > most + 1 && w->clock_error_max_ms < 1000) {
        sim_fail(sim, "device %u is told %s for the %u. time, %u attempts are allowed", index,
                 trace_command(command), w->on_air[index], sim->params.attempts_max);
    }
    /* It would erase what the device has of this pass. */
    if (command == COMMAND_FRAGMENTATION && sim->stored.next_number > 1 &&
        w->clock_error_max_ms < 1000) {
        sim_fail(sim, "device %u is set up after the first fragment", index);
    }
}

/* the end */

static void fail_device(const struct sim *sim, uint32_t index, const char *what)
{
    char text[200] = "";

    virtual_device_reason(sim->devices[index], text, sizeof(text));
    sim_fail(sim, "device %u: %s (stage %s, reason %s; the device says: %s)", index, what,
             device_stage_name(sim_stage(sim, index)), reason_name(sim_reason(sim, index)), text);
}

/* Of an image that is there, only silence and doubt excuse us, not a claim that it is not there. */
static bool denies_the_image(enum reason reason)
{
    return reason == REASON_INCOMPLETE || reason == REASON_BUDGET_SPENT ||
           reason == REASON_DEADLINE_PASSED || reason == REASON_NO_MATRIX_MEMORY ||
           reason == REASON_GROUP_REFUSED || reason == REASON_FRAGMENTATION_REFUSED ||
           reason == REASON_SESSION_REFUSED || reason == REASON_VERSION_UNSUPPORTED;
}

static void check_end_of_device(const struct sim *sim, uint32_t i)
{
    bool has_image = sim_device_has_image(sim, i);
    enum device_stage stage = sim_stage(sim, i);

    if (!device_stage_is_terminal(stage)) {
        fail_device(sim, i, "the deployment is over and it is not");
    }
    if (stage == DEVICE_DELIVERED && !has_image) {
        fail_device(sim, i, "called delivered, but it has no image");
    }
    /* Who restarts afterwards, or is set up for a further pass, keeps the image, and says that it
     * knows of no fragment. */
    if (has_image && denies_the_image(sim_reason(sim, i)) && sim->stored.repair_number == 0 &&
        virtual_device_restarts(sim->devices[i]) == 0) {
        fail_device(sim, i, "has the image, but is called failed");
    }
    int64_t minutes = (sim->now_ms - sim->started_ms) / 60000;
    if (sim->watch.call_counts[i] > 60 + 3 * minutes + 2 * sim->load_count) {
        fail_device(sim, i, "was called for too often");
    }
}

void check_end(const struct sim *sim)
{
    for (uint32_t i = 0; i < sim->options.device_count; i++) {
        check_end_of_device(sim, i);
    }
    if (multicast_has_group(sim) && sim->options.faults.call_lands_late == 0.0) {
        sim_fail(sim, "the group is left behind");
    }
    if (!sim->is_finished && sim->crash_count == 0) {
        sim_fail(sim, "nobody was told that it is over");
    }
}
