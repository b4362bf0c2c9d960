/*
 * mqtt.h - an MQTT 5 subscriber whose acknowledgements wait for the commit.
 *
 * Wraps libmosquitto; no type of it shows here. Messages come in batches: after a batch nothing
 * more is read, and no PUBACK leaves, until mqtt_acknowledge(). A program that dies before it gets
 * the batch again from the broker.
 */
#ifndef NETWORK_CHIRPSTACK_MQTT_H
#define NETWORK_CHIRPSTACK_MQTT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct uv_loop_s;
struct mqtt;

struct mqtt_options {
    const char *host;
    uint16_t port;
    const char *client_id; /* fixed: the broker keeps the session under it */
    const char *username;  /* NULL: none */
    const char *password;  /* copied into libmosquitto; NULL: none */
    bool is_tls;
    const char *ca_file, *cert_file, *key_file; /* NULL: the system's, none */
    uint16_t keep_alive_s;
    uint32_t session_expiry_s;
    uint16_t receive_max; /* unacknowledged messages, and the size of a batch */
};

struct mqtt_callbacks {
    void (*on_message)(void *arg, const char *topic, const uint8_t *payload, size_t size, int qos);
    /* The batch, which has at least one message, is over. */
    void (*on_batch)(void *arg);
    /* `text` NULL: connected, and all is well; `is_session_kept`: the broker had kept our session.
     * Otherwise why it was lost, or which subscription the broker refuses (it is asked for again
     * until it is granted or given up). */
    void (*on_state)(void *arg, const char *text, bool is_session_kept);
    /* Whether it may connect now; NULL: always. Asked again after a while. */
    bool (*may_connect)(void *arg);
};

/* Whether mqtt_new() takes these options. ERR_IO: libmosquitto refuses them (certificate files). */
MUST_CHECK enum err mqtt_check_options(const struct mqtt_options *options);
/* ERR_IO: libmosquitto refuses the options. Texts are copied. */
MUST_CHECK enum err mqtt_new(struct uv_loop_s *loop, const struct mqtt_options *options,
                             const struct mqtt_callbacks *callbacks, void *arg,
                             struct mqtt **ret_mqtt);
/* Subscribes at QoS 1, now and after each reconnection. */
void mqtt_subscribe(struct mqtt *mqtt, const char *filter);
void mqtt_unsubscribe(struct mqtt *mqtt, const char *filter);
void mqtt_acknowledge(struct mqtt *mqtt);
/* The batch could not be committed: the connection is dropped, nothing acknowledged, and the broker
 * delivers again. */
void mqtt_reject(struct mqtt *mqtt);
void mqtt_close(struct mqtt *mqtt, void (*cb)(void *arg), void *arg);

#endif
