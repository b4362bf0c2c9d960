#include "lorawan/keys.h"

#include <assert.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/cursor.h"

enum direction {
    DECRYPT = 0, /* the values of EVP_CipherInit_ex() */
    ENCRYPT = 1,
};

void key_wipe(void *secret, size_t size)
{
    if (size > 0) {
        OPENSSL_cleanse(secret, size);
    }
}

bool key_is_zero(const struct key *key)
{
    uint8_t any = 0;

    for (size_t i = 0; i < KEY_SIZE; i++) {
        any |= key->octets[i];
    }
    return any == 0;
}

/* One block of AES-128, the mode of every derivation here. `ret_block` may be `block`. */
static enum err aes128(const struct key *key, enum direction direction,
                       const uint8_t block[KEY_SIZE], uint8_t ret_block[KEY_SIZE])
{
    enum err err = ERR_CRYPTO;
    uint8_t out[2 * KEY_SIZE]; /* EVP asks for a block more than goes in */
    int out_size = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

    if (ctx == NULL ||
        EVP_CipherInit_ex(ctx, EVP_aes_128_ecb(), NULL, key->octets, NULL, (int)direction) != 1 ||
        EVP_CIPHER_CTX_set_padding(ctx, 0) != 1 ||
        EVP_CipherUpdate(ctx, out, &out_size, block, KEY_SIZE) != 1 || out_size != KEY_SIZE) {
        goto out;
    }
    memcpy(ret_block, out, KEY_SIZE);
    err = ERR_OK;
out:
    key_wipe(out, sizeof(out));
    EVP_CIPHER_CTX_free(ctx); /* wipes the key schedule */
    return err;
}

/* aes128_encrypt(key, first octet | zeros) */
static enum err derive(const struct key *key, uint8_t first, struct key *ret_key)
{
    uint8_t block[KEY_SIZE] = {first};

    return aes128(key, ENCRYPT, block, ret_key->octets);
}

enum err key_mc_root(const struct key *root, enum lorawan_version version,
                     struct key *ret_mc_root_key)
{
    return derive(root, version == LORAWAN_1_1 ? 0x20 : 0x00, ret_mc_root_key);
}

enum err key_mc_ke(const struct key *mc_root_key, struct key *ret_mc_ke_key)
{
    return derive(mc_root_key, 0x00, ret_mc_ke_key);
}

enum err key_mc_key_encrypt(const struct key *mc_ke_key, const struct key *mc_key,
                            uint8_t ret_encrypted[KEY_SIZE])
{
    /* Decryption is no slip: a device then needs the encrypting half of AES only. */
    return aes128(mc_ke_key, DECRYPT, mc_key->octets, ret_encrypted);
}

/* aes128_encrypt(McKey, usage | McAddr | zeros) */
static enum err derive_session(const struct key *mc_key, uint8_t usage, uint32_t mc_addr,
                               struct key *ret_key)
{
    uint8_t block[KEY_SIZE] = {0};
    struct writer w;

    writer_init(&w, block, sizeof(block));
    write_u8(&w, usage);
    write_u32(&w, mc_addr);
    return aes128(mc_key, ENCRYPT, block, ret_key->octets);
}

enum err key_mc_session(const struct key *mc_key, uint32_t mc_addr,
                        struct mc_session_keys *ret_keys)
{
    struct mc_session_keys keys;
    enum err err = derive_session(mc_key, 0x01, mc_addr, &keys.mc_app_s_key);

    if (err == ERR_OK) {
        err = derive_session(mc_key, 0x02, mc_addr, &keys.mc_nwk_s_key);
    }
    if (err == ERR_OK) {
        *ret_keys = keys;
    }
    key_wipe(&keys, sizeof(keys));
    return err;
}

enum err key_data_block_int(const struct key *root, struct key *ret_key)
{
    return derive(root, 0x30, ret_key);
}

enum err key_data_block_mic(const struct key *data_block_int_key, uint16_t session_cnt,
                            uint8_t frag_index, const uint8_t descriptor[4], const uint8_t *data,
                            size_t data_size, uint8_t ret_mic[4])
{
    enum err err = ERR_CRYPTO;
    uint8_t b0[KEY_SIZE];
    uint8_t cmac[KEY_SIZE];
    size_t cmac_size = 0;
    char cipher[] = "AES-128-CBC"; /* OSSL_PARAM wants it writable */
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, cipher, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "CMAC", NULL);
    EVP_MAC_CTX *ctx = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;
    struct writer w;

    assert(frag_index <= 3 && data_size <= UINT32_MAX);
    /* B0 of TS004-2.0.0: the length, as the data, is without padding. */
    writer_init(&w, b0, sizeof(b0));
    write_u8(&w, 0x49);
    write_u16(&w, session_cnt);
    write_u8(&w, frag_index);
    write_bytes(&w, descriptor, 4);
    write_u32(&w, 0);
    write_u32(&w, (uint32_t)data_size);
    if (ctx == NULL || EVP_MAC_init(ctx, data_block_int_key->octets, KEY_SIZE, params) != 1 ||
        EVP_MAC_update(ctx, b0, sizeof(b0)) != 1 ||
        (data_size > 0 && EVP_MAC_update(ctx, data, data_size) != 1) ||
        EVP_MAC_final(ctx, cmac, &cmac_size, sizeof(cmac)) != 1 || cmac_size != sizeof(cmac)) {
        goto out;
    }
    memcpy(ret_mic, cmac, 4);
    err = ERR_OK;
out:
    key_wipe(cmac, sizeof(cmac));
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
    return err;
}
