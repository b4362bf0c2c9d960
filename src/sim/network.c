#include "sim/network.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/random.h"

static struct uuid make_uuid(uint64_t a, uint64_t b)
{
    struct uuid id;
    uint64_t words[2] = {random_mix(a, b), random_mix(b, a ^ 0x1D5)};

    memcpy(id.octets, words, sizeof(id.octets));
    id.octets[6] = (uint8_t)((id.octets[6] & 0x0F) | 0x40); /* version 4 */
    id.octets[8] = (uint8_t)((id.octets[8] & 0x3F) | 0x80);
    return id;
}

struct uuid network_new_id(struct network *network)
{
    return make_uuid(network->seed, 0x10000 + network->id_count++);
}

uint32_t network_new_downlink_id(struct network *network)
{
    return (uint32_t)random_mix(network->seed ^ 0xD0, network->downlink_count++);
}

static const struct sim_profile *profile_for(struct network *network,
                                             const struct device_options *o)
{
    for (size_t i = 0; i < network->profile_count; i++) {
        const struct sim_profile *p = &network->profiles[i];
        if (p->is_lorawan_1_1 == o->lorawan_1_1 && p->is_class_c == o->is_class_c &&
            p->ts003 == o->ts003 && p->ts004 == o->ts004 && p->ts005 == o->ts005) {
            return p;
        }
    }
    if (network->profile_count == NETWORK_PROFILE_MAX) {
        return &network->profiles[0];
    }
    struct sim_profile *p = &network->profiles[network->profile_count];
    *p = (struct sim_profile){make_uuid(network->seed, 0x300 + network->profile_count),
                              o->lorawan_1_1,
                              o->is_class_c,
                              o->ts003,
                              o->ts004,
                              o->ts005};
    network->profile_count++;
    return p;
}

/* The gateways that are named, or `heard_by` of them, the first of which goes round. */
static uint32_t gateways_in_reach(const struct network *network, const struct device_options *o,
                                  uint32_t index)
{
    size_t count = o->heard_by == 0 || (size_t)o->heard_by > network->gateway_count
                       ? network->gateway_count
                       : (size_t)o->heard_by;
    uint32_t mask = 0;

    if (o->gateway_mask != 0) {
        return o->gateway_mask;
    }
    for (size_t i = 0; i < count; i++) {
        mask |= 1u << ((index + i) % network->gateway_count);
    }
    return mask;
}

static void make_device(struct network *network, uint32_t index)
{
    struct sim_device *d = &network->devices[index];
    const struct device_options *o = &network->options->each[index];
    uint64_t key_words[2];

    d->network = network;
    d->options = o;
    d->profile = profile_for(network, o);
    d->index = index;
    d->eui = 0x70B3D50000000000u | (random_mix(network->seed, 0xE01) & 0xFFFF) << 24 | index;
    d->dev_addr =
        0x01000000u | ((uint32_t)random_mix(network->seed, 0xADD) & 0xFF0000u) | (index & 0xFFFFu);
    key_words[0] = random_mix(network->seed ^ d->eui, 1);
    key_words[1] = random_mix(network->seed ^ d->eui, 2);
    memcpy(d->root_key, key_words, sizeof(d->root_key));
    d->gateway_mask = gateways_in_reach(network, o, index);
    d->wake_planned_ms = DEVICE_NEVER;
}

