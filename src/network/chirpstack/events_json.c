#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "events_impl.h"
#include "json_arena.h"

/* ChirpStack writes lowerCamelCase names, standard base64, RFC 3339 times with an offset, durations
 * as "12.345s". */

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static const char *text_of(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(member(object, name));
}

/* 0 where it is absent; clears `*is_good` where it is no such number. */
static uint32_t number_of(const cJSON *object, const char *name, bool *is_good)
{
    const cJSON *item = member(object, name);

    if (item == NULL) {
        return 0;
    }
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0.0) || item->valuedouble > UINT32_MAX) {
        *is_good = false;
        return 0;
    }
    return (uint32_t)item->valuedouble;
}

static double real_of(const cJSON *object, const char *name)
{
    const cJSON *item = member(object, name);

    return cJSON_IsNumber(item) && fabs(item->valuedouble) < 1e6 ? item->valuedouble : 0.0;
}

/* Days from the Unix epoch to a date of the Gregorian calendar. */
static int64_t days_from_date(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = year / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

/* Microseconds of a decimal fraction ".123456789"; moves on behind it. */
static int64_t fraction_us(const char **text)
{
    int64_t us = 0, unit = 100000;

    if (**text != '.') {
        return 0;
    }
    for ((*text)++; **text >= '0' && **text <= '9'; (*text)++) {
        us += (**text - '0') * unit;
        unit /= 10;
    }
    return us;
}

/* Whether `text` begins like `form`, where a 0 stands for any digit. */
static bool has_form(const char *text, const char *form)
{
    for (; *form != '\0'; text++, form++) {
        if (*form == '0' ? *text < '0' || *text > '9' : *text != *form) {
            return false;
        }
    }
    return true;
}

/* The number of `count` digits, which has_form() has seen. */
static int digits(const char *text, unsigned count)
{
    int number = 0;

    for (unsigned i = 0; i < count; i++) {
        number = 10 * number + (text[i] - '0');
    }
    return number;
}

/* Seconds of "Z" or "+hh:mm" at the end of a time. */
static bool parse_offset(const char *text, int64_t *ret_s)
{
    if (strcmp(text, "Z") == 0) {
        *ret_s = 0;
        return true;
    }
    if ((text[0] != '+' && text[0] != '-') || !has_form(text + 1, "00:00") || text[6] != '\0') {
        return false;
    }
    int hour = digits(text + 1, 2), minute = digits(text + 4, 2);
    *ret_s = (hour * 3600 + minute * 60) * (text[0] == '-' ? -1 : 1);
    return hour <= 23 && minute <= 59;
}

static bool parse_time(const char *text, int64_t *ret_us)
{
    int64_t offset_s;

    if (text == NULL || !has_form(text, "0000-00-00T00:00:00")) {
        return false;
    }
    int year = digits(text, 4), month = digits(text + 5, 2), day = digits(text + 8, 2);
    int hour = digits(text + 11, 2), minute = digits(text + 14, 2), second = digits(text + 17, 2);
    if (year < 1980 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 ||
        second > 60) {
        return false;
    }
    const char *rest = text + 19;
    int64_t us = fraction_us(&rest);
    if (!parse_offset(rest, &offset_s)) {
        return false;
    }
    int64_t seconds =
        days_from_date(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset_s;
    *ret_us = seconds * 1000000 + us;
    return true;
}

static bool parse_duration(const char *text, int64_t *ret_us)
{
    char *end;

    if (text == NULL || text[0] < '0' || text[0] > '9') {
        return false;
    }
    long long seconds = strtoll(text, &end, 10);
    const char *rest = end;
    int64_t us = fraction_us(&rest);
    if (strcmp(rest, "s") != 0 || seconds > INT64_C(1) << 40) {
        return false;
    }
    *ret_us = seconds * 1000000 + us;
    return true;
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

bool events_parse_base64(const char *text, uint8_t *out, size_t out_size, size_t *ret_size)
{
    uint32_t bits = 0;
    unsigned bit_count = 0;
    size_t size = 0;

    for (; *text != '\0' && *text != '='; text++) {
        int value = base64_value(*text);
        if (value < 0) {
            return false;
        }
        bits = bits << 6 | (uint32_t)value;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            if (size == out_size) {
                return false;
            }
            out[size++] = (uint8_t)(bits >> bit_count);
        }
    }
    for (; *text == '='; text++) {
    }
    *ret_size = size;
    return *text == '\0' && bit_count < 6;
}

static void take_rx(const cJSON *info, struct raw_event *raw)
{
    struct raw_rx *rx = &raw->rx[raw->rx_count++];

    rx->gateway_id = text_of(info, "gatewayId");
    rx->rssi = (int32_t)real_of(info, "rssi");
    rx->snr = real_of(info, "snr");
    rx->has_gps_time = parse_duration(text_of(info, "timeSinceGpsEpoch"), &rx->gps_time_us);
    rx->has_gw_time = parse_time(text_of(info, "gwTime"), &rx->gw_time_us);
}

static enum err take_up(const cJSON *event, uint8_t buffer[NETWORK_PAYLOAD_MAX],
                        struct raw_event *raw, const char **ret_field)
{
    const cJSON *data_item = member(event, "data");
    const char *data = cJSON_GetStringValue(data_item);
    bool is_f_cnt = true, is_f_port = true, is_modulation = true;
    const cJSON *modulation = member(member(event, "txInfo"), "modulation");
    const cJSON *info;

    if (data_item != NULL &&
        (data == NULL || !events_parse_base64(data, buffer, NETWORK_PAYLOAD_MAX, &raw->data_size))) {
        *ret_field = "data: no base64, or more than 242 octets";
        return ERR_FORMAT;
    }
    raw->f_cnt = number_of(event, "fCnt", &is_f_cnt);
    raw->f_port = number_of(event, "fPort", &is_f_port);
    if (!is_f_cnt || !is_f_port) {
        *ret_field = is_f_cnt ? "fPort" : "fCnt";
        return ERR_FORMAT;
    }
    raw->is_encrypted = cJSON_IsObject(member(event, "joinServerContext"));
    raw->is_relayed = cJSON_IsObject(member(event, "relayRxInfo"));
    raw->has_time = parse_time(text_of(event, "time"), &raw->time_us);
    raw->spreading_factor =
        number_of(member(modulation, "lora"), "spreadingFactor", &is_modulation);
    raw->bandwidth_hz = number_of(member(modulation, "lora"), "bandwidth", &is_modulation);
    raw->bit_rate = number_of(member(modulation, "fsk"), "datarate", &is_modulation);
    if (!is_modulation) {
        *ret_field = "txInfo.modulation";
        return ERR_FORMAT;
    }
    cJSON_ArrayForEach(info, member(event, "rxInfo"))
    {
        if (raw->rx_count < RX_INFO_MAX) {
            take_rx(info, raw);
        }
    }
    return ERR_OK;
}

/* Takes what `topic` has from `event` and gives it to `make`. */
static enum err decode(enum events_topic topic, const cJSON *event,
                       uint8_t buffer[NETWORK_PAYLOAD_MAX],
                       enum err (*make)(const struct raw_event *raw, void *arg), void *arg,
                       const char **ret_field)
{
    const cJSON *info = member(event, "deviceInfo");
    struct raw_event raw = {0};
    enum err err = ERR_OK;

    raw.application_id = text_of(info, "applicationId");
    raw.profile_id = text_of(info, "deviceProfileId");
    raw.dev_eui = text_of(info, "devEui");
    if (topic == EVENTS_UP) {
        err = take_up(event, buffer, &raw, ret_field);
    } else if (topic == EVENTS_TXACK) {
        raw.item_id = text_of(event, "queueItemId");
    } else if (topic == EVENTS_LOG) {
        raw.item_id = text_of(member(event, "context"), "queue_item_id");
    }
    return err == ERR_OK ? make(&raw, arg) : err;
}

enum err events_decode_json(enum events_topic topic, const uint8_t *payload, size_t size,
                            uint8_t buffer[NETWORK_PAYLOAD_MAX],
                            enum err (*make)(const struct raw_event *raw, void *arg), void *arg,
                            const char **ret_field)
{
    enum err err = ERR_FORMAT;

    json_arena_begin();
    cJSON *event = cJSON_ParseWithLength((const char *)payload, size);
    if (event == NULL) {
        *ret_field = "the JSON event";
    } else {
        err = decode(topic, event, buffer, make, arg, ret_field);
    }
    cJSON_Delete(event);
    json_arena_end();
    return err;
}
