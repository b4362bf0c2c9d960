/*
 * interop_test.c - the driver against ChirpStack's API made of the official stubs
 * (interop/server.js), and the reader of events fed with what the stubs encode.
 *
 * Needs node and npm, and installs the packages into the build folder; where that is impossible it
 * says so and counts as skipped.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "lib/child.h"
#include "lib/loop.h"
#include "network/chirpstack/chirpstack.h"
#include "network/chirpstack/events.h"

#define SKIPPED     77
#define SOURCE      FUOTAD_SOURCE_DIR "/tests/network/interop"
#define FOLDER      FUOTAD_BINARY_DIR "/tests/network/interop"
#define APPLICATION "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
#define PROFILE     "99999999-8888-4777-8666-555555555555"
#define GROUP       "00000000-0000-4000-8000-000000000007"

static pid_t server;
static FILE *requests; /* one line of JSON each */
static struct test_loop t;
static struct network_driver driver;
static bool is_closed;

/* the last answer */
static unsigned done_count;
static enum network_outcome outcome;
static char text[300];
static struct network_answer answer;
static struct key key;
static struct network_queue_item items[4];
static uint8_t item_data[4][16];
static uint64_t euis[600];
static struct network_gateway gateways[8];

static void on_done(void *arg, enum network_outcome result, const char *words,
                    const struct network_answer *a)
{
    (void)arg;
    done_count++;
    outcome = result;
    snprintf(text, sizeof(text), "%s", words);
    answer = *a;
    if (a->key != NULL) {
        key = *a->key;
    }
    for (size_t i = 0; i < a->item_count; i++) {
        items[i] = a->items[i];
        if (a->items[i].size > 0) {
            memcpy(item_data[i], a->items[i].data, a->items[i].size);
        }
    }
    if (a->eui_count > 0) {
        memcpy(euis, a->euis, a->eui_count * sizeof(*euis));
    }
    if (a->gateway_count > 0) {
        memcpy(gateways, a->gateways, a->gateway_count * sizeof(*gateways));
    }
}

#define CALL(method, ...)                                                                          \
    do {                                                                                           \
        done_count = 0;                                                                            \
        driver.method(driver.self, __VA_ARGS__, on_done, NULL);                                    \
        assert_int_equal(done_count, 0);                                                           \
        WAIT_UNTIL(&t, done_count > 0);                                                            \
        assert_int_equal(done_count, 1);                                                           \
    } while (0)

/* The next request that the server saw: its path, and the fields in it. */
static void expect_request(const char *path, const char *fields)
{
    char line[8000];

    assert_non_null(fgets(line, sizeof(line), requests));
    cJSON *seen = cJSON_Parse(line), *expected = cJSON_Parse(fields);
    const cJSON *request = cJSON_GetObjectItem(seen, "request"), *field;
    assert_non_null(expected);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(seen, "path")), path);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(seen, "authorization")),
                        "Bearer token");
    cJSON_ArrayForEach(field, expected)
    {
        const cJSON *other = cJSON_GetObjectItemCaseSensitive(request, field->string);
        if (!cJSON_Compare(field, other, true)) {
            fail_msg("%s is not as expected in %s", field->string, line);
        }
    }
    cJSON_Delete(seen);
    cJSON_Delete(expected);
}

static struct uuid id_of(const char *id)
{
    struct uuid uuid;

    assert_int_equal(uuid_parse(id, &uuid), ERR_OK);
    return uuid;
}

static void expect_id(const struct uuid *id, const char *expected)
{
    char written[UUID_TEXT_SIZE];

    uuid_format(id, written);
    assert_string_equal(written, expected);
}

/* calls about a device */

static void enqueue(void **state)
{
    (void)state;

    CALL(enqueue, 0x0102030405060708, 200, (const uint8_t *)"\x02\x00\xFF", 3, 1785405600123);
    assert_int_equal(outcome, NETWORK_DONE);
    expect_id(&answer.id, "00000000-0000-4000-8000-000000000001");
    expect_request("/api.DeviceService/Enqueue",
                   "{\"flushQueue\": false, \"queueItem\": {\"id\": \"\", \"devEui\": "
                   "\"0102030405060708\", \"confirmed\": false, \"fPort\": 200, \"data\": "
                   "\"AgD/\", \"isPending\": false, \"fCntDown\": 0, \"isEncrypted\": false, "
                   "\"expiresAt\": {\"seconds\": 1785405600, \"nanos\": 123000000}}}");
}

