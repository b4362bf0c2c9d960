/*
 * daemon.h - what the files of this folder share: the daemon, its running deployments, and the turn
 * of the loop.
 *
 * A turn: events are stepped as they come, what they change gathers in one store_turn, which is
 * committed at the end of the loop's iteration; after the commit its actions are carried out and
 * the broker's events acknowledged. One commit is under way at a time: a second one behind a failed
 * one would keep half of what happened. What is stepped meanwhile gathers for the next. A commit
 * that fails throws all running deployments away and loads them again.
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
#include "store/store.h"

#define PROFILES_MAX 256
#define TEXT_SIZE    256

struct token {
    uint8_t sha256[32];
    enum http_access access;
};

/* A deployment in memory. */
struct running {
    struct running *next;
    struct uuid id, application_id;
    uint64_t generation; /* answers to calls of an earlier life go nowhere */
    struct deployment *d;
    void *memory;
    struct key mc_key;
    struct mc_session_keys session_keys;
    uint8_t *image;
    struct fec_block block;
    uint8_t *lorawan_versions;
    uint32_t *by_eui; /* device indices, ordered by DevEUI */
    bool is_changed;  /* live events have not told it yet */
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
    uint32_t f_cnt;
};

/* An AppTimeReq whose device profile is being asked for. */
struct waiting_request {
    bool is_kept;
    struct network_event event;
    uint8_t data[32];
};

struct turn;

struct daemon {
    uv_loop_t loop;
    struct config config;
    const char *config_file;
    struct clock clock;
    struct store *store;
    struct network_driver network;
    struct http_server *http;
    uv_timer_t timer, janitor, watchdog;
    uv_prepare_t prepare;
    uv_signal_t sigterm, sigint, sighup;
    /* engine */
    struct running *running;
    uint64_t next_generation;
    struct turn *turn;          /* being filled; NULL: nothing happened yet */
    unsigned commits_in_flight; /* 0 or 1 */
    bool is_reloading, is_loaded, is_stopping;
    bool must_reload; /* once the store is back */
    size_t loads_left;
    struct call *waiting_calls; /* actions.c: of unknown outcome, oldest first */
    /* clock service */
    struct profile profiles[PROFILES_MAX];
    size_t profile_count;
    struct clock_entry *clock_entries; /* a hash table */
    size_t clock_capacity, clock_count;
    bool has_clock_answers; /* read, or asked for */
    struct waiting_request waiting_request;
    /* api */
    struct token *tokens;
    size_t token_count;
    bool has_tokens; /* read, or asked for */
    struct stream *streams;
    /* state for people */
    char database_state[TEXT_SIZE], broker_state[TEXT_SIZE],
        network_state[TEXT_SIZE]; /* "ok", or why not */
    int64_t started_real_ms;
    uint64_t next_due_check; /* uv_now() */
    uint64_t stop_limit;     /* uv_now(); while stopping */
    unsigned open_parts;     /* while stopping */
};

/* Protocol time now. */
int64_t daemon_now_ms(const struct daemon *daemon);
int64_t real_us(void);

/* engine.c */
void engine_start(struct daemon *daemon);
/* Loads what is running in the database; also after a failed commit. */
void engine_reload(struct daemon *daemon);
/* Takes up a deployment that was just started. */
void engine_load_one(struct daemon *daemon, const struct uuid *id);
struct running *engine_find(struct daemon *daemon, const struct uuid *id);
/* Steps one event of a deployment now. */
void engine_step(struct daemon *daemon, struct running *r, struct deployment_event *event);
void engine_on_network_event(void *arg, const struct network_event *event);
void engine_on_batch(void *arg);
/* The store_turn of this turn, for whoever has something to save with it. */
struct store_turn *engine_store_turn(struct daemon *daemon);
/* Something to be done after this turn's commit; `data` is owned by `run`, which gets is_committed
 * = false where the commit failed. */
void engine_after_commit(struct daemon *daemon,
                         void (*run)(struct daemon *daemon, void *data, bool is_committed),
                         void *data);
void engine_set_applications(struct daemon *daemon);
/* Whether what is running in the database is in memory, too. */
bool engine_is_loaded(const struct daemon *daemon);
void engine_release(struct daemon *daemon);
/* Commits what is open; true when nothing is open or under way. */
bool engine_is_quiet(const struct daemon *daemon);

/* actions.c */
struct call;
/* Calls of unknown outcome whose time has come. */
void actions_report_waiting(struct daemon *daemon);
void actions_release(struct daemon *daemon);
void action_perform(struct daemon *daemon, struct running *r,
                    const struct deployment_action *action);

/* clock_service.c */
void clock_service_load(struct daemon *daemon);
void clock_service_on_uplink(struct daemon *daemon, const struct network_event *event);
void clock_service_on_join(struct daemon *daemon, const struct network_event *event);
/* The profile's facts; NULL while they are being asked for. */
const struct network_profile *profile_get(struct daemon *daemon, const struct uuid *id);

/* preflight.c */
void preflight_run(struct daemon *daemon, const struct uuid *request_id,
                   const struct uuid *deployment_id);

/* requests.c */
/* Takes up what is open: everything after the start, else aborts that came while deployments were
 * being loaded. */
void requests_run_open(struct daemon *daemon, bool is_first);
/* Starts the scheduled deployments whose time has come. */
void requests_run_due(struct daemon *daemon);
void requests_run(struct daemon *daemon, const struct uuid *id, const char *kind,
                  const struct uuid *deployment_id);

/* api.c */
void api_start(struct daemon *daemon);
void api_load_tokens(struct daemon *daemon);
void api_publish_changes(struct daemon *daemon);

void *must(void *memory);

#endif
