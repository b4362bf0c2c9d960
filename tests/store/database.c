#include "store/database.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include "store/migrate.h"

struct test_loop t;
static char current[32] = "postgres";
static bool is_template_made;

static PGresult *run(const char *database, const char *sql)
{
    PGconn *conn = PQconnectdb(postgres_conninfo(database));
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    }
    PQfinish(conn);
    return result;
}

static const char *make(const char *source)
{
    static unsigned number;
    char sql[100];

    snprintf(current, sizeof(current), "test_%u", ++number);
    snprintf(sql, sizeof(sql), "CREATE DATABASE %s TEMPLATE %s", current, source);
    PQclear(run("postgres", sql));
    return postgres_conninfo(current);
}

const char *database_new(void)
{
    return make("template0");
}

const char *database_new_migrated(void)
{
    char text[200];

    if (!is_template_made) {
        PQclear(run("postgres", "CREATE DATABASE migrated"));
        assert_int_equal(migrate(postgres_conninfo("migrated"), text, sizeof(text)), ERR_OK);
        is_template_made = true;
    }
    return make("migrated");
}

void database_run(const char *sql)
{
    PQclear(run(current, sql));
}

const char *database_ask(const char *sql)
{
    static char field[4000];
    PGresult *result = run(current, sql);

    snprintf(field, sizeof(field), "%s", PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    return field;
}

int database_begin(void **state)
{
    (void)state;
    return postgres_begin() ? 0 : -1;
}

int database_end(void **state)
{
    (void)state;
    postgres_end();
    return 0;
}
