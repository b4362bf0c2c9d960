/*
 * sim.h - a deterministic world around the pure core: time, network server, gateways, broker, store
 * and devices in memory.
 *
 * Everything happens at one instant of `now_ms`, the world's clock, which devices, gateways and
 * network server share. The daemon has a clock of its own (sim_daemon_ms). A run depends on its
 * options alone, and these on the seed: draw.c.
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

#define SIM_DEVICES_MAX  64
#define SIM_GATEWAYS_MAX 3
#define SIM_QUEUE_MAX    64
#define SIM_ROWS_MAX     2048
#define SIM_INBOX_MAX    16384
#define SIM_ACTIONS_MAX  4096

#define SIM_CALL_DEADLINE_MS 10000 /* of a call to the network server */
#define SIM_PAYLOAD_MAX      64    /* of an uplink */

/* What goes wrong, as probabilities of each occasion; all zero is a perfect world. */
struct sim_faults {
    /* the air, and the gateways' acknowledgements */
    double downlink_loss, uplink_loss, multicast_loss;
    double downlink_doubled, downlink_reordered;
    double ack_lost; /* the network server sends the frame again */
    /* calls of the daemon to the network server */
    double call_failed;     /* certainly not done */
    double call_slow;       /* done, and the answer takes up to the deadline */
    double call_unanswered; /* done, or not, and nobody says so */
    double call_lands_late; /* of the unanswered: done minutes after the daemon looked */
    /* the daemon and its store */
    double kill_after_step, kill_after_commit, kill_after_calls;
    double taken_over; /* of the kills: another daemon takes over, the first may have been frozen */
    double commit_failed; /* for good: the deployment is loaded again */
    double commit_slow;
    /* the broker */
    double event_doubled;
    double event_delayed; /* by a minute to two hours; later ones of that device wait behind it */
};

/* From and until, since the start; nothing where both are the same. */
struct sim_window {
    int64_t from_ms, until_ms;
};

/* When a chosen death meets the daemon. */
enum sim_kill {
    SIM_KILL_AFTER_STEP,   /* nothing of it is stored */
    SIM_KILL_AFTER_COMMIT, /* stored, but nothing done */
    SIM_KILL_AFTER_CALLS,  /* the calls are made, and nobody hears their answers */
    SIM_KILL_COUNT
};

struct sim_options {
    uint64_t seed;
    uint32_t device_count;
    size_t image_size;
    unsigned fragment_size;
    unsigned coded_count;
    unsigned gateway_count;
    uint32_t uplink_interval_s;
    struct sim_faults faults;
    bool combine_setup, choose_rows, own_evidence;
    bool is_version_known;
    bool is_clock_unanswered; /* nobody answers AppTimeReq */
    bool has_tight_session;   /* the shortest TimeOut that holds the frames */
    uint8_t session_time_out; /* of the first session; 0: as long as it goes */
    uint8_t attempts_max, rounds_max, sessions_max, repairs_max;
    uint32_t frames_max;
    int64_t time_limit_ms; /* 0: none */
    int64_t setup_limit_ms;
    int64_t abort_at_ms;            /* 0: never */
    struct sim_window paused;       /* by the operator */
    struct sim_window network_down; /* calls fail, uplinks are lost, queues survive */
    struct sim_window commits_fail; /* reading works */
    struct sim_window store_down;   /* reading fails, too */
    struct sim_window events_lost;  /* a gap in the broker's connection, nothing is kept */
    struct sim_window events_held;  /* the same, and all comes afterwards */
    struct sim_window gateway_down[SIM_GATEWAYS_MAX];
    struct sim_window gateway_refuses[SIM_GATEWAYS_MAX]; /* acknowledges all, and sends nothing */
    bool tells_results; /* the daemon may listen to the gateways */
    bool shares_air; /* another deployment sends as often over the same gateways */
    struct sim_window clock_stepped; /* the daemon's clock is off by ... */
    int64_t clock_step_ms;
    int clock_drift_ppm;
    int64_t crash_in_state; /* enum transmission_state; -1: none: kills the daemon once there */
    uint32_t kill_at_step;  /* from 1; 0: never */
    enum sim_kill kill;
    bool is_traced;
    struct virtual_config devices[SIM_DEVICES_MAX];
    uint8_t hears[SIM_DEVICES_MAX]; /* bit g: gateway g; 0: all */
};

struct sim_item { /* of a device's queue */
    struct uuid id;
    enum device_command command; /* COMMAND_NONE: not of the daemon */
    struct command_bytes bytes;
    int64_t expires_ms;
    bool was_heard; /* sent before, without the gateway's acknowledgement */
};

#define SIM_GROUPS_MAX 16

struct sim_group { /* at the network server */
    bool exists;
    struct uuid id;
    uint32_t number; /* its name */
    uint32_t gateways;
    uint32_t f_cnt;
};

struct sim_row {    /* of a group's queue: one copy of a frame */
    unsigned group; /* index into groups */
    uint32_t f_cnt;
    uint16_t number; /* 0: not a fragment */
    int64_t due_ms, expires_ms;
    uint8_t gateway;
    uint8_t size;
    uint8_t data[255];
};

