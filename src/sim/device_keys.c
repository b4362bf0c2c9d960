/* AES-128 on single blocks; the one file of the virtual device that uses libcrypto. */
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "sim/device_packages.h"

static bool encrypt_block(const uint8_t key[DEVICE_KEY_SIZE], const uint8_t in[DEVICE_KEY_SIZE],
                          uint8_t out[DEVICE_KEY_SIZE])
{
    int size = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool done = ctx != NULL && EVP_EncryptInit_ex(ctx, EVP_aes_128_ecb(), NULL, key, NULL) == 1 &&
                EVP_CIPHER_CTX_set_padding(ctx, 0) == 1 &&
                EVP_EncryptUpdate(ctx, out, &size, in, DEVICE_KEY_SIZE) == 1 &&
                size == DEVICE_KEY_SIZE;

    EVP_CIPHER_CTX_free(ctx);
    return done;
}

static bool session_key(const uint8_t mc_key[DEVICE_KEY_SIZE], uint8_t type, uint32_t mc_addr,
                        uint8_t ret_key[DEVICE_KEY_SIZE])
{
    uint8_t block[DEVICE_KEY_SIZE] = {type, (uint8_t)mc_addr, (uint8_t)(mc_addr >> 8),
                                      (uint8_t)(mc_addr >> 16), (uint8_t)(mc_addr >> 24)};

    return encrypt_block(mc_key, block, ret_key);
}

enum err device_keys_derive(const uint8_t root_key[DEVICE_KEY_SIZE], bool is_lorawan_1_1,
                            const uint8_t mc_key_encrypted[DEVICE_KEY_SIZE], uint32_t mc_addr,
                            uint8_t ret_app_s_key[DEVICE_KEY_SIZE],
                            uint8_t ret_nwk_s_key[DEVICE_KEY_SIZE])
{
    const uint8_t zeros[DEVICE_KEY_SIZE] = {0};
    const uint8_t root_block[DEVICE_KEY_SIZE] = {is_lorawan_1_1 ? 0x20 : 0x00};
    uint8_t mc_root_key[DEVICE_KEY_SIZE];
    uint8_t mc_ke_key[DEVICE_KEY_SIZE];
    uint8_t mc_key[DEVICE_KEY_SIZE];
    bool done = encrypt_block(root_key, root_block, mc_root_key) &&
                encrypt_block(mc_root_key, zeros, mc_ke_key) &&
                encrypt_block(mc_ke_key, mc_key_encrypted, mc_key) &&
                session_key(mc_key, 1, mc_addr, ret_app_s_key) &&
                session_key(mc_key, 2, mc_addr, ret_nwk_s_key);

    OPENSSL_cleanse(mc_root_key, sizeof(mc_root_key));
    OPENSSL_cleanse(mc_ke_key, sizeof(mc_ke_key));
    OPENSSL_cleanse(mc_key, sizeof(mc_key));
    return done ? ERR_OK : ERR_CRYPTO;
}
