/*
 * load.h - what the load of the benchmarks is made of: a publisher of ChirpStack's `up` events, and
 * a stand-in for its API.
 *
 * Both run on the caller's loop, so one process sees an uplink leave and the call it causes come.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "base/hex.h"

/* Microseconds of a clock that only runs forward. */
uint64_t load_now_us(void);

/* ------------------------------------------------------------------ uplinks */

struct load_uplinks {
    struct uuid application_id;
    uint64_t first_eui; /* and those that follow, one uplink each in turn */
    uint32_t device_count;
    uint64_t count;
    double rate; /* a second; 0: as fast as the broker takes them */
    uint8_t f_port;
    const char *data;  /* base64 */
    uint64_t *sent_us; /* of each device's last one; NULL: nobody asks */
};

struct publisher;

/* Connects to the broker on loopback; ends the program when it cannot. `cb` when it is ready. */
struct publisher *publisher_new(uv_loop_t *loop, uint16_t port, void (*cb)(void *arg), void *arg);
/* Publishes at QoS 1, one run at a time; `cb` when the broker has acknowledged the last one. */
void publisher_run(struct publisher *p, const struct load_uplinks *uplinks, void (*cb)(void *arg),
                   void *arg);

/* ------------------------------------------------------------------ calls */

struct api_calls {
    uint64_t keys, commands, frames, others;
    uint64_t first_us, last_us;
    uint64_t keys_us; /* of the first for a key; others come by themselves, too */
};

struct api;

/* `on_call` hears of GetKeys and Enqueue of devices while they are answered. */
struct api *api_new(uv_loop_t *loop, uint16_t port,
                    void (*on_call)(void *arg, uint64_t dev_eui, bool is_command), void *arg);
struct api_calls *api_get_calls(struct api *api);

#endif
