/* slots_test.c - leases, fences, notifications, held events and pruning, with a real PostgreSQL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/database.h"
#include "store/slots.h"
#include "store/store.h"

#define LEASE_MS    60000
#define APPLICATION "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee" /* in slot 0xAA % 16 = 10 */
#define SLOT        10
#define DEPLOYMENT  "00000000-0000-4000-8000-000000000010"

static struct store *store;
static const struct uuid me = {{1}}, other = {{2}};
static bool is_closed;
static unsigned done_count;
static enum err done_err;
static uint64_t taken_epoch;
static struct store_slots seen;
static uint64_t epochs[STORE_SLOT_COUNT];

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
    (void)arg, (void)text;
    done_count++;
    done_err = err;
}

static void on_slots(void *arg, enum err err, const char *text, const struct store_slots *slots)
{
    on_done(arg, err, text);
    if (err == ERR_OK) {
        seen = *slots;
    }
}

static void on_taken(void *arg, enum err err, const char *text, uint64_t epoch)
{
    on_done(arg, err, text);
    taken_epoch = epoch;
}

/* Calls and waits. */
#define EXPECT(expected, call)                                                                     \
    do {                                                                                           \
        done_count = 0;                                                                            \
        (call);                                                                                    \
        WAIT_UNTIL(&t, done_count == 1);                                                           \
        assert_int_equal(done_err, expected);                                                      \
    } while (0)

static int set_up(void **state)
{
    (void)state;
    test_loop_open(&t);
    is_closed = false;
    memset(epochs, 0, sizeof(epochs));
    store = store_new(&t.loop, database_new_migrated(), on_state, NULL);
    WAIT_UNTIL(&t, store_is_connected(store));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_close(store, on_closed, NULL);
    WAIT_UNTIL(&t, is_closed);
    return test_loop_close(&t) ? 0 : -1;
}

static void renew(const struct uuid *instance)
{
    EXPECT(ERR_OK, store_slots_renew(store, instance, "host", LEASE_MS, epochs, on_slots, NULL));
}

static void take(enum err expected, const struct uuid *instance, uint64_t epoch)
{
    EXPECT(expected, store_slot_take(store, instance, LEASE_MS, SLOT, epoch, on_taken, NULL));
}

static void end_lease(void)
{
    database_run("UPDATE fuotad.slot SET lease_until = now() - interval '1 ms'");
}

static void add_running_deployment(void)
{
    database_run("INSERT INTO fuotad.image (id, name, version, sha256, size, data) VALUES "
                 "('00000000-0000-4000-8000-000000000001', 'a', '1', '', 1, 'x')");
    database_run("INSERT INTO fuotad.deployment (id, name, state, image_id, application_id, wish, "
                 "device_count) VALUES ('" DEPLOYMENT "', 'd', 'running', "
                 "'00000000-0000-4000-8000-000000000001', '" APPLICATION "', '{}', 1)");
    database_run("INSERT INTO fuotad.deployment_device (deployment_id, device_index, dev_eui) "
                 "VALUES ('" DEPLOYMENT "', 0, '0000000000000001')");
    database_run("INSERT INTO fuotad.transmission SELECT '" DEPLOYMENT "', 'key', '', 'transmit', "
                 "'00000000-0000-4000-8000-000000000002', true, true, false, false, false, 1, 1, "
                 "1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0, ''");
}

static void the_slot_of_an_application_is_the_column_s(void **state)
{
    (void)state;
    struct uuid id;

    add_running_deployment();
    assert_int_equal(uuid_parse(APPLICATION, &id), ERR_OK);
    assert_int_equal(store_slot_of(&id), SLOT);
    assert_string_equal(database_ask("SELECT slot_index FROM fuotad.deployment"), "10");
}

