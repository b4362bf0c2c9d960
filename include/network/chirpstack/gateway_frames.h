/*
 * gateway_frames.h - what ChirpStack and its gateways tell each other: gw.DownlinkFrame and
 * gw.DownlinkTxAck, JSON or Protobuf.
 *
 * No I/O. Bytes from a broker: everything is checked, nothing is taken for granted.
 */
#ifndef NETWORK_CHIRPSTACK_GATEWAY_FRAMES_H
#define NETWORK_CHIRPSTACK_GATEWAY_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "network/driver.h"

/* `<prefix>/gateway/<id>/command/down` and `.../event/ack`. */
enum gateway_topic {
    GATEWAY_DOWN,
    GATEWAY_ACK,
};

struct gateway_downlink {
    uint32_t downlink_id;
    uint32_t dev_addr;
    uint16_t f_cnt;
};

struct gateway_ack {
    uint32_t downlink_id;
    enum network_tx tx;
};

/* ERR_UNKNOWN: none of the two. */
MUST_CHECK enum err gateway_topic_read(const char *topic, uint64_t *ret_gateway_id,
                                       enum gateway_topic *ret_topic);
/*
 * Of the first item, where it is an unconfirmed data downlink.
 *
 * ERR_FORMAT   malformed
 * ERR_MISSING  another kind of frame
 */
MUST_CHECK enum err gateway_downlink_decode(const uint8_t *payload, size_t size,
                                            struct gateway_downlink *ret);
/* The first status that is not IGNORED. ERR_FORMAT: malformed; ERR_MISSING: no status. */
MUST_CHECK enum err gateway_ack_decode(const uint8_t *payload, size_t size,
                                       struct gateway_ack *ret);

#endif
