/*
 * bench_rounds.c - how many frames the rounds cost, beside the ideal and beside fixed redundancy.
 *
 * The core runs as in the daemon; the air and the devices are modelled here, each device with its
 * own Gaussian elimination. What a device hears follows from seed, device and fragment number
 * alone, so that the same world can be asked for the ideal: the number at which the last device
 * would have been complete, had everybody known everything.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "bench/bench.h"
#include "deployment/deployment.h"
#include "fec/rows.h"
#include "lib/params.h"

#define M           500
#define DEVICES     1000
#define SEEDS       200
#define NUMBERS     3000 /* more than any device needs */
#define WORDS       (M / 64 + 1)
#define NOW_MS      INT64_C(1800000000000)
#define GAP_MS      3700 /* EU868 DR5, 239 octets, 10 % */
#define ANSWER_LOSS 0.1
#define STATUS_PORT 201 /* as test_params() has it */
#define ANSWER_SIZE 5
#define STATUS_KEY  0x57A7u
#define UPLINK_KEY  0x0B1Eu
#define FIXED_KEY   0x10C0u
#define LOST_MAX    (WORDS * 64)

enum kind {
    KIND_SPECIFICATION, /* counts all, MissingFrag as it is */
    KIND_LBM,           /* last number less the lost, counts down */
    KIND_LORAMAC,       /* last number, lost ones, never lowered */
};

/* One device: what it has heard so far, and its equations over the uncoded fragments it lost. */
struct receiver {
    double loss;
    uint16_t lost[LOST_MAX];
    uint16_t lost_count, received, last_heard, coded_rank;
    uint16_t complete_at; /* N of the fragment that completed it; 0: not yet */
    bool is_closed;       /* its uncoded fragments are over */
    bool has_pivot[LOST_MAX];
    uint64_t rows[LOST_MAX][WORDS];
};

struct world {
    bool own_evidence;
    uint64_t seed;
    enum kind kind;
    struct receiver *receivers;
    double expected_loss;
};

static uint64_t coded_rows[NUMBERS + 1][WORDS];

static bool draw(const struct world *w, uint64_t key, uint64_t device, uint64_t number, double p)
{
    uint64_t bits = random_mix(random_mix(w->seed, key << 32 | device), number);

    return (double)(bits >> 11) / 9007199254740992.0 < p;
}

static void take_coded(struct receiver *r, unsigned number)
{
    uint64_t row[WORDS] = {0};

    for (unsigned i = 0; i < r->lost_count; i++) {
        uint64_t bit = coded_rows[number - M][r->lost[i] / 64] >> (r->lost[i] % 64) & 1;
        row[i / 64] |= bit << (i % 64);
    }
    for (unsigned i = 0; i < r->lost_count; i++) {
        if ((row[i / 64] >> (i % 64) & 1) == 0) {
            continue;
        }
        if (!r->has_pivot[i]) {
            memcpy(r->rows[i], row, sizeof(row));
            r->has_pivot[i] = true;
            r->coded_rank++;
            break;
        }
        for (unsigned word = i / 64; word < WORDS; word++) {
            row[word] ^= r->rows[i][word];
        }
    }
}

/* Fragment `number` is on air. */
static void on_air(const struct world *w, struct receiver *r, unsigned device, unsigned number)
{
    bool is_lost = draw(w, FIXED_KEY, device, number, r->loss);

    if (number <= M && is_lost) {
        assert(r->lost_count < LOST_MAX);
        r->lost[r->lost_count++] = (uint16_t)(number - 1);
    }
    if (is_lost || r->complete_at > 0) {
        return;
    }
    r->received++;
    r->last_heard = (uint16_t)number;
    if (number > M) {
        take_coded(r, number);
    }
    if (number >= M && r->coded_rank == r->lost_count) {
        r->complete_at = (uint16_t)number;
    }
}

