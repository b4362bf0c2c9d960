/*
 * network.h - the simulated world's state: the network server's objects, its gateways, and the
 * devices behind them.
 *
 * One owner for all of it, `struct network`; everything else of fuota-sim gets it passed.
 */
#ifndef SIM_NETWORK_H
#define SIM_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/hex.h"
#include "sim/airtime_log.h"
#include "sim/device.h"
#include "sim/options.h"
#include "sim/region.h"
#include "sim/tx_status.h"
#include "sim/world.h"

#define NETWORK_PROFILE_MAX    16
#define NETWORK_SPAN_COUNT     16
#define NETWORK_QUEUE_MAX      1000   /* items of one device queue */
#define NETWORK_GROUP_ROWS_MAX 200000 /* rows of one multicast queue */
#define NETWORK_GROUP_MAX      1000
#define NETWORK_NUMBER_COUNT   16384 /* fragment numbers */

struct network;
struct mqtt;

struct span {
    int64_t from_ms;
    int64_t to_ms;
};

struct sim_gateway {
    uint64_t id;
    int64_t busy_until_ms; /* the end of the last frame in its queue */
    struct span sent[NETWORK_SPAN_COUNT];
    size_t sent_next;
    struct airtime_log airtime;
    uint64_t multicast_sent;
    uint64_t multicast_refused;
};

/* Device profiles are made as needed, one for each combination of what they say. */
struct sim_profile {
    struct uuid id;
    bool is_lorawan_1_1;
    bool is_class_c;
    bool ts003;
    bool ts004;
    bool ts005;
};

/* An item of a device queue. */
struct queue_item {
    struct queue_item *next;
    struct uuid id;
    uint8_t f_port;
    uint8_t size;
    bool confirmed;
    bool is_under_way;  /* handed to a gateway */
    int64_t expires_ms; /* INT64_MAX: never */
    uint8_t payload[DEVICE_PAYLOAD_SIZE_MAX];
};

struct sim_device {
    struct network *network;
    struct device device;
    const struct device_options *options;
    const struct sim_profile *profile;
    uint32_t index;
    uint64_t eui;
    uint32_t dev_addr;
    uint8_t root_key[DEVICE_KEY_SIZE]; /* as the network server has it */
    uint32_t gateway_mask;             /* in reach */
    uint32_t f_cnt_up;
    uint32_t f_cnt_down;
    bool has_been_heard;
    int64_t last_seen_ms;
    int64_t join_ms;
    uint32_t last_gateway;
    int64_t wake_planned_ms;
    int64_t class_c_after_ms; /* no class C unicast before */
    bool class_c_planned;
    struct span sending;
    struct queue_item *queue;
    size_t queue_count;
};

#define DOWNLINK_ITEM_MAX 2

/* A frame that a gateway is given, and what it says: gw.DownlinkFrame and gw.DownlinkTxAck. It
 * sends the first item that it can. */
struct downlink {
    uint32_t id;
    size_t gateway_index;
    size_t item_count;
    struct downlink_item {
        uint32_t frequency_hz;
        uint32_t dr;
        uint32_t delay_ms; /* after the uplink; 0: immediately */
        enum tx_status status;
    } items[DOWNLINK_ITEM_MAX];
};

/* A row of a multicast queue: one frame through one gateway. */
struct multicast_row {
    struct multicast_row *next;
    uint32_t gateway_index;
    uint32_t f_cnt;
    uint32_t attempt;
    int64_t run_after_ms;
    int64_t expires_ms;
    uint8_t f_port;
    size_t size;
    uint8_t payload[]; /* may be longer than any frame: such a row is dropped when its turn comes */
};

struct multicast_group {
    struct multicast_group *next;
    struct uuid id;
    char name[128];
    int region;
    bool is_class_b;
    bool is_gps_time;
    uint32_t mc_addr;
    uint8_t app_s_key[DEVICE_KEY_SIZE];
    uint8_t nwk_s_key[DEVICE_KEY_SIZE];
    uint32_t f_cnt;
    uint32_t dr;
    uint32_t frequency_hz;
    uint32_t ping_slot_periodicity;
    uint32_t gateway_mask;
    struct multicast_row *rows; /* oldest first */
    struct multicast_row **rows_end;
    size_t row_count;
};

struct network_counters {
    uint64_t multicast_enqueued;
    uint64_t multicast_sent;
    uint64_t multicast_duplicate_fcnt;
    uint64_t multicast_rejected;
    uint64_t multicast_dropped; /* expired or too large */
    uint64_t unicast_sent;
    uint64_t uplinks;
    uint64_t uplinks_heard;
    uint64_t events_dropped;
};

