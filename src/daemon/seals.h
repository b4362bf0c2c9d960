/*
 * seals.h - multicast keys under a seal key that is being replaced.
 *
 * What an old key seals is opened with it when it is loaded, and sealed anew with the current one
 * soon after; what no key opens is not loaded, and waits until its key is given back. Both work
 * while deployments run.
 */
#ifndef DAEMON_SEALS_H
#define DAEMON_SEALS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/hex.h"
#include "daemon/secrets.h"

#define SEAL_USES_MAX 128

struct cJSON;
struct config;
struct daemon;
struct running;
struct stored_deployment;

/* A seal key, and how many running deployments need it. */
struct seal_use {
    char id[SEAL_KEY_ID_SIZE];
    bool is_known;
    size_t deployments;
};

struct seals {
    struct seal_use told[SEAL_USES_MAX]; /* what the log said last */
    size_t told_count;
};

/*
 * Opens the multicast key of `stored` into `r`, whose id is set.
 *
 * ERR_MISSING  its seal key is not there: `r` is locked, and loaded again when the key comes
 * ERR_FORMAT   the seal is broken
 */
MUST_CHECK enum err seals_open(const struct daemon *daemon, const struct stored_deployment *stored,
                               struct running *r);
/* Seals anew what is under an old key, loads what waited for one, and tells the log what changed.
 * To be called from time to time. */
void seals_check(struct daemon *daemon);
/* Takes over the seal keys that `config` names. What cannot be read leaves the keys as they are. */
void seals_reload(struct daemon *daemon, struct config *config);

/* Keys that are missing here, as texts for "waiting_for"; all keys, as "seal_keys" of the status,
 * with the `counts` of the whole database: {id: deployments}, NULL where they are not known. */
void seals_waiting_for(const struct daemon *daemon, struct cJSON *array);
void seals_describe(const struct daemon *daemon, const struct cJSON *counts, struct cJSON *object);

#endif
