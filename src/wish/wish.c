#include "wish/wish.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fec/odds.h"
#include "fec/plan.h"
#include "fec/rows.h"
#include "lorawan/airtime.h"
#include "lorawan/fragmentation.h"
#include "lorawan/multicast_setup.h"
#include "must.h"

const struct wish_defaults wish_defaults = {
    .margin_ms = 5000,
    .scheduler_interval_ms = 1000,
    .unicast_attempts = 10,
    .quorum_percent = 90,
    .setup_deadline_s = 259200,
    .expected_loss = 0.05,
    .rounds = 60,
    .sessions = 10,
    .repair_passes = 1,
    .gateways_max = 3,
    .uplink_interval_s = 3600,
    .receive_ma = 11.0,
    .network_share = 0.2,
    .leap_s = 18,
};

#define ANSWER_AIRTIME_MS 400 /* of a status answer, at a middling data rate */

void text_mend(char *text)
{
    while (*text != '\0') {
        unsigned char c = (unsigned char)*text;
        size_t size = c < 0x80 ? 1 : c < 0xC2 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF5 ? 4 : 0;
        size_t found = size > 0 ? 1 : 0;

        while (found < size && ((unsigned char)text[found] & 0xC0) == 0x80) {
            found++;
        }
        if (size == 0 || found < size) {
            *text++ = '?';
        } else {
            text += size;
        }
    }
}

void problem_add(cJSON *problems, const char *field, uint64_t dev_eui, const char *format, ...)
{
    cJSON *problem = must(cJSON_CreateObject());
    char detail[300], eui[EUI64_TEXT_SIZE];
    va_list args;

    va_start(args, format);
    vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    text_mend(detail);
    must(cJSON_AddStringToObject(problem, "field", field));
    must(cJSON_AddStringToObject(problem, "detail", detail));
    if (dev_eui != 0) {
        eui64_format(dev_eui, eui);
        must(cJSON_AddStringToObject(problem, "dev_eui", eui));
    }
    cJSON_AddItemToArray(problems, problem);
}

/* A member that is given and not null. */
static const cJSON *given(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    return item == NULL || cJSON_IsNull(item) ? NULL : item;
}

/* An integer member within its bounds; false where it is not given or wrong. */
static bool read_integer(const cJSON *object, const char *name, double min, double max,
                         cJSON *problems, double *ret)
{
    const cJSON *item = given(object, name);

    if (item == NULL) {
        return false;
    }
    if (!cJSON_IsNumber(item) || item->valuedouble < min || item->valuedouble > max ||
        item->valuedouble != floor(item->valuedouble)) {
        problem_add(problems, name, 0, "%s must be an integer from %.0f to %.0f", name, min, max);
        return false;
    }
    *ret = item->valuedouble;
    return true;
}

static bool read_bool(const cJSON *object, const char *name, cJSON *problems)
{
    const cJSON *item = given(object, name);

    if (item != NULL && !cJSON_IsBool(item)) {
        problem_add(problems, name, 0, "%s must be true or false", name);
    }
    return cJSON_IsTrue(item);
}

static bool is_auto(const cJSON *item)
{
    const char *text = cJSON_GetStringValue(item);

    return item == NULL || (text != NULL && strcmp(text, "auto") == 0);
}

/* One element of "loss". */
static bool read_loss(const cJSON *item, struct plan_loss *ret)
{
    const cJSON *share = given(item, "share"), *loss = given(item, "loss");

    if (!cJSON_IsNumber(share) || !cJSON_IsNumber(loss)) {
        return false;
    }
    *ret = (struct plan_loss){.share = share->valuedouble, .loss = loss->valuedouble};
    return ret->share > 0.0 && ret->share <= 1.0 && ret->loss >= 0.0 &&
           ret->loss <= FEC_ODDS_LOSS_MAX;
}

