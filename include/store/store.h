/*
 * store.h - what must survive: deployments, their devices and frames, images, requests, the
 * timeline.
 *
 * Two connections: one writes the turns in their order, one serves reads, so that no page view
 * waits for a commit. All callbacks run on the loop, later than the call; texts and results are
 * valid during the callback. Errors of every callback: ERR_UNAVAILABLE (the connection broke;
 * whether it took effect is unknown), ERR_EXISTS (a unique constraint), ERR_REFUSED (any other
 * error of the database; `text` has its words), ERR_MISSING (no such row).
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hex.h"
#include "deployment/deployment.h"

struct uv_loop_s;
struct store;

/* slots.h; the column deployment.slot_index and the table slot have it, too. */
#define STORE_SLOT_COUNT        16
#define STORE_HELD_GATEWAYS_MAX 8

/* Which owner of a slot speaks: a call with a fence changes nothing once somebody else owns it. */
struct store_fence {
    unsigned slot;
    uint64_t epoch;
};

typedef void store_done_fn(void *arg, enum err err, const char *text);
/* `json` is one JSON value. */
typedef void store_json_fn(void *arg, enum err err, const char *text, const char *json);

/* `on_state` as pg.h's, for the writing connection. */
struct store *store_new(struct uv_loop_s *loop, const char *conninfo,
                        void (*on_state)(void *arg, const char *text), void *arg);
void store_close(struct store *store, void (*cb)(void *arg), void *arg);
bool store_is_connected(const struct store *store);

/* ------------------------------------------------------------------ turns: what one turn of the
 * loop changes */

struct store_turn;

/* An event of the network server as it came; see network/driver.h. */
struct store_held_event {
    int64_t id; /* of the row; not read when it is stored */
    int kind;
    uint64_t dev_eui;
    struct uuid item_id;
    int64_t received_ms;
    uint8_t f_port;
    const uint8_t *data;
    size_t data_size;
    const uint64_t *gateways;
    size_t gateway_count; /* at most STORE_HELD_GATEWAYS_MAX */
};

struct store_turn *store_turn_new(void);
void store_turn_free(struct store_turn *turn); /* of a turn that is not committed */
bool store_turn_is_empty(const struct store_turn *turn);
/* The commit fails with ERR_WRONG_STATE, and changes nothing, unless the slot has this epoch. */
void store_turn_fence(struct store_turn *turn, const struct store_fence *fence);
/* Everything `d` changed since it was asked last, with its notes; `dev_eui`s come from its devices.
 */
void store_turn_save(struct store_turn *turn, const struct uuid *deployment_id,
                     struct deployment *d);
/* Only its notes: a deployment keeps a limited number, so they are taken after each step. */
void store_turn_save_notes(struct store_turn *turn, const struct uuid *deployment_id,
                           struct deployment *d);
/* The frame that an action asks for. */
void store_turn_frame(struct store_turn *turn, const struct uuid *deployment_id,
                      const struct deployment *d, const struct deployment_action *action);
/* The deployment is over: its sealed multicast key goes, too. */
void store_turn_finish(struct store_turn *turn, const struct uuid *deployment_id,
                       const char *state);
/* It is not in memory (scheduled, or cannot be loaded): it ends all the same, unless it is over
 * already. */
void store_turn_abort(struct store_turn *turn, const struct uuid *deployment_id);
void store_turn_request_done(struct store_turn *turn, const struct uuid *request_id, bool is_done,
                             const char *detail, const char *problems_json);
/* An event for a suspended deployment, kept until it is resumed. */
void store_turn_hold_event(struct store_turn *turn, const struct uuid *deployment_id,
                           const struct store_held_event *event);
/* Held events up to that id were carried out. */
void store_turn_drop_held(struct store_turn *turn, const struct uuid *deployment_id,
                          int64_t last_id);
