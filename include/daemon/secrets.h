/*
 * secrets.h - random octets, hashes, and sealing what lies in the database (AES-256-GCM). Wraps
 * libcrypto.
 */
#ifndef DAEMON_SECRETS_H
#define DAEMON_SECRETS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hex.h"

#define SEAL_KEY_SIZE    32
#define SEAL_OVERHEAD    28 /* nonce and tag */
#define SEAL_KEY_ID_SIZE 17 /* 16 digits and the end */
#define SEAL_KEY_OLD_MAX 64

/* Seals are made with the current key; the old ones only open, until everything is sealed anew. */
struct seal_keys {
    uint8_t current[SEAL_KEY_SIZE];
    uint8_t old[SEAL_KEY_OLD_MAX][SEAL_KEY_SIZE];
    size_t old_count;
};

/* Fills `octets` from the system's generator; ends the program where there is none. */
void secrets_random(void *octets, size_t size);
struct uuid secrets_uuid(void); /* version 4 */
void secrets_sha256(const void *octets, size_t size, uint8_t ret_hash[32]);

/* A name for the key, which says nothing about it: a fingerprint. */
void seal_key_id(const uint8_t key[SEAL_KEY_SIZE], char ret_id[SEAL_KEY_ID_SIZE]);
/* Writes size + SEAL_OVERHEAD octets. ERR_CRYPTO: libcrypto failed. */
MUST_CHECK enum err seal(const uint8_t key[SEAL_KEY_SIZE], const void *octets, size_t size,
                         uint8_t *ret_sealed);
/* `sealed_size` - SEAL_OVERHEAD octets come out. ERR_FORMAT: not sealed with this key, or altered.
 */
MUST_CHECK enum err unseal(const uint8_t key[SEAL_KEY_SIZE], const uint8_t *sealed,
                           size_t sealed_size, void *ret_octets);

/* The key whose fingerprint is `id`, the current one or an old one; NULL: none of them. */
const uint8_t *seal_keys_find(const struct seal_keys *keys, const char *id);

#endif
