#include "sim_device/bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hex.h"

#define BUSY_MS 2100

static uint32_t on_send(void *arg, struct device *device, uint8_t f_port, const uint8_t *payload,
                        size_t size, int64_t now_ms)
{
    struct bench *b = arg;

    (void)device;
    if (b->uplink_count < BENCH_UPLINK_MAX) {
        struct bench_uplink *u = &b->uplinks[b->uplink_count++];
        u->at_ms = now_ms;
        u->f_port = f_port;
        u->size = size;
        memcpy(u->payload, payload, size);
    }
    return BUSY_MS;
}

static void on_join(void *arg, struct device *device, int64_t now_ms)
{
    (void)device;
    (void)now_ms;
    ((struct bench *)arg)->join_count++;
}

void bench_init(struct bench *b, enum stack_kind kind, const struct device_config *config)
{
    struct device_config c = {.is_quiet_about_time = true};

    memset(b, 0, sizeof(*b));
    if (config != NULL) {
        c = *config;
    }
    c.dev_eui = 0x0102030405060708u;
    c.kind = kind;
    c.send = on_send;
    c.join = on_join;
    c.arg = b;
    b->now_ms = BENCH_START_MS;
    assert_int_equal(device_init(&b->device, &c, b->now_ms), ERR_OK);
}

void bench_pass(struct bench *b, int64_t ms)
{
    int64_t end_ms = b->now_ms + ms;
    int turns = 0;

    for (int64_t next_ms = device_next_wake(&b->device); next_ms <= end_ms;
         next_ms = device_next_wake(&b->device)) {
        assert_true(++turns < 100000); /* a device that never sleeps hangs the simulator */
        b->now_ms = next_ms > b->now_ms ? next_ms : b->now_ms;
        device_wake(&b->device, b->now_ms);
    }
    b->now_ms = end_ms;
}

size_t bench_hex(const char *text, uint8_t *octets, size_t size)
{
    size_t count = strlen(text) / 2;

    assert_true(count <= size);
    assert_int_equal(hex_decode(text, strlen(text), octets, count), ERR_OK);
    return count;
}

void bench_down(struct bench *b, uint8_t f_port, const char *hex)
{
    uint8_t payload[DEVICE_PAYLOAD_SIZE_MAX];
    size_t size = bench_hex(hex, payload, sizeof(payload));

    device_on_downlink(&b->device, f_port, payload, size, b->now_ms);
}

void bench_expect(struct bench *b, uint8_t f_port, const char *hex)
{
    char text[2 * DEVICE_PAYLOAD_SIZE_MAX + 1];

    assert_true(b->read_count < b->uplink_count);
    const struct bench_uplink *u = &b->uplinks[b->read_count++];
    hex_encode(u->payload, u->size, text);
    assert_string_equal(text, hex);
    assert_int_equal(u->f_port, f_port);
}

void bench_expect_silence(struct bench *b)
{
    assert_int_equal(b->read_count, b->uplink_count);
}

void bench_open(struct bench *b, uint16_t fragment_count, uint8_t fragment_size)
{
    char hex[64];
    uint32_t start_s = device_gps_seconds(&b->device, b->now_ms) + 60;

    bench_down(b, DEVICE_PORT_MULTICAST,
               "02000403020100000000000000000000000000000000"
               "00000000ffff0000");
    bench_pass(b, 10000);
    snprintf(hex, sizeof(hex), "0201%02x%02x%02x000001020304", fragment_count & 0xFF,
             fragment_count >> 8, fragment_size);
    bench_down(b, DEVICE_PORT_FRAGMENTATION, hex);
    bench_pass(b, 10000);
    snprintf(hex, sizeof(hex), "0400%02x%02x%02x%02x0cd2ad8405", start_s & 0xFF,
             start_s >> 8 & 0xFF, start_s >> 16 & 0xFF, start_s >> 24);
    bench_down(b, DEVICE_PORT_MULTICAST, hex);
    bench_pass(b, 60000);
    assert_true(device_session_is_open(&b->device));
    b->read_count = b->uplink_count;
}

enum device_hearing bench_multicast(struct bench *b, uint32_t f_cnt, const uint8_t *payload,
                                    size_t size)
{
    struct device_multicast_frame frame = {.mc_addr = BENCH_MC_ADDR,
                                           .f_cnt = f_cnt,
                                           .frequency_hz = 869525000,
                                           .dr = 5,
                                           .f_port = DEVICE_PORT_FRAGMENTATION,
                                           .payload = payload,
                                           .size = size};

    memcpy(frame.app_s_key, b->device.groups[0].app_s_key, sizeof(frame.app_s_key));
    memcpy(frame.nwk_s_key, b->device.groups[0].nwk_s_key, sizeof(frame.nwk_s_key));
    return device_on_multicast(&b->device, &frame, b->now_ms);
}

void bench_fragment(struct bench *b, uint16_t number, const uint8_t *data, size_t size)
{
    uint8_t payload[DEVICE_PAYLOAD_SIZE_MAX] = {0x08, (uint8_t)number, (uint8_t)(number >> 8)};

    memcpy(payload + 3, data, size);
    device_on_downlink(&b->device, DEVICE_PORT_FRAGMENTATION, payload, size + 3, b->now_ms);
}

cJSON *bench_vectors(void)
{
    FILE *file = fopen(FUOTAD_VECTORS, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    char *text = calloc((size_t)size + 1, 1);
    assert_int_equal(fread(text, 1, (size_t)size, file), size);
    fclose(file);
    cJSON *json = cJSON_Parse(text);
    free(text);
    assert_non_null(json);
    return json;
}