static void read_queue(void **state)
{
    (void)state;

    CALL(read_queue, 1);
    assert_int_equal(outcome, NETWORK_DONE);
    assert_int_equal(answer.item_count, 2);
    expect_id(&items[0].id, "00000000-0000-4000-8000-000000000002");
    assert_int_equal(items[0].f_port, 200);
    assert_int_equal(items[0].size, 3);
    assert_memory_equal(item_data[0], "\1\2\3", 3);
    assert_int_equal(items[1].f_port, 255);
    assert_int_equal(items[1].size, 0);
    expect_request("/api.DeviceService/GetQueue", "{\"devEui\": \"0000000000000001\"}");
}

static void read_device(void **state)
{
    (void)state;

    CALL(read_device, UINT64_MAX);
    assert_int_equal(outcome, NETWORK_DONE);
    expect_id(&answer.device.application_id, APPLICATION);
    expect_id(&answer.device.profile_id, PROFILE);
    assert_true(answer.device.is_disabled);
    assert_true(answer.device.was_seen);
    assert_true(answer.device.is_class_c);
    expect_request("/api.DeviceService/Get", "{\"devEui\": \"ffffffffffffffff\"}");
    CALL(read_device, 404);
    assert_int_equal(outcome, NETWORK_MISSING);
    assert_string_equal(text, "Object does not exist (id: 404)");
    expect_request("/api.DeviceService/Get", "{}");
    CALL(read_device, 401); /* a tenant's key and nothing there */
    assert_int_equal(outcome, NETWORK_MISSING);
    expect_request("/api.DeviceService/Get", "{}");
}

static void read_profile(void **state)
{
    (void)state;
    struct uuid id = id_of(PROFILE);

    CALL(read_profile, &id);
    assert_int_equal(outcome, NETWORK_DONE);
    assert_true(answer.profile.is_region_known);
    assert_int_equal(answer.profile.region, REGION_AS923);
    assert_int_equal(answer.profile.lorawan_version, LORAWAN_1_1);
    assert_true(answer.profile.uplink_interval_s == UINT32_MAX);
    assert_true(answer.profile.supports_class_c);
    assert_int_equal(answer.profile.clock_sync_version, 1);
    assert_int_equal(answer.profile.clock_sync_port, 223);
    assert_int_equal(answer.profile.fragmentation_version, 2);
    assert_int_equal(answer.profile.fragmentation_port, 100);
    assert_int_equal(answer.profile.multicast_setup_version, 1);
    assert_int_equal(answer.profile.multicast_setup_port, 200); /* 0 was never set */
    expect_request("/api.DeviceProfileService/Get", "{\"id\": \"" PROFILE "\"}");
}

static void read_root_key(void **state)
{
    (void)state;
    struct key expected;

    CALL(read_root_key, 1, LORAWAN_1_0);
    assert_int_equal(outcome, NETWORK_DONE);
    memset(&expected, 0x33, sizeof(expected)); /* GenAppKey */
    assert_memory_equal(&key, &expected, sizeof(key));
    CALL(read_root_key, 1, LORAWAN_1_1);
    memset(&expected, 0x22, sizeof(expected)); /* AppKey */
    assert_memory_equal(&key, &expected, sizeof(key));
    expect_request("/api.DeviceService/GetKeys", "{\"devEui\": \"0000000000000001\"}");
    expect_request("/api.DeviceService/GetKeys", "{}");
}

static void random_address(void **state)
{
    (void)state;

    CALL(random_address, 1);
    assert_int_equal(outcome, NETWORK_DONE);
    assert_true(answer.mc_addr == 0xFC00AC5C);
    expect_request("/api.DeviceService/GetRandomDevAddr", "{\"devEui\": \"0000000000000001\"}");
}

/* calls about a group */