static void a_free_slot_is_taken_once(void **state)
{
    (void)state;

    renew(&me);
    assert_int_equal(seen.instance_count, 1);
    assert_true(seen.slots[SLOT].is_free);
    assert_false(seen.slots[SLOT].is_mine);
    take(ERR_OK, &me, seen.slots[SLOT].epoch);
    assert_int_equal(taken_epoch, 1);
    take(ERR_WRONG_STATE, &other, 0); /* as it was read, but it is not any more */
    take(ERR_WRONG_STATE, &other, 1); /* its lease holds */
    renew(&other);
    assert_int_equal(seen.instance_count, 2);
    assert_false(seen.slots[SLOT].is_free);
    assert_in_range(seen.slots[SLOT].lease_ms, 1, LEASE_MS);
}

static void a_lease_that_ended_is_renewed_unless_somebody_was_there(void **state)
{
    (void)state;

    take(ERR_OK, &me, 0);
    end_lease();
    epochs[SLOT] = 1;
    renew(&me);
    assert_true(seen.slots[SLOT].is_mine);
    assert_true(seen.slots[SLOT].lease_ms > LEASE_MS / 2);
    end_lease();
    take(ERR_OK, &other, 1);
    renew(&me);
    assert_false(seen.slots[SLOT].is_mine);
    assert_int_equal(seen.slots[SLOT].epoch, 2);
}

static void a_restarted_daemon_takes_its_own_slot_back_at_once(void **state)
{
    (void)state;

    add_running_deployment();
    take(ERR_OK, &me, 0);
    renew(&me); /* without an epoch: it has forgotten */
    assert_true(seen.slots[SLOT].is_mine);
    take(ERR_OK, &me, 1);
    assert_string_equal(database_ask("SELECT is_taken_over FROM fuotad.transmission"), "f");
}

static void only_what_was_not_left_is_taken_over(void **state)
{
    (void)state;

    add_running_deployment();
    take(ERR_OK, &me, 0);
    epochs[SLOT] = 1;
    EXPECT(ERR_OK, store_slots_leave(store, &me, epochs, true, on_done, NULL));
    assert_string_equal(database_ask("SELECT count(*) FROM fuotad.instance"), "0");
    take(ERR_OK, &other, 1);
    assert_string_equal(database_ask("SELECT is_taken_over FROM fuotad.transmission"), "f");
    end_lease();
    take(ERR_OK, &me, 2);
    assert_string_equal(database_ask("SELECT is_taken_over FROM fuotad.transmission"), "t");
}

static void a_turn_with_an_old_epoch_changes_nothing(void **state)
{
    (void)state;

    for (unsigned epoch = 0; epoch < 3; epoch++) {
        struct store_turn *turn = store_turn_new();
        struct store_fence fence = {.slot = SLOT, .epoch = epoch};
        store_turn_version_known(turn, epoch + 1, 1);
        store_turn_fence(turn, &fence);
        if (epoch == 0) {
            take(ERR_OK, &me, 0);
        }
        EXPECT(epoch == 1 ? ERR_OK : ERR_WRONG_STATE,
               store_turn_commit(store, turn, on_done, NULL));
    }
    assert_string_equal(database_ask("SELECT string_agg(dev_eui, ' ') FROM fuotad.known_device"),
                        "0000000000000002");
}

/* news */

static unsigned slots_news, request_news, change_news, news_slot;
static char changed[UUID_TEXT_SIZE];

static void on_slots_news(void *arg)
{
    (void)arg;
    slots_news++;
}

static void on_request_news(void *arg, unsigned slot)
{
    (void)arg;
    request_news++;
    news_slot = slot;
}

static void on_change_news(void *arg, const char *deployment_id)
{
    (void)arg;
    change_news++;
    snprintf(changed, sizeof(changed), "%s", deployment_id);
}

static void on_json(void *arg, enum err err, const char *text, const char *json)
{
    (void)json;
    on_done(arg, err, text);
}

