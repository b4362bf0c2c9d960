/* database.h - one database per test, and what asks it from beside the module under test. */
#ifndef TESTS_STORE_DATABASE_H
#define TESTS_STORE_DATABASE_H

#include <stddef.h>

#include "lib/loop.h"
#include "lib/postgres.h"

/* The loop of the running test. */
extern struct test_loop t;

/* Makes an empty database; the conninfo is valid until the next call. */
const char *database_new(void);
/* The same, with the schema in it. */
const char *database_new_migrated(void);
/* Runs `sql` in the database made last, each statement by itself; fails the test on an error. */
void database_run(const char *sql);
/* The first field of the first row, "" without one; valid until the next call. */
const char *database_ask(const char *sql);

/* Group fixtures: the cluster. */
int database_begin(void **state);
int database_end(void **state);

#endif
