/*
 * clock_sync.h - TS003 Application Layer Clock Synchronization: commands and answers, server side.
 *
 * Pure: no I/O, no clock, no allocation; every buffer is the caller's.
 * Spec: LoRaWAN TS003-1.0.0 (v2 has the same layouts). FPort 202.
 *
 * Every encoder writes one command to `buf`, its size to `*ret_size`, and on error touches neither:
 * ERR_RANGE  a field does not fit its width in the spec
 * ERR_SPACE  `buf_size` is too small
 */
#ifndef LORAWAN_CLOCK_SYNC_H
#define LORAWAN_CLOCK_SYNC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"
#include "base/err.h"
#include "lorawan/package.h"

/* AppTimeReq, an uplink */
struct app_time_req {
    uint32_t device_time_s; /* GPS seconds mod 2^32 at the start of the uplink */
    uint8_t token;          /* TokenReq, 0..15 */
    bool ans_required;
};

/* DeviceAppTimePeriodicityAns */
struct device_app_time_periodicity_ans {
    bool not_supported;
    uint32_t device_time_s; /* GPS seconds mod 2^32 */
};

enum clock_sync_uplink_kind {
    CLOCK_SYNC_VERSION_ANS,
    CLOCK_SYNC_APP_TIME_REQ,
    CLOCK_SYNC_PERIODICITY_ANS,
};

struct clock_sync_uplink {
    enum clock_sync_uplink_kind kind;
    union {
        struct package_version_ans version;
        struct app_time_req app_time;
        struct device_app_time_periodicity_ans periodicity;
    } u;
};

/*
 * Takes the next command off `r` (an uplink payload of FPort 202); on error `*ret` is untouched.
 *
 * ERR_MISSING  nothing is left
 * ERR_SHORT    the command is truncated
 * ERR_UNKNOWN  its CID is none of TS003's uplink commands
 */
MUST_CHECK enum err clock_sync_uplink_decode(struct reader *r, struct clock_sync_uplink *ret);

/* AppTimeAns: `correction_s` is added to the device's clock; `token` 0..15 is that of the request. 6 octets. */
MUST_CHECK enum err app_time_ans_encode(int32_t correction_s, uint8_t token, uint8_t *buf,
                                        size_t buf_size, size_t *ret_size);
/* DeviceAppTimePeriodicityReq: `period` 0..15, every 128 × 2^period seconds. 2 octets. */
MUST_CHECK enum err device_app_time_periodicity_req_encode(uint8_t period, uint8_t *buf,
                                                           size_t buf_size, size_t *ret_size);
/* ForceDeviceResyncReq: the device sends `transmission_count` (0..7) AppTimeReq. 2 octets. */
MUST_CHECK enum err force_device_resync_req_encode(uint8_t transmission_count, uint8_t *buf,
                                                   size_t buf_size, size_t *ret_size);

/*
 * The correction for a request received (start of the uplink) at the GPS time `rx_gps_s`, in version 1: the difference
 * modulo 2^32 as a signed number, right in one step for every device that keeps 32-bit modular time.
 */
int32_t app_time_correction_v1(uint64_t rx_gps_s, uint32_t device_time_s);

#endif
