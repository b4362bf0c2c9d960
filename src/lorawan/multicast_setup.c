#include "lorawan/multicast_setup.h"

#include "base/cursor.h"

enum {
    CID_GROUP_STATUS = 0x01,
    CID_GROUP_SETUP = 0x02,
    CID_GROUP_DELETE = 0x03,
    CID_CLASS_C_SESSION = 0x04,
    CID_CLASS_B_SESSION = 0x05,
};

enum {
    MC_GROUP_ID_MAX = MC_GROUP_COUNT - 1,
    GROUP_MASK_MAX = 15,
    TIME_OUT_MAX = 15,
    PERIODICITY_MAX = 7,
    DATA_RATE_MAX = 15,
    BEACON_PERIOD_S = 128,
};

/* Bits of the session answers. */
enum {
    SESSION_DR_ERROR = 0x04,
    SESSION_FREQ_ERROR = 0x08,
    SESSION_MC_GROUP_UNDEFINED = 0x10,
    SESSION_START_MISSED = 0x20,
    SESSION_ERRORS = SESSION_DR_ERROR | SESSION_FREQ_ERROR | SESSION_MC_GROUP_UNDEFINED,
};

/*
 * DLFreq: units of 100 Hz, and of 200 Hz in the 2.4 GHz band as LoRaWAN itself does there. Values
 * below 100 MHz are reserved by LoRaWAN.
 */
static bool frequency_to_wire(uint32_t frequency_hz, uint32_t *ret_dl_freq)
{
    if (frequency_hz >= 100000000 && frequency_hz < 1670000000 && frequency_hz % 100 == 0) {
        *ret_dl_freq = frequency_hz / 100;
        return true;
    }
    if (frequency_hz >= 2400000000 && frequency_hz <= 2500000000 && frequency_hz % 200 == 0) {
        *ret_dl_freq = frequency_hz / 200;
        return true;
    }
    return false;
}

enum err mc_group_status_req_encode(const struct mc_group_status_req *req, uint8_t *buf,
                                    size_t buf_size, size_t *ret_size)
{
    if (req->req_group_mask > GROUP_MASK_MAX) {
        return ERR_RANGE;
    }
    if (buf_size < MC_GROUP_STATUS_REQ_SIZE) {
        return ERR_SPACE;
    }
    buf[0] = CID_GROUP_STATUS;
    buf[1] = req->req_group_mask;
    *ret_size = MC_GROUP_STATUS_REQ_SIZE;
    return ERR_OK;
}

enum err mc_group_setup_req_encode(const struct mc_group_setup_req *req, uint8_t *buf,
                                   size_t buf_size, size_t *ret_size)
{
    struct writer w;

    if (req->mc_group_id > MC_GROUP_ID_MAX) {
        return ERR_RANGE;
    }
    if (buf_size < MC_GROUP_SETUP_REQ_SIZE) {
        return ERR_SPACE;
    }
    writer_init(&w, buf, buf_size);
    write_u8(&w, CID_GROUP_SETUP);
    write_u8(&w, req->mc_group_id);
    write_u32(&w, req->mc_addr);
    write_bytes(&w, req->mc_key_encrypted, sizeof(req->mc_key_encrypted));
    write_u32(&w, req->min_mc_f_cnt);
    write_u32(&w, req->max_mc_f_cnt);
    *ret_size = w.offset;
    return ERR_OK;
}

enum err mc_group_delete_req_encode(const struct mc_group_delete_req *req, uint8_t *buf,
                                    size_t buf_size, size_t *ret_size)
{
    if (req->mc_group_id > MC_GROUP_ID_MAX) {
        return ERR_RANGE;
    }
    if (buf_size < MC_GROUP_DELETE_REQ_SIZE) {
        return ERR_SPACE;
    }
    buf[0] = CID_GROUP_DELETE;
    buf[1] = req->mc_group_id;
    *ret_size = MC_GROUP_DELETE_REQ_SIZE;
    return ERR_OK;
}

enum err mc_class_c_session_req_encode(const struct mc_class_c_session_req *req, uint8_t *buf,
                                       size_t buf_size, size_t *ret_size)
{
    struct writer w;
    uint32_t dl_freq;

    if (req->mc_group_id > MC_GROUP_ID_MAX || req->time_out > TIME_OUT_MAX ||
        req->data_rate > DATA_RATE_MAX || !frequency_to_wire(req->frequency_hz, &dl_freq)) {
        return ERR_RANGE;
    }
    if (buf_size < MC_CLASS_C_SESSION_REQ_SIZE) {
        return ERR_SPACE;
    }
    writer_init(&w, buf, buf_size);
    write_u8(&w, CID_CLASS_C_SESSION);
    write_u8(&w, req->mc_group_id);
    write_u32(&w, req->session_time);
    write_u8(&w, req->time_out);
    write_u24(&w, dl_freq);
    write_u8(&w, req->data_rate);
    *ret_size = w.offset;
    return ERR_OK;
}

