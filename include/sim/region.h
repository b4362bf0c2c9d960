/*
 * region.h - what the simulator knows about the LoRaWAN regions, and the time a frame is on the
 * air.
 *
 * Pure tables. Payload limits are those the network server checks multicast against (newest
 * versions, no repeater).
 */
#ifndef SIM_REGION_H
#define SIM_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define REGION_DR_COUNT   16
#define REGION_BAND_COUNT 7 /* the sub-bands of EU868, and the rest: all of other regions */

struct region_dr {
    uint8_t spreading_factor; /* 0: the data rate does not exist, or is FSK where bitrate is set */
    uint32_t bandwidth_hz;
    uint32_t bitrate;     /* FSK */
    uint16_t payload_max; /* FRMPayload without FOpts */
    bool is_downlink;
};

struct region {
    const char *name;
    const char *config_id;
    int common_region; /* of ChirpStack's enum */
    uint32_t frequency_min_hz;
    uint32_t frequency_max_hz;
    uint32_t uplink_frequency_hz;
    uint8_t uplink_dr;
    uint8_t rx1_dr;            /* for uplink_dr */
    uint32_t rx1_frequency_hz; /* for uplink_frequency_hz */
    uint32_t rx2_frequency_hz;
    uint8_t rx2_dr;
    struct region_dr drs[REGION_DR_COUNT];
};

/* NULL when there is no such region. */
const struct region *region_find(const char *name);
/* Space separated. */
const char *region_names(void);

/* The data rate, NULL when the region has none of that index. */
const struct region_dr *region_dr(const struct region *region, uint32_t dr);
/* Bit n: downlink DRn exists. */
uint16_t region_dr_mask(const struct region *region);

/* The sub-band with a duty cycle of its own, below REGION_BAND_COUNT. */
uint32_t region_band(const struct region *region, uint32_t frequency_hz);

/* Milliseconds on the air of a data frame with `payload_size` octets of FRMPayload; rounded up. */
uint32_t airtime_ms(const struct region_dr *dr, size_t payload_size, bool is_uplink);

#endif
