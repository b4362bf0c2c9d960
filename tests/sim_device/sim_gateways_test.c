/* sim_gateways_test.c - the simulator's gateways: what they send and what they refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sim/mqtt.h"
#include "sim/network.h"
#include "sim_device/played_world.h"

#define START_MS   INT64_C(1790000000000)
#define NO_LIMIT   SIZE_MAX
#define MC_ADDR    0x01A2B3C4u
#define ARGS_MAX   16
#define FOR_EVER   INT64_MAX
#define MULTICAST  869525000u
#define OTHER_BAND 868100000u

static struct options options; /* these are too large for the stack */
static struct network network;
static struct world world;
static char *trace;
static size_t trace_size;

/* mqtt.h */

enum err mqtt_publish(struct mqtt *mqtt, const char *topic, const void *payload, size_t size)
{
    (void)mqtt, (void)topic, (void)payload, (void)size;
    return ERR_OK;
}

/* A network with a scenario, and with arguments, up to NULL. */
static void begin(const char *scenario, ...)
{
    static char path[] = FUOTAD_BINARY_DIR "/gateways-XXXXXX";
    char program[] = "fuota-sim", option[] = "--scenario", quiet[] = "--uplink-interval=0";
    char *argv[ARGS_MAX] = {program, option, path, quiet};
    char error[OPTIONS_ERROR_SIZE] = "";
    int argc = 4;
    va_list more;

    memcpy(path + strlen(path) - 6, "XXXXXX", 6);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, scenario, strlen(scenario)), strlen(scenario));
    close(fd);
    va_start(more, scenario);
    for (char *arg = va_arg(more, char *); arg != NULL; arg = va_arg(more, char *)) {
        argv[argc++] = arg;
    }
    va_end(more);
    options_init(&options);
    enum err err = options_read(&options, argc, argv, error);
    unlink(path);
    assert_string_equal(error, "");
    assert_int_equal(err, ERR_OK);
    world = (struct world){.now_ms = START_MS};
    assert_int_equal(network_init(&network, &options, &world), ERR_OK);
    network.trace = open_memstream(&trace, &trace_size);
    network_start(&network);
}

static int end(void **state)
{
    (void)state;
    fclose(network.trace);
    free(trace);
    trace = NULL;
    played_world_release(&world);
    network_release(&network);
    options_release(&options);
    return 0;
}

static struct multicast_group *add_group(uint32_t frequency_hz, uint32_t dr, uint32_t gateway_mask)
{
    struct multicast_group *group = calloc(1, sizeof(*group));

    assert_non_null(group);
    group->id = network_new_id(&network);
    group->mc_addr = MC_ADDR;
    group->frequency_hz = frequency_hz;
    group->dr = dr;
    group->gateway_mask = gateway_mask;
    group->next = network.groups;
    network.groups = group;
    network.group_count++;
    return group;
}

static void enqueue(struct multicast_group *group, unsigned count, size_t size)
{
    static const uint8_t payload[256] = {0x08, 1, 0};
    uint32_t f_cnt;

    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(multicast_enqueue(&network, group, 201, payload, size, FOR_EVER, &f_cnt),
                         ERR_OK);
    }
}

static void pass_s(int64_t seconds)
{
    played_world_pass(&world, seconds * 1000, NO_LIMIT);
}

/* How often `text` stands in the trace. */
static unsigned traced(const char *text)
{
    unsigned count = 0;

    fflush(network.trace);
    for (const char *at = trace; (at = strstr(at, text)) != NULL; at++) {
        count++;
    }
    return count;
}

static void a_gateway_refuses_within_its_span_and_no_other(void **state)
{
    (void)state;
    begin("gateways = 2; margin = 1.0;\n"
          "refuse = ( { gateway = 1; from = 100; to = 200; status = \"TOO_LATE\"; } );\n",
          NULL);
    struct multicast_group *group = add_group(MULTICAST, 5, 3);
    enqueue(group, 150, 50); /* one row a second, to one gateway after the other */

    pass_s(400);
    assert_null(group->rows); /* what is refused leaves the queue, too */
    assert_int_equal(network.counters.multicast_rejected, 50); /* 101, 103, .. 199 s */
    assert_int_equal(network.counters.multicast_sent, 250);
    assert_int_equal(traced("status=TOO_LATE"), 50);
    assert_int_equal(traced("refused gateway=1"), 50);
    assert_int_equal(traced("multicast gateway=1"), 100);
}

static void the_first_refusal_whose_share_hits_counts(void **state)
{
    (void)state;
    begin("margin = 1.0; gateway_rejects = 0.2;\n"
          "refuse = ( { from = 0; to = 10000; share = 0.5; status = \"QUEUE_FULL\"; },\n"
          "           { from = 0; to = 10000; share = 0.5; status = \"GPS_UNLOCKED\"; } );\n",
          NULL);
    enqueue(add_group(MULTICAST, 5, 1), 1000, 50);

    pass_s(2000);
    assert_in_range(traced("status=QUEUE_FULL"), 450, 550);
    assert_in_range(traced("status=GPS_UNLOCKED"), 200, 300);
    assert_in_range(traced("status=COLLISION_PACKET"), 25, 75);
    assert_int_equal(network.counters.multicast_sent + network.counters.multicast_rejected, 1000);
}

#define TEST(name) cmocka_unit_test_teardown(name, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_gateway_refuses_within_its_span_and_no_other),
        TEST(the_first_refusal_whose_share_hits_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