static void create_group(void **state)
{
    (void)state;
    struct mc_session_keys keys;
    struct network_group group = {
        .name = "new",
        .application_id = id_of(APPLICATION),
        .region = REGION_KR920,
        .mc_addr = 0x01FFFFFF,
        .keys = &keys,
        .data_rate = 3,
        .frequency_hz = 921900000,
    };

    memset(&keys.mc_app_s_key, 0xA1, KEY_SIZE);
    memset(&keys.mc_nwk_s_key, 0xB2, KEY_SIZE);
    CALL(create_group, &group);
    assert_int_equal(outcome, NETWORK_DONE);
    expect_id(&answer.id, GROUP);
    expect_request("/api.MulticastGroupService/List",
                   "{\"limit\": 100, \"offset\": 0, \"search\": \"new\", \"applicationId\": "
                   "\"" APPLICATION "\"}");
    expect_request("/api.MulticastGroupService/Create",
                   "{\"multicastGroup\": {\"id\": \"\", \"name\": \"new\", \"applicationId\": "
                   "\"" APPLICATION "\", \"region\": 8, \"mcAddr\": \"01ffffff\", \"mcNwkSKey\": "
                   "\"b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2\", \"mcAppSKey\": "
                   "\"a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1\", \"fCnt\": 0, \"groupType\": 0, \"dr\": "
                   "3, \"frequency\": 921900000, \"classBPingSlotPeriodicity\": 0, "
                   "\"classCSchedulingType\": 0}}");
    group.name = "there"; /* what a first try made is taken for the same */
    CALL(create_group, &group);
    assert_int_equal(outcome, NETWORK_DONE);
    expect_id(&answer.id, "00000000-0000-4000-8000-000000000006");
    expect_request("/api.MulticastGroupService/List", "{}");
}

static void set_gateways(void **state)
{
    (void)state;
    const uint64_t ids[] = {0x0016c001f1500812, 2};
    struct uuid id = id_of(GROUP);

    CALL(set_gateways, &id, ids, 2, 0); /* the first one is on it already */
    assert_int_equal(outcome, NETWORK_DONE);
    expect_request("/api.MulticastGroupService/AddGateway",
                   "{\"multicastGroupId\": \"" GROUP "\", \"gatewayId\": \"0016c001f1500812\"}");
    expect_request("/api.MulticastGroupService/AddGateway",
                   "{\"multicastGroupId\": \"" GROUP "\", \"gatewayId\": \"0000000000000002\"}");
    CALL(set_gateways, &id, ids, 1, 1); /* the second one is not on it */
    assert_int_equal(outcome, NETWORK_DONE);
    expect_request("/api.MulticastGroupService/AddGateway",
                   "{\"multicastGroupId\": \"" GROUP "\", \"gatewayId\": \"0016c001f1500812\"}");
    expect_request("/api.MulticastGroupService/RemoveGateway",
                   "{\"multicastGroupId\": \"" GROUP "\", \"gatewayId\": \"0000000000000002\"}");
}

static void enqueue_group(void **state)
{
    (void)state;
    struct uuid id = id_of(GROUP);
    uint8_t data[242];

    memset(data, 0, sizeof(data));
    CALL(enqueue_group, &id, 201, data, 3, 1785405600001);
    assert_int_equal(outcome, NETWORK_DONE);
    assert_true(answer.f_cnt == UINT32_MAX);
    expect_request("/api.MulticastGroupService/Enqueue",
                   "{\"queueItem\": {\"multicastGroupId\": \"" GROUP "\", \"fCnt\": 0, \"fPort\": "
                   "201, \"data\": \"AAAA\", \"expiresAt\": {\"seconds\": 1785405600, \"nanos\": "
                   "1000000}}}");
    CALL(enqueue_group, &id, 0, data, sizeof(data), 1);
    assert_int_equal(outcome, NETWORK_FAILED);
    assert_non_null(strstr(text, "FPort must be > 0"));
    assert_non_null(strstr(text, "100%"));
    expect_request("/api.MulticastGroupService/Enqueue", "{}");
}

static void read_counter(void **state)
{
    (void)state;
    struct uuid id = id_of(GROUP);

    CALL(read_counter, &id);
    assert_int_equal(outcome, NETWORK_DONE);
    assert_true(answer.f_cnt == 4000000000);
    expect_request("/api.MulticastGroupService/Get", "{\"id\": \"" GROUP "\"}");
}

