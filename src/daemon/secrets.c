#include "daemon/secrets.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "lorawan/keys.h"

#define NONCE_SIZE 12
#define TAG_SIZE   16

void secrets_random(void *octets, size_t size)
{
    if (RAND_bytes(octets, (int)size) != 1) {
        abort();
    }
}

struct uuid secrets_uuid(void)
{
    struct uuid id;

    secrets_random(&id, sizeof(id));
    id.octets[6] = (uint8_t)((id.octets[6] & 0x0F) | 0x40);
    id.octets[8] = (uint8_t)((id.octets[8] & 0x3F) | 0x80);
    return id;
}

void secrets_sha256(const void *octets, size_t size, uint8_t ret_hash[32])
{
    if (EVP_Digest(octets, size, ret_hash, NULL, EVP_sha256(), NULL) != 1) {
        abort();
    }
}

void seal_key_id(const uint8_t key[SEAL_KEY_SIZE], char ret_id[SEAL_KEY_ID_SIZE])
{
    static const char purpose[] = "fuotad seal key id";
    uint8_t input[sizeof(purpose) + SEAL_KEY_SIZE], hash[32];

    memcpy(input, purpose, sizeof(purpose));
    memcpy(input + sizeof(purpose), key, SEAL_KEY_SIZE);
    secrets_sha256(input, sizeof(input), hash);
    hex_encode(hash, 8, ret_id);
    key_wipe(input, sizeof(input));
}

const uint8_t *seal_keys_find(const struct seal_keys *keys, const char *id)
{
    char other[SEAL_KEY_ID_SIZE];

    seal_key_id(keys->current, other);
    if (strcmp(id, other) == 0) {
        return keys->current;
    }
    for (size_t i = 0; i < keys->old_count; i++) {
        seal_key_id(keys->old[i], other);
        if (strcmp(id, other) == 0) {
            return keys->old[i];
        }
    }
    return NULL;
}

enum err seal(const uint8_t key[SEAL_KEY_SIZE], const void *octets, size_t size,
              uint8_t *ret_sealed)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    uint8_t *text = ret_sealed + NONCE_SIZE;
    int written = 0, rest = 0;
    enum err err = ERR_CRYPTO;

    secrets_random(ret_sealed, NONCE_SIZE);
    if (ctx != NULL && EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, ret_sealed) == 1 &&
        EVP_EncryptUpdate(ctx, text, &written, octets, (int)size) == 1 &&
        EVP_EncryptFinal_ex(ctx, text + written, &rest) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, text + size) == 1) {
        err = ERR_OK;
    }
    EVP_CIPHER_CTX_free(ctx);
    return err;
}

enum err unseal(const uint8_t key[SEAL_KEY_SIZE], const uint8_t *sealed, size_t sealed_size,
                void *ret_octets)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    uint8_t tag[TAG_SIZE];
    int written = 0, rest = 0;
    enum err err = ERR_FORMAT;

    if (ctx == NULL || sealed_size < SEAL_OVERHEAD) {
        goto out;
    }
    size_t size = sealed_size - SEAL_OVERHEAD;
    memcpy(tag, sealed + NONCE_SIZE + size, TAG_SIZE);
    if (EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, sealed) == 1 &&
        EVP_DecryptUpdate(ctx, ret_octets, &written, sealed + NONCE_SIZE, (int)size) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, tag) == 1 &&
        EVP_DecryptFinal_ex(ctx, (uint8_t *)ret_octets + written, &rest) == 1) {
        err = ERR_OK;
    } else {
        key_wipe(ret_octets, size);
    }
out:
    EVP_CIPHER_CTX_free(ctx);
    return err;
}
