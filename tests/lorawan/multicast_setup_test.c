/* multicast_setup_test.c - TS005 commands and answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lorawan/codec_check.h"
#include "lorawan/multicast_setup.h"

static enum err encode_status(const void *req, uint8_t *buf, size_t buf_size, size_t *ret_size)
{
    return mc_group_status_req_encode(req, buf, buf_size, ret_size);
}

static enum err encode_setup(const void *req, uint8_t *buf, size_t buf_size, size_t *ret_size)
{
    return mc_group_setup_req_encode(req, buf, buf_size, ret_size);
}

static enum err encode_delete(const void *req, uint8_t *buf, size_t buf_size, size_t *ret_size)
{
    return mc_group_delete_req_encode(req, buf, buf_size, ret_size);
}

static enum err encode_class_c(const void *req, uint8_t *buf, size_t buf_size, size_t *ret_size)
{
    return mc_class_c_session_req_encode(req, buf, buf_size, ret_size);
}

static enum err encode_class_b(const void *req, uint8_t *buf, size_t buf_size, size_t *ret_size)
{
    return mc_class_b_session_req_encode(req, buf, buf_size, ret_size);
}

static enum err decode(struct reader *r, void *ret)
{
    return multicast_setup_ans_decode(r, ret);
}

static void group_commands_are_encoded_up_to_the_last_value_of_each_field(void **state)
{
    (void)state;
    struct mc_group_status_req status = {0};
    struct mc_group_delete_req delete = {0};
    struct mc_group_setup_req setup = {0};
    uint8_t want[MC_GROUP_SETUP_REQ_SIZE] = {0x02};

    check_encodes(encode_status, &status, "\x01\x00", 2);
    status.req_group_mask = 15;
    check_encodes(encode_status, &status, "\x01\x0F", 2);
    status.req_group_mask = 16;
    check_refuses(encode_status, &status);

    check_encodes(encode_delete, &delete, "\x03\x00", 2);
    delete.mc_group_id = 3;
    check_encodes(encode_delete, &delete, "\x03\x03", 2);
    delete.mc_group_id = 4;
    check_refuses(encode_delete, &delete);

    check_encodes(encode_setup, &setup, want, sizeof(want));
    setup = (struct mc_group_setup_req){
        .mc_group_id = 3,
        .mc_addr = 0xFFFFFFFF,
        .min_mc_f_cnt = 0xFFFFFFFF,
        .max_mc_f_cnt = 0xFFFFFFFF,
    };
    memset(setup.mc_key_encrypted, 0xFF, sizeof(setup.mc_key_encrypted));
    memset(want + 1, 0xFF, sizeof(want) - 1);
    want[1] = 3;
    check_encodes(encode_setup, &setup, want, sizeof(want));
    setup.mc_group_id = 4;
    check_refuses(encode_setup, &setup);
}

static const struct mc_class_c_session_req class_c = {
    .mc_group_id = 3,
    .session_time = 0xFFFFFFFF,
    .time_out = 15,
    .frequency_hz = 1669999900,
    .data_rate = 15,
};

static const struct mc_class_b_session_req class_b = {
    .mc_group_id = 3,
    .session_time = 0xFFFFFF80,
    .time_out = 15,
    .periodicity = 7,
    .frequency_hz = 1669999900,
    .data_rate = 15,
};

/* The largest valid request with one field changed. */
#define REFUSES(kind, field, value)                                                                \
    do {                                                                                           \
        struct mc_##kind##_session_req req = kind;                                                 \
        req.field = (value);                                                                       \
        check_refuses(encode_##kind, &req);                                                        \
    } while (0)

static void a_class_c_session_is_encoded_up_to_the_last_value_of_each_field(void **state)
{
    (void)state;
    struct mc_class_c_session_req smallest = {.frequency_hz = 100000000};

    check_encodes(encode_class_c, &smallest, "\x04\x00\x00\x00\x00\x00\x00\x40\x42\x0F\x00", 11);
    check_encodes(encode_class_c, &class_c, "\x04\x03\xFF\xFF\xFF\xFF\x0F\x5F\xD2\xFE\x0F", 11);
    REFUSES(class_c, mc_group_id, 4);
    REFUSES(class_c, time_out, 16);
    REFUSES(class_c, data_rate, 16);
}

static void a_class_b_session_is_encoded_up_to_the_last_value_of_each_field(void **state)
{
    (void)state;
    struct mc_class_b_session_req smallest = {.frequency_hz = 0};

    check_encodes(encode_class_b, &smallest, "\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 11);
    check_encodes(encode_class_b, &class_b, "\x05\x03\x80\xFF\xFF\xFF\x7F\x5F\xD2\xFE\x0F", 11);
    REFUSES(class_b, mc_group_id, 4);
    REFUSES(class_b, time_out, 16);
    REFUSES(class_b, periodicity, 8);
    REFUSES(class_b, data_rate, 16);
    for (uint32_t off = 1; off < 128; off++) { /* a session starts with a beacon */
        REFUSES(class_b, session_time, 0x52BCC300 + off);
    }
    REFUSES(class_b, frequency_hz, 1);
}

static void a_frequency_that_has_no_code_is_refused(void **state)
{
    (void)state;
    static const uint32_t refused_hz[] = {
        1,          100,        99999900,   868100001,  868100050,  868100099,  1670000000,
        1677721500, 1677721600, 2399999800, 2400000100, 2500000200, 4294967200, 4294967295,
    };

    for (size_t i = 0; i < sizeof(refused_hz) / sizeof(refused_hz[0]); i++) {
        REFUSES(class_c, frequency_hz, refused_hz[i]);
        REFUSES(class_b, frequency_hz, refused_hz[i]);
    }
    REFUSES(class_c, frequency_hz, 0); /* class C has no regional default */
}

static void the_2_4_ghz_band_counts_in_steps_of_200_hz(void **state)
{
    (void)state;
    struct mc_class_c_session_req req = {.frequency_hz = 2400000000};

    check_encodes(encode_class_c, &req, "\x04\x00\x00\x00\x00\x00\x00\x00\x1B\xB7\x00", 11);
    req.frequency_hz = 2500000000;
    check_encodes(encode_class_c, &req, "\x04\x00\x00\x00\x00\x00\x00\x20\xBC\xBE\x00", 11);
}

static void group_answers_are_decoded_and_truncated_ones_are_not(void **state)
{
    (void)state;
    struct multicast_setup_ans ans;

    check_decodes(decode, "\x00\x02\x01", 3, &ans, sizeof(ans));
    assert_int_equal(ans.kind, MULTICAST_SETUP_VERSION_ANS);
    assert_int_equal(ans.u.version.identifier, PACKAGE_MULTICAST_SETUP);
    assert_int_equal(ans.u.version.version, 1);

    for (uint8_t status = 0; status < 8; status++) {
        check_decodes(decode, (const uint8_t[]){0x02, status}, 2, &ans, sizeof(ans));
        assert_int_equal(ans.kind, MULTICAST_SETUP_GROUP_SETUP_ANS);
        assert_int_equal(ans.u.group_setup.mc_group_id, status % 4);
        assert_int_equal(ans.u.group_setup.id_error, status / 4);
        /* with all reserved bits set */
        check_decodes(decode, (const uint8_t[]){0x03, status | 0xF8}, 2, &ans, sizeof(ans));
        assert_int_equal(ans.kind, MULTICAST_SETUP_GROUP_DELETE_ANS);
        assert_int_equal(ans.u.group_delete.mc_group_id, status % 4);
        assert_int_equal(ans.u.group_delete.mc_group_undefined, status / 4);
    }
}

static void a_group_status_has_an_entry_per_bit_of_its_mask(void **state)
{
    (void)state;
    for (unsigned status = 0; status <= 0xFF; status++) {
        uint8_t payload[2 + 5 * MC_GROUP_COUNT] = {0x01, (uint8_t)status};
        size_t size = 2;
        struct multicast_setup_ans ans;

        for (unsigned i = 4; i-- > 0;) { /* in descending order: none is promised */
            if ((status & 1u << i) != 0) {
                const uint8_t entry[] = {(uint8_t)(0xFC | i), (uint8_t)i, 2, 3, 0xF4};
                memcpy(payload + size, entry, sizeof(entry));
                size += sizeof(entry);
            }
        }
        check_decodes(decode, payload, size, &ans, sizeof(ans));
        assert_int_equal(ans.kind, MULTICAST_SETUP_GROUP_STATUS_ANS);
        assert_int_equal(ans.u.group_status.total_group_count, status / 16 % 8);
        assert_int_equal(ans.u.group_status.ans_group_mask, status % 16);
        assert_int_equal(ans.u.group_status.group_count, (size - 2) / 5);
        unsigned seen = 0;
        for (size_t i = 0; i < ans.u.group_status.group_count; i++) {
            const struct mc_group_status *group = &ans.u.group_status.groups[i];
            seen |= 1u << group->mc_group_id;
            assert_int_equal(group->mc_addr, 0xF4030200u + group->mc_group_id);
        }
        assert_int_equal(seen, status % 16);
    }
}

static void time_to_start_is_there_unless_an_error_bit_is_set(void **state)
{
    (void)state;
    for (unsigned status = 0; status <= 0xFF; status++) {
        for (uint8_t cid = 0x04; cid <= 0x05; cid++) {
            const uint8_t payload[] = {cid, (uint8_t)status, 0x56, 0x34, 0xF2};
            bool is_short = (status & 0x3C) != 0;
            struct multicast_setup_ans ans;

            check_decodes(decode, payload, is_short ? 2 : 5, &ans, sizeof(ans));
            assert_int_equal(ans.kind, cid == 0x04 ? MULTICAST_SETUP_CLASS_C_SESSION_ANS
                                                   : MULTICAST_SETUP_CLASS_B_SESSION_ANS);
            assert_int_equal(ans.u.session.status, status);
            assert_int_equal(ans.u.session.mc_group_id, status % 4);
            assert_int_equal(ans.u.session.dr_error, status / 4 % 2);
            assert_int_equal(ans.u.session.freq_error, status / 8 % 2);
            assert_int_equal(ans.u.session.mc_group_undefined, status / 16 % 2);
            assert_int_equal(ans.u.session.start_missed, status / 32 % 2);
            assert_int_equal(ans.u.session.has_time_to_start, !is_short);
            assert_int_equal(ans.u.session.time_to_start_s, is_short ? 0 : 0xF23456);
        }
    }
}

/* Decodes the only session answer of `payload` and returns how many octets it left. */
static size_t left_behind(const void *payload, size_t size, struct multicast_setup_ans *ret_ans)
{
    struct reader r;

    reader_init(&r, payload, size);
    assert_int_equal(multicast_setup_ans_decode(&r, ret_ans), ERR_OK);
    return reader_left(&r);
}

static void three_octets_behind_start_missed_are_swallowed(void **state)
{
    (void)state;
    struct multicast_setup_ans ans;

    assert_int_equal(left_behind("\x04\x21\x01\x02\x03", 5, &ans), 0);
    assert_true(ans.u.session.start_missed);
    assert_false(ans.u.session.has_time_to_start);
    /* They may be a PackageVersionAns, and two or four are other answers. */
    assert_int_equal(left_behind("\x04\x21\x00\x02\x01", 5, &ans), 3);
    assert_int_equal(left_behind("\x04\x21\x02\x00", 4, &ans), 2);
    assert_int_equal(left_behind("\x04\x21\x02\x00\x03\x00", 6, &ans), 4);
    assert_int_equal(left_behind("\x04\x25\x01\x02\x03", 5, &ans),
                     3); /* an error bit of version 1 */
    assert_int_equal(left_behind("\x04\x21\x00\x03\x01", 5, &ans),
                     0); /* another package's version */
}

static void an_unknown_command_is_told_apart(void **state)
{
    (void)state;
    struct multicast_setup_ans ans;

    check_unknown_cids(decode, (const uint8_t[]){0, 1, 2, 3, 4, 5}, 6, &ans, sizeof(ans));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(group_commands_are_encoded_up_to_the_last_value_of_each_field),
        cmocka_unit_test(a_class_c_session_is_encoded_up_to_the_last_value_of_each_field),
        cmocka_unit_test(a_class_b_session_is_encoded_up_to_the_last_value_of_each_field),
        cmocka_unit_test(a_frequency_that_has_no_code_is_refused),
        cmocka_unit_test(the_2_4_ghz_band_counts_in_steps_of_200_hz),
        cmocka_unit_test(group_answers_are_decoded_and_truncated_ones_are_not),
        cmocka_unit_test(a_group_status_has_an_entry_per_bit_of_its_mask),
        cmocka_unit_test(time_to_start_is_there_unless_an_error_bit_is_set),
        cmocka_unit_test(three_octets_behind_start_missed_are_swallowed),
        cmocka_unit_test(an_unknown_command_is_told_apart),
    };
    return cmocka_run_group_tests_name("multicast_setup", tests, NULL, NULL);
}
