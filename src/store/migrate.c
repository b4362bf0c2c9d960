#include "store/migrate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "migrations.h" /* generated from migrations/ */

/* Any constant that no other program uses. */
#define LOCK_SQL "SELECT pg_advisory_xact_lock(7310017201)"

static enum err run(PGconn *conn, const char *sql, char *text, size_t text_size)
{
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);
    enum err err = ERR_OK;

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        snprintf(text, text_size, "%s", PQerrorMessage(conn));
        err = PQstatus(conn) == CONNECTION_OK ? ERR_REFUSED : ERR_UNAVAILABLE;
    }
    PQclear(result);
    return err;
}

/* ERR_OK: is there already; ERR_MISSING: to be applied. */
static enum err look_up(PGconn *conn, const struct migration *m, char *text, size_t text_size)
{
    const char *params[] = {m->name};
    PGresult *result = PQexecParams(conn, "SELECT sql FROM fuotad.migration WHERE name = $1", 1,
                                    NULL, params, NULL, NULL, 0);
    enum err err = ERR_OK;

    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        snprintf(text, text_size, "%s", PQerrorMessage(conn));
        err = ERR_REFUSED;
    } else if (PQntuples(result) == 0) {
        err = ERR_MISSING;
    } else if (strcmp(PQgetvalue(result, 0, 0), m->sql) != 0) {
        snprintf(text, text_size, "migration %s was applied with other contents", m->name);
        err = ERR_REFUSED;
    }
    PQclear(result);
    return err;
}

static enum err apply(PGconn *conn, const struct migration *m, char *text, size_t text_size)
{
    const char *params[] = {m->name, m->sql};
    enum err err = run(conn, m->sql, text, text_size);

    if (err != ERR_OK) {
        return err;
    }
    PGresult *result =
        PQexecParams(conn, "INSERT INTO fuotad.migration (name, sql) VALUES ($1, $2)", 2, NULL,
                     params, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        snprintf(text, text_size, "%s", PQerrorMessage(conn));
        err = ERR_REFUSED;
    }
    PQclear(result);
    return err;
}

static enum err check_not_newer(PGconn *conn, char *text, size_t text_size)
{
    PGresult *result = PQexec(conn, "SELECT count(*) FROM fuotad.migration");
    enum err err = ERR_OK;

    if (PQresultStatus(result) == PGRES_TUPLES_OK &&
        strtoul(PQgetvalue(result, 0, 0), NULL, 10) > migration_count) {
        snprintf(text, text_size, "the database is newer than this program");
        err = ERR_REFUSED;
    }
    PQclear(result);
    return err;
}

static void ignore_notice(void *arg, const PGresult *result)
{
    (void)arg, (void)result;
}

enum err migrate(const char *conninfo, char *text, size_t text_size)
{
    PGconn *conn = PQconnectdb(conninfo);
    size_t applied = 0;
    enum err err;

    if (PQstatus(conn) != CONNECTION_OK) {
        snprintf(text, text_size, "%s", PQerrorMessage(conn));
        err = ERR_UNAVAILABLE;
        goto out;
    }
    PQsetNoticeReceiver(conn, ignore_notice, NULL);
    err = run(conn,
              "BEGIN; " LOCK_SQL "; CREATE SCHEMA IF NOT EXISTS fuotad; "
              "SET LOCAL search_path = fuotad; "
              "CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY, sql text NOT NULL, "
              "applied_at timestamptz NOT NULL DEFAULT now())",
              text, text_size);
    for (size_t i = 0; i < migration_count && err == ERR_OK; i++) {
        err = look_up(conn, &migrations[i], text, text_size);
        if (err == ERR_MISSING) {
            err = apply(conn, &migrations[i], text, text_size);
            applied += err == ERR_OK;
        }
    }
    if (err == ERR_OK) {
        err = check_not_newer(conn, text, text_size);
    }
    if (err == ERR_OK) {
        err = run(conn, "COMMIT", text, text_size);
    }
    if (err == ERR_OK) {
        snprintf(text, text_size, "%zu of %zu migrations applied", applied, migration_count);
    }
out:
    PQfinish(conn);
    return err;
}