/* The deployment went well for long: its crashes are forgotten. */
void store_turn_forgive(struct store_turn *turn, const struct uuid *deployment_id);
void store_turn_version_known(struct store_turn *turn, uint64_t dev_eui, int version);
void store_turn_clock_answer(struct store_turn *turn, uint64_t dev_eui, uint32_t f_cnt);
/* Takes the turn and commits it. */
void store_turn_commit(struct store *store, struct store_turn *turn, store_done_fn *done,
                       void *arg);

/* ------------------------------------------------------------------ loading */

/* A deployment as it was stored. */
struct stored_deployment {
    struct uuid id;
    struct uuid application_id;
    char *name;
    struct deployment_params params;
    struct transmission transmission;
    struct device *devices;
    uint8_t *lorawan_versions; /* one for each device: enum lorawan_version */
    char *mc_key_id;
    uint8_t *mc_key_sealed;
    size_t mc_key_sealed_size;
    uint8_t *image;
    size_t image_size;
    bool is_new; /* its first event is BEGIN */
    unsigned crash_count;
    char *suspended; /* why it must not be stepped; NULL: it may. Only ids and devices are read then
                      */
};
/* Frees what it holds, not itself. */
void stored_deployment_release(struct stored_deployment *stored);

/* `ids` of the running deployments. */
typedef void store_ids_fn(void *arg, enum err err, const char *text, const struct uuid *ids,
                          size_t count);
void store_list_running(struct store *store, unsigned slot, store_ids_fn *done, void *arg);
/* `stored` belongs to the callee, who may move it away. ERR_FORMAT: a column holds what this
 * program never writes. */
typedef void store_load_fn(void *arg, enum err err, const char *text,
                           struct stored_deployment *stored);
void store_load(struct store *store, const struct uuid *id, store_load_fn *done, void *arg);

/*
 * The daemon came down while it worked on this deployment: counts it, and suspends it for `text`
 * where that makes `suspend_count`. ERR_MISSING: it is not running.
 */
void store_report_crash(struct store *store, const char *deployment_id, unsigned suspend_count,
                        const char *text, store_done_fn *done, void *arg);
/* What is stored of it cannot be used: suspends it for `text`. */
void store_suspend(struct store *store, const struct store_fence *fence,
                   const struct uuid *deployment_id, const char *text, store_done_fn *done,
                   void *arg);
/* Ends the suspension and its crash count, and the request. */
void store_resume(struct store *store, const struct store_fence *fence,
                  const struct uuid *deployment_id, const struct uuid *request_id,
                  store_done_fn *done, void *arg);
/* The events held for it, oldest first, at most `max`. */
typedef void store_held_fn(void *arg, enum err err, const char *text,
                           const struct store_held_event *events, size_t count);
void store_load_held(struct store *store, const struct uuid *deployment_id, unsigned max,
                     store_held_fn *done, void *arg);
/* Replaces the seal of a multicast key that `old_key_id` made. ERR_WRONG_STATE: the key is not
 * sealed so (any more), or the deployment is over. */
void store_reseal(struct store *store, const struct store_fence *fence,
                  const struct uuid *deployment_id, const char *old_key_id, const char *key_id,
                  const uint8_t *sealed, size_t size, store_done_fn *done, void *arg);

/* Clock answers given: the last FCnt of each device, for "never twice" across restarts. */
typedef void store_clock_fn(void *arg, enum err err, const char *text, size_t count,
                            const uint64_t *dev_euis, const uint32_t *f_cnts);
void store_load_clock_answers(struct store *store, store_clock_fn *done, void *arg);

/* ------------------------------------------------------------------ starting */

/* What the preflight found out. */
struct store_start {
    struct store_fence fence;
    struct uuid deployment_id, request_id;
    struct deployment_params params;
    const struct device *devices; /* params.device_count, in the order of device_index */
    const uint8_t *lorawan_versions;
    const char *mc_key_id;
    const uint8_t *mc_key_sealed;
    size_t mc_key_sealed_size;
    const char *plan_json;     /* wish_plan_json() */
    const char *warnings_json; /* problems that do not keep it from starting */
};
/* Makes the deployment running and the request done. ERR_WRONG_STATE: it is not a draft (any more).
 */
