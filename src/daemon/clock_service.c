/*
 * clock_service.c - answers AppTimeReq (TS003) where the network server does not.
 *
 * ChirpStack answers for device profiles with a ts003_version, but only a request that is alone in
 * its payload and was not relayed. Everything else is ours. One answer per request: the uplink's
 * FCnt is committed before the answer is queued.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "daemon.h"
#include "daemon/log.h"
#include "failpoint.h"
#include "lorawan/clock_sync.h"
#include "lorawan/gps_time.h"

#define PROFILE_AGAIN_MS  600000 /* facts are asked for again */
#define PROFILE_RETRY_MS  5000
#define APP_TIME_REQ_SIZE 6
#define ANSWER_EXPIRES_MS 600000
#define ANSWER_PAUSE_MS   2000 /* no device can ask again sooner */
#define TABLE_FIRST       1024

/* profiles */

struct profile_call {
    struct daemon *daemon;
    struct uuid id;
};

static void answer_waiting(struct daemon *daemon, const struct uuid *profile_id);

static struct profile *find_profile(struct daemon *daemon, const struct uuid *id)
{
    for (size_t i = 0; i < daemon->profile_count; i++) {
        if (memcmp(&daemon->profiles[i].id, id, sizeof(*id)) == 0) {
            return &daemon->profiles[i];
        }
    }
    return NULL;
}

static void on_profile(void *arg, enum network_outcome outcome, const char *text,
                       const struct network_answer *answer)
{
    struct profile_call *call = arg;
    struct profile *profile = find_profile(call->daemon, &call->id);

    (void)text;
    if (outcome == NETWORK_DONE && profile != NULL) {
        profile->facts = answer->profile;
        profile->is_known = true;
        answer_waiting(call->daemon, &call->id);
    }
    free(call);
}

const struct network_profile *profile_get(struct daemon *daemon, const struct uuid *id)
{
    struct profile *profile = find_profile(daemon, id);
    uint64_t now = uv_now(&daemon->loop);

    if (profile == NULL) {
        /* A full table forgets its oldest entry. */
        size_t at = daemon->profile_count;
        if (at == PROFILES_MAX) {
            memmove(daemon->profiles, daemon->profiles + 1, (PROFILES_MAX - 1) * sizeof(*profile));
            at--;
        } else {
            daemon->profile_count++;
        }
        profile = &daemon->profiles[at];
        *profile = (struct profile){.id = *id};
    }
    uint64_t again_ms = profile->is_known ? PROFILE_AGAIN_MS : PROFILE_RETRY_MS;
    if (!profile->is_asked || now - profile->asked_at > again_ms) {
        struct profile_call *call = must(malloc(sizeof(*call)));
        *call = (struct profile_call){.daemon = daemon, .id = *id};
        profile->is_asked = true;
        profile->asked_at = now;
        daemon->network.read_profile(daemon->network.self, id, on_profile, call);
    }
    return profile->is_known ? &profile->facts : NULL;
}

/* the last answered FCnt of each device: a table with open addressing; DevEUI 0 is free */

static struct clock_entry *find_entry(const struct daemon *daemon, uint64_t dev_eui)
{
    size_t at = (size_t)(dev_eui * 0x9E3779B97F4A7C15u >> 20) & (daemon->clock_capacity - 1);

    while (daemon->clock_entries[at].dev_eui != 0 && daemon->clock_entries[at].dev_eui != dev_eui) {
        at = (at + 1) & (daemon->clock_capacity - 1);
    }
    return &daemon->clock_entries[at];
}

static void put_entry(struct daemon *daemon, uint64_t dev_eui, uint32_t f_cnt, int64_t received_ms)
{
    if (2 * (daemon->clock_count + 1) > daemon->clock_capacity) {
        struct clock_entry *old = daemon->clock_entries;
        size_t old_capacity = daemon->clock_capacity;
        daemon->clock_capacity = old_capacity == 0 ? TABLE_FIRST : 2 * old_capacity;
        daemon->clock_entries = must(calloc(daemon->clock_capacity, sizeof(*old)));
        for (size_t i = 0; i < old_capacity; i++) {
            if (old[i].dev_eui != 0) {
                *find_entry(daemon, old[i].dev_eui) = old[i];
            }
        }
        free(old);
    }
    struct clock_entry *entry = find_entry(daemon, dev_eui);
    daemon->clock_count += entry->dev_eui == 0;
    *entry = (struct clock_entry){.dev_eui = dev_eui, .f_cnt = f_cnt, .received_ms = received_ms};
}

/* This request, or one so shortly before that a device that floods is at work. */
static bool was_answered(const struct daemon *daemon, const struct network_event *event)
{
    if (daemon->clock_capacity == 0) {
        return false;
    }
    const struct clock_entry *entry = find_entry(daemon, event->dev_eui);
    int64_t since_ms = event->received_ms - entry->received_ms;
    return entry->dev_eui == event->dev_eui &&
           (entry->f_cnt == event->f_cnt || (since_ms >= 0 && since_ms < ANSWER_PAUSE_MS));
}

void clock_service_on_join(struct daemon *daemon, const struct network_event *event)
{
    if (daemon->clock_capacity >
        0) { /* its counter begins anew: the next request may have the same */
        struct clock_entry *entry = find_entry(daemon, event->dev_eui);
        entry->f_cnt = entry->dev_eui != 0 ? UINT32_MAX : 0;
    }
}

