/*
 * fuzz_services.c - whatever a client of fuota-sim asks for: each call is answered or fails with a
 * text, and what was asked for happens to devices and gateways as time passes.
 *
 * world.h and mqtt.h are played here, so that time passes as the input says: a row of calls (which
 * method, the size of the message, the message) and spans of time.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fuzz_input.h"
#include "sim/mqtt.h"
#include "sim/services.h"

#define START_MS   INT64_C(1790000000000)
#define EVENTS_MAX 4096 /* planned at the same time */
#define CALLS_MAX  32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* mqtt.h */

enum err mqtt_publish(struct mqtt *mqtt, const char *topic, const void *payload, size_t size)
{
    (void)mqtt;
    assert(topic[0] != '\0' && payload != NULL && size > 0);
    return ERR_OK;
}

/* world.h */

static struct world_event events[EVENTS_MAX];

static void plan(struct world *world, struct world_event event)
{
    assert(world->count < EVENTS_MAX);
    event.order = world->order++;
    events[world->count++] = event;
}

void world_at(struct world *world, int64_t at_ms, world_event_fn *run, void *arg, uint64_t value)
{
    plan(world, (struct world_event){.at_ms = at_ms, .run = run, .arg = arg, .value = value});
}

void world_at_take(struct world *world, int64_t at_ms, world_event_fn *run, void *arg,
                   uint64_t value)
{
    plan(world, (struct world_event){
                    .at_ms = at_ms, .run = run, .arg = arg, .value = value, .owns_arg = true});
}

int64_t world_now(struct world *world)
{
    return world->now_ms;
}

int64_t world_after_real(const struct world *world, uint64_t real_ms)
{
    return world->now_ms + (int64_t)real_ms;
}

/* The next event up to `limit_ms`, by time and order; false: none. */
static bool run_next(struct world *world, int64_t limit_ms)
{
    size_t first = 0;

    for (size_t i = 1; i < world->count; i++) {
        if (events[i].at_ms < events[first].at_ms ||
            (events[i].at_ms == events[first].at_ms && events[i].order < events[first].order)) {
            first = i;
        }
    }
    if (world->count == 0 || events[first].at_ms > limit_ms) {
        return false;
    }
    struct world_event event = events[first];
    events[first] = events[--world->count];
    world->now_ms = event.at_ms > world->now_ms ? event.at_ms : world->now_ms;
    world->is_running = true;
    event.run(event.arg, event.value);
    world->is_running = false;
    return true;
}

static void pass_time(struct world *world, int64_t span_ms)
{
    int64_t limit_ms = world->now_ms + span_ms;

    for (unsigned i = 0; i < 2000 && run_next(world, limit_ms); i++) {
    }
    world->now_ms = limit_ms > world->now_ms ? limit_ms : world->now_ms;
}

/* calls */

static const char *path_of(uint8_t what)
{
    static const struct service_method *const tables[] = {
        service_device_methods, service_multicast_methods, service_other_methods};
    size_t count = 0;

    for (size_t i = 0; i < 3; i++) {
        for (const struct service_method *m = tables[i]; m->path != NULL; m++) {
            if (count++ == what) {
                return m->path;
            }
        }
    }
    return "/api.NoService/Get";
}

static void ask(struct services *services, struct fuzz_input *in, uint8_t what)
{
    struct grpc_call call = {.path = path_of(what), .authorization = "Bearer token"};
    size_t size;
    const uint8_t *octets = fuzz_octets(in, fuzz_u16(in), &size);
    uint8_t *message = malloc(size > 0 ? size : 1); /* of its exact size */

    assert(message != NULL);
    if (size > 0) {
        memcpy(message, octets, size);
    }
    call.request = message;
    call.request_size = size;
    services_handle(services, &call);
    assert(memchr(call.text, '\0', sizeof(call.text)) != NULL);
    assert(call.status == GRPC_OK || call.reply == NULL);
    free(call.reply);
    free(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct options options; /* these are too large for the stack */
    static struct network network;
    char program[] = "fuota-sim", devices[] = "--devices=3", gateways[] = "--gateways=2",
         interval[] = "--uplink-interval=60";
    char *argv[] = {program, devices, gateways, interval};
    struct fuzz_input in = {data, size};
    struct world world = {.now_ms = START_MS};
    struct services services = {.network = &network, .token = "token"};
    faults_init(&services.faults, "", 1);
    char error[OPTIONS_ERROR_SIZE];

    options_init(&options);
    enum err err = options_read(&options, 4, argv, error);
    assert(err == ERR_OK);
    options.tenant_key = fuzz_u8(&in) % 2 == 1;
    err = network_init(&network, &options, &world);
    assert(err == ERR_OK);
    network_start(&network);
    for (unsigned i = 0; i < CALLS_MAX && in.size > 0; i++) {
        uint8_t what = fuzz_u8(&in);
        if (what < 128) {
            ask(&services, &in, what);
        } else {
            pass_time(&world, (int64_t)(what - 127) * 1000);
        }
    }
    for (size_t i = 0; i < world.count; i++) {
        if (events[i].owns_arg) {
            free(events[i].arg);
        }
    }
    network_release(&network);
    options_release(&options);
    return 0;
}
