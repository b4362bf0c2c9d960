/* sim.c - the world as a whole: how it begins, what happens next, when it must be over. */
#include "sim/sim.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UPLINK_BUSY_MS 2500 /* an uplink and its receive windows */
#define GAP_MS         3000
#define START_UNIX_MS  INT64_C(1790000000000)

struct sim_options sim_defaults(void)
{
    struct sim_options o = {
        .seed = 1,
        .device_count = 4,
        .image_size = 1000,
        .fragment_size = 50,
        .coded_count = 15,
        .gateway_count = 1,
        .uplink_interval_s = 60,
        .combine_setup = true,
        .attempts_max = 5,
        .rounds_max = 20,
        .sessions_max = 4,
        .repairs_max = 1,
        .setup_limit_ms = 86400000,
        .crash_in_state = -1,
    };
    for (uint32_t i = 0; i < SIM_DEVICES_MAX; i++) {
        o.devices[i].kind = (enum virtual_kind)(i % VIRTUAL_KIND_COUNT);
    }
    return o;
}

bool sim_draw(struct sim *sim, double probability)
{
    return probability > 0.0 && random_unit(&sim->random) < probability;
}

int64_t sim_draw_between(struct sim *sim, int64_t from_ms, int64_t until_ms)
{
    return from_ms + (int64_t)random_below(&sim->random, (uint64_t)(until_ms - from_ms) + 1);
}

struct uuid sim_new_id(struct sim *sim)
{
    struct uuid id = {{0}};
    uint64_t number = ++sim->next_id;

    memcpy(id.octets, &number, sizeof(number));
    return id;
}

bool sim_is_in(const struct sim *sim, const struct sim_window *window)
{
    int64_t at_ms = sim->now_ms - sim->started_ms;

    return at_ms >= window->from_ms && at_ms < window->until_ms;
}

int64_t sim_daemon_ms(const struct sim *sim)
{
    const struct sim_options *o = &sim->options;
    int64_t drift_ms = (sim->now_ms - sim->started_ms) * o->clock_drift_ppm / 1000000;

    return sim->now_ms + drift_ms + (sim_is_in(sim, &o->clock_stepped) ? o->clock_step_ms : 0);
}

/* devices */

static uint32_t on_uplink(void *arg, uint32_t index, uint8_t f_port, const uint8_t *data,
                          size_t size)
{
    network_on_uplink(arg, index, f_port, data, size);
    return UPLINK_BUSY_MS;
}

static void on_join(void *arg, uint32_t index)
{
    network_on_join(arg, index);
}

void sim_plan_wake(struct sim *sim, uint32_t index)
{
    int64_t wake_ms = virtual_device_next_wake(sim->devices[index]);

    if (wake_ms != INT64_MAX) {
        sim_schedule(sim, &(struct sim_event){
                              .at_ms = wake_ms > sim->now_ms ? wake_ms : sim->now_ms,
                              .kind = SIM_DEVICE_WAKE,
                              .index = index,
                          });
    }
}

bool sim_device_has_image(const struct sim *sim, uint32_t index)
{
    size_t size = 0;
    const uint8_t *image = virtual_device_image(sim->devices[index], &size);

    return image != NULL && size == sim->options.image_size && memcmp(image, sim->image, size) == 0;
}

enum device_stage sim_stage(const struct sim *sim, uint32_t index)
{
    return (enum device_stage)sim->stored_devices[index].stage;
}

enum reason sim_reason(const struct sim *sim, uint32_t index)
{
    return (enum reason)sim->stored_devices[index].reason;
}

/* its beginning */

