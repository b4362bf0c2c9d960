/*
 * airtime_log.h - how long a gateway has been on the air within an hour, by sub-band.
 *
 * A zeroed struct is an empty log. It keeps the frames of an hour, which it owns.
 */
#ifndef SIM_AIRTIME_LOG_H
#define SIM_AIRTIME_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "sim/region.h"

#define AIRTIME_LOG_HOUR_MS   3600000
#define AIRTIME_LOG_ALL_BANDS REGION_BAND_COUNT

struct airtime_frame {
    int64_t from_ms;
    uint32_t airtime_ms;
    uint32_t band;
};

struct airtime_log {
    struct airtime_frame *frames; /* a ring */
    size_t capacity;
    size_t first; /* the oldest */
    size_t count;
    uint64_t kept_ms[REGION_BAND_COUNT + 1]; /* of `frames`, by band; the last is of all bands */
    uint64_t total_ms;
    uint64_t max_hour_ms; /* the most within any hour, all bands */
};

void airtime_log_release(struct airtime_log *log);

/* A frame that begins at `from_ms`, not before the end of the one before. Aborts when memory is
 * out. */
void airtime_log_add(struct airtime_log *log, uint32_t band, int64_t from_ms, uint32_t airtime);

/* Milliseconds on the air in the band, or in AIRTIME_LOG_ALL_BANDS, within the hour that ends at
 * `to_ms`, which is not before the end of the last frame. */
uint64_t airtime_log_hour(const struct airtime_log *log, uint32_t band, int64_t to_ms);

#endif
