/* The scenario file: global keys, groups of devices, gateways that go away or refuse. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libconfig.h>

#include "base/random.h"
#include "sim/options.h"

#define SPAN_S_MAX 31536000.0 /* of times after the start */

static enum err fail(const struct options *options, const config_setting_t *at, const char *text,
                     char *error)
{
    snprintf(error, OPTIONS_ERROR_SIZE, "%s:%d: %.600s", options->scenario,
             at != NULL ? (int)config_setting_source_line(at) : 1, text);
    return ERR_FORMAT;
}

/* A scalar as the text the command line would have. */
static bool as_text(const config_setting_t *s, char *text, size_t size)
{
    switch (config_setting_type(s)) {
    case CONFIG_TYPE_INT:
        snprintf(text, size, "%d", config_setting_get_int(s));
        return true;
    case CONFIG_TYPE_INT64:
        snprintf(text, size, "%lld", config_setting_get_int64(s));
        return true;
    case CONFIG_TYPE_FLOAT:
        snprintf(text, size, "%.17g", config_setting_get_float(s));
        return true;
    case CONFIG_TYPE_BOOL:
        snprintf(text, size, "%s", config_setting_get_bool(s) ? "true" : "false");
        return true;
    case CONFIG_TYPE_STRING:
        snprintf(text, size, "%s", config_setting_get_string(s));
        return true;
    default:
        return false;
    }
}

static enum err set(struct options *options, struct device_options *device,
                    const config_setting_t *s, char *error)
{
    char text[OPTIONS_PATH_SIZE];
    char why[OPTIONS_ERROR_SIZE];

    if (!as_text(s, text, sizeof(text))) {
        return fail(options, s, "a single value is expected", error);
    }
    if (options_set(options, device, config_setting_name(s), text, why) != ERR_OK) {
        return fail(options, s, why, error);
    }
    return ERR_OK;
}

static enum err read_tags(struct options *options, struct device_options *device,
                          config_setting_t *tags, char *error)
{
    device->tag_count = 0;
    for (int i = 0; i < config_setting_length(tags); i++) {
        const config_setting_t *tag = config_setting_get_elem(tags, (unsigned)i);
        if (device->tag_count == OPTIONS_TAG_MAX || config_setting_name(tag) == NULL ||
            !as_text(tag, device->tags[device->tag_count][1], OPTIONS_TAG_SIZE)) {
            return fail(options, tags, "tags: up to 8 names with a text each are expected", error);
        }
        snprintf(device->tags[device->tag_count][0], OPTIONS_TAG_SIZE, "%s",
                 config_setting_name(tag));
        device->tag_count++;
    }
    return ERR_OK;
}

static enum err fail_member(const struct options *options, const config_setting_t *s,
                            const char *list, const char *allowed, char *error)
{
    char value[OPTIONS_PATH_SIZE] = "no single value";
    char text[OPTIONS_ERROR_SIZE];

    as_text(s, value, sizeof(value));
    snprintf(text, sizeof(text), "%s: %s: \"%.100s\" is not possible; allowed: %s", list,
             config_setting_name(s), value, allowed);
    return fail(options, s, text, error);
}

/* The gateways in reach, by number from 0. */
static enum err read_gateways(const struct options *options, struct device_options *device,
                              const config_setting_t *list, char *error)
{
    char allowed[100];
    uint32_t mask = 0;

    snprintf(allowed, sizeof(allowed), "whole numbers from 0 to %d, as [0, 2]",
             (int)options->gateways - 1);
    if (!config_setting_is_aggregate(list) || config_setting_length(list) == 0) {
        return fail_member(options, list, "groups", allowed, error);
    }
    for (int i = 0; i < config_setting_length(list); i++) {
        const config_setting_t *s = config_setting_get_elem(list, (unsigned)i);
        char value[OPTIONS_PATH_SIZE] = "no single value";
        char text[OPTIONS_ERROR_SIZE];
        bool is_number = config_setting_type(s) == CONFIG_TYPE_INT;
        if (!is_number || config_setting_get_int(s) < 0 ||
            config_setting_get_int(s) >= options->gateways) {
            as_text(s, value, sizeof(value));
            snprintf(text, sizeof(text),
                     "groups: gateways: \"%.100s\" is not possible; allowed: %s", value, allowed);
            return fail(options, s, text, error);
        }
        mask |= 1u << config_setting_get_int(s);
    }
    device->gateway_mask = mask;
    return ERR_OK;
}

