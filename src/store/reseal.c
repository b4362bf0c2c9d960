/* reseal.c - multicast keys that are sealed with another key than before. */
#include <stdlib.h>

#include "store_impl.h"

void store_reseal(struct store *store, const struct store_fence *fence,
                  const struct uuid *deployment_id, const char *old_key_id, const char *key_id,
                  const uint8_t *sealed, size_t size, store_done_fn *done, void *arg)
{
    struct pg_batch *batch = pg_batch_new();
    char id[UUID_TEXT_SIZE];
    char *hex = bytea_text(sealed, size);
    const char *params[] = {id, old_key_id, key_id, hex};

    uuid_format(deployment_id, id);
    /* The name of the old seal: whoever sealed it anew meanwhile knew better. */
    pg_add(batch,
           "UPDATE transmission t SET mc_key_id = $3, mc_key_sealed = $4 FROM deployment d WHERE "
           "t.deployment_id = $1 AND t.mc_key_id = $2 AND d.id = t.deployment_id AND d.state = "
           "'running'",
           4, params);
    free(hex);
    store_add_fence(batch, fence);
    store_do(store->writer, batch, 0, ERR_WRONG_STATE, done, arg);
}
