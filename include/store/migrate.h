/*
 * migrate.h - brings the schema of the database up to date. Blocks: for the start of the program.
 */
#ifndef STORE_MIGRATE_H
#define STORE_MIGRATE_H

#include <stddef.h>

#include "base/err.h"

/*
 * Applies the migrations that are missing, under an advisory lock. `text` gets what happened, for
 * people.
 *
 * ERR_UNAVAILABLE  no connection
 * ERR_REFUSED      a migration failed, or the database has another or a newer history than this
 * program
 */
MUST_CHECK enum err migrate(const char *conninfo, char *text, size_t text_size);

#endif