enum err network_init(struct network *network, const struct options *options, struct world *world)
{
    *network =
        (struct network){.options = options, .world = world, .seed = (uint64_t)options->seed};
    network->region = region_find(options->region);
    if (network->region == NULL) {
        return ERR_UNKNOWN;
    }
    network->rx2_dr = options->rx2_dr >= 0 ? (uint8_t)options->rx2_dr : network->region->rx2_dr;
    if (region_dr(network->region, network->rx2_dr) == NULL) {
        return ERR_UNKNOWN;
    }
    network->tenant_id = make_uuid(network->seed, 0x100);
    network->application_id = make_uuid(network->seed, 0x101);
    network->gateway_count = (size_t)options->gateways;
    for (size_t i = 0; i < network->gateway_count; i++) {
        network->gateways[i].id =
            0x0016C001F1000000u | (random_mix(network->seed, 0x6A7E) & 0xFFFF) << 8 | i;
    }
    network->devices = calloc((size_t)options->devices, sizeof(*network->devices));
    if (network->devices == NULL) {
        return ERR_NO_MEMORY;
    }
    network->device_count = (size_t)options->devices;
    for (uint32_t i = 0; i < network->device_count; i++) {
        make_device(network, i);
    }
    return ERR_OK;
}

void network_session_keys(const struct sim_device *device, uint8_t ret_app_s_key[DEVICE_KEY_SIZE],
                          uint8_t ret_nwk_s_key[DEVICE_KEY_SIZE])
{
    uint64_t words[4];

    for (uint64_t i = 0; i < 4; i++) {
        words[i] = random_mix(device->network->seed ^ device->eui, 3 + i);
    }
    memcpy(ret_app_s_key, words, DEVICE_KEY_SIZE);
    memcpy(ret_nwk_s_key, words + 2, DEVICE_KEY_SIZE);
}

void network_join_key(const struct sim_device *device, uint8_t ret_key[DEVICE_KEY_SIZE])
{
    for (size_t i = 0; i < DEVICE_KEY_SIZE; i++) {
        ret_key[i] = device->root_key[i] ^ 0xA5;
    }
}

void network_dump_key(const struct network *network, const char *kind, const char *owner,
                      const uint8_t key[DEVICE_KEY_SIZE])
{
    char text[2 * DEVICE_KEY_SIZE + 1];

    if (network->keys != NULL) {
        hex_encode(key, DEVICE_KEY_SIZE, text);
        fprintf(network->keys, "%s %s %s\n", kind, owner, text);
        fflush(network->keys);
    }
}

static void dump_device_keys(const struct network *network)
{
    uint8_t join_key[DEVICE_KEY_SIZE];
    char eui[EUI64_TEXT_SIZE];

    for (size_t i = 0; i < network->device_count; i++) {
        const struct sim_device *d = &network->devices[i];
        eui64_format(d->eui, eui);
        network_join_key(d, join_key);
        network_dump_key(network, d->profile->is_lorawan_1_1 ? "AppKey" : "GenAppKey", eui,
                         d->root_key);
        network_dump_key(network, "NwkKey", eui, join_key);
    }
}

void network_release(struct network *network)
{
    for (size_t i = 0; i < network->device_count; i++) {
        device_queue_flush(&network->devices[i], true);
        device_release(&network->devices[i].device);
    }
    for (size_t i = 0; i < network->gateway_count; i++) {
        airtime_log_release(&network->gateways[i].airtime);
    }
    free(network->devices);
    network->devices = NULL;
    network->device_count = 0;
    while (network->groups != NULL) {
        struct multicast_group *group = network->groups;
        network->groups = group->next;
        multicast_flush(group);
        free(group);
    }
}

