/* sim_device_manners_test.c - what sets the stacks apart, and what a scenario can make a device do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim_device/bench.h"

#define CLOCK DEVICE_PORT_CLOCK
#define MC    DEVICE_PORT_MULTICAST
#define FRAG  DEVICE_PORT_FRAGMENTATION

#define GROUP_SETUP "0200040302010000000000000000000000000000000000000000ffff0000"

static struct bench b;

static int release(void **state)
{
    (void)state;
    device_release(&b.device);
    return 0;
}

static void say(enum stack_kind kind, uint8_t f_port, const char *down, const char *up)
{
    device_release(&b.device);
    bench_init(&b, kind, NULL);
    bench_down(&b, f_port, down);
    bench_pass(&b, 60000);
    if (up != NULL) {
        bench_expect(&b, f_port, up);
    }
    bench_expect_silence(&b);
}

static void versions_are_told(void **state)
{
    (void)state;
    for (int kind = 0; kind < STACK_KIND_COUNT; kind++) {
        say((enum stack_kind)kind, MC, "00", "000201");
        say((enum stack_kind)kind, FRAG, "00", "000301");
        say((enum stack_kind)kind, CLOCK, "00", kind == STACK_ZEPHYR ? "000102" : "000101");
    }
}

static void unknown_commands_are_skipped_or_end_or_silence_the_payload(void **state)
{
    (void)state;
    say(STACK_LETTER, FRAG, "00ff00", "000301");
    say(STACK_LORAMAC, FRAG, "00ff00", "000301000301");
    say(STACK_LBM, FRAG, "00ff00", NULL);
    say(STACK_ZEPHYR, FRAG, "00ff00", NULL);
    say(STACK_LBM, CLOCK, "00ff00", "000101"); /* on the clock's port it answers what it had */
}

static void a_truncated_command_is_not_answered_by_lbm(void **state)
{
    (void)state;
    say(STACK_LBM, FRAG, "000200", NULL);
    say(STACK_LETTER, FRAG, "000200", "000301");
}

static void loramac_executes_the_mask_of_a_group_status_request(void **state)
{
    (void)state;
    bench_init(&b, STACK_LORAMAC, NULL);
    bench_down(&b, MC, GROUP_SETUP);
    bench_pass(&b, 10000);
    bench_expect(&b, MC, "0200");
    bench_down(&b, MC, "010f"); /* no command: skipped */
    bench_pass(&b, 10000);
    bench_expect_silence(&b);
    bench_down(&b, MC, "0103"); /* McGroupDeleteReq of what lies behind: 04 of the setup, group 0 */
    bench_pass(&b, 10000);
    bench_expect(&b, MC, "0300");
    assert_false(b.device.groups[0].is_defined);

    device_release(&b.device);
    bench_init(&b, STACK_LETTER, NULL);
    bench_down(&b, MC, GROUP_SETUP);
    bench_pass(&b, 10000);
    bench_down(&b, MC, "0103");
    bench_pass(&b, 10000);
    bench_expect(&b, MC, "0200");
    bench_expect(&b, MC, "01110004030201");
}

static void a_version_2_setup_is_half_executed(void **state)
{
    (void)state;
    const char *setup = "02000a000a000000000000050001020304"; /* SessionCnt 5, MIC 01020304 */

    say(STACK_LBM, FRAG, setup, NULL);
    assert_true(b.device.frag_sessions[0].exists);
    device_release(&b.device);
    /* LoRaMac-node: 05 is skipped, 00 asks for the version, 01 02 for the status of index 1, 03 04
     * deletes index 0. */
    bench_init(&b, STACK_LORAMAC, NULL);
    bench_down(&b, FRAG, setup);
    bench_pass(&b, 60000);
    bench_expect(&b, FRAG, "02000003010300");
    assert_false(b.device.frag_sessions[0].exists);
}

