/* virtual_device.h - the devices of fuota-sim for the in-memory world: their header and the core's
 * share names, so they meet in virtual_device.c alone. */
#ifndef SIM_VIRTUAL_DEVICE_H
#define SIM_VIRTUAL_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct virtual_device;

enum virtual_kind {
    VIRTUAL_LETTER,
    VIRTUAL_LORAMAC,
    VIRTUAL_LBM,
    VIRTUAL_ZEPHYR,
    VIRTUAL_KIND_COUNT
};

struct virtual_config {
    uint64_t dev_eui, seed;
    enum virtual_kind kind;
    uint8_t root_key[16];
    uint32_t uplink_interval_ms;
    bool has_no_clock, is_deaf, is_mute, refuses_group, answers_late;
    int64_t clock_offset_ms;
    uint8_t refused_session_bits, refused_frag_bits;
    uint16_t lost_max;
    int64_t rejoin_after_ms;
    uint16_t rejoin_at_fragment;
    bool restarts_silently; /* its restarts are no joins, but it forgets its sessions, too */
    /* returns for how long it sends nothing else */
    uint32_t (*on_uplink)(void *arg, uint32_t index, uint8_t f_port, const uint8_t *data,
                          size_t size);
    void (*on_join)(void *arg, uint32_t index);
    void *arg;
    uint32_t index;
};

struct virtual_device *virtual_device_new(const struct virtual_config *config, int64_t now_ms);
void virtual_device_free(struct virtual_device *v);
void virtual_device_downlink(struct virtual_device *v, uint8_t f_port, const uint8_t *data,
                             size_t size, int64_t now_ms);
/* Whether the device took the frame. */
bool virtual_device_multicast(struct virtual_device *v, uint32_t mc_addr,
                              const uint8_t app_s_key[16], const uint8_t nwk_s_key[16],
                              uint32_t f_cnt, uint32_t frequency_hz, uint8_t dr, uint8_t f_port,
                              const uint8_t *data, size_t size, int64_t now_ms);
int64_t virtual_device_next_wake(const struct virtual_device *v);
void virtual_device_wake(struct virtual_device *v, int64_t now_ms);
const uint8_t *virtual_device_image(const struct virtual_device *v,
                                    size_t *ret_size); /* NULL: none */
/* Whether its clock is right to a few seconds. */
bool virtual_device_knows_time(const struct virtual_device *v);
uint32_t virtual_device_restarts(const struct virtual_device *v);
void virtual_device_reason(const struct virtual_device *v, char *text, size_t text_size);

#endif
