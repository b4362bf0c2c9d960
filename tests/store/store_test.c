/* store_test.c - the store with a real PostgreSQL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "lorawan/keys.h"
#include "store/database.h"
#include "store/fake_deployment.h"
#include "store/store.h"

#define APPLICATION "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
#define NO_ID       "99999999-9999-4999-8999-999999999999"

static struct store *store;
static bool is_closed;
static unsigned done_count;
static enum err done_err;
static cJSON *json;

static void on_state(void *arg, const char *text)
{
    (void)arg, (void)text;
}

static void on_closed(void *arg)
{
    (void)arg;
    is_closed = true;
}

static void on_done(void *arg, enum err err, const char *text)
{
    (void)arg;
    done_count++;
    done_err = err;
    assert_true(err == ERR_OK || (text != NULL && text[0] != '\0'));
}

static void on_json(void *arg, enum err err, const char *text, const char *answer)
{
    on_done(arg, err, text);
    cJSON_Delete(json);
    json = err == ERR_OK ? cJSON_Parse(answer) : NULL;
    assert_true(err == ERR_OK ? json != NULL : answer == NULL);
}

/* Calls, waits, and gives the error. */
#define ASK(call)                                                                                  \
    (done_count = 0, (call), (void)0);                                                             \
    WAIT_UNTIL(&t, done_count == 1)
#define EXPECT(expected, call)                                                                     \
    do {                                                                                           \
        ASK(call);                                                                                 \
        assert_int_equal(done_err, expected);                                                      \
    } while (0)

static int set_up(void **state)
{
    (void)state;
    test_loop_open(&t);
    is_closed = false;
    store = store_new(&t.loop, database_new_migrated(), on_state, NULL);
    WAIT_UNTIL(&t, store_is_connected(store));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cJSON_Delete(json);
    json = NULL;
    store_close(store, on_closed, NULL);
    WAIT_UNTIL(&t, is_closed);
    return test_loop_close(&t) ? 0 : -1;
}

static const cJSON *get(const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(json, name);
}

static const char *text_of(const char *name)
{
    const char *text = cJSON_GetStringValue(get(name));

    return text != NULL ? text : "";
}

static void expect_json(const char *expected)
{
    cJSON *other = cJSON_Parse(expected);

    assert_non_null(other);
    if (!cJSON_Compare(json, other, true)) {
        char *text = cJSON_PrintUnformatted(json);
        fail_msg("%s\nis not\n%s", text, expected);
    }
    cJSON_Delete(other);
}

static struct uuid id_of(const char *text)
{
    struct uuid id;

    assert_int_equal(uuid_parse(text, &id), ERR_OK);
    return id;
}

/* Ids of objects, by a number. */
static const char *id_text(unsigned number)
{
    static char texts[8][UUID_TEXT_SIZE];
    static unsigned next;
    char *text = texts[next++ % 8];

    snprintf(text, UUID_TEXT_SIZE, "00000000-0000-4000-8000-%012u", number);
    return text;
}

#define IMAGE 1u

static void add_image(unsigned number, const char *version)
{
    static const uint8_t data[] = {0, 1, 2, 0xFF, '\'', '\\'};
    uint8_t sha256[32];
    struct store_image image = {
        .id = id_of(id_text(number)),
        .name = "meter \"A\"",
        .version = version,
        .hardware = "",
        .base_version = "",
        .sha256 = sha256,
        .data = data,
        .size = sizeof(data),
    };

    memset(sha256, 0xAB, sizeof(sha256));
    ASK(store_image_add(store, &image, on_json, NULL));
}

static void add_draft(unsigned number, const uint64_t *dev_euis, size_t count)
{
    struct store_draft draft = {
        .id = id_of(id_text(number)),
        .name = "d'1",
        .image_id = id_text(IMAGE),
        .application_id = APPLICATION,
        .wish_json = "{\"quorum\": 80}",
        .dev_euis = dev_euis,
        .device_count = count,
    };

    ASK(store_deployment_add(store, &draft, on_json, NULL));
}

static const uint64_t some_euis[] = {0x0102030405060708, 0xFFFFFFFFFFFFFFFF, 3};

/* An image and a draft with three devices. */
static void add_both(unsigned number)
{
    add_image(IMAGE, "1.0");
    assert_int_equal(done_err, ERR_OK);
    add_draft(number, some_euis, 3);
    assert_int_equal(done_err, ERR_OK);
}

static struct deployment_params some_params(void)
{
    struct deployment_params params = {
        .device_count = 3,
        .fragment_count = 1,
        .fragment_size = 11,
        .padding_size = 5,
        .coded_count = 255,
        .frag_index = 3,
        .block_ack_delay = 1,
        .descriptor = {0, 0xFF, 0x10, 0x01},
        .mc_group_id = 3,
        .mc_addr = UINT32_MAX,
        .region = REGION_EU868,
        .data_rate = 3,
        .frequency_hz = 869525000,
        .time_out = 15,
        .port_multicast_setup = 200,
        .port_fragmentation = 223,
        .port_clock_sync = 1,
        .frame_airtime_ms = 200,
        .margin_ms = 1000,
        .scheduler_interval_ms = 600000,
        .min_gap_ms = 1,
        .duty_cycle = 1.0 / 3.0,
        .gateways_max = DEPLOYMENT_GATEWAYS_MAX,
        .gateway_count = DEPLOYMENT_GATEWAYS_MAX,
        .attempts_max = DEPLOYMENT_ATTEMPTS_MAX,
        .quorum_percent = 100,
        .rounds_max = 250,
        .sessions_max = 100,
        .repairs_max = 7,
        .frames_max = UINT32_MAX,
        .time_limit_ms = 86400000,
        .setup_limit_ms = INT64_C(30) * 86400000,
        .combine_setup = true,
        .own_evidence = true,
        .leap_s = -18,
    };
    const char *field = "";

    for (unsigned g = 0; g < DEPLOYMENT_GATEWAYS_MAX; g++) {
        params.gateways[g] = UINT64_MAX - g;
    }
    if (deployment_params_check(&params, &field) != ERR_OK) {
        fail_msg("params: %s", field);
    }
    return params;
}

/* Of the slot that has APPLICATION (its fourth octet), while nobody has owned it. */
static const struct store_fence fence = {.slot = 0xAA % STORE_SLOT_COUNT, .epoch = 0};

static void start(unsigned number, unsigned request)
{
    const struct device devices[3] = {
        {.uplink_interval_s = UINT32_MAX, .flags = DEVICE_HAS_VERSION},
        {.uplink_interval_s = 0},
        {.uplink_interval_s = 60},
    };
    const uint8_t versions[3] = {LORAWAN_1_1, LORAWAN_1_0, LORAWAN_1_1};
    const uint8_t sealed[] = {0, 1, 0xFF};
    struct store_start s = {
        .fence = fence,
        .deployment_id = id_of(id_text(number)),
        .request_id = id_of(id_text(request)),
        .params = some_params(),
        .devices = devices,
        .lorawan_versions = versions,
        .mc_key_id = "key'1",
        .mc_key_sealed = sealed,
        .mc_key_sealed_size = sizeof(sealed),
    };

    ASK(store_start(store, &s, on_done, NULL));
}

static void add_request(unsigned number, const char *kind, unsigned deployment)
{
    struct uuid id = id_of(id_text(number));

    ASK(store_request_add(store, &id, kind, id_text(deployment), on_json, NULL));
}

static void commit(struct store_turn *turn)
{
    EXPECT(ERR_OK, store_turn_commit(store, turn, on_done, NULL));
}

