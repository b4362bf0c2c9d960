/*
 * deployment.h - the state machines of a deployment: its transmission and its devices.
 *
 * Pure: no I/O, no clock, no random number, no allocation. One call, deployment_step(), takes one
 * event with its time and gives actions: data, to be carried out after everything that changed has
 * been committed to the database. There is no list of open actions to keep: they follow from the
 * state, and DEPLOYMENT_EVENT_RESTORED derives them again after a restart. Bad answers, refused
 * calls and silence are events, not errors: a step cannot fail.
 *
 * All times are protocol time (base/clock.h), Unix milliseconds.
 */
#ifndef DEPLOYMENT_DEPLOYMENT_H
#define DEPLOYMENT_DEPLOYMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hex.h"
#include "deployment/params.h"
#include "deployment/reason.h"

#define DEPLOYMENT_NEVER INT64_MAX /* no deadline */

/* X(code, name in the API and the database) */
#define TRANSMISSION_STATE_LIST(X)                                                                 \
    X(TRANSMISSION_CREATE_GROUP, "create_group")   /* the multicast group at the network server */ \
    X(TRANSMISSION_SETUP, "setup")                 /* every device runs its pipeline */            \
    X(TRANSMISSION_START_SESSION, "start_session") /* gateways on the group, wait for the start */ \
    X(TRANSMISSION_TRANSMIT, "transmit")           /* fragments */                                 \
    X(TRANSMISSION_STATUS, "status")               /* who has the image */                         \
    X(TRANSMISSION_RELEASE, "release")             /* the group is deleted, devices are cleaned */ \
    X(TRANSMISSION_TAKE_OVER, "take_over") /* from another daemon, in the middle of frames */      \
    X(TRANSMISSION_DONE, "done")

enum transmission_state {
#define TRANSMISSION_ENUM(code, name) code,
    TRANSMISSION_STATE_LIST(TRANSMISSION_ENUM)
#undef TRANSMISSION_ENUM
        TRANSMISSION_STATE_COUNT
};
const char *transmission_state_name(enum transmission_state state);

/* X(code, name, is terminal) */
#define DEVICE_STAGE_LIST(X)                                                                       \
    X(DEVICE_VERSION, "version", false)             /* PackageVersionReq */                        \
    X(DEVICE_GROUP, "group", false)                 /* McGroupSetupReq */                          \
    X(DEVICE_FRAGMENTATION, "fragmentation", false) /* FragSessionSetupReq */                      \
    X(DEVICE_CLOCK, "clock", false)                 /* ForceDeviceResyncReq, only when needed */   \
    X(DEVICE_SESSION, "session", false)             /* McClassCSessionReq */                       \
    X(DEVICE_RECEIVING, "receiving", false)         /* set up; fragments, then status */           \
    X(DEVICE_SET_ASIDE, "set_aside", false) /* this pass is over for it; perhaps a further one */  \
    X(DEVICE_DELIVERED, "delivered", true)  /* holds the image by its own evidence */              \
    X(DEVICE_FAILED, "failed", true)

enum device_stage {
#define DEVICE_STAGE_ENUM(code, name, terminal) code,
    DEVICE_STAGE_LIST(DEVICE_STAGE_ENUM)
#undef DEVICE_STAGE_ENUM
        DEVICE_STAGE_COUNT
};
const char *device_stage_name(enum device_stage stage);
bool device_stage_is_terminal(enum device_stage stage);

/* What is said to one device. */
enum device_command {
    COMMAND_NONE,
    COMMAND_VERSION,              /* PackageVersionReq of TS004 */
    COMMAND_RESYNC,               /* ForceDeviceResyncReq */
    COMMAND_GROUP,                /* McGroupSetupReq */
    COMMAND_GROUP_SESSION,        /* McGroupSetupReq and McClassCSessionReq in one downlink */
    COMMAND_FRAGMENTATION,        /* FragSessionSetupReq */
    COMMAND_SESSION,              /* McClassCSessionReq */
    COMMAND_STATUS,               /* FragSessionStatusReq */
    COMMAND_DELETE_FRAGMENTATION, /* FragSessionDeleteReq; nobody waits for its answer */
    COMMAND_DELETE_GROUP,         /* McGroupDeleteReq; nobody waits for its answer */
    COMMAND_COUNT
};
const char *device_command_name(enum device_command command);

/* Where the device's outstanding command is. */
enum device_call {
    CALL_NONE,    /* nothing is outstanding */
    CALL_OPEN,    /* the call to the network server is under way */
    CALL_UNKNOWN, /* it was under way when the daemon stopped, or its outcome is unknown: the queue
                     will tell */
    CALL_QUEUED,  /* in the network server's queue */
    CALL_SENT,    /* a gateway sent it (txack) */
};

