#include "record.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "deployment/deployment.h"

#define DEVICE(member, kind)                                                                       \
    {                                                                                              \
#member, kind, offsetof(struct device, member)                                             \
    }
#define TRANSMISSION(member, kind)                                                                 \
    {                                                                                              \
#member, kind, offsetof(struct transmission, member)                                       \
    }
#define PARAMS(member, kind)                                                                       \
    {                                                                                              \
#member, kind, offsetof(struct deployment_params, member)                                  \
    }

/* All of struct device but heap_index; the key (device_index, dev_eui) stands apart. */
const struct field device_fields[] = {
    DEVICE(deadline_ms, FIELD_I64),
    DEVICE(last_uplink_ms, FIELD_I64),
    DEVICE(sent_ms, FIELD_I64),
    DEVICE(item_id, FIELD_UUID),
    DEVICE(uplink_interval_s, FIELD_U32),
    DEVICE(counted_at, FIELD_U16),
    DEVICE(same_since, FIELD_U16),
    DEVICE(there_since, FIELD_U16),
    DEVICE(owed_at, FIELD_U16),
    DEVICE(received_count, FIELD_U16),
    DEVICE(gateways, FIELD_U16),
    DEVICE(missing_count, FIELD_U8),
    DEVICE(stage, FIELD_STAGE),
    DEVICE(reason, FIELD_REASON),
    DEVICE(reason_bits, FIELD_U8),
    DEVICE(call, FIELD_U8),
    DEVICE(command, FIELD_U8),
    DEVICE(flags, FIELD_U16),
    DEVICE(sent_count, FIELD_U8),
    DEVICE(unsent_count, FIELD_U8),
    DEVICE(call_failures, FIELD_U8),
    DEVICE(loss, FIELD_U8),
    DEVICE(alone_count, FIELD_U8),
    DEVICE(resync_count, FIELD_U8),
};
const size_t device_field_count = sizeof(device_fields) / sizeof(device_fields[0]);

/* All but gateway_count, which follows from the list. */
const struct field transmission_fields[] = {
    TRANSMISSION(state, FIELD_STATE),
    TRANSMISSION(group_id, FIELD_UUID),
    TRANSMISSION(has_group, FIELD_BOOL),
    TRANSMISSION(has_gateways, FIELD_BOOL),
    TRANSMISSION(is_aborted, FIELD_BOOL),
    TRANSMISSION(has_status_request, FIELD_BOOL),
    TRANSMISSION(is_unicast_status, FIELD_BOOL),
    TRANSMISSION(started_ms, FIELD_I64),
    TRANSMISSION(setup_started_ms, FIELD_I64),
    TRANSMISSION(session_time_ms, FIELD_I64),
    TRANSMISSION(last_session_ms, FIELD_I64),
    TRANSMISSION(time_out, FIELD_U8),
    TRANSMISSION(deadline_ms, FIELD_I64),
    TRANSMISSION(next_emission_ms, FIELD_I64),
    TRANSMISSION(f_cnt, FIELD_U32),
    TRANSMISSION(frame_count, FIELD_U32),
    TRANSMISSION(next_number, FIELD_U16),
    TRANSMISSION(last_number, FIELD_U16),
    TRANSMISSION(asked_number, FIELD_U16),
    TRANSMISSION(status_until_ms, FIELD_I64),
    TRANSMISSION(round, FIELD_U8),
    TRANSMISSION(session_number, FIELD_U8),
    TRANSMISSION(repair_number, FIELD_U8),
    TRANSMISSION(repeat_count, FIELD_U8),
    TRANSMISSION(repeat_index, FIELD_U8),
    TRANSMISSION(is_paused, FIELD_BOOL),
    TRANSMISSION(paused_ms, FIELD_I64),
    TRANSMISSION(failure_count, FIELD_U8),
    TRANSMISSION(refused_count, FIELD_U32),
    TRANSMISSION(refused_f_cnt, FIELD_U32),
    TRANSMISSION(made_up_count, FIELD_U16),
    TRANSMISSION(refusal_score, FIELD_U8),
    TRANSMISSION(sent_in_row, FIELD_U8),
    TRANSMISSION(slowness, FIELD_U8),
    TRANSMISSION(frame_kind, FIELD_ENUM),
    TRANSMISSION(frame_call, FIELD_ENUM),
    TRANSMISSION(frame_emission_ms, FIELD_I64),
    TRANSMISSION(clean_index, FIELD_U32),
    TRANSMISSION(is_taken_over, FIELD_BOOL),
    TRANSMISSION(group_number, FIELD_U32),
    TRANSMISSION(old_group_id, FIELD_UUID),
    TRANSMISSION(resume_state, FIELD_STATE),
    TRANSMISSION(gateways, FIELD_GATEWAYS),
};
const size_t transmission_field_count =
    sizeof(transmission_fields) / sizeof(transmission_fields[0]);

