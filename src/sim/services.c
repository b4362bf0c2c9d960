#include "sim/services.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEARER "Bearer "

/* The years 1 to 9999, which google.protobuf.Timestamp is for. */
#define TIMESTAMP_MIN_S INT64_C(-62135596800)
#define TIMESTAMP_MAX_S INT64_C(253402300799)

void services_fail(struct grpc_call *call, enum grpc_status status, const char *format, ...)
{
    va_list args;

    call->status = status;
    va_start(args, format);
    vsnprintf(call->text, sizeof(call->text), format, args);
    va_end(args);
}

void services_fail_missing(const struct network *network, struct grpc_call *call, const char *id)
{
    if (network->options->tenant_key) {
        services_fail(call, GRPC_UNAUTHENTICATED, "%s", "");
    } else {
        services_fail(call, GRPC_NOT_FOUND, "Object does not exist (id: %s)", id);
    }
}

ProtobufCMessage *services_unpack(struct grpc_call *call,
                                  const ProtobufCMessageDescriptor *descriptor)
{
    ProtobufCMessage *message =
        protobuf_c_message_unpack(descriptor, NULL, call->request_size, call->request);

    if (message == NULL) {
        services_fail(call, GRPC_INTERNAL, "failed to decode Protobuf message");
    }
    return message;
}

void services_reply(struct grpc_call *call, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);

    call->reply = malloc(size + 1);
    if (call->reply == NULL) {
        services_fail(call, GRPC_INTERNAL, "out of memory");
        return;
    }
    call->reply_size = protobuf_c_message_pack(message, call->reply);
}

bool services_uuid(struct grpc_call *call, const char *text, struct uuid *ret_id)
{
    if (uuid_parse(text, ret_id) == ERR_OK) {
        return true;
    }
    services_fail(call, GRPC_INVALID_ARGUMENT, "invalid character or length in UUID: \"%s\"", text);
    return false;
}

bool services_eui(struct grpc_call *call, const char *text, uint64_t *ret_eui)
{
    if (text[0] == '\0') {
        *ret_eui = 0; /* an empty text parses as all zero */
        return true;
    }
    if (eui64_parse(text, ret_eui) == ERR_OK) {
        return true;
    }
    services_fail(call, GRPC_INTERNAL, "Invalid character or length in EUI64: \"%s\"", text);
    return false;
}

bool services_time(struct grpc_call *call, const Google__Protobuf__Timestamp *from, int64_t *ret_ms)
{
    if (from == NULL) {
        *ret_ms = INT64_MAX;
        return true;
    }
    if (from->seconds < TIMESTAMP_MIN_S || from->seconds > TIMESTAMP_MAX_S) {
        services_fail(call, GRPC_INVALID_ARGUMENT, "timestamp out of range");
        return false;
    }
    *ret_ms = from->seconds * 1000 + from->nanos / 1000000;
    return true;
}

struct sim_device *services_device(struct network *network, struct grpc_call *call,
                                   const char *eui_text)
{
    uint64_t eui;

    if (!services_eui(call, eui_text, &eui)) {
        return NULL;
    }
    struct sim_device *d = network_find_device(network, eui);
    if (d == NULL) {
        services_fail_missing(network, call, eui_text);
    }
    return d;
}

static bool is_allowed(const struct services *services, struct grpc_call *call)
{
    const char *header = call->authorization;

    if (header == NULL) {
        services_fail(call, GRPC_UNAUTHENTICATED, "no authorization provided");
        return false;
    }
    if (strncmp(header, BEARER, strlen(BEARER)) != 0) {
        services_fail(call, GRPC_UNAUTHENTICATED, "authorization must be Bearer");
        return false;
    }
    if (strcmp(header + strlen(BEARER), services->token) != 0) {
        services_fail(call, GRPC_UNAUTHENTICATED, "InvalidSignature");
        return false;
    }
    return true;
}

/* Whether the call is carried out; sets what becomes of it. */
static bool suffers_fault(struct faults *faults, struct grpc_call *call)
{
    static const enum grpc_fate fates[FAULT_ACTION_COUNT] = {
        [FAULT_DELAY] = GRPC_FATE_LATE,
        [FAULT_SILENT] = GRPC_FATE_SILENT,
        [FAULT_GOAWAY] = GRPC_FATE_GOAWAY,
        [FAULT_REFUSE] = GRPC_FATE_REFUSE,
    };
    char error[FAULTS_ERROR_SIZE];

    if (faults_read(faults, error) != ERR_OK) {
        fprintf(stderr, "fuota-sim: %s\n", error);
    }
    const struct fault *fault = faults_draw(faults, call->path);
    if (fault == NULL) {
        return false;
    }
    call->fate = fates[fault->action];
    call->delay_ms = (uint64_t)fault->delay_ms;
    if (fault->action == FAULT_STATUS) {
        services_fail(call, (enum grpc_status)fault->status, "the faults file says so");
    }
    return fault->action == FAULT_STATUS || fault->action == FAULT_REFUSE;
}

void services_handle(void *arg, struct grpc_call *call)
{
    static const struct service_method *const tables[] = {
        service_device_methods, service_multicast_methods, service_other_methods};
    struct services *services = arg;

    if (suffers_fault(&services->faults, call)) {
        return;
    }
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        for (const struct service_method *m = tables[i]; m->path != NULL; m++) {
            if (strcmp(m->path, call->path) != 0) {
                continue;
            }
            if (is_allowed(services, call)) {
                world_now(
                    services->network->world); /* what was due before the call happens before it */
                m->run(services->network, call);
            }
            return;
        }
    }
    services_fail(call, GRPC_UNIMPLEMENTED, "%s", "");
}
