/* seals.c - seal keys are replaced while deployments run. */
#include "seals.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "daemon.h"
#include "daemon/log.h"

/* who needs which key */

static struct seal_use *use_of(struct seal_use *uses, size_t *count, const char *id, bool is_known)
{
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(uses[i].id, id) == 0) {
            return &uses[i];
        }
    }
    if (*count == SEAL_USES_MAX) {
        return &uses[SEAL_USES_MAX - 1];
    }
    struct seal_use *use = &uses[(*count)++];
    memset(use, 0, sizeof(*use)); /* padding, too: the whole is compared */
    snprintf(use->id, sizeof(use->id), "%s", id);
    use->is_known = is_known;
    return use;
}

/* The current key comes first, then the old ones. */
static size_t list_keys(const struct daemon *daemon, struct seal_use uses[SEAL_USES_MAX])
{
    const struct seal_keys *keys = &daemon->config.seal_keys;
    char id[SEAL_KEY_ID_SIZE];
    size_t count = 0;

    seal_key_id(keys->current, id);
    use_of(uses, &count, id, true);
    for (size_t i = 0; i < keys->old_count; i++) {
        seal_key_id(keys->old[i], id);
        use_of(uses, &count, id, true);
    }
    return count;
}

/* Those of this daemon's deployments, missing ones at the end. */
static size_t count_uses(const struct daemon *daemon, struct seal_use uses[SEAL_USES_MAX])
{
    size_t count = list_keys(daemon, uses);

    for (const struct running *r = daemon->running; r != NULL; r = r->next) {
        use_of(uses, &count, r->seal_key_id, !r->is_locked)->deployments++;
    }
    return count;
}

static void tell(struct daemon *daemon)
{
    struct seals *seals = &daemon->seals;
    struct seal_use uses[SEAL_USES_MAX];
    size_t count = count_uses(daemon, uses);

    for (size_t i = 1; i < count; i++) { /* of the current one there is nothing to say */
        const struct seal_use *use = &uses[i], *before = NULL;
        for (size_t k = 0; k < seals->told_count; k++) {
            before = strcmp(seals->told[k].id, use->id) == 0 ? &seals->told[k] : before;
        }
        if (before != NULL && before->deployments == use->deployments &&
            before->is_known == use->is_known) {
            continue;
        }
        if (!use->is_known) {
            log_error("seal key: a key is missing key=%s deployments=%zu", use->id,
                      use->deployments);
        } else if (use->deployments > 0) {
            log_info("seal key: an old key is still needed key=%s deployments=%zu", use->id,
                     use->deployments);
        } else {
            log_info("seal key: an old key is not needed any more key=%s", use->id);
        }
    }
    memcpy(seals->told, uses, count * sizeof(*uses));
    seals->told_count = count;
}

void seals_waiting_for(const struct daemon *daemon, struct cJSON *array)
{
    struct seal_use uses[SEAL_USES_MAX];
    size_t count = count_uses(daemon, uses);
    char text[80];

    for (size_t i = 0; i < count; i++) {
        if (!uses[i].is_known) {
            snprintf(text, sizeof(text), "the seal key %.16s (keys.old_seal_key_files)",
                     uses[i].id);
            cJSON_AddItemToArray(array, must(cJSON_CreateString(text)));
        }
    }
}

void seals_describe(const struct daemon *daemon, const struct cJSON *counts, struct cJSON *object)
{
    struct seal_use uses[SEAL_USES_MAX];
    size_t count = list_keys(daemon, uses);
    cJSON *array = must(cJSON_AddArrayToObject(object, "seal_keys"));
    const cJSON *item;

    cJSON_ArrayForEach(item, counts)
    {
        use_of(uses, &count, item->string, false)->deployments = (size_t)item->valuedouble;
    }
    for (size_t i = 0; i < count; i++) {
        cJSON *use = must(cJSON_CreateObject());
        must(cJSON_AddStringToObject(use, "id", uses[i].id));
        must(cJSON_AddBoolToObject(use, "is_current", i == 0));
        must(cJSON_AddBoolToObject(use, "is_known", uses[i].is_known));
        must(cJSON_AddNumberToObject(use, "deployments", (double)uses[i].deployments));
        cJSON_AddItemToArray(array, use);
    }
}

enum err seals_open(const struct daemon *daemon, const struct stored_deployment *stored,
                    struct running *r)
{
    const uint8_t *key = seal_keys_find(&daemon->config.seal_keys, stored->mc_key_id);
    char id[UUID_TEXT_SIZE];