void store_start(struct store *store, const struct store_start *start, store_done_fn *done,
                 void *arg);
/* The preflight went well, and the start lies ahead: the deployment is scheduled and the request
 * done. */
void store_schedule(struct store *store, const struct store_fence *fence,
                    const struct uuid *deployment_id, const struct uuid *request_id,
                    store_done_fn *done, void *arg);
/* Makes start requests of scheduled deployments whose time `now_ms` has come, in the slots of this
 * instance: JSON as store_request_open(). */
void store_request_due(struct store *store, const struct uuid *instance, int64_t now_ms,
                       store_json_fn *done, void *arg);
/* The preflight found problems: kept with the deployment, the request failed. */
void store_start_failed(struct store *store, const struct store_fence *fence,
                        const struct uuid *deployment_id, const struct uuid *request_id,
                        const char *detail, const char *problems_json, store_done_fn *done,
                        void *arg);

/* A plan was asked for: kept with the request, which is done, or failed where there are problems.
 * `plan_json` NULL: there is none. */
void store_planned(struct store *store, const struct store_fence *fence,
                   const struct uuid *request_id, bool is_done, const char *problems_json,
                   const char *plan_json, store_done_fn *done, void *arg);

/* ------------------------------------------------------------------ airtime */

struct store_airtime {
    const uint64_t *gateways; /* 1 .. DEPLOYMENT_GATEWAYS_MAX */
    size_t gateway_count;
    const char *band; /* region_band_name() */
    int64_t now_ms;   /* protocol time from which the frame may be on air */
    int64_t airtime_ms;
    int64_t busy_ms; /* until the gateways have sent it */
    int64_t duty_ms; /* its airtime, by the share of time that is allowed */
};
/* `start_ms` 0 with an error. */
typedef void store_airtime_fn(void *arg, enum err err, const char *text, int64_t start_ms);
/* Books a frame in the ledger that all daemons share; `start_ms` is when it may be on air, at
 * now_ms or later. */
void store_book_airtime(struct store *store, const struct store_airtime *frame,
                        store_airtime_fn *done, void *arg);
/* JSON {"gateways": [{"gateway_id", "band", "hour_airtime_ms", "hour_frames", "day_airtime_ms",
 * "free_in_ms"}]} of all that sent within a day before `now_ms`. */
void store_airtime_get(struct store *store, int64_t now_ms, store_json_fn *done, void *arg);
/*
 * The other deployments that run: JSON [{"deployment_id", "name", "frequency_hz", "margin_ms",
 * "duty_used"|null, "gap_ms"|null, "gateway_count"|null (of its plan), "gateways": [those of its
 * group; before it has some, those that it named, or that its plan expects]}].
 */
void store_neighbours(struct store *store, const struct uuid *deployment_id, store_json_fn *done,
                      void *arg);
/* Forgets what was booked more than two days before `now_ms`. */
void store_airtime_prune(struct store *store, int64_t now_ms, store_done_fn *done, void *arg);

/* ------------------------------------------------------------------ who hears whom */

struct store_heard {
    uint64_t dev_eui, gateway_id;
    int64_t heard_ms;
};
/* Notes uplinks, at most one for a device and gateway in an hour. */
void store_note_heard(struct store *store, const struct store_heard *heard, size_t count,
                      store_done_fn *done, void *arg);
#define STORE_COVERAGE_DEVICES_MAX 5
/* Which gateways heard the devices of a deployment since then: JSON [{"gateways": [ids],
 * "count": devices that are heard by exactly these, "devices": the first of them}]; no gateways:
 * not heard. */