static struct device_config configure(const struct sim_device *d)
{
    const struct device_options *o = d->options;
    const struct region *region = d->network->region;
    struct device_config config = {
        .dev_eui = d->eui,
        .seed = d->network->seed,
        .kind = o->kind == OPTIONS_KIND_MIXED ? (enum stack_kind)(d->index % STACK_KIND_COUNT)
                                              : (enum stack_kind)o->kind,
        .is_lorawan_1_1 = o->lorawan_1_1,
        .is_class_c = o->is_class_c,
        .uplink_interval_ms =
            (uint32_t)(o->uplink_interval_s < 4294967 ? o->uplink_interval_s : 4294967) * 1000u,
        .uplink_jitter_ms = (uint32_t)o->uplink_jitter_s * 1000u,
        .has_no_clock = o->no_clock,
        .clock_offset_ms = (int64_t)(o->clock_offset_s * 1000),
        .is_quiet_about_time = o->quiet_clock,
        .is_deaf = o->deaf,
        .is_mute = o->mute,
        .refuses_group_setup = o->refuse_group,
        .refused_session_bits = (uint8_t)o->refuse_session,
        .refused_frag_setup_bits = (uint8_t)o->refuse_frag,
        .fragment_count_max = (uint16_t)o->max_fragments,
        .fragment_size_max = (uint8_t)o->max_fragment_size,
        .lost_max = (uint16_t)o->device_limit,
        .frequency_min_hz = region->frequency_min_hz,
        .frequency_max_hz = region->frequency_max_hz,
        .dr_mask = region_dr_mask(region),
        .answers_with_regular = o->answers_with_regular,
        .answer_delay_ms = (uint32_t)(o->answer_delay_s * 1000),
        .answer_repeats = (uint8_t)o->repeat_answers,
        .rejoin_after_ms = o->rejoin_at_s * 1000,
        .rejoin_at_fragment = (uint16_t)o->rejoin_at_fragment,
        .send = radio_send_uplink,
        .join = radio_join,
    };

    memcpy(config.root_key, d->root_key, sizeof(config.root_key));
    if (o->wrong_key) {
        config.root_key[0] ^= 0xFF;
    }
    return config;
}

void network_start(struct network *network)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    network->start_real_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    network->start_ms = world_now(network->world);
    dump_device_keys(network);
    for (size_t i = 0; i < network->device_count; i++) {
        struct sim_device *d = &network->devices[i];
        struct device_config config = configure(d);
        config.arg = d;
        if (device_init(&d->device, &config, network->start_ms) != ERR_OK) {
            abort(); /* the configuration is ours */
        }
        network_plan_wake(d);
    }
}

struct sim_device *network_find_device(struct network *network, uint64_t eui)
{
    uint64_t first = network->devices[0].eui; /* they are numbered without gaps */

    return eui >= first && eui - first < network->device_count ? &network->devices[eui - first]
                                                               : NULL;
}

size_t network_find_gateway(const struct network *network, uint64_t id)
{
    for (size_t i = 0; i < network->gateway_count; i++) {
        if (network->gateways[i].id == id) {
            return i;
        }
    }
    return OPTIONS_GATEWAY_MAX;
}

bool network_gateway_is_online(const struct network *network, size_t gateway_index, int64_t now_ms)
{
    double since_s = (double)(now_ms - network->start_ms) / 1000;

    for (size_t i = 0; i < network->options->offline_count; i++) {
        const struct gateway_offline *o = &network->options->offline[i];
        if ((size_t)o->gateway == gateway_index && since_s >= o->from_s && since_s < o->to_s) {
            return false;
        }
    }
    return true;
}

static void on_wake(void *arg, uint64_t value)
{
    struct sim_device *d = arg;

    if ((int64_t)value != d->wake_planned_ms) {
        return; /* it was planned anew since */
    }
    d->wake_planned_ms = DEVICE_NEVER;
    device_wake(&d->device, d->network->world->now_ms);
    network_plan_wake(d);
}

void network_plan_wake(struct sim_device *d)
{
    int64_t next_ms = device_next_wake(&d->device);

    if (next_ms != d->wake_planned_ms) {
        d->wake_planned_ms = next_ms;
        if (next_ms != DEVICE_NEVER) {
            world_at(d->network->world, next_ms, on_wake, d, (uint64_t)next_ms);
        }
    }
}

void network_trace(struct network *network, const char *format, ...)
{
    va_list args;

    if (network->trace == NULL) {
        return;
    }
    fprintf(network->trace, "%lld ", (long long)(network->world->now_ms - network->start_ms));
    va_start(args, format);
    vfprintf(network->trace, format, args);
    va_end(args);
    fputc('\n', network->trace);
}
