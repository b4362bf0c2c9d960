/*
 * gateway_watch.c - listens to what ChirpStack and its gateways tell each other, and joins frame
 * and acknowledgement. Nothing depends on hearing all of it: at QoS 0 or while we are away, results
 * are missing, not wrong.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "gateway_watch.h"
#include "network/chirpstack/gateway_frames.h"
#include "network/chirpstack/topics.h"

#define PENDING_MAX 512 /* frames whose acknowledgement has not come; a power of two */

static void *must(void *memory)
{
    if (memory == NULL) {
        abort();
    }
    return memory;
}

struct pending {
    uint64_t gateway_id;
    struct gateway_downlink downlink;
    bool is_used;
};

struct gateway_watch {
    struct mqtt *mqtt;
    const struct network_callbacks *callbacks;
    void *arg;
    struct pending pending[PENDING_MAX]; /* a ring */
    unsigned next;
    uv_timer_t acknowledging; /* not from inside the batch: reading on would nest */
    void (*on_closed)(void *arg);
    void *closed_arg;
};

static void remember(struct gateway_watch *watch, uint64_t gateway_id,
                     const struct gateway_downlink *downlink)
{
    watch->pending[watch->next++ % PENDING_MAX] =
        (struct pending){.gateway_id = gateway_id, .downlink = *downlink, .is_used = true};
}

static struct pending *find(struct gateway_watch *watch, uint64_t gateway_id, uint32_t downlink_id)
{
    for (unsigned i = 1; i <= PENDING_MAX; i++) { /* the latest first */
        struct pending *p = &watch->pending[(watch->next - i) % PENDING_MAX];
        if (p->is_used && p->gateway_id == gateway_id && p->downlink.downlink_id == downlink_id) {
            return p;
        }
    }
    return NULL;
}

static void on_message(void *arg, const char *topic, const uint8_t *payload, size_t size, int qos)
{
    struct gateway_watch *watch = arg;
    enum gateway_topic kind;
    struct gateway_downlink downlink;
    struct gateway_ack ack;
    uint64_t gateway_id;

    (void)qos;
    if (gateway_topic_read(topic, &gateway_id, &kind) != ERR_OK) {
        return;
    }
    if (kind == GATEWAY_DOWN) {
        if (gateway_downlink_decode(payload, size, &downlink) == ERR_OK) {
            remember(watch, gateway_id, &downlink);
        }
        return;
    }
    struct pending *p = gateway_ack_decode(payload, size, &ack) == ERR_OK
                            ? find(watch, gateway_id, ack.downlink_id)
                            : NULL;
    if (p != NULL) {
        p->is_used = false;
        watch->callbacks->on_gateway_frame(watch->arg, &(struct network_gateway_frame){
                                                           .gateway_id = gateway_id,
                                                           .dev_addr = p->downlink.dev_addr,
                                                           .f_cnt = p->downlink.f_cnt,
                                                           .tx = ack.tx,
                                                       });
    }
}

static void on_acknowledging(uv_timer_t *timer)
{
    struct gateway_watch *watch = timer->data;

    mqtt_acknowledge(watch->mqtt);
}

static void on_batch(void *arg)
{
    struct gateway_watch *watch = arg;

    uv_timer_start(&watch->acknowledging, on_acknowledging, 0, 0);
}

static void on_state(void *arg, const char *text, bool is_session_kept)
{
    struct gateway_watch *watch = arg;

    (void)is_session_kept;
    if (watch->callbacks->on_gateways_state != NULL) {
        watch->callbacks->on_gateways_state(watch->arg, text);
    }
}

enum err gateway_watch_new(struct uv_loop_s *loop, const struct mqtt_options *options,
                           const char *const *prefixes, const struct network_callbacks *callbacks,
                           void *arg, struct gateway_watch **ret)
{
    static const struct mqtt_callbacks mqtt_callbacks = {
        .on_message = on_message, .on_batch = on_batch, .on_state = on_state};
    struct gateway_watch *watch = must(calloc(1, sizeof(*watch)));
    enum err err = mqtt_new(loop, options, &mqtt_callbacks, watch, &watch->mqtt);

    if (err != ERR_OK) {
        free(watch);
        return err;
    }
    watch->callbacks = callbacks;
    watch->arg = arg;
    uv_timer_init(loop, &watch->acknowledging);
    watch->acknowledging.data = watch;
    for (; *prefixes != NULL; prefixes++) {
        char filter[TOPICS_FILTER_SIZE];
        snprintf(filter, sizeof(filter), "%s/gateway/+/command/down", *prefixes);
        mqtt_subscribe(watch->mqtt, filter);
        snprintf(filter, sizeof(filter), "%s/gateway/+/event/ack", *prefixes);
        mqtt_subscribe(watch->mqtt, filter);
    }
    *ret = watch;
    return ERR_OK;
}

static void on_mqtt_closed(void *arg)
{
    struct gateway_watch *watch = arg;

    watch->on_closed(watch->closed_arg);
    free(watch);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct gateway_watch *watch = handle->data;

    mqtt_close(watch->mqtt, on_mqtt_closed, watch);
}

void gateway_watch_close(struct gateway_watch *watch, void (*cb)(void *arg), void *arg)
{
    watch->on_closed = cb;
    watch->closed_arg = arg;
    uv_close((uv_handle_t *)&watch->acknowledging, on_timer_closed);
}