static void finish(unsigned number, const char *state)
{
    struct store_turn *turn = store_turn_new();
    struct uuid id = id_of(id_text(number));

    store_turn_finish(turn, &id, state);
    commit(turn);
}

static const char *deployment_state(unsigned number)
{
    EXPECT(ERR_OK, store_deployment_get(store, id_text(number), on_json, NULL));
    return text_of("state");
}

static const char *request_state(unsigned number)
{
    EXPECT(ERR_OK, store_request_get(store, id_text(number), on_json, NULL));
    return text_of("state");
}

/* images */

static void images_are_kept_listed_and_unique(void **state)
{
    (void)state;

    EXPECT(ERR_OK, store_image_list(store, on_json, NULL));
    expect_json("{\"images\": []}");
    add_image(IMAGE, "1.0");
    assert_int_equal(done_err, ERR_OK);
    assert_string_equal(text_of("name"), "meter \"A\"");
    assert_string_equal(text_of("sha256"),
                        "abababababababababababababababababababababababababababababababab");
    assert_int_equal(get("size")->valueint, 6);
    assert_int_equal(strlen(text_of("created_at")), strlen("2026-07-30T10:00:00.123Z"));
    add_image(2, "1.0");
    assert_int_equal(done_err, ERR_EXISTS);
    add_image(2, "1.1");
    assert_int_equal(done_err, ERR_OK);
    EXPECT(ERR_OK, store_image_list(store, on_json, NULL));
    assert_int_equal(cJSON_GetArraySize(get("images")), 2);
    EXPECT(ERR_OK, store_image_get(store, id_text(2), on_json, NULL));
    assert_string_equal(text_of("version"), "1.1");
    EXPECT(ERR_MISSING, store_image_get(store, NO_ID, on_json, NULL));
}

static void an_image_is_deleted_unless_a_deployment_uses_it(void **state)
{
    (void)state;

    add_both(10);
    EXPECT(ERR_WRONG_STATE, store_image_delete(store, id_text(IMAGE), on_done, NULL));
    EXPECT(ERR_MISSING, store_image_delete(store, NO_ID, on_done, NULL));
    EXPECT(ERR_OK, store_deployment_delete(store, id_text(10), on_done, NULL));
    EXPECT(ERR_OK, store_image_delete(store, id_text(IMAGE), on_done, NULL));
    EXPECT(ERR_MISSING, store_image_get(store, id_text(IMAGE), on_json, NULL));
}

/* drafts */

static void a_draft_answers_as_it_is_read_later(void **state)
{
    (void)state;

    add_both(10);
    char *added = cJSON_PrintUnformatted(json);
    EXPECT(ERR_OK, store_deployment_get(store, id_text(10), on_json, NULL));
    expect_json(added);
    free(added);
    assert_string_equal(text_of("state"), "draft");
    assert_int_equal(get("device_count")->valueint, 3);
    EXPECT(ERR_OK, store_deployment_list(store, on_json, NULL));
    assert_int_equal(cJSON_GetArraySize(get("deployments")), 1);
    EXPECT(ERR_OK, store_counts(store, on_json, NULL));
    expect_json("{\"deployments\": {\"draft\": 1}, \"seal_keys\": {}}");
    EXPECT(ERR_MISSING, store_deployment_get(store, NO_ID, on_json, NULL));
}

static void a_draft_needs_its_image_and_names_each_device_once(void **state)
{
    (void)state;
    const uint64_t twice[] = {1, 2, 1};

    add_draft(10, some_euis, 3);
    assert_int_equal(done_err, ERR_MISSING);
    add_image(IMAGE, "1.0");
    add_draft(10, twice, 3);
    assert_int_equal(done_err, ERR_EXISTS);
    EXPECT(ERR_OK, store_counts(store, on_json, NULL));
    expect_json("{\"deployments\": {}, \"seal_keys\": {}}");
}

static void a_draft_says_what_the_preflight_must_know(void **state)
{
    (void)state;
    struct store_turn *turn = store_turn_new();
    struct uuid id = id_of(id_text(10));

    add_both(10);
    add_draft(11, some_euis + 1, 1);
    store_turn_version_known(turn, some_euis[0], 1);
    store_turn_version_known(turn, some_euis[0], 2);
    commit(turn);
    start(11, 99); /* its params say three devices, which nobody checks here */
    assert_int_equal(done_err, ERR_OK);
    EXPECT(ERR_OK, store_read_draft(store, &id, on_json, NULL));
    char expected[700];
    snprintf(expected, sizeof(expected),
             "{\"start_ms\": null, \"wish\": {\"quorum\": 80}, \"application_id\": \"" APPLICATION
             "\", \"image_size\": 6, \"name\": \"d'1\", \"devices\": ["
             "{\"dev_eui\": \"0102030405060708\", \"fragmentation_version\": 2, \"busy_in\": null},"
             "{\"dev_eui\": \"ffffffffffffffff\", \"fragmentation_version\": null, \"busy_in\": "
             "\"%s\"},"
             "{\"dev_eui\": \"0000000000000003\", \"fragmentation_version\": null, \"busy_in\": "
             "null}]}",
             id_text(11));
    expect_json(expected);
    id = id_of(id_text(11));
    EXPECT(ERR_WRONG_STATE, store_read_draft(store, &id, on_json, NULL));
    id = id_of(NO_ID);
    EXPECT(ERR_WRONG_STATE, store_read_draft(store, &id, on_json, NULL));
}

static void devices_come_in_pages_and_by_stage(void **state)
{
    (void)state;

    add_both(10);
    database_run("UPDATE fuotad.deployment_device SET stage = 'failed', reason = 'aborted', "
                 "last_uplink_ms = 1785405600123 WHERE device_index = 1");
    EXPECT(ERR_OK, store_deployment_devices(store, id_text(10), NULL, 2, 1, on_json, NULL));
    assert_int_equal(get("total")->valueint, 3);
    assert_int_equal(cJSON_GetArraySize(get("devices")), 2);
    const cJSON *first = cJSON_GetArrayItem(get("devices"), 0);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(first, "dev_eui")),
                        "ffffffffffffffff");
    assert_string_equal(
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(first, "last_uplink_at")),
        "2026-07-30T10:00:00.123Z");
    EXPECT(ERR_OK, store_deployment_devices(store, id_text(10), "failed", 10, 0, on_json, NULL));
    assert_int_equal(get("total")->valueint, 1);
    assert_int_equal(cJSON_GetArraySize(get("devices")), 1);
    EXPECT(ERR_OK, store_deployment_devices(store, id_text(10), NULL, 10, 9, on_json, NULL));
    assert_int_equal(cJSON_GetArraySize(get("devices")), 0);
    EXPECT(ERR_MISSING, store_deployment_devices(store, NO_ID, NULL, 10, 0, on_json, NULL));
}

/* starting */

static void a_start_makes_a_draft_running_once(void **state)
{
    (void)state;

    add_both(10);
    add_request(20, "start", 10);
    assert_int_equal(done_err, ERR_OK);
    add_request(21, "start", 10);
    assert_int_equal(done_err, ERR_OK);
    start(10, 20);
    assert_int_equal(done_err, ERR_OK);
    assert_string_equal(deployment_state(10), "running");
    assert_string_equal(request_state(20), "done");
    char before[300];
    snprintf(before, sizeof(before), "%s",
             database_ask("SELECT started_at::text || xmin FROM fuotad.deployment"));
    start(10, 21);
    assert_int_equal(done_err, ERR_WRONG_STATE);
    assert_string_equal(request_state(21), "open");
    assert_string_equal(database_ask("SELECT started_at::text || xmin FROM fuotad.deployment"),
                        before);
}

