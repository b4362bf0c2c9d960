/* request.c - calls of the driver: their memory, their sending, and what a gRPC status means. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "impl.h"
#include "lorawan/keys.h"

struct allocation {
    size_t size;
    max_align_t octets[];
};

static void *wiping_alloc(void *arg, size_t size)
{
    struct allocation *a = malloc(sizeof(*a) + size);

    (void)arg;
    if (a == NULL) {
        return NULL;
    }
    a->size = size;
    /* cppcheck-suppress memleak; wiping_free() finds the beginning again */
    return a->octets;
}

static void wiping_free(void *arg, void *octets)
{
    (void)arg;
    if (octets != NULL) {
        struct allocation *a =
            (struct allocation *)(void *)((char *)octets - offsetof(struct allocation, octets));
        key_wipe(octets, a->size);
        free(a);
    }
}

ProtobufCAllocator wiping_allocator = {.alloc = wiping_alloc, .free = wiping_free};
#define FAILED_MAX 3     /* calls in a row: one or two may be the objects' fault */
#define CALM_MS    60000 /* without a failed call */

struct request *request_new(struct chirpstack *cs, network_done_fn *done, void *arg)
{
    struct request *r = calloc(1, sizeof(*r));

    if (r == NULL) {
        abort();
    }
    r->cs = cs;
    r->done = done;
    r->arg = arg;
    return r;
}

void request_end(struct request *r, enum network_outcome outcome, const char *text,
                 const struct network_answer *answer)
{
    static const struct network_answer nothing;

    r->done(r->arg, outcome, text != NULL ? text : "", answer != NULL ? answer : &nothing);
    for (size_t i = 0; i < r->id_count; i++) {
        free(r->ids[i]);
    }
    for (size_t i = 0; i < 2 * r->tag_count; i++) {
        free(r->tags[i]);
    }
    free(r->tags);
    free(r->ids);
    free(r->name);
    free(r->gateways);
    free(r->euis);
    free(r->found);
    if (r->packed != NULL) {
        key_wipe(r->packed, r->packed_size); /* a group's keys */
    }
    free(r->packed);
    free(r);
}

/* trouble: connected, but call after call has no proper answer */

void calls_state(struct chirpstack *cs, const char *text)
{
    cs->is_calls_connected = text == NULL;
    cs->is_calls_trouble = false;
    cs->calls_failed = 0;
    uv_timer_stop(&cs->calm);
    cs->callbacks.on_calls_state(cs->arg, text);
}

static void calls_calm(struct chirpstack *cs)
{
    cs->calls_failed = 0;
    uv_timer_stop(&cs->calm);
    if (cs->is_calls_trouble) {
        cs->is_calls_trouble = false;
        cs->callbacks.on_calls_state(cs->arg, NULL);
    }
}

static void on_calm(uv_timer_t *timer)
{
    calls_calm(timer->data);
}

static void note_outcome(struct chirpstack *cs, enum grpc_result result, int status,
                         const char *text)
{
    enum network_outcome outcome = outcome_of(result, status, text);
    char why[200];

    if (!cs->is_calls_connected) {
        return; /* that has been told */
    }
    if (outcome != NETWORK_FAILED && outcome != NETWORK_UNKNOWN) {
        calls_calm(cs);
        return;
    }
    uv_timer_start(&cs->calm, on_calm, CALM_MS, 0);
    if (++cs->calls_failed >= FAILED_MAX && !cs->is_calls_trouble) {
        cs->is_calls_trouble = true;
        if (result == GRPC_ANSWERED) {
            snprintf(why, sizeof(why), "call after call fails with status %d: %.150s", status,
                     text);
        } else {
            snprintf(why, sizeof(why), "call after call fails: %.150s", text);
        }
        cs->callbacks.on_calls_state(cs->arg, why);
    }
}

static void on_answer(void *arg, enum grpc_result result, int status, const char *text,
                      const uint8_t *message, size_t size)
{
    struct request *r = arg;

    note_outcome(r->cs, result, status, text);
    r->on_answer(r, result, status, text, message, size);
}

void request_send(struct request *r, const char *path, const ProtobufCMessage *message,
                  grpc_done_fn *done)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = malloc(size > 0 ? size : 1);

    if (packed == NULL) {
        abort();
    }
    protobuf_c_message_pack(message, packed);
    r->on_answer = done;
    grpc_call(r->cs->grpc, path, packed, size, on_answer, r);
    key_wipe(packed, size);
    free(packed);
}

/* PostgreSQL's and SQLite's words; ChirpStack never says ALREADY_EXISTS. */
bool is_duplicate(enum grpc_result result, int status, const char *text)
{
    return result == GRPC_ANSWERED && status == GRPC_INTERNAL && text != NULL &&
           (strstr(text, "duplicate key") != NULL || strstr(text, "UNIQUE constraint") != NULL);
}

enum network_outcome outcome_of(enum grpc_result result, int status, const char *text)
{
    if (result == GRPC_NOT_SENT) {
        return NETWORK_FAILED;
    }
    if (result == GRPC_LOST) {
        return NETWORK_UNKNOWN;
    }
    switch (status) {
    case GRPC_OK:
        return NETWORK_DONE;
    case GRPC_NOT_FOUND:
        return NETWORK_MISSING;
    case GRPC_UNAUTHENTICATED:
        /* A tenant's key gets this, without words, for what does not exist; with words the token is
         * wrong, and a better one may come with the next start. */
        return text == NULL || text[0] == '\0' ? NETWORK_MISSING : NETWORK_FAILED;
    case GRPC_RESOURCE_EXHAUSTED:
    case GRPC_ABORTED:
    case GRPC_INTERNAL:
    case GRPC_UNAVAILABLE: /* said by the server itself or a proxy: it was not processed, or rolled
                              back */
        return NETWORK_FAILED;
    case GRPC_CANCELLED: /* these say nothing about how far it came */
    case GRPC_UNKNOWN:
    case GRPC_DEADLINE_EXCEEDED:
        return NETWORK_UNKNOWN;
    default:
        return NETWORK_REFUSED;
    }
}