static bool is_selector(const char *name)
{
    return strcmp(name, "first") == 0 || strcmp(name, "count") == 0 || strcmp(name, "share") == 0;
}

static bool number_of(config_setting_t *group, const char *name, double *ret_number)
{
    const config_setting_t *s = config_setting_get_member(group, name);

    if (s == NULL) {
        return false;
    }
    char text[64];
    if (!as_text(s, text, sizeof(text))) {
        return false;
    }
    *ret_number = strtod(text, NULL);
    return true;
}

/* What a group says about one of its devices. */
static enum err set_member(struct options *options, struct device_options *device,
                           config_setting_t *s, char *error)
{
    const char *name = config_setting_name(s);

    if (strcmp(name, "tags") == 0) {
        return read_tags(options, device, s, error);
    }
    if (strcmp(name, "gateways") == 0) {
        return read_gateways(options, device, s, error);
    }
    if (strcmp(name, "heard_by") == 0) {
        device->gateway_mask = 0; /* it wins over the names of an earlier group */
    }
    return set(options, device, s, error);
}

/* The devices of a group: a range by `first` and `count`, a share of them (or of all) drawn by the
 * seed, or all. */
static enum err read_group(struct options *options, config_setting_t *group, uint64_t group_index,
                           char *error)
{
    double first = 0;
    double count = (double)options->devices;
    double share = 1;

    number_of(group, "first", &first);
    number_of(group, "count", &count);
    number_of(group, "share", &share);
    if (!(first >= 0 && count >= 0 && share >= 0 && share <= 1)) { /* so that NaN is wrong, too */
        return fail(options, group, "first and count must not be negative, share is from 0 to 1",
                    error);
    }
    if (config_setting_get_member(group, "gateways") != NULL &&
        config_setting_get_member(group, "heard_by") != NULL) {
        return fail(options, group, "groups: gateways and heard_by exclude each other", error);
    }
    double begin = first < (double)options->devices ? first : (double)options->devices;
    for (int64_t i = (int64_t)begin; i < options->devices && (double)i < first + count; i++) {
        uint64_t draw =
            random_mix(random_mix((uint64_t)options->seed, 0x5CE0 + group_index), (uint64_t)i);
        if ((double)(draw >> 11) / 9007199254740992.0 >= share) {
            continue;
        }
        for (int k = 0; k < config_setting_length(group); k++) {
            config_setting_t *s = config_setting_get_elem(group, (unsigned)k);
            const char *name = config_setting_name(s);
            if (is_selector(name)) {
                continue;
            }
            enum err err = set_member(options, &options->each[i], s, error);
            if (err != ERR_OK) {
                return err;
            }
        }
    }
    return ERR_OK;
}

static enum err read_offline(struct options *options, config_setting_t *list, char *error)
{
    options->offline_count = 0;
    for (int i = 0; i < config_setting_length(list); i++) {
        config_setting_t *s = config_setting_get_elem(list, (unsigned)i);
        struct gateway_offline *o = &options->offline[options->offline_count];
        double gateway = 0;
        if (options->offline_count == OPTIONS_OFFLINE_MAX || !config_setting_is_group(s) ||
            !number_of(s, "from", &o->from_s) || !number_of(s, "to", &o->to_s)) {
            return fail(options, s,
                        "offline: up to 64 of { gateway = 0; from = SECONDS; to = SECONDS; }",
                        error);
        }
        number_of(s, "gateway", &gateway);
        if (!(gateway >= 0 && gateway < OPTIONS_GATEWAY_MAX)) {
            return fail(options, s, "offline: there is no such gateway", error);
        }
        o->gateway = (int64_t)gateway;
        options->offline_count++;
    }
    return ERR_OK;
}

/* A number of an entry of `list`. */
static enum err read_number(const struct options *options, const config_setting_t *s,
                            const char *list, bool is_whole, double max, double *ret_number,
                            char *error)
{
    char text[64];
    char allowed[100];
    char *end = NULL;

    snprintf(allowed, sizeof(allowed), "a %snumber from 0 to %.16g", is_whole ? "whole " : "", max);
    if (!as_text(s, text, sizeof(text))) {
        return fail_member(options, s, list, allowed, error);
    }
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || !(number >= 0 && number <= max) ||
        (is_whole && floor(number) != number)) {
        return fail_member(options, s, list, allowed, error);
    }
    *ret_number = number;
    return ERR_OK;
}