static void a_start_of_what_is_no_draft_changes_nothing(void **state)
{
    (void)state;

    start(10, 20);
    assert_int_equal(done_err, ERR_WRONG_STATE);
    add_both(10);
    add_request(20, "start", 10);
    finish(10, "aborted");
    start(10, 20);
    assert_int_equal(done_err, ERR_WRONG_STATE);
    assert_string_equal(request_state(20), "open");
    assert_string_equal(database_ask("SELECT count(*) FROM fuotad.transmission"), "0");
    assert_string_equal(
        database_ask("SELECT string_agg(lorawan_version::text, '') FROM fuotad.deployment_device"),
        "000");
}

static void a_start_that_failed_keeps_its_problems(void **state)
{
    (void)state;
    struct uuid id = id_of(id_text(10)), request = id_of(id_text(20));

    add_both(10);
    add_request(20, "start", 10);
    EXPECT(ERR_OK, store_start_failed(store, &fence, &id, &request, "1 problem",
                                      "[{\"field\": \"x\"}]", on_done, NULL));
    assert_string_equal(deployment_state(10), "draft");
    assert_int_equal(cJSON_GetArraySize(get("problems")), 1);
    assert_string_equal(request_state(20), "failed");
    assert_string_equal(text_of("detail"), "1 problem");
    assert_int_equal(cJSON_GetArraySize(get("problems")), 1);
    request = id_of(NO_ID);
    EXPECT(ERR_MISSING, store_start_failed(store, &fence, &id, &request, "", "[]", on_done, NULL));
}

static void a_second_start_that_fails_leaves_the_first_running(void **state)
{
    (void)state;
    struct uuid id = id_of(id_text(10)), request = id_of(id_text(21));

    add_both(10);
    add_request(20, "start", 10);
    add_request(21, "start", 10);
    start(10, 20);
    EXPECT(ERR_OK,
           store_start_failed(store, &fence, &id, &request, "not a draft", "[]", on_done, NULL));
    assert_string_equal(deployment_state(10), "running");
    assert_string_equal(request_state(21), "failed");
}

/* loading */

static struct stored_deployment loaded;

static void on_load(void *arg, enum err err, const char *text, struct stored_deployment *stored)
{
    on_done(arg, err, text);
    assert_int_equal(stored != NULL, err == ERR_OK);
    if (stored != NULL) {
        loaded = *stored; /* moved away */
        memset(stored, 0, sizeof(*stored));
    }
}

static void load(unsigned number)
{
    struct uuid id = id_of(id_text(number));

    ASK(store_load(store, &id, on_load, NULL));
}

#define SAME(a, b, member) assert_memory_equal(&(a)->member, &(b)->member, sizeof((a)->member))

static void expect_same_params(const struct deployment_params *a, const struct deployment_params *b)
{
    SAME(a, b, device_count);
    SAME(a, b, fragment_count);
    SAME(a, b, fragment_size);
    SAME(a, b, padding_size);
    SAME(a, b, coded_count);
    SAME(a, b, frag_index);
    SAME(a, b, block_ack_delay);
    SAME(a, b, descriptor);
    SAME(a, b, mc_group_id);
    SAME(a, b, mc_addr);
    SAME(a, b, region);
    SAME(a, b, data_rate);
    SAME(a, b, frequency_hz);
    SAME(a, b, time_out);
    SAME(a, b, port_multicast_setup);
    SAME(a, b, port_fragmentation);
    SAME(a, b, port_clock_sync);
    SAME(a, b, frame_airtime_ms);
    SAME(a, b, margin_ms);
    SAME(a, b, scheduler_interval_ms);
    SAME(a, b, min_gap_ms);
    SAME(a, b, duty_cycle);
    SAME(a, b, gateways_max);
    SAME(a, b, gateway_count);
    SAME(a, b, gateways);
    SAME(a, b, attempts_max);
    SAME(a, b, quorum_percent);
    SAME(a, b, setup_limit_ms);
    SAME(a, b, rounds_max);
    SAME(a, b, sessions_max);
    SAME(a, b, repairs_max);
    SAME(a, b, frames_max);
    SAME(a, b, time_limit_ms);
    SAME(a, b, combine_setup);
    SAME(a, b, choose_rows);
    SAME(a, b, own_evidence);
    SAME(a, b, leap_s);
}

static void expect_same_transmission(const struct transmission *a, const struct transmission *b)
{
    SAME(a, b, state);
    SAME(a, b, group_id);
    SAME(a, b, has_group);
    SAME(a, b, has_gateways);
    SAME(a, b, is_aborted);
    SAME(a, b, has_status_request);
    SAME(a, b, is_unicast_status);
    SAME(a, b, started_ms);
    SAME(a, b, session_time_ms);
    SAME(a, b, deadline_ms);
    SAME(a, b, next_emission_ms);
    SAME(a, b, f_cnt);
    SAME(a, b, frame_count);
    SAME(a, b, next_number);
    SAME(a, b, last_number);
    SAME(a, b, asked_number);
    SAME(a, b, status_until_ms);
    SAME(a, b, round);
    SAME(a, b, session_number);
    SAME(a, b, repair_number);
    SAME(a, b, repeat_count);
    SAME(a, b, repeat_index);
    SAME(a, b, refused_count);
    SAME(a, b, refused_f_cnt);
    SAME(a, b, made_up_count);
    SAME(a, b, refusal_score);
    SAME(a, b, sent_in_row);
    SAME(a, b, slowness);
    SAME(a, b, is_paused);
    SAME(a, b, paused_ms);
    SAME(a, b, setup_started_ms);
    SAME(a, b, last_session_ms);
    SAME(a, b, time_out);
    SAME(a, b, failure_count);
    SAME(a, b, frame_kind);
    SAME(a, b, frame_call);
    SAME(a, b, frame_emission_ms);
    SAME(a, b, clean_index);
    SAME(a, b, is_taken_over);
    SAME(a, b, group_number);
    SAME(a, b, resume_state);
    assert_memory_equal(&a->old_group_id, &b->old_group_id, sizeof(a->old_group_id));
    SAME(a, b, gateway_count);
    for (unsigned g = 0; g < DEPLOYMENT_GATEWAYS_MAX; g++) {
        SAME(a, b, gateways[g].id);
        SAME(a, b, gateways[g].is_chosen);
    }
}

/* Every octet of a device but its place in the heap and what pads it at its end. */
static void expect_same_device(const struct device *a, const struct device *b)
{
    struct device x = *a, y = *b;

    x.heap_index = y.heap_index = 0;
    assert_memory_equal(&x, &y, offsetof(struct device, resync_count) + 1);
}

