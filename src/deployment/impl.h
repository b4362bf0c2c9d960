/*
 * impl.h - what the files of this folder share. Not for others.
 */
#ifndef DEPLOYMENT_IMPL_H
#define DEPLOYMENT_IMPL_H

#include "deployment/deployment.h"
#include "fec/choice.h"
#include "lorawan/fragmentation.h"

#define SLOWNESS_MAX 3 /* of struct transmission */

/* Combinations of gateways that are told apart; more are taken for silence. */
#define ANSWERED_FROM_MAX 32

struct deployment {
    struct deployment_params params;
    struct transmission transmission;
    bool is_transmission_changed;
    uint16_t chosen[FEC_CHOICE_ROWS]; /* seed indices of the first coded fragments */
    unsigned chosen_count;            /* 0: all are sent */
    uint32_t stage_count[DEVICE_STAGE_COUNT];
    uint32_t answered_count;  /* RECEIVING devices with DEVICE_ANSWERED */
    uint32_t company_count;   /* devices with DEVICE_SHOWS_COUNT */
    uint32_t all_count;       /* ... and DEVICE_SHOWS_ALL */
    uint32_t naive_count;     /* devices with DEVICE_COUNTS_NAIVELY */
    uint32_t last_count;      /* devices with DEVICE_COUNTS_LAST */
    int64_t older_answers_ms; /* until then answers may be to the request before; not stored */
    /* The `gateways` of devices that answered the request to the group: not stored, who was silent
     * may have been away if they are forgotten. */
    uint16_t answered_from[ANSWERED_FROM_MAX];
    unsigned answered_from_count;
    uint32_t heap_size; /* devices with a deadline */
    uint32_t dirty_count;
    uint32_t note_first, note_count, note_capacity; /* a ring */
    struct device *devices;
    uint32_t *heap;  /* device indices, earliest deadline first */
    uint32_t *dirty; /* indices of changed devices */
    uint8_t *is_dirty;
    struct deployment_note *notes;
    bool is_new_setup;       /* a further session's, to be entered */
    bool is_group_call_open; /* creating, adding gateways, reading or deleting is under way */
    /* during a step */
    int64_t now_ms;
    struct deployment_actions *actions;
};

/* deployment.c */
void note(struct deployment *d, uint32_t device_index, enum note_kind kind, int64_t value,
          uint32_t detail);
struct deployment_action *act(struct deployment *d, enum deployment_action_kind kind);
bool has_room(const struct deployment *d); /* for the actions of one more device */
uint32_t index_of(const struct deployment *d, const struct device *dev);
void device_touch(struct deployment *d, struct device *dev);
void device_set_deadline(struct deployment *d, struct device *dev, int64_t deadline_ms);
void device_set_flag(struct deployment *d, struct device *dev, unsigned flag, bool on);
void device_set_stage(struct deployment *d, struct device *dev, enum device_stage stage);

/* device.c: the pipeline of one device */
/* Nothing is to be said to it, for now or for ever. */
bool device_is_out(const struct device *dev);
void device_fail(struct deployment *d, struct device *dev, enum reason reason, uint8_t bits);
/* Fails it with the reason of its stage: not sent, or no answer. */
void device_give_up(struct deployment *d, struct device *dev);
/* As device_fail(), but where a further pass is allowed the device waits for it. */
void device_set_aside(struct deployment *d, struct device *dev, enum reason reason, uint8_t bits);
/* As device_give_up(), in the same way. */
void device_is_late(struct deployment *d, struct device *dev);
/* Begins `stage`: its command goes out at `begin_ms`, or when the call that is under way has
 * reported. */
void device_begin_stage(struct deployment *d, struct device *dev, enum device_stage stage,
                        int64_t begin_ms);
/* Begins the stage that its flags ask for, at `begin_ms`. */
void device_begin_set_up(struct deployment *d, struct device *dev, int64_t begin_ms);
/* SessionTime has changed: what the device has or is about to get of the old one is void. */
void device_session_moved(struct deployment *d, struct device *dev);
void device_on_resume(struct deployment *d, struct device *dev);
void device_on_timer(struct deployment *d, struct device *dev);
void device_on_event(struct deployment *d, struct device *dev,
                     const struct deployment_event *event);

