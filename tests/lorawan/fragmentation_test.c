/* fragmentation_test.c - TS004-1.0.0 commands and answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lorawan/codec_check.h"
#include "lorawan/fragmentation.h"

static enum err encode_setup(const void *req, uint8_t *buf, size_t buf_size, size_t *ret_size)
{
    return frag_session_setup_req_encode_v1(req, buf, buf_size, ret_size);
}

static enum err encode_status(const void *req, uint8_t *buf, size_t buf_size, size_t *ret_size)
{
    return frag_session_status_req_encode(req, buf, buf_size, ret_size);
}

static enum err encode_delete(const void *req, uint8_t *buf, size_t buf_size, size_t *ret_size)
{
    return frag_session_delete_req_encode(req, buf, buf_size, ret_size);
}

struct data_fragment {
    uint8_t frag_index;
    uint16_t number;
    const uint8_t *data;
    size_t data_size;
};

static enum err encode_fragment(const void *req, uint8_t *buf, size_t buf_size, size_t *ret_size)
{
    const struct data_fragment *f = req;

    return data_fragment_encode(f->frag_index, f->number, f->data, f->data_size, buf, buf_size,
                                ret_size);
}

static enum err decode(struct reader *r, void *ret)
{
    return fragmentation_ans_decode_v1(r, ret);
}

static const struct frag_session_setup_req smallest = {.fragment_count = 1, .fragment_size = 1};

static const struct frag_session_setup_req largest = {
    .frag_index = 3,
    .mc_group_mask = 15,
    .fragment_count = 16383,
    .fragment_size = 239,
    .fragmentation_matrix = 7,
    .block_ack_delay = 7,
    .padding_size = 238,
    .descriptor = {1, 2, 3, 255},
};

static void a_session_setup_is_encoded_up_to_the_last_value_of_each_field(void **state)
{
    (void)state;
    check_encodes(encode_setup, &smallest, "\x02\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00", 11);
    check_encodes(encode_setup, &largest, "\x02\x3F\xFF\x3F\xEF\x3F\xEE\x01\x02\x03\xFF", 11);
}

/* The largest request that is valid, with one field changed. */
#define REFUSES_SETUP(field, value)                                                                \
    do {                                                                                           \
        struct frag_session_setup_req req = largest;                                               \
        req.field = (value);                                                                       \
        check_refuses(encode_setup, &req);                                                         \
    } while (0)

static void a_session_setup_with_a_field_out_of_range_is_refused(void **state)
{
    (void)state;
    REFUSES_SETUP(frag_index, 4);
    REFUSES_SETUP(mc_group_mask, 16);
    REFUSES_SETUP(fragment_count, 0);
    REFUSES_SETUP(fragment_count, 16384);
    REFUSES_SETUP(fragment_count, 65535);
    REFUSES_SETUP(fragment_size, 240);
    REFUSES_SETUP(fragment_size, 238); /* padding as large as a fragment */
    REFUSES_SETUP(fragmentation_matrix, 8);
    REFUSES_SETUP(block_ack_delay, 8);
    REFUSES_SETUP(padding_size, 239);

    struct frag_session_setup_req no_size = smallest;
    no_size.fragment_size = 0;
    check_refuses(encode_setup, &no_size);
}

static void status_and_delete_requests_keep_their_index_where_it_belongs(void **state)
{
    (void)state;
    struct frag_session_status_req status = {0, false};
    struct frag_session_delete_req delete = {0};

    check_encodes(encode_status, &status, "\x01\x00", 2);
    status = (struct frag_session_status_req){3, true};
    check_encodes(encode_status, &status, "\x01\x07", 2);
    status = (struct frag_session_status_req){3, false};
    check_encodes(encode_status, &status, "\x01\x06", 2);
    status.frag_index = 4;
    check_refuses(encode_status, &status);

    check_encodes(encode_delete, &delete, "\x03\x00", 2);
    delete.frag_index = 3;
    check_encodes(encode_delete, &delete, "\x03\x03", 2);
    delete.frag_index = 4;
    check_refuses(encode_delete, &delete);
}

