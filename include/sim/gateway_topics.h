/*
 * gateway_topics.h - what the network server and its gateways tell each other over MQTT, for others
 * to listen to: gw.DownlinkFrame and gw.DownlinkTxAck.
 *
 * Nothing is published without --gateway-topics.
 */
#ifndef SIM_GATEWAY_TOPICS_H
#define SIM_GATEWAY_TOPICS_H

#include <stddef.h>
#include <stdint.h>

#include "sim/network.h"
#include "sim/phy.h"
#include "sim/tx_status.h"

/* `<prefix>/gateway/<gateway id>/command/down`: the frame, once for each of its items. */
void gateway_topics_down(struct network *network, const struct downlink *downlink,
                         const struct phy_downlink *frame);
/* `<prefix>/gateway/<gateway id>/event/ack`: the status of each item. */
void gateway_topics_ack(struct network *network, const struct downlink *downlink);

#endif
