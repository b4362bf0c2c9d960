/*
 * phy.h - a downlink as it is on the air: LoRaWAN 1.0, unconfirmed data, encrypted, with its MIC.
 */
#ifndef SIM_PHY_H
#define SIM_PHY_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "sim/device.h"

#define PHY_SIZE_MAX (13 + DEVICE_PAYLOAD_SIZE_MAX) /* MHDR, FHDR, FPort, FRMPayload, MIC */

struct phy_downlink {
    uint32_t dev_addr;
    uint32_t f_cnt; /* all 32 bits */
    uint8_t f_port;
    const uint8_t *payload; /* borrowed; plain */
    size_t size;            /* at most DEVICE_PAYLOAD_SIZE_MAX */
    uint8_t app_s_key[DEVICE_KEY_SIZE];
    uint8_t nwk_s_key[DEVICE_KEY_SIZE];
};

/*
 * Writes PHYPayload and its size.
 *
 * ERR_CRYPTO  libcrypto failed
 */
MUST_CHECK enum err phy_encode(const struct phy_downlink *frame, uint8_t ret_octets[PHY_SIZE_MAX],
                               size_t *ret_size);

#endif
