/* sim_device_vectors_test.c - virtual devices against what real stacks and other implementations
 * say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hex.h"
#include "sim/device_packages.h"
#include "sim_device/bench.h"

static int64_t field(const cJSON *command, const char *name)
{
    const cJSON *item = cJSON_GetObjectItem(cJSON_GetObjectItem(command, "fields"), name);

    assert_non_null(item);
    return cJSON_IsBool(item) ? cJSON_IsTrue(item) : (int64_t)item->valuedouble;
}

static void keys_are_those_of_the_chains(void **state)
{
    (void)state;
    cJSON *vectors = bench_vectors();
    const cJSON *c;
    size_t seen = 0;

    cJSON_ArrayForEach(c, cJSON_GetObjectItem(vectors, "key_chains"))
    {
        bool is_1_1 = strcmp(cJSON_GetObjectItem(c, "lorawan")->valuestring, "1.1") == 0;
        uint8_t root[16], encrypted[16], app[16], nwk[16], want[16];
        uint32_t addr;
        bench_hex(cJSON_GetObjectItem(c, is_1_1 ? "app_key" : "gen_app_key")->valuestring, root,
                  16);
        bench_hex(cJSON_GetObjectItem(c, "mc_key_encrypted")->valuestring, encrypted, 16);
        assert_int_equal(dev_addr_parse(cJSON_GetObjectItem(c, "mc_addr")->valuestring, &addr),
                         ERR_OK);
        assert_int_equal(device_keys_derive(root, is_1_1, encrypted, addr, app, nwk), ERR_OK);
        bench_hex(cJSON_GetObjectItem(c, "mc_app_s_key")->valuestring, want, 16);
        assert_memory_equal(app, want, 16);
        bench_hex(cJSON_GetObjectItem(c, "mc_nwk_s_key")->valuestring, want, 16);
        assert_memory_equal(nwk, want, 16);
        seen++;
    }
    assert_int_equal(seen, 4);
    cJSON_Delete(vectors);
}

static void check_group_setup(struct bench *b, const cJSON *command)
{
    const struct device_group *group = &b->device.groups[field(command, "mc_group_id")];
    char addr[DEV_ADDR_TEXT_SIZE];

    assert_true(group->is_defined);
    dev_addr_format(group->mc_addr, addr);
    assert_string_equal(
        addr, cJSON_GetObjectItem(cJSON_GetObjectItem(command, "fields"), "mc_addr")->valuestring);
    assert_int_equal(group->f_cnt_min, field(command, "min_mc_fcnt"));
    assert_int_equal(group->f_cnt_max, field(command, "max_mc_fcnt"));
}

static void check_frag_setup(struct bench *b, const cJSON *command)
{
    const struct device_frag_session *s = &b->device.frag_sessions[field(command, "frag_index")];

    if (field(command, "frag_algo") != 0) {
        assert_false(s->exists);
        return;
    }
    const struct frag_decoder *decoder = device_decoder(&b->device);
    assert_true(s->exists);
    assert_int_equal(s->mc_group_mask, field(command, "mc_group_bit_mask"));
    assert_int_equal(s->block_ack_delay, field(command, "block_ack_delay"));
    assert_int_equal(s->padding, field(command, "padding"));
    assert_int_equal(decoder->config.fragment_count, field(command, "nb_frag"));
    assert_int_equal(decoder->config.fragment_size, field(command, "frag_size"));
}

static void check_session(struct bench *b, const cJSON *command)
{
    /* Undefined groups refuse; what was read stands in the answer's group and in the timeout. */
    const struct device_group *group = &b->device.groups[field(command, "mc_group_id")];

    assert_int_equal(group->timeout, field(command, "time_out"));
    assert_int_equal(b->uplinks[b->uplink_count - 1].payload[1] & 3, field(command, "mc_group_id"));
}