static void what_started_is_loaded_as_new(void **state)
{
    (void)state;
    struct deployment_params params = some_params();
    const struct transmission nothing = {
        .next_number = 1, .last_number = params.fragment_count, .repeat_count = 1};

    add_both(10);
    start(10, 20);
    load(10);
    assert_int_equal(done_err, ERR_OK);
    assert_true(loaded.is_new);
    assert_string_equal(loaded.name, "d'1");
    assert_string_equal(loaded.mc_key_id, "key'1");
    assert_int_equal(loaded.mc_key_sealed_size, 3);
    assert_memory_equal(loaded.mc_key_sealed, "\0\1\xFF", 3);
    assert_int_equal(loaded.image_size, 6);
    assert_memory_equal(loaded.image, "\0\1\2\xFF'\\", 6);
    struct uuid id = id_of(id_text(10));
    assert_memory_equal(&loaded.id, &id, sizeof(id));
    id = id_of(APPLICATION);
    assert_memory_equal(&loaded.application_id, &id, sizeof(id));
    expect_same_params(&loaded.params, &params);
    expect_same_transmission(&loaded.transmission, &nothing);
    for (size_t i = 0; i < 3; i++) {
        assert_true(loaded.devices[i].dev_eui == some_euis[i]);
    }
    assert_memory_equal(loaded.lorawan_versions, "\1\0\1", 3);
    assert_true(loaded.devices[0].uplink_interval_s == UINT32_MAX);
    assert_int_equal(loaded.devices[0].flags, DEVICE_HAS_VERSION);
    assert_true(loaded.devices[1].deadline_ms == DEPLOYMENT_NEVER);
    assert_int_equal(loaded.devices[1].stage, DEVICE_VERSION);
    stored_deployment_release(&loaded);
    stored_deployment_release(NULL);
}

static void fill_device(struct device *dev, uint8_t octet, uint64_t dev_eui)
{
    memset(dev, octet, sizeof(*dev));
    dev->dev_eui = dev_eui;
    dev->stage = octet == 0 ? DEVICE_VERSION : DEVICE_FAILED;
    dev->reason = octet == 0 ? REASON_NONE : REASON_COUNT - 1;
}

static void fill_transmission(struct transmission *tr, bool is_high)
{
    memset(tr, is_high ? 0xFF : 0, sizeof(*tr));
    tr->state = is_high ? TRANSMISSION_DONE : TRANSMISSION_CREATE_GROUP;
    tr->has_group = tr->has_gateways = tr->is_aborted = is_high;
    tr->is_taken_over = is_high;
    tr->resume_state = is_high ? TRANSMISSION_DONE : TRANSMISSION_CREATE_GROUP;
    tr->has_status_request = tr->is_unicast_status = tr->is_paused = is_high;
    tr->started_ms = is_high ? INT64_MAX : INT64_MIN;
    tr->session_time_ms = is_high ? INT64_MAX : INT64_MIN;
    tr->frame_kind = is_high ? FRAME_STATUS : FRAME_FRAGMENT;
    tr->frame_call = is_high ? FRAME_CALL_UNKNOWN : FRAME_CALL_NONE;
    tr->gateway_count = is_high ? DEPLOYMENT_GATEWAYS_MAX : 0;
    for (unsigned g = 0; g < DEPLOYMENT_GATEWAYS_MAX; g++) {
        tr->gateways[g].id = is_high ? UINT64_MAX - g : 0;
        tr->gateways[g].is_chosen = is_high && g % 2 == 0;
    }
}

static void everything_that_is_saved_is_loaded(void **state)
{
    (void)state;
    struct uuid id = id_of(id_text(10));
    struct device devices[3];

    add_both(10);
    start(10, 20);
    for (unsigned is_high = 0; is_high < 2; is_high++) {
        struct deployment d = {
            .is_transmission_changed = true, .devices = devices, .change_count = 3};
        struct store_turn *turn = store_turn_new();
        fill_transmission(&d.transmission, is_high == 1);
        fill_device(&devices[0], 0, some_euis[0]);
        fill_device(&devices[1], is_high ? 0xFF : 0x7F, some_euis[1]);
        fill_device(&devices[2], 0x55, some_euis[2]);
        assert_true(store_turn_is_empty(turn));
        store_turn_save(turn, &id, &d);
        assert_false(store_turn_is_empty(turn));
        commit(turn);
        load(10);
        assert_int_equal(done_err, ERR_OK);
        assert_false(loaded.is_new);
        expect_same_transmission(&loaded.transmission, &d.transmission);
        for (size_t i = 0; i < 3; i++) {
            expect_same_device(&loaded.devices[i], &devices[i]);
        }
        stored_deployment_release(&loaded);
    }
}

static void only_what_changed_is_saved(void **state)
{
    (void)state;
    struct uuid id = id_of(id_text(10));
    struct device devices[3];
    struct deployment d = {.devices = devices, .change_count = 1};
    struct store_turn *turn = store_turn_new();

    add_both(10);
    start(10, 20);
    for (size_t i = 0; i < 3; i++) {
        fill_device(&devices[i], 0x11, some_euis[i]);
    }
    store_turn_save(turn, &id, &d);
    commit(turn);
    load(10);
    expect_same_device(&loaded.devices[0], &devices[0]);
    assert_int_equal(loaded.devices[1].counted_at, 0);
    assert_true(loaded.is_new);
    stored_deployment_release(&loaded);
    turn = store_turn_new();
    store_turn_save(turn, &id, &d); /* nothing is left to take */
    assert_true(store_turn_is_empty(turn));
    store_turn_free(turn);
}

static void what_is_saved_last_in_a_turn_stays(void **state)
{
    (void)state;
    struct uuid ids[2] = {id_of(id_text(10)), id_of(id_text(11))};
    struct device devices[3] = {{.dev_eui = some_euis[0]}};
    struct store_turn *turn = store_turn_new();

    add_both(10);
    add_draft(11, some_euis, 3);
    start(10, 20);
    database_run("UPDATE fuotad.deployment_device SET updated_at = '2020-01-01'");
    for (uint32_t i = 1; i <= 40; i++) {
        struct deployment d = {
            .is_transmission_changed = true, .devices = devices, .change_count = 3};
        for (size_t n = 0; n < 3; n++) {
            devices[n].counted_at = (uint16_t)i;
        }
        d.transmission.frame_count = i;
        store_turn_save(turn, &ids[i % 2], &d);
    }
    commit(turn);
    assert_string_equal(database_ask("SELECT string_agg(counted_at::text, ' ' ORDER BY "
                                     "deployment_id, device_index) FROM fuotad.deployment_device"),
                        "40 40 40 39 39 39");
    assert_string_equal(database_ask("SELECT frame_count FROM fuotad.transmission"), "40");
    assert_string_equal(database_ask("SELECT count(*) FROM fuotad.deployment_device WHERE "
                                     "updated_at > '2020-01-02'"),
                        "6");
}

static void many_devices_and_notes_are_saved_in_one_turn(void **state)
{
    (void)state;
    enum { COUNT = 1300 };
    struct uuid id = id_of(id_text(10));
    uint64_t *euis = calloc(COUNT, sizeof(*euis));
    struct device *devices = calloc(COUNT, sizeof(*devices));
    struct deployment_note *notes = calloc(COUNT, sizeof(*notes));
    struct deployment d = {
        .devices = devices, .change_count = COUNT, .notes = notes, .note_count = COUNT};
    struct store_turn *turn = store_turn_new();

    for (uint32_t i = 0; i < COUNT; i++) {
        euis[i] = i + 1;
        devices[i] = (struct device){.dev_eui = i + 1, .counted_at = (uint16_t)i};
        notes[i] = (struct deployment_note){
            .at_ms = 1785405600000 + i, .value = i, .device_index = i, .kind = NOTE_STATUS};
    }
    add_image(IMAGE, "1.0");
    add_draft(10, euis, COUNT);
    store_turn_save(turn, &id, &d);
    commit(turn);
    assert_string_equal(database_ask("SELECT count(*) FROM fuotad.deployment_device WHERE "
                                     "counted_at = device_index"),
                        "1300");
    assert_string_equal(database_ask("SELECT count(*) FROM fuotad.event e JOIN "
                                     "fuotad.deployment_device v USING (deployment_id, dev_eui) "
                                     "WHERE e.value = v.device_index"),
                        "1300");
    free(euis);
    free(devices);
    free(notes);
}

