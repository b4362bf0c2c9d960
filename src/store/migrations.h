/*
 * migrations.h - the files of migrations/, in order, as the build puts them into the program.
 */
#ifndef STORE_MIGRATIONS_H
#define STORE_MIGRATIONS_H

#include <stddef.h>

struct migration {
    const char *name; /* of the file */
    const char *sql;
};

extern const struct migration migrations[];
extern const size_t migration_count;

#endif
