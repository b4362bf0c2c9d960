/* impl.h - what the files of this driver share. */
#ifndef CHIRPSTACK_IMPL_H
#define CHIRPSTACK_IMPL_H

#include <protobuf-c/protobuf-c.h>
#include <uv.h>

#include "network/chirpstack/chirpstack.h"
#include "network/chirpstack/topics.h"

struct chirpstack {
    uv_loop_t *loop;
    struct network_callbacks callbacks;
    void *arg;
    struct grpc *grpc;
    struct gateway_watch *gateway_watch; /* NULL: none */
    struct mqtt_options mqtt;                  /* of each stream; its texts are in `texts` */
    char *texts[8];                            /* owned */
    bool is_calls_connected, is_calls_trouble; /* trouble: told as such */
    unsigned calls_failed;                     /* in a row */
    uv_timer_t calm;                           /* ends a trouble that no call has shown for long */
    char *event_topic;
    struct topics topics;
    int leap_s;
    uint64_t next_warning[4]; /* uv_now(), of each kind */
    void (*on_closed)(void *arg);
    void *closed_arg;
};

/* One connection to the broker. */
struct network_stream {
    struct chirpstack *cs;
    void *arg;
    struct mqtt *mqtt;
    size_t event_count;       /* of the current batch, passed on */
    uv_timer_t acknowledging; /* a batch without events */
    unsigned open_parts;
    struct uuid *applications;
    size_t application_count;
    void (*on_closed)(void *arg);
    void *closed_arg;
};

/* One call of the driver, which may take several gRPC calls. */
struct request {
    struct chirpstack *cs;
    network_done_fn *done;
    void *arg;
    grpc_done_fn *on_answer; /* of the gRPC call under way */
    /* what steps need */
    struct uuid group_id, application_id;
    char *name;
    uint64_t *gateways;
    size_t gateway_count, gateway_others, gateway_index, gateways_added;
    uint32_t offset;
    uint64_t *euis;
    size_t eui_count, eui_capacity;
    struct network_gateway *found;
    size_t found_count, found_capacity;
    char **ids; /* of deployments to look into */
    size_t id_count, id_index;
    uint8_t *packed; /* a message to be sent after a look-up */
    size_t packed_size;
    enum lorawan_version lorawan_version;
    char profile_id[UUID_TEXT_SIZE];
    char **tags;
    size_t tag_count;
};

struct request *request_new(struct chirpstack *cs, network_done_fn *done, void *arg);
/* Reports and frees. */
void request_end(struct request *r, enum network_outcome outcome, const char *text,
                 const struct network_answer *answer);
/* Packs and sends `message` (which stays the caller's). */
void request_send(struct request *r, const char *path, const ProtobufCMessage *message,
                  grpc_done_fn *done);
/* For unpacking messages that hold keys: wipes what it frees, also where a message breaks off. */
extern ProtobufCAllocator wiping_allocator;
/* What a gRPC result means for a caller. */
enum network_outcome outcome_of(enum grpc_result result, int status, const char *text);
/* The connection of the calls came (NULL) or went; told to the callbacks, too. */
void calls_state(struct chirpstack *cs, const char *text);
/* Whether a failed call says that the object is there already. */
bool is_duplicate(enum grpc_result result, int status, const char *text);

/* calls.c, group.c, lists.c */
void chirpstack_enqueue(void *self, uint64_t dev_eui, uint8_t f_port, const uint8_t *data,
                        size_t size, int64_t expires_ms, network_done_fn *done, void *arg);
void chirpstack_read_queue(void *self, uint64_t dev_eui, network_done_fn *done, void *arg);
void chirpstack_read_device(void *self, uint64_t dev_eui, network_done_fn *done, void *arg);
void chirpstack_read_profile(void *self, const struct uuid *profile_id, network_done_fn *done,
                             void *arg);
void chirpstack_read_root_key(void *self, uint64_t dev_eui, enum lorawan_version version,
                              network_done_fn *done, void *arg);
void chirpstack_random_address(void *self, uint64_t dev_eui, network_done_fn *done, void *arg);
void chirpstack_create_group(void *self, const struct network_group *group, network_done_fn *done,
                             void *arg);
void chirpstack_set_gateways(void *self, const struct uuid *group_id, const uint64_t *gateways,
                             size_t count, size_t others, network_done_fn *done, void *arg);
void chirpstack_delete_group(void *self, const struct uuid *group_id,
                             const struct uuid *application_id, const char *name,
                             network_done_fn *done, void *arg);
void chirpstack_enqueue_group(void *self, const struct uuid *group_id, uint8_t f_port,
                              const uint8_t *data, size_t size, int64_t expires_ms,
                              network_done_fn *done, void *arg);
void chirpstack_read_group_queue(void *self, const struct uuid *group_id, network_done_fn *done,
                                 void *arg);
void chirpstack_read_counter(void *self, const struct uuid *group_id, network_done_fn *done,
                             void *arg);
void chirpstack_list_devices(void *self, const struct uuid *application_id,
                             const struct network_filter *filter, network_done_fn *done, void *arg);
void chirpstack_list_gateways(void *self, const struct uuid *application_id, network_done_fn *done,
                              void *arg);
void chirpstack_list_busy_devices(void *self, const struct uuid *application_id,
                                  network_done_fn *done, void *arg);

#endif
