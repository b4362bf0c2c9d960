/* plan_json.c - the plan of a deployment as JSON. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "fec/plan.h"
#include "fec/rows.h"
#include "lorawan/fragmentation.h"
#include "must.h"
#include "wish/wish.h"

/* What the smallest decoder in use holds: LoRaMac-node's, as it is delivered. */
#define SMALL_DECODER 5

#define SMALL_COUNT 20 /* TS004 discourages fewer fragments */

static const char *const chance_suffix[PLAN_CHANCE_COUNT] = {"", "_p90", "_p99"};

/* Four digits behind the point are enough for people and scripts. */
static double rounded(double value)
{
    return round(value * 10000.0) / 10000.0;
}

static void add(cJSON *object, const char *name, double value)
{
    must(cJSON_AddNumberToObject(object, name, value));
}

static void add_ends(cJSON *object, const struct deployment_plan *plan)
{
    for (unsigned chance = 0; chance < PLAN_CHANCE_COUNT; chance++) {
        const struct plan_end *end = &plan->ends[chance];
        const struct {
            const char *name;
            double value;
        } members[] = {
            {"frames", end->frames},
            {"fragments", end->fragments},
            {"airtime_ms", (double)end->airtime_ms},
            {"time_s", round((double)end->time_ms / 1000.0)},
            {"sessions", end->sessions},
        };
        for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
            char name[40];
            snprintf(name, sizeof(name), "%s%s", members[i].name, chance_suffix[chance]);
            add(object, name, members[i].value);
        }
    }
}

static void add_shares(cJSON *object, const struct plan_fleet *fleet,
                       const struct deployment_plan *plan)
{
    static const char *const names[] = {"50", "90", "99", "99.9"};
    cJSON *shares = must(cJSON_AddObjectToObject(object, "fragments_for"));

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (plan->fragments_for[i] > 0) {
            add(shares, names[i], plan->fragments_for[i]);
        } else {
            must(cJSON_AddNullToObject(shares, names[i]));
        }
    }
    cJSON *rounds = must(cJSON_AddArrayToObject(object, "rounds"));
    for (unsigned i = 0; i < plan->round_count; i++) {
        cJSON *round = must(cJSON_CreateObject());
        add(round, "fragments", plan->rounds[i].fragments);
        add(round, "done", rounded(plan->rounds[i].done));
        cJSON_AddItemToArray(rounds, round);
    }
    cJSON *losses = must(cJSON_AddArrayToObject(object, "loss"));
    for (size_t i = 0; i < fleet->loss_count; i++) {
        cJSON *loss = must(cJSON_CreateObject());
        add(loss, "share", rounded(fleet->losses[i].share));
        add(loss, "loss", rounded(fleet->losses[i].loss));
        cJSON_AddItemToArray(losses, loss);
    }
}

static void add_params(cJSON *object, const struct deployment_params *p,
                       const struct plan_fleet *fleet)
{
    must(cJSON_AddStringToObject(object, "region", region_name(p->region)));
    add(object, "data_rate", p->data_rate);
    add(object, "frequency_hz", p->frequency_hz);
    add(object, "device_count", p->device_count);
    add(object, "gateway_count", fleet->gateway_count);
    add(object, "fragment_size", p->fragment_size);
    add(object, "fragment_count", p->fragment_count);
    add(object, "padding_size", p->padding_size);
    add(object, "coded_count", p->coded_count);
    must(cJSON_AddBoolToObject(object, "choose_rows", p->choose_rows));
    add(object, "frame_airtime_ms", p->frame_airtime_ms);
    add(object, "duty_cycle", rounded(p->duty_cycle));
    add(object, "time_out", p->time_out);
    add(object, "session_s", (double)(INT64_C(1) << p->time_out));
    add(object, "block_ack_delay", p->block_ack_delay);
}

/* warnings */

/* A size that the planner passed over, since its number of fragments is a bad one; 0: none. */
static unsigned size_passed_over(const struct wish *wish, const struct deployment_params *p,
                                 size_t size_max)
{
    size_t image_size = (size_t)p->fragment_count * p->fragment_size - p->padding_size;

    for (size_t size = size_max; wish->fragment_size == 0 && size > p->fragment_size; size--) {
        if (fec_count_is_bad((unsigned)((image_size + size - 1) / size))) {
            return (unsigned)size;
        }
    }
    return 0;
}

