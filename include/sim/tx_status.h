/*
 * tx_status.h - what a gateway says about a frame it was given: TxAckStatus of ChirpStack.
 *
 * Pure. The values are those on the wire.
 */
#ifndef SIM_TX_STATUS_H
#define SIM_TX_STATUS_H

#include "base/err.h"

enum tx_status {
    TX_IGNORED, /* another item of the same frame was sent */
    TX_OK,
    TX_TOO_LATE, /* from here on: refusals */
    TX_TOO_EARLY,
    TX_COLLISION_PACKET,
    TX_COLLISION_BEACON,
    TX_FREQ,
    TX_POWER,
    TX_GPS_UNLOCKED,
    TX_QUEUE_FULL,
    TX_INTERNAL_ERROR,
    TX_DUTY_CYCLE_OVERFLOW,
    TX_STATUS_COUNT,
};

/* As ChirpStack writes it. */
const char *tx_status_name(enum tx_status status);
/* ERR_UNKNOWN  no refusal has that name */
MUST_CHECK enum err tx_status_parse_refusal(const char *name, enum tx_status *ret_status);
/* The names of the refusals, space separated. */
const char *tx_status_refusals(void);

#endif
