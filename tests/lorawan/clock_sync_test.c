/* clock_sync_test.c - TS003 commands and answers, the correction of a device's clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lorawan/clock_sync.h"
#include "lorawan/codec_check.h"
#include "lorawan/vectors.h"

struct app_time_ans {
    int32_t correction_s;
    uint8_t token;
};

static enum err encode_app_time(const void *req, uint8_t *buf, size_t buf_size, size_t *ret_size)
{
    const struct app_time_ans *ans = req;

    return app_time_ans_encode(ans->correction_s, ans->token, buf, buf_size, ret_size);
}

static enum err encode_periodicity(const void *req, uint8_t *buf, size_t buf_size, size_t *ret_size)
{
    return device_app_time_periodicity_req_encode(*(const uint8_t *)req, buf, buf_size, ret_size);
}

static enum err encode_resync(const void *req, uint8_t *buf, size_t buf_size, size_t *ret_size)
{
    return force_device_resync_req_encode(*(const uint8_t *)req, buf, buf_size, ret_size);
}

static enum err encode_version(const void *req, uint8_t *buf, size_t buf_size, size_t *ret_size)
{
    (void)req;
    return package_version_req_encode(buf, buf_size, ret_size);
}

static enum err decode(struct reader *r, void *ret)
{
    return clock_sync_uplink_decode(r, ret);
}

static void commands_are_encoded_up_to_the_last_value_of_each_field(void **state)
{
    (void)state;
    struct app_time_ans ans = {0, 0};

    check_encodes(encode_app_time, &ans, "\x01\x00\x00\x00\x00\x00", 6);
    ans = (struct app_time_ans){INT32_MAX, 15};
    check_encodes(encode_app_time, &ans, "\x01\xFF\xFF\xFF\x7F\x0F", 6);
    ans = (struct app_time_ans){INT32_MIN, 1};
    check_encodes(encode_app_time, &ans, "\x01\x00\x00\x00\x80\x01", 6);
    ans.token = 16;
    check_refuses(encode_app_time, &ans);
    ans.token = 255;
    check_refuses(encode_app_time, &ans);

    check_encodes(encode_periodicity, &(uint8_t){0}, "\x02\x00", 2);
    check_encodes(encode_periodicity, &(uint8_t){15}, "\x02\x0F", 2);
    check_refuses(encode_periodicity, &(uint8_t){16});

    check_encodes(encode_resync, &(uint8_t){0}, "\x03\x00", 2);
    check_encodes(encode_resync, &(uint8_t){7}, "\x03\x07", 2);
    check_refuses(encode_resync, &(uint8_t){8});

    check_encodes(encode_version, NULL, "\x00", 1);
}

static void answers_are_decoded_and_truncated_ones_are_not(void **state)
{
    (void)state;
    struct clock_sync_uplink up;

    check_decodes(decode, "\x00\x01\x02", 3, &up, sizeof(up));
    assert_int_equal(up.kind, CLOCK_SYNC_VERSION_ANS);
    assert_int_equal(up.u.version.identifier, PACKAGE_CLOCK_SYNC);
    assert_int_equal(up.u.version.version, 2);

    check_decodes(decode, "\x01\x12\xC3\xBC\x52\x1A", 6, &up, sizeof(up));
    assert_int_equal(up.kind, CLOCK_SYNC_APP_TIME_REQ);
    assert_int_equal(up.u.app_time.device_time_s, 0x52BCC312);
    assert_int_equal(up.u.app_time.token, 10);
    assert_true(up.u.app_time.ans_required);

    check_decodes(decode, "\x02\x01\x12\xC3\xBC\x52", 6, &up, sizeof(up));
    assert_int_equal(up.kind, CLOCK_SYNC_PERIODICITY_ANS);
    assert_true(up.u.periodicity.not_supported);
    assert_int_equal(up.u.periodicity.device_time_s, 0x52BCC312);
}

static void reserved_bits_of_an_answer_are_ignored(void **state)
{
    (void)state;
    struct clock_sync_uplink up;

    check_decodes(decode, "\x01\x00\x00\x00\x00\xE0", 6, &up, sizeof(up));
    assert_int_equal(up.u.app_time.token, 0);
    assert_false(up.u.app_time.ans_required);
    check_decodes(decode, "\x02\xFE\x00\x00\x00\x00", 6, &up, sizeof(up));
    assert_false(up.u.periodicity.not_supported);
}

static void an_unknown_command_is_told_apart(void **state)
{
    (void)state;
    struct clock_sync_uplink up;

    check_unknown_cids(decode, (const uint8_t[]){0, 1, 2}, 3, &up, sizeof(up));
}

static void a_payload_with_several_answers_is_a_loop(void **state)
{
    (void)state;
    static const uint8_t payload[] =
        "\x00\x01\x01\x01\x01\x00\x00\x00\x03\x02\x00\x02\x00\x00\x00\x02\x01";
    static const enum clock_sync_uplink_kind kinds[] = {
        CLOCK_SYNC_VERSION_ANS, CLOCK_SYNC_APP_TIME_REQ, CLOCK_SYNC_PERIODICITY_ANS};
    struct clock_sync_uplink up;
    struct reader r;

    reader_init(&r, payload, sizeof(payload) - 1);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(clock_sync_uplink_decode(&r, &up), ERR_OK);
        assert_int_equal(up.kind, kinds[i]);
    }
    assert_int_equal(clock_sync_uplink_decode(&r, &up),
                     ERR_SHORT); /* two octets of a third answer */
    assert_int_equal(clock_sync_uplink_decode(&r, &up),
                     ERR_MISSING);                       /* a loop ends after an error, too */
    assert_int_equal(up.u.periodicity.device_time_s, 2); /* what was decoded before stays */
}

