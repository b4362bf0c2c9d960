/*
 * device_packages.h - what the files of the virtual device share: reading commands, collecting
 * answers, keys.
 *
 * Not for users of the device; those include sim/device.h.
 */
#ifndef SIM_DEVICE_PACKAGES_H
#define SIM_DEVICE_PACKAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"
#include "sim/device.h"

#define DEVICE_UNICAST (-1) /* instead of a group index */

/* One received payload on a package's port, and the answers it collects. */
struct exchange {
    struct device *device;
    enum package package;
    int group_index; /* DEVICE_UNICAST, or the group the payload came through */
    bool is_silent;  /* no answer goes out */
    uint32_t status_delay_ms;
    bool has_status;
    int64_t start_ms;
    uint8_t start_offset;
    struct writer answers;
    uint8_t octets[DEVICE_ANSWER_SIZE_MAX];
};

/* Octets of a downlink command behind its identifier; false for a command the device does not know.
 */
typedef bool command_size_fn(const struct device *device, uint8_t cid, size_t *ret_size);
typedef bool command_is_fn(uint8_t cid);
typedef void command_fn(struct exchange *x, uint8_t cid, struct reader *r);

struct package_def {
    uint8_t f_port;
    uint8_t identifier; /* PackageIdentifier */
    command_size_fn *command_size;
    command_fn *run;
    command_is_fn *is_alone;     /* the command takes the rest of its payload; may be NULL */
    command_is_fn *is_multicast; /* the command may come by multicast; NULL: the port has none */
};

extern const struct package_def device_clock_package;
extern const struct package_def device_multicast_package;
extern const struct package_def device_fragmentation_package;

/* Adds one answer to the exchange; it is dropped when the stack's uplink is full. */
void exchange_answer(struct exchange *x, const void *octets, size_t size);

/* device_answers.c: runs a payload received through `group_index`, and the answers that wait. */
void device_execute(struct device *device, int group_index, uint8_t f_port, const uint8_t *payload,
                    size_t size);
struct device_answer *device_answer_first(struct device *device);
void device_answer_send(struct device *device, struct device_answer *answer);

/* device_clock.c */
void device_clock_start(struct device *device);
int64_t device_clock_next(const struct device *device);
/* Sends AppTimeReq when one is due; true when it did. */
bool device_clock_wake(struct device *device);

/* device_multicast.c */
int64_t device_multicast_next(const struct device *device);
void device_multicast_wake(struct device *device);

/* device_fragmentation.c: a DataFragment, `group_index` as in struct exchange. */
void device_fragment(struct device *device, int group_index, uint8_t frag_index, uint16_t number,
                     const uint8_t *data, size_t size);

/* Sends an uplink now and notes for how long the device is busy. */
void device_send(struct device *device, uint8_t f_port, const uint8_t *payload, size_t size);
/* Uniform in `from` .. `to`, both included. */
uint32_t device_draw(struct device *device, uint32_t from, uint32_t to);

/*
 * The multicast session keys of LoRaWAN TS005: from the root key and McKey_encrypted.
 *
 * ERR_CRYPTO  the crypto library failed
 */
MUST_CHECK enum err device_keys_derive(const uint8_t root_key[DEVICE_KEY_SIZE], bool is_lorawan_1_1,
                                       const uint8_t mc_key_encrypted[DEVICE_KEY_SIZE],
                                       uint32_t mc_addr, uint8_t ret_app_s_key[DEVICE_KEY_SIZE],
                                       uint8_t ret_nwk_s_key[DEVICE_KEY_SIZE]);

#endif