static void read_losses(const cJSON *object, cJSON *problems, struct wish *wish)
{
    const cJSON *loss = given(object, "loss");
    const cJSON *item;
    double sum = 0.0;

    if (loss == NULL) {
        return;
    }
    if (cJSON_IsNumber(loss) && loss->valuedouble >= 0.0 &&
        loss->valuedouble <= FEC_ODDS_LOSS_MAX) {
        wish->losses[wish->loss_count++] =
            (struct plan_loss){.share = 1.0, .loss = loss->valuedouble};
        return;
    }
    bool is_right = cJSON_IsArray(loss) && cJSON_GetArraySize(loss) >= 1 &&
                    cJSON_GetArraySize(loss) <= PLAN_LOSSES_MAX;
    cJSON_ArrayForEach(item, loss)
    {
        is_right = is_right && read_loss(item, &wish->losses[wish->loss_count]);
        sum += is_right ? wish->losses[wish->loss_count++].share : 0.0;
    }
    if (!is_right || sum < 0.999 || sum > 1.001) {
        wish->loss_count = 0;
        problem_add(problems, "loss", 0,
                    "loss must be a share from 0 to %.1f, or a list of at most %d "
                    "{\"share\", \"loss\"} whose shares add up to 1",
                    FEC_ODDS_LOSS_MAX, PLAN_LOSSES_MAX);
    }
}

static void read_gateways(const cJSON *object, cJSON *problems, struct wish *wish)
{
    const cJSON *list = given(object, "gateways");
    const cJSON *item;

    if (list == NULL) {
        return;
    }
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > DEPLOYMENT_GATEWAYS_MAX) {
        problem_add(problems, "gateways", 0, "gateways must be a list of at most %d gateway ids",
                    DEPLOYMENT_GATEWAYS_MAX);
        return;
    }
    cJSON_ArrayForEach(item, list)
    {
        const char *text = cJSON_GetStringValue(item);
        uint64_t id;
        if (text == NULL || eui64_parse(text, &id) != ERR_OK || id == 0) {
            problem_add(problems, "gateways", 0, "a gateway id is 16 hexadecimal digits");
            return;
        }
        for (size_t i = 0; i < wish->gateway_count; i++) {
            if (wish->gateways[i] == id) {
                problem_add(problems, "gateways", 0, "gateway %s is named twice", text);
                return;
            }
        }
        wish->gateways[wish->gateway_count++] = id;
    }
}

static void read_duty_cycle(const cJSON *object, cJSON *problems, struct wish *wish)
{
    const cJSON *item = given(object, "duty_cycle");

    if (item != NULL && cJSON_IsNumber(item) && item->valuedouble >= DEPLOYMENT_DUTY_CYCLE_MIN &&
        item->valuedouble <= 1.0) {
        wish->duty_cycle = item->valuedouble;
    } else if (item != NULL) {
        problem_add(problems, "duty_cycle", 0, "duty_cycle must be a share from %g to 1",
                    DEPLOYMENT_DUTY_CYCLE_MIN);
    }
    wish->override_duty_cycle = read_bool(object, "override_duty_cycle", problems);
}

