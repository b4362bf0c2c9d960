/*
 * params.h - what is fixed about a deployment before its first frame, and the times that follow
 * from it.
 *
 * Pure. The daemon fills `struct deployment_params` from the operator's wish, the network server's
 * facts and its configuration, has it checked here, stores it, and never changes it while the
 * deployment runs.
 */
#ifndef DEPLOYMENT_PARAMS_H
#define DEPLOYMENT_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "lorawan/region.h"

#define DEPLOYMENT_GATEWAYS_MAX   16
#define DEPLOYMENT_ATTEMPTS_MAX   100
#define DEPLOYMENT_DEVICES_MAX    100000
#define DEPLOYMENT_ROUNDS_MAX     250
#define DEPLOYMENT_SESSIONS_MAX   100
#define DEPLOYMENT_REPAIRS_MAX    7
#define DEPLOYMENT_DUTY_CYCLE_MIN 0.0001
#define DEPLOYMENT_SESSION_GUARD_MS                                                                \
    8000 /* first frame after SessionTime: clock error and the opening */
#define DEPLOYMENT_QUIET_MS                                                                        \
    60000 /* no unicast command goes out later than this before SessionTime */
#define DEPLOYMENT_SETUP_END_MS 90000 /* the set-up ends this long before SessionTime */

struct deployment_params {
    uint32_t device_count; /* 1 .. DEPLOYMENT_DEVICES_MAX */

    /* the block of TS004 */
    uint16_t fragment_count; /* M */
    uint8_t fragment_size;   /* octets */
    uint8_t padding_size;    /* octets */
    uint16_t coded_count;    /* redundant fragments sent before anybody is asked */
    uint8_t frag_index;      /* 0..3 */
    uint8_t block_ack_delay; /* 0..7 */
    uint8_t descriptor[4];
    bool choose_rows; /* skip coded fragments with bad rows (fec/choice.h); small blocks only */

    /* the multicast group of TS005 */
    uint8_t mc_group_id; /* 0..3 */
    uint32_t mc_addr;
    enum region region;
    uint8_t data_rate;
    uint32_t frequency_hz;
    uint8_t time_out; /* the first class C session lasts 2^time_out s; 0..15 */

    /* FPorts of the packages; all devices of a deployment share them */
    uint8_t port_multicast_setup;
    uint8_t port_fragmentation;
    uint8_t port_clock_sync;

    /* pacing */
    uint32_t frame_airtime_ms;      /* of one fragment */
    uint32_t margin_ms;             /* multicast_class_c_margin of the network server */
    uint32_t scheduler_interval_ms; /* its scheduler interval */
    uint32_t min_gap_ms;            /* the operator's minimum between two frames */
    double duty_cycle;     /* share of time on air allowed, DEPLOYMENT_DUTY_CYCLE_MIN .. 1 */
    uint8_t gateways_max;  /* gateways on the group at most, 1 .. DEPLOYMENT_GATEWAYS_MAX */
    uint8_t gateway_count; /* given by the operator; 0: chosen from the devices' uplinks */
    uint64_t gateways[DEPLOYMENT_GATEWAYS_MAX];

    /* effort */
    uint8_t
        attempts_max; /* transmissions of one command to one device, 1 .. DEPLOYMENT_ATTEMPTS_MAX */
    uint8_t quorum_percent; /* 1..100: with this share ready the set-up ends at its deadline */
    int64_t setup_limit_ms; /* the set-up never lasts longer */
    uint8_t rounds_max;    /* 1 .. DEPLOYMENT_ROUNDS_MAX: batches of fragments of a pass; 1: what is
                              sent before anybody is asked, and no more */
    uint8_t sessions_max;  /* 1 .. DEPLOYMENT_SESSIONS_MAX: class C sessions in all */
    uint8_t repairs_max;   /* 0 .. DEPLOYMENT_REPAIRS_MAX: further passes from N = 1 */
    uint32_t frames_max;   /* multicast frames in all; 0: no limit */
    int64_t time_limit_ms; /* after the start no further frame is planned; 0: no limit */
    bool own_evidence;  /* a device is complete by what it says itself, whatever others of its kind
                           say */
    bool combine_setup; /* McGroupSetupReq and McClassCSessionReq share a downlink */
    int8_t leap_s;      /* GPS minus UTC */
};

/*
 * Checks every range; `*ret_field` (static text) names the first wrong one.
 *
 * ERR_RANGE  a field is out of its range
 * ERR_LIMIT  M + coded fragments exceed 16383, rows are to be chosen for too small or too large a
 * block, or the session is too short for a handful of frames
 */
MUST_CHECK enum err deployment_params_check(const struct deployment_params *p,
                                            const char **ret_field);

/* The parts of that which all deployments on the same gateways must keep from each other: until the
 * gateways have sent a frame, and until its airtime is paid by the duty cycle. */
uint32_t deployment_busy_ms(const struct deployment_params *p, unsigned gateway_count);
uint32_t deployment_duty_ms(const struct deployment_params *p);

/* Whether rows can be chosen for a block of so many uncoded fragments. */
bool deployment_may_choose_rows(unsigned fragment_count);

/* The time between the starts of two frames with `gateway_count` (>= 1) gateways: what the network
 * server's spacing, the duty cycle and the operator ask for. */
uint32_t deployment_gap_ms(const struct deployment_params *p, unsigned gateway_count);

/*
 * The smallest TimeOut whose session holds `frame_count` frames and a few rounds after them with
 * `gateway_count` gateways; 15 (9.1 h) where none does: the rest goes into a further session.
 */
uint8_t deployment_time_out(const struct deployment_params *p, unsigned gateway_count,
                            uint32_t frame_count);

/*
 * How long the set-up for a session is planned to take, where `device_count` devices, the slowest
 * with an uplink in `uplink_interval_s`, are set up from the beginning (or lack the session only):
 * an uplink for each command, and a few that are lost.
 */
int64_t deployment_setup_ms(const struct deployment_params *p, uint32_t uplink_interval_s,
                            uint32_t device_count, bool is_session_only);

/* The smallest BlockAckDelay that spreads the answers of `device_count` devices, each
 * `answer_airtime_ms` on air, so that they take at most half of the air; 7 at most. */
uint8_t deployment_block_ack_delay(uint32_t device_count, uint32_t answer_airtime_ms);

/* How long a device may take to answer a status request: the random delay and what its stack adds.
 */
int64_t deployment_status_wait_ms(const struct deployment_params *p);

#endif
