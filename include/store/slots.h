/*
 * slots.h - who owns what: leases of slots, the daemons that live, and what they tell each other.
 *
 * Work is divided into slots, all of an application in one. A slot is a row with an owner, an epoch
 * that grows with each owner, and a lease that ends by the database's clock. The owner renews it;
 * whoever finds it free or ended takes it. A commit that names an old epoch fails
 * (store_turn_fence()), so that an owner who slept through its lease can write nothing.
 *
 * All calls go through a connection of their own, so that no slow commit and no page view lets a
 * lease end. Callbacks as in store.h.
 */
#ifndef STORE_SLOTS_H
#define STORE_SLOTS_H

#include "store/store.h"

/* The slot of an application. The column deployment.slot_index is made the same way. */
unsigned store_slot_of(const struct uuid *application_id);

struct store_slot {
    uint64_t epoch;
    bool is_mine;      /* by its row; a restarted daemon finds its predecessor's */
    bool is_free;      /* nobody's, or its lease has ended */
    uint32_t lease_ms; /* until the lease ends; 0 where is_free */
};

struct store_slots {
    struct store_slot slots[STORE_SLOT_COUNT];
    unsigned instance_count; /* daemons that live, this one included */
};

typedef void store_slots_fn(void *arg, enum err err, const char *text,
                            const struct store_slots *slots);
/*
 * Says that `instance` lives, renews its leases (`epochs`: of each slot, 0 where it holds none)
 * until `lease_ms` from now, and reads all slots.
 */
void store_slots_renew(struct store *store, const struct uuid *instance, const char *name,
                       uint32_t lease_ms, const uint64_t epochs[STORE_SLOT_COUNT],
                       store_slots_fn *done, void *arg);

/* `epoch`: the new one. ERR_WRONG_STATE: somebody was faster. */
typedef void store_take_fn(void *arg, enum err err, const char *text, uint64_t epoch);
/*
 * Takes slot `slot` if it is still as it was read with `epoch`. Where another daemon held it and
 * did not leave it, its running deployments are marked (transmission.is_taken_over), because that
 * daemon may still speak to their multicast groups.
 */
void store_slot_take(struct store *store, const struct uuid *instance, uint32_t lease_ms,
                     unsigned slot, uint64_t epoch, store_take_fn *done, void *arg);
/* Gives slots back (`epochs` as above) and tells the others; with `is_end` the instance is
 * forgotten, too. */
void store_slots_leave(struct store *store, const struct uuid *instance,
                       const uint64_t epochs[STORE_SLOT_COUNT], bool is_end, store_done_fn *done,
                       void *arg);

/* What daemons tell each other. Nothing is certain to arrive: ask the database from time to time.
 */
struct store_news {
    void (*on_slots)(void *arg);                             /* slots were given back */
    void (*on_request)(void *arg, unsigned slot);            /* a wish came for this slot */
    void (*on_change)(void *arg, const char *deployment_id); /* what readers see has changed */
};
void store_listen(struct store *store, const struct store_news *news, void *arg);
/* Tells all daemons, this one included, that these deployments changed. */
void store_tell_changes(struct store *store, const struct uuid *deployment_ids, size_t count);

#endif
