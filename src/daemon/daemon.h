/*
 * daemon.h - what the files of this folder share: the daemon, its slots, its running deployments,
 * and the turn of the loop.
 *
 * A turn: events are stepped as they come, what they change gathers in one store_turn, which is
 * committed at the end of the loop's iteration; after the commit its actions are carried out and
 * the broker's events acknowledged. One commit is under way at a time: a second one behind a failed
 * one would keep half of what happened. What is stepped meanwhile gathers for the next. A commit
 * that fails throws all running deployments away and loads them again.
 *
 * A slot (store/slots.h) is what this daemon owns of the work that several share. Its deployments
 * are in memory while its lease holds; every commit names its epoch.
 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include <uv.h>

#include "base/clock.h"
#include "daemon/config.h"
#include "deployment/deployment.h"
#include "fec/encoder.h"
#include "http/server.h"
#include "network/driver.h"
#include "seals.h"
#include "store/slots.h"
#include "store/store.h"

#define PROFILES_MAX 256
#define TEXT_SIZE    256

struct token {
    uint8_t sha256[32];
    enum http_access access;
};

enum slot_state {
    SLOT_FOREIGN, /* somebody else's, or free */
    SLOT_TAKING,  /* asked for */
    SLOT_HELD,    /* ours; its deployments are not in memory */
    SLOT_LOADING,
    SLOT_READY,   /* its deployments are in memory, its events come */
    SLOT_LEAVING, /* another daemon gets it when what is under way is committed */
};

struct slot {
    struct daemon *daemon;
    unsigned index;
    enum slot_state state;
    uint64_t epoch;        /* 0: not ours */
    uint64_t lease_end_ms; /* by slots_clock_ms() */
    uint64_t load_number;  /* of the loading under way: what an older one brings is not wanted */
    size_t loads_left;
    struct network_stream *stream; /* NULL until it is READY for the first time */
    char broker_state[TEXT_SIZE];  /* "ok", or why not */
    uint64_t gap_at;               /* uv_now(): then devices are asked again; 0: no gap */
};

/* Too many uplinks of one device in a minute of its own. */
struct flood {
    uint32_t minute;
    uint16_t count;
};

/* A deployment in memory. */
struct running {
    struct running *next, *next_by_id;
    struct slot *slot;
    struct uuid id, application_id;
    uint64_t generation;  /* answers to calls of an earlier life go nowhere */
    struct deployment *d; /* NULL while it is suspended */
    uint32_t device_count;
    uint64_t *dev_euis; /* where `d` is NULL */
    void *memory;
    struct key mc_key;
    char seal_key_id[SEAL_KEY_ID_SIZE]; /* the key that seals it in the database */
    bool is_locked;                     /* nobody has that key: `d` is NULL */
    bool has_mc_key;
    bool is_being_sealed;
    struct mc_session_keys session_keys;
    uint8_t *image;
    struct fec_block block;
    uint8_t *lorawan_versions;
    struct flood *floods;    /* of each device */
    uint64_t next_flood_log; /* uv_now() */
    uint32_t flood_count;    /* uplinks dropped since the last log */
    size_t deadline_at;      /* its place in the heap of deadlines */
    bool is_in_turn;         /* the open turn saves it */
    bool is_changed;         /* live events have not told it yet */
    int64_t booked_ms;       /* the turn on air that its next frame has; 0: none */
    unsigned crash_count;    /* of its stored ones */
    unsigned good_commits;   /* since it was loaded, while crash_count is not 0 */
};

/* Which running deployment has a device: a hash table of all devices. */
struct device_entry {
    struct running *r; /* NULL: free */
    uint32_t device_index;
};

/* What is known of a device profile. */
struct profile {
    struct uuid id;
    struct network_profile facts;
    bool is_known;
    bool is_asked;
    uint64_t asked_at; /* uv_now() of the last question */
};

struct clock_entry { /* of the last AppTimeReq that was answered */
    uint64_t dev_eui;
    int64_t received_ms; /* 0: before the start */
    uint32_t f_cnt;
};

/* An AppTimeReq whose device profile is being asked for. */
struct waiting_request {
    bool is_kept;
    struct slot *slot;
    struct network_event event;
    uint8_t data[32];
};

struct turn;

/* Uplinks that are not noted yet. */
struct heard_list {
    struct store_heard *items; /* NULL: none yet */
    size_t count;
    struct store_heard *recent;
    bool is_saving;
    uint64_t next_save; /* uv_now() */
};