void wish_read(const cJSON *object, cJSON *problems, struct wish *ret_wish)
{
    struct wish w = {.redundancy_percent = -1.0};
    const cJSON *item;
    const char *text;
    double number;

    item = given(object, "region");
    if (item != NULL) {
        text = cJSON_GetStringValue(item);
        w.has_region = text != NULL && region_parse(text, &w.region) == ERR_OK;
        if (!w.has_region) {
            problem_add(problems, "region", 0,
                        "region must be one of EU868, US915, AU915, AS923, IN865, KR920, CN470, "
                        "RU864, EU433");
        }
    }
    if (read_integer(object, "data_rate", 0, REGION_DATA_RATE_MAX, problems, &number)) {
        w.has_data_rate = true;
        w.data_rate = (unsigned)number;
    }
    if (read_integer(object, "frequency_hz", 100e6, 1.67e9, problems, &number)) {
        w.has_frequency = true;
        w.frequency_hz = (uint32_t)number;
    }
    item = given(object, "fragment_size");
    if (!is_auto(item) &&
        read_integer(object, "fragment_size", 1, FRAG_SIZE_MAX, problems, &number)) {
        w.fragment_size = (unsigned)number;
    }
    item = given(object, "redundancy");
    if (!is_auto(item)) {
        if (cJSON_IsNumber(item) && item->valuedouble >= 0.0 && item->valuedouble <= 10000.0) {
            w.redundancy_percent = item->valuedouble;
        } else {
            problem_add(problems, "redundancy", 0,
                        "redundancy must be \"auto\" or a percentage from 0 to 10000");
        }
    }
    if (read_integer(object, "rounds", 1, DEPLOYMENT_ROUNDS_MAX, problems, &number)) {
        w.rounds = (unsigned)number;
    }
    if (read_integer(object, "sessions", 1, DEPLOYMENT_SESSIONS_MAX, problems, &number)) {
        w.sessions = (unsigned)number;
    }
    if (read_integer(object, "repair_passes", 0, DEPLOYMENT_REPAIRS_MAX, problems, &number)) {
        w.has_repair_passes = true;
        w.repair_passes = (unsigned)number;
    }
    if (read_integer(object, "airtime_budget_s", 1, 10000000, problems, &number)) {
        w.airtime_budget_s = number;
    }
    if (read_integer(object, "time_limit_s", 1, 31536000, problems, &number)) {
        w.time_limit_s = number;
    }
    if (read_integer(object, "unicast_attempts", 1, DEPLOYMENT_ATTEMPTS_MAX, problems, &number)) {
        w.unicast_attempts = (unsigned)number;
    }
    if (read_integer(object, "setup_deadline_s", 300, 2592000, problems, &number)) {
        w.setup_deadline_s = (int64_t)number;
    }
    if (read_integer(object, "quorum_percent", 1, 100, problems, &number)) {
        w.quorum_percent = (unsigned)number;
    }
    if (read_integer(object, "min_gap_ms", 0, 3600000, problems, &number)) {
        w.has_min_gap = true;
        w.min_gap_ms = (uint32_t)number;
    }
    item = given(object, "descriptor");
    if (item != NULL) {
        text = cJSON_GetStringValue(item);
        w.has_descriptor =
            text != NULL && hex_decode(text, strlen(text), w.descriptor, 4) == ERR_OK;
        if (!w.has_descriptor) {
            problem_add(problems, "descriptor", 0, "descriptor must be 8 hexadecimal digits");
        }
    }
    item = given(object, "class");
    if (item != NULL) {
        text = cJSON_GetStringValue(item);
        if (text == NULL || strcmp(text, "C") != 0) {
            problem_add(problems, "class", 0,
                        "only class C sessions are supported; class B is not, yet");
        }
    }
    read_gateways(object, problems, &w);
    read_losses(object, problems, &w);
    read_duty_cycle(object, problems, &w);
    w.allow_bad_block_count = read_bool(object, "allow_bad_block_count", problems);
    w.allow_any_class = read_bool(object, "allow_any_class", problems);
    w.consecutive_rows = read_bool(object, "consecutive_rows", problems);
    w.own_evidence_only = read_bool(object, "own_evidence_only", problems);
    *ret_wish = w;
}

/* The largest fragment at the data rate; 0 and a problem where there is none. */
static size_t fragment_size_max(const struct wish_defaults *defaults,
                                const struct deployment_params *p, cJSON *problems)
{
    size_t payload_max;

    if (region_payload_size_max(p->region, p->data_rate, defaults->is_repeater_compatible,
                                defaults->has_dwell_time_400ms, &payload_max) != ERR_OK) {
        problem_add(problems, "data_rate", 0,
                    "%s has no downlink data rate %u that carries a payload",
                    region_name(p->region), p->data_rate);
        return 0;
    }
    size_t size = payload_max - FRAG_OVERHEAD;
    return size < FRAG_SIZE_MAX ? size : FRAG_SIZE_MAX;
}

/* Of all devices together. */
static double expected_loss(const struct wish *wish, const struct wish_defaults *defaults)
{
    double sum = 0.0;

    for (size_t i = 0; i < wish->loss_count; i++) {
        sum += wish->losses[i].share * wish->losses[i].loss;
    }
    return wish->loss_count > 0 ? sum : defaults->expected_loss;
}

static void plan_block(const struct wish *wish, const struct wish_facts *facts,
                       const struct wish_defaults *defaults, cJSON *problems,
                       struct deployment_params *p)
{
    size_t size_max = fragment_size_max(defaults, p, problems);
    unsigned size = wish->fragment_size;

