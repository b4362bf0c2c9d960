/* coverage.c - which gateways reach which devices, as far as it is known before the start. */
#include <stdio.h>
#include <stdlib.h>

#include "base/hex.h"
#include "must.h"
#include "wish/wish.h"

/* Devices that are heard by the same gateways. */
struct pattern {
    size_t first, count; /* their places in the list of all heard gateways */
    uint32_t device_count;
    const cJSON *devices;
    bool is_covered;
};

struct cover {
    struct pattern *patterns;
    size_t pattern_count;
    struct heard_gateway {
        uint64_t id;
        struct candidate *candidate; /* NULL: it may not be chosen */
    } * heard;                       /* of all patterns, one after the other */
    size_t heard_count;
    struct candidate {
        uint64_t id;
        uint32_t gain; /* devices that it adds */
    } * candidates;    /* by id */
    size_t candidate_count;
};

static int by_id(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

static void find_candidates(struct cover *c, const uint64_t *online, size_t online_count)
{
    c->candidates = must(calloc(online_count + 1, sizeof(*c->candidates)));
    for (size_t i = 0; i < online_count; i++) {
        c->candidates[i].id = online[i];
    }
    c->candidate_count = online_count;
    qsort(c->candidates, online_count, sizeof(*c->candidates), by_id);
}

static bool read_pattern(struct cover *c, const cJSON *item)
{
    struct pattern *p = &c->patterns[c->pattern_count];
    const cJSON *gateways = cJSON_GetObjectItem(item, "gateways");
    const cJSON *count = cJSON_GetObjectItem(item, "count");
    const cJSON *gateway;

    *p = (struct pattern){.first = c->heard_count, .devices = cJSON_GetObjectItem(item, "devices")};
    if (!cJSON_IsArray(gateways) || !cJSON_IsArray(p->devices) || !cJSON_IsNumber(count) ||
        count->valuedouble < 1 || count->valuedouble > DEPLOYMENT_DEVICES_MAX) {
        return false;
    }
    p->device_count = (uint32_t)count->valuedouble;
    c->heard = must(realloc(c->heard, (c->heard_count + (size_t)cJSON_GetArraySize(gateways) + 1) *
                                          sizeof(*c->heard)));
    cJSON_ArrayForEach(gateway, gateways)
    {
        const char *text = cJSON_GetStringValue(gateway);
        struct heard_gateway *heard = &c->heard[c->heard_count];
        if (text == NULL || eui64_parse(text, &heard->id) != ERR_OK) {
            return false;
        }
        heard->candidate =
            bsearch(&heard->id, c->candidates, c->candidate_count, sizeof(*c->candidates), by_id);
        c->heard_count++;
        p->count++;
    }
    c->pattern_count++;
    return true;
}

static bool read_patterns(struct cover *c, const cJSON *patterns)
{
    const cJSON *item;

    if (!cJSON_IsArray(patterns)) {
        return false;
    }
    c->patterns = must(calloc((size_t)cJSON_GetArraySize(patterns) + 1, sizeof(*c->patterns)));
    cJSON_ArrayForEach(item, patterns)
    {
        if (!read_pattern(c, item)) {
            return false;
        }
    }
    return true;
}

/* The candidate that adds most devices; NULL: none adds any. */
static const struct candidate *best_of(struct cover *c)
{
    const struct candidate *best = NULL;

    for (size_t i = 0; i < c->candidate_count; i++) {
        c->candidates[i].gain = 0;
    }
    for (size_t i = 0; i < c->pattern_count; i++) {
        const struct pattern *p = &c->patterns[i];
        for (size_t g = 0; g < p->count && !p->is_covered; g++) {
            struct candidate *candidate = c->heard[p->first + g].candidate;
            if (candidate != NULL) {
                candidate->gain += p->device_count;
            }
        }
    }
    for (size_t i = 0; i < c->candidate_count; i++) {
        if (c->candidates[i].gain > (best != NULL ? best->gain : 0)) {
            best = &c->candidates[i];
        }
    }
    return best;
}

static void take_gateway(struct cover *c, uint64_t id, struct coverage *coverage)
{
    coverage->gateways[coverage->gateway_count++] = id;
    for (size_t i = 0; i < c->pattern_count; i++) {
        struct pattern *p = &c->patterns[i];
        for (size_t g = 0; g < p->count && !p->is_covered; g++) {
            p->is_covered = c->heard[p->first + g].id == id;
        }
    }
}

static void name_devices(const struct pattern *p, uint64_t *names, size_t *count)
{
    const cJSON *device;

    cJSON_ArrayForEach(device, p->devices)
    {
        const char *eui = cJSON_GetStringValue(device);
        if (*count < COVERAGE_NAMED_MAX && eui != NULL &&
            eui64_parse(eui, &names[*count]) == ERR_OK) {
            ++*count;
        }
    }
}

static void sum_up(const struct cover *c, struct coverage *coverage)
{
    for (size_t i = 0; i < c->pattern_count; i++) {
        const struct pattern *p = &c->patterns[i];
        if (p->is_covered) {
            coverage->covered += p->device_count;
        } else if (p->count > 0) {
            coverage->not_covered += p->device_count;
            name_devices(p, coverage->not_covered_devices, &coverage->not_covered_named);
        } else {
            coverage->unknown += p->device_count;
            name_devices(p, coverage->unknown_devices, &coverage->unknown_named);
        }
    }
}

bool wish_coverage(const cJSON *patterns, const uint64_t *chosen, size_t chosen_count,
                   const uint64_t *online, size_t online_count, unsigned gateways_max,
                   struct coverage *ret_coverage)
{
    struct cover c = {.patterns = NULL};

    find_candidates(&c, online, online_count);
    bool is_read = read_patterns(&c, patterns);

    *ret_coverage = (struct coverage){.covered = 0};
    if (is_read) {
        for (size_t i = 0; i < chosen_count; i++) {
            take_gateway(&c, chosen[i], ret_coverage);
        }
        while (chosen_count == 0 && ret_coverage->gateway_count < gateways_max) {
            const struct candidate *best = best_of(&c);
            if (best == NULL) {
                break;
            }
            take_gateway(&c, best->id, ret_coverage);
        }
        sum_up(&c, ret_coverage);
    }
    free(c.patterns);
    free(c.heard);
    free(c.candidates);
    return is_read;
}

/* "a, b, c and 7 more" */
static void names_text(const uint64_t *names, size_t named, uint32_t count, char *text, size_t size)
{
    size_t used = 0;

    for (size_t i = 0; i < named; i++) {
        char eui[EUI64_TEXT_SIZE];
        eui64_format(names[i], eui);
        used += (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "", eui);
    }
    if (count > named) {
        snprintf(text + used, size - used, " and %u more", count - (uint32_t)named);
    }
}

void wish_add_coverage(cJSON *plan, const struct coverage *coverage, bool is_observed)
{
    cJSON *object = must(cJSON_AddObjectToObject(plan, "coverage"));
    cJSON *gateways = must(cJSON_AddArrayToObject(object, "gateways"));
    cJSON *warnings = cJSON_GetObjectItem(plan, "warnings");
    char text[COVERAGE_NAMED_MAX * (EUI64_TEXT_SIZE + 1) + 24];

    must(cJSON_AddNumberToObject(object, "covered", coverage->covered));
    must(cJSON_AddNumberToObject(object, "not_covered", coverage->not_covered));
    must(cJSON_AddNumberToObject(object, "unknown", coverage->unknown));
    for (size_t i = 0; i < coverage->gateway_count; i++) {
        char id[EUI64_TEXT_SIZE];
        eui64_format(coverage->gateways[i], id);
        cJSON_AddItemToArray(gateways, must(cJSON_CreateString(id)));
    }
    if (coverage->not_covered > 0) {
        names_text(coverage->not_covered_devices, coverage->not_covered_named,
                   coverage->not_covered, text, sizeof(text));
        problem_add(warnings, "gateways", 0,
                    "devices that none of the group's %zu gateways hears: %u (%s)",
                    coverage->gateway_count, coverage->not_covered, text);
    }
    if (is_observed && coverage->unknown > 0) {
        names_text(coverage->unknown_devices, coverage->unknown_named, coverage->unknown, text,
                   sizeof(text));
        problem_add(warnings, "devices", 0, "devices that were not heard lately: %u (%s)",
                    coverage->unknown, text);
    }
}
