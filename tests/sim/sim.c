/* sim.c - the world: event heap, the daemon's turns, crashes, and what must hold. */
#include "sim/sim.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UPLINK_BUSY_MS 2500 /* an uplink and its receive windows */
#define DOWN_MS        3000 /* a killed daemon is back after that */
#define START_UNIX_MS  INT64_C(1790000000000)

struct sim_options sim_defaults(void)
{
    struct sim_options o = {
        .seed = 1,
        .device_count = 4,
        .image_size = 1000,
        .fragment_size = 50,
        .coded_count = 15,
        .uplink_interval_s = 60,
        .combine_setup = true,
        .attempts_max = 5,
        .setup_limit_ms = 86400000,
        .crash_in_state = -1,
    };
    for (uint32_t i = 0; i < SIM_DEVICES_MAX; i++) {
        o.devices[i].kind = (enum virtual_kind)(i % VIRTUAL_KIND_COUNT);
    }
    return o;
}

/* heap */

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->sequence < b->sequence;
}

static void swap(struct sim *sim, size_t a, size_t b)
{
    struct sim_event event = sim->heap[a];

    sim->heap[a] = sim->heap[b];
    sim->heap[b] = event;
}

void sim_schedule(struct sim *sim, const struct sim_event *event)
{
    if (sim->heap_size == sim->heap_capacity) {
        sim->heap_capacity = sim->heap_capacity == 0 ? 256 : 2 * sim->heap_capacity;
        sim->heap = realloc(sim->heap, sim->heap_capacity * sizeof(*sim->heap));
        assert(sim->heap != NULL);
    }
    size_t at = sim->heap_size++;
    sim->heap[at] = *event;
    sim->heap[at].sequence = sim->next_sequence++;
    while (at > 0 && is_before(&sim->heap[at], &sim->heap[(at - 1) / 2])) {
        swap(sim, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static struct sim_event pop(struct sim *sim)
{
    struct sim_event first = sim->heap[0];
    size_t at = 0;

    sim->heap[0] = sim->heap[--sim->heap_size];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < sim->heap_size && is_before(&sim->heap[child + 1], &sim->heap[child])) {
            child++;
        }
        if (child >= sim->heap_size || !is_before(&sim->heap[child], &sim->heap[at])) {
            return first;
        }
        swap(sim, at, child);
        at = child;
    }
}

bool sim_draw(struct sim *sim, double probability)
{
    return probability > 0.0 && random_unit(&sim->random) < probability;
}

struct uuid sim_new_id(struct sim *sim)
{
    struct uuid id = {{0}};
    uint64_t number = ++sim->next_id;

    memcpy(id.octets, &number, sizeof(number));
    return id;
}

void sim_trace(const struct sim *sim, const char *format, ...)
{
    va_list args;

    if (!sim->options.is_traced) {
        return;
    }
    printf("[%9.3f] ", (double)(sim->now_ms - sim->started_ms) / 1000.0);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    fflush(stdout); /* an abort must not swallow the end of the story */
}

/* the daemon */

static void trace_note(const struct sim *sim, const struct deployment_note *n)
{
    const char *value = "";

    if (n->kind == NOTE_STATE) {
        value = transmission_state_name((enum transmission_state)n->value);
    } else if (n->kind == NOTE_STAGE) {
        value = device_stage_name((enum device_stage)n->value);
    } else if (n->kind == NOTE_COMMAND || n->kind == NOTE_SENT || n->kind == NOTE_NOT_SENT ||
               n->kind == NOTE_NO_ANSWER || n->kind == NOTE_REFUSED ||
               n->kind == NOTE_CALL_FAILED) {
        value = device_command_name((enum device_command)n->value);
    }
    if (n->device_index == NOTE_NO_DEVICE) {
        sim_trace(sim, "%s %s %lld %u", note_kind_name(n->kind), value, (long long)n->value,
                  n->detail);
    } else {
        sim_trace(sim, "  device %u: %s %s %lld %u", n->device_index, note_kind_name(n->kind),
                  value, (long long)n->value, n->detail);
    }
}

static void commit(struct sim *sim)
{
    uint32_t indices[16];
    struct deployment_note notes[16];
    size_t count;

    if (deployment_take_transmission_change(sim->d)) {
        sim->stored = *deployment_get_transmission(sim->d);
    }
    while ((count = deployment_take_device_changes(sim->d, indices, 16)) > 0) {
        for (size_t i = 0; i < count; i++) {
            sim->stored_devices[indices[i]] = *deployment_get_device(sim->d, indices[i]);
        }
    }
    while ((count = deployment_take_notes(sim->d, notes, 16)) > 0) {
        for (size_t i = 0; i < count; i++) {
            trace_note(sim, &notes[i]);
        }
    }
    sim->is_stored = true;
}

static void crash(struct sim *sim, const char *when)
{
    sim_trace(sim, "daemon: killed %s", when);
    sim->d = NULL;
    sim->generation++;
    sim->crash_count++;
    sim_schedule(sim,
                 &(struct sim_event){.at_ms = sim->now_ms + DOWN_MS, .kind = SIM_DAEMON_START});
}

static void plan_timer(struct sim *sim)
{
    int64_t deadline_ms = deployment_deadline(sim->d);

    if (deadline_ms != DEPLOYMENT_NEVER) {
        sim_schedule(sim, &(struct sim_event){
                              .at_ms = deadline_ms > sim->now_ms ? deadline_ms : sim->now_ms,
                              .kind = SIM_DAEMON_TIMER,
                              .generation = sim->generation,
                          });
    }
}

/* One turn: step, commit, act. Returns false when the daemon died or fell back before the commit.
 */
static bool turn(struct sim *sim, struct deployment_event *event)
{
    struct deployment_actions actions;
    const struct sim_faults *faults = &sim->options.faults;

    event->now_ms = sim->now_ms;
    deployment_step(sim->d, event, &actions);
    deployment_assert_invariant(sim->d);
    sim->step_count++;
    if (sim_draw(sim, faults->crash_before_commit) || sim_draw(sim, faults->commit_failed)) {
        crash(sim, "before its commit");
        return false;
    }
    commit(sim);
    bool dies =
        (int64_t)sim->stored.state == sim->options.crash_in_state && !sim->has_crashed_in_state;
    if (dies) {
        sim->has_crashed_in_state = true;
    }
    if (dies || sim_draw(sim, faults->crash_after_commit)) {
        crash(sim, "after its commit");
        return true;
    }
    for (size_t i = 0; i < actions.count; i++) {
        network_act(sim, &actions.items[i]);
    }
    plan_timer(sim);
    return true;
}

/* Events of the broker, oldest first; acknowledged after the commit. */
static void serve_inbox(struct sim *sim)
{
    while (sim->d != NULL && sim->inbox_count > 0) {
        struct sim_message *m = &sim->inbox[sim->inbox_first];
        struct deployment_event event = m->event;
        if (event.kind == DEPLOYMENT_EVENT_UPLINK) {
            event.u.uplink.data = m->data;
            event.u.uplink.data_size = m->size;
        }
        if (!turn(sim, &event)) {
            return;
        }
        if (!sim_draw(sim, sim->options.faults.event_doubled)) {
            sim->inbox_first = (sim->inbox_first + 1) % SIM_INBOX_MAX;
            sim->inbox_count--;
        }
    }
}

void sim_publish(struct sim *sim, const struct deployment_event *event, const uint8_t *data,
                 size_t size)
{
    assert(sim->inbox_count < SIM_INBOX_MAX);
    struct sim_message *m = &sim->inbox[(sim->inbox_first + sim->inbox_count++) % SIM_INBOX_MAX];

    m->event = *event;
    m->size = size;
    if (size > 0) {
        memcpy(m->data, data, size);
    }
}

static void start_daemon(struct sim *sim)
{
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_RESTORED};

    sim->load_count++;
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
    if (turn(sim, &event)) {
        serve_inbox(sim);
    }
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
        .gateways_max = 1,
        .attempts_max = o->attempts_max,
        .quorum_percent = 90,
        .setup_limit_ms = o->setup_limit_ms,
        .combine_setup = o->combine_setup,
        .leap_s = 18,
    };
    enum err err = deployment_params_check(&sim->params, &field);
    if (err != ERR_OK) {
        fprintf(stderr, "params: %s: %s\n", field, err_text(err));
        abort();
    }
}

