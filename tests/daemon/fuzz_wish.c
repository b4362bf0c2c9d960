/*
 * fuzz_wish.c - whatever an operator asks of a deployment, and whatever the network server says of
 * its devices: problems are told, or parameters come out that a deployment can run with.
 *
 * The input: twelve octets of facts, then JSON.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "lib/fuzz_input.h"
#include "wish/wish.h"

#define IMAGE_SIZE_MAX (16u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

void *must(void *memory)
{
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static const struct config *defaults(void)
{
    static struct config config;
    static bool is_loaded;

    if (!is_loaded) {
        enum err err = config_load("/dev/null", stderr, &config);
        assert(err == ERR_OK);
        is_loaded = true;
    }
    return &config;
}

static void check_problems(const cJSON *problems)
{
    const cJSON *problem;

    cJSON_ArrayForEach(problem, problems)
    {
        const char *field = cJSON_GetStringValue(cJSON_GetObjectItem(problem, "field"));
        const char *detail = cJSON_GetStringValue(cJSON_GetObjectItem(problem, "detail"));
        assert(field != NULL && detail != NULL && detail[0] != '\0');
    }
}

static void check_params(const struct deployment_params *p, size_t image_size)
{
    const char *field = "";

    assert(deployment_params_check(p, &field) == ERR_OK);
    assert((size_t)p->fragment_count * p->fragment_size == image_size + p->padding_size);
    assert(deployment_gap_ms(p, 1) >= p->margin_ms);
}

static double number(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItem(object, name);

    assert(cJSON_IsNumber(item));
    return item->valuedouble;
}

/* Trying many devices takes too long here. */
static bool is_quick(const struct wish *wish, const struct deployment_params *p)
{
    return wish->loss_count == 0 && p->fragment_count > 600;
}

static void check_plan(const struct wish *wish, const struct deployment_params *p)
{
    if (!is_quick(wish, p)) {
        return;
    }
    struct plan_fleet fleet = wish_fleet(wish, p, &wish_defaults, 1, 3600);
    struct deployment_plan made;
    wish_plan(p, &fleet, &made);
    cJSON *plan = wish_plan_json(wish, p, &wish_defaults, &fleet, &made);
    double frames = number(plan, "frames");

    assert(frames > 0 && frames <= number(plan, "frames_p90"));
    assert(number(plan, "frames_p90") <= number(plan, "frames_p99"));
    assert(number(plan, "done") >= 0.0 && number(plan, "done") <= 1.0);
    assert(number(plan, "time_s") > number(plan, "setup_s"));
    check_problems(cJSON_GetObjectItem(plan, "warnings"));
    cJSON_Delete(plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    uint8_t head = fuzz_u8(&in), ports = fuzz_u8(&in);
    const struct network_profile profile = {
        .region = (enum region)(head % REGION_COUNT),
        .is_region_known = (head & 128) != 0,
        .clock_sync_port = 1u + ports % 223u,
        .fragmentation_port = 201,
        .multicast_setup_port = 200,
    };
    const struct wish_facts facts = {
        .profile = &profile,
        .image_size = 1u + fuzz_u32(&in) % IMAGE_SIZE_MAX,
        .device_count = 1u + (unsigned)fuzz_u16(&in) % DEPLOYMENT_DEVICES_MAX,
        .mc_addr = fuzz_u32(&in) | 1,
    };
    cJSON *json = cJSON_ParseWithLength((const char *)in.data, in.size);
    cJSON *problems = must(cJSON_CreateArray());
    struct wish wish;

    if (cJSON_IsObject(json)) {
        struct deployment_params params;
        wish_read(json, problems, &wish);
        assert(wish.gateway_count <= DEPLOYMENT_GATEWAYS_MAX);
        if (cJSON_GetArraySize(problems) == 0) {
            wish_params(&wish, &facts, &defaults()->wish, problems, &params);
        }
        if (cJSON_GetArraySize(problems) == 0) {
            check_params(&params, facts.image_size);
            check_plan(&wish, &params);
        }
        check_problems(problems);
    }
    cJSON_Delete(problems);
    cJSON_Delete(json);
    return 0;
}
