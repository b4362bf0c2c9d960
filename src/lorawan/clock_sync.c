#include "lorawan/clock_sync.h"

#include "base/cursor.h"

enum {
    CID_APP_TIME = 0x01,
    CID_PERIODICITY = 0x02,
    CID_FORCE_RESYNC = 0x03,
};

enum {
    TOKEN_MAX = 15,
    PERIOD_MAX = 15,
    TRANSMISSION_COUNT_MAX = 7,
};

enum err clock_sync_uplink_decode(struct reader *r, struct clock_sync_uplink *ret)
{
    struct clock_sync_uplink up = {0};
    uint8_t bits;

    if (reader_left(r) == 0) {
        return ERR_MISSING;
    }
    switch (read_u8(r)) {
    case PACKAGE_CID_VERSION:
        up.kind = CLOCK_SYNC_VERSION_ANS;
        up.u.version.identifier = read_u8(r);
        up.u.version.version = read_u8(r);
        break;
    case CID_APP_TIME:
        up.kind = CLOCK_SYNC_APP_TIME_REQ;
        up.u.app_time.device_time_s = read_u32(r);
        bits = read_u8(r);
        up.u.app_time.token = bits & 0x0F;
        up.u.app_time.ans_required = (bits & 0x10) != 0;
        break;
    case CID_PERIODICITY:
        up.kind = CLOCK_SYNC_PERIODICITY_ANS;
        up.u.periodicity.not_supported = (read_u8(r) & 0x01) != 0;
        up.u.periodicity.device_time_s = read_u32(r);
        break;
    default:
        return ERR_UNKNOWN;
    }
    if (r->error == ERR_OK) {
        *ret = up;
    }
    return r->error;
}

enum err app_time_ans_encode(int32_t correction_s, uint8_t token, uint8_t *buf, size_t buf_size,
                             size_t *ret_size)
{
    struct writer w;

    if (token > TOKEN_MAX) {
        return ERR_RANGE;
    }
    if (buf_size < 6) {
        return ERR_SPACE;
    }
    writer_init(&w, buf, buf_size);
    write_u8(&w, CID_APP_TIME);
    write_u32(&w, (uint32_t)correction_s);
    write_u8(&w, token);
    *ret_size = w.offset;
    return ERR_OK;
}

/* A command that is one octet after its CID. */
static enum err encode_octet(uint8_t cid, uint8_t value, uint8_t value_max, uint8_t *buf,
                             size_t buf_size, size_t *ret_size)
{
    if (value > value_max) {
        return ERR_RANGE;
    }
    if (buf_size < 2) {
        return ERR_SPACE;
    }
    buf[0] = cid;
    buf[1] = value;
    *ret_size = 2;
    return ERR_OK;
}

enum err device_app_time_periodicity_req_encode(uint8_t period, uint8_t *buf, size_t buf_size,
                                                size_t *ret_size)
{
    return encode_octet(CID_PERIODICITY, period, PERIOD_MAX, buf, buf_size, ret_size);
}

enum err force_device_resync_req_encode(uint8_t transmission_count, uint8_t *buf, size_t buf_size,
                                        size_t *ret_size)
{
    return encode_octet(CID_FORCE_RESYNC, transmission_count, TRANSMISSION_COUNT_MAX, buf, buf_size,
                        ret_size);
}

int32_t app_time_correction_v1(uint64_t rx_gps_s, uint32_t device_time_s)
{
    uint32_t difference_s = (uint32_t)rx_gps_s - device_time_s;

    /* Two's complement by hand: the plain conversion of a value above INT32_MAX is
     * implementation-defined. */
    if (difference_s <= INT32_MAX) {
        return (int32_t)difference_s;
    }
    return -(int32_t)(UINT32_MAX - difference_s) - 1;
}
