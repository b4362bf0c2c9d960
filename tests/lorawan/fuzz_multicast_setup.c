/* fuzz_multicast_setup.c - no uplink of FPort 200 brings the decoder to anything but an answer or
 * an error. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lorawan/multicast_setup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void assert_size(const struct multicast_setup_ans *ans, size_t size)
{
    switch (ans->kind) {
    case MULTICAST_SETUP_VERSION_ANS:
        assert(size == 3);
        break;
    case MULTICAST_SETUP_GROUP_STATUS_ANS:
        assert(ans->u.group_status.group_count <= MC_GROUP_COUNT);
        assert(size == 2 + 5 * (size_t)ans->u.group_status.group_count);
        for (size_t i = 0; i < ans->u.group_status.group_count; i++) {
            assert(ans->u.group_status.groups[i].mc_group_id < MC_GROUP_COUNT);
        }
        break;
    case MULTICAST_SETUP_GROUP_SETUP_ANS:
        assert(size == 2 && ans->u.group_setup.mc_group_id < MC_GROUP_COUNT);
        break;
    case MULTICAST_SETUP_GROUP_DELETE_ANS:
        assert(size == 2 && ans->u.group_delete.mc_group_id < MC_GROUP_COUNT);
        break;
    case MULTICAST_SETUP_CLASS_C_SESSION_ANS:
    case MULTICAST_SETUP_CLASS_B_SESSION_ANS:
        assert(ans->u.session.mc_group_id < MC_GROUP_COUNT);
        assert(ans->u.session.time_to_start_s <= MC_TIME_TO_START_UNKNOWN);
        assert(size == 5 || (size == 2 && !ans->u.session.has_time_to_start));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct multicast_setup_ans ans, untouched;
    struct reader r;
    enum err err;

    memset(&untouched, 0xA5, sizeof(untouched));
    reader_init(&r, data, size);
    do {
        size_t left = reader_left(&r);

        memcpy(&ans, &untouched, sizeof(ans));
        err = multicast_setup_ans_decode(&r, &ans);
        if (err != ERR_OK) {
            assert(memcmp(&ans, &untouched, sizeof(ans)) == 0);
            assert((err == ERR_MISSING) == (left == 0));
            assert(err == ERR_MISSING || err == ERR_SHORT || err == ERR_UNKNOWN);
            break;
        }
        assert_size(&ans, left - reader_left(&r));
    } while (err == ERR_OK);
    return 0;
}