static void every_note_becomes_a_line_of_the_timeline(void **state)
{
    (void)state;
    struct uuid id = id_of(id_text(10));
    struct deployment_note notes[NOTE_KIND_COUNT + 1];
    struct device device = {.dev_eui = some_euis[0]};
    struct deployment d = {.devices = &device, .notes = notes, .note_count = NOTE_KIND_COUNT + 1};
    struct store_turn *turn = store_turn_new();

    add_both(10);
    for (unsigned k = 0; k < NOTE_KIND_COUNT; k++) {
        notes[k] = (struct deployment_note){
            .at_ms = 1785405600000 + k, .value = 1, .detail = 2, .kind = (enum note_kind)k};
    }
    notes[NOTE_KIND_COUNT] = (struct deployment_note){.at_ms = 1,
                                                      .value = INT64_MAX,
                                                      .detail = UINT32_MAX,
                                                      .device_index = NOTE_NO_DEVICE,
                                                      .kind = NOTE_COUNTER_JUMP};
    store_turn_save(turn, &id, &d);
    commit(turn);
    EXPECT(ERR_OK, store_device_timeline(store, "0102030405060708", on_json, NULL));
    assert_int_equal(cJSON_GetArraySize(get("events")), NOTE_KIND_COUNT);
    assert_int_equal(cJSON_GetArraySize(get("deployments")), 1);
    for (int k = 0; k < NOTE_KIND_COUNT; k++) {
        const cJSON *event = cJSON_GetArrayItem(get("events"), k);
        assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(event, "kind")),
                            note_kind_name((enum note_kind)k));
        assert_true(strlen(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(event, "text"))) >
                    5);
    }
    assert_string_equal(database_ask("SELECT value || ' ' || detail FROM fuotad.event WHERE "
                                     "dev_eui IS NULL"),
                        "9223372036854775807 4294967295");
    EXPECT(ERR_MISSING, store_device_timeline(store, "00000000000000aa", on_json, NULL));
}

static void a_timeline_goes_with_its_deployment(void **state)
{
    (void)state;
    struct uuid ids[2] = {id_of(id_text(10)), id_of(id_text(11))};
    struct deployment_note notes[2] = {{.kind = NOTE_JOIN},
                                       {.device_index = NOTE_NO_DEVICE, .kind = NOTE_SESSION_FULL}};
    struct device device = {.dev_eui = some_euis[0]};
    struct store_turn *turn = store_turn_new();

    add_both(10);
    add_draft(11, some_euis, 3);
    for (size_t i = 0; i < 2; i++) {
        struct deployment d = {.devices = &device, .notes = notes, .note_count = 2};
        store_turn_save_notes(turn, &ids[i], &d);
    }
    commit(turn);
    assert_string_equal(database_ask("SELECT count(*) FROM fuotad.event"), "4");
    EXPECT(ERR_OK, store_deployment_delete(store, id_text(10), on_done, NULL));
    assert_string_equal(database_ask("SELECT string_agg(DISTINCT deployment_id::text, ' ') || "
                                     "' ' || count(*) FROM fuotad.event"),
                        "00000000-0000-4000-8000-000000000011 2");
}

static void a_frame_is_kept_once_with_its_latest_time(void **state)
{
    (void)state;
    struct uuid id = id_of(id_text(10));
    struct deployment d = {.transmission = {.frame_emission_ms = 1000}};
    struct deployment_action action = {
        .frame_kind = FRAME_FRAGMENT, .number = 16383, .f_cnt = UINT32_MAX};
    struct store_turn *turn = store_turn_new();

    add_both(10);
    store_turn_frame(turn, &id, &d, &action);
    d.transmission.frame_emission_ms = 2000;
    store_turn_frame(turn, &id, &d, &action);
    action.number = 0;
    action.frame_kind = FRAME_STATUS;
    store_turn_frame(turn, &id, &d, &action);
    commit(turn);
    assert_string_equal(database_ask("SELECT string_agg(concat_ws(' ', f_cnt, kind, number, "
                                     "planned_ms), ', ' ORDER BY number) FROM fuotad.frame"),
                        "4294967295 1 0 2000, 4294967295 0 16383 2000");
}

static void a_turn_that_fails_changes_nothing(void **state)
{
    (void)state;
    struct uuid id = id_of(id_text(10)), nobody = id_of(NO_ID);
    struct deployment d = {.is_transmission_changed = false};
    struct deployment_action action = {.f_cnt = 1};
    struct store_turn *turn = store_turn_new();

    add_both(10);
    store_turn_finish(turn, &id, "completed");
    store_turn_frame(turn, &nobody, &d, &action); /* no such deployment */
    EXPECT(ERR_REFUSED, store_turn_commit(store, turn, on_done, NULL));
    assert_string_equal(deployment_state(10), "draft");
    store_turn_free(store_turn_new());
}

static const char *seal(void)
{
    return database_ask("SELECT mc_key_id || ' ' || mc_key_sealed::text FROM fuotad.transmission");
}

static void reseal_as(const struct store_fence *owner, enum err expected, const char *old_key_id,
                      const char *key_id)
{
    struct uuid id = id_of(id_text(10));
    const uint8_t sealed[] = {0, 0x7F, 0xFE};

    EXPECT(expected, store_reseal(store, owner, &id, old_key_id, key_id, sealed, sizeof(sealed),
                                  on_done, NULL));
}

static void reseal(enum err expected, const char *old_key_id, const char *key_id)
{
    reseal_as(&fence, expected, old_key_id, key_id);
}

static void a_key_is_sealed_anew_while_its_deployment_runs(void **state)
{
    (void)state;

    add_both(10);
    reseal(ERR_WRONG_STATE, "key'1", "new"); /* a draft */
    start(10, 20);
    reseal(ERR_WRONG_STATE, "key", "new"); /* sealed with another one */
    const struct store_fence stranger = {.slot = fence.slot, .epoch = fence.epoch + 1};
    reseal_as(&stranger, ERR_WRONG_STATE, "key'1", "new");
    assert_string_equal(seal(), "key'1 \\x0001ff");
    reseal(ERR_OK, "key'1", "n'2");
    assert_string_equal(seal(), "n'2 \\x007ffe");
    EXPECT(ERR_OK, store_counts(store, on_json, NULL));
    expect_json("{\"deployments\": {\"running\": 1}, \"seal_keys\": {\"n'2\": 1}}");
    load(10);
    assert_string_equal(loaded.mc_key_id, "n'2");
    stored_deployment_release(&loaded);
    database_run("UPDATE fuotad.deployment SET state = 'failed'");
    reseal(ERR_WRONG_STATE, "n'2", "new"); /* over */
}

static void what_is_over_keeps_no_key(void **state)
{
    (void)state;
    struct uuid id = id_of(id_text(10));

    add_both(10);
    start(10, 20);
    finish(10, "completed");
    assert_string_equal(seal(), " \\x");
    EXPECT(ERR_OK, store_counts(store, on_json, NULL));
    expect_json("{\"deployments\": {\"completed\": 1}, \"seal_keys\": {}}");
    database_run("UPDATE fuotad.deployment SET state = 'running'");
    database_run("UPDATE fuotad.transmission SET mc_key_id = 'x', mc_key_sealed = '\\x01'");
    struct store_turn *turn = store_turn_new();
    store_turn_abort(turn, &id);
    commit(turn);
    assert_string_equal(deployment_state(10), "aborted");
    assert_string_equal(seal(), " \\x");
}