static void daemons_hear_of_slots_wishes_and_changes(void **state)
{
    (void)state;
    static const struct store_news news = {on_slots_news, on_request_news, on_change_news};
    struct uuid request = {{7}}, ids[450] = {{{0}}};

    slots_news = request_news = change_news = 0;
    add_running_deployment();
    store_listen(store, &news, NULL);
    renew(&me); /* by now it listens */
    EXPECT(ERR_OK, store_slots_leave(store, &me, epochs, false, on_done, NULL));
    WAIT_UNTIL(&t, slots_news == 1);
    EXPECT(ERR_OK, store_request_add(store, &request, "abort", DEPLOYMENT, on_json, NULL));
    WAIT_UNTIL(&t, request_news == 1);
    assert_int_equal(news_slot, SLOT);
    for (size_t i = 0; i < 450; i++) {
        ids[i].octets[0] = (uint8_t)i;
    }
    store_tell_changes(store, ids, 450);
    WAIT_UNTIL(&t, change_news == 450);
    assert_string_equal(changed, "c1000000-0000-0000-0000-000000000000");
    /* What is not of ours is passed by. */
    database_run("NOTIFY fuotad, 'nonsense'; NOTIFY fuotad, 'change x'; NOTIFY fuotad, 'request'");
    test_loop_run(&t, 100);
    assert_int_equal(change_news, 450);
}

/* suspended deployments */

static struct store_held_event held[4];
static uint8_t held_data[4][16];
static size_t held_count;

static void on_held(void *arg, enum err err, const char *text,
                    const struct store_held_event *events, size_t count)
{
    on_done(arg, err, text);
    held_count = count;
    for (size_t i = 0; i < count && i < 4; i++) {
        held[i] = events[i];
        memcpy(held_data[i], events[i].data, events[i].data_size);
    }
}

static const char *suspended(void)
{
    return database_ask("SELECT coalesce(suspended, 'no') || crash_count FROM fuotad.deployment");
}

static void the_second_crash_suspends_and_a_resume_forgets(void **state)
{
    (void)state;
    struct uuid id, request = {{7}};
    struct store_fence fence = {.slot = SLOT, .epoch = 0};

    add_running_deployment();
    assert_int_equal(uuid_parse(DEPLOYMENT, &id), ERR_OK);
    EXPECT(ERR_OK, store_report_crash(store, DEPLOYMENT, 2, "why", on_done, NULL));
    assert_string_equal(suspended(), "no1");
    EXPECT(ERR_WRONG_STATE,
           store_request_add(store, &request, "resume", DEPLOYMENT, on_json, NULL));
    EXPECT(ERR_OK, store_report_crash(store, DEPLOYMENT, 2, "why", on_done, NULL));
    assert_string_equal(suspended(), "why2");
    EXPECT(ERR_OK, store_request_add(store, &request, "resume", DEPLOYMENT, on_json, NULL));
    fence.epoch = 9;
    EXPECT(ERR_WRONG_STATE, store_resume(store, &fence, &id, &request, on_done, NULL));
    fence.epoch = 0;
    EXPECT(ERR_OK, store_resume(store, &fence, &id, &request, on_done, NULL));
    assert_string_equal(suspended(), "no0");
    assert_string_equal(database_ask("SELECT state FROM fuotad.request"), "done");
    EXPECT(ERR_OK, store_suspend(store, &fence, &id, "broken", on_done, NULL));
    assert_string_equal(suspended(), "broken0");
    EXPECT(ERR_MISSING,
           store_report_crash(store, "00000000-0000-4000-8000-000000000099", 2, "", on_done, NULL));
}

