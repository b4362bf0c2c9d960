#include "sim/region.h"

#include <math.h>
#include <string.h>

#define LORA(sf, bw_khz, max)                                                                      \
    {                                                                                              \
        .spreading_factor = (sf), .bandwidth_hz = (bw_khz)*1000u, .payload_max = (max),            \
        .is_downlink = true                                                                        \
    }
#define LORA_UP(sf, bw_khz, max)                                                                   \
    {                                                                                              \
        .spreading_factor = (sf), .bandwidth_hz = (bw_khz)*1000u, .payload_max = (max)             \
    }
#define FSK(max)                                                                                   \
    {                                                                                              \
        .bitrate = 50000, .payload_max = (max), .is_downlink = true                                \
    }
#define SLOW_125 LORA(12, 125, 51), LORA(11, 125, 51), LORA(10, 125, 51), LORA(9, 125, 115)
#define DOWN_500                                                                                   \
    [8] = LORA(12, 500, 53), LORA(11, 500, 129), LORA(10, 500, 242), LORA(9, 500, 242),            \
    LORA(8, 500, 242), LORA(7, 500, 242)

/* RX2 of EU868 is DR3, as most networks have it; ChirpStack's own default is DR0 (--rx2-dr 0). */
static const struct region regions[] = {
    {"EU868",
     "eu868",
     0,
     863000000,
     870000000,
     868100000,
     5,
     5,
     868100000,
     869525000,
     3,
     {SLOW_125, LORA(8, 125, 222), LORA(7, 125, 242), LORA(7, 250, 242), FSK(242)}},
    {"US915",
     "us915_0",
     2,
     902000000,
     928000000,
     902300000,
     3,
     13,
     923300000,
     923300000,
     8,
     {LORA_UP(10, 125, 11), LORA_UP(9, 125, 53), LORA_UP(8, 125, 125), LORA_UP(7, 125, 242),
      LORA_UP(8, 500, 242), DOWN_500}},
    {"CN779",
     "cn779",
     3,
     779000000,
     787000000,
     779500000,
     5,
     5,
     779500000,
     786000000,
     0,
     {SLOW_125, LORA(8, 125, 242), LORA(7, 125, 242), LORA(7, 250, 242), FSK(242)}},
    {"EU433",
     "eu433",
     4,
     433050000,
     434790000,
     433175000,
     5,
     5,
     433175000,
     434665000,
     0,
     {SLOW_125, LORA(8, 125, 242), LORA(7, 125, 242), LORA(7, 250, 242), FSK(242)}},
    {"AU915",
     "au915_0",
     5,
     915000000,
     928000000,
     915200000,
     5,
     13,
     923300000,
     923300000,
     8,
     {LORA_UP(12, 125, 51), LORA_UP(11, 125, 51), LORA_UP(10, 125, 51), LORA_UP(9, 125, 115),
      LORA_UP(8, 125, 242), LORA_UP(7, 125, 242), LORA_UP(8, 500, 242), DOWN_500}},
    {"CN470",
     "cn470_10",
     6,
     470000000,
     510000000,
     470300000,
     5,
     5,
     500300000,
     505300000,
     1,
     {LORA(12, 125, 0), LORA(11, 125, 23), LORA(10, 125, 86), LORA(9, 125, 184), LORA(8, 125, 242),
      LORA(7, 125, 242), LORA(7, 500, 242), FSK(242)}},
    {"AS923",
     "as923",
     7,
     915000000,
     928000000,
     923200000,
     5,
     5,
     923200000,
     923200000,
     2,
     {LORA(12, 125, 51), LORA(11, 125, 51), LORA(10, 125, 115), LORA(9, 125, 115),
      LORA(8, 125, 242), LORA(7, 125, 242), LORA(7, 250, 242), FSK(242)}},
    {"KR920",
     "kr920",
     8,
     920900000,
     923300000,
     922100000,
     5,
     5,
     922100000,
     921900000,
     0,
     {SLOW_125, LORA(8, 125, 242), LORA(7, 125, 242)}},
    {"IN865",
     "in865",
     9,
     865000000,
     867000000,
     865062500,
     5,
     5,
     865062500,
     866550000,
     2,
     {SLOW_125, LORA(8, 125, 242), LORA(7, 125, 242), [7] = FSK(242)}},
    {"RU864",
     "ru864",
     10,
     864000000,
     870000000,
     868900000,
     5,
     5,
     868900000,
     869100000,
     0,
     {SLOW_125, LORA(8, 125, 242), LORA(7, 125, 242), LORA(7, 250, 242), FSK(242)}},
};

#define REGION_COUNT (sizeof(regions) / sizeof(regions[0]))

const struct region *region_find(const char *name)
{
    for (size_t i = 0; i < REGION_COUNT; i++) {
        if (strcmp(regions[i].name, name) == 0) {
            return &regions[i];
        }
    }
    return NULL;
}

const char *region_names(void)
{
    return "EU868 US915 CN779 EU433 AU915 CN470 AS923 KR920 IN865 RU864";
}

const struct region_dr *region_dr(const struct region *region, uint32_t dr)
{
    if (dr >= REGION_DR_COUNT ||
        (region->drs[dr].spreading_factor == 0 && region->drs[dr].bitrate == 0)) {
        return NULL;
    }
    return &region->drs[dr];
}

uint16_t region_dr_mask(const struct region *region)
{
    uint16_t mask = 0;

    for (uint32_t i = 0; i < REGION_DR_COUNT; i++) {
        if (region_dr(region, i) != NULL && region->drs[i].is_downlink) {
            mask = (uint16_t)(mask | 1u << i);
        }
    }
    return mask;
}

/* Of EN 300 220-2 and ERC/REC 70-03, as far as frames are sent there. */
static const struct {
    uint32_t from_hz;
    uint32_t to_hz;
} eu868_bands[] = {
    {863000000, 865000000}, {865000000, 868000000}, {868000000, 868600000},
    {868700000, 869200000}, {869400000, 869650000}, {869700000, 870000000},
};

uint32_t region_band(const struct region *region, uint32_t frequency_hz)
{
    for (uint32_t i = 0; i < REGION_BAND_COUNT - 1 && strcmp(region->name, "EU868") == 0; i++) {
        if (frequency_hz >= eu868_bands[i].from_hz && frequency_hz < eu868_bands[i].to_hz) {
            return i;
        }
    }
    return REGION_BAND_COUNT - 1;
}

uint32_t airtime_ms(const struct region_dr *dr, size_t payload_size, bool is_uplink)
{
    double size = (double)payload_size + 13; /* MHDR, FHDR, FPort, MIC */

    if (dr->spreading_factor == 0) {
        return (uint32_t)ceil((5 + 3 + 1 + size + 2) * 8000.0 / dr->bitrate);
    }
    double sf = dr->spreading_factor;
    double symbol_ms = exp2(sf) * 1000.0 / dr->bandwidth_hz;
    bool is_low_rate = symbol_ms > 16; /* low data rate optimisation */
    /* Explicit header, coding rate 4/5, 8 preamble symbols; a CRC in uplinks only. */
    double bits = 8 * size - 4 * sf + 28 + (is_uplink ? 16 : 0);
    double blocks = ceil(bits / (4 * (sf - (is_low_rate ? 2 : 0))));
    double symbols = 8 + (blocks > 0 ? blocks * 5 : 0);
    return (uint32_t)ceil((8 + 4.25 + symbols) * symbol_ms);
}