struct network {
    const struct options *options;
    const struct region *region;
    uint8_t rx2_dr;
    struct world *world;
    struct mqtt *mqtt;
    FILE *trace; /* may be NULL */
    FILE *keys;  /* a line for each key that is known here: kind, of whom, digits; may be NULL */
    uint64_t seed;
    int64_t start_ms; /* protocol time */
    int64_t start_real_ms;
    struct uuid tenant_id;
    struct uuid application_id;
    size_t profile_count;
    struct sim_profile profiles[NETWORK_PROFILE_MAX];
    size_t gateway_count;
    struct sim_gateway gateways[OPTIONS_GATEWAY_MAX];
    size_t device_count;
    struct sim_device *devices; /* ascending DevEUI */
    size_t group_count;
    struct multicast_group *groups;
    bool scheduler_planned;
    uint64_t id_count; /* of the ids given out */
    uint64_t downlink_count;
    struct network_counters counters;
    uint32_t
        enqueued_numbers[NETWORK_NUMBER_COUNT]; /* how often each fragment number was enqueued */
};

/*
 * Makes application, profiles, gateways and devices from the options; nothing happens yet.
 *
 * ERR_UNKNOWN    no such region, or it has no data rate `rx2_dr`
 * ERR_NO_MEMORY
 */
MUST_CHECK enum err network_init(struct network *network, const struct options *options,
                                 struct world *world);
void network_release(struct network *network);
/* The session keys, which only the frames on the gateways' topics need. */
void network_session_keys(const struct sim_device *device, uint8_t ret_app_s_key[DEVICE_KEY_SIZE],
                          uint8_t ret_nwk_s_key[DEVICE_KEY_SIZE]);
/* The key that devices join with: NwkKey of ChirpStack. */
void network_join_key(const struct sim_device *device, uint8_t ret_key[DEVICE_KEY_SIZE]);
/* A line of `network->keys`. */
void network_dump_key(const struct network *network, const char *kind, const char *owner,
                      const uint8_t key[DEVICE_KEY_SIZE]);
/* The devices begin to live. */
void network_start(struct network *network);

/* Ids that depend on the seed and on how many were given out before. */
struct uuid network_new_id(struct network *network);
uint32_t network_new_downlink_id(struct network *network);
struct sim_device *network_find_device(struct network *network, uint64_t eui);
/* OPTIONS_GATEWAY_MAX when there is no such gateway. */
size_t network_find_gateway(const struct network *network, uint64_t id);
bool network_gateway_is_online(const struct network *network, size_t gateway_index, int64_t now_ms);
/* Asks the device when it wants to be woken, and plans that; after every call into the device. */
void network_plan_wake(struct sim_device *d);
/* A line into the trace file, with the time in front. */
void network_trace(struct network *network, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* radio.c */
enum direction { DIRECTION_UP, DIRECTION_DOWN, DIRECTION_MULTICAST };
/* Whether the frame is lost between this device and gateway: depends on nothing but its arguments
 * and the seed. */
bool radio_is_lost(const struct sim_device *d, size_t gateway_index, enum direction direction,
                   uint32_t f_cnt, uint32_t attempt);
/* Gives the gateway a frame to send at `at_ms` or behind what it is sending; returns when it
 * begins. */
int64_t radio_queue(struct network *network, size_t gateway_index, uint32_t frequency_hz,
                    int64_t at_ms, uint32_t airtime);
/* Whether such a frame is within the gateway's duty cycle: in the hour that ends with it. */
bool radio_fits_duty_cycle(const struct network *network, size_t gateway_index,
                           uint32_t frequency_hz, int64_t at_ms, uint32_t airtime);
/* True when the gateway is sending at some time within the span. */
bool radio_is_sending(const struct sim_gateway *gateway, int64_t from_ms, int64_t to_ms);
bool radio_has_room(const struct sim_gateway *gateway, int64_t from_ms);
/* The device_send_fn and device_join_fn of all devices. */
uint32_t radio_send_uplink(void *arg, struct device *device, uint8_t f_port, const uint8_t *payload,
                           size_t size, int64_t now_ms);
void radio_join(void *arg, struct device *device, int64_t now_ms);

/* device_queue.c */
/* ERR_LIMIT the queue is full, ERR_NO_MEMORY; `item` is copied. */
MUST_CHECK enum err device_queue_add(struct sim_device *d, const struct queue_item *item);
void device_queue_flush(struct sim_device *d, bool with_under_way);
/* The receive windows of the uplink that ended at `uplink_end_ms` and came through the gateways in
 * `heard_mask`. */
void device_queue_open_windows(struct sim_device *d, uint32_t heard_mask, int64_t uplink_end_ms);
void device_queue_plan_class_c(struct sim_device *d);

/* multicast_queue.c */
struct multicast_group *multicast_find(struct network *network, const struct uuid *id);
/* ERR_LIMIT, ERR_NO_MEMORY; takes a row per gateway, returns the counter used. */
MUST_CHECK enum err multicast_enqueue(struct network *network, struct multicast_group *group,
                                      uint8_t f_port, const uint8_t *payload, size_t size,
                                      int64_t expires_ms, uint32_t *ret_f_cnt);
void multicast_flush(struct multicast_group *group);

#endif