static void the_correction_is_right_in_one_step_for_modular_clocks(void **state)
{
    (void)state;
    assert_int_equal(app_time_correction_v1(0, 0), 0);
    assert_int_equal(app_time_correction_v1(UINT32_MAX, 0), -1);
    assert_int_equal(app_time_correction_v1(0x7FFFFFFF, 0), INT32_MAX);
    assert_int_equal(app_time_correction_v1(0x80000000, 0), INT32_MIN);
    assert_int_equal(app_time_correction_v1(0x80000001, 0), -INT32_MAX);
    /* After the wrap of 2116 the server's 64 bits meet the device's 32. */
    assert_int_equal(app_time_correction_v1(UINT64_C(0x100000005), 3), 2);
    assert_int_equal(app_time_correction_v1(UINT64_C(0x100000005), 0xFFFFFFFF), 6);
    for (uint64_t i = 0; i < 1000; i++) {
        uint32_t rx = (uint32_t)(i * 2654435761u), device = (uint32_t)(i * 40503u * 97u);
        int32_t correction = app_time_correction_v1(rx, device);

        assert_true((uint32_t)(device + (uint32_t)correction) == rx);
    }
}

static void the_corrections_of_the_vectors_are_given(void **state)
{
    (void)state;
    cJSON *root = vectors_load();
    const cJSON *entry;
    int used = 0, left = 0;

    cJSON_ArrayForEach(entry, vectors_at(vectors_at(root, "time"), "app_time"))
    {
        const cJSON *version = cJSON_GetObjectItem(entry, "version");
        const cJSON *answer = vectors_at(entry, "answer");

        if (version != NULL && version->valueint != 1) {
            left++;
            continue;
        }
        /* null: nothing is to be sent, because the clock is right. */
        int64_t want = cJSON_IsNull(answer) ? 0 : (int64_t)answer->valuedouble;
        assert_int_equal(
            app_time_correction_v1(vectors_u32(entry, "rx_gps"), vectors_u32(entry, "device_time")),
            want);
        used++;
    }
    print_message("time.app_time: %d used, %d of version 2 left\n", used, left);
    assert_int_equal(used, 6);
    cJSON_Delete(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_encoded_up_to_the_last_value_of_each_field),
        cmocka_unit_test(answers_are_decoded_and_truncated_ones_are_not),
        cmocka_unit_test(reserved_bits_of_an_answer_are_ignored),
        cmocka_unit_test(an_unknown_command_is_told_apart),
        cmocka_unit_test(a_payload_with_several_answers_is_a_loop),
        cmocka_unit_test(the_correction_is_right_in_one_step_for_modular_clocks),
        cmocka_unit_test(the_corrections_of_the_vectors_are_given),
    };
    return cmocka_run_group_tests_name("clock_sync", tests, NULL, NULL);
}
