/* The virtual device as a whole: its life, its uplinks, what it tells about itself. */
#include "sim/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/device_packages.h"

#define BOOT_MS 2000 /* from a power cut to the join */

uint32_t device_draw(struct device *device, uint32_t from, uint32_t to)
{
    return to <= from ? from
                      : from + (uint32_t)random_below(&device->random, (uint64_t)to - from + 1);
}

static void forget_sessions(struct device *device)
{
    for (size_t i = 0; i < DEVICE_ANSWER_COUNT_MAX; i++) {
        device->answers[i].due_ms = DEVICE_NEVER;
    }
    memset(device->groups, 0, sizeof(device->groups));
    memset(device->frag_sessions, 0, sizeof(device->frag_sessions));
    for (size_t i = 0; i < DEVICE_FRAG_INDEX_COUNT; i++) {
        enum frag_decoder_phase phase = device->decoders[i].phase;
        if (phase == FRAG_DECODER_UNCODED || phase == FRAG_DECODER_CODED) {
            device->counters.lost_to_restart++;
        }
        frag_decoder_release(&device->decoders[i]);
    }
}

enum err device_init(struct device *device, const struct device_config *config, int64_t now_ms)
{
    if (config->send == NULL) {
        return ERR_MISSING;
    }
    memset(device, 0, sizeof(*device));
    device->config = *config;
    device->traits = stack_traits(config->kind);
    random_init(&device->random, random_mix(config->seed, config->dev_eui));
    device->now_ms = now_ms;
    device->started_ms = now_ms;
    device->busy_until_ms = now_ms;
    device->rejoin_ms =
        config->rejoin_after_ms > 0 ? now_ms + config->rejoin_after_ms : DEVICE_NEVER;
    device->next_regular_ms = config->uplink_interval_ms > 0
                                  ? now_ms + device_draw(device, 1, config->uplink_interval_ms)
                                  : DEVICE_NEVER;
    forget_sessions(device);
    device_clock_start(device);
    return ERR_OK;
}

void device_release(struct device *device)
{
    for (size_t i = 0; i < DEVICE_FRAG_INDEX_COUNT; i++) {
        frag_decoder_release(&device->decoders[i]);
    }
    free(device->image);
    device->image = NULL;
}

void device_restart(struct device *device, int64_t now_ms)
{
    device->now_ms = now_ms;
    device->counters.restarts++;
    forget_sessions(device);
    device->busy_until_ms = now_ms + BOOT_MS;
    if (device->config.uplink_interval_ms > 0) {
        device->next_regular_ms = now_ms + BOOT_MS + device_draw(device, 1000, 10000);
    }
    if (device->config.join != NULL && !device->config.is_mute) {
        device->config.join(device->config.arg, device, now_ms);
    }
}

void device_on_downlink(struct device *device, uint8_t f_port, const uint8_t *payload, size_t size,
                        int64_t now_ms)
{
    device->now_ms = now_ms;
    if (device->config.is_deaf || size > DEVICE_PAYLOAD_SIZE_MAX) {
        return;
    }
    device->counters.downlinks++;
    device_execute(device, DEVICE_UNICAST, f_port, payload, size);
}

void device_send(struct device *device, uint8_t f_port, const uint8_t *payload, size_t size)
{
    uint32_t busy_ms = 0;

    if (!device->config.is_mute) {
        busy_ms =
            device->config.send(device->config.arg, device, f_port, payload, size, device->now_ms);
        device->counters.uplinks++;
    }
    if (device->now_ms + busy_ms > device->busy_until_ms) {
        device->busy_until_ms = device->now_ms + busy_ms;
    }
}

