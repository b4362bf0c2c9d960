/*
 * bench_filter.c - the driver alone: sorting out uplinks that nobody wants, and reading those that
 * somebody wants. It plays the MQTT client and gives the messages to the driver.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "bench.h"
#include "lib/no_mqtt.h"

#define WANTED_COUNT  100000 /* devices in deployments */
#define TABLE_SIZE    (1u << 18)
#define MESSAGE_COUNT 1024
#define RUNS          2000
#define FILTER_GOAL   5e6

/* whoever wants events: a table as the daemon has one */

static uint64_t table[TABLE_SIZE];
static uint64_t event_count;

static size_t place_of(uint64_t dev_eui)
{
    size_t at = (size_t)(dev_eui * 0x9E3779B97F4A7C15u >> 40) % TABLE_SIZE;

    while (table[at] != 0 && table[at] != dev_eui) {
        at = (at + 1) % TABLE_SIZE;
    }
    return at;
}

static bool is_wanted(void *arg, const struct uuid *application_id, uint64_t dev_eui)
{
    (void)arg, (void)application_id;
    return table[place_of(dev_eui)] != 0;
}

static void on_event(void *arg, const struct network_event *event)
{
    (void)arg, (void)event;
    event_count++;
}

static void on_batch(void *arg)
{
    (void)arg;
}

static void on_events_state(void *arg, const char *text, bool is_session_kept)
{
    (void)arg, (void)text, (void)is_session_kept;
}

static void on_text(void *arg, const char *text)
{
    (void)arg, (void)text;
}

/* messages */

#define APPLICATION "48fd6da3-36d6-4a2c-9d0f-5a1f1a6a0b01"

static const char payload_format[] =
    "{\"deduplicationId\":\"8a5f8f0e-4e0c-4c39-9d4e-0d1d6e5a0001\",\"time\":"
    "\"2026-07-30T10:00:00.123456+00:00\",\"deviceInfo\":{\"tenantId\":"
    "\"52f14cd4-c6f1-4fbd-8f87-4025e1d49242\",\"tenantName\":\"ChirpStack\",\"applicationId\":"
    "\"" APPLICATION "\",\"applicationName\":\"water meters\",\"deviceProfileId\":"
    "\"3e2b0c51-5b1c-4b3a-9f57-ff2a3a3f1a10\",\"deviceProfileName\":\"meter, class A\","
    "\"deviceName\":\"meter in the cellar of a house\",\"devEui\":\"%016llx\","
    "\"deviceClassEnabled\":\"CLASS_A\",\"tags\":{\"site\":\"north\",\"street\":\"Long Lane\"}},"
    "\"devAddr\":\"01a2b3c4\",\"adr\":true,\"dr\":5,\"fCnt\":4711,\"fPort\":201,\"confirmed\":"
    "false,\"data\":\"AQUACgA=\",\"rxInfo\":[{\"gatewayId\":\"0016c001f1500812\",\"uplinkId\":"
    "2164251,\"nsTime\":\"2026-07-30T10:00:00.120+00:00\",\"rssi\":-57,\"snr\":9.5,\"channel\":1,"
    "\"rfChain\":1,\"location\":{\"latitude\":52.37402,\"longitude\":4.88969,\"altitude\":12.0},"
    "\"context\":\"AAAAAA==\",\"metadata\":{\"region_config_id\":\"eu868\","
    "\"region_common_name\":\"EU868\"},\"crcStatus\":\"CRC_OK\"}],\"txInfo\":{\"frequency\":"
    "868300000,\"modulation\":{\"lora\":{\"bandwidth\":125000,\"spreadingFactor\":7,\"codeRate\":"
    "\"CR_4_5\"}}},\"regionConfigId\":\"eu868\"}";

struct message {
    char topic[120];
    char payload[1500];
    size_t size;
};

static struct message messages[MESSAGE_COUNT];

static void make_messages(uint64_t first_eui)
{
    for (uint64_t i = 0; i < MESSAGE_COUNT; i++) {
        struct message *m = &messages[i];
        /* Spread over the whole table. */
        unsigned long long eui = first_eui + i * 97;
        (void)snprintf(m->topic, sizeof(m->topic),
                       "application/" APPLICATION "/device/%016llx/event/up", eui);
        m->size = (size_t)snprintf(m->payload, sizeof(m->payload), payload_format, eui);
    }
}

static double rate(unsigned runs)
{
    double begin = bench_cpu_ms();

    for (unsigned run = 0; run < runs; run++) {
        for (size_t i = 0; i < MESSAGE_COUNT; i++) {
            const struct message *m = &messages[i];
            no_mqtt_callbacks.on_message(no_mqtt_arg, m->topic, (const uint8_t *)m->payload,
                                         m->size, 1);
        }
    }
    return runs * MESSAGE_COUNT / (bench_cpu_ms() - begin) * 1e3;
}

int main(void)
{
    static const struct network_callbacks callbacks = {.is_wanted = is_wanted,
                                                       .on_event = on_event,
                                                       .on_batch = on_batch,
                                                       .on_events_state = on_events_state,
                                                       .on_calls_state = on_text,
                                                       .on_warning = on_text};
    struct chirpstack_options options = {
        .grpc = {.transport = {.host = "127.0.0.1"}, .in_flight_max = 1, .queue_max = 1},
        .event_topic = "application/{application_id}/device/{dev_eui}/event/{event}",
    };
    struct network_driver driver;
    uv_loop_t loop;

    (void)uv_loop_init(&loop);
    if (chirpstack_new(&loop, &options, &callbacks, NULL, &driver) != ERR_OK) {
        return 1;
    }
    (void)driver.open_stream(driver.self, "0", NULL);
    for (uint64_t i = 1; i <= WANTED_COUNT; i++) {
        table[place_of(i)] = i;
    }
    make_messages(UINT64_C(0x0102030400000000));
    bench_goal("unwanted uplinks, the filter alone", rate(RUNS), "a second", "higher", FILTER_GOAL);
    if (event_count != 0) {
        return 1;
    }
    make_messages(1);
    bench_info("wanted uplinks of 1.2 kB, read", rate(RUNS / 20), "a second", "higher");
    return event_count == RUNS / 20 * MESSAGE_COUNT ? 0 : 1;
}
