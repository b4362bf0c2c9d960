/*
 * airtime.h - how long a frame is on air.
 *
 * Pure. Spec: Semtech AN1200.13 for LoRa (preamble 8 symbols, explicit header, CRC off for downlinks as LoRaWAN does it,
 * on for uplinks, code rate 4/5, low data rate optimisation from a symbol time of 16 ms on), SX127x for FSK (preamble 5,
 * sync word 3, length 1, CRC 2 octets).
 */
#ifndef LORAWAN_AIRTIME_H
#define LORAWAN_AIRTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lorawan/region.h"

#define PHY_OVERHEAD 13 /* octets of a data frame without FOpts around its FRMPayload, FPort and MIC included */

/* Microseconds on air of a PHYPayload of `phy_size` octets at `data_rate`. */
uint32_t airtime_us(const struct data_rate *data_rate, size_t phy_size, bool is_uplink);

#endif
