/*
 * seeds_test.c - faults drawn from a seed; whatever breaks, the deployment ends in time and tells
 * the truth.
 *
 *   seeds_test [--first N] [--count N]   runs that many seeds
 *   seeds_test --seed N [--trace]        replays one; with --trace it tells its story
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/sim.h"

#define LIMIT_MS (INT64_C(20) * 86400000)

static struct sim sim;

static double draw_up_to(struct random *random, double most)
{
    /* Half of the worlds are free of a given fault. */
    return random_below(random, 2) == 0 ? 0.0 : most * random_unit(random);
}

static struct sim_options draw_options(uint64_t seed)
{
    struct sim_options o = sim_defaults();
    struct random random;

    random_init(&random, random_mix(seed, 1));
    o.seed = seed;
    o.device_count = (uint32_t)(1 + random_below(&random, 12));
    o.fragment_size = (unsigned)(20 + random_below(&random, 90));
    o.image_size = 200 + random_below(&random, 3000);
    o.coded_count = (unsigned)(10 + random_below(&random, 40));
    o.uplink_interval_s = (uint32_t)(30 + random_below(&random, 1800));
    o.combine_setup = random_below(&random, 2) == 0;
    o.is_version_known = random_below(&random, 2) == 0;
    o.is_clock_unanswered = random_below(&random, 4) == 0;
    o.attempts_max = (uint8_t)(2 + random_below(&random, 8));
    o.faults.downlink_loss = draw_up_to(&random, 0.3);
    o.faults.uplink_loss = draw_up_to(&random, 0.3);
    o.faults.multicast_loss = draw_up_to(&random, 0.3);
    o.faults.call_failed = draw_up_to(&random, 0.2);
    o.faults.call_unanswered = draw_up_to(&random, 0.1);
    o.faults.crash_before_commit = draw_up_to(&random, 0.02);
    o.faults.crash_after_commit = draw_up_to(&random, 0.02);
    o.faults.commit_failed = draw_up_to(&random, 0.02);
    o.faults.event_doubled = draw_up_to(&random, 0.1);
    if (random_below(&random, 8) == 0) {
        o.abort_at_ms = (int64_t)random_below(&random, 3600000) + 1;
    }
    for (uint32_t i = 0; i < o.device_count; i++) {
        struct virtual_config *c = &o.devices[i];
        c->kind = (enum virtual_kind)random_below(&random, VIRTUAL_KIND_COUNT);
        c->answers_late = random_below(&random, 8) == 0;
        switch (random_below(&random, 16)) {
        case 0:
            c->is_deaf = true;
            break;
        case 1:
            c->is_mute = true;
            break;
        case 2:
            c->refuses_group = true;
            break;
        case 3:
            c->refused_frag_bits = (uint8_t)(1 + random_below(&random, 15));
            break;
        case 4:
            c->refused_session_bits = (uint8_t)(1u << (2 + random_below(&random, 3)));
            break;
        case 5:
            c->lost_max = (uint16_t)(1 + random_below(&random, 20));
            break;
        case 6:
            c->rejoin_after_ms = (int64_t)random_below(&random, 7200000) + 1;
            break;
        case 7:
            c->rejoin_at_fragment = (uint16_t)(1 + random_below(&random, 20));
            break;
        case 8:
            c->clock_offset_ms = (int64_t)random_below(&random, 7200000) - 3600000;
            break;
        default:
            break;
        }
    }
    return o;
}

static void run_seed(uint64_t seed, bool is_traced)
{
    struct sim_options o = draw_options(seed);

    o.is_traced = is_traced;
    sim_init(&sim, &o);
    if (!sim_run(&sim, LIMIT_MS)) {
        fprintf(stderr, "seed %llu: not over after 20 days, in state %s\n",
                (unsigned long long)seed, transmission_state_name(sim.stored.state));
        abort();
    }
    sim_check_end(&sim);
    sim_release(&sim);
}

int main(int argc, char **argv)
{
    uint64_t first = 1, count = 100;
    bool is_traced = false;

    for (int i = 1; i < argc; i++) {
        bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--trace") == 0) {
            is_traced = true;
        } else if (strcmp(argv[i], "--seed") == 0 && has_value) {
            first = strtoull(argv[++i], NULL, 10);
            count = 1;
        } else if (strcmp(argv[i], "--first") == 0 && has_value) {
            first = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--count") == 0 && has_value) {
            count = strtoull(argv[++i], NULL, 10);
        } else {
            fprintf(stderr, "usage: seeds_test [--first N] [--count N] | --seed N [--trace]\n");
            return 2;
        }
    }
    for (uint64_t seed = first; seed < first + count; seed++) {
        fprintf(stderr, "\rseed %llu ",
                (unsigned long long)seed); /* the last line of a failure names it */
        run_seed(seed, is_traced);
    }
    fprintf(stderr, "\r%llu seeds passed\n", (unsigned long long)count);
    return 0;
}