    if (size_max == 0) {
        return;
    }
    if (size > size_max) {
        problem_add(problems, "fragment_size", 0,
                    "fragment_size is %u, data rate %u of %s carries at most %zu octets", size,
                    p->data_rate, region_name(p->region), size_max);
        return;
    }
    if (size == 0 &&
        fec_plan_fragment_size(facts->image_size, (unsigned)size_max, &size) != ERR_OK) {
        problem_add(
            problems, "image_id", 0,
            "the image has %zu octets, at %zu octets a fragment it needs more than %d fragments",
            facts->image_size, size_max, FRAG_NUMBER_MAX);
        return;
    }
    size_t count = (facts->image_size + size - 1) / size;
    if (count > FRAG_NUMBER_MAX) {
        problem_add(problems, "fragment_size", 0,
                    "the image has %zu octets: %zu fragments of %u octets, more than the %d that "
                    "TS004 can number",
                    facts->image_size, count, size, FRAG_NUMBER_MAX);
        return;
    }
    if (fec_count_is_bad((unsigned)count) && !wish->allow_bad_block_count) {
        problem_add(problems, "fragment_size", 0,
                    "%u octets make %zu fragments, a count for which TS004's code is defective (a "
                    "multiple of 64 that is no "
                    "power of two): take another size, or allow_bad_block_count",
                    size, count);
        return;
    }
    double loss = expected_loss(wish, defaults);
    unsigned coded;
    if (wish->redundancy_percent >= 0.0) {
        coded = (unsigned)ceil((double)count * wish->redundancy_percent / 100.0);
    } else if (p->rounds_max > 1) { /* auto: rounds send what is lacking then */
        coded = fec_plan_first_coded_count((unsigned)count, loss);
    } else {
        coded = fec_plan_coded_count((unsigned)count, loss);
    }
    if (count + coded > FRAG_NUMBER_MAX) {
        problem_add(problems, "redundancy", 0,
                    "%zu fragments and %u redundant ones are more than the %d that TS004 can "
                    "number",
                    count, coded, FRAG_NUMBER_MAX);
        return;
    }
    p->fragment_size = (uint8_t)size;
    p->fragment_count = (uint16_t)count;
    p->choose_rows = !wish->consecutive_rows && deployment_may_choose_rows((unsigned)count);
    p->padding_size = (uint8_t)(count * size - facts->image_size);
    p->coded_count = (uint16_t)coded;
}

/* Whether 41 octets pass at every data rate that a downlink to a device may have. */
static bool may_combine(const struct wish_defaults *defaults, enum region region)
{
    for (unsigned rate = 0; rate <= REGION_DATA_RATE_MAX; rate++) {
        size_t size;
        struct data_rate ignored;
        if (region_data_rate(region, rate, &ignored) != ERR_OK) {
            continue;
        }
        if (region_payload_size_max(region, rate, defaults->is_repeater_compatible,
                                    defaults->has_dwell_time_400ms, &size) != ERR_OK ||
            size < MC_GROUP_SETUP_REQ_SIZE + MC_CLASS_C_SESSION_REQ_SIZE) {
            return false;
        }
    }
    return true;
}

static void plan_times(const struct wish *wish, const struct wish_defaults *defaults,
                       cJSON *problems, struct deployment_params *p)
{
    struct data_rate rate;
    const char *field = "";
    unsigned gateways = p->gateway_count > 0 ? p->gateway_count : p->gateways_max;

    if (region_data_rate(p->region, p->data_rate, &rate) != ERR_OK) {
        return; /* told already */
    }
    p->frame_airtime_ms =
        airtime_us(&rate, PHY_OVERHEAD + FRAG_OVERHEAD + p->fragment_size, false) / 1000 + 1;
    p->margin_ms = (uint32_t)defaults->margin_ms;
    p->scheduler_interval_ms = (uint32_t)defaults->scheduler_interval_ms;
    p->min_gap_ms = wish->has_min_gap ? wish->min_gap_ms : (uint32_t)defaults->min_gap_ms;
    double allowed = region_duty_cycle(p->region, p->frequency_hz);
    p->duty_cycle = wish->duty_cycle > 0.0 ? wish->duty_cycle
                    : allowed < 1.0        ? allowed * (1.0 - defaults->network_share)
                                           : 1.0;
    if (p->duty_cycle > allowed && !wish->override_duty_cycle) {
        problem_add(
            problems, "duty_cycle", 0,
            "duty_cycle is %g, at %u Hz %s allows %g: override_duty_cycle says that you may",
            p->duty_cycle, p->frequency_hz, region_name(p->region), allowed);
    }
    p->block_ack_delay = deployment_block_ack_delay(p->device_count, ANSWER_AIRTIME_MS);
    p->time_out = deployment_time_out(p, gateways, (uint32_t)p->fragment_count + p->coded_count);
    if (wish->airtime_budget_s > 0.0) {
        double frames = floor(1000.0 * wish->airtime_budget_s / p->frame_airtime_ms);
        p->frames_max = frames < UINT32_MAX ? (uint32_t)frames : UINT32_MAX;
        if (p->frames_max < (uint32_t)p->fragment_count + p->coded_count) {
            problem_add(problems, "airtime_budget_s", 0,
                        "airtime_budget_s is %.0f: enough for %u frames of %u ms, the first pass "
                        "alone has %u",
                        wish->airtime_budget_s, p->frames_max, p->frame_airtime_ms,
                        p->fragment_count + p->coded_count);
        }
    }
    if (deployment_params_check(p, &field) != ERR_OK) {
        problem_add(problems, field, 0, "%s is out of its range", field);
    }
}

