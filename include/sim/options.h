/*
 * options.h - what fuota-sim is told: the command line, and the scenario file, which knows the same
 * names.
 *
 * One table for the whole, one for what may differ from device to device. Text in, checked values
 * out.
 */
#ifndef SIM_OPTIONS_H
#define SIM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "sim/stacks.h"
#include "sim/tx_status.h"

#define OPTIONS_PATH_SIZE   512
#define OPTIONS_TOPIC_SIZE  64
#define OPTIONS_ERROR_SIZE  1280
#define OPTIONS_OFFLINE_MAX 64
#define OPTIONS_REFUSAL_MAX 64
#define OPTIONS_TAG_MAX     8
#define OPTIONS_TAG_SIZE    48
#define OPTIONS_GATEWAY_MAX 32
#define OPTIONS_DEVICE_MAX  20000
#define OPTIONS_KIND_MIXED  STACK_KIND_COUNT

/* May differ from device to device. */
struct device_options {
    int64_t kind; /* enum stack_kind, or OPTIONS_KIND_MIXED */
    int64_t uplink_interval_s;
    int64_t uplink_jitter_s;
    double loss;
    double uplink_loss;
    double burst; /* mean length of a run of losses in frames; below 1.0…: independent losses */
    bool is_class_c;
    double clock_offset_s;
    bool no_clock;
    bool quiet_clock;
    bool deaf;
    bool mute;
    bool wrong_key; /* the device's root key is not the one the network server has */
    bool refuse_group;
    int64_t refuse_session; /* bits 4:2 of the session answers */
    int64_t refuse_frag;    /* bits 3:0 of FragSessionSetupAns */
    int64_t device_limit;   /* lost fragments the decoder holds; 0: all */
    int64_t max_fragments;
    int64_t max_fragment_size;
    int64_t rejoin_at_s; /* after the start; 0: never */
    int64_t rejoin_at_fragment;
    int64_t repeat_answers;
    double answer_delay_s;
    bool answers_with_regular;
    int64_t heard_by;      /* gateways that hear it and that it hears; 0: all */
    uint32_t gateway_mask; /* which ones they are, instead; 0: as heard_by says */
    bool lorawan_1_1;
    bool ts003; /* the profile says so, and the network server answers AppTimeReq */
    bool ts004;
    bool ts005;
    size_t tag_count;
    char tags[OPTIONS_TAG_MAX][2][OPTIONS_TAG_SIZE];
};

struct gateway_offline {
    int64_t gateway;
    double from_s; /* after the start */
    double to_s;
};

/* Multicast frames that a gateway refuses to send for some time. */
struct gateway_refusal {
    int64_t gateway;
    double from_s; /* after the start */
    double to_s;
    double share;
    enum tx_status status;
};

struct options {
    int64_t grpc_port;
    int64_t mqtt_port;
    char mqtt_host[OPTIONS_PATH_SIZE];
    char api_token_file[OPTIONS_PATH_SIZE];
    int64_t devices;
    int64_t seed;
    char region[32];
    int64_t rx2_dr;
    int64_t gateways;
    double margin_s;
    double interval_s;
    double clock_rate;
    int64_t clock_epoch_ms;
    bool protobuf;
    bool tenant_key;
    int64_t downlink_delay_real_ms;
    double lost_gateway_acks;
    double gateway_rejects;
    double gateway_duty_cycle;               /* 0: none is enforced */
    char gateway_topics[OPTIONS_TOPIC_SIZE]; /* prefix; empty: nothing is published on them */
    char scenario[OPTIONS_PATH_SIZE];
    char report[OPTIONS_PATH_SIZE];
    char dump_images[OPTIONS_PATH_SIZE];
    char ready_file[OPTIONS_PATH_SIZE];
    char trace[OPTIONS_PATH_SIZE];
    char dump_keys[OPTIONS_PATH_SIZE];
    char faults_file[OPTIONS_PATH_SIZE];
    bool help;
    bool version;
    struct device_options all;   /* where no group says otherwise */
    struct device_options *each; /* one per device, owned */
    size_t offline_count;
    struct gateway_offline offline[OPTIONS_OFFLINE_MAX];
    size_t refusal_count;
    struct gateway_refusal refusals[OPTIONS_REFUSAL_MAX];
};

void options_init(struct options *options);
void options_release(struct options *options);

/*
 * Reads the command line, and the scenario file it names; what the command line says wins over the
 * file's global keys, a group of the file over both. Fills `each`.
 *
 * ERR_FORMAT     `error` says which option has which value, and what is allowed
 * ERR_NO_MEMORY  likewise
 */
MUST_CHECK enum err options_read(struct options *options, int argc, char **argv,
                                 char error[OPTIONS_ERROR_SIZE]);

/* Sets the option `name` of the whole, or of `device` where it is not NULL, from text. Errors as
 * options_read(). */
MUST_CHECK enum err options_set(struct options *options, struct device_options *device,
                                const char *name, const char *value,
                                char error[OPTIONS_ERROR_SIZE]);

/* Reads the scenario file; `wants_groups`: only the groups, into `each`, and what names gateways;
 * otherwise all but them. Errors as options_read(). */
MUST_CHECK enum err scenario_read(struct options *options, bool wants_groups,
                                  char error[OPTIONS_ERROR_SIZE]);

/* Writes the options with their defaults and bounds to the standard output. */
void options_print_help(void);

#endif
