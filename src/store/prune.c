/* prune.c - what is over long enough loses its timeline. */
#include <inttypes.h>
#include <stdlib.h>

#include "store_impl.h"

/* Rows of one statement: page views wait for it. */
#define ROWS "10000"

struct prune_call {
    store_prune_fn *done;
    void *arg;
};

static void on_pruned(void *arg, enum err err, const char *text, const struct pg_results *results)
{
    struct prune_call *call = arg;
    bool has_more = err == ERR_OK && pg_text(results, 0, 0, 0)[0] == 't';

    call->done(call->arg, err, text, has_more);
    free(call);
}

void store_prune(struct store *store, unsigned days, store_prune_fn *done, void *arg)
{
    struct prune_call *call = store_must(malloc(sizeof(*call)));
    struct pg_batch *batch = pg_batch_new();
    char text[12];
    const char *params[] = {text};

    *call = (struct prune_call){.done = done, .arg = arg};
    snprintf(text, sizeof(text), "%u", days);
    pg_add(batch,
           "WITH old AS (SELECT id FROM deployment WHERE NOT is_pruned AND finished_at < "
           "now() - $1::integer * interval '1 day' ORDER BY finished_at LIMIT 1), "
           "e AS (DELETE FROM event WHERE id IN (SELECT e.id FROM event e JOIN old ON "
           "e.deployment_id = old.id LIMIT " ROWS ") RETURNING 1), "
           "f AS (DELETE FROM frame WHERE ctid = ANY (ARRAY(SELECT f.ctid FROM frame f JOIN old ON "
           "f.deployment_id = old.id LIMIT " ROWS ")) RETURNING 1), "
           "done AS (UPDATE deployment SET is_pruned = true WHERE id IN (SELECT id FROM old) "
           "AND NOT EXISTS (SELECT 1 FROM e) AND NOT EXISTS (SELECT 1 FROM f)) "
           "SELECT EXISTS (SELECT 1 FROM old)",
           1, params);
    pg_add(batch, "DELETE FROM clock_answer WHERE updated_at < now() - interval '2 days'", 0, NULL);
    pg_send(store->reader, batch, on_pruned, call);
}