enum device_flag {
    DEVICE_HAS_GROUP = 1 << 0,         /* McGroupSetupAns without error */
    DEVICE_HAS_FRAGMENTATION = 1 << 1, /* FragSessionSetupAns without error */
    DEVICE_HAS_SESSION =
        1 << 2, /* McClassCSessionAns for the current SessionTime, TimeToStart right */
    DEVICE_HAS_VERSION = 1 << 3,  /* TS004 version 1 is known */
    DEVICE_SESSION_SENT = 1 << 4, /* a request for the current SessionTime was sent */
    DEVICE_REJOINED = 1 << 5,     /* joined after the first fragment */
    DEVICE_HAS_STATUS = 1 << 6,   /* received_count and missing_count are from the device */
    DEVICE_ANSWERED = 1 << 7,     /* ... and answer the latest status request; asked alone: it has
                                     said its last word */
    DEVICE_OWES = 1 << 8,         /* its next answer may be to an earlier status request */
    DEVICE_COUNTS_TRULY = 1 << 9, /* its MissingFrag 0 is meant: status_shows_true_count() */
    DEVICE_SPOKE = 1 << 10,       /* asked alone, it has answered once */
    DEVICE_COUNTS_NAIVELY = 1 << 11, /* it may be a Zephyr: status_shows_naive_count() */
    DEVICE_SHOWS_COUNT = 1 << 12,    /* status_shows_company_count(): tells how others count, too */
    DEVICE_SHOWS_ALL = 1 << 13,      /* ... and reception_shows_all_lost() */
    DEVICE_COUNTS_LAST = 1 << 14,    /* reception_shows_last_number(): it is a LoRaMac-node */
    DEVICE_FLAGS_END = 1 << 15,
};

#define OWES_NOTHING UINT16_MAX /* of device.owed_at */

/* One device of the deployment. Everything but `heap_index` is stored. */
struct device {
    uint64_t dev_eui;
    int64_t deadline_ms;    /* when something must happen by itself; DEPLOYMENT_NEVER */
    int64_t last_uplink_ms; /* when the last uplink was received; 0: none heard */
    int64_t sent_ms;        /* when a session request last left; 0: never */
    struct uuid item_id;    /* of the queued command at the network server */
    uint32_t uplink_interval_s;
    uint32_t heap_index;
    uint16_t counted_at;     /* fragments enqueued, at least, when the last status was counted */
    uint16_t same_since;     /* ... at most, when it first had this NbFragReceived */
    uint16_t there_since;    /* ... and since when it was surely there: what it missed in an outage
                                of its gateways proves nothing */
    uint16_t owed_at;        /* fragments enqueued, at least, when its next answer to the group is
                                counted: at the first request that it was silent to while others
                                behind its gateways answered. OWES_NOTHING: at the latest; 0: it
                                was perhaps away, or was asked alone */
    uint16_t received_count; /* NbFragReceived of the last status */
    uint16_t gateways;       /* bit g: gateway g of the deployment hears it */
    uint16_t flags;          /* enum device_flag */
    uint8_t missing_count;   /* MissingFrag of the last status */
    uint8_t stage;           /* enum device_stage */
    uint8_t reason;          /* enum reason */
    uint8_t reason_bits;     /* the status octet of a refusal, or the unsupported version */
    uint8_t call;            /* enum device_call */
    uint8_t command;         /* enum device_command: the outstanding one, or the last */
    uint8_t sent_count;      /* transmissions of this stage's command without an answer */
    uint8_t unsent_count;    /* times it was queued and never left */
    uint8_t call_failures;   /* calls that failed in a row */
    uint8_t loss;            /* of fragments, lately, in 1/255 */
    uint8_t alone_count;     /* times it was asked alone since it last answered the group */
    uint8_t resync_count;    /* times the clock was found wrong */
};

enum frame_kind {
    FRAME_FRAGMENT,
    FRAME_STATUS, /* FragSessionStatusReq to the group, all answer */
};

/* The multicast frame whose Enqueue is under way. */
enum frame_call {
    FRAME_CALL_NONE,
    FRAME_CALL_OPEN,
    FRAME_CALL_UNKNOWN, /* its outcome is unknown: the group's counter will tell */
};

struct gateway {
    uint64_t id;
    bool is_chosen; /* on the group */
};

/* The one multicast group and block of this deployment, and its class C session. Everything is
 * stored. */
