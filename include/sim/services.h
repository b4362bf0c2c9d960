/*
 * services.h - the API of ChirpStack v4 that the simulator answers, with the statuses ChirpStack
 * gives.
 */
#ifndef SIM_SERVICES_H
#define SIM_SERVICES_H

#include <stdbool.h>

#include <protobuf-c/protobuf-c.h>

#include "sim/faults.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "sim/grpc_server.h"
#include "sim/network.h"

struct services {
    struct network *network;
    struct faults faults;
    char token[1024];
};

typedef void service_fn(struct network *network, struct grpc_call *call);

struct service_method {
    const char *path;
    service_fn *run;
};

/* Each ends with a NULL path. */
extern const struct service_method service_device_methods[];
extern const struct service_method service_multicast_methods[];
extern const struct service_method service_other_methods[];

/* The grpc_handler_fn; `arg` is a struct services. */
void services_handle(void *arg, struct grpc_call *call);

/* Unpacks the request; NULL after failing the call. The caller frees it. */
ProtobufCMessage *services_unpack(struct grpc_call *call,
                                  const ProtobufCMessageDescriptor *descriptor);
void services_reply(struct grpc_call *call, const ProtobufCMessage *message);
void services_fail(struct grpc_call *call, enum grpc_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The object is missing: NOT_FOUND, or to a tenant key UNAUTHENTICATED without a text. */
void services_fail_missing(const struct network *network, struct grpc_call *call, const char *id);
/* These fail the call with ChirpStack's status when the text is malformed. */
bool services_uuid(struct grpc_call *call, const char *text, struct uuid *ret_id);
bool services_eui(struct grpc_call *call, const char *text, uint64_t *ret_eui);
/* Likewise for a time that is out of range; INT64_MAX where `from` is NULL. */
bool services_time(struct grpc_call *call, const Google__Protobuf__Timestamp *from,
                   int64_t *ret_ms);
/* The device with that EUI; NULL after failing the call. */
struct sim_device *services_device(struct network *network, struct grpc_call *call,
                                   const char *eui_text);

#endif