static void init_params(struct sim *sim)
{
    const struct sim_options *o = &sim->options;
    const char *field = "";

    sim->params = (struct deployment_params){
        .device_count = o->device_count,
        .fragment_count = (uint16_t)sim->block.fragment_count,
        .fragment_size = (uint8_t)o->fragment_size,
        .padding_size = (uint8_t)fec_block_padding(&sim->block),
        .coded_count = (uint16_t)o->coded_count,
        .choose_rows = o->choose_rows && deployment_may_choose_rows(sim->block.fragment_count),
        .mc_addr = 0x01ABCDEF,
        .region = REGION_EU868,
        .data_rate = 3,
        .frequency_hz = 869525000,
        .time_out = 15,
        .port_multicast_setup = 200,
        .port_fragmentation = 201,
        .port_clock_sync = 202,
        .frame_airtime_ms = 300,
        .margin_ms = 5000,
        .scheduler_interval_ms = 1000,
        .duty_cycle = 0.1,
        .gateways_max = (uint8_t)o->gateway_count,
        .attempts_max = o->attempts_max,
        .quorum_percent = 90,
        .setup_limit_ms = o->setup_limit_ms,
        .rounds_max = o->rounds_max,
        .sessions_max = o->sessions_max,
        .repairs_max = o->repairs_max,
        .frames_max = o->frames_max,
        .time_limit_ms = o->time_limit_ms,
        .combine_setup = o->combine_setup,
        .own_evidence = o->own_evidence,
        .leap_s = 18,
    };
    sim->params.block_ack_delay = deployment_block_ack_delay(o->device_count, 300);
    if (o->has_tight_session) {
        sim->params.time_out = deployment_time_out(&sim->params, o->gateway_count,
                                                   sim->block.fragment_count + o->coded_count);
    }
    if (o->session_time_out > 0) {
        sim->params.time_out = o->session_time_out;
    }
    enum err err = deployment_params_check(&sim->params, &field);
    if (err != ERR_OK) {
        sim_fail(sim, "parameters: %s: %s", field, err_text(err));
    }
}

static void init_devices(struct sim *sim)
{
    const struct sim_options *options = &sim->options;

    for (uint32_t i = 0; i < options->device_count; i++) {
        struct virtual_config *c = &sim->options.devices[i];
        c->dev_eui = 0x0102030400000000u + i;
        c->seed = options->seed;
        c->index = i;
        c->arg = sim;
        c->on_uplink = on_uplink;
        c->on_join = on_join;
        c->uplink_interval_ms = options->uplink_interval_s * 1000;
        memcpy(c->root_key, sim->root_key.octets, KEY_SIZE);
        sim->devices[i] = virtual_device_new(c, sim->now_ms);
        sim_plan_wake(sim, i);
    }
}

/* Some time after the connection is back, when what was kept has come. */
static void plan_gap(struct sim *sim, const struct sim_window *window)
{
    if (window->until_ms > window->from_ms) {
        sim_schedule(sim, &(struct sim_event){.at_ms = sim->now_ms + window->until_ms + GAP_MS,
                                              .kind = SIM_GAP});
    }
}

static void plan_wish(struct sim *sim, enum sim_wish wish, int64_t at_ms)
{
    if (at_ms > 0) {
        sim_schedule(sim, &(struct sim_event){.at_ms = sim->now_ms + at_ms,
                                              .kind = SIM_OPERATOR,
                                              .index = (uint32_t)wish});
    }
}

void sim_init(struct sim *sim, const struct sim_options *options)
{
    memset(sim, 0, sizeof(*sim));
    sim->options = *options;
    sim->options.is_traced = options->is_traced || getenv("SIM_TRACE") != NULL;
    random_init(&sim->random, options->seed);
    sim->now_ms = sim->started_ms = START_UNIX_MS;
    sim->timer_ms = INT64_MAX;
    sim->open = &sim->batches[0];
    sim->watch.frame_landed_ms = INT64_MIN / 2;
    sim->image = malloc(options->image_size);
    sim->inbox = calloc(SIM_INBOX_MAX, sizeof(*sim->inbox));
    assert(sim->image != NULL && sim->inbox != NULL);
    for (size_t i = 0; i < options->image_size; i++) {
        sim->image[i] = (uint8_t)random_next(&sim->random);
    }
    enum err err = fec_block_init(&sim->block, FEC_V1, sim->image, options->image_size,
                                  options->fragment_size);
    assert(err == ERR_OK);
    init_params(sim);
    sim->memory = malloc(deployment_size(options->device_count));
    assert(sim->memory != NULL);
    for (size_t i = 0; i < KEY_SIZE; i++) {
        sim->mc_key.octets[i] = (uint8_t)random_next(&sim->random);
        sim->root_key.octets[i] = (uint8_t)random_next(&sim->random);
    }
    err = key_mc_session(&sim->mc_key, sim->params.mc_addr, &sim->session_keys);
    assert(err == ERR_OK);
    trace_world(sim);
    init_devices(sim);
    sim_schedule(sim, &(struct sim_event){.at_ms = sim->now_ms + 1000, .kind = SIM_DAEMON_START});
    plan_gap(sim, &options->events_lost);
    plan_gap(sim, &options->events_held);
    plan_wish(sim, SIM_WISH_ABORT, options->abort_at_ms);
    plan_wish(sim, SIM_WISH_PAUSE, options->paused.from_ms);
    plan_wish(sim, SIM_WISH_RESUME, options->paused.until_ms);
}

