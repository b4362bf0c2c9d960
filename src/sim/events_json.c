#include "sim/events_json.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

static cJSON *map_message(const ProtobufCMessage *message);

static char *base64(const uint8_t *octets, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = malloc((size + 2) / 3 * 4 + 1);
    char *out = text;

    if (text == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < size; i += 3) {
        uint32_t left = (uint32_t)(size - i);
        uint32_t word = (uint32_t)octets[i] << 16;
        word |= left > 1 ? (uint32_t)octets[i + 1] << 8 : 0;
        word |= left > 2 ? octets[i + 2] : 0;
        *out++ = digits[word >> 18];
        *out++ = digits[word >> 12 & 63];
        *out++ = left > 1 ? digits[word >> 6 & 63] : '=';
        *out++ = left > 2 ? digits[word & 63] : '=';
    }
    *out = '\0';
    return text;
}

/* As many fractional digits as needed: 0, 3, 6 or 9. */
static void print_fraction(char *text, size_t size, int32_t nanos)
{
    if (nanos == 0) {
        text[0] = '\0';
    } else if (nanos % 1000000 == 0) {
        snprintf(text, size, ".%03d", nanos / 1000000);
    } else if (nanos % 1000 == 0) {
        snprintf(text, size, ".%06d", nanos / 1000);
    } else {
        snprintf(text, size, ".%09d", nanos);
    }
}

/* Timestamp and Duration both are seconds and nanos; these find them without the generated types.
 */
static void time_parts(const ProtobufCMessage *message, int64_t *ret_seconds, int32_t *ret_nanos)
{
    const char *base = (const char *)message;

    memcpy(ret_seconds, base + message->descriptor->fields[0].offset, sizeof(*ret_seconds));
    memcpy(ret_nanos, base + message->descriptor->fields[1].offset, sizeof(*ret_nanos));
}

static cJSON *map_timestamp(const ProtobufCMessage *message)
{
    int64_t seconds;
    int32_t nanos;
    char day[32];
    char fraction[16];
    char text[64];
    struct tm tm;

    time_parts(message, &seconds, &nanos);
    time_t t = (time_t)seconds;
    gmtime_r(&t, &tm);
    strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
    print_fraction(fraction, sizeof(fraction), nanos);
    snprintf(text, sizeof(text), "%s%s+00:00", day, fraction);
    return cJSON_CreateString(text);
}

static cJSON *map_duration(const ProtobufCMessage *message)
{
    int64_t seconds;
    int32_t nanos;
    char fraction[16];
    char text[64];

    time_parts(message, &seconds, &nanos);
    print_fraction(fraction, sizeof(fraction), nanos);
    snprintf(text, sizeof(text), "%" PRId64 "%ss", seconds, fraction);
    return cJSON_CreateString(text);
}

static cJSON *map_bytes(const ProtobufCBinaryData *data)
{
    char *text = base64(data->data, data->len);
    cJSON *json = text != NULL ? cJSON_CreateString(text) : NULL;

    free(text);
    return json;
}

/* One value; `at` points to it. */
static cJSON *map_value(const ProtobufCFieldDescriptor *field, const void *at)
{
    char text[32];

    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        return cJSON_CreateBool(*(const protobuf_c_boolean *)at);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return cJSON_CreateNumber(*(const int32_t *)at);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return cJSON_CreateNumber(*(const uint32_t *)at);
    case PROTOBUF_C_TYPE_FLOAT:
        snprintf(text, sizeof(text), "%.7g", (double)*(const float *)at);
        return cJSON_CreateRaw(text);
    case PROTOBUF_C_TYPE_DOUBLE:
        return cJSON_CreateNumber(*(const double *)at);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        snprintf(text, sizeof(text), "%" PRId64, *(const int64_t *)at);
        return cJSON_CreateString(text);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        snprintf(text, sizeof(text), "%" PRIu64, *(const uint64_t *)at);
        return cJSON_CreateString(text);
    case PROTOBUF_C_TYPE_ENUM: {
        const ProtobufCEnumValue *value =
            protobuf_c_enum_descriptor_get_value(field->descriptor, *(const int *)at);
        return value != NULL ? cJSON_CreateString(value->name)
                             : cJSON_CreateNumber(*(const int *)at);
    }
    case PROTOBUF_C_TYPE_STRING:
        return cJSON_CreateString(*(char *const *)at);
    case PROTOBUF_C_TYPE_BYTES:
        return map_bytes(at);
    case PROTOBUF_C_TYPE_MESSAGE:
        return map_message(*(ProtobufCMessage *const *)at);
    }
    return NULL;
}

