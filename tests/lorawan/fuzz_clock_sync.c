/* fuzz_clock_sync.c - no uplink of FPort 202 brings the decoder to anything but an answer or an
 * error. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lorawan/clock_sync.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct clock_sync_uplink up, untouched;
    struct reader r;
    enum err err;

    memset(&untouched, 0xA5, sizeof(untouched));
    reader_init(&r, data, size);
    do {
        size_t left = reader_left(&r);

        memcpy(&up, &untouched, sizeof(up));
        err = clock_sync_uplink_decode(&r, &up);
        if (err != ERR_OK) {
            assert(memcmp(&up, &untouched, sizeof(up)) == 0);
            assert((err == ERR_MISSING) == (left == 0));
            assert(err == ERR_MISSING || err == ERR_SHORT || err == ERR_UNKNOWN);
            break;
        }
        assert(left - reader_left(&r) == (up.kind == CLOCK_SYNC_VERSION_ANS ? 3 : 6));
        assert(up.kind <= CLOCK_SYNC_PERIODICITY_ANS);
        if (up.kind == CLOCK_SYNC_APP_TIME_REQ) {
            uint8_t buf[6];
            size_t buf_size;
            int32_t correction_s = app_time_correction_v1(1388102418, up.u.app_time.device_time_s);

            /* Every request can be answered. */
            assert(up.u.app_time.device_time_s + (uint32_t)correction_s == 1388102418);
            err =
                app_time_ans_encode(correction_s, up.u.app_time.token, buf, sizeof(buf), &buf_size);
            assert(err == ERR_OK && buf_size == sizeof(buf));
        }
    } while (err == ERR_OK);
    return 0;
}