void sim_release(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->options.device_count; i++) {
        virtual_device_free(sim->devices[i]);
    }
    free(sim->memory);
    free(sim->image);
    free(sim->inbox);
    free(sim->heap);
}

/* what happens next */

static void run_event(struct sim *sim, struct sim_event *event)
{
    switch (event->kind) {
    case SIM_DAEMON_START:
        daemon_start(sim);
        break;
    case SIM_DAEMON_TIMER:
        if (event->generation != sim->generation || event->at_ms != sim->timer_ms) {
            return; /* another timer was set meanwhile */
        }
        sim->timer_ms = INT64_MAX;
        break;
    case SIM_DAEMON_ANSWER:
        daemon_on_answer(sim, event);
        break;
    case SIM_COMMIT_ENDS:
        if (event->generation == sim->generation) {
            daemon_on_commit(sim);
        }
        break;
    case SIM_CALL_LANDS:
        network_call_lands(sim, event);
        break;
    case SIM_GAP:
        sim->is_gap_wanted = true;
        break;
    case SIM_OPERATOR: /* a request of the operator stays until it is carried out */
        sim->wishes |= event->index;
        sim_trace(sim, "operator: %s the deployment",
                  event->index == SIM_WISH_ABORT   ? "aborts"
                  : event->index == SIM_WISH_PAUSE ? "pauses"
                                                   : "resumes");
        break;
    case SIM_DEVICE_WAKE:
        if (virtual_device_next_wake(sim->devices[event->index]) <= sim->now_ms) {
            virtual_device_wake(sim->devices[event->index], sim->now_ms);
            sim_plan_wake(sim, event->index);
        }
        return; /* what it sends reaches the daemon as an event of its own */
    case SIM_DELIVERY:
        broker_deliver(sim, event);
        break;
    case SIM_WINDOW:
        network_window(sim, event->index);
        return;
    case SIM_DOUBLE:
        virtual_device_downlink(sim->devices[event->index], event->call.bytes.f_port,
                                event->call.bytes.data, event->call.bytes.size, sim->now_ms);
        sim_plan_wake(sim, event->index);
        return;
    case SIM_SCHEDULER:
        if (event->at_ms == sim->scheduler_ms) {
            multicast_scheduler_runs(sim);
        }
        return;
    }
    daemon_serve(sim);
}

static int64_t longest(int64_t bound_ms, const struct sim_window *window)
{
    return window->until_ms > window->from_ms ? bound_ms + window->until_ms : bound_ms;
}

int64_t sim_bound_ms(const struct sim *sim)
{
    const struct sim_options *o = &sim->options;
    int64_t attempt_ms =
        INT64_C(3000) * o->uplink_interval_s + 60000 + deployment_status_wait_ms(&sim->params);
    /* In each session the set-up, the frames, then in each round each device alone: it may fail to
     * be reached in every attempt and be silent in every other. Deleting the group may fail for
     * three hours. */
    int64_t session_ms = o->setup_limit_ms + 2 * DEPLOYMENT_SETUP_END_MS + (INT64_C(1000) << 15);
    int64_t bound_ms =
        o->sessions_max * session_ms +
        (o->repairs_max + INT64_C(1)) * o->rounds_max * 3 * o->attempts_max * attempt_ms +
        4 * INT64_C(3600000);

    bound_ms = longest(bound_ms, &o->network_down);
    bound_ms = longest(bound_ms, &o->commits_fail);
    bound_ms = longest(bound_ms, &o->store_down);
    bound_ms = longest(bound_ms, &o->events_held);
    bound_ms = longest(bound_ms, &o->clock_stepped);
    bound_ms = longest(bound_ms, &o->paused);
    return bound_ms + 2 * llabs(o->clock_step_ms);
}

void sim_run(struct sim *sim)
{
    int64_t bound_ms = sim_bound_ms(sim);

    while (!(sim->is_stored && sim->stored.state == TRANSMISSION_DONE)) {
        if (sim->heap_size == 0) {
            sim_fail(sim, "nothing will ever happen again");
        }
        struct sim_event event = sim_pop(sim);
        if (event.at_ms > sim->started_ms + bound_ms) {
            sim_fail(sim, "not over after %lld s, in state %s", (long long)bound_ms / 1000,
                     transmission_state_name(sim->stored.state));
        }
        if (event.at_ms > sim->now_ms) {
            sim->now_ms = event.at_ms;
        }
        run_event(sim, &event);
    }
    check_end(sim);
}
