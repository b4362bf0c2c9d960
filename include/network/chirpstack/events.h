/*
 * events.h - ChirpStack's integration events, JSON or Protobuf, told apart by their first octet.
 *
 * No I/O. Bytes from a broker: everything is checked, nothing is taken for granted.
 */
#ifndef NETWORK_CHIRPSTACK_EVENTS_H
#define NETWORK_CHIRPSTACK_EVENTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "network/driver.h"

enum events_topic {
    EVENTS_UP,
    EVENTS_JOIN,
    EVENTS_TXACK,
    EVENTS_LOG,
    EVENTS_TOPIC_COUNT,
};
/* "up", "join", "txack", "log" */
const char *events_topic_name(enum events_topic topic);

/*
 * Reads an event of `topic` into `*ret_event`, whose data point into `buffer` (NETWORK_PAYLOAD_MAX
 * octets). `leap_s`: GPS minus UTC.
 *
 * ERR_FORMAT   neither JSON nor Protobuf of that event, or a field is malformed; `*ret_field`
 * (static) names it ERR_MISSING  it says nothing to us: a log event without an item, an uplink
 * whose payload only a join server can decrypt
 */
MUST_CHECK enum err events_decode(enum events_topic topic, const uint8_t *payload, size_t size,
                                  int leap_s, uint8_t buffer[NETWORK_PAYLOAD_MAX],
                                  struct network_event *ret_event, const char **ret_field);

#endif
