#include "lorawan/region.h"

#include <assert.h>

enum {
    REPEATER_PAYLOAD_SIZE_MAX = 222,
};

/*
 * A downlink data rate and its two payload limits, FRMPayload octets without FOpts:
 * device_size  RP002-1.0.4 without repeater, as the region files of LoRaMac-node have it
 * server_size  ChirpStack's table that decides at send time (newest MAC version, newest revision)
 * Rows that are not there, and those without any payload, are zero. The SF5 and SF6 rates of
 * RP002-1.0.5 (DR12 and DR13; DR0 and DR14 in US915 and AU915) are left out: the specification we
 * go by does not have them.
 */
struct downlink {
    struct data_rate rate;
    uint8_t device_size;
    uint8_t server_size;
};

#define DOWNLINK_COUNT (REGION_DATA_RATE_MAX + 1)
#define LORA(sf, khz, device, server)                                                              \
    {                                                                                              \
        {MODULATION_LORA, (sf), (khz)*1000u, 0}, (device), (server)                                \
    }
#define FSK(device, server)                                                                        \
    {                                                                                              \
        {MODULATION_FSK, 0, 0, 50000}, (device), (server)                                          \
    }

/* ChirpStack gives DR4 20 octets less here than anywhere else, device and specification 242. */
static const struct downlink eu868[DOWNLINK_COUNT] = {
    [0] = LORA(12, 125, 51, 51),  [1] = LORA(11, 125, 51, 51),  [2] = LORA(10, 125, 51, 51),
    [3] = LORA(9, 125, 115, 115), [4] = LORA(8, 125, 242, 222), [5] = LORA(7, 125, 242, 242),
    [6] = LORA(7, 250, 242, 242), [7] = FSK(242, 242),
};

static const struct downlink eu433_ru864[DOWNLINK_COUNT] = {
    [0] = LORA(12, 125, 51, 51),  [1] = LORA(11, 125, 51, 51),  [2] = LORA(10, 125, 51, 51),
    [3] = LORA(9, 125, 115, 115), [4] = LORA(8, 125, 242, 242), [5] = LORA(7, 125, 242, 242),
    [6] = LORA(7, 250, 242, 242), [7] = FSK(242, 242),
};

/* DR6 is reserved: both payload tables have it, no modulation does. */
static const struct downlink in865[DOWNLINK_COUNT] = {
    [0] = LORA(12, 125, 51, 51),  [1] = LORA(11, 125, 51, 51),  [2] = LORA(10, 125, 51, 51),
    [3] = LORA(9, 125, 115, 115), [4] = LORA(8, 125, 242, 242), [5] = LORA(7, 125, 242, 242),
    [7] = FSK(242, 242),
};

static const struct downlink kr920[DOWNLINK_COUNT] = {
    [0] = LORA(12, 125, 51, 51),  [1] = LORA(11, 125, 51, 51),  [2] = LORA(10, 125, 51, 51),
    [3] = LORA(9, 125, 115, 115), [4] = LORA(8, 125, 242, 242), [5] = LORA(7, 125, 242, 242),
};

static const struct downlink as923[DOWNLINK_COUNT] = {
    [0] = LORA(12, 125, 51, 51),  [1] = LORA(11, 125, 51, 51),  [2] = LORA(10, 125, 115, 115),
    [3] = LORA(9, 125, 115, 115), [4] = LORA(8, 125, 242, 242), [5] = LORA(7, 125, 242, 242),
    [6] = LORA(7, 250, 242, 242), [7] = FSK(242, 242),
};

static const struct downlink as923_dwell[DOWNLINK_COUNT] = {
    [0] = LORA(12, 125, 0, 0),    [1] = LORA(11, 125, 0, 0),    [2] = LORA(10, 125, 11, 11),
    [3] = LORA(9, 125, 53, 53),   [4] = LORA(8, 125, 125, 125), [5] = LORA(7, 125, 242, 242),
    [6] = LORA(7, 250, 242, 242), [7] = FSK(242, 242),
};

/* Downlinks have data rates of their own in these two. */
static const struct downlink us915_au915[DOWNLINK_COUNT] = {
    [8] = LORA(12, 500, 53, 53),   [9] = LORA(11, 500, 129, 129), [10] = LORA(10, 500, 242, 242),
    [11] = LORA(9, 500, 242, 242), [12] = LORA(8, 500, 242, 242), [13] = LORA(7, 500, 242, 242),
};