static void delete_group(void **state)
{
    (void)state;
    struct uuid id = id_of(GROUP), none = {{0}}, application = id_of(APPLICATION);

    CALL(delete_group, &id, &application, "name");
    assert_int_equal(outcome, NETWORK_DONE);
    expect_request("/api.MulticastGroupService/Delete", "{\"id\": \"" GROUP "\"}");
    CALL(delete_group, &none, &application, "there");
    assert_int_equal(outcome, NETWORK_DONE);
    expect_request("/api.MulticastGroupService/List", "{\"search\": \"there\"}");
    expect_request("/api.MulticastGroupService/Delete",
                   "{\"id\": \"00000000-0000-4000-8000-000000000006\"}");
    CALL(delete_group, &none, &application, "nowhere");
    assert_int_equal(outcome, NETWORK_DONE);
    expect_request("/api.MulticastGroupService/List", "{\"search\": \"nowhere\"}");
}

/* lists */

static void list_devices(void **state)
{
    (void)state;
    const char *const tags[] = {"site", "north", "kind", "meter"};
    struct network_filter filter = {.profile_id = PROFILE, .tags = tags, .tag_count = 2};
    struct uuid application = id_of(APPLICATION);

    CALL(list_devices, &application, &filter);
    assert_int_equal(outcome, NETWORK_DONE);
    assert_int_equal(answer.eui_count, 501);
    for (size_t i = 0; i < 501; i++) {
        assert_true(euis[i] == i + 1);
    }
    expect_request("/api.DeviceService/List",
                   "{\"limit\": 500, \"offset\": 0, \"search\": \"\", \"applicationId\": "
                   "\"" APPLICATION "\", \"orderBy\": 1, \"deviceProfileId\": \"" PROFILE
                   "\", \"tagsMap\": [[\"kind\", \"meter\"], [\"site\", \"north\"]]}");
    expect_request("/api.DeviceService/List", "{\"limit\": 500, \"offset\": 500}");
}

static void list_gateways(void **state)
{
    (void)state;
    struct uuid application = id_of(APPLICATION);

    CALL(list_gateways, &application);
    assert_int_equal(outcome, NETWORK_DONE);
    assert_int_equal(answer.gateway_count, 3);
    assert_true(gateways[0].id == 0x16c001f15008 && gateways[0].is_online);
    assert_true(gateways[1].id == 2 && !gateways[1].is_online);
    assert_true(gateways[2].id == 3 && !gateways[2].is_online);
    expect_request("/api.ApplicationService/Get", "{\"id\": \"" APPLICATION "\"}");
    expect_request("/api.GatewayService/List",
                   "{\"limit\": 500, \"tenantId\": \"11111111-2222-4333-8444-555555555555\"}");
}

static void list_busy_devices(void **state)
{
    (void)state;
    struct uuid application = id_of(APPLICATION);

    CALL(list_busy_devices, &application);
    assert_int_equal(outcome, NETWORK_DONE);
    assert_int_equal(answer.eui_count, 1);
    assert_true(euis[0] == 77);
    expect_request("/api.FuotaService/ListDeployments", "{\"applicationId\": \"" APPLICATION "\"}");
    expect_request("/api.FuotaService/ListDevices",
                   "{\"fuotaDeploymentId\": \"00000000-0000-4000-8000-000000000012\"}");
}

/* events */

static struct network_event read_event(enum events_topic topic, uint8_t buffer[NETWORK_PAYLOAD_MAX])
{
    char path[300];
    uint8_t payload[2000];
    struct network_event event;
    const char *field;

    snprintf(path, sizeof(path), FOLDER "/%s.bin", events_topic_name(topic));
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t size = fread(payload, 1, sizeof(payload), file);
    fclose(file);
    assert_int_equal(events_decode(topic, payload, size, 18, buffer, &event, &field), ERR_OK);
    assert_true(event.dev_eui == 0x0102030405060708);
    expect_id(&event.application_id, APPLICATION);
    expect_id(&event.profile_id, PROFILE);
    return event;
}

static void events_of_the_stubs_are_read(void **state)
{
    (void)state;
    uint8_t buffer[NETWORK_PAYLOAD_MAX];
    struct network_event event = read_event(EVENTS_UP, buffer);

    assert_int_equal(event.kind, NETWORK_UPLINK);
    assert_true(event.f_cnt == UINT32_MAX);
    assert_int_equal(event.f_port, 201);
    assert_int_equal(event.data_size, 2);
    assert_memory_equal(event.data, "\2\0", 2);
    assert_true(event.is_relayed);
    assert_int_equal(event.gateway_count, 2);
    assert_true(event.gateways[0] == 2 && event.gateways[1] == 1);
    assert_true(event.is_gateway_time);
    assert_true(event.received_ms == INT64_C(1785405600050) - 46);
    event = read_event(EVENTS_JOIN, buffer);
    assert_int_equal(event.kind, NETWORK_JOIN);
    event = read_event(EVENTS_TXACK, buffer);
    assert_int_equal(event.kind, NETWORK_TXACK);
    expect_id(&event.item_id, "00000000-0000-4000-8000-000000000002");
    event = read_event(EVENTS_LOG, buffer);
    assert_int_equal(event.kind, NETWORK_DROPPED);
    expect_id(&event.item_id, "00000000-0000-4000-8000-000000000003");
}

