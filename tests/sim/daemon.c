/*
 * daemon.c - the daemon's turns: events are stepped in memory, what changed is one commit, and only
 * then its actions and acknowledgements go out. One commit is under way at a time; what is stepped
 * meanwhile waits for the next. A failed commit and a death both mean: load what is stored.
 */
#include <assert.h>
#include <string.h>

#include "sim/sim.h"

#define DOWN_MS          3000  /* a killed daemon is back after that */
#define LEASE_MS         15000 /* another one is there after that */
#define RELOAD_MS        1000  /* after a commit that failed */
#define STORE_RETRY_MS   5000
#define COMMIT_MS        2
#define COMMIT_SLOW_MS   5000
#define TIMER_MOST_MS    60000 /* the clock may be stepped while the timer waits */
#define TIMERS_AT_A_TIME 1000

/* So that a daemon that dies often gets on with what waits. */
#define EVENTS_PER_TURN_MAX 32

static void forget(struct sim_batch *batch)
{
    batch->is_used = false;
    batch->has_transmission = false;
    batch->wishes = 0;
    memset(batch->has_device, 0, sizeof(batch->has_device));
    batch->ack_count = 0;
    batch->action_count = 0;
}

static void apply(struct sim *sim, const struct sim_batch *batch)
{
    if (batch->has_transmission) {
        sim->stored = batch->transmission;
    }
    for (uint32_t i = 0; i < sim->params.device_count; i++) {
        if (batch->has_device[i]) {
            sim->stored_devices[i] = batch->devices[i];
        }
    }
    sim->is_stored = true;
}

static void go_down(struct sim *sim, int64_t for_ms)
{
    sim->d = NULL;
    sim->generation++;
    sim->inbox_taken = 0;
    sim->watch.is_frame_open = false;
    forget(&sim->batches[0]);
    forget(&sim->batches[1]);
    sim->open = &sim->batches[0];
    sim->flying = NULL;
    sim_schedule(sim, &(struct sim_event){.at_ms = sim->now_ms + for_ms, .kind = SIM_DAEMON_START});
}

static void die(struct sim *sim, const char *when)
{
    sim_trace(sim, "daemon: killed %s", when);
    sim->crash_count++;
    if (sim->flying != NULL && sim_draw(sim, 0.5)) {
        apply(sim, sim->flying); /* the store had it, the daemon never knew */
    }
    if (sim->is_stored && sim_draw(sim, sim->options.faults.taken_over)) {
        sim_trace(sim, "daemon: another one takes over");
        sim->takeover_count++;
        sim->stored.is_taken_over = true; /* as the store does it: migrations/0002_slots.sql */
        go_down(sim, LEASE_MS);
        return;
    }
    go_down(sim, DOWN_MS);
}

/* one step */

static void take_changes(struct sim *sim)
{
    struct sim_batch *batch = sim->open;
    uint32_t indices[16];
    struct deployment_note notes[16];
    size_t count;

    if (deployment_take_transmission_change(sim->d)) {
        batch->has_transmission = true;
        batch->transmission = *deployment_get_transmission(sim->d);
    }
    while ((count = deployment_take_device_changes(sim->d, indices, 16)) > 0) {
        for (size_t i = 0; i < count; i++) {
            batch->has_device[indices[i]] = true;
            batch->devices[indices[i]] = *deployment_get_device(sim->d, indices[i]);
        }
    }
    while ((count = deployment_take_notes(sim->d, notes, 16)) > 0) {
        for (size_t i = 0; i < count; i++) {
            check_note(sim, &notes[i]);
            trace_note(sim, &notes[i]);
        }
    }
}

/* Returns false when the daemon died of it. */
static bool step(struct sim *sim, struct deployment_event *event)
{
    struct deployment_actions actions;
    struct sim_batch *batch = sim->open;

    check_before_step(sim);
    event->now_ms = sim_daemon_ms(sim);
    trace_event(sim, event);
    deployment_step(sim->d, event, &actions);
    deployment_assert_invariant(sim->d);
    sim->step_count++;
    take_changes(sim);
    check_after_step(sim, event);
    assert(batch->action_count + actions.count <= SIM_ACTIONS_MAX);
    memcpy(batch->actions + batch->action_count, actions.items,
           actions.count * sizeof(actions.items[0]));
    batch->action_count += actions.count;
    batch->first_step = batch->is_used ? batch->first_step : sim->step_count;
    batch->last_step = sim->step_count;
    batch->is_used = true;
    bool is_chosen =
        sim->step_count == sim->options.kill_at_step && sim->options.kill == SIM_KILL_AFTER_STEP;
    if (is_chosen || sim_draw(sim, sim->options.faults.kill_after_step)) {
        die(sim, "before its commit");
        return false;
    }
    return true;
}

