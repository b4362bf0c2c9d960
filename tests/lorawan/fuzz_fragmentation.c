/* fuzz_fragmentation.c - no uplink of FPort 201 brings the decoder to anything but an answer or an
 * error. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lorawan/fragmentation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t size_of(const struct fragmentation_ans *ans)
{
    switch (ans->kind) {
    case FRAGMENTATION_VERSION_ANS:
        return 3;
    case FRAGMENTATION_SESSION_STATUS_ANS:
        assert(ans->u.session_status.frag_index <= 3);
        assert(ans->u.session_status.received_count <= FRAG_NUMBER_MAX);
        return 5;
    case FRAGMENTATION_SESSION_SETUP_ANS:
        assert(ans->u.session_setup.frag_index <= 3);
        return 2;
    case FRAGMENTATION_SESSION_DELETE_ANS:
        assert(ans->u.session_delete.frag_index <= 3);
        return 2;
    }
    assert(0);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fragmentation_ans ans, untouched;
    struct reader r;
    enum err err;

    memset(&untouched, 0xA5, sizeof(untouched));
    reader_init(&r, data, size);
    do {
        size_t left = reader_left(&r);

        memcpy(&ans, &untouched, sizeof(ans));
        err = fragmentation_ans_decode_v1(&r, &ans);
        if (err != ERR_OK) {
            assert(memcmp(&ans, &untouched, sizeof(ans)) == 0);
            assert((err == ERR_MISSING) == (left == 0));
            assert(err == ERR_MISSING || err == ERR_SHORT || err == ERR_UNKNOWN);
            break;
        }
        assert(left - reader_left(&r) == size_of(&ans));
    } while (err == ERR_OK);
    return 0;
}