static const struct downlink cn470[DOWNLINK_COUNT] = {
    [0] = LORA(12, 125, 0, 0),    [1] = LORA(11, 125, 23, 23),  [2] = LORA(10, 125, 86, 86),
    [3] = LORA(9, 125, 184, 184), [4] = LORA(8, 125, 242, 242), [5] = LORA(7, 125, 242, 242),
    [6] = LORA(7, 500, 242, 242), [7] = FSK(242, 242),
};

struct region_row {
    const char *name;
    const struct downlink *downlinks;
    const struct downlink *downlinks_dwell; /* with the 400 ms limit on downlinks */
    uint32_t low_hz;                        /* the band, both ends included */
    uint32_t high_hz;
    uint32_t multicast_hz;
    unsigned multicast_data_rate;
};

/*
 * The multicast frequency is RX2's: a class C device that listens there anyway stays reachable by
 * unicast during the session, it is the one channel that all devices share, and in EU868 the one
 * with 10 % duty cycle and 500 mW. RX2's own default data rate carries 51 octets in 2.8 s (SF12),
 * or 53 (US915, AU915). So the rate is SF9, which large public networks set for RX2 in EU868, and
 * DR10 (SF10 at 500 kHz) in US915 and AU915, the slowest one for whole frames. With AS923's dwell
 * limit SF9 is left with 53 octets. AS923 means group 1; in CN470 RX2 depends on the channel plan,
 * and this is the one of ChirpStack.
 */
static const struct region_row regions[REGION_COUNT] = {
    [REGION_EU868] = {"EU868", eu868, eu868, 863000000, 870000000, 869525000, 3},
    [REGION_US915] = {"US915", us915_au915, us915_au915, 902000000, 928000000, 923300000, 10},
    [REGION_AU915] = {"AU915", us915_au915, us915_au915, 915000000, 928000000, 923300000, 10},
    [REGION_AS923] = {"AS923", as923, as923_dwell, 915000000, 928000000, 923200000, 3},
    [REGION_IN865] = {"IN865", in865, in865, 865000000, 867000000, 866550000, 3},
    [REGION_KR920] = {"KR920", kr920, kr920, 920900000, 923300000, 921900000, 3},
    [REGION_CN470] = {"CN470", cn470, cn470, 470000000, 510000000, 505300000, 3},
    [REGION_RU864] = {"RU864", eu433_ru864, eu433_ru864, 864000000, 870000000, 869100000, 3},
    [REGION_EU433] = {"EU433", eu433_ru864, eu433_ru864, 433050000, 434790000, 434665000, 3},
};

/* A sub-band with a duty cycle, both ends included. */
struct sub_band {
    enum region region;
    uint32_t low_hz;
    uint32_t high_hz;
    double share;
};

/*
 * EU868: EN 300 220-2 V3.2.1, bands K to Q. RU864: decision 07-20-03-001 of the Russian frequency
 * commission (GKRCh), annex 12. EU433: ERC 70-03, 10 mW. Where the regulation has an alternative
 * (listen before talk, 5 mW), it is not ours.
 */
static const struct sub_band sub_bands[] = {
    {REGION_EU868, 863000000, 865000000, 0.001}, {REGION_EU868, 865000000, 868000000, 0.01},
    {REGION_EU868, 868000000, 868600000, 0.01},  {REGION_EU868, 868700000, 869200000, 0.001},
    {REGION_EU868, 869400000, 869650000, 0.1},   {REGION_EU868, 869700000, 870000000, 0.01},
    {REGION_RU864, 864000000, 865000000, 0.001}, {REGION_RU864, 866000000, 868000000, 0.01},
    {REGION_RU864, 868700000, 869200000, 0.1},   {REGION_EU433, 433050000, 434790000, 0.1},
};

/* What is between the sub-bands is for alarms and the like: the smallest share, should anybody send
 * there. */
#define GAP_SHARE 0.001

static const struct region_row *row_of(enum region region)
{
    assert(region < REGION_COUNT);
    return &regions[region];
}