static void lbm_loses_an_answer_that_is_being_prepared(void **state)
{
    (void)state;
    const uint8_t data[10] = {0};

    bench_init(&b, STACK_LBM, NULL);
    bench_down(&b, FRAG, "02000a000a000000000000");
    bench_fragment(&b, 1, data, sizeof(data));
    bench_pass(&b, 60000);
    bench_expect_silence(&b);
    assert_true(b.device.frag_sessions[0].exists);
    bench_down(&b, FRAG, "0300000000"); /* and three version requests */
    bench_pass(&b, 4000);
    bench_expect(&b, FRAG, "0300000301000301000301");
    /* One uplink holds 15 octets: five of six. */
    bench_down(&b, FRAG, "000000000000");
    bench_pass(&b, 4000);
    bench_expect(&b, FRAG, "000301000301000301000301000301");
}

static void loramac_sends_what_overwrote_a_waiting_status(void **state)
{
    (void)state;
    const uint8_t data[10] = {0};

    bench_init(&b, STACK_LORAMAC, NULL);
    bench_down(&b, FRAG, "02000a000a070000000000"); /* BlockAckDelay 7: up to 2048 s */
    bench_pass(&b, 5000);
    bench_expect(&b, FRAG, "0200");
    bench_fragment(&b, 1, data, sizeof(data));
    bench_down(&b, FRAG, "0101");
    bench_down(&b, MC, "00");
    bench_pass(&b, 3000000);
    bench_expect(&b, MC, "000201");
    bench_expect(&b, FRAG, "0002010000"); /* the old length */
}

static void a_status_answer_waits_up_to_its_delay(void **state)
{
    (void)state;
    int64_t longest_ms = 0;

    for (uint64_t seed = 0; seed < 30; seed++) {
        struct device_config config = {.seed = seed, .is_quiet_about_time = true};
        device_release(&b.device);
        bench_init(&b, STACK_ZEPHYR, &config);
        bench_down(&b, FRAG, "02000a000a010000000000"); /* BlockAckDelay 1: up to 32 s */
        bench_pass(&b, 10000);
        bench_down(&b, FRAG, "0101");
        bench_pass(&b, 40000);
        assert_int_equal(b.uplink_count, 2);
        int64_t waited_ms = b.uplinks[1].at_ms - (b.now_ms - 40000);
        assert_true(waited_ms <= 32000);
        longest_ms = waited_ms > longest_ms ? waited_ms : longest_ms;
    }
    assert_true(longest_ms > 16000);
    say(STACK_LETTER, FRAG, "0101", NULL); /* no session, nothing to say */
}

static void sessions_are_refused_in_each_stacks_words(void **state)
{
    (void)state;
    const char *undefined = "040212c3bc7208d2ad8403";
    const char *past = "04000000005208d2ad8403";
    const struct {
        enum stack_kind kind;
        const char *undefined;
        const char *past;
    } cases[] = {{STACK_LETTER, "0412", "0410"},
                 {STACK_LORAMAC, "041e", "0410"},
                 {STACK_LBM, "0412", "0420"},
                 {STACK_ZEPHYR, "0412", "0420"}};

    for (size_t i = 0; i < 4; i++) {
        say(cases[i].kind, MC, undefined, cases[i].undefined);
        device_release(&b.device);
        bench_init(&b, cases[i].kind, NULL);
        bench_down(&b, MC, GROUP_SETUP);
        bench_pass(&b, 10000);
        b.read_count = b.uplink_count;
        bench_down(&b, MC, past);
        bench_pass(&b, 10000);
        bench_expect(&b, MC, cases[i].past);
        assert_false(device_session_is_planned(&b.device));
    }
}

