#include "sim/virtual_device.h"

#include <stdlib.h>
#include <string.h>

#include "../../include/sim/device.h"

#define CLOCK_RIGHT_MS 3000

struct virtual_device {
    struct device device;
    struct virtual_config config;
};

static uint32_t on_send(void *arg, struct device *device, uint8_t f_port, const uint8_t *payload,
                        size_t size, int64_t now_ms)
{
    struct virtual_device *v = arg;

    (void)device, (void)now_ms;
    return v->config.on_uplink(v->config.arg, v->config.index, f_port, payload, size);
}

static void on_join(void *arg, struct device *device, int64_t now_ms)
{
    struct virtual_device *v = arg;

    (void)device, (void)now_ms;
    if (!v->config.restarts_silently) {
        v->config.on_join(v->config.arg, v->config.index);
    }
}

struct virtual_device *virtual_device_new(const struct virtual_config *config, int64_t now_ms)
{
    static const enum stack_kind kinds[] = {
        [VIRTUAL_LETTER] = STACK_LETTER,
        [VIRTUAL_LORAMAC] = STACK_LORAMAC,
        [VIRTUAL_LBM] = STACK_LBM,
        [VIRTUAL_ZEPHYR] = STACK_ZEPHYR,
    };
    struct virtual_device *v = calloc(1, sizeof(*v));

    if (v == NULL) {
        abort();
    }
    v->config = *config;
    struct device_config c = {
        .dev_eui = config->dev_eui,
        .seed = config->seed,
        .kind = kinds[config->kind],
        .uplink_interval_ms = config->uplink_interval_ms,
        .uplink_jitter_ms = config->uplink_interval_ms / 10,
        .has_no_clock = config->has_no_clock,
        .clock_offset_ms = config->clock_offset_ms,
        .is_quiet_about_time = true,
        .is_deaf = config->is_deaf,
        .is_mute = config->is_mute,
        .refuses_group_setup = config->refuses_group,
        .refused_session_bits = config->refused_session_bits,
        .refused_frag_setup_bits = config->refused_frag_bits,
        .lost_max = config->lost_max,
        .answers_with_regular = config->answers_late,
        .rejoin_after_ms = config->rejoin_after_ms,
        .rejoin_at_fragment = config->rejoin_at_fragment,
        .send = on_send,
        .join = on_join,
        .arg = v,
    };
    memcpy(c.root_key, config->root_key, sizeof(c.root_key));
    if (device_init(&v->device, &c, now_ms) != ERR_OK) {
        abort();
    }
    return v;
}

void virtual_device_free(struct virtual_device *v)
{
    if (v != NULL) {
        device_release(&v->device);
        free(v);
    }
}

void virtual_device_downlink(struct virtual_device *v, uint8_t f_port, const uint8_t *data,
                             size_t size, int64_t now_ms)
{
    device_on_downlink(&v->device, f_port, data, size, now_ms);
}

bool virtual_device_multicast(struct virtual_device *v, uint32_t mc_addr,
                              const uint8_t app_s_key[16], const uint8_t nwk_s_key[16],
                              uint32_t f_cnt, uint32_t frequency_hz, uint8_t dr, uint8_t f_port,
                              const uint8_t *data, size_t size, int64_t now_ms)
{
    struct device_multicast_frame frame = {
        .mc_addr = mc_addr,
        .f_cnt = f_cnt,
        .frequency_hz = frequency_hz,
        .dr = dr,
        .f_port = f_port,
        .payload = data,
        .size = size,
    };

    memcpy(frame.app_s_key, app_s_key, sizeof(frame.app_s_key));
    memcpy(frame.nwk_s_key, nwk_s_key, sizeof(frame.nwk_s_key));
    return device_on_multicast(&v->device, &frame, now_ms) == DEVICE_HEARD;
}

int64_t virtual_device_next_wake(const struct virtual_device *v)
{
    return device_next_wake(&v->device);
}

void virtual_device_wake(struct virtual_device *v, int64_t now_ms)
{
    device_wake(&v->device, now_ms);
}

const uint8_t *virtual_device_image(const struct virtual_device *v, size_t *ret_size)
{
    return device_image(&v->device, ret_size);
}

bool virtual_device_knows_time(const struct virtual_device *v)
{
    const struct device_clock *clock = &v->device.clock;

    return clock->is_set && clock->offset_ms > -CLOCK_RIGHT_MS && clock->offset_ms < CLOCK_RIGHT_MS;
}

uint32_t virtual_device_restarts(const struct virtual_device *v)
{
    return device_counters(&v->device)->restarts;
}

void virtual_device_reason(const struct virtual_device *v, char *text, size_t text_size)
{
    device_reason(&v->device, text, text_size);
}