enum err mc_class_b_session_req_encode(const struct mc_class_b_session_req *req, uint8_t *buf,
                                       size_t buf_size, size_t *ret_size)
{
    struct writer w;
    uint32_t dl_freq = 0;

    if (req->mc_group_id > MC_GROUP_ID_MAX || req->session_time % BEACON_PERIOD_S != 0 ||
        req->time_out > TIME_OUT_MAX || req->periodicity > PERIODICITY_MAX ||
        req->data_rate > DATA_RATE_MAX) {
        return ERR_RANGE;
    }
    if (req->frequency_hz != 0 && !frequency_to_wire(req->frequency_hz, &dl_freq)) {
        return ERR_RANGE;
    }
    if (buf_size < MC_CLASS_B_SESSION_REQ_SIZE) {
        return ERR_SPACE;
    }
    writer_init(&w, buf, buf_size);
    write_u8(&w, CID_CLASS_B_SESSION);
    write_u8(&w, req->mc_group_id);
    write_u32(&w, req->session_time);
    write_u8(&w, (uint8_t)(req->periodicity << 4 | req->time_out));
    write_u24(&w, dl_freq);
    write_u8(&w, req->data_rate);
    *ret_size = w.offset;
    return ERR_OK;
}

/* The entries come in any order, and fewer than asked for where the device's answer is short of
 * room. */
static void read_group_status_ans(struct reader *r, struct mc_group_status_ans *ans)
{
    uint8_t status = read_u8(r);

    ans->total_group_count = status >> 4 & 0x07;
    ans->ans_group_mask = status & 0x0F;
    for (uint8_t mask = ans->ans_group_mask; mask != 0; mask &= (uint8_t)(mask - 1)) {
        struct mc_group_status *group = &ans->groups[ans->group_count++];

        group->mc_group_id = read_u8(r) & 0x03;
        group->mc_addr = read_u32(r);
    }
}

static void read_group_setup_ans(struct reader *r, struct mc_group_setup_ans *ans)
{
    uint8_t status = read_u8(r);

    ans->mc_group_id = status & 0x03;
    ans->id_error = (status & 0x04) != 0;
}

static void read_group_delete_ans(struct reader *r, struct mc_group_delete_ans *ans)
{
    uint8_t status = read_u8(r);

    ans->mc_group_id = status & 0x03;
    ans->mc_group_undefined = (status & 0x04) != 0;
}

/*
 * Whether the payload ends with three octets that are a TimeToStart behind a StartMissed, which the
 * text forbids. Of all answers only PackageVersionAns is three octets long; a TimeToStart looks
 * like ours if it is 512 s past a multiple of 65536.
 */
static bool time_to_start_follows(const struct reader *r)
{
    if (reader_left(r) != 3) {
        return false;
    }
    const uint8_t *next = r->data + r->offset;
    return next[0] != PACKAGE_CID_VERSION || next[1] != PACKAGE_MULTICAST_SETUP;
}

static void read_session_ans(struct reader *r, struct mc_session_ans *ans)
{
    ans->status = read_u8(r);
    ans->mc_group_id = ans->status & 0x03;
    ans->start_missed = (ans->status & SESSION_START_MISSED) != 0;
    ans->mc_group_undefined = (ans->status & SESSION_MC_GROUP_UNDEFINED) != 0;
    ans->freq_error = (ans->status & SESSION_FREQ_ERROR) != 0;
    ans->dr_error = (ans->status & SESSION_DR_ERROR) != 0;
    if ((ans->status & SESSION_ERRORS) != 0) {
        return;
    }
    ans->has_time_to_start = !ans->start_missed;
    if (ans->has_time_to_start || time_to_start_follows(r)) {
        ans->time_to_start_s = read_u24(r);
    }
}

enum err multicast_setup_ans_decode(struct reader *r, struct multicast_setup_ans *ret_ans)
{
    struct multicast_setup_ans ans = {0};

    if (reader_left(r) == 0) {
        return ERR_MISSING;
    }
    switch (read_u8(r)) {
    case PACKAGE_CID_VERSION:
        ans.kind = MULTICAST_SETUP_VERSION_ANS;
        ans.u.version.identifier = read_u8(r);
        ans.u.version.version = read_u8(r);
        break;
    case CID_GROUP_STATUS:
        ans.kind = MULTICAST_SETUP_GROUP_STATUS_ANS;
        ans.u.group_status = (struct mc_group_status_ans){0};
        read_group_status_ans(r, &ans.u.group_status);
        break;
    case CID_GROUP_SETUP:
        ans.kind = MULTICAST_SETUP_GROUP_SETUP_ANS;
        read_group_setup_ans(r, &ans.u.group_setup);
        break;
    case CID_GROUP_DELETE:
        ans.kind = MULTICAST_SETUP_GROUP_DELETE_ANS;
        read_group_delete_ans(r, &ans.u.group_delete);
        break;
    case CID_CLASS_C_SESSION:
        ans.kind = MULTICAST_SETUP_CLASS_C_SESSION_ANS;
        ans.u.session = (struct mc_session_ans){0};
        read_session_ans(r, &ans.u.session);
        break;
    case CID_CLASS_B_SESSION:
        ans.kind = MULTICAST_SETUP_CLASS_B_SESSION_ANS;
        ans.u.session = (struct mc_session_ans){0};
        read_session_ans(r, &ans.u.session);
        break;
    default:
        return ERR_UNKNOWN;
    }
    if (r->error == ERR_OK) {
        *ret_ans = ans;
    }
    return r->error;
}