static void without_time_only_lbm_finds_its_session(void **state)
{
    (void)state;
    for (int kind = 0; kind < STACK_KIND_COUNT; kind++) {
        struct device_config config = {.has_no_clock = true, .is_quiet_about_time = true};
        char hex[32];
        device_release(&b.device);
        bench_init(&b, (enum stack_kind)kind, &config);
        uint32_t start_s = (uint32_t)(BENCH_START_MS / 1000 - 315964800 + 18 + 100);
        bench_down(&b, MC, GROUP_SETUP);
        bench_pass(&b, 10000);
        snprintf(hex, sizeof(hex), "0400%02x%02x%02x%02x0cd2ad8405", start_s & 0xFF,
                 start_s >> 8 & 0xFF, start_s >> 16 & 0xFF, start_s >> 24);
        bench_down(&b, MC, hex);
        bench_pass(&b, 10000);
        if (kind != STACK_LORAMAC) {
            assert_memory_equal(b.uplinks[b.uplink_count - 1].payload, "\x04\x00\xff\xff\xff", 5);
        }
        assert_int_equal(device_session_is_planned(&b.device),
                         kind == STACK_LBM || kind == STACK_LORAMAC);
        bench_pass(&b, 81000);
        assert_int_equal(device_session_is_open(&b.device), kind == STACK_LBM);
    }
}

static void a_session_opens_by_the_devices_own_clock(void **state)
{
    (void)state;
    struct device_config config = {.clock_offset_ms = -5000, .is_quiet_about_time = true};
    char hex[32];

    bench_init(&b, STACK_LETTER, &config);
    uint32_t start_s = (uint32_t)(BENCH_START_MS / 1000 - 315964800 + 18 + 100);
    bench_down(&b, MC, GROUP_SETUP);
    bench_pass(&b, 10000);
    snprintf(hex, sizeof(hex), "0400%02x%02x%02x%02x04d2ad8405", start_s & 0xFF,
             start_s >> 8 & 0xFF, start_s >> 16 & 0xFF, start_s >> 24);
    bench_down(&b, MC, hex);
    bench_pass(&b, 10000);
    bench_pass(&b, 84000); /* 104 s after the start: the clock is 5 s late */
    assert_false(device_session_is_open(&b.device));
    bench_pass(&b, 1000);
    assert_true(device_session_is_open(&b.device));
    bench_pass(&b, 16000); /* TimeOut 4 */
    assert_false(device_session_is_open(&b.device));
}

static void a_clock_is_corrected_once_by_the_right_token(void **state)
{
    (void)state;
    struct device_config config = {.clock_offset_ms = 7000};

    bench_init(&b, STACK_ZEPHYR, &config);
    bench_pass(&b, 20000);
    assert_int_equal(b.uplink_count, 1);
    assert_int_equal(b.uplinks[0].payload[0], 1);
    assert_int_equal(b.uplinks[0].payload[5], 0);
    uint32_t right_s = (uint32_t)(b.now_ms / 1000 - 315964800 + 18);
    assert_int_equal(device_gps_seconds(&b.device, b.now_ms), right_s + 7);
    bench_down(&b, CLOCK, "01f9ffffff01"); /* another token */
    assert_int_equal(device_gps_seconds(&b.device, b.now_ms), right_s + 7);
    bench_down(&b, CLOCK, "01f9ffffff00");
    assert_int_equal(device_gps_seconds(&b.device, b.now_ms), right_s);
    bench_down(&b, CLOCK, "01f9ffffff00"); /* twice is once */
    assert_int_equal(device_gps_seconds(&b.device, b.now_ms), right_s);
}

static void multicast_needs_session_address_radio_key_and_counter(void **state)
{
    (void)state;
    uint8_t payload[13] = {0x08, 1, 0};

    for (int kind = 0; kind < STACK_KIND_COUNT; kind++) {
        device_release(&b.device);
        bench_init(&b, (enum stack_kind)kind, NULL);
        assert_int_equal(bench_multicast(&b, 0, payload, 13), DEVICE_NOT_LISTENING);
        bench_open(&b, 10, 10);
        struct device_multicast_frame frame = {.mc_addr = BENCH_MC_ADDR,
                                               .f_cnt = 5,
                                               .frequency_hz = 869525000,
                                               .dr = 5,
                                               .f_port = FRAG,
                                               .payload = payload,
                                               .size = 13};
        assert_int_equal(device_on_multicast(&b.device, &frame, b.now_ms), DEVICE_OTHER_KEY);
        frame.dr = 4;
        assert_int_equal(device_on_multicast(&b.device, &frame, b.now_ms), DEVICE_OTHER_RADIO);
        frame.mc_addr++;
        assert_int_equal(device_on_multicast(&b.device, &frame, b.now_ms), DEVICE_OTHER_ADDRESS);
        assert_int_equal(bench_multicast(&b, 5, payload, 13), DEVICE_HEARD);
        assert_int_equal(bench_multicast(&b, 5, payload, 13), DEVICE_COUNTER_OLD);
        assert_int_equal(bench_multicast(&b, 4, payload, 13), DEVICE_COUNTER_OLD);
        assert_int_equal(bench_multicast(&b, 6, payload, 13), DEVICE_HEARD);
        assert_int_equal(b.device.counters.fragments, 2);
        bench_pass(&b, 4096000);
        assert_int_equal(bench_multicast(&b, 7, payload, 13), DEVICE_NOT_LISTENING);
    }
}

