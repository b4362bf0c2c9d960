/*
 * codec_check.h - what every encoder and decoder of lorawan/ promises, checked the same way for all
 * of them.
 *
 * Buffers are allocated to the exact size, so that AddressSanitizer sees an octet too many.
 */
#ifndef TESTS_CODEC_CHECK_H
#define TESTS_CODEC_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"
#include "base/err.h"

/* An encoder with its struct behind a void pointer. */
typedef enum err encode_fn(const void *req, uint8_t *buf, size_t buf_size, size_t *ret_size);

/* `req` gives exactly `want`, in a buffer of that size and in a larger one; every smaller one is
 * ERR_SPACE. */
void check_encodes(encode_fn *encode, const void *req, const void *want, size_t want_size);
/* `req` is ERR_RANGE, in any buffer. */
void check_refuses(encode_fn *encode, const void *req);

/* A decoder with its result behind a void pointer. */
typedef enum err decode_fn(struct reader *r, void *ret);

/*
 * `payload` is one command: it is decoded completely, with `result_size` octets at `result`, and
 * every truncation of it is ERR_SHORT, the empty one ERR_MISSING, all with the result untouched.
 */
void check_decodes(decode_fn *decode, const void *payload, size_t payload_size, void *result,
                   size_t result_size);
/* Every first octet outside `cids` is ERR_UNKNOWN with the result untouched, whatever follows. */
void check_unknown_cids(decode_fn *decode, const uint8_t *cids, size_t cid_count, void *result,
                        size_t result_size);

#endif
