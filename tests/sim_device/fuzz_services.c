/*
 * fuzz_services.c - whatever a client of fuota-sim asks for: each call is answered or fails with a
 * text, and what was asked for happens to devices and gateways as time passes.
 *
 * world.h and mqtt.h are played, so that time passes as the input says: a row of calls (which
 * method, the size of the message, the message) and spans of time.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fuzz_input.h"
#include "sim/mqtt.h"
#include "sim/services.h"
#include "sim_device/played_world.h"

#define START_MS   INT64_C(1790000000000)
#define EVENTS_MAX 2000 /* run in one span of time */
#define CALLS_MAX  32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* mqtt.h */

enum err mqtt_publish(struct mqtt *mqtt, const char *topic, const void *payload, size_t size)
{
    (void)mqtt;
    assert(topic[0] != '\0' && payload != NULL && size > 0);
    return ERR_OK;
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
         interval[] = "--uplink-interval=60", duty_cycle[] = "--gateway-duty-cycle=0.001",
         topics[] = "--gateway-topics=eu868";
    char *argv[] = {program, devices, gateways, interval, duty_cycle, topics};
    struct fuzz_input in = {data, size};
    struct world world = {.now_ms = START_MS};
    struct services services = {.network = &network, .token = "token"};
    faults_init(&services.faults, "", 1);
    char error[OPTIONS_ERROR_SIZE];

    options_init(&options);
    enum err err = options_read(&options, 6, argv, error);
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
            played_world_pass(&world, (int64_t)(what - 127) * 1000, EVENTS_MAX);
        }
    }
    played_world_release(&world);
    network_release(&network);
    options_release(&options);
    return 0;
}