/* fixture */

static void on_event(void *arg, const struct network_event *event)
{
    (void)arg, (void)event;
}

static void on_batch(void *arg)
{
    (void)arg;
}

static void on_events_state(void *arg, const char *words, bool is_session_kept)
{
    (void)arg, (void)words, (void)is_session_kept;
}

static void on_text(void *arg, const char *words)
{
    (void)arg, (void)words;
}

static void on_closed(void *arg)
{
    (void)arg;
    is_closed = true;
}

/* Why it cannot run, or NULL. */
static const char *install(void)
{
    if (system("command -v node >/dev/null && command -v npm >/dev/null") != 0) {
        return "node or npm is not installed";
    }
    if (system("mkdir -p " FOLDER " && cd " FOLDER " && if ! cmp -s " SOURCE
               "/package-lock.json package-lock.json || [ ! -e done ]; "
               "then rm -f done && cp " SOURCE "/package.json " SOURCE "/package-lock.json . && "
               "npm ci --ignore-scripts --no-audit --no-fund --fetch-retries=0 "
               "--fetch-timeout=20000 >npm.log 2>&1 && touch done; fi") != 0) {
        return "npm could not install the packages (no network?): see " FOLDER "/npm.log";
    }
    return NULL;
}

static int begin(void **state)
{
    (void)state;
    static const struct network_callbacks callbacks = {.on_event = on_event,
                                                       .on_batch = on_batch,
                                                       .on_events_state = on_events_state,
                                                       .on_calls_state = on_text,
                                                       .on_warning = on_text};
    const char *const argv[] = {"node", SOURCE "/server.js", FOLDER, NULL};
    char line[100];
    int fd;

    server = child_start(argv, NULL, &fd);
    requests = fdopen(fd, "r");
    if (fgets(line, sizeof(line), requests) == NULL || atoi(line) == 0) {
        return -1;
    }
    test_loop_open(&t);
    struct chirpstack_options options = {
        .mqtt = {.host = "127.0.0.1",
                 .port = child_free_port(), /* nobody */
                 .client_id = "interop",
                 .keep_alive_s = 30,
                 .receive_max = 10},
        .grpc = {.transport = {.host = "127.0.0.1", .port = (uint16_t)atoi(line)},
                 .token = "token",
                 .deadline_ms = 10000,
                 .in_flight_max = 10,
                 .queue_max = 100,
                 .message_size_max = 1 << 20},
        .event_topic = "application/{application_id}/device/{dev_eui}/event/{event}",
        .leap_s = 18,
    };
    return chirpstack_new(&t.loop, &options, &callbacks, NULL, &driver) == ERR_OK ? 0 : -1;
}

static int end(void **state)
{
    (void)state;

    driver.close(driver.self, on_closed, NULL);
    WAIT_UNTIL(&t, is_closed);
    fclose(requests);
    child_stop(server, SIGTERM);
    return test_loop_close(&t) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(enqueue),
        cmocka_unit_test(read_queue),
        cmocka_unit_test(read_device),
        cmocka_unit_test(read_profile),
        cmocka_unit_test(read_root_key),
        cmocka_unit_test(random_address),
        cmocka_unit_test(create_group),
        cmocka_unit_test(set_gateways),
        cmocka_unit_test(enqueue_group),
        cmocka_unit_test(read_counter),
        cmocka_unit_test(delete_group),
        cmocka_unit_test(list_devices),
        cmocka_unit_test(list_gateways),
        cmocka_unit_test(list_busy_devices),
        cmocka_unit_test(events_of_the_stubs_are_read),
    };
    const char *reason = install();

    if (reason != NULL) {
        printf("skipped: %s\n", reason);
        return SKIPPED;
    }
    return cmocka_run_group_tests_name("interop", tests, begin, end);
}
