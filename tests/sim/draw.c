/*
 * draw.c - a world from a seed: its size, its devices, and what goes wrong in it. Half of the
 * worlds are free of a given fault, so that each also meets the others alone.
 */
#include "fec/rows.h"
#include "sim/sim.h"

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS   (60 * MINUTE_MS)

static bool is_one_in(struct random *random, uint64_t n)
{
    return random_below(random, n) == 0;
}

static double draw_up_to(struct random *random, double most)
{
    return is_one_in(random, 2) ? 0.0 : most * random_unit(random);
}

/* Now and then: somewhere in the first hours, for a while. */
static struct sim_window draw_window(struct random *random, uint64_t rarity, int64_t longest_ms)
{
    struct sim_window window = {0};

    if (is_one_in(random, rarity)) {
        window.from_ms = (int64_t)random_below(random, 3 * HOUR_MS);
        window.until_ms = window.from_ms + 1 + (int64_t)random_below(random, (uint64_t)longest_ms);
    }
    return window;
}

/* Counts that the daemon never plans: see fec/rows.h. */
static void avoid_bad_count(struct sim_options *o)
{
    while (
        fec_count_is_bad((unsigned)((o->image_size + o->fragment_size - 1) / o->fragment_size))) {
        o->image_size++;
    }
}

static void draw_size(struct random *random, struct sim_options *o)
{
    bool is_large = is_one_in(random, 40);

    o->device_count = (uint32_t)(1 + random_below(random, is_large ? SIM_DEVICES_MAX : 12));
    o->fragment_size = (unsigned)(20 + random_below(random, 90));
    o->image_size = 200 + random_below(random, is_large ? 20000 : 3000);
    avoid_bad_count(o);
    o->coded_count = (unsigned)(10 + random_below(random, is_large ? 200 : 40));
    o->gateway_count = is_one_in(random, 3) ? (unsigned)(1 + random_below(random, 3)) : 1;
    o->uplink_interval_s = (uint32_t)(30 + random_below(random, 1800));
    o->combine_setup = is_one_in(random, 2);
    o->is_version_known = is_one_in(random, 2);
    o->is_clock_unanswered = is_one_in(random, 4);
    o->has_tight_session = is_one_in(random, 2);
    o->attempts_max = (uint8_t)(2 + random_below(random, 8));
    o->rounds_max = (uint8_t)(is_one_in(random, 8) ? 1 : 2 + random_below(random, 20));
    o->sessions_max = (uint8_t)(1 + random_below(random, 4));
    o->repairs_max = (uint8_t)random_below(random, 3);
    o->frames_max = is_one_in(random, 16) ? (uint32_t)random_below(random, 200) : 0;
    o->time_limit_ms = is_one_in(random, 16) ? (int64_t)random_below(random, 8 * HOUR_MS) : 0;
    o->setup_limit_ms = (1 + (int64_t)random_below(random, 24)) * HOUR_MS;
}

static void draw_faults(struct random *random, struct sim_faults *f)
{
    f->downlink_loss = draw_up_to(random, 0.3);
    f->uplink_loss = draw_up_to(random, 0.3);
    f->multicast_loss = draw_up_to(random, 0.3);
    f->downlink_doubled = draw_up_to(random, 0.1);
    f->downlink_reordered = draw_up_to(random, 0.2);
    f->ack_lost = draw_up_to(random, 0.1);
    f->call_failed = draw_up_to(random, 0.2);
    f->call_slow = draw_up_to(random, 0.3);
    f->call_unanswered = draw_up_to(random, 0.1);
    f->call_lands_late = draw_up_to(random, 0.5);
    f->kill_after_step = draw_up_to(random, 0.02);
    f->kill_after_commit = draw_up_to(random, 0.02);
    f->kill_after_calls = draw_up_to(random, 0.02);
    f->taken_over = draw_up_to(random, 0.5);
    f->commit_failed = draw_up_to(random, 0.02);
    f->commit_slow = draw_up_to(random, 0.05);
    f->event_doubled = draw_up_to(random, 0.1);
    f->event_delayed = is_one_in(random, 4) ? 0.02 * random_unit(random) : 0.0;
}

static void draw_outages(struct random *random, struct sim_options *o)
{
    o->network_down = draw_window(random, 8, 30 * MINUTE_MS);
    o->commits_fail = draw_window(random, 8, 10 * MINUTE_MS);
    o->store_down = draw_window(random, 8, 10 * MINUTE_MS);
    o->events_lost = draw_window(random, 8, 30 * MINUTE_MS);
    o->events_held = draw_window(random, 8, HOUR_MS);
    for (unsigned g = 0; g < o->gateway_count; g++) {
        o->gateway_down[g] = draw_window(random, 8, HOUR_MS);
    }
    if (is_one_in(random, 8)) {
        o->clock_drift_ppm = (int)random_below(random, 41) - 20;
    }
    if (is_one_in(random, 16)) {
        o->clock_stepped = draw_window(random, 1, 6 * HOUR_MS);
        o->clock_step_ms = is_one_in(random, 2) ? HOUR_MS : -HOUR_MS;
    }
    o->paused = draw_window(random, 8, 12 * HOUR_MS);
    if (is_one_in(random, 8)) {
        o->abort_at_ms = (int64_t)random_below(random, HOUR_MS) + 1;
    }
}

static void draw_device(struct random *random, struct virtual_config *c)
{
    c->kind = (enum virtual_kind)random_below(random, VIRTUAL_KIND_COUNT);
    c->answers_late = is_one_in(random, 8);
    c->restarts_silently = is_one_in(random, 4);
    switch (random_below(random, 16)) {
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
        c->refused_frag_bits = (uint8_t)(1 + random_below(random, 15));
        break;
    case 4:
        c->refused_session_bits = (uint8_t)(1u << (2 + random_below(random, 3)));
        break;
    case 5:
        c->lost_max = (uint16_t)(1 + random_below(random, 20));
        break;
    case 6:
        c->rejoin_after_ms = (int64_t)random_below(random, 2 * HOUR_MS) + 1;
        break;
    case 7:
        c->rejoin_at_fragment = (uint16_t)(1 + random_below(random, 60));
        break;
    case 8:
        c->clock_offset_ms = (int64_t)random_below(random, 2 * HOUR_MS) - HOUR_MS;
        break;
    case 9:
        c->has_no_clock = true;
        break;
    default:
        break;
    }
}

struct sim_options sim_draw_options(uint64_t seed)
{
    struct sim_options o = sim_defaults();
    struct random random;

    random_init(&random, random_mix(seed, 1));
    o.seed = seed;
    draw_size(&random, &o);
    draw_faults(&random, &o.faults);
    draw_outages(&random, &o);
    for (uint32_t i = 0; i < o.device_count; i++) {
        draw_device(&random, &o.devices[i]);
        o.hears[i] = (uint8_t)(1 + random_below(&random, (1u << o.gateway_count) - 1));
    }
    o.choose_rows = is_one_in(&random, 4);
    o.shares_air = is_one_in(&random, 8);
    o.tells_results = is_one_in(&random, 2);
    o.own_evidence = is_one_in(&random, 2);
    for (unsigned g = 0; g < o.gateway_count; g++) {
        o.gateway_refuses[g] = draw_window(&random, 16, HOUR_MS);
    }
    return o;
}
