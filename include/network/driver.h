/*
 * driver.h - what fuotad asks of a network server, whichever it is.
 *
 * A driver carries out calls, and brings events in batches, on streams: each is a connection to the
 * broker with a session of its own there. Everything runs on the loop; callbacks come later than
 * the call, never from inside it, and exactly once. All times are protocol time
 * (base/clock.h). Texts, octets and lists given to a callback live during it; what is given to a
 * call is copied.
 */
#ifndef NETWORK_DRIVER_H
#define NETWORK_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hex.h"
#include "lorawan/keys.h"
#include "lorawan/region.h"

#define NETWORK_GATEWAYS_MAX 8
#define NETWORK_PAYLOAD_MAX  242

/* ------------------------------------------------------------------ events */

enum network_event_kind {
    NETWORK_UPLINK,
    NETWORK_JOIN,
    NETWORK_TXACK,   /* a gateway sent the item of a device's queue */
    NETWORK_DROPPED, /* the network server dropped it: expired, too large, ... */
};

struct network_event {
    enum network_event_kind kind;
    uint64_t dev_eui;
    struct uuid application_id;
    struct uuid profile_id;
    struct uuid item_id; /* TXACK, DROPPED */
    /* UPLINK */
    int64_t received_ms;  /* start of the frame on air */
    bool is_gateway_time; /* received_ms is from a gateway's own clock, not the network server's */
    bool is_relayed;
    uint32_t f_cnt;
    uint8_t f_port;
    const uint8_t *data; /* FRMPayload */
    size_t data_size;
    uint8_t gateway_count;
    uint64_t gateways[NETWORK_GATEWAYS_MAX]; /* best signal first */
};

/* What a gateway says of a frame that it was given. X(code, what it means) */
#define NETWORK_TX_LIST(X)                                                                         \
    X(NETWORK_TX_OK, "sent")                                                                       \
    X(NETWORK_TX_TOO_LATE, "too late")                                                             \
    X(NETWORK_TX_TOO_EARLY, "too early")                                                           \
    X(NETWORK_TX_COLLISION, "collision with another frame or a beacon")                            \
    X(NETWORK_TX_FREQUENCY, "not on this frequency")                                               \
    X(NETWORK_TX_POWER, "not with this power")                                                     \
    X(NETWORK_TX_NO_GPS, "no GPS time")                                                            \
    X(NETWORK_TX_QUEUE_FULL, "its queue is full")                                                  \
    X(NETWORK_TX_INTERNAL, "an internal error")                                                    \
    X(NETWORK_TX_DUTY_CYCLE, "its duty cycle is used up")

enum network_tx {
#define NETWORK_TX_ENUM(code, text) code,
    NETWORK_TX_LIST(NETWORK_TX_ENUM)
#undef NETWORK_TX_ENUM
        NETWORK_TX_COUNT
};

struct network_gateway_frame {
    uint64_t gateway_id;
    uint32_t dev_addr; /* a device's, or a group's McAddr */
    uint16_t f_cnt;    /* its low 16 bits */
    enum network_tx tx;
};

struct network_callbacks {
    /* Of a stream, with its `arg`. Whether anybody wants the events of this device. Asked before an
     * event is read, where the message says itself whose it is; what is not wanted is acknowledged
     * and forgotten. The event may turn out to be another device's all the same. */
    bool (*is_wanted)(void *arg, const struct uuid *application_id, uint64_t dev_eui);
    /* One event of the current batch. */
    void (*on_event)(void *arg, const struct network_event *event);
    /* The batch is over; no further one comes before acknowledge(). A batch without any event does
     * not come here: the driver acknowledges it itself. */
    void (*on_batch)(void *arg);
    /* The stream's connection came (`text` NULL) or went (why). After it came events may be
     * missing: `is_session_kept` says whether the broker kept them. */
    void (*on_events_state)(void *arg, const char *text, bool is_session_kept);
    /* Whether the stream may connect now: a connection takes the session from whoever has it. */
    bool (*may_connect)(void *arg);
    /* Of the driver, with its `arg`. Calls get through (NULL), or not: the connection went, or call
     * after call has no answer. */
    void (*on_calls_state)(void *arg, const char *text);
    /* Of the driver, where it may listen to the gateways: what became of a frame. Some are missing.
     * NULL: not wanted. */
    void (*on_gateway_frame)(void *arg, const struct network_gateway_frame *frame);
    /* It listens to them (`text` NULL), or not, and why. */
    void (*on_gateways_state)(void *arg, const char *text);
    /* Something an operator should know of, at most once a minute each. */
    void (*on_warning)(void *arg, const char *text);
};

struct network_stream;

/* ------------------------------------------------------------------ calls */

enum network_outcome {
    NETWORK_DONE,
    NETWORK_FAILED,  /* certainly not done; worth another try */
    NETWORK_REFUSED, /* certainly not done, and never will be as it was asked */
    NETWORK_MISSING, /* the object does not exist, or is hidden from us */
    NETWORK_UNKNOWN, /* perhaps done: no answer in time, or the connection broke */
};

struct network_queue_item {
    struct uuid id;
    uint8_t f_port;
    const uint8_t *data;
    size_t size;
};

struct network_device {
    struct uuid application_id;
    struct uuid profile_id;
    bool is_disabled;
    bool was_seen;
    bool is_class_c; /* enabled now */
};

