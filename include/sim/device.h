/*
 * device.h - a virtual LoRaWAN device: TS003, TS004 and TS005 version 1, seen from the device.
 *
 * No I/O and no clock: the caller brings the protocol time (milliseconds since the Unix epoch) with
 * every call, never earlier than in the call before, carries the uplinks away through a callback
 * and asks when to wake the device next. Written from the specifications; nothing is shared with
 * the daemon's own protocol code. Draws depend on the seed in the configuration alone.
 *
 * Memory: the struct holds everything but the image and the decoder, which are allocated at
 * FragSessionSetupReq, and a decoder row per coded fragment that is kept.
 */
#ifndef SIM_DEVICE_H
#define SIM_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/random.h"
#include "sim/frag_decoder.h"
#include "sim/stacks.h"

#define DEVICE_KEY_SIZE           16
#define DEVICE_PAYLOAD_SIZE_MAX   242
#define DEVICE_ANSWER_SIZE_MAX    64
#define DEVICE_ANSWER_COUNT_MAX   8
#define DEVICE_GROUP_COUNT        4
#define DEVICE_FRAG_INDEX_COUNT   4
#define DEVICE_NEVER              INT64_MAX
#define DEVICE_PORT_CLOCK         202
#define DEVICE_PORT_FRAGMENTATION 201
#define DEVICE_PORT_MULTICAST     200
#define DEVICE_PORT_APPLICATION   10

struct device;

/*
 * The device sends an uplink at `now_ms`; `payload` is borrowed. Returns for how many milliseconds
 * it can send nothing else (time on air and receive windows). `arg` is the configuration's.
 */
typedef uint32_t device_send_fn(void *arg, struct device *device, uint8_t f_port,
                                const uint8_t *payload, size_t size, int64_t now_ms);
/* The device joins again at `now_ms`: it has restarted and forgotten its sessions. */
typedef void device_join_fn(void *arg, struct device *device, int64_t now_ms);

/* A zeroed configuration with an EUI, a key and `send` is a well behaved class A device that never
 * speaks unasked. */
struct device_config {
    uint64_t dev_eui;
    uint64_t seed; /* of this device's own draws; mixed with the EUI */
    enum stack_kind kind;
    bool is_lorawan_1_1; /* root_key is AppKey, otherwise GenAppKey */
    uint8_t root_key[DEVICE_KEY_SIZE];
    bool is_class_c;             /* outside multicast sessions */
    uint32_t uplink_interval_ms; /* of application uplinks on FPort 10; 0: none */
    uint32_t uplink_jitter_ms;   /* each interval is up to that much shorter or longer */
    bool has_no_clock;           /* until the first AppTimeAns */
    int64_t clock_offset_ms;  /* of the device's clock, ahead is positive; unused without a clock */
    bool is_quiet_about_time; /* sends no AppTimeReq of its own */
    bool is_deaf;             /* hears nothing */
    bool is_mute;             /* never speaks */
    bool refuses_group_setup; /* McGroupSetupAns IDerror */
    uint8_t refused_session_bits;    /* McClassC/BSessionAns bits 4:2 */
    uint8_t refused_frag_setup_bits; /* FragSessionSetupAns bits 3:0 */
    uint16_t fragment_count_max;     /* 0: 16383 */
    uint8_t fragment_size_max;       /* 0: 239 */
    uint16_t lost_max;               /* uncoded fragments the decoder can do without; 0: all */
    uint32_t image_size_max;         /* octets, padding included; 0: 4 MiB */
    uint32_t frequency_min_hz;       /* what the radio can be tuned to; 0: 100 MHz */
    uint32_t frequency_max_hz;       /* 0: 1.67 GHz */
    uint16_t dr_mask;                /* bit n: downlink DRn exists; 0: 0..15 */
    bool answers_with_regular;       /* answers wait for the next application uplink */
    uint32_t answer_delay_ms;    /* answers go out that much later than the stack would send them */
    uint8_t answer_repeats;      /* each answer is sent that many times more, 10 s apart */
    int64_t rejoin_after_ms;     /* restarts that long after device_init(); 0: never */
    uint16_t rejoin_at_fragment; /* restarts when it hears that N, once; 0: never */
    device_send_fn *send;
    device_join_fn *join; /* may be NULL */
    void *arg;
};

/* A multicast frame as it is on the air, its keys and its full counter standing for payload
 * encryption and MIC. */
struct device_multicast_frame {
    uint32_t mc_addr;
    uint8_t app_s_key[DEVICE_KEY_SIZE];
    uint8_t nwk_s_key[DEVICE_KEY_SIZE];
    uint32_t f_cnt; /* all 32 bits; the device sees the lower 16 */
    uint32_t frequency_hz;
    uint8_t dr;
    uint8_t f_port;
    const uint8_t *payload; /* borrowed */
    size_t size;
};

enum device_hearing {
    DEVICE_HEARD,
    DEVICE_IS_DEAF,
    DEVICE_NOT_LISTENING, /* no session is open */
    DEVICE_OTHER_ADDRESS, /* or no open session of a group with that address */
    DEVICE_OTHER_RADIO,   /* frequency or data rate differ */
    DEVICE_OTHER_KEY,     /* the MIC does not match */
    DEVICE_COUNTER_OLD,   /* FCnt below the minimum, not above the last, or beyond the maximum */
};

