/*
 * wish.h - what an operator asks of a deployment, as JSON: checked when it comes, read again when
 * it starts; the parameters that follow, and the plan, as JSON again.
 *
 * No I/O, no clock. The daemon and fuotactl share it, so that both plan the same. Running out of
 * memory ends the program.
 */
#ifndef WISH_WISH_H
#define WISH_WISH_H

#include <cjson/cJSON.h>

#include "deployment/plan.h"
#include "network/driver.h"

/* What holds where the operator says nothing; keys of the daemon's configuration. */
struct wish_defaults {
    int64_t margin_ms, scheduler_interval_ms; /* of the network server */
    bool is_repeater_compatible, has_dwell_time_400ms;
    int64_t unicast_attempts, quorum_percent, setup_deadline_s;
    double expected_loss;
    int64_t rounds, sessions, repair_passes;
    int64_t gateways_max, uplink_interval_s, min_gap_ms;
    double receive_ma;
    double network_share; /* of the duty cycle, left to the network's other downlinks */
    int64_t leap_s;
};

/* Those of a daemon whose configuration says nothing. */
extern const struct wish_defaults wish_defaults;

/* Everything optional has a "not given" value. */
struct wish {
    bool has_region, has_data_rate, has_frequency, has_min_gap, has_descriptor;
    enum region region;
    unsigned data_rate;
    uint32_t frequency_hz;
    unsigned fragment_size;    /* 0: auto */
    double redundancy_percent; /* < 0: auto */
    unsigned unicast_attempts; /* 0: default */
    unsigned rounds, sessions; /* 0: default */
    bool has_repair_passes;
    unsigned repair_passes;
    double airtime_budget_s, time_limit_s; /* 0: none */
    int64_t setup_deadline_s;              /* 0: default */
    unsigned quorum_percent;               /* 0: default */
    uint32_t min_gap_ms;
    uint8_t descriptor[4];
    uint64_t gateways[DEPLOYMENT_GATEWAYS_MAX];
    size_t gateway_count;
    bool allow_bad_block_count, allow_any_class, consecutive_rows, own_evidence_only;
    struct plan_loss losses[PLAN_LOSSES_MAX];
    size_t loss_count; /* 0: default */
    double duty_cycle; /* 0: what the region allows, less network_share */
    bool override_duty_cycle;
};

/* What is no UTF-8 becomes '?': a text that was cut may end within a character. */
void text_mend(char *text);

/* Adds {"field", "detail"[, "dev_eui"]} to the array `problems`. `dev_eui` 0: none. */
void problem_add(cJSON *problems, const char *field, uint64_t dev_eui, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Reads the optional members of `object`; what is wrong goes to `problems`. */
void wish_read(const cJSON *object, cJSON *problems, struct wish *ret_wish);

/* What the network server said about the devices, as far as the parameters depend on it. */
struct wish_facts {
    const struct network_profile *profile; /* one of the devices' */
    size_t image_size;
    uint32_t device_count;
    uint32_t mc_addr;
};

/*
 * The parameters that follow; what is wrong goes to `problems` (then *ret_params is not usable).
 */
void wish_params(const struct wish *wish, const struct wish_facts *facts,
                 const struct wish_defaults *defaults, cJSON *problems,
                 struct deployment_params *ret_params);

/* What the plan assumes of the devices. `gateway_count` 0: as many as the parameters name or allow;
 * `uplink_interval_s` of the slowest device. */
struct plan_fleet wish_fleet(const struct wish *wish, const struct deployment_params *params,
                             const struct wish_defaults *defaults, unsigned gateway_count,
                             uint32_t uplink_interval_s);
/* Makes the plan. It touches nothing but its arguments, so it may run on another thread. */
void wish_plan(const struct deployment_params *params, const struct plan_fleet *fleet,
               struct deployment_plan *ret_plan);
/* The plan as an object; docs/deployment.md names the members. */
cJSON *wish_plan_json(const struct wish *wish, const struct deployment_params *params,
                      const struct wish_defaults *defaults, const struct plan_fleet *fleet,
                      const struct deployment_plan *plan);

/* What is known of where the devices are, from who heard them lately. */
#define COVERAGE_NAMED_MAX 5
struct coverage {
    uint32_t covered;     /* devices that one of the gateways hears */
    uint32_t not_covered; /* devices that others hear, but none of these */
    uint32_t unknown;     /* devices that were not heard */
    uint64_t gateways[DEPLOYMENT_GATEWAYS_MAX];
    size_t gateway_count;
    uint64_t not_covered_devices[COVERAGE_NAMED_MAX]; /* the first of them */
    uint64_t unknown_devices[COVERAGE_NAMED_MAX];
    size_t not_covered_named, unknown_named;
};
/*
 * `patterns`: [{"gateways": [ids], "count": devices that exactly these heard, "devices": some of
 * them}]. The gateways are the `chosen` ones; with none, at most `gateways_max` of the `online`
 * ones, as few as reach all, as when the session starts. False: `patterns` are not of this form.
 */
bool wish_coverage(const cJSON *patterns, const uint64_t *chosen, size_t chosen_count,
                   const uint64_t *online, size_t online_count, unsigned gateways_max,
                   struct coverage *ret_coverage);
/* Adds the member "coverage" to a plan, and warnings. `is_observed`: the devices' uplinks are
 * listened to, so that one who was not heard is worth a word. */
void wish_add_coverage(cJSON *plan, const struct coverage *coverage, bool is_observed);
/*
 * Adds the member "sharing" to a plan: the deployments that run and send through some of the
 * `count` gateways, and a warning where gateways or duty cycle do not suffice for all of them.
 * `neighbours`: as store_neighbours() gives them.
 */
void wish_add_sharing(cJSON *plan, const cJSON *neighbours, const struct deployment_params *params,
                      const uint64_t *gateways, size_t count);

#endif
