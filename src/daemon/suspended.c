/*
 * suspended.c - deployments that are not stepped: they brought the daemon down, or what is stored
 * of them cannot be used. Their events are kept, so that nothing is lost once they are resumed.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crash.h"
#include "daemon.h"
#include "daemon/log.h"
#include "failpoint.h"

/* The third load after so many crashes is as suspended. */
#define CRASHES_MAX 2

/* Held events that are replayed in one turn. */
#define REPLAY_MAX 500

_Static_assert(STORE_HELD_GATEWAYS_MAX == NETWORK_GATEWAYS_MAX, "an event is held whole");

/* the crash before */

struct report {
    struct daemon *daemon;
    void (*done)(struct daemon *daemon);
    char path[300];
};

static void on_reported(void *arg, enum err err, const char *text)
{
    struct report *report = arg;

    if (err == ERR_UNAVAILABLE) {
        if (!report->daemon->is_stopping) { /* once more; the file is still there */
            suspended_report_crash(report->daemon, report->done);
        }
        free(report);
        return;
    }
    if (err != ERR_OK && err != ERR_MISSING) {
        log_error("main: the crash before could not be counted: %s", text);
    }
    FAILPOINT(CRASH_COUNTED);
    unlink(report->path);
    report->done(report->daemon);
    free(report);
}

void suspended_report_crash(struct daemon *daemon, void (*done)(struct daemon *daemon))
{
    struct report *report = must(calloc(1, sizeof(*report)));
    char id[UUID_TEXT_SIZE], text[CRASH_TEXT_SIZE];

    *report = (struct report){.daemon = daemon, .done = done};
    snprintf(report->path, sizeof(report->path), "%s/crash", daemon->config.state_dir);
    crash_watch(report->path);
    if (!crash_read(report->path, id, text)) {
        free(report);
        done(daemon);
        return;
    }
    log_error("main: before this start %s deployment=%s", text, id);
    store_report_crash(daemon->store, id, CRASHES_MAX, text, on_reported, report);
}

/* events */

void suspended_hold(struct running *r, const struct network_event *event)
{
    struct store_held_event held = {
        .kind = (int)event->kind,
        .dev_eui = event->dev_eui,
        .item_id = event->item_id,
        .received_ms = event->received_ms,
        .f_port = event->f_port,
        .data = event->data,
        .data_size = event->kind == NETWORK_UPLINK ? event->data_size : 0,
        .gateways = event->gateways,
        .gateway_count = event->gateway_count,
    };

    FAILPOINT(EVENT_HELD);
    store_turn_hold_event(engine_store_turn(r->slot), &r->id, &held);
}

struct replay {
    struct daemon *daemon;
    struct uuid id;
    uint64_t generation;
};

static void step_held(struct daemon *daemon, struct running *r, const struct store_held_event *held)
{
    struct network_event event = {
        .kind = (enum network_event_kind)held->kind,
        .dev_eui = held->dev_eui,
        .item_id = held->item_id,
        .received_ms = held->received_ms,
        .f_port = held->f_port,
        .data = held->data,
        .data_size = held->data_size,
        .gateway_count = (uint8_t)held->gateway_count,
    };
    struct running *found;
    size_t cursor = 0;
    uint32_t index;

    memcpy(event.gateways, held->gateways, held->gateway_count * sizeof(*held->gateways));
    while ((found = running_of_device(daemon, held->dev_eui, &cursor, &index)) != NULL) {
        if (found == r) {
            engine_step_network_event(daemon, r, index, &event);
        }
    }
}

static void on_held(void *arg, enum err err, const char *text,
                    const struct store_held_event *events, size_t count)
{
    struct replay *replay = arg;
    struct daemon *daemon = replay->daemon;
    struct running *r = running_find(daemon, &replay->id);

    if (err != ERR_OK) {
        log_error("deployment: the events that were held for it cannot be read: %s", text);
    } else if (r != NULL && r->generation == replay->generation && count > 0) {
        for (size_t i = 0; i < count; i++) {
            step_held(daemon, r, &events[i]);
        }
        store_turn_drop_held(engine_store_turn(r->slot), &r->id, events[count - 1].id);
        log_info("deployment: %zu events that were held for it are carried out", count);
        if (count == REPLAY_MAX) {
            suspended_replay(daemon, r);
        }
    }
    free(replay);
}

void suspended_replay(struct daemon *daemon, struct running *r)
{
    struct replay *replay = must(malloc(sizeof(*replay)));

    *replay = (struct replay){.daemon = daemon, .id = r->id, .generation = r->generation};
    store_load_held(daemon->store, &r->id, REPLAY_MAX, on_held, replay);
}

/* what cannot be used */

struct suspension {
    struct slot *slot;
    struct uuid id;
};

static void on_suspended(void *arg, enum err err, const char *text)
{
    struct suspension *suspension = arg;

    if (err == ERR_OK) {
        running_load_one(suspension->slot, &suspension->id);
    } else {
        log_error("deployment: it could not be suspended: %s", text);
    }
    free(suspension);
}

void suspended_set(struct slot *slot, const struct uuid *id, const char *text)
{
    struct suspension *suspension = must(malloc(sizeof(*suspension)));
    struct store_fence fence = slot_fence(slot);

    *suspension = (struct suspension){.slot = slot, .id = *id};
    FAILPOINT(SUSPEND);
    store_suspend(slot->daemon->store, &fence, id, text, on_suspended, suspension);
}