static void a_first_counter_above_16_bits_is_heard_only_by_the_letter(void **state)
{
    (void)state;
    const uint8_t payload[13] = {0x08, 1, 0};

    for (int kind = 0; kind < STACK_KIND_COUNT; kind++) {
        device_release(&b.device);
        bench_init(&b, (enum stack_kind)kind, NULL);
        bench_open(&b, 10, 10);
        b.device.groups[0].f_cnt_min = 70000;
        b.device.groups[0].f_cnt_max = 80000;
        assert_int_equal(bench_multicast(&b, 70001, payload, 13),
                         kind == STACK_LETTER ? DEVICE_HEARD : DEVICE_COUNTER_OLD);
    }
}

static void only_loramac_takes_fragments_of_a_group_outside_the_mask(void **state)
{
    (void)state;
    const uint8_t payload[13] = {0x08, 1, 0};

    for (int kind = 0; kind < STACK_KIND_COUNT; kind++) {
        device_release(&b.device);
        bench_init(&b, (enum stack_kind)kind, NULL);
        bench_open(&b, 10, 10);
        b.device.frag_sessions[0].mc_group_mask = 0x02;
        bench_multicast(&b, 0, payload, 13);
        assert_int_equal(b.device.counters.fragments, kind == STACK_LORAMAC ? 1 : 0);
    }
}

static void setup_commands_by_multicast_have_no_effect(void **state)
{
    (void)state;
    const uint8_t delete[2] = {0x03, 0x00};

    for (int kind = 0; kind < STACK_KIND_COUNT; kind++) {
        device_release(&b.device);
        bench_init(&b, (enum stack_kind)kind, NULL);
        bench_open(&b, 10, 10);
        assert_int_equal(bench_multicast(&b, 0, delete, 2), DEVICE_HEARD);
        bench_pass(&b, 30000);
        assert_true(b.device.frag_sessions[0].exists);
        bench_expect_silence(&b);
    }
}

static void a_second_setup_erases_the_progress(void **state)
{
    (void)state;
    const uint8_t data[10] = {0};

    for (int kind = 0; kind < STACK_KIND_COUNT; kind++) {
        device_release(&b.device);
        bench_init(&b, (enum stack_kind)kind, NULL);
        bench_open(&b, 10, 10);
        bench_fragment(&b, 1, data, sizeof(data));
        assert_int_equal(device_decoder(&b.device)->uncoded_count, 1);
        bench_down(&b, FRAG, "02010a000a000000000000");
        assert_int_equal(device_decoder(&b.device)->uncoded_count, 0);
    }
}

static void after_a_delete_only_some_go_on_decoding(void **state)
{
    (void)state;
    const uint8_t data[10] = {0};

    for (int kind = 0; kind < STACK_KIND_COUNT; kind++) {
        device_release(&b.device);
        bench_init(&b, (enum stack_kind)kind, NULL);
        bench_open(&b, 2, 10);
        bench_fragment(&b, 1, data, sizeof(data));
        bench_pass(&b, 4000);
        bench_down(&b, FRAG, "0300");
        bench_pass(&b, 4000);
        bench_expect(&b, FRAG, "0300");
        bench_down(&b, FRAG, "0300");
        bench_pass(&b, 4000);
        bench_expect(&b, FRAG, "0304");
        bench_fragment(&b, 2, data, sizeof(data));
        assert_int_equal(device_is_complete(&b.device), kind == STACK_LORAMAC || kind == STACK_LBM);
    }
}

