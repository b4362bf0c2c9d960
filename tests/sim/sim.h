/*
 * sim.h - a deterministic world around the pure core: time, network server, broker, store and
 * devices in memory.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/random.h"
#include "deployment/command.h"
#include "deployment/deployment.h"
#include "fec/encoder.h"
#include "lorawan/keys.h"
#include "sim/virtual_device.h"

#define SIM_DEVICES_MAX 64
#define SIM_QUEUE_MAX   32
#define SIM_ROWS_MAX    256
#define SIM_INBOX_MAX   4096

/* What goes wrong, as probabilities of each occasion; all zero is a perfect world. */
struct sim_faults {
    double downlink_loss, uplink_loss, multicast_loss;
    double call_failed;     /* a call is certainly not done */
    double call_unanswered; /* done, or not, and nobody says so */
    double crash_before_commit, crash_after_commit;
    double commit_failed; /* for good: the deployment is loaded again */
    double event_doubled; /* the broker delivers again */
};

struct sim_options {
    uint64_t seed;
    uint32_t device_count;
    size_t image_size;
    unsigned fragment_size;
    unsigned coded_count;
    uint32_t uplink_interval_s;
    struct sim_faults faults;
    bool combine_setup;
    bool is_version_known;
    bool is_clock_unanswered; /* nobody answers AppTimeReq */
    uint8_t attempts_max;
    int64_t setup_limit_ms;
    int64_t abort_at_ms;                                 /* 0: never */
    int64_t network_down_from_ms, network_down_until_ms; /* every call fails */
    int64_t crash_in_state; /* enum transmission_state; -1: none: kills the daemon once there */
    bool is_traced;
    struct virtual_config devices[SIM_DEVICES_MAX];
};

/* Options of a small, perfect world. */
struct sim_options sim_defaults(void);

struct sim_item { /* of a device's queue */
    struct uuid id;
    struct command_bytes bytes;
    int64_t expires_ms;
};

struct sim_row { /* of the group's queue */
    uint32_t f_cnt;
    int64_t due_ms, expires_ms;
    uint8_t f_port, size;
    uint8_t data[255];
};

struct sim_event;

struct sim {
    struct sim_options options;
    struct random random;
    int64_t now_ms, started_ms;
    uint64_t next_sequence, next_id;
    struct sim_event *heap;
    size_t heap_size, heap_capacity;
    /* daemon */
    struct deployment_params params;
    struct deployment *d; /* NULL while the daemon is down */
    void *memory;
    uint64_t generation; /* of the running daemon: answers to an earlier one go nowhere */
    bool has_crashed_in_state, is_abort_pending;
    uint32_t crash_count, load_count, step_count;
    struct key mc_key, root_key;
    struct mc_session_keys session_keys;
    uint8_t *image;
    struct fec_block block;
    /* store: what is committed */
    bool is_stored;
    struct transmission stored;
    struct device stored_devices[SIM_DEVICES_MAX];
    /* broker: events not yet acknowledged, oldest first */
    struct sim_message {
        struct deployment_event event;
        uint8_t data[64];
        size_t size;
    } * inbox;
    size_t inbox_first, inbox_count;
    /* network server */
    bool has_group, has_gateway;
    struct uuid group_id;
    uint32_t f_cnt;
    struct sim_row rows[SIM_ROWS_MAX];
    size_t row_count;
    struct sim_item queues[SIM_DEVICES_MAX][SIM_QUEUE_MAX];
    size_t queue_counts[SIM_DEVICES_MAX];
    uint32_t enqueued[FEC_NUMBER_MAX + 1]; /* how often each fragment number was enqueued */
    uint32_t group_creations;
    /* devices */
    struct virtual_device *devices[SIM_DEVICES_MAX];
    bool is_finished;
};

void sim_init(struct sim *sim, const struct sim_options *options);
void sim_release(struct sim *sim);
/* Runs until the deployment is over or `limit_ms` have passed; returns whether it is over. */
bool sim_run(struct sim *sim, int64_t limit_ms);

/* What must hold at the end: see sim.c. Aborts with a message otherwise. */
void sim_check_end(const struct sim *sim);
bool sim_device_has_image(const struct sim *sim, uint32_t index);
enum device_stage sim_stage(const struct sim *sim, uint32_t index);
enum reason sim_reason(const struct sim *sim, uint32_t index);

/* network.c: calls of the daemon; the answers come as events */
void network_act(struct sim *sim, const struct deployment_action *action);
/* Kinds of scheduled things. */
enum sim_event_kind {
    SIM_DAEMON_TIMER,
    SIM_DAEMON_START,
    SIM_DAEMON_ANSWER, /* of a call */
    SIM_DEVICE_WAKE,
    SIM_UPLINK_EVENT, /* the network server publishes */
    SIM_WINDOW,       /* a device's receive window: its queue is read */
    SIM_ROW_DUE,
    SIM_ABORT,
};
struct sim_event {
    int64_t at_ms;
    uint64_t sequence;
    enum sim_event_kind kind;
    uint32_t index;
    uint64_t generation;
    struct deployment_event event;
    uint8_t data[64];
    size_t size;
};
void sim_schedule(struct sim *sim, const struct sim_event *event);
void sim_trace(const struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool sim_draw(struct sim *sim, double probability);
struct uuid sim_new_id(struct sim *sim);
void network_on_uplink(struct sim *sim, uint32_t index, uint8_t f_port, const uint8_t *data,
                       size_t size);
void network_on_join(struct sim *sim, uint32_t index);
void network_window(struct sim *sim, uint32_t index);
void network_row_due(struct sim *sim);
/* The broker's side: an event for the daemon. */
void sim_publish(struct sim *sim, const struct deployment_event *event, const uint8_t *data,
                 size_t size);
/* Wakes and answers of devices happen outside of their own calls. */
void sim_plan_wake(struct sim *sim, uint32_t index);

#endif