struct network_profile {
    enum region region;
    bool is_region_known;
    enum lorawan_version lorawan_version;
    uint32_t uplink_interval_s;
    bool supports_class_c;
    /* versions of the packages as the profile says, 0: says nothing; ports */
    uint8_t clock_sync_version, fragmentation_version, multicast_setup_version;
    uint8_t clock_sync_port, fragmentation_port, multicast_setup_port;
};

struct network_gateway {
    uint64_t id;
    bool is_online;
};

/* What a call found out; only the members its declaration names are set. */
struct network_answer {
    struct uuid id;
    uint32_t f_cnt;
    uint32_t mc_addr;
    const struct key *key; /* wiped after the callback */
    struct network_device device;
    struct network_profile profile;
    const struct network_queue_item *items;
    size_t item_count;
    const uint64_t *euis;
    size_t eui_count;
    const struct network_gateway *gateways;
    size_t gateway_count;
};

/* `text`: the network server's words where the outcome is not NETWORK_DONE. */
typedef void network_done_fn(void *arg, enum network_outcome outcome, const char *text,
                             const struct network_answer *answer);

struct network_group {
    const char *name; /* unique; a group of that name is taken for the same */
    uint32_t f_cnt;   /* the counter of its first frame */
    struct uuid application_id;
    enum region region;
    uint32_t mc_addr;
    const struct mc_session_keys *keys;
    uint8_t data_rate;
    uint32_t frequency_hz;
};

struct network_filter { /* of devices; NULL or 0: any */
    const char *profile_id;
    const char *const *tags; /* key, value, key, value, ... */
    size_t tag_count;        /* pairs */
};

struct network_driver {
    void *self;
    /* Opens the stream called `name`: the broker keeps what is not acknowledged under it, for
     * whoever opens it next. `arg` goes to its callbacks. */
    struct network_stream *(*open_stream)(void *self, const char *name, void *arg);
    /* Listens to the events of these applications, and no others. */
    void (*set_applications)(struct network_stream *stream, const struct uuid *applications,
                             size_t count);
    /* What came so far is committed: acknowledges it and reads on. */
    void (*acknowledge)(struct network_stream *stream);
    /* It could not be committed: it will come again. */
    void (*reject)(struct network_stream *stream);
    /* No callback comes any more but `cb` (NULL: none). */
    void (*close_stream)(struct network_stream *stream, void (*cb)(void *arg), void *arg);
    /* After all streams are closed. */
    void (*close)(void *self, void (*cb)(void *arg), void *arg);

    /* answer.id: of the queued item */
    void (*enqueue)(void *self, uint64_t dev_eui, uint8_t f_port, const uint8_t *data, size_t size,
                    int64_t expires_ms, network_done_fn *done, void *arg);
    /* answer.items */
    void (*read_queue)(void *self, uint64_t dev_eui, network_done_fn *done, void *arg);
    /* answer.id */
    void (*create_group)(void *self, const struct network_group *group, network_done_fn *done,
                         void *arg);
    /* Puts the first `count` of `gateways` on the group, and takes the `others` behind them off it.
     * Those that are there already, or not, or unknown, are no error unless none is on it. */
    void (*set_gateways)(void *self, const struct uuid *group_id, const uint64_t *gateways,
                         size_t count, size_t others, network_done_fn *done, void *arg);
    /* Deletes the group, or, where `group_id` is all zero, one of that name if there is one. */
    void (*delete_group)(void *self, const struct uuid *group_id, const struct uuid *application_id,
                         const char *name, network_done_fn *done, void *arg);
    /* answer.f_cnt: the counter it got */
    void (*enqueue_group)(void *self, const struct uuid *group_id, uint8_t f_port,
                          const uint8_t *data, size_t size, int64_t expires_ms,
                          network_done_fn *done, void *arg);
    /* answer.items, without their ids: what waits */
    void (*read_group_queue)(void *self, const struct uuid *group_id, network_done_fn *done,
                             void *arg);
    /* answer.f_cnt: the next counter */
    void (*read_counter)(void *self, const struct uuid *group_id, network_done_fn *done, void *arg);
    /* answer.device */
    void (*read_device)(void *self, uint64_t dev_eui, network_done_fn *done, void *arg);
    /* answer.profile */
    void (*read_profile)(void *self, const struct uuid *profile_id, network_done_fn *done,
                         void *arg);
    /* answer.key: the root key of the packages. NETWORK_MISSING: not set */
    void (*read_root_key)(void *self, uint64_t dev_eui, enum lorawan_version version,
                          network_done_fn *done, void *arg);
    /* answer.mc_addr: a fresh address from the network's range */
    void (*random_address)(void *self, uint64_t dev_eui, network_done_fn *done, void *arg);
    /* answer.euis */
    void (*list_devices)(void *self, const struct uuid *application_id,
                         const struct network_filter *filter, network_done_fn *done, void *arg);
    /* answer.gateways: of the application's tenant */
    void (*list_gateways)(void *self, const struct uuid *application_id, network_done_fn *done,
                          void *arg);
    /* answer.euis: devices that the network server's own FUOTA is working on */
    void (*list_busy_devices)(void *self, const struct uuid *application_id, network_done_fn *done,
                              void *arg);
};

#endif