static void downlink_commands_are_understood(void **state)
{
    (void)state;
    cJSON *vectors = bench_vectors();
    const cJSON *c;
    size_t seen = 0;

    cJSON_ArrayForEach(c, cJSON_GetObjectItem(vectors, "commands"))
    {
        const char *package = cJSON_GetObjectItem(c, "package")->valuestring;
        const char *name = cJSON_GetObjectItem(c, "name")->valuestring;
        const char *hex = cJSON_GetObjectItem(c, "hex")->valuestring;
        uint8_t port = strcmp(package, "clock_sync") == 0        ? DEVICE_PORT_CLOCK
                       : strcmp(package, "multicast_setup") == 0 ? DEVICE_PORT_MULTICAST
                       : strcmp(package, "fragmentation") == 0   ? DEVICE_PORT_FRAGMENTATION
                                                                 : 0;
        if (port == 0 ||
            strcmp(cJSON_GetObjectItem(c, "direction")->valuestring, "downlink") != 0 ||
            cJSON_GetObjectItem(c, "version")->valueint != 1) {
            continue;
        }
        static struct bench b;
        bench_init(&b, STACK_LETTER, NULL);
        if (strcmp(name, "AppTimeAns") == 0) {
            b.device.clock.token = (uint8_t)field(c, "token_ans");
        }
        uint32_t before_s = device_gps_seconds(&b.device, b.now_ms);
        bench_down(&b, port, hex);
        uint32_t after_s = device_gps_seconds(&b.device, b.now_ms);
        bench_pass(&b, 1000000);
        if (strcmp(name, "AppTimeAns") == 0) {
            assert_int_equal((int32_t)(after_s - before_s), field(c, "time_correction"));
        } else if (strcmp(name, "ForceDeviceResyncReq") == 0) {
            assert_int_equal(b.uplink_count, field(c, "nb_transmissions"));
        } else if (strcmp(name, "DeviceAppTimePeriodicityReq") == 0) {
            assert_int_equal(b.device.clock.period_ms, (INT64_C(128) << field(c, "period")) * 1000);
        } else if (strcmp(name, "McGroupSetupReq") == 0) {
            check_group_setup(&b, c);
        } else if (strcmp(name, "FragSessionSetupReq") == 0) {
            check_frag_setup(&b, c);
        } else if (strcmp(name, "McClassCSessionReq") == 0 ||
                   strcmp(name, "McClassBSessionReq") == 0) {
            check_session(&b, c);
        } else if (strcmp(name, "PackageVersionReq") == 0) {
            assert_int_equal(b.uplinks[0].size, 3);
            assert_int_equal(b.uplinks[0].payload[2], 1);
        }
        device_release(&b.device);
        seen++;
    }
    assert_true(seen > 35);
    cJSON_Delete(vectors);
}

/* Brings the device into the situation that the vector names. */
static void stage(struct bench *b, const char *situation, uint8_t index)
{
    const uint16_t all[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    const uint16_t repaired[] = {1, 3, 4, 6, 7, 8, 10, 11, 12, 13, 14, 15};
    const uint16_t swapped[] = {1, 3, 2, 4, 5, 6, 7, 8, 9, 10};
    const uint16_t swapped_repaired[] = {1, 3, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};
    const uint16_t few[] = {1, 2, 5};
    const struct {
        const char *text;
        const uint16_t *numbers;
        size_t count;
    } cases[] = {{"all 10 received", all, 10},
                 {"uncoded 2, 5, 9 lost", repaired, 12},
                 {"first 5 received", all, 5},
                 {"1, 2, 5 received", few, 3},
                 {"1,3,2,4..10 in this order then", swapped_repaired, 13},
                 {"1,3,2,4..10 received in this order", swapped, 10}};

    if (strstr(situation, "never set up") == NULL) {
        bench_down(b, DEVICE_PORT_FRAGMENTATION,
                   index == 1 ? "02100a000a000000000000" : "02000a000a000000000000");
        bench_pass(b, 30000);
    }
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (strncmp(situation, cases[i].text, strlen(cases[i].text)) != 0) {
            continue;
        }
        for (size_t k = 0; k < cases[i].count; k++) {
            uint8_t bits[2] = {0};
            uint8_t data[10] = {0};
            uint16_t n = cases[i].numbers[k];
            if (n > 10) {
                frag_decoder_row(n - 10u, 10, 1, bits);
            } else {
                bits[(n - 1) / 8] = (uint8_t)(1u << (n - 1) % 8);
            }
            for (size_t c = 0; c < 10; c++) {
                data[c] = bits[c / 8] >> (c % 8) & 1; /* fragment c is the unit vector c */
            }
            bench_fragment(b, n, data, sizeof(data));
        }
    }
}

static void status_answers_are_those_of_the_real_stacks(void **state)
{
    (void)state;
    cJSON *vectors = bench_vectors();
    const cJSON *v;
    size_t seen = 0;

    cJSON_ArrayForEach(v, cJSON_GetObjectItem(vectors, "status_answers_of_real_devices"))
    {
        if (cJSON_GetObjectItem(v, "version")->valueint != 1) {
            continue;
        }
        bool is_lbm = strncmp(cJSON_GetObjectItem(v, "source")->valuestring, "LBM", 3) == 0;
        uint8_t index = (uint8_t)cJSON_GetObjectItem(v, "frag_index")->valueint;
        const char *requests[] = {"0101", "0103", "0105", "0107"};
        static struct bench b;
        bench_init(&b, is_lbm ? STACK_LBM : STACK_LORAMAC, NULL);
        stage(&b, cJSON_GetObjectItem(v, "situation")->valuestring, index);
        b.read_count = b.uplink_count;
        bench_pass(&b, 10000);
        bench_down(&b, DEVICE_PORT_FRAGMENTATION, requests[index]);
        bench_pass(&b, 60000);
        bench_expect(&b, DEVICE_PORT_FRAGMENTATION, cJSON_GetObjectItem(v, "hex")->valuestring);
        if (index == 0) {
            assert_int_equal(device_is_complete(&b.device),
                             cJSON_IsTrue(cJSON_GetObjectItem(v, "really_complete")));
        }
        device_release(&b.device);
        seen++;
    }
    assert_int_equal(seen, 14);
    cJSON_Delete(vectors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_those_of_the_chains),
        cmocka_unit_test(downlink_commands_are_understood),
        cmocka_unit_test(status_answers_are_those_of_the_real_stacks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