/* commits */

static void start_commit(struct sim *sim)
{
    int64_t takes_ms = COMMIT_MS;

    if (sim->flying != NULL || !sim->open->is_used) {
        return;
    }
    if (sim_draw(sim, sim->options.faults.commit_slow)) {
        takes_ms = sim_draw_between(sim, COMMIT_MS, COMMIT_SLOW_MS);
    }
    sim->flying = sim->open;
    sim->open = sim->open == &sim->batches[0] ? &sim->batches[1] : &sim->batches[0];
    forget(sim->open);
    sim_schedule(sim, &(struct sim_event){.at_ms = sim->now_ms + takes_ms,
                                          .kind = SIM_COMMIT_ENDS,
                                          .generation = sim->generation});
}

static bool is_commit_refused(struct sim *sim)
{
    return sim_is_in(sim, &sim->options.commits_fail) || sim_is_in(sim, &sim->options.store_down) ||
           sim_draw(sim, sim->options.faults.commit_failed);
}

static bool dies_now(struct sim *sim, const struct sim_batch *batch, enum sim_kill kill,
                     double probability)
{
    uint32_t k = sim->options.kill_at_step;

    return (sim->options.kill == kill && batch->first_step <= k && k <= batch->last_step) ||
           sim_draw(sim, probability);
}

static bool is_state_to_die_in(struct sim *sim)
{
    if ((int64_t)sim->stored.state != sim->options.crash_in_state || sim->has_crashed_in_state) {
        return false;
    }
    sim->has_crashed_in_state = true;
    return true;
}

static void act(struct sim *sim, const struct sim_batch *batch)
{
    for (size_t i = 0; i < batch->action_count; i++) {
        trace_action(sim, &batch->actions[i]);
        check_action(sim, &batch->actions[i]);
        network_act(sim, &batch->actions[i]);
    }
}

void daemon_on_commit(struct sim *sim)
{
    struct sim_batch *batch = sim->flying;

    if (is_commit_refused(sim)) {
        sim_trace(sim, "daemon: its commit failed, it loads what is stored");
        go_down(sim, RELOAD_MS);
        return;
    }
    apply(sim, batch);
    sim->flying = NULL;
    if (is_state_to_die_in(sim) ||
        dies_now(sim, batch, SIM_KILL_AFTER_COMMIT, sim->options.faults.kill_after_commit)) {
        die(sim, "after its commit, before its calls");
        return;
    }
    broker_acknowledge(sim, batch->ack_count);
    sim->wishes &= ~batch->wishes;
    act(sim, batch);
    if (dies_now(sim, batch, SIM_KILL_AFTER_CALLS, sim->options.faults.kill_after_calls)) {
        die(sim, "with its calls under way");
    }
}

/* the loop */

static void plan_timer(struct sim *sim)
{
    int64_t deadline_ms = deployment_deadline(sim->d);
    int64_t at_ms = INT64_MAX;

    if (deadline_ms != DEPLOYMENT_NEVER) {
        int64_t wait_ms = deadline_ms - sim_daemon_ms(sim);
        bool may_step = sim->options.clock_step_ms != 0 || sim->options.clock_drift_ppm != 0;
        wait_ms = wait_ms < 1 ? 1 : wait_ms;
        at_ms = sim->now_ms + (may_step && wait_ms > TIMER_MOST_MS ? TIMER_MOST_MS : wait_ms);
    }
    if (at_ms != sim->timer_ms) {
        sim->timer_ms = at_ms;
        if (at_ms != INT64_MAX) {
            sim_schedule(sim, &(struct sim_event){.at_ms = at_ms,
                                                  .kind = SIM_DAEMON_TIMER,
                                                  .generation = sim->generation});
        }
    }
}

static bool serve_timers(struct sim *sim)
{
    for (unsigned i = 0; deployment_deadline(sim->d) <= sim_daemon_ms(sim); i++) {
        if (i == TIMERS_AT_A_TIME) {
            sim_fail(sim, "its timer never rests");
        }
        if (!step(sim, &(struct deployment_event){.kind = DEPLOYMENT_EVENT_TIMER})) {
            return false;
        }
    }
    return true;
}

