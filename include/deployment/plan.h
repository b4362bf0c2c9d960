/*
 * plan.h - what a deployment will probably take: frames, airtime, hours, sessions, and how many
 * devices are done by when.
 *
 * Pure. It follows from the parameters and from what is assumed of the devices; the rounds then
 * send what the devices really lack.
 */
#ifndef DEPLOYMENT_PLAN_H
#define DEPLOYMENT_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "deployment/params.h"

#define PLAN_LOSSES_MAX 16
#define PLAN_ROUNDS_MAX 8 /* of the table; more are hardly ever needed */

/* So many of the devices lose so many of the fragments. */
struct plan_loss {
    double share; /* 0 < share <= 1; the sum of all is 1 */
    double loss;  /* 0 .. FEC_ODDS_LOSS_MAX */
};

struct plan_fleet {
    unsigned gateway_count;     /* on the group, 1.. */
    uint32_t uplink_interval_s; /* of the slowest device */
    double receive_ma;          /* what a device takes while its receiver is open */
    size_t loss_count;          /* 1 .. PLAN_LOSSES_MAX */
    struct plan_loss losses[PLAN_LOSSES_MAX];
};

struct plan_round {
    unsigned fragments; /* sent by its end, in all */
    double done;        /* share of the devices that are done then */
};

/* A part of the whole: this is enough with 50, 90 and 99 of 100 such deployments. */
enum plan_chance { PLAN_P50, PLAN_P90, PLAN_P99, PLAN_CHANCE_COUNT };

/* What one deployment takes until nobody needs more. */
struct plan_end {
    unsigned fragments;
    uint32_t frames;    /* fragments and status requests */
    int64_t airtime_ms; /* of each gateway */
    int64_t time_ms;    /* from the start: set-up, sessions, last answers */
    unsigned sessions;
};

struct deployment_plan {
    struct plan_end ends[PLAN_CHANCE_COUNT];
    unsigned fragments_for[4]; /* after so many 50, 90, 99, 99.9 % are done; 0: never */
    unsigned round_count;
    struct plan_round rounds[PLAN_ROUNDS_MAX];
    double done;       /* share of the devices with all that is allowed */
    uint32_t gap_ms;   /* between two frames */
    double duty_used;  /* share of the time that each gateway is on air during a session */
    int64_t setup_ms;  /* from the start to SessionTime */
    double charge_mah; /* of each device, for its receiver during the sessions */
    bool is_cut_short; /* rounds, sessions, budget or time limit end it before all are done (P50) */
};

/* Octets of scratch memory for deployment_plan(). */
size_t deployment_plan_size(const struct deployment_params *p, const struct plan_fleet *fleet);

/*
 * `p` has passed deployment_params_check(). `scratch`: deployment_plan_size() octets, aligned for
 * double.
 *
 * ERR_RANGE  a member of `fleet` is out of its range
 */
MUST_CHECK enum err deployment_plan(const struct deployment_params *p,
                                    const struct plan_fleet *fleet, void *scratch,
                                    struct deployment_plan *ret);

#endif
