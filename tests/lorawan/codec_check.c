#include "lorawan/codec_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define UNTOUCHED      0xA5
#define SIZE_UNTOUCHED ((size_t)0xA5A5)

static void assert_untouched(const uint8_t *octets, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        assert_int_equal(octets[i], UNTOUCHED);
    }
}

/* Encodes into a buffer of exactly `buf_size`, which must stay untouched unless `want` is ERR_OK.
 * Free the result. */
static uint8_t *encode_into(encode_fn *encode, const void *req, size_t buf_size, enum err want,
                            size_t *ret_size)
{
    uint8_t *buf = malloc(buf_size > 0 ? buf_size : 1);

    assert_non_null(buf);
    memset(buf, UNTOUCHED, buf_size);
    *ret_size = SIZE_UNTOUCHED;
    assert_int_equal(encode(req, buf, buf_size, ret_size), want);
    if (want != ERR_OK) {
        assert_untouched(buf, buf_size);
        assert_int_equal(*ret_size, SIZE_UNTOUCHED);
    }
    return buf;
}

void check_encodes(encode_fn *encode, const void *req, const void *want, size_t want_size)
{
    size_t size;

    for (size_t buf_size = 0; buf_size < want_size; buf_size++) {
        free(encode_into(encode, req, buf_size, ERR_SPACE, &size));
    }
    for (size_t more = 0; more <= 3; more += 3) {
        uint8_t *buf = encode_into(encode, req, want_size + more, ERR_OK, &size);

        assert_int_equal(size, want_size);
        assert_memory_equal(buf, want, want_size);
        assert_untouched(buf + want_size, more);
        free(buf);
    }
}

void check_refuses(encode_fn *encode, const void *req)
{
    size_t size;

    free(encode_into(encode, req, 300, ERR_RANGE, &size));
    free(encode_into(encode, req, 0, ERR_RANGE, &size));
}

void check_decodes(decode_fn *decode, const void *payload, size_t payload_size, void *result,
                   size_t result_size)
{
    struct reader r;

    for (size_t size = 0; size <= payload_size; size++) {
        uint8_t *copy = malloc(size > 0 ? size : 1);

        assert_non_null(copy);
        memcpy(copy, payload, size);
        reader_init(&r, copy, size);
        memset(result, UNTOUCHED, result_size);
        if (size == payload_size) {
            assert_int_equal(decode(&r, result), ERR_OK);
            assert_int_equal(reader_left(&r), 0);
        } else {
            assert_int_equal(decode(&r, result), size == 0 ? ERR_MISSING : ERR_SHORT);
            assert_untouched(result, result_size);
        }
        free(copy);
    }
}

void check_unknown_cids(decode_fn *decode, const uint8_t *cids, size_t cid_count, void *result,
                        size_t result_size)
{
    for (unsigned cid = 0; cid <= 0xFF; cid++) {
        uint8_t payload[40] = {(uint8_t)cid};
        struct reader r;

        if (memchr(cids, (int)cid, cid_count) != NULL) {
            continue;
        }
        for (size_t size = 1; size <= sizeof(payload); size++) {
            reader_init(&r, payload, size);
            memset(result, UNTOUCHED, result_size);
            assert_int_equal(decode(&r, result), ERR_UNKNOWN);
            assert_untouched(result, result_size);
        }
    }
}
