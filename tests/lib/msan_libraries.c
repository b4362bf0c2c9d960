/*
 * msan_libraries.c - tells MemorySanitizer what libraries that are not instrumented have written.
 *
 * Linked into the tests of a build with FUOTAD_SANITIZE=memory, where the linker sends each call of these functions to
 * its __wrap_ form (--wrap in cmake/tests.cmake). What is not listed there stays under suspicion.
 */
#include <stdlib.h>

#include <cjson/cJSON.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sanitizer/msan_interface.h>

int __real_EVP_CipherUpdate(EVP_CIPHER_CTX *ctx, unsigned char *out, int *out_size,
                            const unsigned char *in, int in_size);
int __wrap_EVP_CipherUpdate(EVP_CIPHER_CTX *ctx, unsigned char *out, int *out_size,
                            const unsigned char *in, int in_size);
int __real_EVP_EncryptUpdate(EVP_CIPHER_CTX *ctx, unsigned char *out, int *out_size,
                             const unsigned char *in, int in_size);
int __wrap_EVP_EncryptUpdate(EVP_CIPHER_CTX *ctx, unsigned char *out, int *out_size,
                             const unsigned char *in, int in_size);
int __real_EVP_MAC_final(EVP_MAC_CTX *ctx, unsigned char *out, size_t *out_size, size_t capacity);
int __wrap_EVP_MAC_final(EVP_MAC_CTX *ctx, unsigned char *out, size_t *out_size, size_t capacity);
cJSON *__real_cJSON_Parse(const char *text);
cJSON *__wrap_cJSON_Parse(const char *text);
cJSON *__real_cJSON_ParseWithLength(const char *text, size_t size);
cJSON *__wrap_cJSON_ParseWithLength(const char *text, size_t size);

/* The configuration of libcrypto is a file that tests do not need, and its name looks uninitialised. */
static void __attribute__((constructor)) begin(void)
{
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
}

/* The input is read by libcrypto, which MemorySanitizer does not see either. */
static void written(int result, const unsigned char *in, int in_size, unsigned char *out,
                    int *out_size)
{
    __msan_check_mem_is_initialized(in, (size_t)in_size);
    if (result == 1) {
        __msan_unpoison(out_size, sizeof(*out_size));
        __msan_unpoison(out, (size_t)*out_size);
    }
}

int __wrap_EVP_CipherUpdate(EVP_CIPHER_CTX *ctx, unsigned char *out, int *out_size,
                            const unsigned char *in, int in_size)
{
    int result = __real_EVP_CipherUpdate(ctx, out, out_size, in, in_size);

    written(result, in, in_size, out, out_size);
    return result;
}

int __wrap_EVP_EncryptUpdate(EVP_CIPHER_CTX *ctx, unsigned char *out, int *out_size,
                             const unsigned char *in, int in_size)
{
    int result = __real_EVP_EncryptUpdate(ctx, out, out_size, in, in_size);

    written(result, in, in_size, out, out_size);
    return result;
}

int __wrap_EVP_MAC_final(EVP_MAC_CTX *ctx, unsigned char *out, size_t *out_size, size_t capacity)
{
    int result = __real_EVP_MAC_final(ctx, out, out_size, capacity);

    if (result == 1) {
        __msan_unpoison(out_size, sizeof(*out_size));
        __msan_unpoison(out, *out_size);
    }
    return result;
}

static void unpoison_tree(cJSON *item)
{
    for (; item != NULL; item = item->next) {
        __msan_unpoison(item, sizeof(*item));
        if (item->string != NULL) {
            __msan_unpoison_string(item->string);
        }
        if (item->valuestring != NULL) {
            __msan_unpoison_string(item->valuestring);
        }
        unpoison_tree(item->child);
    }
}

cJSON *__wrap_cJSON_Parse(const char *text)
{
    cJSON *root = __real_cJSON_Parse(text);

    unpoison_tree(root);
    return root;
}

cJSON *__wrap_cJSON_ParseWithLength(const char *text, size_t size)
{
    cJSON *root = __real_cJSON_ParseWithLength(text, size);

    unpoison_tree(root);
    return root;
}