void wish_params(const struct wish *wish, const struct wish_facts *facts,
                 const struct wish_defaults *defaults, cJSON *problems,
                 struct deployment_params *ret_params)
{
    struct deployment_params p = {
        .device_count = facts->device_count,
        .mc_addr = facts->mc_addr,
        .port_multicast_setup = facts->profile->multicast_setup_port,
        .port_fragmentation = facts->profile->fragmentation_port,
        .port_clock_sync = facts->profile->clock_sync_port,
        .gateways_max = (uint8_t)defaults->gateways_max,
        .gateway_count = (uint8_t)wish->gateway_count,
        .attempts_max = (uint8_t)(wish->unicast_attempts > 0 ? wish->unicast_attempts
                                                             : defaults->unicast_attempts),
        .quorum_percent =
            (uint8_t)(wish->quorum_percent > 0 ? wish->quorum_percent : defaults->quorum_percent),
        .setup_limit_ms = 1000 * (wish->setup_deadline_s > 0 ? wish->setup_deadline_s
                                                             : defaults->setup_deadline_s),
        .rounds_max = (uint8_t)(wish->rounds > 0 ? wish->rounds : defaults->rounds),
        .sessions_max = (uint8_t)(wish->sessions > 0 ? wish->sessions : defaults->sessions),
        .repairs_max =
            (uint8_t)(wish->has_repair_passes ? wish->repair_passes : defaults->repair_passes),
        .time_limit_ms = (int64_t)(1000.0 * wish->time_limit_s),
        .own_evidence = wish->own_evidence_only,
        .leap_s = (int8_t)defaults->leap_s,
    };
    int before = cJSON_GetArraySize(problems);
    uint32_t low_hz, high_hz, frequency_hz;
    unsigned data_rate;

    if (!wish->has_region && !facts->profile->is_region_known) {
        problem_add(problems, "region", 0, "the device profile's region is not supported");
        return;
    }
    p.region = wish->has_region ? wish->region : facts->profile->region;
    region_multicast_default(p.region, &frequency_hz, &data_rate);
    p.data_rate = (uint8_t)(wish->has_data_rate ? wish->data_rate : data_rate);
    p.frequency_hz = wish->has_frequency ? wish->frequency_hz : frequency_hz;
    if (!region_frequency_is_allowed(p.region, p.frequency_hz)) {
        region_frequency_range(p.region, &low_hz, &high_hz);
        problem_add(problems, "frequency_hz", 0,
                    "frequency_hz is %u; %s allows multiples of 100 from %u to %u", p.frequency_hz,
                    region_name(p.region), low_hz, high_hz);
    }
    memcpy(p.gateways, wish->gateways, sizeof(p.gateways));
    memcpy(p.descriptor, wish->descriptor, sizeof(p.descriptor));
    p.combine_setup = may_combine(defaults, p.region);
    plan_block(wish, facts, defaults, problems, &p);
    if (cJSON_GetArraySize(problems) == before) {
        plan_times(wish, defaults, problems, &p);
    }
    *ret_params = p;
}