const struct field params_fields[] = {
    PARAMS(device_count, FIELD_U32),        PARAMS(fragment_count, FIELD_U16),
    PARAMS(fragment_size, FIELD_U8),        PARAMS(padding_size, FIELD_U8),
    PARAMS(coded_count, FIELD_U16),         PARAMS(frag_index, FIELD_U8),
    PARAMS(block_ack_delay, FIELD_U8),      PARAMS(descriptor, FIELD_DESCRIPTOR),
    PARAMS(choose_rows, FIELD_BOOL),        PARAMS(own_evidence, FIELD_BOOL),
    PARAMS(mc_group_id, FIELD_U8),          PARAMS(mc_addr, FIELD_U32),
    PARAMS(region, FIELD_REGION),           PARAMS(data_rate, FIELD_U8),
    PARAMS(frequency_hz, FIELD_U32),        PARAMS(time_out, FIELD_U8),
    PARAMS(port_multicast_setup, FIELD_U8), PARAMS(port_fragmentation, FIELD_U8),
    PARAMS(port_clock_sync, FIELD_U8),      PARAMS(frame_airtime_ms, FIELD_U32),
    PARAMS(margin_ms, FIELD_U32),           PARAMS(scheduler_interval_ms, FIELD_U32),
    PARAMS(min_gap_ms, FIELD_U32),          PARAMS(duty_cycle, FIELD_DOUBLE),
    PARAMS(gateways_max, FIELD_U8),         PARAMS(gateway_count, FIELD_U8),
    PARAMS(gateways, FIELD_EUI_LIST),       PARAMS(attempts_max, FIELD_U8),
    PARAMS(quorum_percent, FIELD_U8),       PARAMS(setup_limit_ms, FIELD_I64),
    PARAMS(rounds_max, FIELD_U8),           PARAMS(sessions_max, FIELD_U8),
    PARAMS(repairs_max, FIELD_U8),          PARAMS(frames_max, FIELD_U32),
    PARAMS(time_limit_ms, FIELD_I64),       PARAMS(combine_setup, FIELD_BOOL),
    PARAMS(leap_s, FIELD_I8),
};
const size_t params_field_count = sizeof(params_fields) / sizeof(params_fields[0]);

#define AT(type) (*(const type *)(const void *)((const char *)record + field->offset))

static void format_gateways(const struct transmission *t, char *text)
{
    size_t size = 0;

    text[0] = '\0';
    for (unsigned g = 0; g < t->gateway_count; g++) {
        char eui[EUI64_TEXT_SIZE];
        eui64_format(t->gateways[g].id, eui);
        size += (size_t)snprintf(text + size, FIELD_TEXT_SIZE - size, "%s%s%s", g > 0 ? "," : "",
                                 eui, t->gateways[g].is_chosen ? "*" : "");
    }
}

