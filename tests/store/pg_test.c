/* pg_test.c - migrations, and batches of statements, with a real PostgreSQL. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <netinet/in.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "store/database.h"
#include "store/migrate.h"
#include "store/pg.h"

/* migrations */

static void a_database_is_migrated_once(void **state)
{
    (void)state;
    char conninfo[200], text[300], again[300];
    unsigned applied, of;

    snprintf(conninfo, sizeof(conninfo), "%s", database_new());
    assert_int_equal(migrate(conninfo, text, sizeof(text)), ERR_OK);
    assert_int_equal(sscanf(text, "%u of %u migrations applied", &applied, &of), 2);
    assert_true(applied == of && of >= 1);
    assert_int_equal(migrate(conninfo, again, sizeof(again)), ERR_OK);
    assert_int_equal(sscanf(again, "%u of", &applied), 1);
    assert_int_equal(applied, 0);
    assert_int_equal(atoi(database_ask("SELECT count(*) FROM fuotad.migration")), of);
    assert_string_equal(database_ask("SELECT count(*) FROM fuotad.deployment"), "0");
}

static void a_database_with_another_or_newer_history_is_refused(void **state)
{
    (void)state;
    char conninfo[200], text[300] = "";

    snprintf(conninfo, sizeof(conninfo), "%s", database_new_migrated());
    database_run("UPDATE fuotad.migration SET sql = sql || ' ' WHERE name = '0001_initial.sql'");
    assert_int_equal(migrate(conninfo, text, sizeof(text)), ERR_REFUSED);
    assert_string_equal(text, "migration 0001_initial.sql was applied with other contents");
    database_run("UPDATE fuotad.migration SET sql = rtrim(sql, ' ') WHERE name = "
                 "'0001_initial.sql'");
    assert_int_equal(migrate(conninfo, text, sizeof(text)), ERR_OK);
    database_run("INSERT INTO fuotad.migration (name, sql) VALUES ('9999_future.sql', '')");
    assert_int_equal(migrate(conninfo, text, sizeof(text)), ERR_REFUSED);
    assert_string_equal(text, "the database is newer than this program");
}

static void a_migration_that_fails_leaves_nothing_behind(void **state)
{
    (void)state;
    char conninfo[200], text[300] = "";

    snprintf(conninfo, sizeof(conninfo), "%s", database_new());
    database_run("CREATE SCHEMA fuotad; CREATE TABLE fuotad.frame ()"); /* in the way */
    assert_int_equal(migrate(conninfo, text, sizeof(text)), ERR_REFUSED);
    assert_non_null(strstr(text, "already exists"));
    assert_string_equal(database_ask("SELECT string_agg(tablename, ',') FROM pg_tables WHERE "
                                     "schemaname = 'fuotad'"),
                        "frame");
}

static void no_server_is_unavailable(void **state)
{
    (void)state;
    char text[300] = "";

    assert_int_equal(migrate("host=/nonexistent dbname=none", text, sizeof(text)), ERR_UNAVAILABLE);
    assert_true(text[0] != '\0');
}

struct migration_run {
    const char *conninfo;
    enum err err;
    char text[300];
};

static void *run_migration(void *arg)
{
    struct migration_run *m = arg;

    m->err = migrate(m->conninfo, m->text, sizeof(m->text));
    return NULL;
}

