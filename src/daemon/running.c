/* running.c - the deployments in memory: finding, loading and dropping them. */
#include <stdlib.h>
#include <string.h>

#include "crash.h"
#include "daemon.h"
#include "daemon/log.h"
#include "failpoint.h"

#define NOT_IN_HEAP   SIZE_MAX
#define ENTRIES_FIRST 1024
#define UNUSABLE      "what is stored of it cannot be used"

/* the heap of deadlines */

static bool is_earlier(const struct running *a, const struct running *b)
{
    return deployment_deadline(a->d) < deployment_deadline(b->d);
}

static void put(struct daemon *daemon, size_t at, struct running *r)
{
    daemon->deadlines[at] = r;
    r->deadline_at = at;
}

static void move_up(struct daemon *daemon, size_t at)
{
    struct running *r = daemon->deadlines[at];

    while (at > 0 && is_earlier(r, daemon->deadlines[(at - 1) / 2])) {
        put(daemon, at, daemon->deadlines[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(daemon, at, r);
}

static void move_down(struct daemon *daemon, size_t at)
{
    struct running *r = daemon->deadlines[at];

    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < daemon->deadline_count &&
            is_earlier(daemon->deadlines[child + 1], daemon->deadlines[child])) {
            child++;
        }
        if (child >= daemon->deadline_count || !is_earlier(daemon->deadlines[child], r)) {
            break;
        }
        put(daemon, at, daemon->deadlines[child]);
        at = child;
    }
    put(daemon, at, r);
}

static void remove_deadline(struct daemon *daemon, struct running *r)
{
    size_t at = r->deadline_at;

    if (at == NOT_IN_HEAP) {
        return;
    }
    r->deadline_at = NOT_IN_HEAP;
    struct running *last = daemon->deadlines[--daemon->deadline_count];
    if (at < daemon->deadline_count) {
        put(daemon, at, last);
        move_up(daemon, at);
        move_down(daemon, last->deadline_at);
    }
}

void running_plan(struct daemon *daemon, struct running *r)
{
    if (deployment_deadline(r->d) == DEPLOYMENT_NEVER) {
        remove_deadline(daemon, r);
        return;
    }
    if (r->deadline_at == NOT_IN_HEAP) {
        if (daemon->deadline_count == daemon->deadline_capacity) {
            daemon->deadline_capacity =
                daemon->deadline_capacity == 0 ? 16 : 2 * daemon->deadline_capacity;
            daemon->deadlines = must(
                realloc(daemon->deadlines, daemon->deadline_capacity * sizeof(*daemon->deadlines)));
        }
        put(daemon, daemon->deadline_count++, r);
    }
    move_up(daemon, r->deadline_at);
    move_down(daemon, r->deadline_at);
}

struct running *running_first(const struct daemon *daemon)
{
    return daemon->deadline_count > 0 ? daemon->deadlines[0] : NULL;
}

/* finding */

static struct running **bucket_of(struct daemon *daemon, const struct uuid *id)
{
    return &daemon->by_id[id->octets[0]];
}

struct running *running_find(struct daemon *daemon, const struct uuid *id)
{
    struct running *r = *bucket_of(daemon, id);

    while (r != NULL && memcmp(&r->id, id, sizeof(*id)) != 0) {
        r = r->next_by_id;
    }
    return r;
}

static uint64_t entry_eui(const struct device_entry *entry)
{
    const struct running *r = entry->r;

    return r->d != NULL ? deployment_get_device(r->d, entry->device_index)->dev_eui
                        : r->dev_euis[entry->device_index];
}

static size_t hash_of(const struct daemon *daemon, uint64_t dev_eui)
{
    return (size_t)(dev_eui * 0x9E3779B97F4A7C15u >> 20) & (daemon->entry_capacity - 1);
}

struct running *running_of_device(const struct daemon *daemon, uint64_t dev_eui, size_t *cursor,
                                  uint32_t *ret_index)
{
    if (daemon->entry_capacity == 0) {
        return NULL;
    }
    for (size_t at = hash_of(daemon, dev_eui) + *cursor;; at++) {
        const struct device_entry *entry = &daemon->entries[at & (daemon->entry_capacity - 1)];
        (*cursor)++;
        if (entry->r == NULL) {
            return NULL;
        }
        if (entry_eui(entry) == dev_eui) {
            *ret_index = entry->device_index;
            return entry->r;
        }
    }
}

static void add_entry(struct daemon *daemon, const struct device_entry *entry)
{
    size_t at = hash_of(daemon, entry_eui(entry));

    while (daemon->entries[at].r != NULL) {
        at = (at + 1) & (daemon->entry_capacity - 1);
    }
    daemon->entries[at] = *entry;
}

/* Makes the table anew, with room for `more` devices and without those of `gone`. */
static void rebuild_entries(struct daemon *daemon, size_t more, const struct running *gone)
{
    struct device_entry *old = daemon->entries;
    size_t old_capacity = daemon->entry_capacity, count = more;

    for (size_t i = 0; i < old_capacity; i++) {
        count += old[i].r != NULL && old[i].r != gone;
    }
    daemon->entry_count = count - more;
    daemon->entry_capacity = count > 0 ? ENTRIES_FIRST : 0;
    while (daemon->entry_capacity < 2 * count) {
        daemon->entry_capacity *= 2;
    }
    daemon->entries =
        count > 0 ? must(calloc(daemon->entry_capacity, sizeof(*daemon->entries))) : NULL;
    for (size_t i = 0; i < old_capacity; i++) {
        if (old[i].r != NULL && old[i].r != gone) {
            add_entry(daemon, &old[i]);
        }
    }
    free(old);
}

static void add_devices(struct daemon *daemon, struct running *r)
{
    if (2 * (daemon->entry_count + r->device_count) > daemon->entry_capacity) {
        rebuild_entries(daemon, r->device_count, NULL);
    }
    for (uint32_t i = 0; i < r->device_count; i++) {
        add_entry(daemon, &(struct device_entry){.r = r, .device_index = i});
    }
    daemon->entry_count += r->device_count;
}

/* dropping */

static void free_running(struct running *r)
{
    key_wipe(&r->mc_key, sizeof(r->mc_key));
    key_wipe(&r->session_keys, sizeof(r->session_keys));
    free(r->memory);
    free(r->dev_euis);
    free(r->image);
    free(r->lorawan_versions);
    free(r->floods);
    free(r);
}

/* It is in no list any more. */
static void forget(struct daemon *daemon, struct running *r)
{
    struct running **at = bucket_of(daemon, &r->id);

    while (*at != r) {
        at = &(*at)->next_by_id;
    }
    *at = r->next_by_id;
    engine_forget(daemon, r);
    remove_deadline(daemon, r);
    rebuild_entries(daemon, 0, r);
    free_running(r);
}

void running_drop(struct daemon *daemon, struct running *gone)
{
    for (struct running **r = &daemon->running; *r != NULL; r = &(*r)->next) {
        if (*r == gone) {
            *r = gone->next;
            forget(daemon, gone);
            return;
        }
    }
}

void running_drop_slot(struct daemon *daemon, struct slot *slot)
{
    struct running **r = &daemon->running;

    while (*r != NULL) {
        struct running *gone = *r;
        if (gone->slot == slot) {
            *r = gone->next;
            forget(daemon, gone);
        } else {
            r = &gone->next;
        }
    }
}

void running_release(struct daemon *daemon)
{
    for (unsigned i = 0; i < STORE_SLOT_COUNT; i++) {
        running_drop_slot(daemon, &daemon->slots[i]);
    }
    free(daemon->entries);
    free(daemon->deadlines);
}

/* loading */

static void keep(struct daemon *daemon, struct running *r)
{
    struct running **bucket = bucket_of(daemon, &r->id);

    r->next = daemon->running;
    daemon->running = r;
    r->next_by_id = *bucket;
    *bucket = r;
    add_devices(daemon, r);
}

static enum err open_keys(const struct daemon *daemon, const struct stored_deployment *stored,
                          struct running *r)
{
    enum err err = seals_open(daemon, stored, r);

    return err != ERR_OK ? err
                         : key_mc_session(&r->mc_key, stored->params.mc_addr, &r->session_keys);
}

static enum err open_state(struct stored_deployment *stored, struct running *r)
{
    r->image = stored->image;
    stored->image = NULL;
    enum err err = fec_block_init(&r->block, FEC_V1, r->image, stored->image_size,
                                  stored->params.fragment_size);
    if (err != ERR_OK) {
        return err;
    }
    r->memory = must(malloc(deployment_size(r->device_count)));
    if (stored->is_new) {
        r->d = deployment_init(r->memory, &stored->params, stored->devices);
        return ERR_OK;
    }
    return deployment_restore(r->memory, &stored->params, &stored->transmission, stored->devices,
                              &r->d);
}

static void copy_euis(const struct stored_deployment *stored, struct running *r)
{
    r->dev_euis = must(calloc((size_t)r->device_count + 1, sizeof(*r->dev_euis)));
    for (uint32_t i = 0; i < r->device_count; i++) {
        r->dev_euis[i] = stored->devices[i].dev_eui;
    }
}

/* Suspended (`d` is NULL) where it may not or cannot be stepped: *ret_text says why. */
static struct running *make_running(struct slot *slot, struct stored_deployment *stored,
                                    const char **ret_text)
{
    struct running *r = must(calloc(1, sizeof(*r)));

    r->slot = slot;
    r->id = stored->id;
    r->application_id = stored->application_id;
    r->generation = ++slot->daemon->next_generation;
    r->device_count = stored->params.device_count;
    r->deadline_at = NOT_IN_HEAP;
    r->crash_count = stored->crash_count;
    r->floods = must(calloc((size_t)r->device_count + 1, sizeof(*r->floods)));
    enum err err = open_keys(slot->daemon, stored, r); /* if suspended, too: it is sealed anew */
    if (stored->suspended != NULL) {
        *ret_text = stored->suspended;
    } else if (err != ERR_OK) {
        *ret_text = r->is_locked ? "the seal key of its multicast key is missing"
                                 : "its multicast key cannot be opened";
    } else if (open_state(stored, r) != ERR_OK) {
        *ret_text = UNUSABLE;
        suspended_set(slot, &r->id, UNUSABLE);
    }
    if (r->d == NULL) {
        copy_euis(stored, r);
    }
    r->lorawan_versions = stored->lorawan_versions;
    stored->lorawan_versions = NULL;
    return r;
}

struct load_call {
    struct slot *slot;
    struct uuid id;
    uint64_t load_number;
    bool is_single; /* nobody waits for it */
};

static void load_ended(struct slot *slot, bool is_single)
{
    if (is_single) {
        if (slot->state == SLOT_READY) {
            slot_set_applications(slot);
        }
    } else if (--slot->loads_left == 0 && slot->state == SLOT_LOADING) {
        slot_is_loaded(slot);
    }
}

static void begin(struct daemon *daemon, struct running *r, bool is_new, bool is_resumed)
{
    char id[UUID_TEXT_SIZE];

    uuid_format(&r->id, id);
    log_info("deployment: %s state=%s deployment=%s",
             is_new       ? "begins"
             : is_resumed ? "is resumed"
                          : "goes on",
             transmission_state_name(deployment_get_transmission(r->d)->state), id);
    engine_step(daemon, r,
                &(struct deployment_event){
                    .kind = is_new ? DEPLOYMENT_EVENT_BEGIN : DEPLOYMENT_EVENT_RESTORED,
                    .u.settle_ms = daemon->config.grpc_deadline_ms,
                });
    suspended_replay(daemon, r);
}

static void on_load(void *arg, enum err err, const char *text, struct stored_deployment *stored)
{
    struct load_call call = *(struct load_call *)arg;
    struct slot *slot = call.slot;
    struct daemon *daemon = slot->daemon;
    char id[UUID_TEXT_SIZE];

    free(arg);
    uuid_format(&call.id, id);
    if (call.load_number != slot->load_number) {
        return; /* of an earlier loading: the one under way brings it again */
    }
    if (err == ERR_UNAVAILABLE) {
        log_error("deployment: cannot be loaded: %s deployment=%s", text, id);
        daemon->must_reload = true;
        return;
    }
    if (err != ERR_OK) {
        log_error("deployment: cannot be loaded: %s deployment=%s", text, id);
        if (err == ERR_FORMAT) {
            suspended_set(slot, &call.id, UNUSABLE);
        }
        load_ended(slot, call.is_single);
        return;
    }
    bool is_new = stored->is_new;
    if (running_find(daemon, &stored->id) == NULL) {
        crash_enter_load(&stored->id);
        struct running *r = make_running(slot, stored, &text);
        crash_leave();
        keep(daemon, r);
        FAILPOINT(LOADED);
        if (r->d == NULL) {
            log_error("deployment: it is suspended: %s deployment=%s", text, id);
        } else {
            begin(daemon, r, is_new, call.is_single);
        }
    }
    load_ended(slot, call.is_single);
}

static void load(struct slot *slot, const struct uuid *id, bool is_single)
{
    struct load_call *call = must(malloc(sizeof(*call)));

    *call = (struct load_call){
        .slot = slot, .id = *id, .load_number = slot->load_number, .is_single = is_single};
    slot->loads_left += !is_single;
    store_load(slot->daemon->store, id, on_load, call);
}

void running_load_one(struct slot *slot, const struct uuid *id)
{
    load(slot, id, true);
}

static void on_running(void *arg, enum err err, const char *text, const struct uuid *ids,
                       size_t count)
{
    struct load_call call = *(struct load_call *)arg;
    struct slot *slot = call.slot;

    free(arg);
    if (call.load_number != slot->load_number) {
        return;
    }
    if (err != ERR_OK) {
        log_error("store: the running deployments cannot be listed: %s", text);
        slot->daemon->must_reload = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        load(slot, &ids[i], false);
    }
    load_ended(slot, false); /* of this function itself */
}

void running_load_slot(struct slot *slot)
{
    struct load_call *call = must(malloc(sizeof(*call)));

    slot->state = SLOT_LOADING;
    slot->loads_left = 1;
    *call = (struct load_call){.slot = slot, .load_number = ++slot->load_number};
    store_list_running(slot->daemon->store, slot->index, on_running, call);
}