static void on_answers(void *arg, enum err err, const char *text, size_t count,
                       const uint64_t *dev_euis, const uint32_t *f_cnts)
{
    struct daemon *daemon = arg;

    if (err != ERR_OK) {
        log_warning("clock service: earlier answers cannot be read: %s", text);
        daemon->has_clock_answers = false; /* the janitor tries again */
        return;
    }
    for (size_t i = 0; i < count; i++) {
        put_entry(daemon, dev_euis[i], f_cnts[i], 0);
    }
}

void clock_service_load(struct daemon *daemon)
{
    daemon->has_clock_answers = true; /* asked for */
    store_load_clock_answers(daemon->store, on_answers, daemon);
}

/* answering */

struct answer {
    struct slot *slot;
    uint64_t dev_eui;
    uint32_t f_cnt;
    int64_t expires_ms;
    uint8_t f_port;
    uint8_t data[8];
    size_t size;
};

static void on_queued(void *arg, enum network_outcome outcome, const char *text,
                      const struct network_answer *answer)
{
    (void)arg, (void)answer;
    if (outcome != NETWORK_DONE) {
        log_warning("clock service: an AppTimeAns was not queued: %s", text);
    }
}

static void queue_answer(struct daemon *daemon, void *data, bool is_committed)
{
    struct answer *answer = data;

    if (is_committed && slot_is_ours(answer->slot)) {
        FAILPOINT(CLOCK_ANSWER);
        daemon->network.enqueue(daemon->network.self, answer->dev_eui, answer->f_port, answer->data,
                                answer->size, answer->expires_ms, on_queued, NULL);
    }
    free(answer);
}

static void answer_request(struct slot *slot, const struct network_event *event,
                           const struct app_time_req *req)
{
    struct daemon *daemon = slot->daemon;
    int64_t gps_ms = gps_from_unix_ms(event->received_ms, (int)daemon->config.wish.leap_s);
    int32_t correction_s =
        app_time_correction_v1((uint64_t)(gps_ms + 500) / 1000, req->device_time_s);
    int64_t threshold_s = daemon->config.clock_service_threshold_s;

    if (!req->ans_required && correction_s >= -threshold_s && correction_s <= threshold_s) {
        return;
    }
    struct answer *answer = must(calloc(1, sizeof(*answer)));
    answer->slot = slot;
    answer->dev_eui = event->dev_eui;
    answer->f_cnt = event->f_cnt;
    answer->f_port = event->f_port;
    answer->expires_ms = daemon_now_ms(daemon) + ANSWER_EXPIRES_MS;
    if (app_time_ans_encode(correction_s, req->token, answer->data, sizeof(answer->data),
                            &answer->size) != ERR_OK) {
        free(answer);
        return;
    }
    put_entry(daemon, event->dev_eui, event->f_cnt, event->received_ms);
    store_turn_clock_answer(engine_store_turn(slot), event->dev_eui, event->f_cnt);
    engine_after_commit(daemon, queue_answer, answer);
}

/* A request whose profile is not known yet waits for it; one at a time, the device asks again. */
static void keep_waiting(struct slot *slot, const struct network_event *event)
{
    struct waiting_request *waiting = &slot->daemon->waiting_request;

    if (event->data_size <= sizeof(waiting->data)) {
        waiting->event = *event;
        memcpy(waiting->data, event->data, event->data_size);
        waiting->slot = slot;
        waiting->is_kept = true;
    }
}

static void answer_waiting(struct daemon *daemon, const struct uuid *profile_id)
{
    struct waiting_request *waiting = &daemon->waiting_request;

    if (waiting->is_kept &&
        memcmp(&waiting->event.profile_id, profile_id, sizeof(*profile_id)) == 0) {
        waiting->is_kept = false;
        waiting->event.data = waiting->data;
        if (slot_is_ours(waiting->slot)) {
            clock_service_on_uplink(waiting->slot, &waiting->event);
        }
    }
}

void clock_service_on_uplink(struct slot *slot, const struct network_event *event)
{
    struct daemon *daemon = slot->daemon;
    struct reader r;
    struct clock_sync_uplink uplink;

    /* Ports differ between profiles; the first octets sort out most uplinks before a profile is
     * needed. */
    if (!daemon->config.clock_service_enabled || event->data_size < APP_TIME_REQ_SIZE) {
        return;
    }
    const struct network_profile *profile = profile_get(daemon, &event->profile_id);
    if (profile == NULL && event->f_port == PACKAGE_PORT_CLOCK_SYNC) {
        keep_waiting(slot, event);
    }
    if (profile == NULL || event->f_port != profile->clock_sync_port ||
        was_answered(daemon, event)) {
        return;
    }
    bool is_alone = event->data_size == APP_TIME_REQ_SIZE && event->data[0] == 0x01;
    if (profile->clock_sync_version != 0 && is_alone && !event->is_relayed) {
        return; /* ChirpStack's own */
    }
    reader_init(&r, event->data, event->data_size);
    while (clock_sync_uplink_decode(&r, &uplink) == ERR_OK) {
        if (uplink.kind == CLOCK_SYNC_APP_TIME_REQ) {
            answer_request(slot, event, &uplink.u.app_time);
            return;
        }
    }
}