static void only_running_deployments_are_loaded(void **state)
{
    (void)state;

    load(10);
    assert_int_equal(done_err, ERR_MISSING);
    add_both(10);
    load(10);
    assert_int_equal(done_err, ERR_MISSING);
    start(10, 20);
    finish(10, "completed");
    load(10);
    assert_int_equal(done_err, ERR_MISSING);
}

static void what_this_program_never_wrote_is_not_loaded(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "UPDATE fuotad.transmission SET state = 'x'",
        "UPDATE fuotad.transmission SET gateways = 'x'",
        "UPDATE fuotad.transmission SET f_cnt = -1",
        "UPDATE fuotad.transmission SET next_number = 65536",
        "UPDATE fuotad.deployment_device SET stage = 'x' WHERE device_index = 2",
        "UPDATE fuotad.deployment_device SET reason = 'x' WHERE device_index = 2",
        "UPDATE fuotad.deployment_device SET flags = 65536 WHERE device_index = 2",
        "UPDATE fuotad.deployment_device SET lorawan_version = 2 WHERE device_index = 2",
        "UPDATE fuotad.deployment_device SET dev_eui = 'x' WHERE device_index = 2",
        "DELETE FROM fuotad.deployment_device WHERE device_index = 2",
        "UPDATE fuotad.deployment SET params = NULL",
        "UPDATE fuotad.deployment SET params = '[]'",
        "UPDATE fuotad.deployment SET params = params - 'leap_s'",
        "UPDATE fuotad.deployment SET params = params || '{\"region\": \"XX\"}'",
        "UPDATE fuotad.deployment SET params = params || '{\"time_out\": 2}'",
        "UPDATE fuotad.deployment SET params = params || '{\"choose_rows\": \"true\"}'",
        "UPDATE fuotad.deployment SET params = params || '{\"time_out\": \"16\"}'",
    };
    char back[3][300];

    add_both(10);
    start(10, 20);
    database_run("CREATE TABLE a AS SELECT * FROM fuotad.transmission; CREATE TABLE b AS SELECT * "
                 "FROM fuotad.deployment_device; CREATE TABLE c AS SELECT params FROM "
                 "fuotad.deployment");
    snprintf(back[0], sizeof(back[0]),
             "DELETE FROM fuotad.transmission; INSERT INTO "
             "fuotad.transmission SELECT * FROM a");
    snprintf(back[1], sizeof(back[1]),
             "DELETE FROM fuotad.deployment_device; INSERT INTO "
             "fuotad.deployment_device SELECT * FROM b");
    snprintf(back[2], sizeof(back[2]),
             "UPDATE fuotad.deployment SET params = (SELECT params FROM c)");
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        database_run(changes[i]);
        load(10);
        if (done_err != ERR_FORMAT) {
            fail_msg("loaded: %s", changes[i]);
        }
        for (size_t k = 0; k < 3; k++) {
            database_run(back[k]);
        }
        load(10);
        assert_int_equal(done_err, ERR_OK);
        stored_deployment_release(&loaded);
    }
    /* Migrations write numbers and truth values. */
    database_run("UPDATE fuotad.deployment SET params = params || "
                 "'{\"rounds_max\": 7, \"choose_rows\": false}'");
    load(10);
    assert_int_equal(done_err, ERR_OK);
    assert_int_equal(loaded.params.rounds_max, 7);
    stored_deployment_release(&loaded);
}

static int64_t booked_ms;

static void on_booked(void *arg, enum err err, const char *text, int64_t start_ms)
{
    on_done(arg, err, text);
    booked_ms = start_ms;
}

/* A frame of 400 ms that takes the gateways for 5 s and is paid by 4 s. */
static int64_t book(uint64_t first, uint64_t second, const char *band, int64_t now_ms)
{
    uint64_t gateways[] = {first, second};
    struct store_airtime frame = {
        .gateways = gateways,
        .gateway_count = second != 0 ? 2 : 1,
        .band = band,
        .now_ms = now_ms,
        .airtime_ms = 400,
        .busy_ms = 5000,
        .duty_ms = 40000,
    };

    EXPECT(ERR_OK, store_book_airtime(store, &frame, on_booked, NULL));
    return booked_ms;
}

static void airtime_is_booked_once(void **state)
{
    const int64_t now = INT64_C(1800000000000);

    (void)state;
    assert_int_equal(book(1, 0, "a", now), now);
    assert_int_equal(book(1, 0, "a", now), now + 40000); /* owed to the duty cycle */
    assert_int_equal(book(1, 0, "a", now + 90000), now + 90000);
    assert_int_equal(book(1, 0, "b", now + 91000), now + 95000); /* one frame at a time */
    assert_int_equal(book(2, 0, "a", now), now);
    assert_int_equal(book(2, 1, "a", now), now + 130000); /* free at both */
    assert_int_equal(book(2, 0, "a", now), now + 170000);
    /* A clock that was wrong by days leaves nothing behind. */
    assert_int_equal(book(3, 0, "a", now + INT64_C(864000000)), now + INT64_C(864000000));
    assert_int_equal(book(3, 0, "a", now), now);
    assert_int_equal(book(3, 0, "a", now), now + 40000);

    EXPECT(ERR_OK, store_airtime_get(store, now + 131000, on_json, NULL));
    const cJSON *first = cJSON_GetArrayItem(get("gateways"), 0);
    assert_int_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(first, "hour_airtime_ms")), 1600);
    assert_int_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(first, "hour_frames")), 4);
    assert_int_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(first, "free_in_ms")), 39000);
    EXPECT(ERR_OK, store_airtime_prune(store, now + INT64_C(3) * 86400000, on_done, NULL));
    EXPECT(ERR_OK, store_airtime_get(store, now + 131000, on_json, NULL));
    assert_int_equal(cJSON_GetArraySize(get("gateways")), 1); /* what the wrong clock had booked */
}

#define ID_10 "00000000-0000-4000-8000-000000000010"

static void neighbours_are_what_runs(void **state)
{
    struct uuid id = id_of(id_text(11));

    (void)state;
    add_both(10);
    add_draft(11, some_euis, 3);
    EXPECT(ERR_OK, store_neighbours(store, &id, on_json, NULL));
    expect_json("[]");
    start(10, 20);
    assert_int_equal(done_err, ERR_OK);
    database_run("UPDATE fuotad.deployment SET wish = '{\"gateways\": [\"000000000000000c\"]}', "
                 "plan = '{\"duty_used\": 0.02, \"gap_ms\": 15000, \"gateway_count\": 3}' WHERE state = 'running'");
    EXPECT(ERR_OK, store_neighbours(store, &id, on_json, NULL));
    expect_json("[{\"deployment_id\":\"" ID_10 "\",\"name\":\"d'1\",\"frequency_hz\":869525000,"
                "\"margin_ms\":1000,\"duty_used\":0.02,\"gap_ms\":15000,\"gateway_count\":3,"
                "\"gateways\":[\"000000000000000c\"]}]");
    /* where it named none, as its plan has it */
    database_run("UPDATE fuotad.deployment SET wish = '{}', plan = '{\"coverage\": {\"gateways\": "
                 "[\"000000000000000e\"]}}' WHERE state = 'running'");
    EXPECT(ERR_OK, store_neighbours(store, &id, on_json, NULL));
    expect_json("[{\"deployment_id\":\"" ID_10 "\",\"name\":\"d'1\",\"frequency_hz\":869525000,"
                "\"margin_ms\":1000,\"duty_used\":null,\"gap_ms\":null,\"gateway_count\":null,"
                "\"gateways\":[\"000000000000000e\"]}]");
    database_run("UPDATE fuotad.deployment SET plan = '{\"duty_used\": 0.02, \"gap_ms\": 15000, "
                 "\"gateway_count\": 3}' WHERE state = 'running'");
    /* from then on those of the group */
    database_run("UPDATE fuotad.transmission SET gateways = "
                 "'000000000000000a*,000000000000000b,000000000000000d*'");
    EXPECT(ERR_OK, store_neighbours(store, &id, on_json, NULL));
    expect_json("[{\"deployment_id\":\"" ID_10 "\",\"name\":\"d'1\",\"frequency_hz\":869525000,"
                "\"margin_ms\":1000,\"duty_used\":0.02,\"gap_ms\":15000,\"gateway_count\":3,"
                "\"gateways\":[\"000000000000000a\",\"000000000000000d\"]}]");
    /* not of itself */
    id = id_of(id_text(10));
    EXPECT(ERR_OK, store_neighbours(store, &id, on_json, NULL));
    expect_json("[]");
}

