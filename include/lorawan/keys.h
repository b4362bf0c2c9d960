/*
 * keys.h - the key hierarchy of TS004 and TS005, for LoRaWAN 1.0.x and 1.1.
 *
 * Pure but for libcrypto, whose calls allocate. A key has a type of its own, is never logged, and is wiped by whoever
 * held it: key_wipe() is not optimised away.
 * Spec: TS005-1.0.0 section 4, TS004-2.0.0 section 3.
 *
 * Every function below: ERR_CRYPTO  libcrypto failed; the result is untouched.
 */
#ifndef LORAWAN_KEYS_H
#define LORAWAN_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define KEY_SIZE 16

struct key {
    uint8_t octets[KEY_SIZE];
};

enum lorawan_version {
    LORAWAN_1_0, /* 1.0.x: the root key of the packages is GenAppKey */
    LORAWAN_1_1, /* 1.1: it is AppKey */
};

/* The session keys of a multicast group. */
struct mc_session_keys {
    struct key mc_app_s_key;
    struct key mc_nwk_s_key;
};

/* Overwrites `size` octets so that the compiler keeps it. NULL with 0 is nothing. */
void key_wipe(void *secret, size_t size);
/* Whether all octets are zero: ChirpStack's "not set". Constant time. */
bool key_is_zero(const struct key *key);

MUST_CHECK enum err key_mc_root(const struct key *root, enum lorawan_version version,
                                struct key *ret_mc_root_key);
MUST_CHECK enum err key_mc_ke(const struct key *mc_root_key, struct key *ret_mc_ke_key);
/* McKey_encrypted = aes128_decrypt(McKEKey, McKey) */
MUST_CHECK enum err key_mc_key_encrypt(const struct key *mc_ke_key, const struct key *mc_key,
                                       uint8_t ret_encrypted[KEY_SIZE]);
MUST_CHECK enum err key_mc_session(const struct key *mc_key, uint32_t mc_addr,
                                   struct mc_session_keys *ret_keys);
/* DataBlockIntKey of TS004 v2; `root` as for key_mc_root(). */
MUST_CHECK enum err key_data_block_int(const struct key *root, struct key *ret_key);
/*
 * The MIC of TS004 v2 over the unpadded `data`: the first four octets of the CMAC, in transmission order.
 * `frag_index` 0..3; `data_size` below 2^32.
 */
MUST_CHECK enum err key_data_block_mic(const struct key *data_block_int_key, uint16_t session_cnt,
                                       uint8_t frag_index, const uint8_t descriptor[4],
                                       const uint8_t *data, size_t data_size, uint8_t ret_mic[4]);

#endif
