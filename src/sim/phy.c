#include "sim/phy.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#define BLOCK_SIZE          16
#define HEAD_SIZE           9    /* MHDR, DevAddr, FCtrl, FCnt, FPort */
#define UNCONFIRMED_DOWN    0x60 /* MHDR: MType 3, LoRaWAN R1 */
#define MIC_SIZE            4
#define DIRECTION_DOWNWARDS 1

/* What the blocks A1 (4.3.3.1) and B0 (4.4) have in common. */
static void fill_block(const struct phy_downlink *frame, uint8_t first, uint8_t last,
                       uint8_t block[BLOCK_SIZE])
{
    memset(block, 0, BLOCK_SIZE);
    block[0] = first;
    block[5] = DIRECTION_DOWNWARDS;
    for (int i = 0; i < 4; i++) {
        block[6 + i] = (uint8_t)(frame->dev_addr >> 8 * i);
        block[10 + i] = (uint8_t)(frame->f_cnt >> 8 * i);
    }
    block[15] = last;
}

/* Counter mode from A1 on: the last octet counts the blocks, of which there are at most 16. */
static bool encrypt(const struct phy_downlink *frame, uint8_t *out)
{
    uint8_t block[BLOCK_SIZE];
    int size = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

    fill_block(frame, 0x01, 1, block);
    bool done = ctx != NULL &&
                EVP_EncryptInit_ex(ctx, EVP_aes_128_ctr(), NULL, frame->app_s_key, block) == 1 &&
                (frame->size == 0 ||
                 EVP_EncryptUpdate(ctx, out, &size, frame->payload, (int)frame->size) == 1);
    EVP_CIPHER_CTX_free(ctx);
    return done;
}

static bool sign(const struct phy_downlink *frame, const uint8_t *octets, size_t size, uint8_t *mic)
{
    uint8_t block[BLOCK_SIZE];
    uint8_t cmac[BLOCK_SIZE];
    size_t cmac_size = 0;
    char cipher[] = "AES-128-CBC";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, cipher, 0),
                           OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "CMAC", NULL);
    EVP_MAC_CTX *ctx = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;

    fill_block(frame, 0x49, (uint8_t)size, block);
    bool done =
        ctx != NULL && EVP_MAC_init(ctx, frame->nwk_s_key, sizeof(frame->nwk_s_key), params) == 1 &&
        EVP_MAC_update(ctx, block, sizeof(block)) == 1 && EVP_MAC_update(ctx, octets, size) == 1 &&
        EVP_MAC_final(ctx, cmac, &cmac_size, sizeof(cmac)) == 1;
    if (done) {
        memcpy(mic, cmac, MIC_SIZE);
    }
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
    return done;
}

enum err phy_encode(const struct phy_downlink *frame, uint8_t ret_octets[PHY_SIZE_MAX],
                    size_t *ret_size)
{
    size_t size = HEAD_SIZE + frame->size;
    uint8_t octets[PHY_SIZE_MAX] = {
        UNCONFIRMED_DOWN,
        (uint8_t)frame->dev_addr,
        (uint8_t)(frame->dev_addr >> 8),
        (uint8_t)(frame->dev_addr >> 16),
        (uint8_t)(frame->dev_addr >> 24),
        0, /* FCtrl: no ADR, ACK, FPending, FOpts */
        (uint8_t)frame->f_cnt,
        (uint8_t)(frame->f_cnt >> 8),
        frame->f_port,
    };

    assert(frame->size <= DEVICE_PAYLOAD_SIZE_MAX);
    if (!encrypt(frame, octets + HEAD_SIZE) || !sign(frame, octets, size, octets + size)) {
        return ERR_CRYPTO;
    }
    memcpy(ret_octets, octets, size + MIC_SIZE);
    *ret_size = size + MIC_SIZE;
    return ERR_OK;
}