static void held_events_come_back_as_they_came(void **state)
{
    (void)state;
    struct uuid id;
    const uint64_t gateways[] = {1, UINT64_MAX};
    const uint8_t data[] = {0, 0xFF, 0x5C, 0x27};
    struct store_held_event event = {
        .kind = 0,
        .dev_eui = 1,
        .item_id = {{9}},
        .received_ms = -1,
        .f_port = 255,
        .data = data,
        .data_size = sizeof(data),
        .gateways = gateways,
        .gateway_count = 2,
    };
    struct store_turn *turn = store_turn_new();

    add_running_deployment();
    assert_int_equal(uuid_parse(DEPLOYMENT, &id), ERR_OK);
    store_turn_hold_event(turn, &id, &event);
    event.kind = 1;
    event.data_size = event.gateway_count = 0;
    store_turn_hold_event(turn, &id, &event);
    EXPECT(ERR_OK, store_turn_commit(store, turn, on_done, NULL));
    EXPECT(ERR_OK, store_load_held(store, &id, 10, on_held, NULL));
    assert_int_equal(held_count, 2);
    assert_int_equal(held[0].kind, 0);
    assert_true(held[0].dev_eui == 1 && held[0].received_ms == -1 && held[0].f_port == 255);
    assert_memory_equal(&held[0].item_id, &event.item_id, sizeof(event.item_id));
    assert_int_equal(held[0].data_size, 4);
    assert_memory_equal(held_data[0], data, 4);
    assert_int_equal(held[0].gateway_count, 2);
    assert_int_equal(held[1].kind, 1);
    assert_int_equal(held[1].data_size + held[1].gateway_count, 0);
    turn = store_turn_new();
    store_turn_drop_held(turn, &id, held[0].id);
    EXPECT(ERR_OK, store_turn_commit(store, turn, on_done, NULL));
    EXPECT(ERR_OK, store_load_held(store, &id, 10, on_held, NULL));
    assert_int_equal(held_count, 1);
}

/* pruning */

static bool has_more;

static void on_pruned(void *arg, enum err err, const char *text, bool more)
{
    on_done(arg, err, text);
    has_more = more;
}

static void old_timelines_go_and_results_stay(void **state)
{
    (void)state;
    unsigned calls = 0;

    add_running_deployment();
    database_run("INSERT INTO fuotad.event (deployment_id, at_ms, kind, text, value, detail) "
                 "SELECT '" DEPLOYMENT "', 0, 'x', '', 0, 0 FROM generate_series(1, 10001)");
    database_run("INSERT INTO fuotad.frame SELECT '" DEPLOYMENT "', n, 0, 1, 0 FROM "
                 "generate_series(1, 5) n");
    EXPECT(ERR_OK, store_prune(store, 1, on_pruned, NULL));
    assert_false(has_more); /* it runs */
    database_run("UPDATE fuotad.deployment SET state = 'completed', "
                 "finished_at = now() - interval '25 hours'");
    EXPECT(ERR_OK, store_prune(store, 2, on_pruned, NULL));
    assert_false(has_more); /* not old enough */
    do {
        EXPECT(ERR_OK, store_prune(store, 1, on_pruned, NULL));
        calls++;
    } while (has_more);
    assert_int_equal(calls, 4); /* 10000 rows, the rest, that nothing is left, nothing to do */
    assert_string_equal(database_ask("SELECT count(*) FROM fuotad.event"), "0");
    assert_string_equal(database_ask("SELECT count(*) FROM fuotad.frame"), "0");
    assert_string_equal(database_ask("SELECT count(*) FROM fuotad.deployment_device"), "1");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_slot_of_an_application_is_the_column_s),
        TEST(a_free_slot_is_taken_once),
        TEST(a_lease_that_ended_is_renewed_unless_somebody_was_there),
        TEST(a_restarted_daemon_takes_its_own_slot_back_at_once),
        TEST(only_what_was_not_left_is_taken_over),
        TEST(a_turn_with_an_old_epoch_changes_nothing),
        TEST(daemons_hear_of_slots_wishes_and_changes),
        TEST(the_second_crash_suspends_and_a_resume_forgets),
        TEST(held_events_come_back_as_they_came),
        TEST(old_timelines_go_and_results_stay),
    };
    return cmocka_run_group_tests_name("slots", tests, database_begin, database_end);
}