#define DEV_0     "0102030405060708"
#define DEV_1     "ffffffffffffffff"
#define DEV_2     "0000000000000003"
#define GATEWAY_A "\"000000000000000a\""
#define GATEWAY_B "\"000000000000000b\""

static void expect_coverage(int64_t since_ms, const char *expected)
{
    struct uuid id = id_of(id_text(11));

    EXPECT(ERR_OK, store_coverage(store, &id, since_ms, on_json, NULL));
    expect_json(expected);
}

static void who_hears_whom_is_noted(void **state)
{
    const int64_t now = INT64_C(1800000000000);
    const uint64_t *dev = some_euis;
    const struct store_heard heard[] = {
        {dev[0], 0xb, now},        {dev[0], 0xa, now}, {dev[0], 0xa, now + 60000}, /* the same */
        {dev[1], 0xb, now + 1000}, {99, 0xc, now},
    };
    const struct store_heard later[] = {{dev[1], 0xb, now + 10000000}, {dev[0], 0xa, now + 120000}};

    (void)state;
    add_both(11);
    EXPECT(ERR_OK, store_note_heard(store, heard, 5, on_done, NULL));
    expect_coverage(now, "[{\"gateways\":[],\"count\":1,\"devices\":[\"" DEV_2 "\"]},"
                         "{\"gateways\":[" GATEWAY_A "," GATEWAY_B
                         "],\"count\":1,\"devices\":[\"" DEV_0 "\"]},"
                         "{\"gateways\":[" GATEWAY_B "],\"count\":1,\"devices\":[\"" DEV_1 "\"]}]");
    /* within the hour it is known well enough */
    EXPECT(ERR_OK, store_note_heard(store, later, 2, on_done, NULL));
    expect_coverage(now + 100000,
                    "[{\"gateways\":[],\"count\":2,\"devices\":[\"" DEV_2 "\",\"" DEV_0 "\"]},"
                    "{\"gateways\":[" GATEWAY_B "],\"count\":1,\"devices\":[\"" DEV_1 "\"]}]");
    /* a device of no deployment has a page, too */
    EXPECT(ERR_OK, store_device_timeline(store, "0000000000000063", on_json, NULL));
    expect_json(
        "{\"dev_eui\":\"0000000000000063\",\"deployments\":[],\"events\":[],\"gateways\":"
        "[{\"gateway_id\":\"000000000000000c\",\"heard_at\":\"2027-01-15T08:00:00.000Z\"}]}");
    EXPECT(ERR_OK, store_heard_prune(store, now + INT64_C(31) * 86400000, on_done, NULL));
    expect_coverage(now, "[{\"gateways\":[],\"count\":3,\"devices\":[\"" DEV_2 "\",\"" DEV_0
                         "\",\"" DEV_1 "\"]}]");
}

static void on_ids(void *arg, enum err err, const char *text, const struct uuid *ids, size_t count)
{
    struct uuid id = id_of(id_text(11));

    on_done(arg, err, text);
    assert_int_equal(count, 1);
    assert_memory_equal(&ids[0], &id, sizeof(id));
}

static void running_deployments_are_listed(void **state)
{
    (void)state;

    add_both(10);
    add_draft(11, some_euis, 3);
    start(11, 20);
    EXPECT(ERR_OK, store_list_running(store, fence.slot, on_ids, NULL));
}

static void a_running_deployment_is_shown_with_its_numbers(void **state)
{
    (void)state;
    struct uuid id = id_of(id_text(10));
    struct device devices[3];
    struct deployment d = {.is_transmission_changed = true,
                           .devices = devices,
                           .change_count = 3,
                           .transmission = {.state = TRANSMISSION_TRANSMIT,
                                            .started_ms = 1785405000000,
                                            .session_time_ms = 1785405600000,
                                            .next_emission_ms = 1785405610000,
                                            .next_number = 7,
                                            .last_number = 9,
                                            .time_out = 15,
                                            .round = 3,
                                            .session_number = 2,
                                            .is_paused = true,
                                            .slowness = 1,
                                            .frame_count = 8,
                                            .gateway_count = 2,
                                            .gateways = {{1, true}, {2, false}}}};
    struct store_turn *turn = store_turn_new();

    add_both(10);
    start(10, 20);
    for (size_t i = 0; i < 3; i++) {
        devices[i] = (struct device){.dev_eui = some_euis[i], .stage = DEVICE_RECEIVING};
    }
    devices[2].stage = DEVICE_FAILED;
    devices[2].reason = REASON_CLOCK_DRIFT;
    store_turn_save(turn, &id, &d);
    commit(turn);
    assert_string_equal(deployment_state(10), "running");
    assert_string_equal(text_of("transmission_state"), "transmit");
    assert_int_equal(get("fragments_sent")->valueint, 6);
    assert_int_equal(get("fragments_total")->valueint, 9);
    assert_int_equal(get("frames_sent")->valueint, 8);
    assert_int_equal(get("round")->valueint, 3);
    assert_int_equal(get("session_number")->valueint, 2);
    assert_true(cJSON_IsTrue(get("is_paused")));
    assert_string_equal(text_of("session_time"), "2026-07-30T10:00:00.000Z");
    assert_string_equal(text_of("session_end"), "2026-07-30T19:06:08.000Z");
    /* three frames, one gateway's margin of 1000 ms apart, half as fast while it refuses */
    assert_int_equal(get("slowed")->valueint, 2);
    assert_int_equal(get("remaining_s")->valueint, 6);
    assert_string_equal(text_of("estimated_end"), "2026-07-30T10:00:16.000Z");
    assert_string_equal(text_of("region"), "EU868");
    assert_true(cJSON_GetNumberValue(cJSON_GetObjectItem(get("stages"), "receiving")) == 2.0);
    assert_true(cJSON_GetNumberValue(cJSON_GetObjectItem(get("reasons"), "clock_drift")) == 1.0);
}

/* requests */