const char *region_name(enum region region)
{
    return row_of(region)->name;
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* What follows `prefix` in `text`, or NULL. */
static const char *after_prefix(const char *text, const char *prefix)
{
    assert(text != NULL);
    while (*prefix != '\0') {
        if (upper(*text++) != *prefix++) {
            return NULL;
        }
    }
    return text;
}

static bool is_group_suffix(const char *text)
{
    return (text[0] == '-' || text[0] == '_') && text[1] >= '1' && text[1] <= '4' &&
           text[2] == '\0';
}

enum err region_parse(const char *name, enum region *ret_region)
{
    for (unsigned i = 0; i < REGION_COUNT; i++) {
        const char *rest = after_prefix(name, regions[i].name);

        if (rest != NULL && (*rest == '\0' || (i == REGION_AS923 && is_group_suffix(rest)))) {
            *ret_region = (enum region)i;
            return ERR_OK;
        }
    }
    return ERR_UNKNOWN;
}

/* The row of `downlinks`, or NULL where there is none. */
static const struct downlink *find(const struct downlink *downlinks, unsigned index)
{
    if (index > REGION_DATA_RATE_MAX) {
        return NULL;
    }
    const struct data_rate *rate = &downlinks[index].rate;
    return rate->bandwidth_hz != 0 || rate->bit_rate != 0 ? &downlinks[index] : NULL;
}

enum err region_data_rate(enum region region, unsigned index, struct data_rate *ret)
{
    const struct downlink *downlink = find(row_of(region)->downlinks, index);

    if (downlink == NULL) {
        return ERR_UNKNOWN;
    }
    *ret = downlink->rate;
    return ERR_OK;
}

enum err region_payload_size_max(enum region region, unsigned index, bool repeater_compatible,
                                 bool dwell_time_400ms, size_t *ret_size)
{
    const struct region_row *row = row_of(region);
    const struct downlink *downlink =
        find(dwell_time_400ms ? row->downlinks_dwell : row->downlinks, index);

    if (downlink == NULL) {
        return ERR_UNKNOWN;
    }
    size_t size = downlink->device_size < downlink->server_size ? downlink->device_size
                                                                : downlink->server_size;
    if (size == 0) {
        return ERR_UNKNOWN;
    }
    if (repeater_compatible && size > REPEATER_PAYLOAD_SIZE_MAX) {
        size = REPEATER_PAYLOAD_SIZE_MAX;
    }
    *ret_size = size;
    return ERR_OK;
}

bool region_frequency_is_allowed(enum region region, uint32_t frequency_hz)
{
    const struct region_row *row = row_of(region);

    return frequency_hz % 100 == 0 && frequency_hz >= row->low_hz && frequency_hz <= row->high_hz;
}

void region_frequency_range(enum region region, uint32_t *ret_low_hz, uint32_t *ret_high_hz)
{
    const struct region_row *row = row_of(region);

    *ret_low_hz = row->low_hz;
    *ret_high_hz = row->high_hz;
}

void region_multicast_default(enum region region, uint32_t *ret_frequency_hz,
                              unsigned *ret_data_rate)
{
    const struct region_row *row = row_of(region);

    *ret_frequency_hz = row->multicast_hz;
    *ret_data_rate = row->multicast_data_rate;
}

/* NULL: in none. */
static const struct sub_band *band_of(enum region region, uint32_t frequency_hz)
{
    for (size_t i = 0; i < sizeof(sub_bands) / sizeof(sub_bands[0]); i++) {
        const struct sub_band *band = &sub_bands[i];

        if (band->region == region && frequency_hz >= band->low_hz &&
            frequency_hz <= band->high_hz) {
            return band;
        }
    }
    return NULL;
}

static bool has_sub_bands(enum region region)
{
    for (size_t i = 0; i < sizeof(sub_bands) / sizeof(sub_bands[0]); i++) {
        if (sub_bands[i].region == region) {
            return true;
        }
    }
    return false;
}

double region_duty_cycle(enum region region, uint32_t frequency_hz)
{
    const struct sub_band *band = band_of(region, frequency_hz);

    if (band != NULL) {
        return band->share;
    }
    return has_sub_bands(region) ? GAP_SHARE : 1.0;
}

static char *put_khz(char *text, uint32_t hz)
{
    char digits[10];
    unsigned count = 0;

    for (uint32_t khz = hz / 1000; khz > 0 || count == 0; khz /= 10) {
        digits[count++] = (char)('0' + khz % 10);
    }
    while (count > 0) {
        *text++ = digits[--count];
    }
    return text;
}

void region_band_name(enum region region, uint32_t frequency_hz, char text[REGION_BAND_SIZE])
{
    const struct sub_band *band = band_of(region, frequency_hz);
    const struct region_row *row = row_of(region);

    text = put_khz(text, band != NULL ? band->low_hz : row->low_hz);
    *text++ = '-';
    *put_khz(text, band != NULL ? band->high_hz : row->high_hz) = '\0';
}