static enum err read_refusal_member(const struct options *options, const config_setting_t *s,
                                    struct gateway_refusal *refusal, char *error)
{
    const char *name = config_setting_name(s);
    double gateway = (double)refusal->gateway;
    enum err err = ERR_OK;

    if (strcmp(name, "gateway") == 0) {
        err =
            read_number(options, s, "refuse", true, (double)options->gateways - 1, &gateway, error);
        refusal->gateway = (int64_t)gateway;
    } else if (strcmp(name, "from") == 0) {
        err = read_number(options, s, "refuse", false, SPAN_S_MAX, &refusal->from_s, error);
    } else if (strcmp(name, "to") == 0) {
        err = read_number(options, s, "refuse", false, SPAN_S_MAX, &refusal->to_s, error);
    } else if (strcmp(name, "share") == 0) {
        err = read_number(options, s, "refuse", false, 1, &refusal->share, error);
    } else if (strcmp(name, "status") != 0) {
        err = fail(options, s, "refuse: members are gateway, from, to, share and status", error);
    } else if (config_setting_type(s) != CONFIG_TYPE_STRING ||
               tx_status_parse_refusal(config_setting_get_string(s), &refusal->status) != ERR_OK) {
        err = fail_member(options, s, "refuse", tx_status_refusals(), error);
    }
    return err;
}

static enum err read_refuse(struct options *options, config_setting_t *list, char *error)
{
    options->refusal_count = 0;
    for (int i = 0; i < config_setting_length(list); i++) {
        config_setting_t *s = config_setting_get_elem(list, (unsigned)i);
        struct gateway_refusal refusal = {.share = 1, .status = TX_COLLISION_PACKET};
        if (options->refusal_count == OPTIONS_REFUSAL_MAX || !config_setting_is_group(s)) {
            return fail(options, s,
                        "refuse: up to 64 of { gateway = 0; from = SECONDS; to = SECONDS; "
                        "share = 1.0; status = \"TOO_LATE\"; }",
                        error);
        }
        for (int k = 0; k < config_setting_length(s); k++) {
            enum err err = read_refusal_member(options, config_setting_get_elem(s, (unsigned)k),
                                               &refusal, error);
            if (err != ERR_OK) {
                return err;
            }
        }
        if (!(refusal.from_s < refusal.to_s)) {
            return fail(options, s, "refuse: from and to must be given, and to be after from",
                        error);
        }
        options->refusals[options->refusal_count++] = refusal;
    }
    return ERR_OK;
}

static enum err read_root(struct options *options, config_setting_t *root, bool wants_groups,
                          char *error)
{
    enum err err = ERR_OK;

    for (int i = 0; err == ERR_OK && i < config_setting_length(root); i++) {
        config_setting_t *s = config_setting_get_elem(root, (unsigned)i);
        const char *name = config_setting_name(s);
        if (strcmp(name, "groups") == 0) {
            for (int k = 0; wants_groups && err == ERR_OK && k < config_setting_length(s); k++) {
                config_setting_t *group = config_setting_get_elem(s, (unsigned)k);
                err = config_setting_is_group(group)
                          ? read_group(options, group, (uint64_t)k, error)
                          : fail(options, group, "groups: { ... } is expected", error);
            }
        } else if (strcmp(name, "refuse") == 0) { /* once the number of gateways is known */
            err = wants_groups ? read_refuse(options, s, error) : ERR_OK;
        } else if (wants_groups) {
            continue;
        } else if (strcmp(name, "offline") == 0) {
            err = read_offline(options, s, error);
        } else if (strcmp(name, "tags") == 0) {
            err = read_tags(options, &options->all, s, error);
        } else {
            err = set(options, NULL, s, error);
        }
    }
    return err;
}

enum err scenario_read(struct options *options, bool wants_groups, char error[OPTIONS_ERROR_SIZE])
{
    config_t config;
    enum err err;

    config_init(&config);
    if (config_read_file(&config, options->scenario) != CONFIG_TRUE) {
        snprintf(error, OPTIONS_ERROR_SIZE, "scenario: %s:%d: %s", options->scenario,
                 config_error_line(&config), config_error_text(&config));
        err = ERR_FORMAT;
    } else {
        err = read_root(options, config_root_setting(&config), wants_groups, error);
    }
    config_destroy(&config);
    return err;
}