static bool serve_inbox(struct sim *sim)
{
    while (sim->inbox_taken < sim->inbox_count && sim->open->ack_count < EVENTS_PER_TURN_MAX) {
        struct sim_message *m = &sim->inbox[(sim->inbox_first + sim->inbox_taken) % SIM_INBOX_MAX];
        struct deployment_event event = m->event;
        if (event.kind == DEPLOYMENT_EVENT_UPLINK) {
            event.u.uplink.data = m->data;
            event.u.uplink.data_size = m->size;
        }
        sim->inbox_taken++;
        sim->open->ack_count++;
        if (!step(sim, &event)) {
            return false;
        }
    }
    return true;
}

static bool serve_gap(struct sim *sim)
{
    if (!sim->is_gap_wanted || !sim->is_stored) {
        return true;
    }
    sim->is_gap_wanted = false;
    for (uint32_t i = 0; i < sim->params.device_count; i++) {
        sim->watch.excuses[i]++; /* an attempt that may have been in vain does not count */
    }
    return step(sim, &(struct deployment_event){.kind = DEPLOYMENT_EVENT_GAP});
}

static bool serve_operator(struct sim *sim)
{
    static const struct {
        unsigned wish;
        enum deployment_event_kind kind;
    } rules[] = {
        {SIM_WISH_PAUSE, DEPLOYMENT_EVENT_PAUSE},
        {SIM_WISH_RESUME, DEPLOYMENT_EVENT_RESUME},
        {SIM_WISH_ABORT, DEPLOYMENT_EVENT_ABORT},
    };
    unsigned taken = sim->open->wishes | (sim->flying != NULL ? sim->flying->wishes : 0);

    for (size_t i = 0; sim->is_stored && i < sizeof(rules) / sizeof(rules[0]); i++) {
        if ((sim->wishes & ~taken & rules[i].wish) != 0) {
            sim->open->wishes |= rules[i].wish;
            if (!step(sim, &(struct deployment_event){.kind = rules[i].kind})) {
                return false;
            }
        }
    }
    return true;
}

void daemon_serve(struct sim *sim)
{
    if (sim->d != NULL && serve_timers(sim) && serve_inbox(sim) && serve_gap(sim) &&
        serve_operator(sim)) {
        start_commit(sim);
        plan_timer(sim);
    }
}

void daemon_on_answer(struct sim *sim, struct sim_event *event)
{
    if (sim->d == NULL || event->generation != sim->generation) {
        return; /* nobody waits for it any more */
    }
    enum deployment_event_kind kind = event->event.kind;
    if (kind == DEPLOYMENT_EVENT_FRAME_QUEUED || kind == DEPLOYMENT_EVENT_FRAME_FAILED ||
        kind == DEPLOYMENT_EVENT_FRAME_UNKNOWN || kind == DEPLOYMENT_EVENT_FRAME_DEFERRED) {
        sim->watch.is_frame_open = false;
    }
    (void)step(sim, &event->event);
}

void daemon_start(struct sim *sim)
{
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_RESTORED,
                                     .u.settle_ms = SIM_CALL_DEADLINE_MS};

    if (sim_is_in(sim, &sim->options.store_down)) {
        sim_schedule(sim, &(struct sim_event){.at_ms = sim->now_ms + STORE_RETRY_MS,
                                              .kind = SIM_DAEMON_START});
        return;
    }
    sim->load_count++;
    sim->booked_ms = 0;
    sim->timer_ms = INT64_MAX;
    if (sim->is_stored) {
        enum err err = deployment_restore(sim->memory, &sim->params, &sim->stored,
                                          sim->stored_devices, &sim->d);
        assert(err == ERR_OK);
    } else {
        struct device devices[SIM_DEVICES_MAX] = {0};
        for (uint32_t i = 0; i < sim->params.device_count; i++) {
            devices[i].dev_eui = sim->options.devices[i].dev_eui;
            devices[i].uplink_interval_s = sim->options.uplink_interval_s;
            devices[i].flags = sim->options.is_version_known ? DEVICE_HAS_VERSION : 0;
        }
        sim->d = deployment_init(sim->memory, &sim->params, devices);
        event.kind = DEPLOYMENT_EVENT_BEGIN;
    }
    sim_trace(sim, "daemon: starts%s", sim->is_stored ? " and loads what is stored" : "");
    (void)step(sim, &event);
}
