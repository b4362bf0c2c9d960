/*
 * multicast_setup.h - TS005 Remote Multicast Setup: commands and answers, server side.
 *
 * Pure: no I/O, no clock, no allocation; every buffer is the caller's.
 * Spec: LoRaWAN TS005-1.0.0. FPort 200.
 *
 * Every encoder writes one command to `buf`, its size to `*ret_size`, and on error touches neither:
 * ERR_RANGE  a field does not fit its width in the spec
 * ERR_SPACE  `buf_size` is too small
 */
#ifndef LORAWAN_MULTICAST_SETUP_H
#define LORAWAN_MULTICAST_SETUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"
#include "base/err.h"
#include "lorawan/package.h"

#define MC_GROUP_COUNT             4
#define MC_GROUP_STATUS_REQ_SIZE   2
#define MC_GROUP_SETUP_REQ_SIZE    30
#define MC_GROUP_DELETE_REQ_SIZE   2
#define MC_CLASS_C_SESSION_REQ_SIZE 11
#define MC_CLASS_B_SESSION_REQ_SIZE 11

/* TimeToStart of a device that has no time, or a start further away than 2^24 - 1 s. */
#define MC_TIME_TO_START_UNKNOWN 0xFFFFFFu

/* McGroupStatusReq */
struct mc_group_status_req {
    uint8_t req_group_mask; /* 0..15; send 15 only: LoRaMac-node executes the octet as a command */
};

/* McGroupSetupReq: defines a multicast group in the device. */
struct mc_group_setup_req {
    uint8_t mc_group_id; /* 0..3 */
    uint32_t mc_addr;
    uint8_t mc_key_encrypted[16]; /* aes128_decrypt(McKEKey, McKey) */
    uint32_t min_mc_f_cnt;        /* next counter the server will use */
    uint32_t max_mc_f_cnt;        /* the server never sends a counter >= this */
};

/* McGroupDeleteReq */
struct mc_group_delete_req {
    uint8_t mc_group_id; /* 0..3 */
};

/* McClassCSessionReq */
struct mc_class_c_session_req {
    uint8_t mc_group_id;   /* 0..3 */
    uint32_t session_time; /* GPS seconds mod 2^32 */
    uint8_t time_out;      /* 0..15: the session lasts at most 2^time_out seconds */
    uint32_t frequency_hz; /* 100 MHz up to below 1.67 GHz, a multiple of 100; or 2.4 to 2.5 GHz, a multiple of 200 */
    uint8_t data_rate;     /* 0..15 */
};

/* McClassBSessionReq */
struct mc_class_b_session_req {
    uint8_t mc_group_id;   /* 0..3 */
    uint32_t session_time; /* GPS seconds mod 2^32, a multiple of 128 */
    uint8_t time_out;      /* 0..15: at most 2^time_out beacon periods of 128 s */
    uint8_t periodicity;   /* 0..7: a ping slot every 2^periodicity seconds */
    uint32_t frequency_hz; /* as above; 0: the region's default */
    uint8_t data_rate;     /* 0..15 */
};

MUST_CHECK enum err mc_group_status_req_encode(const struct mc_group_status_req *req, uint8_t *buf,
                                               size_t buf_size, size_t *ret_size);
MUST_CHECK enum err mc_group_setup_req_encode(const struct mc_group_setup_req *req, uint8_t *buf,
                                              size_t buf_size, size_t *ret_size);
MUST_CHECK enum err mc_group_delete_req_encode(const struct mc_group_delete_req *req, uint8_t *buf,
                                               size_t buf_size, size_t *ret_size);
MUST_CHECK enum err mc_class_c_session_req_encode(const struct mc_class_c_session_req *req,
                                                  uint8_t *buf, size_t buf_size, size_t *ret_size);
MUST_CHECK enum err mc_class_b_session_req_encode(const struct mc_class_b_session_req *req,
                                                  uint8_t *buf, size_t buf_size, size_t *ret_size);

/* One entry of McGroupStatusAns. */
struct mc_group_status {
    uint8_t mc_group_id; /* 0..3 */
    uint32_t mc_addr;
};

/* McGroupStatusAns */
struct mc_group_status_ans {
    uint8_t total_group_count; /* NbTotalGroups, 0..7 as sent */
    uint8_t ans_group_mask;    /* groups listed here */
    uint8_t group_count;       /* entries of `groups`: the bits set in the mask */
    struct mc_group_status groups[MC_GROUP_COUNT];
};

/* McGroupSetupAns */
struct mc_group_setup_ans {
    uint8_t mc_group_id;
    bool id_error; /* IDerror */
};

/* McGroupDeleteAns */
struct mc_group_delete_ans {
    uint8_t mc_group_id;
    bool mc_group_undefined;
};

/* McClassCSessionAns and McClassBSessionAns */
struct mc_session_ans {
    uint8_t mc_group_id;
    bool start_missed;         /* bit 5: by the text v2 only, but LBM and Zephyr set it in v1 */
    bool mc_group_undefined;   /* bit 4; LoRaMac-node sets it for a start in the past, too */
    bool freq_error;           /* bit 3 */
    bool dr_error;             /* bit 2 */
    bool has_time_to_start;    /* no error bit is set and the field was there */
    uint32_t time_to_start_s;  /* 0 .. 2^24 - 1 */
    uint8_t status;            /* the octet as sent */
};

enum multicast_setup_ans_kind {
    MULTICAST_SETUP_VERSION_ANS,
    MULTICAST_SETUP_GROUP_STATUS_ANS,
    MULTICAST_SETUP_GROUP_SETUP_ANS,
    MULTICAST_SETUP_GROUP_DELETE_ANS,
    MULTICAST_SETUP_CLASS_C_SESSION_ANS,
    MULTICAST_SETUP_CLASS_B_SESSION_ANS,
};

/* One answer of a device. */
struct multicast_setup_ans {
    enum multicast_setup_ans_kind kind;
    union {
        struct package_version_ans version;
        struct mc_group_status_ans group_status;
        struct mc_group_setup_ans group_setup;
        struct mc_group_delete_ans group_delete;
        struct mc_session_ans session; /* class B and C */
    } u;
};

/*
 * Takes the next answer off `r` (an uplink payload of FPort 200); on error `*ret_ans` is untouched.
 * A session answer with StartMissed as the only error bit may carry three more octets on some servers' view: they are
 * taken as TimeToStart only if exactly three octets are left and these are not PackageVersionAns (has_time_to_start
 * stays false).
 *
 * ERR_MISSING  nothing is left
 * ERR_SHORT    the command is truncated
 * ERR_UNKNOWN  its CID is none of TS005's uplink commands
 */
MUST_CHECK enum err multicast_setup_ans_decode(struct reader *r, struct multicast_setup_ans *ret_ans);

#endif