static void make_receivers(struct world *w, double (*loss_of)(struct random *random))
{
    struct random random;

    random_init(&random, random_mix(w->seed, 1));
    for (unsigned i = 0; i < DEVICES; i++) {
        memset(&w->receivers[i], 0, sizeof(w->receivers[i]));
        w->receivers[i].loss = loss_of(&random);
    }
}

/* When the last device is complete if nobody ever stops. A device without losses at the end of the
 * uncoded fragments is complete with the last one that it hears. */
static unsigned ideal_stop(struct world *w)
{
    unsigned last = M;

    for (unsigned i = 0; i < DEVICES; i++) {
        struct receiver *r = &w->receivers[i];
        for (unsigned n = 1; n < NUMBERS && r->complete_at == 0; n++) {
            on_air(w, r, i, n);
        }
        assert(r->complete_at > 0);
        last = r->complete_at > last ? r->complete_at : last;
    }
    return last;
}

static unsigned done_by(const struct world *w, unsigned number)
{
    unsigned count = 0;

    for (unsigned i = 0; i < DEVICES; i++) {
        count += w->receivers[i].complete_at > 0 && w->receivers[i].complete_at <= number;
    }
    return count;
}

/* the core's side */

struct answer {
    int64_t at_ms;
    uint32_t device;
    uint8_t data[ANSWER_SIZE];
};

struct run {
    struct world *world;
    struct deployment *d;
    int64_t now_ms;
    struct answer *answers; /* a heap by time */
    size_t answer_count, answer_capacity;
    unsigned frames, answers_sent;
};

static void heap_push(struct run *run, const struct answer *answer)
{
    if (run->answer_count == run->answer_capacity) {
        run->answer_capacity = 2 * run->answer_capacity + 1024;
        run->answers = realloc(run->answers, run->answer_capacity * sizeof(*run->answers));
        assert(run->answers != NULL);
    }
    size_t at = run->answer_count++;
    for (; at > 0 && run->answers[(at - 1) / 2].at_ms > answer->at_ms; at = (at - 1) / 2) {
        run->answers[at] = run->answers[(at - 1) / 2];
    }
    run->answers[at] = *answer;
}

static struct answer heap_pop(struct run *run)
{
    struct answer first = run->answers[0], last = run->answers[--run->answer_count];
    size_t at = 0;

    for (size_t child = 1; child < run->answer_count; child = 2 * at + 1) {
        child += child + 1 < run->answer_count &&
                 run->answers[child + 1].at_ms < run->answers[child].at_ms;
        if (run->answers[child].at_ms >= last.at_ms) {
            break;
        }
        run->answers[at] = run->answers[child];
        at = child;
    }
    run->answers[at] = last;
    return first;
}

/* What the device says of itself, counted when it is asked. */
static void count(const struct world *w, const struct receiver *r, uint8_t data[ANSWER_SIZE])
{
    unsigned open = (unsigned)r->lost_count - r->coded_rank;
    unsigned received = r->received, missing = r->lost_count;

    switch (w->kind) {
    case KIND_SPECIFICATION:
        missing = r->complete_at > 0 ? 0 : missing < 255 ? missing : 255;
        break;
    case KIND_LBM:
        received = (unsigned)r->last_heard - r->lost_count;
        missing = r->complete_at > 0 ? r->lost_count == 0 : open;
        break;
    case KIND_LORAMAC:
        received = r->last_heard;
        break;
    }
    data[0] = 0x01;
    data[1] = (uint8_t)received;
    data[2] = (uint8_t)(received >> 8);
    data[3] = (uint8_t)missing;
    data[4] = 0;
}

static void answer(struct run *run, unsigned device, int64_t asked_ms)
{
    const struct deployment_params *p = deployment_get_params(run->d);
    struct answer answer = {.device = device};
    uint64_t bits =
        random_mix(random_mix(run->world->seed, STATUS_KEY), (uint64_t)asked_ms + device);

    run->answers_sent++;
    if (draw(run->world, UPLINK_KEY, device, (uint64_t)asked_ms, ANSWER_LOSS)) {
        return;
    }
    answer.at_ms = asked_ms + 1000 + (int64_t)(bits % (UINT64_C(1000) << (p->block_ack_delay + 4)));
    count(run->world, &run->world->receivers[device], answer.data);
    heap_push(run, &answer);
}