struct daemon {
    uv_loop_t loop;
    struct config config;
    const char *config_file;
    struct clock clock;
    struct store *store;
    struct network_driver network;
    struct http_server *http;
    uv_timer_t timer, janitor, watchdog, lease_timer;
    uv_prepare_t prepare;
    uv_signal_t sigterm, sigint, sighup;
    /* slots */
    struct uuid instance;
    char instance_name[100];
    int instance_lock; /* descriptor of the locked file */
    struct slot slots[STORE_SLOT_COUNT];
    unsigned instance_count;
    bool is_renewing, must_renew_again;
    bool has_seen_slots; /* the database has told them once */
    uint64_t renewal_sent_ms;
    unsigned open_streams; /* not closed yet */
    /* running */
    struct running *running;
    struct running *by_id[256]; /* by the id's first octet */
    unsigned plan_job_count;
    uint64_t next_generation;
    struct device_entry *entries;
    size_t entry_capacity, entry_count;
    struct running **deadlines; /* a heap, earliest first */
    size_t deadline_count, deadline_capacity;
    /* engine */
    struct turn *turn;          /* being filled; NULL: nothing happened yet */
    unsigned commits_in_flight; /* 0 or 1 */
    bool is_stopping;
    bool must_reload;                    /* once the store is back and no commit is under way */
    uint64_t reload_at, reload_pause_ms; /* uv_now(): not before; a full disk stays full */
    struct seals seals;
    struct call *waiting_calls;         /* actions.c: of unknown outcome, oldest first */
    struct open_request *open_requests; /* requests.c: under way */
    /* clock service */
    struct profile profiles[PROFILES_MAX];
    size_t profile_count;
    struct clock_entry *clock_entries; /* a hash table */
    size_t clock_capacity, clock_count;
    bool has_clock_answers; /* read, or asked for */
    struct waiting_request waiting_request;
    struct heard_list heard;
    /* api */
    struct token *tokens; /* NULL: none were read yet */
    size_t token_count;
    bool has_tokens; /* read, or asked for */
    struct stream *streams;
    /* state for people */
    char database_state[TEXT_SIZE], network_state[TEXT_SIZE]; /* "ok", or why not */
    char told_broker_state[TEXT_SIZE];                        /* in the log */
    int64_t started_real_ms;
    uint64_t next_due_check, next_request_check, next_prune; /* uv_now() */
    uint64_t stop_limit;                                     /* uv_now(); while stopping */
    unsigned open_parts;                                     /* while stopping */
};

/* main.c */
/* Tells systemd. */
void daemon_notify(const char *state);
/* Protocol time now. */
int64_t daemon_now_ms(const struct daemon *daemon);
int64_t real_us(void);

/* slots.c */
/* Takes the instance's name and identity from the state directory; false: another daemon uses it.
 */
bool slots_start(struct daemon *daemon);
struct slot *slot_of_application(struct daemon *daemon, const struct uuid *application_id);
/* Whether the lease still holds: only then may anything be said in the slot's name. */
bool slot_is_ours(const struct slot *slot);
struct store_fence slot_fence(const struct slot *slot);
/* Renews the leases now; slots that are HELD are loaded after it. */
void slots_renew(struct daemon *daemon);
/* Asks devices again whose answers a gap of the broker's connection may have swallowed. */
void slots_janitor(struct daemon *daemon);
void slot_set_applications(struct slot *slot);
/* All its deployments are in memory. */
void slot_is_loaded(struct slot *slot);
/* Gives all slots back, `done` then; while stopping. */
void slots_leave(struct daemon *daemon, void (*done)(struct daemon *daemon));
/* "ok", or why events do not come. */
const char *slots_broker_state(const struct daemon *daemon);
void slots_on_events_state(void *arg, const char *text, bool is_session_kept);
bool slots_may_connect(void *arg);

/* running.c */
struct running *running_find(struct daemon *daemon, const struct uuid *id);
/* The next running deployment that has the device; `*cursor` begins with 0. NULL: no more. */
struct running *running_of_device(const struct daemon *daemon, uint64_t dev_eui, size_t *cursor,
                                  uint32_t *ret_index);
/* Its deadline has changed. */
void running_plan(struct daemon *daemon, struct running *r);
/* The one with the earliest deadline; NULL: none has one. */
struct running *running_first(const struct daemon *daemon);
void running_drop(struct daemon *daemon, struct running *r);
void running_drop_slot(struct daemon *daemon, struct slot *slot);
/* Loads what runs in the slot. */
void running_load_slot(struct slot *slot);
/* Takes up a deployment that was just started or resumed. */
void running_load_one(struct slot *slot, const struct uuid *id);
void running_release(struct daemon *daemon);

