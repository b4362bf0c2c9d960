#include "lorawan/airtime.h"

#include <assert.h>

enum {
    PHY_SIZE_MAX = 255,               /* the length is one octet in both modulations */
    FSK_FRAMING_SIZE = 5 + 3 + 1 + 2, /* preamble, sync word, length, CRC */
};

static uint32_t lora_airtime_us(const struct data_rate *data_rate, uint32_t phy_size, bool has_crc)
{
    uint32_t sf = data_rate->spreading_factor;
    uint32_t symbol_us = (uint32_t)((UINT64_C(1000000) << sf) / data_rate->bandwidth_hz);
    uint32_t bits_per_symbol = sf - (symbol_us >= 16000 ? 2 : 0);
    /* 8 PL - 4 SF + 28 + 16 CRC, the header explicit */
    int32_t bits = 8 * (int32_t)phy_size - 4 * (int32_t)sf + 28 + (has_crc ? 16 : 0);
    uint32_t blocks = 0;

    if (bits > 0) {
        blocks = ((uint32_t)bits + 4 * bits_per_symbol - 1) / (4 * bits_per_symbol);
    }
    /* The preamble has 8 + 4.25 symbols; a quarter of a symbol is whole microseconds at every
     * bandwidth we have. */
    return symbol_us * 49 / 4 + (8 + blocks * 5) * symbol_us;
}

uint32_t airtime_us(const struct data_rate *data_rate, size_t phy_size, bool is_uplink)
{
    assert(phy_size <= PHY_SIZE_MAX);
    if (data_rate->modulation == MODULATION_FSK) {
        assert(data_rate->bit_rate > 0);
        uint64_t bits = 8 * ((uint64_t)phy_size + FSK_FRAMING_SIZE);
        return (uint32_t)(bits * 1000000 / data_rate->bit_rate);
    }
    assert(data_rate->spreading_factor >= 7 && data_rate->spreading_factor <= 12);
    assert(data_rate->bandwidth_hz > 0);
    return lora_airtime_us(data_rate, (uint32_t)phy_size, is_uplink);
}