static void warn_of_block(const struct wish *wish, const struct deployment_params *p,
                          const struct wish_defaults *defaults, cJSON *warnings)
{
    size_t payload_max = 0;

    if (region_payload_size_max(p->region, p->data_rate, defaults->is_repeater_compatible,
                                defaults->has_dwell_time_400ms, &payload_max) == ERR_OK) {
        size_t size_max = payload_max - FRAG_OVERHEAD;
        unsigned size =
            size_passed_over(wish, p, size_max < FRAG_SIZE_MAX ? size_max : FRAG_SIZE_MAX);
        if (size > 0) {
            problem_add(warnings, "fragment_size", 0,
                        "%u octets would make a number of fragments for which TS004's code is "
                        "defective: %u octets, %u fragments, are used",
                        size, p->fragment_size, p->fragment_count);
        }
    }
    if (fec_count_is_bad(p->fragment_count)) {
        problem_add(warnings, "fragment_size", 0,
                    "TS004's code is defective for %u fragments: devices may need hundreds more",
                    p->fragment_count);
    }
    if (p->fragment_count < SMALL_COUNT) {
        problem_add(warnings, "fragment_size", 0, "only %u fragments: the code is weak for so few",
                    p->fragment_count);
    }
}

static void warn_of_losses(const struct deployment_params *p, const struct plan_fleet *fleet,
                           cJSON *warnings)
{
    double loss = 0.0;

    for (size_t i = 0; i < fleet->loss_count; i++) {
        loss = fleet->losses[i].loss > loss ? fleet->losses[i].loss : loss;
    }
    if (p->fragment_count * loss > SMALL_DECODER) {
        problem_add(warnings, "loss", 0,
                    "who loses %.1f %% misses about %.0f of the %u fragments: a device whose "
                    "decoder holds fewer (LoRaMac-node 5, Zephyr 20 %%, unless built otherwise) "
                    "needs a further pass, which is not in this plan",
                    100.0 * loss, p->fragment_count * loss, p->fragment_count);
    }
}

static void warn_of_law(const struct deployment_params *p, cJSON *warnings)
{
    double allowed = region_duty_cycle(p->region, p->frequency_hz);

    if (p->duty_cycle > allowed) {
        problem_add(warnings, "duty_cycle", 0,
                    "overridden: each gateway may be on air for %g of the time, at %u Hz %s allows "
                    "%g",
                    p->duty_cycle, p->frequency_hz, region_name(p->region), allowed);
    }
}

static void warn_of_limits(const struct deployment_params *p, const struct deployment_plan *plan,
                           cJSON *warnings)
{
    const struct plan_end *end = &plan->ends[PLAN_P50];

    if (end->sessions > 1) {
        problem_add(warnings, "sessions", 0,
                    "%u frames, one in %.1f s, do not fit into a class C session of %.1f h: it "
                    "takes %u sessions, and a set-up before each",
                    end->frames, plan->gap_ms / 1000.0, (double)(1u << p->time_out) / 3600.0,
                    end->sessions);
    }
    if (plan->is_cut_short) {
        problem_add(warnings, "rounds", 0,
                    "rounds, sessions, airtime_budget_s or time_limit_s probably end it before all "
                    "are done: %.2f %% of the devices",
                    100.0 * plan->done);
    }
}

struct plan_fleet wish_fleet(const struct wish *wish, const struct deployment_params *params,
                             const struct wish_defaults *defaults, unsigned gateway_count,
                             uint32_t uplink_interval_s)
{
    struct plan_fleet fleet = {
        .gateway_count = gateway_count > 0           ? gateway_count
                         : params->gateway_count > 0 ? params->gateway_count
                                                     : params->gateways_max,
        .uplink_interval_s = uplink_interval_s,
        .receive_ma = defaults->receive_ma,
        .loss_count = wish->loss_count > 0 ? wish->loss_count : 1,
        .losses = {{.share = 1.0, .loss = defaults->expected_loss}},
    };

    for (size_t i = 0; i < wish->loss_count; i++) {
        fleet.losses[i] = wish->losses[i];
    }
    return fleet;
}

void wish_plan(const struct deployment_params *params, const struct plan_fleet *fleet,
               struct deployment_plan *ret_plan)
{
    void *scratch = must(malloc(deployment_plan_size(params, fleet)));
    enum err err = deployment_plan(params, fleet, scratch, ret_plan);

    free(scratch);
    if (err != ERR_OK) {
        abort(); /* the wish and the parameters were checked */
    }
}

cJSON *wish_plan_json(const struct wish *wish, const struct deployment_params *params,
                      const struct wish_defaults *defaults, const struct plan_fleet *fleet,
                      const struct deployment_plan *plan)
{
    cJSON *object = must(cJSON_CreateObject());

    add_params(object, params, fleet);
    add(object, "gap_ms", plan->gap_ms);
    add(object, "duty_used", rounded(plan->duty_used));
    add(object, "setup_s", round((double)plan->setup_ms / 1000.0));
    add_ends(object, plan);
    add(object, "done", rounded(plan->done));
    add(object, "charge_mah", round(100.0 * plan->charge_mah) / 100.0);
    add_shares(object, fleet, plan);
    cJSON *warnings = must(cJSON_AddArrayToObject(object, "warnings"));
    warn_of_block(wish, params, defaults, warnings);
    if (wish->loss_count > 0) { /* the default is nobody's fleet */
        warn_of_losses(params, fleet, warnings);
    }
    warn_of_law(params, warnings);
    warn_of_limits(params, plan, warnings);
    return object;
}