static void format_eui_list(const uint64_t *euis, char *text)
{
    size_t size = 0;

    text[0] = '\0';
    for (unsigned g = 0; g < DEPLOYMENT_GATEWAYS_MAX && euis[g] != 0; g++) {
        char eui[EUI64_TEXT_SIZE];
        eui64_format(euis[g], eui);
        size +=
            (size_t)snprintf(text + size, FIELD_TEXT_SIZE - size, "%s%s", g > 0 ? "," : "", eui);
    }
}

void field_format(const struct field *field, const void *record, char text[FIELD_TEXT_SIZE])
{
    switch (field->kind) {
    case FIELD_BOOL:
        snprintf(text, FIELD_TEXT_SIZE, "%s", AT(bool) ? "true" : "false");
        break;
    case FIELD_U8:
        snprintf(text, FIELD_TEXT_SIZE, "%u", AT(uint8_t));
        break;
    case FIELD_I8:
        snprintf(text, FIELD_TEXT_SIZE, "%d", AT(int8_t));
        break;
    case FIELD_U16:
        snprintf(text, FIELD_TEXT_SIZE, "%u", AT(uint16_t));
        break;
    case FIELD_U32:
        snprintf(text, FIELD_TEXT_SIZE, "%" PRIu32, AT(uint32_t));
        break;
    case FIELD_ENUM:
        snprintf(text, FIELD_TEXT_SIZE, "%u", AT(unsigned));
        break;
    case FIELD_I64:
        snprintf(text, FIELD_TEXT_SIZE, "%" PRId64, AT(int64_t));
        break;
    case FIELD_DOUBLE:
        snprintf(text, FIELD_TEXT_SIZE, "%.17g", AT(double));
        break;
    case FIELD_UUID:
        uuid_format(&AT(struct uuid), text);
        break;
    case FIELD_EUI:
        eui64_format(AT(uint64_t), text);
        break;
    case FIELD_STATE:
        snprintf(text, FIELD_TEXT_SIZE, "%s", transmission_state_name(AT(enum transmission_state)));
        break;
    case FIELD_STAGE:
        snprintf(text, FIELD_TEXT_SIZE, "%s", device_stage_name((enum device_stage)AT(uint8_t)));
        break;
    case FIELD_REASON:
        snprintf(text, FIELD_TEXT_SIZE, "%s", reason_name((enum reason)AT(uint8_t)));
        break;
    case FIELD_REGION:
        snprintf(text, FIELD_TEXT_SIZE, "%s", region_name(AT(enum region)));
        break;
    case FIELD_DESCRIPTOR:
        hex_encode((const uint8_t *)record + field->offset, 4, text);
        break;
    case FIELD_GATEWAYS:
        format_gateways(record, text);
        break;
    case FIELD_EUI_LIST:
        format_eui_list(&AT(uint64_t), text);
        break;
    }
}

void field_put(const struct field *field, const void *record, struct pg_array *array)
{
    char text[FIELD_TEXT_SIZE];

    switch (field->kind) {
    case FIELD_BOOL:
        pg_array_put_number(array, AT(bool));
        break;
    case FIELD_U8:
        pg_array_put_number(array, AT(uint8_t));
        break;
    case FIELD_I8:
        pg_array_put_number(array, AT(int8_t));
        break;
    case FIELD_U16:
        pg_array_put_number(array, AT(uint16_t));
        break;
    case FIELD_U32:
        pg_array_put_number(array, AT(uint32_t));
        break;
    case FIELD_ENUM:
        pg_array_put_number(array, AT(unsigned));
        break;
    case FIELD_I64:
        pg_array_put_number(array, AT(int64_t));
        break;
    case FIELD_DOUBLE:
        pg_array_put_double(array, AT(double));
        break;
    case FIELD_UUID:
        pg_array_put_uuid(array, AT(struct uuid).octets);
        break;
    case FIELD_STAGE: /* of devices, of which there are many: not through `text` */
        pg_array_put_text(array, device_stage_name((enum device_stage)AT(uint8_t)));
        break;
    case FIELD_REASON:
        pg_array_put_text(array, reason_name((enum reason)AT(uint8_t)));
        break;
    case FIELD_EUI:
    case FIELD_STATE:
    case FIELD_REGION:
    case FIELD_DESCRIPTOR:
    case FIELD_GATEWAYS:
    case FIELD_EUI_LIST:
        field_format(field, record, text);
        pg_array_put_text(array, text);
        break;
    }
}