static void requests_are_taken_where_the_state_allows_them(void **state)
{
    (void)state;
    struct uuid id = id_of(id_text(20));
    struct store_turn *turn;

    add_request(19, "start", 10);
    assert_int_equal(done_err, ERR_WRONG_STATE); /* nothing there */
    add_both(10);
    add_request(18, "abort", 10);
    assert_int_equal(done_err, ERR_WRONG_STATE);
    add_request(20, "start", 10);
    assert_int_equal(done_err, ERR_OK);
    assert_string_equal(text_of("state"), "open");
    add_request(20, "start", 10);
    assert_int_equal(done_err, ERR_EXISTS);
    add_request(21, "dance", 10);
    assert_int_equal(done_err, ERR_WRONG_STATE);
    start(10, 20);
    add_request(22, "start", 10);
    assert_int_equal(done_err, ERR_WRONG_STATE);
    add_request(23, "abort", 10);
    assert_int_equal(done_err, ERR_OK);
    EXPECT(ERR_OK, store_request_open(store, fence.slot, on_json, NULL));
    char expected[200];
    snprintf(expected, sizeof(expected),
             "[{\"id\": \"%s\", \"kind\": \"abort\", \"deployment_id\": \"%s\", "
             "\"slot\": %u}]",
             id_text(23), id_text(10), fence.slot);
    expect_json(expected);
    turn = store_turn_new();
    id = id_of(id_text(23));
    store_turn_request_done(turn, &id, false, "too late", "[1]");
    store_turn_request_done(turn, &id, true, "never: it is not open any more", NULL);
    commit(turn);
    assert_string_equal(request_state(23), "failed");
    assert_string_equal(text_of("detail"), "too late");
    assert_int_equal(cJSON_GetArraySize(get("problems")), 1);
    EXPECT(ERR_MISSING, store_request_get(store, NO_ID, on_json, NULL));
}

/* the end of a deployment */

static void a_retry_takes_the_failed_devices_of_what_ended(void **state)
{
    (void)state;

    add_both(10);
    EXPECT(ERR_WRONG_STATE, store_deployment_retry_source(store, id_text(10), on_json, NULL));
    start(10, 20);
    database_run("UPDATE fuotad.deployment_device SET stage = CASE WHEN device_index = 1 THEN "
                 "'delivered' ELSE 'failed' END");
    EXPECT(ERR_WRONG_STATE, store_deployment_retry_source(store, id_text(10), on_json, NULL));
    finish(10, "partial");
    EXPECT(ERR_OK, store_deployment_retry_source(store, id_text(10), on_json, NULL));
    char expected[300];
    snprintf(expected, sizeof(expected),
             "{\"wish\": {\"quorum\": 80}, \"image_id\": \"%s\", \"application_id\": \"" APPLICATION
             "\", \"name\": \"d'1\", \"devices\": [\"0102030405060708\", \"0000000000000003\"]}",
             id_text(IMAGE));
    expect_json(expected);
    database_run("UPDATE fuotad.deployment_device SET stage = 'delivered'");
    EXPECT(ERR_WRONG_STATE, store_deployment_retry_source(store, id_text(10), on_json, NULL));
    EXPECT(ERR_WRONG_STATE, store_deployment_retry_source(store, NO_ID, on_json, NULL));
}

static void a_deployment_is_deleted_unless_it_runs(void **state)
{
    (void)state;

    EXPECT(ERR_MISSING, store_deployment_delete(store, id_text(10), on_done, NULL));
    add_both(10);
    add_request(20, "start", 10);
    start(10, 20);
    EXPECT(ERR_WRONG_STATE, store_deployment_delete(store, id_text(10), on_done, NULL));
    finish(10, "failed");
    assert_string_equal(deployment_state(10), "failed");
    assert_true(text_of("finished_at")[0] != '\0');
    EXPECT(ERR_OK, store_deployment_delete(store, id_text(10), on_done, NULL));
    assert_string_equal(
        database_ask("SELECT (SELECT count(*) FROM fuotad.deployment_device) + (SELECT count(*) "
                     "FROM fuotad.transmission) + (SELECT count(*) FROM fuotad.request)"),
        "0");
}

/* the rest */

static void on_clock(void *arg, enum err err, const char *text, size_t count,
                     const uint64_t *dev_euis, const uint32_t *f_cnts)
{
    on_done(arg, err, text);
    assert_int_equal(count, 1);
    assert_true(dev_euis[0] == UINT64_MAX);
    assert_true(f_cnts[0] == UINT32_MAX);
}

static void clock_answers_are_remembered_for_a_day(void **state)
{
    (void)state;
    struct store_turn *turn = store_turn_new();

    store_turn_clock_answer(turn, UINT64_MAX, 5);
    store_turn_clock_answer(turn, UINT64_MAX, UINT32_MAX);
    store_turn_clock_answer(turn, 7, 1);
    commit(turn);
    database_run("UPDATE fuotad.clock_answer SET updated_at = now() - interval '25 hours' WHERE "
                 "f_cnt = 1");
    EXPECT(ERR_OK, store_load_clock_answers(store, on_clock, NULL));
}

static void tokens_are_kept_as_hashes(void **state)
{
    (void)state;
    uint8_t sha256[32];

    EXPECT(ERR_OK, store_tokens(store, on_json, NULL));
    expect_json("[]");
    memset(sha256, 0x0F, sizeof(sha256));
    EXPECT(ERR_OK, store_token_add(store, "ci", sha256, "read", on_done, NULL));
    EXPECT(ERR_EXISTS, store_token_add(store, "other", sha256, "write", on_done, NULL));
    sha256[0] = 0;
    EXPECT(ERR_REFUSED, store_token_add(store, "ci", sha256, "everything", on_done, NULL));
    EXPECT(ERR_OK, store_tokens(store, on_json, NULL));
    expect_json("[{\"sha256\": "
                "\"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f\", "
                "\"access\": \"read\"}]");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(images_are_kept_listed_and_unique),
        TEST(an_image_is_deleted_unless_a_deployment_uses_it),
        TEST(a_draft_answers_as_it_is_read_later),
        TEST(a_draft_needs_its_image_and_names_each_device_once),
        TEST(a_draft_says_what_the_preflight_must_know),
        TEST(devices_come_in_pages_and_by_stage),
        TEST(a_start_makes_a_draft_running_once),
        TEST(a_start_of_what_is_no_draft_changes_nothing),
        TEST(a_start_that_failed_keeps_its_problems),
        TEST(a_second_start_that_fails_leaves_the_first_running),
        TEST(what_started_is_loaded_as_new),
        TEST(everything_that_is_saved_is_loaded),
        TEST(only_what_changed_is_saved),
        TEST(what_is_saved_last_in_a_turn_stays),
        TEST(many_devices_and_notes_are_saved_in_one_turn),
        TEST(every_note_becomes_a_line_of_the_timeline),
        TEST(a_timeline_goes_with_its_deployment),
        TEST(a_frame_is_kept_once_with_its_latest_time),
        TEST(a_turn_that_fails_changes_nothing),
        TEST(a_key_is_sealed_anew_while_its_deployment_runs),
        TEST(what_is_over_keeps_no_key),
        TEST(only_running_deployments_are_loaded),
        TEST(what_this_program_never_wrote_is_not_loaded),
        TEST(airtime_is_booked_once),
        TEST(neighbours_are_what_runs),
        TEST(who_hears_whom_is_noted),
        TEST(running_deployments_are_listed),
        TEST(a_running_deployment_is_shown_with_its_numbers),
        TEST(requests_are_taken_where_the_state_allows_them),
        TEST(a_retry_takes_the_failed_devices_of_what_ended),
        TEST(a_deployment_is_deleted_unless_it_runs),
        TEST(clock_answers_are_remembered_for_a_day),
        TEST(tokens_are_kept_as_hashes),
    };
    return cmocka_run_group_tests_name("store", tests, database_begin, database_end);
}