static void step(struct run *run, struct deployment_event *event);

static void act(struct run *run, const struct deployment_action *action)
{
    struct world *w = run->world;
    struct deployment_event event = {.kind = DEPLOYMENT_EVENT_COUNT};

    switch (action->kind) {
    case DEPLOYMENT_ACTION_FRAME:
        run->frames++;
        for (unsigned i = 0; i < DEVICES; i++) {
            struct receiver *r = &w->receivers[i];
            if (action->frame_kind == FRAME_FRAGMENT) {
                on_air(w, r, i, action->number);
            } else if (!draw(w, STATUS_KEY, i, (uint64_t)run->now_ms, r->loss)) {
                answer(run, i, run->now_ms);
            }
        }
        event.kind = DEPLOYMENT_EVENT_FRAME_QUEUED;
        event.u.f_cnt = action->f_cnt;
        break;
    case DEPLOYMENT_ACTION_COMMAND: /* asked alone: heard with the same losses, within a minute */
        event.kind = DEPLOYMENT_EVENT_COMMAND_QUEUED;
        event.device_index = action->device_index;
        event.u.item_id.octets[0] = 1;
        step(run, &event);
        event.kind = DEPLOYMENT_EVENT_TXACK;
        if (action->command == COMMAND_STATUS &&
            !draw(w, STATUS_KEY, action->device_index, (uint64_t)run->now_ms,
                  w->receivers[action->device_index].loss)) {
            answer(run, action->device_index, run->now_ms);
        }
        break;
    case DEPLOYMENT_ACTION_DELETE_GROUP:
        event.kind = DEPLOYMENT_EVENT_GROUP_DELETED;
        break;
    case DEPLOYMENT_ACTION_SET_GATEWAYS:
        event.kind = DEPLOYMENT_EVENT_GATEWAYS_SET;
        break;
    case DEPLOYMENT_ACTION_CREATE_GROUP:
    case DEPLOYMENT_ACTION_READ_COUNTER:
    case DEPLOYMENT_ACTION_READ_OLD_QUEUE:
    case DEPLOYMENT_ACTION_DELETE_OLD_GROUP:
    case DEPLOYMENT_ACTION_CHECK_QUEUE:
        assert(false && "nothing fails here");
        break;
    case DEPLOYMENT_ACTION_FINISHED:
        break;
    }
    if (event.kind != DEPLOYMENT_EVENT_COUNT) {
        step(run, &event);
    }
}

static void forget_changes(struct deployment *d)
{
    uint32_t indices[64];
    struct deployment_note notes[64];

    (void)deployment_take_transmission_change(d);
    while (deployment_take_device_changes(d, indices, 64) > 0) {
    }
    while (deployment_take_notes(d, notes, 64) > 0) {
    }
}

static void step(struct run *run, struct deployment_event *event)
{
    struct deployment_actions actions;

    event->now_ms = run->now_ms;
    deployment_step(run->d, event, &actions);
    forget_changes(run->d);
    for (size_t i = 0; i < actions.count; i++) {
        act(run, &actions.items[i]);
    }
}

static struct deployment_params params_of(const struct world *w)
{
    double coded = M * w->expected_loss / (1.0 - w->expected_loss);
    struct deployment_params p = test_params(DEVICES);

    p.fragment_count = M;
    p.fragment_size = 239;
    p.coded_count = (uint16_t)(coded + 0.999);
    p.padding_size = 0;
    p.frame_airtime_ms = GAP_MS / 10 - 1;
    p.margin_ms = 1000;
    p.gateways_max = 1;
    p.attempts_max = 10;
    p.rounds_max = 60;
    p.sessions_max = 10;
    p.repairs_max = 0;
    p.own_evidence = w->own_evidence;
    p.block_ack_delay = deployment_block_ack_delay(DEVICES, 400);
    return p;
}

