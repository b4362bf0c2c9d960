/*
 * events.h - what the network server publishes over MQTT about its devices, in JSON or Protobuf.
 */
#ifndef SIM_EVENTS_H
#define SIM_EVENTS_H

#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/err.h"
#include "base/hex.h"
#include "sim/network.h"

enum log_code { LOG_DOWNLINK_PAYLOAD_SIZE = 1, LOG_DOWNLINK_GATEWAY = 8, LOG_EXPIRED = 11 };

/* An uplink that came through the gateways in `heard_mask`. */
void events_up(struct sim_device *d, uint32_t f_cnt, uint8_t f_port, const uint8_t *payload,
               size_t size, uint32_t heard_mask);
void events_join(struct sim_device *d);
void events_txack(struct sim_device *d, const struct uuid *item_id, uint32_t downlink_id,
                  uint32_t f_cnt_down, size_t gateway_index);
/* `item` may be NULL. */
void events_log(struct sim_device *d, enum log_code code, const char *description,
                const struct queue_item *item);

/* Publishes the message in the encoding of the options; what gets lost is counted. */
void events_publish(struct network *network, const char *topic, const ProtobufCMessage *message);

#endif