/* answers.c: what a device says */
void device_on_uplink(struct deployment *d, struct device *dev,
                      const struct deployment_event *event);

/* transmission.c: the states of the transmission */
void transmission_on_event(struct deployment *d, const struct deployment_event *event);
/* Called after the event of a device: a state may have got what it waits for. */
void transmission_on_device(struct deployment *d);
void transmission_set_deadline(struct deployment *d, int64_t deadline_ms);
void transmission_enter(struct deployment *d, enum transmission_state state);
/* Whether unicast commands of the set-up may still go out. */
bool transmission_is_before_session(const struct deployment *d);

/* take_over.c */
/* Another daemon's group is still there: the take-over is under way, or failed. It goes in RELEASE.
 */
bool has_old_group(const struct transmission *t);

/* rounds.c: the state STATUS, and what is sent next */
void status_enter(struct deployment *d);
/* Goes on after TAKE_OVER: answers to what was asked are still waited for. */
void status_resume(struct deployment *d);
/* Each returns the next state. */
enum transmission_state status_on_timer(struct deployment *d);
enum transmission_state status_on_frame(struct deployment *d);
enum transmission_state status_on_device(struct deployment *d);
/* A device was silent in all attempts to ask it alone. Whether it is asked with the group again. */
bool status_is_worth_more(struct deployment *d, struct device *dev);
/* What a device that is RECEIVING says. */
void status_on_answer(struct deployment *d, struct device *dev,
                      const struct frag_session_status_ans *ans, int64_t received_ms);
/* What a delivered device says, which answers requests to the group all the same. */
void status_on_delivered(struct deployment *d, const struct device *dev,
                         const struct frag_session_status_ans *ans, int64_t received_ms);

/* pass.c: sessions after the first, and passes after the first */
/* A further session for the frames that are planned; if none is allowed, the devices tell what they
 * have. Returns the next state. */
enum transmission_state next_session(struct deployment *d);
/* Nobody receives any more: a further pass for those set aside, or the end. Returns the next state.
 */
enum transmission_state next_pass(struct deployment *d);
/* Why no further frame may be sent, whatever devices lack; REASON_NONE: it may. */
enum reason stop_reason(const struct deployment *d);
bool may_repair(const struct deployment *d);
bool may_open_session(const struct deployment *d);
/* When commands of a further session's set-up may begin. */
int64_t next_setup_ms(const struct deployment *d);
void pause_it(struct deployment *d);
void resume_it(struct deployment *d);

/* frames.c: pacing of the multicast frames */
int64_t session_end_ms(const struct deployment *d);
/* The last ordinal whose N is within its 14 bits. */
unsigned ordinal_max(const struct deployment *d);
/* How many more frames the counter allows and the operator's limits. */
uint32_t frames_left(const struct deployment *d);
/* The next fragment is sent. */
void fragment_is_sent(struct deployment *d);
/* Whether `count` more frames fit into the session. */
bool session_has_room(const struct deployment *d, unsigned count);
/* Asks for the next frame if its time has come, else sets the deadline; nothing while a call is
 * under way. */
void frame_send(struct deployment *d, enum frame_kind kind);
/* Books the frame that is under way as queued with `f_cnt`. */
void frame_book(struct deployment *d, uint32_t f_cnt);
/* Its call failed: it is due again after a while. */
void frame_retry(struct deployment *d);
/* A gateway has said what became of a frame. */
void frame_result(struct deployment *d, const struct deployment_event *event);
/* Its outcome is unknown: asks for the group's counter. */
void frame_check(struct deployment *d);

/* gateway_set.c */
void gateways_learn(struct deployment *d, struct device *dev, const uint64_t *gateways,
                    unsigned count);
/* Chooses gateways that together hear all RECEIVING devices; returns how many. */
unsigned gateways_choose(struct deployment *d);
/* Takes gateways off that no device hears any more that still receives. Whether there was any. */
bool gateways_shrink(struct deployment *d);

#endif
