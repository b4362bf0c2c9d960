/* pg_impl.h - batches and results, shared by the pg_*.c files. Not for others. */
#ifndef STORE_PG_IMPL_H
#define STORE_PG_IMPL_H

#include <libpq-fe.h>

#include "store/pg.h"

struct statement {
    char *sql;
    size_t param_count;
    char *params[PG_PARAMS_MAX];
    int sizes[PG_PARAMS_MAX];   /* of binary ones */
    int formats[PG_PARAMS_MAX]; /* 1: binary */
};

struct pg_batch {
    struct pg_batch *next;
    struct statement *statements;
    size_t count, capacity;
    pg_done_fn *done;
    void *arg;
};

struct pg_results {
    PGresult **items;
    size_t count;
};

/* Ends the program without memory. */
void *pg_must(void *memory);

#endif