static bool is_zero(const ProtobufCFieldDescriptor *field, const void *at)
{
    static const uint8_t zeros[8];

    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        return (*(char *const *)at)[0] == '\0';
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)at)->len == 0;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return memcmp(at, zeros, 8) == 0;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_ENUM:
        return memcmp(at, zeros, 4) == 0;
    case PROTOBUF_C_TYPE_MESSAGE:
        break;
    }
    return false;
}

static bool is_map(const ProtobufCFieldDescriptor *field)
{
    const ProtobufCMessageDescriptor *entry = field->descriptor;

    if (field->label != PROTOBUF_C_LABEL_REPEATED || field->type != PROTOBUF_C_TYPE_MESSAGE) {
        return false;
    }
    return entry->n_fields == 2 && strcmp(entry->fields[0].name, "key") == 0 &&
           strcmp(entry->fields[1].name, "value") == 0;
}

static cJSON *map_repeated(const ProtobufCFieldDescriptor *field, const char *base)
{
    size_t count = *(const size_t *)(const void *)(base + field->quantifier_offset);
    ProtobufCMessage *const *items =
        *(ProtobufCMessage *const *const *)(const void *)(base + field->offset);
    bool is_object = is_map(field);
    cJSON *json = is_object ? cJSON_CreateObject() : cJSON_CreateArray();

    for (size_t i = 0; i < count && field->type == PROTOBUF_C_TYPE_MESSAGE; i++) {
        const char *item = (const char *)items[i];
        if (!is_object) {
            cJSON_AddItemToArray(json, map_message(items[i]));
            continue;
        }
        const ProtobufCFieldDescriptor *fields = items[i]->descriptor->fields;
        cJSON_AddItemToObject(json, *(char *const *)(const void *)(item + fields[0].offset),
                              map_value(&fields[1], item + fields[1].offset));
    }
    return json;
}

static void camel_case(const char *name, char *text, size_t size)
{
    size_t used = 0;

    for (; *name != '\0' && used + 1 < size; name++) {
        if (*name == '_' && name[1] != '\0') {
            name++;
            text[used++] = (char)(*name >= 'a' && *name <= 'z' ? *name - 'a' + 'A' : *name);
        } else {
            text[used++] = *name;
        }
    }
    text[used] = '\0';
}

static cJSON *map_message(const ProtobufCMessage *message)
{
    const char *base = (const char *)message;
    const ProtobufCMessageDescriptor *d = message->descriptor;
    bool emits_all = strcmp(d->package_name, "integration") == 0;
    char name[64];

    if (strcmp(d->name, "google.protobuf.Timestamp") == 0) {
        return map_timestamp(message);
    }
    if (strcmp(d->name, "google.protobuf.Duration") == 0) {
        return map_duration(message);
    }
    cJSON *json = cJSON_CreateObject();
    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &d->fields[i];
        const void *at = base + field->offset;
        cJSON *value = NULL;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t count = *(const size_t *)(const void *)(base + field->quantifier_offset);
            value = emits_all || count > 0 ? map_repeated(field, base) : NULL;
        } else if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
                   *(const uint32_t *)(const void *)(base + field->quantifier_offset) !=
                       field->id) {
            continue;
        } else if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
            value = *(ProtobufCMessage *const *)at != NULL ? map_value(field, at) : NULL;
        } else if (emits_all || !is_zero(field, at)) {
            value = map_value(field, at);
        }
        if (value != NULL) {
            camel_case(field->name, name, sizeof(name));
            cJSON_AddItemToObject(json, name, value);
        }
    }
    return json;
}

char *events_json(const ProtobufCMessage *message)
{
    cJSON *json = map_message(message);
    char *text = cJSON_PrintUnformatted(json);

    cJSON_Delete(json);
    return text;
}