struct device_answer {
    int64_t due_ms; /* DEVICE_NEVER: the slot is free */
    int64_t created_ms;
    int64_t start_ms;     /* TimeToStart at `start_offset` counts down to it */
    uint8_t start_offset; /* 0: none */
    uint8_t f_port;
    uint8_t size;
    uint8_t repeats_left;
    bool is_delayed_status; /* waits for its BlockAckDelay */
    uint8_t octets[DEVICE_ANSWER_SIZE_MAX];
};

struct device_clock {
    int64_t offset_ms; /* what the device's GPS clock is ahead of the right one */
    bool is_set;
    uint8_t token;
    uint8_t requests_left; /* transmissions of AppTimeReq still to make */
    int64_t next_request_ms;
    int64_t period_ms; /* 0: none */
};

enum device_session_state { SESSION_NONE, SESSION_PLANNED, SESSION_OPEN };

struct device_group {
    bool is_defined;
    uint32_t mc_addr;
    uint8_t app_s_key[DEVICE_KEY_SIZE];
    uint8_t nwk_s_key[DEVICE_KEY_SIZE];
    uint32_t f_cnt_min;
    uint32_t f_cnt_max;
    bool has_counter;
    uint32_t f_cnt_last;
    enum device_session_state session;
    bool is_class_b;
    int64_t start_ms;
    int64_t end_ms;
    uint8_t timeout; /* exponent of the last request, accepted or not */
    uint32_t frequency_hz;
    uint8_t dr;
};

struct device_frag_session {
    bool exists;
    uint8_t mc_group_mask;
    uint8_t block_ack_delay;
    uint8_t padding;
    uint8_t descriptor[4];
};

struct device_counters {
    uint32_t uplinks;
    uint32_t downlinks; /* unicast, heard */
    uint32_t multicast_heard;
    uint32_t multicast_other_key;
    uint32_t multicast_counter_old;
    uint32_t fragments;    /* DataFragment that reached a session */
    uint32_t group_setups; /* McGroupSetupReq accepted */
    uint32_t frag_setups;  /* FragSessionSetupReq accepted */
    uint32_t frag_refusals;
    uint32_t sessions_planned; /* session requests accepted */
    uint32_t sessions_opened;
    uint32_t restarts;
    uint32_t lost_to_restart; /* blocks begun and forgotten */
};

struct device {
    struct device_config config;
    const struct stack_traits *traits;
    struct random random;
    int64_t started_ms;
    int64_t now_ms; /* of the current or last call */
    int64_t busy_until_ms;
    int64_t next_regular_ms;
    int64_t rejoin_ms; /* DEVICE_NEVER: not planned */
    bool has_rejoined_at_fragment;
    struct device_answer answers[DEVICE_ANSWER_COUNT_MAX];
    struct device_clock clock;
    struct device_group groups[DEVICE_GROUP_COUNT];
    struct device_frag_session frag_sessions[DEVICE_FRAG_INDEX_COUNT];
    struct frag_decoder decoders[DEVICE_FRAG_INDEX_COUNT];
    struct device_counters counters;
    uint8_t rx[2 * (UINT8_MAX + 1)]; /* the receive buffer: old octets stay behind shorter frames */
    uint8_t *image;                  /* of the last complete block, padding included */
    size_t image_size;               /* without padding */
    uint8_t image_descriptor[4];
    uint8_t last_index; /* FragIndex set up last */
};

/*
 * The device joins at `now_ms`; the first application uplink follows within one interval. `device`
 * is zeroed first.
 *
 * ERR_MISSING  the configuration has no `send`
 */
MUST_CHECK enum err device_init(struct device *device, const struct device_config *config,
                                int64_t now_ms);
void device_release(struct device *device);

/* A unicast downlink that reached the device; `size` is at most DEVICE_PAYLOAD_SIZE_MAX. */
void device_on_downlink(struct device *device, uint8_t f_port, const uint8_t *payload, size_t size,
                        int64_t now_ms);

/* A multicast frame that reached the device's antenna undamaged; says whether the device took it.
 */
enum device_hearing device_on_multicast(struct device *device,
                                        const struct device_multicast_frame *frame, int64_t now_ms);

/* When to call device_wake() next; DEVICE_NEVER for never. Ask again after every other call. */
int64_t device_next_wake(const struct device *device);
/* Does what is due at `now_ms`: opens and closes sessions, sends at most one uplink. */
void device_wake(struct device *device, int64_t now_ms);

/* The device sends nothing before `until_ms`: its receive windows are still open. */
void device_hold(struct device *device, int64_t until_ms);
/* Power cut and a new join: what lives in RAM is lost, the clock and a complete image stay. */
void device_restart(struct device *device, int64_t now_ms);

/* True while the radio listens for multicast with session parameters; class C unicast is not heard
 * then. */
bool device_session_is_open(const struct device *device);
bool device_session_is_planned(const struct device *device);
bool device_is_complete(const struct device *device);
/* The image without padding, NULL when there is none; borrowed. */
const uint8_t *device_image(const struct device *device, size_t *ret_size);
const struct device_counters *device_counters(const struct device *device);
/* The decoder of the block in progress or done. */
const struct frag_decoder *device_decoder(const struct device *device);
/* Why the device has no image, in plain words; "complete" when it has one. */
void device_reason(const struct device *device, char *text, size_t text_size);
/* GPS seconds on the device's clock. */
uint32_t device_gps_seconds(const struct device *device, int64_t now_ms);
const char *device_hearing_text(enum device_hearing hearing);

#endif