void sim_init(struct sim *sim, const struct sim_options *options)
{
    memset(sim, 0, sizeof(*sim));
    sim->options = *options;
    sim->options.is_traced = options->is_traced || getenv("SIM_TRACE") != NULL;
    random_init(&sim->random, options->seed);
    sim->now_ms = sim->started_ms = START_UNIX_MS;
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
    sim_schedule(sim, &(struct sim_event){.at_ms = sim->now_ms + 1000, .kind = SIM_DAEMON_START});
    if (options->abort_at_ms > 0) {
        sim_schedule(sim, &(struct sim_event){.at_ms = sim->now_ms + options->abort_at_ms,
                                              .kind = SIM_ABORT});
    }
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

static void run_event(struct sim *sim, struct sim_event *event)
{
    switch (event->kind) {
    case SIM_DAEMON_START:
        start_daemon(sim);
        break;
    case SIM_DAEMON_TIMER:
        if (sim->d != NULL && event->generation == sim->generation &&
            deployment_deadline(sim->d) <= sim->now_ms) {
            (void)turn(sim, &(struct deployment_event){.kind = DEPLOYMENT_EVENT_TIMER});
        }
        break;
    case SIM_DAEMON_ANSWER:
        if (sim->d != NULL && event->generation == sim->generation) {
            (void)turn(sim, &event->event);
        }
        break;
    case SIM_ABORT: /* a request of the operator stays until it is carried out */
        sim->is_abort_pending = true;
        break;
    case SIM_DEVICE_WAKE:
        if (virtual_device_next_wake(sim->devices[event->index]) <= sim->now_ms) {
            virtual_device_wake(sim->devices[event->index], sim->now_ms);
            sim_plan_wake(sim, event->index);
        }
        break;
    case SIM_UPLINK_EVENT:
        sim_publish(sim, &event->event, event->data, event->size);
        break;
    case SIM_WINDOW:
        network_window(sim, event->index);
        break;
    case SIM_ROW_DUE:
        network_row_due(sim);
        break;
    }
    if (sim->is_abort_pending && sim->d != NULL && sim->is_stored &&
        turn(sim, &(struct deployment_event){.kind = DEPLOYMENT_EVENT_ABORT})) {
        sim->is_abort_pending = false;
    }
    serve_inbox(sim);
}

bool sim_run(struct sim *sim, int64_t limit_ms)
{
    while (sim->heap_size > 0 && !(sim->is_stored && sim->stored.state == TRANSMISSION_DONE)) {
        struct sim_event event = pop(sim);
        if (event.at_ms > sim->started_ms + limit_ms) {
            return false;
        }
        if (event.at_ms > sim->now_ms) {
            sim->now_ms = event.at_ms;
        }
        run_event(sim, &event);
    }
    return sim->is_stored && sim->stored.state == TRANSMISSION_DONE;
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

static void fail(const struct sim *sim, const char *what, uint32_t index)
{
    char text[200] = "";

    virtual_device_reason(sim->devices[index], text, sizeof(text));
    fprintf(stderr, "seed %llu: device %u: %s (stage %s, reason %s; the device says: %s)\n",
            (unsigned long long)sim->options.seed, index, what,
            device_stage_name(sim_stage(sim, index)), reason_name(sim_reason(sim, index)), text);
    abort();
}

void sim_check_end(const struct sim *sim)
{
    for (uint32_t i = 0; i < sim->options.device_count; i++) {
        bool has_image = sim_device_has_image(sim, i);
        enum device_stage stage = sim_stage(sim, i);
        if (!device_stage_is_terminal(stage)) {
            fail(sim, "the deployment is over and it is not", i);
        }
        if (stage == DEVICE_DELIVERED && !has_image) {
            fail(sim, "called delivered, but it has no image", i);
        }
        /* The other way round only silence and doubt excuse us, not a claim that the image is not
         * there. */
        enum reason reason = sim_reason(sim, i);
        if (has_image && (reason == REASON_INCOMPLETE || reason == REASON_NO_MATRIX_MEMORY)) {
            fail(sim, "has the image, but is called failed", i);
        }
    }
    for (uint32_t n = 1; n <= FEC_NUMBER_MAX; n++) {
        if (sim->enqueued[n] > 1) {
            fprintf(stderr, "seed %llu: fragment %u was enqueued %u times\n",
                    (unsigned long long)sim->options.seed, n, sim->enqueued[n]);
            abort();
        }
    }
    if (sim->has_group) {
        fprintf(stderr, "seed %llu: the group is left behind\n",
                (unsigned long long)sim->options.seed);
        abort();
    }
}