struct transmission {
    enum transmission_state state;
    struct uuid group_id; /* at the network server */
    bool has_group;
    bool has_gateways; /* the chosen ones are on the group */
    bool is_aborted;
    bool has_status_request; /* a multicast status request is out, answers are waited for */
    bool is_unicast_status;  /* STATUS asks one by one */
    int64_t started_ms;
    int64_t setup_started_ms; /* of the session that is next, or of the present one */
    int64_t session_time_ms;  /* SessionTime */
    int64_t last_session_ms;  /* the SessionTime before; 0: none */
    uint8_t time_out;         /* the session lasts 2^time_out s */
    int64_t deadline_ms;
    int64_t next_emission_ms; /* not before this may the next frame be on air */
    uint32_t f_cnt;           /* counter of the next frame */
    uint32_t frame_count;     /* frames enqueued, for the operator */
    /* Fragments are counted in the order in which they are sent; deployment_fragment_number() is N.
     */
    uint16_t next_number;    /* of the next fragment */
    uint16_t last_number;    /* of the last fragment that is planned */
    uint16_t asked_number;   /* fragments enqueued before the latest multicast status request */
    int64_t status_until_ms; /* until when its answers are waited for */
    uint8_t round;           /* of this pass, from 1 */
    uint8_t session_number;  /* class C sessions before and with the present one */
    uint8_t repair_number;   /* passes before the present one */
    uint8_t repeat_count;    /* times that each uncoded fragment of this pass is sent */
    uint8_t repeat_index;    /* times that the next fragment was sent already */
    bool is_paused;
    int64_t paused_ms;      /* since when */
    uint8_t failure_count;  /* calls of the group that failed in a row */
    uint32_t refused_count; /* frames that a gateway refused, and told us */
    uint32_t refused_f_cnt; /* the last of them and 1; 0: none */
    uint16_t made_up_count; /* rows added in this round for refused frames */
    uint8_t refusal_score;  /* rises with each refused frame, falls with each sent one */
    uint8_t sent_in_row;    /* results since the last refused one */
    uint8_t slowness;       /* the gap is 2^slowness times as long, for gateways that refuse */
    enum frame_kind frame_kind;
    enum frame_call frame_call;
    int64_t frame_emission_ms; /* planned emission of the frame that is under way */
    uint32_t clean_index;      /* RELEASE: next device to clean */
    bool is_taken_over;        /* from a daemon that did not leave it; set by the store */
    uint32_t group_number;     /* groups at the network server before the present one */
    struct uuid old_group_id;  /* TAKE_OVER: the other daemon's */
    enum transmission_state resume_state; /* TAKE_OVER: what follows */
    uint8_t gateway_count;
    struct gateway gateways[DEPLOYMENT_GATEWAYS_MAX];
};

enum deployment_event_kind {
    DEPLOYMENT_EVENT_BEGIN,    /* the first one of a new deployment */
    DEPLOYMENT_EVENT_RESTORED, /* the first one after loading */
    DEPLOYMENT_EVENT_TIMER,    /* deployment_deadline() has come */
    DEPLOYMENT_EVENT_ABORT,
    DEPLOYMENT_EVENT_PAUSE,
    DEPLOYMENT_EVENT_RESUME,
    /* the group at the network server */
    DEPLOYMENT_EVENT_GROUP_CREATED, /* u.group_id */
    DEPLOYMENT_EVENT_GROUP_FAILED,  /* creating, gateways or deleting failed; u.is_final */
    DEPLOYMENT_EVENT_GATEWAYS_SET,
    DEPLOYMENT_EVENT_GROUP_DELETED,
    DEPLOYMENT_EVENT_FRAME_QUEUED,   /* u.f_cnt: the counter that Enqueue returned */
    DEPLOYMENT_EVENT_FRAME_FAILED,   /* certainly not queued; u.is_final: the group is gone */
    DEPLOYMENT_EVENT_FRAME_UNKNOWN,  /* perhaps queued; a call deadline has passed since */
    DEPLOYMENT_EVENT_FRAME_DEFERRED, /* not queued: the gateways are others' until u.until_ms */
    DEPLOYMENT_EVENT_FRAME_RESULT,   /* u.result: what a gateway did with a frame */
    DEPLOYMENT_EVENT_COUNTER,   /* u.f_cnt: the group's next counter, read after FRAME_UNKNOWN */
    DEPLOYMENT_EVENT_OLD_QUEUE, /* u.queued: what waits in the old group's queue */
    DEPLOYMENT_EVENT_GAP, /* events of devices may be missing: those that owe an answer are asked
                             again */
    /* one device; device_index */
    DEPLOYMENT_EVENT_COMMAND_QUEUED, /* u.item_id */
    DEPLOYMENT_EVENT_COMMAND_FAILED, /* certainly not queued; u.is_final: will never be; u.reason */
    DEPLOYMENT_EVENT_COMMAND_UNKNOWN, /* perhaps queued */
    DEPLOYMENT_EVENT_QUEUE_CHECKED,   /* u.queue: whether the command is in the device's queue */
    DEPLOYMENT_EVENT_TXACK,           /* u.item_id left */
    DEPLOYMENT_EVENT_ITEM_DROPPED,    /* u.item_id was dropped by the network server */
    DEPLOYMENT_EVENT_UPLINK,          /* u.uplink */
    DEPLOYMENT_EVENT_JOIN,
    DEPLOYMENT_EVENT_COUNT
};

