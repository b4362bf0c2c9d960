/* sharing.c - the deployments that run and send through the same gateways. */
#include <string.h>

#include "base/hex.h"
#include "must.h"
#include "wish/wish.h"

static bool has_text(const cJSON *array, const char *text)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, array)
    {
        if (cJSON_IsString(item) && strcmp(item->valuestring, text) == 0) {
            return true;
        }
    }
    return false;
}

/* What a deployment takes of the duty cycle of `params`, as a share of time. */
static double duty_of(const cJSON *neighbour, const struct deployment_params *params)
{
    const cJSON *frequency = cJSON_GetObjectItem(neighbour, "frequency_hz");
    const cJSON *duty = cJSON_GetObjectItem(neighbour, "duty_used");
    char own[REGION_BAND_SIZE], other[REGION_BAND_SIZE];

    if (!cJSON_IsNumber(frequency) || !cJSON_IsNumber(duty) || frequency->valuedouble < 0 ||
        frequency->valuedouble > UINT32_MAX) {
        return 0;
    }
    region_band_name(params->region, params->frequency_hz, own);
    region_band_name(params->region, (uint32_t)frequency->valuedouble, other);
    return strcmp(own, other) == 0 ? duty->valuedouble : 0;
}

/* Those of the gateways that the neighbour sends through; adds its share to theirs. */
static cJSON *share(const cJSON *neighbour, const struct deployment_params *params,
                    const uint64_t *gateways, size_t count, double *duties)
{
    const cJSON *theirs = cJSON_GetObjectItem(neighbour, "gateways");
    cJSON *shared = must(cJSON_CreateArray());

    for (size_t i = 0; i < count; i++) {
        char id[EUI64_TEXT_SIZE];
        eui64_format(gateways[i], id);
        if (has_text(theirs, id)) {
            cJSON_AddItemToArray(shared, must(cJSON_CreateString(id)));
            duties[i] += duty_of(neighbour, params);
        }
    }
    return shared;
}

void wish_add_sharing(cJSON *plan, const cJSON *neighbours, const struct deployment_params *params,
                      const uint64_t *gateways, size_t count)
{
    cJSON *sharing = must(cJSON_AddArrayToObject(plan, "sharing"));
    const cJSON *own = cJSON_GetObjectItem(plan, "duty_used");
    double *duties = must(calloc(count + 1, sizeof(*duties)));
    const cJSON *neighbour;
    double most = 0;

    cJSON_ArrayForEach(neighbour, neighbours)
    {
        const cJSON *id = cJSON_GetObjectItem(neighbour, "deployment_id");
        const cJSON *name = cJSON_GetObjectItem(neighbour, "name");
        cJSON *shared = share(neighbour, params, gateways, count, duties);
        if (!cJSON_IsString(id) || !cJSON_IsString(name) || cJSON_GetArraySize(shared) == 0) {
            cJSON_Delete(shared);
            continue;
        }
        cJSON *entry = must(cJSON_CreateObject());
        cJSON_AddItemToArray(sharing, entry);
        must(cJSON_AddStringToObject(entry, "deployment_id", id->valuestring));
        must(cJSON_AddStringToObject(entry, "name", name->valuestring));
        cJSON_AddItemToObject(entry, "gateways", shared);
    }
    for (size_t i = 0; i < count; i++) {
        most = duties[i] > most ? duties[i] : most;
    }
    free(duties);
    if (most > 0 && cJSON_IsNumber(own) && most + own->valuedouble > params->duty_cycle) {
        problem_add(cJSON_GetObjectItem(plan, "warnings"), "gateways", 0,
                    "with the deployments that run, one of the gateways would be on air for %.2f %% "
                    "of the time where %.2f %% is allowed: it takes longer than planned",
                    100.0 * (most + own->valuedouble), 100.0 * params->duty_cycle);
    }
}
