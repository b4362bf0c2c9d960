/*
 * mqtt.h - the connection to the broker: MQTT 5, QoS 1, publishing only. Wraps libmosquitto on a
 * libuv loop.
 */
#ifndef SIM_MQTT_H
#define SIM_MQTT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "base/err.h"

struct mqtt;

/* Called once, when the broker has accepted the first connection. */
typedef void mqtt_connected_fn(void *arg);

/*
 * Begins to connect, and connects again every second as long as there is no connection.
 *
 * ERR_NO_MEMORY
 */
MUST_CHECK enum err mqtt_new(uv_loop_t *loop, const char *host, int port, const char *client_id,
                             mqtt_connected_fn *on_connected, void *arg, struct mqtt **ret_mqtt);

/* Sends what is queued if the socket takes it, disconnects, closes the handles; frees `mqtt` once
 * they are closed. */
void mqtt_close(struct mqtt *mqtt);

/*
 * Publishes; the payload is copied.
 *
 * ERR_UNAVAILABLE  there is no connection: the event is lost, as ChirpStack's are
 * ERR_IO           libmosquitto refused it
 */
MUST_CHECK enum err mqtt_publish(struct mqtt *mqtt, const char *topic, const void *payload,
                                 size_t size);

#endif