static void send_regular(struct device *device)
{
    const struct device_config *config = &device->config;
    uint32_t count = device->counters.uplinks;
    const uint8_t payload[4] = {(uint8_t)count, (uint8_t)(count >> 8), (uint8_t)(count >> 16),
                                (uint8_t)(count >> 24)};
    uint32_t jitter_ms = config->uplink_jitter_ms < config->uplink_interval_ms
                             ? config->uplink_jitter_ms
                             : config->uplink_interval_ms;

    device->next_regular_ms +=
        (int64_t)config->uplink_interval_ms + device_draw(device, 0, 2 * jitter_ms) - jitter_ms;
    if (device->next_regular_ms <= device->now_ms) {
        device->next_regular_ms = device->now_ms + config->uplink_interval_ms;
    }
    device_send(device, DEVICE_PORT_APPLICATION, payload, sizeof(payload));
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t device_next_wake(const struct device *device)
{
    int64_t next_ms = earlier(device->next_regular_ms, device_clock_next(device));

    for (size_t i = 0; i < DEVICE_ANSWER_COUNT_MAX; i++) {
        next_ms = earlier(next_ms, device->answers[i].due_ms);
    }
    if (next_ms < device->busy_until_ms) {
        next_ms = device->busy_until_ms;
    }
    return earlier(earlier(next_ms, device->rejoin_ms), device_multicast_next(device));
}

void device_wake(struct device *device, int64_t now_ms)
{
    device->now_ms = now_ms;
    if (now_ms >= device->rejoin_ms) {
        device->rejoin_ms = DEVICE_NEVER;
        device_restart(device, now_ms);
    }
    device_multicast_wake(device);
    if (now_ms < device->busy_until_ms) {
        return;
    }
    struct device_answer *answer = device_answer_first(device);
    if (answer != NULL && answer->due_ms <= now_ms) {
        device_answer_send(device, answer);
    } else if (!device_clock_wake(device) && device->next_regular_ms <= now_ms) {
        send_regular(device);
    }
}

void device_hold(struct device *device, int64_t until_ms)
{
    device->busy_until_ms = until_ms;
}

bool device_session_is_open(const struct device *device)
{
    for (size_t i = 0; i < DEVICE_GROUP_COUNT; i++) {
        if (device->groups[i].session == SESSION_OPEN) {
            return true;
        }
    }
    return false;
}

bool device_session_is_planned(const struct device *device)
{
    for (size_t i = 0; i < DEVICE_GROUP_COUNT; i++) {
        if (device->groups[i].session == SESSION_PLANNED) {
            return true;
        }
    }
    return false;
}

bool device_is_complete(const struct device *device)
{
    return device->image != NULL;
}

const uint8_t *device_image(const struct device *device, size_t *ret_size)
{
    if (device->image != NULL) {
        *ret_size = device->image_size;
    }
    return device->image;
}

const struct device_counters *device_counters(const struct device *device)
{
    return &device->counters;
}

const struct frag_decoder *device_decoder(const struct device *device)
{
    return &device->decoders[device->traits->one_decoder ? 0 : device->last_index];
}

static const char *reason_without_fragments(const struct device *device)
{
    const struct device_counters *c = &device->counters;

    if (device->config.is_deaf) {
        return "deaf";
    }
    if (device->config.is_mute) {
        return "mute";
    }
    if (c->lost_to_restart > 0) {
        return "restarted and forgot its block";
    }
    if (c->frag_setups == 0 && c->frag_refusals > 0) {
        return "refused the fragmentation session";
    }
    if (c->frag_setups == 0) {
        return c->group_setups == 0 ? "never set up" : "no fragmentation session";
    }
    if (c->sessions_planned == 0) {
        return "no session";
    }
    if (c->sessions_opened == 0) {
        return "session never opened";
    }
    if (c->multicast_other_key > 0) {
        return "frames under another key";
    }
    return c->multicast_counter_old > 0 ? "frame counters out of range" : "heard no fragment";
}

void device_reason(const struct device *device, char *text, size_t text_size)
{
    const struct frag_decoder *decoder = device_decoder(device);
    unsigned count = decoder->config.fragment_count;
    unsigned heard = (unsigned)decoder->uncoded_count + decoder->overflow_count;

    if (device_is_complete(device)) {
        snprintf(text, text_size, "complete");
    } else if (decoder->phase == FRAG_DECODER_FAILED) {
        snprintf(text, text_size, "lost %u fragments, decoder holds %u", count - heard,
                 decoder->config.lost_max == 0 ? count : decoder->config.lost_max);
    } else if (decoder->phase == FRAG_DECODER_CODED) {
        unsigned short_count = (unsigned)decoder->lost_count - decoder->row_count;
        snprintf(text, text_size, "%u %s short", short_count, short_count == 1 ? "row" : "rows");
    } else if (decoder->phase == FRAG_DECODER_UNCODED && decoder->received_count > 0) {
        snprintf(text, text_size, "heard %u of %u uncoded fragments and no coded one", heard,
                 count);
    } else {
        snprintf(text, text_size, "%s", reason_without_fragments(device));
    }
}

const char *device_hearing_text(enum device_hearing hearing)
{
    switch (hearing) {
    case DEVICE_HEARD:
        return "heard";
    case DEVICE_IS_DEAF:
        return "deaf";
    case DEVICE_NOT_LISTENING:
        return "not listening";
    case DEVICE_OTHER_ADDRESS:
        return "other address";
    case DEVICE_OTHER_RADIO:
        return "other frequency or data rate";
    case DEVICE_OTHER_KEY:
        return "other key";
    case DEVICE_COUNTER_OLD:
        return "counter out of range";
    }
    return "?";
}