#undef AT
#define PUT(type, value) (*(type *)(void *)((char *)record + field->offset) = (type)(value))

static enum err parse_integer(const char *text, int64_t min, int64_t max, int64_t *ret)
{
    char *end;

    errno = 0;
    long long value = strtoll(text, &end, 10);
    bool is_integer = (*text == '-' || isdigit((unsigned char)*text)) && end > text && *end == '\0';
    if (!is_integer || errno != 0 || value < min || value > max) {
        return ERR_FORMAT;
    }
    *ret = value;
    return ERR_OK;
}

/* The index of the name in a list of `count` names, as the name functions give them. */
static enum err parse_name(const char *text, const char *(*name_of)(unsigned), unsigned count,
                           unsigned *ret)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(text, name_of(i)) == 0) {
            *ret = i;
            return ERR_OK;
        }
    }
    return ERR_FORMAT;
}

static const char *state_name_of(unsigned i)
{
    return transmission_state_name((enum transmission_state)i);
}

static const char *stage_name_of(unsigned i)
{
    return device_stage_name((enum device_stage)i);
}

static const char *reason_name_of(unsigned i)
{
    return reason_name((enum reason)i);
}

/* Takes "eui[*]" and what separates it from the next off `*text`. */
static enum err parse_listed_eui(const char **text, uint64_t *ret_eui, bool *ret_is_starred)
{
    char eui[EUI64_TEXT_SIZE] = "";

    snprintf(eui, sizeof(eui), "%.16s", *text);
    enum err err = eui64_parse(eui, ret_eui);
    if (err != ERR_OK) {
        return err;
    }
    *text += 16;
    *ret_is_starred = **text == '*';
    *text += *ret_is_starred;
    if (**text == ',') {
        (*text)++;
    } else if (**text != '\0') {
        return ERR_FORMAT;
    }
    return ERR_OK;
}

static enum err parse_gateways(const char *text, struct transmission *t)
{
    uint8_t count = 0;

    while (*text != '\0') {
        if (count == DEPLOYMENT_GATEWAYS_MAX) {
            return ERR_FORMAT;
        }
        enum err err =
            parse_listed_eui(&text, &t->gateways[count].id, &t->gateways[count].is_chosen);
        if (err != ERR_OK) {
            return err;
        }
        count++;
    }
    t->gateway_count = count;
    return ERR_OK;
}

static enum err parse_eui_list(const char *text, uint64_t *euis)
{
    for (unsigned count = 0; *text != '\0'; count++) {
        bool is_starred;
        if (count == DEPLOYMENT_GATEWAYS_MAX ||
            parse_listed_eui(&text, &euis[count], &is_starred) != ERR_OK || is_starred) {
            return ERR_FORMAT;
        }
    }
    return ERR_OK;
}

enum err field_parse(const struct field *field, const char *text, void *record)
{
    int64_t number = 0;
    unsigned index = 0;
    enum err err = ERR_OK;