struct deployment_event {
    enum deployment_event_kind kind;
    int64_t now_ms;
    uint32_t device_index; /* where the event is about one device */
    union {
        int64_t settle_ms; /* RESTORED: for so long a call of the life before may still land */
        struct uuid group_id;
        struct uuid item_id;
        uint32_t f_cnt;
        int64_t until_ms;
        struct {
            uint16_t f_cnt; /* the low 16 bits */
            bool is_refused;
        } result;
        struct {
            const uint16_t *numbers; /* of fragments, borrowed */
            size_t count;
            bool has_status; /* a status request waits, too */
        } queued;
        struct {
            bool is_final;
            enum reason reason; /* COMMAND_FAILED: REASON_CALL_REFUSED or REASON_KEY_UNAVAILABLE
                                   when final */
        } failure;
        struct {
            bool is_present;
            struct uuid item_id; /* where present */
        } queue;
        struct {
            int64_t received_ms; /* start of reception as the gateways say */
            const uint8_t *data; /* FRMPayload, borrowed */
            size_t data_size;
            uint8_t f_port;
            uint8_t gateway_count;
            uint64_t gateways[8]; /* those that heard it, best first */
        } uplink;
    } u;
};

enum deployment_action_kind {
    DEPLOYMENT_ACTION_CREATE_GROUP, /* or find it by its name */
    DEPLOYMENT_ACTION_SET_GATEWAYS, /* all gateways with is_chosen, and no others */
    DEPLOYMENT_ACTION_DELETE_GROUP, /* queue included */
    DEPLOYMENT_ACTION_FRAME,        /* Enqueue to the group */
    DEPLOYMENT_ACTION_READ_COUNTER, /* Get the group's f_cnt */
    DEPLOYMENT_ACTION_READ_OLD_QUEUE,
    DEPLOYMENT_ACTION_DELETE_OLD_GROUP,
    DEPLOYMENT_ACTION_COMMAND,     /* Enqueue to a device */
    DEPLOYMENT_ACTION_CHECK_QUEUE, /* GetQueue of a device, compare with its command's bytes */
    DEPLOYMENT_ACTION_FINISHED,    /* the deployment is over */
};

struct deployment_action {
    enum deployment_action_kind kind;
    uint32_t device_index;       /* COMMAND, CHECK_QUEUE */
    enum device_command command; /* COMMAND, CHECK_QUEUE */
    enum frame_kind frame_kind;  /* FRAME */
    uint16_t number;             /* FRAME: N of a fragment */
    uint32_t f_cnt;              /* FRAME: the counter it must get */
    int64_t expires_ms;          /* COMMAND, FRAME */
};