static void zephyr_has_one_index(void **state)
{
    (void)state;
    bench_init(&b, STACK_ZEPHYR, NULL);
    bench_down(&b, FRAG, "02000a000a000000000000");
    bench_pass(&b, 5000);
    bench_down(&b, FRAG, "02100a000a000000000000");
    bench_pass(&b, 5000);
    bench_expect(&b, FRAG, "0200");
    bench_expect(&b, FRAG, "0244");
}

static void limits_and_refusals_show_in_the_answers(void **state)
{
    (void)state;
    struct device_config config = {.is_quiet_about_time = true,
                                   .fragment_count_max = 9,
                                   .refuses_group_setup = true,
                                   .refused_session_bits = 0x08,
                                   .refused_frag_setup_bits = 0x08};
    char reason[128];

    bench_init(&b, STACK_LETTER, &config);
    bench_down(&b, FRAG, "02000a000a080000000000"); /* M = 10, and FragAlgo 1 */
    bench_pass(&b, 5000);
    bench_expect(&b, FRAG, "020b");
    bench_down(&b, MC, GROUP_SETUP);
    bench_pass(&b, 5000);
    bench_expect(&b, MC, "0204");
    bench_down(&b, MC, "040012c3bc7208d2ad8403");
    bench_pass(&b, 5000);
    bench_expect(&b, MC, "0418");
    device_reason(&b.device, reason, sizeof(reason));
    assert_string_equal(reason, "refused the fragmentation session");
}

static void a_decoder_with_a_limit_says_so(void **state)
{
    (void)state;
    struct device_config config = {.is_quiet_about_time = true, .lost_max = 2};
    const uint8_t data[10] = {0};
    char reason[128];

    bench_init(&b, STACK_LETTER, &config);
    bench_open(&b, 10, 10);
    for (uint16_t n = 1; n <= 11; n++) {
        if (n < 3 || n > 5) {
            bench_fragment(&b, n, data, sizeof(data));
        }
    }
    bench_down(&b, FRAG, "0100"); /* only those that miss something */
    bench_pass(&b, 5000);
    bench_expect(&b, FRAG, "0108000301");
    device_reason(&b.device, reason, sizeof(reason));
    assert_string_equal(reason, "lost 3 fragments, decoder holds 2");
}

static void reasons_follow_a_device_on_its_way(void **state)
{
    (void)state;
    const uint8_t data[10] = {0};
    char reason[128];

    bench_init(&b, STACK_LETTER, NULL);
    device_reason(&b.device, reason, sizeof(reason));
    assert_string_equal(reason, "never set up");
    bench_open(&b, 10, 10);
    device_reason(&b.device, reason, sizeof(reason));
    assert_string_equal(reason, "heard no fragment");
    bench_fragment(&b, 1, data, sizeof(data));
    device_reason(&b.device, reason, sizeof(reason));
    assert_string_equal(reason, "heard 1 of 10 uncoded fragments and no coded one");
    bench_fragment(&b, 12, data, sizeof(data));
    device_reason(&b.device, reason, sizeof(reason));
    assert_string_equal(reason, "8 rows short");
    device_restart(&b.device, b.now_ms);
    device_reason(&b.device, reason, sizeof(reason));
    assert_string_equal(reason, "restarted and forgot its block");
    assert_int_equal(b.join_count, 1);
}

static void a_device_restarts_when_told_to(void **state)
{
    (void)state;
    struct device_config config = {
        .is_quiet_about_time = true, .rejoin_at_fragment = 3, .rejoin_after_ms = 900000};
    const uint8_t data[10] = {0};

    bench_init(&b, STACK_LBM, &config);
    bench_open(&b, 10, 10);
    for (uint16_t n = 1; n <= 4; n++) {
        bench_fragment(&b, n, data, sizeof(data));
    }
    assert_int_equal(b.join_count, 1);
    assert_int_equal(b.device.counters.fragments, 2);
    assert_false(device_session_is_open(&b.device));
    bench_pass(&b, 900000);
    assert_int_equal(b.join_count, 2);
}