    uuid_format(&r->id, id);
    snprintf(r->seal_key_id, sizeof(r->seal_key_id), "%s", stored->mc_key_id);
    if (key == NULL) {
        log_error("seal key: neither keys.seal_key_file nor keys.old_seal_key_files has the key "
                  "that a deployment needs key=%s deployment=%s",
                  r->seal_key_id, id);
        r->is_locked = true;
        return ERR_MISSING;
    }
    if (stored->mc_key_sealed_size != KEY_SIZE + SEAL_OVERHEAD ||
        unseal(key, stored->mc_key_sealed, stored->mc_key_sealed_size, &r->mc_key) != ERR_OK) {
        log_error("seal key: the seal of a multicast key is broken deployment=%s", id);
        return ERR_FORMAT;
    }
    r->has_mc_key = true;
    return ERR_OK;
}

/* The first one that a key has come for; loading it changes the list. */
static struct running *find_unlocked(const struct daemon *daemon)
{
    struct running *r = daemon->running;

    while (r != NULL && !(r->is_locked && r->slot->state == SLOT_READY &&
                          seal_keys_find(&daemon->config.seal_keys, r->seal_key_id) != NULL)) {
        r = r->next;
    }
    return r;
}

static void load_unlocked(struct daemon *daemon)
{
    struct running *r;

    while ((r = find_unlocked(daemon)) != NULL) {
        struct slot *slot = r->slot;
        struct uuid id = r->id;
        running_drop(daemon, r);
        running_load_one(slot, &id);
    }
}

/* sealing anew */

struct sealing {
    struct daemon *daemon;
    struct uuid id;
    char key_id[SEAL_KEY_ID_SIZE];
};

static void on_sealed(void *arg, enum err err, const char *text)
{
    struct sealing *sealing = arg;
    struct running *r = running_find(sealing->daemon, &sealing->id);
    char id[UUID_TEXT_SIZE];

    uuid_format(&sealing->id, id);
    if (r != NULL) {
        r->is_being_sealed = false;
    }
    if (err == ERR_OK && r != NULL) {
        snprintf(r->seal_key_id, sizeof(r->seal_key_id), "%s", sealing->key_id);
        log_info("seal key: a multicast key was sealed anew key=%s deployment=%s", sealing->key_id,
                 id);
    } else if (err != ERR_OK && err != ERR_WRONG_STATE && !sealing->daemon->is_stopping) {
        /* seals_check() tries again */
        log_warning("seal key: a multicast key was not sealed anew: %s deployment=%s", text, id);
    }
    free(sealing);
}

static void seal_anew(struct daemon *daemon, struct running *r)
{
    const uint8_t *key = daemon->config.seal_keys.current;
    uint8_t sealed[KEY_SIZE + SEAL_OVERHEAD];
    struct sealing *sealing = must(malloc(sizeof(*sealing)));

    *sealing = (struct sealing){.daemon = daemon, .id = r->id};
    seal_key_id(key, sealing->key_id);
    if (seal(key, &r->mc_key, sizeof(r->mc_key), sealed) != ERR_OK) {
        log_error("seal key: a multicast key could not be sealed");
        free(sealing);
        return;
    }
    r->is_being_sealed = true;
    struct store_fence fence = slot_fence(r->slot);
    store_reseal(daemon->store, &fence, &r->id, r->seal_key_id, sealing->key_id, sealed,
                 sizeof(sealed), on_sealed, sealing);
}

void seals_check(struct daemon *daemon)
{
    char current[SEAL_KEY_ID_SIZE];

    if (daemon->must_reload || daemon->is_stopping || !store_is_connected(daemon->store)) {
        return;
    }
    load_unlocked(daemon);
    seal_key_id(daemon->config.seal_keys.current, current);
    for (struct running *r = daemon->running; r != NULL; r = r->next) {
        if (r->has_mc_key && !r->is_being_sealed && slot_is_ours(r->slot) &&
            strcmp(r->seal_key_id, current) != 0) {
            seal_anew(daemon, r);
        }
    }
    tell(daemon);
}

void seals_reload(struct daemon *daemon, struct config *config)
{
    struct seal_keys *keys = &daemon->config.seal_keys;
    char id[SEAL_KEY_ID_SIZE];

    if (config_load_secrets(config, stderr) != ERR_OK) {
        log_error("seal key: the secrets cannot be read, the keys stay as they were");
        return;
    }
    if (memcmp(keys, &config->seal_keys, sizeof(*keys)) != 0) {
        *keys = config->seal_keys; /* config_release() wipes the other copy */
        seal_key_id(keys->current, id);
        log_info("seal key: replaced key=%s old=%zu", id, keys->old_count);
    }
}
