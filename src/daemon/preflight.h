/*
 * preflight.h - the list of what is looked at before a deployment, between the two files that share
 * it: preflight.c asks and checks, launch.c plans and starts.
 */
#ifndef PREFLIGHT_H
#define PREFLIGHT_H

#include "daemon.h"

#define PROFILES_AT_ONCE 32

struct candidate {
    uint64_t dev_eui;
    int known_version; /* of TS004; 0: unknown */
    size_t profile;    /* index into profiles */
};

struct preflight {
    struct daemon *daemon;
    struct slot *slot;
    struct store_fence fence; /* of the owner that began it */
    struct uuid request_id, deployment_id, application_id;
    struct wish wish;
    struct deployment_params params;
    size_t image_size;
    struct candidate *candidates;
    size_t count, next, in_flight;
    cJSON *problems;
    bool is_plan;     /* only asked for */
    bool is_given_up; /* the network server does not answer */
    uint64_t *online; /* gateways */
    size_t online_count;
    cJSON *heard;      /* which gateways heard the devices (store_coverage()); NULL: not known */
    cJSON *neighbours; /* who else sends (store_neighbours()); NULL: not known */
    struct coverage coverage;
    bool has_coverage;
    struct preflight_profile {
        struct uuid id;
        struct network_profile facts;
        bool is_known;
    } profiles[PROFILES_AT_ONCE];
    size_t profile_count;
    uint32_t mc_addr;
    int64_t start_ms;    /* wished; 0: at once */
    unsigned stage_left; /* calls of the stage that are open */
};

/* A gateway or device that was not heard for longer tells nothing. */
#define HEARD_LATELY_MS (7 * INT64_C(86400000))

/* Ends it with the problems that were found; nothing is sent. */
void launch_refuse(struct preflight *p);
/* All was asked, and the problems stand in the list: plans, and starts if there are none. */
void launch(struct preflight *p);

#endif