static void the_deaf_the_mute_and_the_slow(void **state)
{
    (void)state;
    struct device_config config = {.is_quiet_about_time = true, .is_deaf = true};
    bench_init(&b, STACK_LETTER, &config);
    bench_down(&b, MC, "00");
    bench_pass(&b, 5000);
    bench_expect_silence(&b);

    config = (struct device_config){
        .is_quiet_about_time = true, .is_mute = true, .uplink_interval_ms = 1000};
    bench_init(&b, STACK_LETTER, &config);
    bench_down(&b, MC, GROUP_SETUP);
    bench_pass(&b, 5000);
    bench_expect_silence(&b);
    assert_true(b.device.groups[0].is_defined);

    config = (struct device_config){
        .is_quiet_about_time = true, .uplink_interval_ms = 600000, .answers_with_regular = true};
    bench_init(&b, STACK_LETTER, &config);
    int64_t regular_ms = b.device.next_regular_ms;
    bench_down(&b, MC, "00");
    bench_pass(&b, 700000);
    bench_expect(&b, MC, "000201");
    assert_int_equal(b.uplinks[0].at_ms, regular_ms);

    config = (struct device_config){
        .is_quiet_about_time = true, .answer_repeats = 2, .answer_delay_ms = 7000};
    bench_init(&b, STACK_LETTER, &config);
    bench_down(&b, MC, "00");
    bench_pass(&b, 60000);
    assert_int_equal(b.uplinks[0].at_ms, BENCH_START_MS + 7000);
    for (int i = 0; i < 3; i++) {
        bench_expect(&b, MC, "000201");
    }
    bench_expect_silence(&b);
}

static void regular_uplinks_keep_their_pace(void **state)
{
    (void)state;
    struct device_config config = {
        .is_quiet_about_time = true, .uplink_interval_ms = 600000, .uplink_jitter_ms = 10000};

    bench_init(&b, STACK_ZEPHYR, &config);
    bench_pass(&b, INT64_C(86400000));
    assert_in_range(b.uplink_count, 143, 145);
    for (size_t i = 1; i < b.uplink_count; i++) {
        assert_in_range((uint64_t)(b.uplinks[i].at_ms - b.uplinks[i - 1].at_ms), 590000, 610000);
        assert_int_equal(b.uplinks[i].f_port, DEVICE_PORT_APPLICATION);
    }
}

#define TEST(name) cmocka_unit_test_teardown(name, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(versions_are_told),
        TEST(unknown_commands_are_skipped_or_end_or_silence_the_payload),
        TEST(a_truncated_command_is_not_answered_by_lbm),
        TEST(loramac_executes_the_mask_of_a_group_status_request),
        TEST(a_version_2_setup_is_half_executed),
        TEST(lbm_loses_an_answer_that_is_being_prepared),
        TEST(loramac_sends_what_overwrote_a_waiting_status),
        TEST(a_status_answer_waits_up_to_its_delay),
        TEST(sessions_are_refused_in_each_stacks_words),
        TEST(without_time_only_lbm_finds_its_session),
        TEST(a_session_opens_by_the_devices_own_clock),
        TEST(a_clock_is_corrected_once_by_the_right_token),
        TEST(multicast_needs_session_address_radio_key_and_counter),
        TEST(a_first_counter_above_16_bits_is_heard_only_by_the_letter),
        TEST(only_loramac_takes_fragments_of_a_group_outside_the_mask),
        TEST(setup_commands_by_multicast_have_no_effect),
        TEST(a_second_setup_erases_the_progress),
        TEST(after_a_delete_only_some_go_on_decoding),
        TEST(zephyr_has_one_index),
        TEST(limits_and_refusals_show_in_the_answers),
        TEST(a_decoder_with_a_limit_says_so),
        TEST(reasons_follow_a_device_on_its_way),
        TEST(a_device_restarts_when_told_to),
        TEST(the_deaf_the_mute_and_the_slow),
        TEST(regular_uplinks_keep_their_pace),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
