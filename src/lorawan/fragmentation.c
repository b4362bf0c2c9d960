#include "lorawan/fragmentation.h"

#include "base/cursor.h"

enum {
    CID_SESSION_STATUS = 0x01,
    CID_SESSION_SETUP = 0x02,
    CID_SESSION_DELETE = 0x03,
    CID_DATA_FRAGMENT = 0x08,
};

enum {
    FRAG_INDEX_MAX = 3,
    MC_GROUP_MASK_MAX = 15,
    MATRIX_MAX = 7,
    BLOCK_ACK_DELAY_MAX = 7,
};

static bool session_setup_is_valid(const struct frag_session_setup_req *req)
{
    /* A FragSize of 0 fails the last comparison, too: no padding is smaller. */
    return req->frag_index <= FRAG_INDEX_MAX && req->mc_group_mask <= MC_GROUP_MASK_MAX &&
           req->fragment_count >= 1 && req->fragment_count <= FRAG_NUMBER_MAX &&
           req->fragment_size <= FRAG_SIZE_MAX && req->fragmentation_matrix <= MATRIX_MAX &&
           req->block_ack_delay <= BLOCK_ACK_DELAY_MAX && req->padding_size < req->fragment_size;
}

enum err frag_session_setup_req_encode_v1(const struct frag_session_setup_req *req, uint8_t *buf,
                                          size_t buf_size, size_t *ret_size)
{
    struct writer w;

    if (!session_setup_is_valid(req)) {
        return ERR_RANGE;
    }
    if (buf_size < FRAG_SESSION_SETUP_REQ_V1_SIZE) {
        return ERR_SPACE;
    }
    writer_init(&w, buf, buf_size);
    write_u8(&w, CID_SESSION_SETUP);
    write_u8(&w, (uint8_t)(req->frag_index << 4 | req->mc_group_mask));
    write_u16(&w, req->fragment_count);
    write_u8(&w, req->fragment_size);
    write_u8(&w, (uint8_t)(req->fragmentation_matrix << 3 | req->block_ack_delay));
    write_u8(&w, req->padding_size);
    write_bytes(&w, req->descriptor, sizeof(req->descriptor));
    *ret_size = w.offset;
    return ERR_OK;
}

enum err frag_session_status_req_encode(const struct frag_session_status_req *req, uint8_t *buf,
                                        size_t buf_size, size_t *ret_size)
{
    if (req->frag_index > FRAG_INDEX_MAX) {
        return ERR_RANGE;
    }
    if (buf_size < FRAG_SESSION_STATUS_REQ_SIZE) {
        return ERR_SPACE;
    }
    buf[0] = CID_SESSION_STATUS;
    buf[1] = (uint8_t)(req->frag_index << 1 | (req->participants ? 1 : 0));
    *ret_size = FRAG_SESSION_STATUS_REQ_SIZE;
    return ERR_OK;
}

enum err frag_session_delete_req_encode(const struct frag_session_delete_req *req, uint8_t *buf,
                                        size_t buf_size, size_t *ret_size)
{
    if (req->frag_index > FRAG_INDEX_MAX) {
        return ERR_RANGE;
    }
    if (buf_size < FRAG_SESSION_DELETE_REQ_SIZE) {
        return ERR_SPACE;
    }
    buf[0] = CID_SESSION_DELETE;
    buf[1] = req->frag_index;
    *ret_size = FRAG_SESSION_DELETE_REQ_SIZE;
    return ERR_OK;
}

enum err data_fragment_encode(uint8_t frag_index, uint16_t number, const uint8_t *data,
                              size_t data_size, uint8_t *buf, size_t buf_size, size_t *ret_size)
{
    struct writer w;

    if (frag_index > FRAG_INDEX_MAX || number < 1 || number > FRAG_NUMBER_MAX || data_size < 1 ||
        data_size > FRAG_SIZE_MAX) {
        return ERR_RANGE;
    }
    if (buf_size < data_size + FRAG_OVERHEAD) {
        return ERR_SPACE;
    }
    writer_init(&w, buf, buf_size);
    write_u8(&w, CID_DATA_FRAGMENT);
    write_u16(&w, (uint16_t)(frag_index << 14 | number));
    write_bytes(&w, data, data_size);
    *ret_size = w.offset;
    return ERR_OK;
}

enum err data_fragment_number(const uint8_t *payload, size_t size, uint16_t *ret_number)
{
    struct reader r;

    reader_init(&r, payload, size);
    uint8_t cid = read_u8(&r);
    uint16_t number = read_u16(&r) & FRAG_NUMBER_MAX;
    if (r.error != ERR_OK || cid != CID_DATA_FRAGMENT || number == 0) {
        return ERR_FORMAT;
    }
    *ret_number = number;
    return ERR_OK;
}

static void read_session_setup_ans(struct reader *r, struct frag_session_setup_ans *ans)
{
    ans->status = read_u8(r);
    ans->frag_index = ans->status >> 6;
    ans->wrong_descriptor = (ans->status & 0x08) != 0;
    ans->frag_index_unsupported = (ans->status & 0x04) != 0;
    ans->not_enough_memory = (ans->status & 0x02) != 0;
    ans->encoding_unsupported = (ans->status & 0x01) != 0;
}

static void read_session_status_ans_v1(struct reader *r, struct frag_session_status_ans *ans)
{
    uint16_t received_and_index = read_u16(r);

    ans->frag_index = (uint8_t)(received_and_index >> 14);
    ans->received_count = received_and_index & 0x3FFF;
    ans->missing_count = read_u8(r);
    ans->not_enough_matrix_memory = (read_u8(r) & 0x01) != 0;
}

static void read_session_delete_ans(struct reader *r, struct frag_session_delete_ans *ans)
{
    uint8_t status = read_u8(r);

    ans->frag_index = status & 0x03;
    ans->session_does_not_exist = (status & 0x04) != 0;
}

enum err fragmentation_ans_decode_v1(struct reader *r, struct fragmentation_ans *ret_ans)
{
    struct fragmentation_ans ans = {0};

    if (reader_left(r) == 0) {
        return ERR_MISSING;
    }
    switch (read_u8(r)) {
    case PACKAGE_CID_VERSION:
        ans.kind = FRAGMENTATION_VERSION_ANS;
        ans.u.version.identifier = read_u8(r);
        ans.u.version.version = read_u8(r);
        break;
    case CID_SESSION_STATUS:
        ans.kind = FRAGMENTATION_SESSION_STATUS_ANS;
        read_session_status_ans_v1(r, &ans.u.session_status);
        break;
    case CID_SESSION_SETUP:
        ans.kind = FRAGMENTATION_SESSION_SETUP_ANS;
        read_session_setup_ans(r, &ans.u.session_setup);
        break;
    case CID_SESSION_DELETE:
        ans.kind = FRAGMENTATION_SESSION_DELETE_ANS;
        read_session_delete_ans(r, &ans.u.session_delete);
        break;
    default:
        return ERR_UNKNOWN;
    }
    if (r->error == ERR_OK) {
        *ret_ans = ans;
    }
    return r->error;
}