/* Kinds of scheduled things. */
enum sim_event_kind {
    SIM_DAEMON_TIMER,
    SIM_DAEMON_START,
    SIM_DAEMON_ANSWER, /* of a call */
    SIM_COMMIT_ENDS,
    SIM_CALL_LANDS, /* at the network server */
    SIM_DEVICE_WAKE,
    SIM_DELIVERY,  /* of the broker */
    SIM_WINDOW,    /* a device's receive window: its queue is read */
    SIM_DOUBLE,    /* a device hears a downlink again */
    SIM_SCHEDULER, /* the network server looks for rows that are due */
    SIM_OPERATOR,  /* wishes `index` */
    SIM_GAP,       /* the daemon learns that events may be missing */
};

struct sim_call {
    struct deployment_action action;
    struct command_bytes bytes;
    struct uuid group_id;               /* which group it is about */
    uint32_t group_number, group_f_cnt; /* CREATE_GROUP, DELETE_GROUP */
    uint32_t gateway_mask;              /* ADD_GATEWAYS */
    int64_t made_ms;
    int64_t clock_error_ms;  /* of the daemon when it called */
    int64_t answer_after_ms; /* after it landed; -1: nobody answers */
    bool is_late;            /* lands after the daemon has looked for it */
};

struct sim_event {
    int64_t at_ms;
    uint64_t sequence;
    enum sim_event_kind kind;
    uint32_t index;
    uint64_t generation;
    struct deployment_event event;
    struct sim_call call;
    uint8_t data[SIM_PAYLOAD_MAX];
    size_t size;
};

struct sim_message {
    struct deployment_event event;
    uint8_t data[SIM_PAYLOAD_MAX];
    size_t size;
};

/* Wishes of the operator, as bits. */
enum sim_wish {
    SIM_WISH_ABORT = 1 << 0,
    SIM_WISH_PAUSE = 1 << 1,
    SIM_WISH_RESUME = 1 << 2,
};

/* What one commit stores, acknowledges and releases. */
struct sim_batch {
    bool is_used, has_transmission;
    unsigned wishes; /* carried out */
    struct transmission transmission;
    bool has_device[SIM_DEVICES_MAX];
    struct device devices[SIM_DEVICES_MAX];
    size_t ack_count, action_count;
    uint32_t first_step, last_step;
    struct deployment_action actions[SIM_ACTIONS_MAX];
};

/* What checks.c remembers. */
struct sim_watch {
    struct transmission before; /* the step */
    struct device devices_before[SIM_DEVICES_MAX];
    bool has_jump_note;
    uint8_t repair_number;        /* of the pass whose numbers are counted */
    int64_t last_session_ms[2];   /* begin and end of the session before the present one */
    bool is_frame_open;           /* a call of this daemon has not reported */
    int64_t frame_lands_by_ms;    /* when the last call that is not late reaches the server */
    int64_t frame_landed_ms;      /* the last frame that arrived, INT64_MIN / 2: none */
    int64_t clock_error_at_frame; /* when it was called */
    int64_t clock_error_max_ms;   /* the largest so far, without a sign */
    uint32_t enqueued[FEC_NUMBER_MAX + 1];    /* how often each number was enqueued */
    uint32_t landed_late[FEC_NUMBER_MAX + 1]; /* ... of these after the daemon looked */
    uint32_t taken_over[FEC_NUMBER_MAX + 1];  /* ... that lay in a queue that was taken over */
    uint32_t jump_count, late_frame_count;
    uint32_t on_air[SIM_DEVICES_MAX];  /* transmissions of the stage's command */
    uint32_t excuses[SIM_DEVICES_MAX]; /* events and answers that the daemon did not get in time */
    uint32_t call_counts[SIM_DEVICES_MAX];
    uint32_t minute_calls[SIM_DEVICES_MAX + 1]; /* the last one: calls about the group */
    int64_t minute_started_ms[SIM_DEVICES_MAX + 1];
    uint32_t minute_loads[SIM_DEVICES_MAX + 1];
};

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
    int64_t timer_ms;    /* the timer that is set */
    struct sim_batch batches[2];
    struct sim_batch *open, *flying; /* flying: its commit is under way, or NULL */
    bool has_crashed_in_state, is_gap_wanted;
    unsigned wishes; /* of the operator, not yet carried out */
    uint32_t crash_count, load_count, step_count, takeover_count;
    struct key mc_key, root_key;
    struct mc_session_keys session_keys;
    uint8_t *image;
    struct fec_block block;
    /* store: what is committed */
    bool is_stored;
    struct transmission stored;
    struct device stored_devices[SIM_DEVICES_MAX];
    /* broker: events not yet acknowledged, oldest first; the daemon has the first `inbox_taken` */
    struct sim_message *inbox;
    size_t inbox_first, inbox_count, inbox_taken;
    int64_t last_delivery_ms[SIM_DEVICES_MAX];
    /* network server */
    struct sim_group groups[SIM_GROUPS_MAX];
    struct sim_row rows[SIM_ROWS_MAX];
    size_t row_count;
    uint16_t listed[SIM_ROWS_MAX]; /* numbers of the queue that was read last */
    int64_t scheduler_ms;          /* its next run; 0: none is needed */
    struct sim_item queues[SIM_DEVICES_MAX][SIM_QUEUE_MAX];
    size_t queue_counts[SIM_DEVICES_MAX];
    uint32_t group_creations, fragments_on_air;
    int64_t air_free_ms, booked_ms; /* the ledger, and the turn that the daemon waits for */
    uint32_t deferred_count;
    /* devices */
    struct virtual_device *devices[SIM_DEVICES_MAX];
    bool is_finished;
    struct sim_watch watch;
};