struct result {
    unsigned frames, fragments, ideal, rounds, delivered, answers;
    double hours;
};

/* A transmission whose devices are all set up. */
static struct result send_until_done(struct world *w)
{
    struct run run = {.world = w, .now_ms = NOW_MS};
    struct deployment_params p = params_of(w);
    struct device *devices = calloc(DEVICES, sizeof(*devices));
    void *memory = malloc(deployment_size(DEVICES));
    struct transmission t = {
        .state = TRANSMISSION_TRANSMIT,
        .group_id = {{1}},
        .has_group = true,
        .has_gateways = true,
        .started_ms = NOW_MS - 3600000,
        .setup_started_ms = NOW_MS - 3600000,
        .session_time_ms = NOW_MS - 8000,
        .time_out = 15,
        .session_number = 1,
        .round = 1,
        .repeat_count = 1,
        .deadline_ms = NOW_MS,
        .next_number = 1,
        .last_number = (uint16_t)(M + p.coded_count),
        .gateway_count = 1,
        .gateways = {{.id = 1, .is_chosen = true}},
    };

    assert(devices != NULL && memory != NULL);
    for (uint32_t i = 0; i < DEVICES; i++) {
        devices[i] = (struct device){
            .dev_eui = i + 1,
            .deadline_ms = DEPLOYMENT_NEVER,
            .uplink_interval_s = 60,
            .gateways = 1,
            .stage = DEVICE_RECEIVING,
            .flags = DEVICE_HAS_GROUP | DEVICE_HAS_FRAGMENTATION | DEVICE_HAS_SESSION |
                     DEVICE_HAS_VERSION | DEVICE_SESSION_SENT,
        };
    }
    enum err err = deployment_restore(memory, &p, &t, devices, &run.d);
    assert(err == ERR_OK);
    step(&run, &(struct deployment_event){.kind = DEPLOYMENT_EVENT_RESTORED});
    while (!deployment_is_done(run.d)) {
        int64_t deadline_ms = deployment_deadline(run.d);
        struct deployment_event event = {.kind = DEPLOYMENT_EVENT_TIMER};
        if (run.answer_count > 0 && run.answers[0].at_ms <= deadline_ms) {
            struct answer a = heap_pop(&run);
            run.now_ms = a.at_ms > run.now_ms ? a.at_ms : run.now_ms;
            event.kind = DEPLOYMENT_EVENT_UPLINK;
            event.device_index = a.device;
            event.u.uplink.received_ms = a.at_ms;
            event.u.uplink.f_port = STATUS_PORT;
            event.u.uplink.data = a.data;
            event.u.uplink.data_size = ANSWER_SIZE;
            step(&run, &event);
        } else {
            assert(deadline_ms != DEPLOYMENT_NEVER);
            run.now_ms = deadline_ms > run.now_ms ? deadline_ms : run.now_ms;
            step(&run, &event);
        }
    }
    const struct transmission *end = deployment_get_transmission(run.d);
    struct result result = {
        .frames = run.frames,
        .fragments = end->next_number - 1u,
        .rounds = end->round,
        .delivered = deployment_stage_count(run.d, DEVICE_DELIVERED),
        .answers = run.answers_sent,
        .hours = (double)(run.now_ms - NOW_MS) / 3600000.0,
    };
    free(memory);
    free(devices);
    free(run.answers);
    return result;
}

static int compare(const void *a, const void *b)
{
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

    return x < y ? -1 : x > y;
}

/* the fleets */

static double lose_a_tenth(struct random *random)
{
    (void)random;
    return 0.1;
}

/* 90 % lose up to 4 %, 9 % 5 to 20 %, 1 % 25 to 50 %. */
static double lose_as_fleets_do(struct random *random)
{
    double share = random_unit(random), u = random_unit(random);

    return share < 0.9 ? 0.04 * u : share < 0.99 ? 0.05 + 0.15 * u : 0.25 + 0.25 * u;
}

struct goals {
    double mean, p99, ratio; /* 0: none */
};

