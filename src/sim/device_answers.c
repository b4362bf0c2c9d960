/* One received payload: its commands run one after the other, their answers wait for their time. */
#include <string.h>

#include "sim/device_packages.h"

#define REPEAT_GAP_MS 10000

static const struct package_def *package_on_port(uint8_t f_port, enum package *ret_package)
{
    static const struct package_def *const packages[PACKAGE_COUNT] = {
        [PACKAGE_CLOCK] = &device_clock_package,
        [PACKAGE_MULTICAST] = &device_multicast_package,
        [PACKAGE_FRAGMENTATION] = &device_fragmentation_package,
    };

    for (size_t i = 0; i < PACKAGE_COUNT; i++) {
        if (packages[i]->f_port == f_port) {
            *ret_package = (enum package)i;
            return packages[i];
        }
    }
    return NULL;
}

void exchange_answer(struct exchange *x, const void *octets, size_t size)
{
    if (x->answers.offset + size <= x->device->traits->answers_size_max) {
        write_bytes(&x->answers, octets, size);
    }
}

/* LBM: a frame that comes while the answer of the one before is being prepared erases it. */
static void erase_prepared(struct device *device, enum package package, uint8_t f_port)
{
    int64_t window_ms = device->traits->erase_window_ms[package];

    for (size_t i = 0; i < DEVICE_ANSWER_COUNT_MAX; i++) {
        struct device_answer *a = &device->answers[i];
        if (a->due_ms != DEVICE_NEVER && a->f_port == f_port &&
            device->now_ms < a->created_ms + window_ms) {
            a->due_ms = DEVICE_NEVER;
        }
    }
}

/* LoRaMac-node has one answer buffer: what waits in it is replaced, and goes out at its old length.
 */
static void overwrite_waiting(struct device *device, const struct exchange *x)
{
    for (size_t i = 0; i < DEVICE_ANSWER_COUNT_MAX; i++) {
        struct device_answer *a = &device->answers[i];
        if (a->due_ms == DEVICE_NEVER || !a->is_delayed_status) {
            continue;
        }
        if (x->has_status) {
            a->due_ms = DEVICE_NEVER; /* the timer starts again */
        } else {
            memcpy(a->octets, x->octets, x->answers.offset < a->size ? x->answers.offset : a->size);
        }
    }
}

static void queue_answers(struct exchange *x, uint8_t f_port)
{
    struct device *device = x->device;
    const struct device_config *config = &device->config;
    const uint16_t *delay_ms = device->traits->answer_delay_ms[x->package];

    if (device->traits->shares_answer_buffer) {
        overwrite_waiting(device, x);
    }
    for (size_t i = 0; i < DEVICE_ANSWER_COUNT_MAX; i++) {
        struct device_answer *a = &device->answers[i];
        if (a->due_ms != DEVICE_NEVER) {
            continue;
        }
        *a = (struct device_answer){
            .due_ms = device->now_ms + device_draw(device, delay_ms[0], delay_ms[1]) +
                      x->status_delay_ms + config->answer_delay_ms,
            .created_ms = device->now_ms,
            .start_ms = x->start_ms,
            .start_offset = x->start_offset,
            .f_port = f_port,
            .size = (uint8_t)x->answers.offset,
            .repeats_left = config->answer_repeats,
            .is_delayed_status = x->has_status && x->status_delay_ms > 0,
        };
        if (config->answers_with_regular && config->uplink_interval_ms > 0 &&
            a->due_ms < device->next_regular_ms) {
            a->due_ms = device->next_regular_ms;
        }
        memcpy(a->octets, x->octets, a->size);
        return;
    }
    /* all slots wait: the answer is lost, like in a device with little memory */
}

void device_execute(struct device *device, int group_index, uint8_t f_port, const uint8_t *payload,
                    size_t size)
{
    struct exchange x = {.device = device, .group_index = group_index};
    const struct package_def *package = package_on_port(f_port, &x.package);

    if (package == NULL || size > UINT8_MAX ||
        (group_index != DEVICE_UNICAST && package->is_multicast == NULL)) {
        return; /* clock and group commands do not exist on a multicast address */
    }
    memcpy(device->rx, payload, size);
    erase_prepared(device, x.package, f_port);
    writer_init(&x.answers, x.octets, sizeof(x.octets));
    enum stack_confusion confusion = device->traits->confusion[x.package];
    size_t offset = 0;
    while (offset < size) {
        uint8_t cid = device->rx[offset++];
        size_t needed = 0;
        bool is_known = package->command_size(device, cid, &needed);
        if (!is_known && confusion == CONFUSION_SKIP) {
            continue;
        }
        if (!is_known || (needed > size - offset && confusion != CONFUSION_SKIP)) {
            x.is_silent = confusion == CONFUSION_SILENT;
            break;
        }
        struct reader r; /* rx is longer than any payload and command together */
        reader_init(&r, device->rx + offset, needed);
        if (package->is_alone != NULL && package->is_alone(cid)) {
            reader_init(&r, device->rx + offset, needed > size - offset ? needed : size - offset);
            package->run(&x, cid, &r);
            break;
        }
        if (group_index != DEVICE_UNICAST && !package->is_multicast(cid)) {
            offset += confusion == CONFUSION_SKIP ? 0 : needed; /* not allowed by multicast */
            continue;
        }
        package->run(&x, cid, &r);
        offset += needed;
    }
    if (!x.is_silent && x.answers.offset > 0) {
        queue_answers(&x, f_port);
    }
}

struct device_answer *device_answer_first(struct device *device)
{
    struct device_answer *first = NULL;

    for (size_t i = 0; i < DEVICE_ANSWER_COUNT_MAX; i++) {
        struct device_answer *a = &device->answers[i];
        if (a->due_ms != DEVICE_NEVER && (first == NULL || a->due_ms < first->due_ms)) {
            first = a;
        }
    }
    return first;
}

void device_answer_send(struct device *device, struct device_answer *a)
{
    struct device_answer sent = *a;

    if (sent.start_offset != 0) {
        int64_t left_s = (sent.start_ms - device->now_ms) / 1000;
        uint32_t left = left_s < 0 ? 0 : left_s > 0xFFFFFF ? 0xFFFFFF : (uint32_t)left_s;
        sent.octets[sent.start_offset] = (uint8_t)left;
        sent.octets[sent.start_offset + 1] = (uint8_t)(left >> 8);
        sent.octets[sent.start_offset + 2] = (uint8_t)(left >> 16);
    }
    if (a->repeats_left > 0) {
        a->repeats_left--;
        a->due_ms = device->now_ms + REPEAT_GAP_MS;
    } else {
        a->due_ms = DEVICE_NEVER;
    }
    device_send(device, sent.f_port, sent.octets, sent.size);
}
