/*
 * chirpstack.h - the driver for ChirpStack v4: events by MQTT, calls by gRPC.
 */
#ifndef NETWORK_CHIRPSTACK_CHIRPSTACK_H
#define NETWORK_CHIRPSTACK_CHIRPSTACK_H

#include "base/err.h"
#include "network/chirpstack/grpc.h"
#include "network/chirpstack/mqtt.h"
#include "network/driver.h"

struct uv_loop_s;

struct chirpstack_options {
    struct mqtt_options mqtt;
    struct grpc_options grpc;
    /* "application/{application_id}/device/{dev_eui}/event/{event}": how ChirpStack's event_topic
     * was configured; every placeholder once, each alone between slashes. */
    const char *event_topic;
    /* Topic prefixes of the gateways, as "eu868", ending with NULL; NULL: does not listen to them. */
    const char *const *gateway_prefixes;
    struct mqtt_options gateway_mqtt; /* of the broker of the gateways */
    int leap_s;
};

/* ERR_IO: the MQTT library refuses the options. The driver lives until its close(). */
MUST_CHECK enum err chirpstack_new(struct uv_loop_s *loop, const struct chirpstack_options *options,
                                   const struct network_callbacks *callbacks, void *arg,
                                   struct network_driver *ret_driver);

#endif