static void a_fragment_of_every_size_is_encoded(void **state)
{
    (void)state;
    uint8_t data[FRAG_SIZE_MAX + 1], want[FRAG_SIZE_MAX + FRAG_OVERHEAD];
    struct data_fragment f = {3, FRAG_NUMBER_MAX, data, 0};

    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 7 + 1);
    }
    memcpy(want, "\x08\xFF\xFF", 3);
    memcpy(want + 3, data, FRAG_SIZE_MAX);
    for (f.data_size = 1; f.data_size <= FRAG_SIZE_MAX; f.data_size++) {
        check_encodes(encode_fragment, &f, want, f.data_size + 3);
    }
    f.data_size = FRAG_SIZE_MAX + 1;
    check_refuses(encode_fragment, &f);
    f.data_size = 0;
    check_refuses(encode_fragment, &f);

    f = (struct data_fragment){0, 1, data, 1};
    check_encodes(encode_fragment, &f, "\x08\x01\x00\x01", 4);
    f.number = 0;
    check_refuses(encode_fragment, &f);
    f.number = FRAG_NUMBER_MAX + 1;
    check_refuses(encode_fragment, &f);
    f = (struct data_fragment){4, 1, data, 1};
    check_refuses(encode_fragment, &f);
}

static void answers_are_decoded_and_truncated_ones_are_not(void **state)
{
    (void)state;
    struct fragmentation_ans ans;

    check_decodes(decode, "\x00\x03\x01", 3, &ans, sizeof(ans));
    assert_int_equal(ans.kind, FRAGMENTATION_VERSION_ANS);
    assert_int_equal(ans.u.version.identifier, PACKAGE_FRAGMENTATION);
    assert_int_equal(ans.u.version.version, 1);

    check_decodes(decode, "\x01\xFF\xBF\xFE\x01", 5, &ans, sizeof(ans));
    assert_int_equal(ans.kind, FRAGMENTATION_SESSION_STATUS_ANS);
    assert_int_equal(ans.u.session_status.frag_index, 2);
    assert_int_equal(ans.u.session_status.received_count, 16383);
    assert_int_equal(ans.u.session_status.missing_count, 254);
    assert_true(ans.u.session_status.not_enough_matrix_memory);

    check_decodes(decode, "\x03\x06", 2, &ans, sizeof(ans));
    assert_int_equal(ans.kind, FRAGMENTATION_SESSION_DELETE_ANS);
    assert_int_equal(ans.u.session_delete.frag_index, 2);
    assert_true(ans.u.session_delete.session_does_not_exist);
}

static void every_octet_of_a_setup_answer_is_understood(void **state)
{
    (void)state;
    for (unsigned status = 0; status <= 0xFF; status++) {
        const uint8_t payload[] = {0x02, (uint8_t)status};
        struct fragmentation_ans ans;

        check_decodes(decode, payload, sizeof(payload), &ans, sizeof(ans));
        assert_int_equal(ans.kind, FRAGMENTATION_SESSION_SETUP_ANS);
        assert_int_equal(ans.u.session_setup.status, status);
        assert_int_equal(ans.u.session_setup.frag_index, status / 64);
        assert_int_equal(ans.u.session_setup.wrong_descriptor, status / 8 % 2);
        assert_int_equal(ans.u.session_setup.frag_index_unsupported, status / 4 % 2);
        assert_int_equal(ans.u.session_setup.not_enough_memory, status / 2 % 2);
        assert_int_equal(ans.u.session_setup.encoding_unsupported, status % 2);
    }
}

static void reserved_bits_of_an_answer_are_ignored(void **state)
{
    (void)state;
    struct fragmentation_ans ans;

    check_decodes(decode, "\x01\x00\x00\x00\xFE", 5, &ans, sizeof(ans));
    assert_false(ans.u.session_status.not_enough_matrix_memory);
    check_decodes(decode, "\x03\xF8", 2, &ans, sizeof(ans));
    assert_int_equal(ans.u.session_delete.frag_index, 0);
    assert_false(ans.u.session_delete.session_does_not_exist);
}

static void an_unknown_command_is_told_apart(void **state)
{
    (void)state;
    struct fragmentation_ans ans;

    /* 4 is FragDataBlockReceivedReq of version 2 only; 8 goes down, never up. */
    check_unknown_cids(decode, (const uint8_t[]){0, 1, 2, 3}, 4, &ans, sizeof(ans));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_setup_is_encoded_up_to_the_last_value_of_each_field),
        cmocka_unit_test(a_session_setup_with_a_field_out_of_range_is_refused),
        cmocka_unit_test(status_and_delete_requests_keep_their_index_where_it_belongs),
        cmocka_unit_test(a_fragment_of_every_size_is_encoded),
        cmocka_unit_test(answers_are_decoded_and_truncated_ones_are_not),
        cmocka_unit_test(every_octet_of_a_setup_answer_is_understood),
        cmocka_unit_test(reserved_bits_of_an_answer_are_ignored),
        cmocka_unit_test(an_unknown_command_is_told_apart),
    };
    return cmocka_run_group_tests_name("fragmentation", tests, NULL, NULL);
}