static void row(const char *fleet, const char *what, double value, const char *unit, double goal)
{
    char name[120];

    (void)snprintf(name, sizeof(name), "%s: %s", fleet, what);
    if (goal > 0.0) {
        bench_goal(name, value, unit, "lower", goal);
    } else {
        bench_info(name, value, unit, "lower");
    }
}

static void bench_fleet(const char *fleet, enum kind kind, double (*loss_of)(struct random *random),
                        struct goals goals, bool with_fixed, bool own_evidence)
{
    static const double redundancy[] = {0.1, 0.2, 0.3};
    struct world w = {.kind = kind, .expected_loss = 0.05, .own_evidence = own_evidence};
    unsigned frames[SEEDS];
    double sums[7] = {0}, fixed_done[3] = {0};
    unsigned undone = 0;

    w.receivers = malloc(DEVICES * sizeof(*w.receivers));
    assert(w.receivers != NULL);
    for (unsigned s = 0; s < SEEDS; s++) {
        w.seed = s + 1;
        make_receivers(&w, loss_of);
        unsigned ideal = ideal_stop(&w);
        for (size_t i = 0; i < 3; i++) {
            fixed_done[i] += done_by(&w, M + (unsigned)(M * redundancy[i]));
        }
        make_receivers(&w, loss_of);
        struct result r = send_until_done(&w);
        undone += DEVICES - r.delivered;
        frames[s] = r.frames;
        sums[0] += r.frames;
        sums[1] += r.fragments;
        sums[2] += ideal;
        sums[3] += r.rounds;
        sums[4] += r.answers;
        sums[5] += r.hours;
    }
    qsort(frames, SEEDS, sizeof(frames[0]), compare);
    char name[120];
    (void)snprintf(name, sizeof(name), "%s: devices not done in all seeds", fleet);
    bench_goal(name, undone, "devices", "lower", 0.0);
    row(fleet, "frames, mean", sums[0] / SEEDS, "frames", goals.mean);
    row(fleet, "frames, 99th percentile", frames[SEEDS * 99 / 100 - 1], "frames", goals.p99);
    row(fleet, "ideal stop, mean", sums[2] / SEEDS, "frames", 0.0);
    row(fleet, "frames for each of the ideal", sums[0] / sums[2], "frames", goals.ratio);
    row(fleet, "fragments, mean", sums[1] / SEEDS, "fragments", 0.0);
    row(fleet, "rounds, mean", sums[3] / SEEDS, "rounds", 0.0);
    row(fleet, "answers for each device", sums[4] / SEEDS / DEVICES, "answers", 0.0);
    row(fleet, "time, mean", sums[5] / SEEDS, "h", 0.0);
    for (size_t i = 0; with_fixed && i < 3; i++) {
        char what[60];
        (void)snprintf(what, sizeof(what), "done with fixed redundancy of %.0f %%",
                       100.0 * redundancy[i]);
        row(fleet, what, 100.0 * fixed_done[i] / SEEDS / DEVICES, "%", 0.0);
    }
    free(w.receivers);
}

int main(void)
{
    for (unsigned n = 1; n <= NUMBERS; n++) {
        enum err err = fec_row(FEC_V1, n, M, coded_rows[n]);
        assert(err == ERR_OK);
    }
    bench_fleet("10 % lost", KIND_SPECIFICATION, lose_a_tenth,
                (struct goals){.mean = 595, .p99 = 605}, true, false);
    bench_fleet("10 % lost, own evidence only", KIND_SPECIFICATION, lose_a_tenth, (struct goals){0},
                false, true);
    bench_fleet("10 % lost, LBM", KIND_LBM, lose_a_tenth, (struct goals){0}, false, false);
    bench_fleet("10 % lost, LoRaMac-node", KIND_LORAMAC, lose_a_tenth, (struct goals){0}, false,
                false);
    bench_fleet("mixed", KIND_SPECIFICATION, lose_as_fleets_do, (struct goals){.ratio = 1.03},
                true, false);
    return 0;
}