void store_coverage(struct store *store, const struct uuid *deployment_id, int64_t since_ms,
                    store_json_fn *done, void *arg);
/* Forgets what is more than 30 days before `now_ms`, 50,000 rows at most. */
void store_heard_prune(struct store *store, int64_t now_ms, store_done_fn *done, void *arg);

/* What a draft says, for the preflight: JSON {"start_ms"|null, "wish", "application_id",
 * "image_size", "name", "devices": [{"dev_eui", "fragmentation_version"|null, "busy_in":
 * id|null}]}. ERR_WRONG_STATE: not a draft. */
void store_read_draft(struct store *store, const struct uuid *deployment_id, store_json_fn *done,
                      void *arg);

/* ------------------------------------------------------------------ the API */

struct store_image {
    struct uuid id;
    const char *name, *version, *hardware, *base_version;
    const uint8_t *sha256; /* 32 octets */
    const uint8_t *data;
    size_t size;
};
void store_image_add(struct store *store, const struct store_image *image, store_json_fn *done,
                     void *arg);
void store_image_list(struct store *store, store_json_fn *done, void *arg);
void store_image_get(struct store *store, const char *id, store_json_fn *done, void *arg);
/* ERR_WRONG_STATE: a deployment uses it. */
void store_image_delete(struct store *store, const char *id, store_done_fn *done, void *arg);

struct store_draft {
    struct uuid id;
    const char *name, *image_id, *application_id;
    const char *wish_json;
    const char *start_at; /* RFC 3339 or NULL */
    const uint64_t *dev_euis;
    size_t device_count;
};
/* ERR_MISSING: no such image. */
void store_deployment_add(struct store *store, const struct store_draft *draft, store_json_fn *done,
                          void *arg);
void store_deployment_list(struct store *store, store_json_fn *done, void *arg);
void store_deployment_get(struct store *store, const char *id, store_json_fn *done, void *arg);
/* ERR_WRONG_STATE: it is running. */
void store_deployment_delete(struct store *store, const char *id, store_done_fn *done, void *arg);
void store_deployment_devices(struct store *store, const char *id, const char *stage,
                              unsigned limit, unsigned offset, store_json_fn *done, void *arg);
/* JSON {"wish", "image_id", "application_id", "name", "devices": [failed ones]}. ERR_WRONG_STATE:
 * not ended, or nothing failed. */
void store_deployment_retry_source(struct store *store, const char *id, store_json_fn *done,
                                   void *arg);

/* Tells the slot's owner, too (slots.h). ERR_WRONG_STATE: the deployment's state does not allow it.
 */
void store_request_add(struct store *store, const struct uuid *id, const char *kind,
                       const char *deployment_id, store_json_fn *done, void *arg);
void store_request_get(struct store *store, const char *id, store_json_fn *done, void *arg);
/* Open requests of a slot, oldest first: JSON [{"id", "kind", "deployment_id", "slot"}]. */
void store_request_open(struct store *store, unsigned slot, store_json_fn *done, void *arg);

void store_device_timeline(struct store *store, const char *dev_eui, store_json_fn *done,
                           void *arg);
/* JSON {"deployments": {"running": n, ...}, "seal_keys": {id: n, ...}}: deployments in each state;
 * running ones whose multicast key that seal key seals. */
void store_counts(struct store *store, store_json_fn *done, void *arg);

/*
 * Deletes some of the timeline and the frames of one deployment that ended more than `days` days
 * ago. `has_more`: call again.
 */
typedef void store_prune_fn(void *arg, enum err err, const char *text, bool has_more);
void store_prune(struct store *store, unsigned days, store_prune_fn *done, void *arg);

/* Tokens: JSON [{"sha256": hex, "access"}]. */
void store_tokens(struct store *store, store_json_fn *done, void *arg);
void store_token_add(struct store *store, const char *name, const uint8_t sha256[32],
                     const char *access, store_done_fn *done, void *arg);

#endif