/* engine.c */
void engine_start(struct daemon *daemon);
/* Throws everything in memory away; it is loaded again after the next renewal of the leases. */
void engine_reload(struct daemon *daemon);
/* Steps one event of a deployment now. */
void engine_step(struct daemon *daemon, struct running *r, struct deployment_event *event);
/* One of observe.applications. */
bool engine_is_observed(const struct daemon *daemon, const struct uuid *application_id);
bool engine_is_wanted(void *arg, const struct uuid *application_id, uint64_t dev_eui);
void engine_on_network_event(void *arg, const struct network_event *event);
void engine_on_batch(void *arg);
void engine_on_gateway_frame(void *arg, const struct network_gateway_frame *frame);
/* The store_turn of this turn, for whoever has something to save in the slot's name. */
struct store_turn *engine_store_turn(struct slot *slot);
/* Something to be done after this turn's commit; `data` is owned by `run`, which gets is_committed
 * = false where the commit failed. */
void engine_after_commit(struct daemon *daemon,
                         void (*run)(struct daemon *daemon, void *data, bool is_committed),
                         void *data);
/* Steps an event of the network server. */
void engine_step_network_event(struct daemon *daemon, struct running *r, uint32_t index,
                               const struct network_event *event);
/* `r` leaves the memory: the open turn saves it before. */
void engine_forget(struct daemon *daemon, struct running *r);
void engine_release(struct daemon *daemon);
/* Whether nothing is open or under way. */
bool engine_is_quiet(const struct daemon *daemon);

/* heard.c */
void heard_on_uplink(struct daemon *daemon, const struct network_event *event);
/* Notes what came since it was called last. */
void heard_save(struct daemon *daemon);
void heard_release(struct daemon *daemon);

/* actions.c */
struct call;
/* Calls of unknown outcome whose time has come. */
void actions_report_waiting(struct daemon *daemon);
void actions_release(struct daemon *daemon);
void action_perform(struct daemon *daemon, struct running *r,
                    const struct deployment_action *action);

/* suspended.c */
/* Keeps an event for a suspended deployment. */
void suspended_hold(struct running *r, const struct network_event *event);
/* Steps what was held while it was suspended. */
void suspended_replay(struct daemon *daemon, struct running *r);
/* What is stored of it cannot be used. */
void suspended_set(struct slot *slot, const struct uuid *id, const char *text);
/* Tells the database of the crash that ended the daemon before; then `done`. */
void suspended_report_crash(struct daemon *daemon, void (*done)(struct daemon *daemon));

/* clock_service.c */
void clock_service_load(struct daemon *daemon);
void clock_service_on_uplink(struct slot *slot, const struct network_event *event);
void clock_service_on_join(struct daemon *daemon, const struct network_event *event);
/* The profile's facts; NULL while they are being asked for. */
const struct network_profile *profile_get(struct daemon *daemon, const struct uuid *id);

/* plan_job.c */
struct plan_question {
    struct wish wish;
    struct deployment_params params;
    struct wish_defaults defaults;
    unsigned gateway_count;
    uint32_t uplink_interval_s;
};
/* So many of the API at a time: each may take seconds of a thread. */
#define PLAN_JOBS_MAX 2
/* `plan` stays the job's; NULL: the daemon is ending. */
typedef void plan_job_fn(void *arg, cJSON *plan);
void plan_job_run(struct daemon *daemon, const struct plan_question *question, plan_job_fn *done,
                  void *arg);

/* preflight.c */
void preflight_run(struct slot *slot, const struct uuid *request_id,
                   const struct uuid *deployment_id, bool is_plan);

/* requests.c */
/* Takes up the open wishes of the slot. */
void requests_take(struct slot *slot);
/* Starts scheduled deployments whose time has come. */
void requests_run_due(struct daemon *daemon);
/* A request that took its time is over. */
void requests_ended(struct daemon *daemon, const struct uuid *id);
void requests_release(struct daemon *daemon);

/* api.c */
void api_start(struct daemon *daemon);
/* Tells live events, and the other daemons, what has changed. */
void api_publish_changes(struct daemon *daemon);
/* A deployment that another daemon has changed. */
void api_publish(struct daemon *daemon, const char *deployment_id);

/* tokens.c */
void api_load_tokens(struct daemon *daemon);

/* janitor.c */
void janitor_runs(uv_timer_t *timer);

void *must(void *memory);

#endif