/* sim.c: the world as a whole */

/* Options of a small, perfect world. */
struct sim_options sim_defaults(void);
void sim_init(struct sim *sim, const struct sim_options *options);
void sim_release(struct sim *sim);
/* Runs until the deployment is over; aborts with a message when something does not hold or it is
 * not over within sim_bound_ms(). */
void sim_run(struct sim *sim);
/* By when it must be over, since the start. */
int64_t sim_bound_ms(const struct sim *sim);
bool sim_device_has_image(const struct sim *sim, uint32_t index);
enum device_stage sim_stage(const struct sim *sim, uint32_t index);
enum reason sim_reason(const struct sim *sim, uint32_t index);
int64_t sim_daemon_ms(const struct sim *sim); /* the daemon's clock */
bool sim_is_in(const struct sim *sim, const struct sim_window *window);
bool sim_draw(struct sim *sim, double probability);
int64_t sim_draw_between(struct sim *sim, int64_t from_ms, int64_t until_ms);
struct uuid sim_new_id(struct sim *sim);
/* Wakes and answers of devices happen outside of their own calls. */
void sim_plan_wake(struct sim *sim, uint32_t index);

/* draw.c: faults and sizes from a seed */
struct sim_options sim_draw_options(uint64_t seed);

/* heap.c */
void sim_schedule(struct sim *sim, const struct sim_event *event);
struct sim_event sim_pop(struct sim *sim);

/* daemon.c: turns of step, commit, act */
void daemon_start(struct sim *sim);
/* Serves the timer, the inbox and the operator, then commits. */
void daemon_serve(struct sim *sim);
void daemon_on_answer(struct sim *sim, struct sim_event *event);
void daemon_on_commit(struct sim *sim);

/* broker.c */
/* An event for the daemon. */
void broker_publish(struct sim *sim, const struct deployment_event *event, const uint8_t *data,
                    size_t size);
void broker_deliver(struct sim *sim, const struct sim_event *event);
void broker_acknowledge(struct sim *sim, size_t count);

/* network.c: calls of the daemon and queues of devices; the answers come as events */
void network_act(struct sim *sim, const struct deployment_action *action);
void network_call_lands(struct sim *sim, const struct sim_event *event);
void network_on_uplink(struct sim *sim, uint32_t index, uint8_t f_port, const uint8_t *data,
                       size_t size);
void network_on_join(struct sim *sim, uint32_t index);
/* What a gateway did with a multicast frame. */
void network_tell_result(struct sim *sim, uint32_t f_cnt, bool is_refused);
void network_window(struct sim *sim, uint32_t index);
uint32_t network_gateways_of(const struct sim *sim, uint32_t index); /* bits; those that work */

/* multicast.c: the group, its queue and the frames on air */
void multicast_enqueue(struct sim *sim, struct sim_group *group, const struct sim_call *call);
/* Its rows go with it. */
void multicast_delete(struct sim *sim, struct sim_group *group);
/* The group with that id; NULL: there is none. */
struct sim_group *multicast_find(struct sim *sim, const struct uuid *id);
bool multicast_has_group(const struct sim *sim);
void multicast_schedule(struct sim *sim);
void multicast_scheduler_runs(struct sim *sim);

/* checks.c: what must hold, seen by the world; each aborts with a message */
void sim_fail(const struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));
void check_loaded(struct sim *sim);
void check_before_step(struct sim *sim);
void check_note(struct sim *sim, const struct deployment_note *note);
void check_after_step(struct sim *sim, const struct deployment_event *event);
void check_action(struct sim *sim, const struct deployment_action *action);
/* The new owner was told what waits in the old queue, and may send it anew. */
void check_taken_over(struct sim *sim, const struct sim_group *old);
void check_frame_lands(struct sim *sim, const struct sim_call *call);
void check_frame_on_air(struct sim *sim, const struct sim_row *row);
void check_command_lands(struct sim *sim, uint32_t index);
void check_command_on_air(struct sim *sim, uint32_t index, enum device_command command);
void check_end(const struct sim *sim);

/* trace.c: the story */
void sim_trace(const struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void trace_world(const struct sim *sim);
void trace_note(const struct sim *sim, const struct deployment_note *note);
void trace_action(const struct sim *sim, const struct deployment_action *action);
void trace_event(const struct sim *sim, const struct deployment_event *event);
void trace_uplink(const struct sim *sim, uint32_t index, uint8_t f_port, const uint8_t *data,
                  size_t size, uint32_t gateways);
/* What is said to a device, in words. */
const char *trace_command(enum device_command command);

#endif