static void several_programs_migrate_at_once(void **state)
{
    (void)state;
    char conninfo[200];
    struct migration_run runs[4];
    pthread_t threads[4];
    unsigned sum = 0, applied, of = 0;

    snprintf(conninfo, sizeof(conninfo), "%s", database_new());
    for (size_t i = 0; i < 4; i++) {
        runs[i] = (struct migration_run){.conninfo = conninfo};
        assert_int_equal(pthread_create(&threads[i], NULL, run_migration, &runs[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(runs[i].err, ERR_OK);
        assert_int_equal(sscanf(runs[i].text, "%u of %u", &applied, &of), 2);
        sum += applied;
    }
    assert_int_equal(sum, of);
}

/* batches */

struct outcome {
    unsigned count, at; /* at: of all outcomes, which one this was */
    enum err err;
    char text[300];
    bool has_results;
};

static struct pg *pg;
static unsigned up_count, down_count, outcome_count;
static char down_text[300];
static bool is_closed;

static void on_state(void *arg, const char *text)
{
    (void)arg;
    if (text == NULL) {
        up_count++;
    } else {
        down_count++;
        snprintf(down_text, sizeof(down_text), "%s", text);
    }
}

static void on_closed(void *arg)
{
    (void)arg;
    is_closed = true;
}

static void on_done(void *arg, enum err err, const char *text, const struct pg_results *results)
{
    struct outcome *o = arg;

    o->count++;
    o->at = ++outcome_count;
    o->err = err;
    snprintf(o->text, sizeof(o->text), "%s", text != NULL ? text : "");
    o->has_results = results != NULL;
}

static int open_pg(void **state)
{
    (void)state;
    test_loop_open(&t);
    up_count = down_count = outcome_count = 0;
    is_closed = false;
    pg = pg_new(&t.loop, database_new_migrated(), on_state, NULL);
    return 0;
}

static int close_pg(void **state)
{
    (void)state;
    if (!is_closed) {
        pg_close(pg, on_closed, NULL);
        WAIT_UNTIL(&t, is_closed);
    }
    return test_loop_close(&t) ? 0 : -1;
}

static void send_sql(const char *const *statements, struct outcome *o)
{
    struct pg_batch *batch = pg_batch_new();

    for (; *statements != NULL; statements++) {
        pg_add(batch, *statements, 0, NULL);
    }
    pg_send(pg, batch, on_done, o);
}

#define SEND(outcome, ...) send_sql((const char *const[]){__VA_ARGS__, NULL}, outcome)

static void expect(const struct outcome *o, enum err err)
{
    WAIT_UNTIL(&t, o->count > 0);
    assert_int_equal(o->count, 1);
    assert_int_equal(o->err, err);
    assert_int_equal(o->has_results, err == ERR_OK);
}

static void a_batch_is_one_transaction(void **state)
{
    (void)state;
    struct outcome made = {0}, fails = {0}, good = {0};

    SEND(&made, "CREATE TABLE x (n integer PRIMARY KEY, f text)");
    SEND(&fails, "INSERT INTO x VALUES (1)", "INSERT INTO x VALUES (2)", "SELECT 1 / 0",
         "INSERT INTO x VALUES (3)");
    SEND(&good, "INSERT INTO x VALUES (4)", "INSERT INTO x VALUES (5)");
    assert_int_equal(pg_queued(pg), 3);
    expect(&made, ERR_OK);
    expect(&fails, ERR_REFUSED);
    assert_string_equal(fails.text, "division by zero");
    expect(&good, ERR_OK);
    assert_true(made.at == 1 && fails.at == 2 && good.at == 3);
    assert_int_equal(pg_queued(pg), 0);
    assert_string_equal(database_ask("SELECT string_agg(n::text, ',') FROM fuotad.x"), "4,5");
    assert_int_equal(up_count, 1);
    assert_true(pg_is_connected(pg));
}

static void a_unique_constraint_has_a_code_of_its_own(void **state)
{
    (void)state;
    struct outcome o[5];

    memset(o, 0, sizeof(o));
    SEND(&o[0], "CREATE TABLE x (n integer PRIMARY KEY, m integer CHECK (m > 0))");
    SEND(&o[1], "INSERT INTO x VALUES (1, 1)");
    SEND(&o[2], "INSERT INTO x VALUES (1, 1)", "SELECT 1 / 0");
    SEND(&o[3], "INSERT INTO x VALUES (2, 0)");
    SEND(&o[4], "no SQL");
    expect(&o[2], ERR_EXISTS); /* the first error counts */
    expect(&o[3], ERR_REFUSED);
    expect(&o[4], ERR_REFUSED);
    assert_int_equal(up_count, 1);
}

static struct {
    uint8_t *octets;
    size_t size;
    char text[40];
    bool is_done;
} got;

static void look_at_results(void *arg, enum err err, const char *text,
                            const struct pg_results *results)
{
    (void)arg, (void)text;
    size_t size;

    assert_int_equal(err, ERR_OK);
    assert_int_equal(pg_affected(results, 1), 2);
    assert_int_equal(pg_row_count(results, 2), 2);
    assert_true(pg_number(results, 2, 0, 0) == INT64_MIN);
    assert_true(pg_number(results, 2, 1, 0) == INT64_MAX);
    assert_true(pg_is_null(results, 2, 0, 1));
    assert_string_equal(pg_text(results, 2, 0, 1), "");
    assert_false(pg_is_null(results, 2, 1, 1));
    snprintf(got.text, sizeof(got.text), "%s", pg_text(results, 2, 1, 1));
    assert_null(pg_bytes(results, 2, 0, 2, &size));
    got.octets = pg_bytes(results, 2, 1, 2, &got.size);
    assert_int_equal(pg_row_count(results, 3), 0);
    got.is_done = true;
}

static void parameters_and_results_are_exact(void **state)
{
    (void)state;
    struct pg_batch *batch = pg_batch_new();
    char *hex = malloc(2 * 3000000 + 3);
    const char *params[] = {"-9223372036854775808", NULL, NULL, "9223372036854775807",
                            "\"{',\\\xC3\xBC",      hex};

    strcpy(hex, "\\x");
    for (size_t i = 0; i < 3000000; i++) {
        snprintf(hex + 2 + 2 * i, 3, "%02x", (unsigned)(i * 7 & 0xFF));
    }
    assert_true(pg_batch_is_empty(batch));
    pg_add(batch, "CREATE TABLE x (n bigint, f text, b bytea)", 0, NULL);
    assert_false(pg_batch_is_empty(batch));
    pg_add(batch, "INSERT INTO x VALUES ($1, $2, $3), ($4, $5, $6)", 6, params);
    pg_add(batch, "SELECT * FROM x ORDER BY n", 0, NULL);
    pg_add(batch, "SELECT * FROM x WHERE false", 0, NULL);
    memset(&got, 0, sizeof(got));
    pg_send(pg, batch, look_at_results, NULL);
    memset(hex, '!', 100); /* it was copied */
    WAIT_UNTIL(&t, got.is_done);
    assert_string_equal(got.text, "\"{',\\\xC3\xBC");
    assert_int_equal(got.size, 3000000);
    for (size_t i = 0; i < got.size; i++) {
        assert_true(got.octets[i] == (uint8_t)(i * 7 & 0xFF));
    }
    free(got.octets);
    free(hex);
}

static void arrays_arrive_as_they_are(void **state)
{
    (void)state;
    struct pg_batch *batch = pg_batch_new();
    struct pg_array arrays[6];
    const uint8_t uuid[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xFF};
    struct outcome o = {0};

    pg_array_init(&arrays[0], PG_TYPE_BOOLEAN);
    pg_array_init(&arrays[1], PG_TYPE_INTEGER);
    pg_array_init(&arrays[2], PG_TYPE_BIGINT);
    pg_array_init(&arrays[3], PG_TYPE_TEXT);
    pg_array_init(&arrays[4], PG_TYPE_DOUBLE);
    pg_array_init(&arrays[5], PG_TYPE_UUID);
    for (int row = 0; row < 2; row++) {
        pg_array_put_number(&arrays[0], row);
        pg_array_put_number(&arrays[1], row == 0 ? INT32_MIN : INT32_MAX);
        pg_array_put_number(&arrays[2], row == 0 ? INT64_MIN : INT64_MAX);
        pg_array_put_text(&arrays[3], row == 0 ? NULL : "\"{',\\\xC3\xBC");
        pg_array_put_double(&arrays[4], row == 0 ? 0.1 : -1e300);
        pg_array_put_uuid(&arrays[5], uuid);
    }
    pg_add(batch, "CREATE TABLE x (b boolean, i integer, l bigint, f text, d float8, u uuid)", 0,
           NULL);
    pg_send(pg, batch, on_done, &o);
    batch = pg_batch_new();
    pg_add_arrays(batch,
                  "INSERT INTO x SELECT * FROM unnest($1::boolean[], $2::integer[], "
                  "$3::bigint[], $4::text[], $5::float8[], $6::uuid[])",
                  6, arrays);
    assert_null(arrays[3].octets);
    pg_send(pg, batch, on_done, &o);
    WAIT_UNTIL(&t, o.count == 2);
    assert_int_equal(o.err, ERR_OK);
    assert_string_equal(database_ask("SELECT string_agg(x::text, ' ') FROM fuotad.x"),
                        "(f,-2147483648,-9223372036854775808,,0.1,"
                        "00010203-0405-0607-0809-0a0b0c0d0eff) "
                        "(t,2147483647,9223372036854775807,\"\"\"{',\\\\\xC3\xBC\",-1e+300,"
                        "00010203-0405-0607-0809-0a0b0c0d0eff)");
}

static void empty_arrays_are_no_rows(void **state)
{
    (void)state;
    struct pg_batch *batch = pg_batch_new();
    struct pg_array array;
    struct outcome o = {0};

    pg_array_init(&array, PG_TYPE_TEXT);
    pg_add_arrays(batch, "SELECT 1 / count(*) FROM unnest($1::text[])", 1, &array);
    pg_send(pg, batch, on_done, &o);
    expect(&o, ERR_REFUSED);
    assert_string_equal(o.text, "division by zero");
    pg_array_init(&array, PG_TYPE_TEXT);
    batch = pg_batch_new();
    pg_add_arrays(batch, "SELECT $1::text[]", 1, &array);
    pg_batch_free(batch);
}

/* statements that the server knows */

static int64_t prepared_count; /* -1: not told yet */

static void take_count(void *arg, enum err err, const char *text, const struct pg_results *results)
{
    (void)arg, (void)text;
    assert_int_equal(err, ERR_OK);
    prepared_count = pg_number(results, 0, 0, 0);
}

/* How many of the connection's prepared statements begin with "SELECT 40". */
static int64_t count_prepared(void)
{
    struct pg_batch *batch = pg_batch_new();

    prepared_count = -1;
    pg_add(batch, "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT 40%'",
           0, NULL);
    pg_send(pg, batch, take_count, NULL);
    WAIT_UNTIL(&t, prepared_count >= 0);
    return prepared_count;
}

static void a_text_is_parsed_once(void **state)
{
    (void)state;
    struct outcome o[3];

    memset(o, 0, sizeof(o));
    SEND(&o[0], "SELECT 40", "SELECT 401", "SELECT 40");
    SEND(&o[1], "SELECT 40");
    SEND(&o[2], "SELECT 401");
    for (size_t i = 0; i < 3; i++) {
        expect(&o[i], ERR_OK);
    }
    assert_true(count_prepared() == 2);
}

static void a_text_behind_a_failure_is_parsed_when_it_comes_again(void **state)
{
    (void)state;
    struct outcome fails = {0}, good = {0};

    SEND(&fails, "SELECT 1 / 0", "SELECT 40");
    expect(&fails, ERR_REFUSED);
    assert_true(count_prepared() == 0);
    SEND(&good, "SELECT 40");
    expect(&good, ERR_OK);
    assert_true(count_prepared() == 1);
}

static void more_texts_than_are_kept_work_too(void **state)
{
    (void)state;
    char text[20];

    for (unsigned i = 0; i < 2 * 100; i++) {
        struct outcome o = {0};
        snprintf(text, sizeof(text), "SELECT 40%u", i % 100);
        SEND(&o, text);
        expect(&o, ERR_OK);
    }
    assert_true(count_prepared() >= 50);
}

static void a_table_that_changed_makes_a_new_connection(void **state)
{
    (void)state;
    struct outcome o[4];

    memset(o, 0, sizeof(o));
    SEND(&o[0], "CREATE TABLE x (n integer)");
    SEND(&o[1], "SELECT * FROM x");
    expect(&o[1], ERR_OK);
    database_run("ALTER TABLE fuotad.x ALTER n TYPE text");
    SEND(&o[2], "SELECT * FROM x");
    expect(&o[2], ERR_UNAVAILABLE);
    assert_non_null(strstr(o[2].text, "cached plan"));
    SEND(&o[3], "SELECT * FROM x");
    expect(&o[3], ERR_OK);
    assert_int_equal(up_count, 2);
}

static void an_empty_batch_is_done(void **state)
{
    (void)state;
    struct outcome o = {0};

    pg_send(pg, pg_batch_new(), on_done, &o);
    expect(&o, ERR_OK);
    pg_send(pg, pg_batch_new(), NULL, NULL);
    pg_batch_free(pg_batch_new());
    pg_batch_free(NULL);
    WAIT_UNTIL(&t, pg_queued(pg) == 0);
}

static void a_restart_fails_the_batch_under_way_and_the_others_wait(void **state)
{
    (void)state;
    struct outcome ready = {0}, under_way = {0}, behind = {0};

    SEND(&ready, "CREATE TABLE x (n integer)");
    expect(&ready, ERR_OK);
    SEND(&under_way, "INSERT INTO x VALUES (1)", "SELECT pg_sleep(60)");
    SEND(&behind, "INSERT INTO x VALUES (2)");
    test_loop_run(&t, 100);
    postgres_stop();
    expect(&under_way, ERR_UNAVAILABLE);
    assert_true(under_way.text[0] != '\0');
    assert_int_equal(behind.count, 0);
    assert_int_equal(pg_queued(pg), 1);
    assert_false(pg_is_connected(pg));
    WAIT_UNTIL(&t, down_count >= 2); /* it tries in vain */
    assert_true(postgres_start());
    expect(&behind, ERR_OK);
    assert_int_equal(up_count, 2);
    assert_string_equal(database_ask("SELECT string_agg(n::text, ',') FROM fuotad.x"), "2");
}

static void an_idle_connection_that_breaks_is_made_again(void **state)
{
    (void)state;
    struct outcome o = {0};

    WAIT_UNTIL(&t, up_count == 1);
    database_run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name "
                 "= 'fuotad'");
    WAIT_UNTIL(&t, down_count == 1);
    assert_true(down_text[0] != '\0');
    SEND(&o, "SELECT 1");
    expect(&o, ERR_OK);
    assert_int_equal(up_count, 2);
}

static void a_batch_whose_connection_breaks_fails(void **state)
{
    (void)state;
    struct outcome o = {0}, next = {0};

    SEND(&o, "SELECT pg_sleep(60)");
    SEND(&next, "SELECT 1");
    test_loop_run(&t, 100);
    database_run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name "
                 "= 'fuotad'");
    expect(&o, ERR_UNAVAILABLE);
    expect(&next, ERR_OK);
}

static void a_server_that_does_not_answer_is_told_of_and_waited_for(void **state)
{
    (void)state;
    struct outcome o = {0};

    SEND(&o, "SELECT pg_sleep(7)");
    WAIT_UNTIL(&t, down_count == 1);
    assert_non_null(strstr(down_text, "does not answer"));
    assert_int_equal(o.count, 0);
    assert_true(pg_is_connected(pg));
    assert_int_equal(up_count, 1);
    expect(&o, ERR_OK);
    assert_int_equal(up_count, 2);
}

#define RAISE(code) "DO $$BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '" code "'; END$$"

static void a_full_disk_is_told_of_until_a_change_is_taken(void **state)
{
    (void)state;
    struct outcome full = {0}, mistake = {0}, again = {0}, question = {0}, change = {0};

    SEND(&mistake, RAISE("22000"));
    expect(&mistake, ERR_REFUSED);
    assert_int_equal(down_count, 0);
    SEND(&full, "CREATE TABLE x (n integer)", RAISE("53100"));
    expect(&full, ERR_REFUSED);
    assert_int_equal(down_count, 1);
    assert_string_equal(down_text, "no room");
    SEND(&again, RAISE("53100"));
    SEND(&question, "SELECT 1");
    expect(&question, ERR_OK);
    assert_int_equal(down_count, 1);
    assert_int_equal(up_count, 1);
    SEND(&change, "CREATE TABLE x (n integer)");
    expect(&change, ERR_OK);
    assert_int_equal(up_count, 2);
}

/* It listens, and the kernel takes connections for it; nobody ever reads. */
static void a_connection_attempt_without_an_answer_is_given_up(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    char conninfo[100];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    snprintf(conninfo, sizeof(conninfo), "host=127.0.0.1 port=%d dbname=none",
             ntohs(address.sin_port));
    test_loop_open(&t);
    up_count = down_count = 0;
    is_closed = false;
    pg = pg_new(&t.loop, conninfo, on_state, NULL);
    WAIT_UNTIL(&t, down_count == 1);
    assert_string_equal(down_text, "no answer to a connection attempt");
    test_loop_run(&t, 500); /* the next attempt is under way */
    assert_int_equal(close_pg(NULL), 0);
    close(fd);
}

static void closing_drops_what_is_queued(void **state)
{
    (void)state;
    struct outcome under_way = {0}, behind = {0};

    SEND(&under_way, "SELECT pg_sleep(60)");
    SEND(&behind, "SELECT 1");
    test_loop_run(&t, 50);
    pg_close(pg, on_closed, NULL);
    WAIT_UNTIL(&t, is_closed);
    expect(&under_way, ERR_UNAVAILABLE);
    expect(&behind, ERR_UNAVAILABLE);
}

static void closing_before_it_is_connected_is_fine(void **state)
{
    (void)state;
    struct outcome o = {0};

    SEND(&o, "SELECT 1");
    uv_run(&t.loop, UV_RUN_NOWAIT);
    pg_close(pg, on_closed, NULL);
    WAIT_UNTIL(&t, is_closed);
    expect(&o, ERR_UNAVAILABLE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_pg, close_pg)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_database_is_migrated_once),
        cmocka_unit_test(a_database_with_another_or_newer_history_is_refused),
        cmocka_unit_test(a_migration_that_fails_leaves_nothing_behind),
        cmocka_unit_test(no_server_is_unavailable),
        cmocka_unit_test(several_programs_migrate_at_once),
        TEST(a_batch_is_one_transaction),
        TEST(a_unique_constraint_has_a_code_of_its_own),
        TEST(parameters_and_results_are_exact),
        TEST(arrays_arrive_as_they_are),
        TEST(empty_arrays_are_no_rows),
        TEST(a_text_is_parsed_once),
        TEST(a_text_behind_a_failure_is_parsed_when_it_comes_again),
        TEST(more_texts_than_are_kept_work_too),
        TEST(a_table_that_changed_makes_a_new_connection),
        TEST(an_empty_batch_is_done),
        TEST(a_restart_fails_the_batch_under_way_and_the_others_wait),
        TEST(an_idle_connection_that_breaks_is_made_again),
        TEST(a_batch_whose_connection_breaks_fails),
        TEST(a_server_that_does_not_answer_is_told_of_and_waited_for),
        cmocka_unit_test(a_connection_attempt_without_an_answer_is_given_up),
        TEST(a_full_disk_is_told_of_until_a_change_is_taken),
        TEST(closing_drops_what_is_queued),
        TEST(closing_before_it_is_connected_is_fine),
    };
    return cmocka_run_group_tests_name("pg", tests, database_begin, database_end);
}