/* X(code, name): what happened to a device or to the transmission, for the timeline */
#define NOTE_LIST(X)                                                                               \
    X(NOTE_STATE, "state")             /* value: enum transmission_state */                        \
    X(NOTE_STAGE, "stage")             /* value: enum device_stage, detail: reason */              \
    X(NOTE_COMMAND, "command")         /* value: enum device_command, detail: attempt */           \
    X(NOTE_SENT, "sent")               /* value: enum device_command */                            \
    X(NOTE_NOT_SENT, "not_sent")       /* value: enum device_command */                            \
    X(NOTE_NO_ANSWER, "no_answer")     /* value: enum device_command */                            \
    X(NOTE_REFUSED, "refused")         /* value: enum device_command, detail: status */            \
    X(NOTE_CLOCK_WRONG, "clock_wrong") /* value: error in seconds */                               \
    X(NOTE_STATUS, "status")           /* value: NbFragReceived, detail: MissingFrag */            \
    X(NOTE_JOIN, "join")                                                                           \
    X(NOTE_CALL_FAILED, "call_failed")     /* value: enum device_command */                        \
    X(NOTE_BAD_ANSWER, "bad_answer")       /* value: FPort; the payload could not be read */       \
    X(NOTE_COUNTER_JUMP, "counter_jump")   /* value: counter returned, detail: expected */         \
    X(NOTE_SESSION_MOVED, "session_moved") /* value: new SessionTime, Unix seconds */              \
    X(NOTE_TAKEN_OVER, "taken_over")       /* value: the next fragment, detail: sent anew */       \
    X(NOTE_SESSION_FULL, "session_full")   /* value: the first fragment not sent */                \
    X(NOTE_ROUND, "round")     /* value: the round that begins, detail: its last fragment */       \
    X(NOTE_SESSION, "session") /* value: number of the session that is planned */                  \
    X(NOTE_REPAIR, "repair")   /* value: devices of the pass that begins, detail: how often */     \
                               /* each uncoded fragment is sent */                                 \
    X(NOTE_STOPPED, "stopped") /* value: enum reason why no further round follows */               \
    X(NOTE_PAUSED, "paused")   /* value: 1: paused, 0: goes on */                                  \
    X(NOTE_NOT_COVERED, "not_covered") /* no gateway on the group has heard the device */          \
    X(NOTE_GATEWAYS, "gateways")       /* value: gateways that are left on the group */            \
    X(NOTE_REFUSALS,                                                                               \
      "refusals") /* value: frames that gateways refused so far, detail: the gap is */             \
                  /* so many times as long now */

enum note_kind {
#define NOTE_ENUM(code, name) code,
    NOTE_LIST(NOTE_ENUM)
#undef NOTE_ENUM
        NOTE_KIND_COUNT
};
const char *note_kind_name(enum note_kind kind);

#define NOTE_NO_DEVICE UINT32_MAX

struct deployment_note {
    int64_t at_ms;
    int64_t value;
    uint32_t device_index; /* or NOTE_NO_DEVICE */
    uint32_t detail;
    enum note_kind kind;
};

#define DEPLOYMENT_ACTIONS_MAX 64

struct deployment_actions {
    size_t count;
    struct deployment_action items[DEPLOYMENT_ACTIONS_MAX];
};

struct deployment;

/* Octets that a deployment of `device_count` devices needs. */
size_t deployment_size(uint32_t device_count);

/*
 * Makes a deployment inside `memory` (deployment_size() octets, aligned for uint64_t; it stays the
 * caller's) with `params`, already checked, and `devices` (dev_eui, uplink_interval_s and
 * DEVICE_HAS_VERSION are read, the rest is set). DEPLOYMENT_EVENT_BEGIN comes next.
 */
struct deployment *deployment_init(void *memory, const struct deployment_params *params,
                                   const struct device *devices);

/*
 * Makes it as it was stored. DEPLOYMENT_EVENT_RESTORED comes next.
 *
 * ERR_FORMAT  a stored state, stage, call, command, time or number is none that this program can
 * have written, or two of them do not go together
 */
MUST_CHECK enum err deployment_restore(void *memory, const struct deployment_params *params,
                                       const struct transmission *transmission,
                                       const struct device *devices, struct deployment **ret);

/* Takes one event. `ret_actions` is filled anew. Afterwards the caller takes notes and changes. */
void deployment_step(struct deployment *d, const struct deployment_event *event,
                     struct deployment_actions *ret_actions);

/* When DEPLOYMENT_EVENT_TIMER must come; DEPLOYMENT_NEVER: not without another event. */
int64_t deployment_deadline(const struct deployment *d);

const struct deployment_params *deployment_get_params(const struct deployment *d);
const struct transmission *deployment_get_transmission(const struct deployment *d);
const struct device *deployment_get_device(const struct deployment *d, uint32_t device_index);
/* Devices in each stage. O(1). */
uint32_t deployment_stage_count(const struct deployment *d, enum device_stage stage);
bool deployment_is_done(const struct deployment *d);
unsigned deployment_gateway_count(const struct deployment *d); /* on the group; at least 1 */
/* N of the fragment that is sent as the `ordinal`-th, from 1: the same, unless rows are chosen. */
unsigned deployment_fragment_number(const struct deployment *d, unsigned ordinal);

/* What changed since the last call; each device at most once. The caller stores it. */
bool deployment_take_transmission_change(struct deployment *d);
/* Up to `max` indices to `indices`; returns how many, 0 when there are no more. */
size_t deployment_take_device_changes(struct deployment *d, uint32_t *indices, size_t max);
/* Up to `max` notes, oldest first; returns how many, 0 when there are no more. */
size_t deployment_take_notes(struct deployment *d, struct deployment_note *notes, size_t max);

/* For tests: asserts everything that must hold between two steps. O(devices). */
void deployment_assert_invariant(const struct deployment *d);

#endif
