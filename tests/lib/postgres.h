/* postgres.h - a private PostgreSQL for a test, in a folder of its own, on no network. */
#ifndef TESTS_LIB_POSTGRES_H
#define TESTS_LIB_POSTGRES_H

#include <stdbool.h>
#include <stddef.h>

/* Makes the cluster and starts it; false when PostgreSQL is not there or does not come up. */
bool postgres_begin(void);
/* Stops it (fast: sessions are ended) and starts it again. */
void postgres_stop(void);
bool postgres_start(void);
/* Stops it and removes the folder. */
void postgres_end(void);

/* How to reach the database `name`; valid until the next call. */
const char *postgres_conninfo(const char *name);

#endif
