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

/* What a deployment takes of a gateway, as shares of all time. */
struct need {
    double duty; /* on air, in the sub-band */
    double busy; /* the gateway is taken, for one frame after the other */
};

static double number_of(const cJSON *object, const char *name)
{
    const cJSON *number = cJSON_GetObjectItem(object, name);

    return cJSON_IsNumber(number) && number->valuedouble > 0 ? number->valuedouble : 0;
}

static double busy_of(double gateway_count, double margin_ms, double gap_ms)
{
    double busy = gap_ms > 0 ? gateway_count * margin_ms / gap_ms : 0;

    return busy < 1 ? busy : 1;
}

static struct need need_of(const cJSON *neighbour, const struct deployment_params *params)
{
    double frequency = number_of(neighbour, "frequency_hz");
    char own[REGION_BAND_SIZE], other[REGION_BAND_SIZE];

    region_band_name(params->region, params->frequency_hz, own);
    region_band_name(params->region, frequency <= UINT32_MAX ? (uint32_t)frequency : 0, other);
    return (struct need){
        .duty = strcmp(own, other) == 0 ? number_of(neighbour, "duty_used") : 0,
        .busy = busy_of(number_of(neighbour, "gateway_count"), number_of(neighbour, "margin_ms"),
                        number_of(neighbour, "gap_ms")),
    };
}

/* Those of the gateways that the neighbour sends through; adds its needs to theirs. */
static cJSON *share(const cJSON *neighbour, const struct deployment_params *params,
                    const uint64_t *gateways, size_t count, struct need *needs)
{
    const struct need need = need_of(neighbour, params);
    const cJSON *theirs = cJSON_GetObjectItem(neighbour, "gateways");
    cJSON *shared = must(cJSON_CreateArray());

    for (size_t i = 0; i < count; i++) {
        char id[EUI64_TEXT_SIZE];
        eui64_format(gateways[i], id);
        if (has_text(theirs, id)) {
            cJSON_AddItemToArray(shared, must(cJSON_CreateString(id)));
            needs[i].duty += need.duty;
            needs[i].busy += need.busy;
        }
    }
    return shared;
}

/* How many times as long it takes beside the neighbours, through the gateway that has most of them.
 */
static double slowdown(const cJSON *plan, const struct deployment_params *params,
                       const struct need *needs, size_t count)
{
    double duty = number_of(plan, "duty_used");
    double busy = busy_of(number_of(plan, "gateway_count"), (double)params->margin_ms,
                          number_of(plan, "gap_ms"));
    double most = 1;

    for (size_t i = 0; i < count; i++) {
        double by_duty = needs[i].duty > 0 ? (needs[i].duty + duty) / params->duty_cycle : 0;
        double by_turns = needs[i].busy > 0 ? needs[i].busy + busy : 0;
        most = by_duty > most ? by_duty : most;
        most = by_turns > most ? by_turns : most;
    }
    return most;
}

void wish_add_sharing(cJSON *plan, const cJSON *neighbours, const struct deployment_params *params,
                      const uint64_t *gateways, size_t count)
{
    cJSON *sharing = must(cJSON_AddArrayToObject(plan, "sharing"));
    struct need *needs = must(calloc(count + 1, sizeof(*needs)));
    const cJSON *neighbour;

    cJSON_ArrayForEach(neighbour, neighbours)
    {
        const cJSON *id = cJSON_GetObjectItem(neighbour, "deployment_id");
        const cJSON *name = cJSON_GetObjectItem(neighbour, "name");
        cJSON *shared = share(neighbour, params, gateways, count, needs);
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
    double times = slowdown(plan, params, needs, count);
    free(needs);
    if (times > 1.005) { /* two decimals of planned numbers */
        problem_add(cJSON_GetObjectItem(plan, "warnings"), "gateways", 0,
                    "deployments that run send through the same gateways: while they do, it takes "
                    "%.2f times as long as planned",
                    times);
    }
}
