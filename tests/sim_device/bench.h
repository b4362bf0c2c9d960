/* bench.h - one virtual device on a bench: its uplinks are kept, its time is the test's. */
#ifndef TESTS_SIM_DEVICE_BENCH_H
#define TESTS_SIM_DEVICE_BENCH_H

#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "sim/device.h"

#define BENCH_START_MS   INT64_C(1700000000000)
#define BENCH_UPLINK_MAX 256
#define BENCH_MC_ADDR    0x01020304u

struct bench_uplink {
    int64_t at_ms;
    uint8_t f_port;
    size_t size;
    uint8_t payload[DEVICE_PAYLOAD_SIZE_MAX];
};

struct bench {
    struct device device;
    int64_t now_ms;
    size_t uplink_count;
    size_t read_count; /* of those bench_answer() gave */
    size_t join_count;
    struct bench_uplink uplinks[BENCH_UPLINK_MAX];
};

/* `config` may be NULL; `send`, `join` and `arg` are set here. */
void bench_init(struct bench *b, enum stack_kind kind, const struct device_config *config);
/* Lets `ms` pass, waking the device when it wants. */
void bench_pass(struct bench *b, int64_t ms);
/* A unicast downlink from hexadecimal text. */
void bench_down(struct bench *b, uint8_t f_port, const char *hex);
/* Asserts that the next uplink not looked at yet is this one. */
void bench_expect(struct bench *b, uint8_t f_port, const char *hex);
/* Asserts that there is no uplink left. */
void bench_expect_silence(struct bench *b);
/* Sets up group 0 with BENCH_MC_ADDR and an open class C session, fragmentation index 0 with M
 * fragments of `size`. */
void bench_open(struct bench *b, uint16_t fragment_count, uint8_t fragment_size);
/* A multicast frame to the group of bench_open(), with the right keys. */
enum device_hearing bench_multicast(struct bench *b, uint32_t f_cnt, const uint8_t *payload,
                                    size_t size);
/* A unicast DataFragment of index 0. */
void bench_fragment(struct bench *b, uint16_t number, const uint8_t *data, size_t size);

/* The vectors; freed by the caller. */
cJSON *bench_vectors(void);
size_t bench_hex(const char *text, uint8_t *octets, size_t size);

#endif
