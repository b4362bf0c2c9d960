/*
 * region.h - what fuotad needs of the regional parameters: data rates, payload sizes, frequencies.
 *
 * Pure. Spec: RP002-1.0.4, and ChirpStack's own tables, which decide what is really sent (it drops a larger multicast
 * payload silently).
 */
#ifndef LORAWAN_REGION_H
#define LORAWAN_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum region {
    REGION_EU868,
    REGION_US915,
    REGION_AU915,
    REGION_AS923, /* all four groups AS923-1 .. -4: same data rates */
    REGION_IN865,
    REGION_KR920,
    REGION_CN470,
    REGION_RU864,
    REGION_EU433,
    REGION_COUNT,
};

#define REGION_DATA_RATE_MAX 15

enum modulation {
    MODULATION_LORA,
    MODULATION_FSK,
};

/* A downlink data rate. */
struct data_rate {
    enum modulation modulation;
    uint8_t spreading_factor; /* 7..12; 0 for FSK */
    uint32_t bandwidth_hz;    /* LoRa */
    uint32_t bit_rate;        /* FSK, bit/s */
};

/* "EU868" ..., as ChirpStack and people write it. Never NULL for a region below REGION_COUNT. */
const char *region_name(enum region region);
/* Case does not matter; "AS923-1" .. "AS923-4", "AS923_2" .. are AS923. ERR_UNKNOWN: none of the names. */
MUST_CHECK enum err region_parse(const char *name, enum region *ret_region);

/* The downlink data rate with index `index`. ERR_UNKNOWN: the region has no such LoRa or FSK downlink data rate. */
MUST_CHECK enum err region_data_rate(enum region region, unsigned index, struct data_rate *ret);

/*
 * MaxAppPl: the largest FRMPayload of a downlink at data rate `index` without FOpts, in octets; the smaller one of the
 * device's table (RP002) and ChirpStack's send-time table, and of 222 when `repeater_compatible`.
 * `dwell_time_400ms` matters in AS923 (and AU915, where downlinks have no limit).
 *
 * ERR_UNKNOWN  the region has no such downlink data rate, or no payload is allowed at it
 */
MUST_CHECK enum err region_payload_size_max(enum region region, unsigned index,
                                            bool repeater_compatible, bool dwell_time_400ms,
                                            size_t *ret_size);

/* Whether `frequency_hz` is a multiple of 100 Hz inside the region's band. The band is [*ret_low, *ret_high]. */
bool region_frequency_is_allowed(enum region region, uint32_t frequency_hz);
void region_frequency_range(enum region region, uint32_t *ret_low_hz, uint32_t *ret_high_hz);

/* The usual frequency and data rate for a class C multicast session, where the operator names none (RX2-like). */
void region_multicast_default(enum region region, uint32_t *ret_frequency_hz, unsigned *ret_data_rate);

/* Share of time that one transmitter may be on air at `frequency_hz`: 0.1 for EU868 869.4-869.65 MHz, 1 where no duty
 * cycle applies. */
double region_duty_cycle(enum region region, uint32_t frequency_hz);

#define REGION_BAND_SIZE 24

/* The sub-band that `frequency_hz` shares its duty cycle with, as "869400-869650" (kHz); where none has one, and between
 * the sub-bands, the region's whole band. */
void region_band_name(enum region region, uint32_t frequency_hz, char text[REGION_BAND_SIZE]);

#endif