    switch (field->kind) {
    case FIELD_BOOL:
        if (strcmp(text, "t") != 0 && strcmp(text, "true") != 0 && strcmp(text, "f") != 0 &&
            strcmp(text, "false") != 0) {
            return ERR_FORMAT;
        }
        PUT(bool, text[0] == 't');
        return ERR_OK;
    case FIELD_U8:
        if ((err = parse_integer(text, 0, UINT8_MAX, &number)) == ERR_OK) {
            PUT(uint8_t, number);
        }
        return err;
    case FIELD_I8:
        if ((err = parse_integer(text, INT8_MIN, INT8_MAX, &number)) == ERR_OK) {
            PUT(int8_t, number);
        }
        return err;
    case FIELD_U16:
        if ((err = parse_integer(text, 0, UINT16_MAX, &number)) == ERR_OK) {
            PUT(uint16_t, number);
        }
        return err;
    case FIELD_U32:
        if ((err = parse_integer(text, 0, UINT32_MAX, &number)) == ERR_OK) {
            PUT(uint32_t, number);
        }
        return err;
    case FIELD_ENUM:
        if ((err = parse_integer(text, 0, INT32_MAX, &number)) == ERR_OK) {
            PUT(unsigned, number);
        }
        return err;
    case FIELD_I64:
        if ((err = parse_integer(text, INT64_MIN, INT64_MAX, &number)) == ERR_OK) {
            PUT(int64_t, number);
        }
        return err;
    case FIELD_DOUBLE: {
        char *end;
        double value = strtod(text, &end);
        if (*text == '\0' || *end != '\0' || !isfinite(value)) {
            return ERR_FORMAT;
        }
        PUT(double, value);
        return ERR_OK;
    }
    case FIELD_UUID:
        return uuid_parse(text, (struct uuid *)(void *)((char *)record + field->offset));
    case FIELD_EUI:
        return eui64_parse(text, (uint64_t *)(void *)((char *)record + field->offset));
    case FIELD_STATE:
        if ((err = parse_name(text, state_name_of, TRANSMISSION_STATE_COUNT, &index)) == ERR_OK) {
            PUT(enum transmission_state, index);
        }
        return err;
    case FIELD_STAGE:
        if ((err = parse_name(text, stage_name_of, DEVICE_STAGE_COUNT, &index)) == ERR_OK) {
            PUT(uint8_t, index);
        }
        return err;
    case FIELD_REASON:
        if ((err = parse_name(text, reason_name_of, REASON_COUNT, &index)) == ERR_OK) {
            PUT(uint8_t, index);
        }
        return err;
    case FIELD_REGION: {
        enum region region;
        if (region_parse(text, &region) != ERR_OK) {
            return ERR_FORMAT;
        }
        PUT(enum region, region);
        return ERR_OK;
    }
    case FIELD_DESCRIPTOR:
        return hex_decode(text, strlen(text), (char *)record + field->offset, 4);
    case FIELD_GATEWAYS:
        return parse_gateways(text, record);
    case FIELD_EUI_LIST:
        return parse_eui_list(text, (uint64_t *)(void *)((char *)record + field->offset));
    }
    return ERR_FORMAT;
}

enum pg_type field_pg_type(const struct field *field)
{
    switch (field->kind) {
    case FIELD_BOOL:
        return PG_TYPE_BOOLEAN;
    case FIELD_UUID:
        return PG_TYPE_UUID;
    case FIELD_U8:
    case FIELD_I8:
    case FIELD_U16:
    case FIELD_ENUM:
        return PG_TYPE_INTEGER;
    case FIELD_U32:
    case FIELD_I64:
        return PG_TYPE_BIGINT;
    case FIELD_DOUBLE:
        return PG_TYPE_DOUBLE;
    case FIELD_EUI:
    case FIELD_STATE:
    case FIELD_STAGE:
    case FIELD_REASON:
    case FIELD_REGION:
    case FIELD_DESCRIPTOR:
    case FIELD_GATEWAYS:
    case FIELD_EUI_LIST:
        return PG_TYPE_TEXT;
    }
    return PG_TYPE_TEXT;
}

const char *field_sql_type(const struct field *field)
{
    switch (field_pg_type(field)) {
    case PG_TYPE_BOOLEAN:
        return "boolean";
    case PG_TYPE_BIGINT:
        return "bigint";
    case PG_TYPE_INTEGER:
        return "integer";
    case PG_TYPE_TEXT:
        return "text";
    case PG_TYPE_DOUBLE:
        return "double precision";
    case PG_TYPE_UUID:
        return "uuid";
    }
    return "text";
}
