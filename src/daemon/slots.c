/*
 * slots.c - this daemon's share of the work: taking slots, keeping their leases, giving them back.
 *
 * A lease is renewed several times while it lasts. Whoever wants to act in a slot's name looks at
 * his own clock first (slot_is_ours()): a daemon that was frozen finds its leases ended before it
 * says a word. What it had written already, it cannot commit: another owner has another epoch.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "daemon.h"
#include "daemon/log.h"
#include "daemon/secrets.h"
#include "failpoint.h"

/*
 * In terms of cluster.lease_s, within which a dead owner is replaced: the lease proper is four
 * fifths of it, and others look once a fifth, and when the lease ends.
 */
#define LEASE_MS(daemon) ((uint32_t)((daemon)->config.cluster_lease_s * 800))
#define TICK_MS(daemon)  ((uint64_t)(daemon)->config.cluster_lease_s * 200)

/* After a gap the events that the broker kept come first. */
#define GAP_SETTLE_MS 3000

/* Time that also passes while the machine sleeps. */
static uint64_t slots_clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct slot *slot_of_application(struct daemon *daemon, const struct uuid *application_id)
{
    return &daemon->slots[store_slot_of(application_id)];
}

bool slot_is_ours(const struct slot *slot)
{
    return slot->epoch != 0 && slots_clock_ms() < slot->lease_end_ms;
}

struct store_fence slot_fence(const struct slot *slot)
{
    return (struct store_fence){.slot = slot->index, .epoch = slot->epoch};
}

bool slots_may_connect(void *arg)
{
    return slot_is_ours(arg);
}

/* events */

const char *slots_broker_state(const struct daemon *daemon)
{
    if (!daemon->has_seen_slots) {
        return "connecting";
    }
    for (unsigned i = 0; i < STORE_SLOT_COUNT; i++) {
        const struct slot *slot = &daemon->slots[i];
        if (slot->stream != NULL && strcmp(slot->broker_state, "ok") != 0) {
            return slot->broker_state;
        }
        if (slot->stream == NULL && slot->epoch != 0 && slot->state != SLOT_LEAVING) {
            return "connecting";
        }
    }
    return "ok";
}

void slots_on_events_state(void *arg, const char *text, bool is_session_kept)
{
    struct slot *slot = arg;
    struct daemon *daemon = slot->daemon;
    if (text == NULL && strcmp(slot->broker_state, "connecting") != 0) {
        slot->gap_at = uv_now(&daemon->loop) + GAP_SETTLE_MS;
    }
    if (text == NULL && !is_session_kept) {
        log_debug("broker: a new session, events from before are not in it slot=%u", slot->index);
    }
    snprintf(slot->broker_state, TEXT_SIZE, "%s", text == NULL ? "ok" : text);
    const char *now = slots_broker_state(daemon);
    if (strcmp(now, "connecting") == 0 || strcmp(now, daemon->told_broker_state) == 0) {
        return; /* sixteen connections make one line */
    }
    snprintf(daemon->told_broker_state, TEXT_SIZE, "%s", now);
    if (strcmp(now, "ok") == 0) {
        log_info("broker: connected");
    } else {
        log_warning("broker: %s", now);
    }
}

void slots_janitor(struct daemon *daemon)
{
    for (struct running *r = daemon->running; r != NULL; r = r->next) {
        if (r->slot->gap_at != 0 && uv_now(&daemon->loop) >= r->slot->gap_at &&
            r->slot->state == SLOT_READY) {
            engine_step(daemon, r, &(struct deployment_event){.kind = DEPLOYMENT_EVENT_GAP});
        }
    }
    for (unsigned i = 0; i < STORE_SLOT_COUNT; i++) {
        if (uv_now(&daemon->loop) >= daemon->slots[i].gap_at) {
            daemon->slots[i].gap_at = 0;
        }
    }
}

/* Copies the applications that belong to the slot; returns how many they are. */
static size_t those_of_slot(const struct slot *slot, const struct uuid *ids, size_t id_count,
                            struct uuid *ret_ids)
{
    size_t count = 0;

    for (size_t i = 0; i < id_count; i++) {
        if (store_slot_of(&ids[i]) == slot->index) {
            ret_ids[count++] = ids[i];
        }
    }
    return count;
}

void slot_set_applications(struct slot *slot)
{
    struct daemon *daemon = slot->daemon;
    const struct config *config = &daemon->config;
    size_t count = 0;

    if (slot->stream == NULL) {
        return;
    }
    for (const struct running *r = daemon->running; r != NULL; r = r->next) {
        count += r->slot == slot;
    }
    struct uuid *applications =
        must(calloc(count + 2 * CONFIG_LIST_MAX + 1, sizeof(*applications)));
    count = 0;
    for (const struct running *r = daemon->running; r != NULL; r = r->next) {
        if (r->slot == slot) {
            applications[count++] = r->application_id;
        }
    }
    count += those_of_slot(slot, config->clock_service_ids, config->clock_service_id_count,
                           applications + count);
    count +=
        those_of_slot(slot, config->observe_ids, config->observe_id_count, applications + count);
    daemon->network.set_applications(slot->stream, applications, count);
    free(applications);
}

void slot_is_loaded(struct slot *slot)
{
    struct daemon *daemon = slot->daemon;
    char name[8];

    slot->state = SLOT_READY;
    if (slot->stream == NULL) {
        snprintf(name, sizeof(name), "%02u", slot->index);
        snprintf(slot->broker_state, TEXT_SIZE, "connecting");
        slot->stream = daemon->network.open_stream(daemon->network.self, name, slot);
        daemon->open_streams++;
    }
    slot_set_applications(slot);
    requests_take(slot);
}

static void on_stream_closed(void *arg)
{
    struct daemon *daemon = arg;

    daemon->open_streams--;
}

static void close_stream(struct slot *slot)
{
    if (slot->stream != NULL) {
        slot->daemon->network.close_stream(slot->stream, on_stream_closed, slot->daemon);
        slot->stream = NULL;
    }
}

/* losing and leaving */

static void lose(struct slot *slot)
{
    if (slot->state != SLOT_TAKING) {
        log_warning("slots: another daemon owns it now slot=%u", slot->index);
    }
    running_drop_slot(slot->daemon, slot);
    close_stream(slot);
    slot->state = SLOT_FOREIGN;
    slot->epoch = 0;
    slot->load_number++;
}

static void give_back(struct slot *slot)
{
    uint64_t epochs[STORE_SLOT_COUNT] = {0};
    struct daemon *daemon = slot->daemon;

    epochs[slot->index] = slot->epoch;
    slot->state = SLOT_FOREIGN;
    slot->epoch = 0;
    FAILPOINT(SLOTS_LEAVE);
    store_slots_leave(daemon->store, &daemon->instance, epochs, false, NULL, NULL);
}

static void after_last_commit(struct daemon *daemon, void *data, bool is_committed)
{
    struct slot *slot = data;

    (void)daemon, (void)is_committed; /* what was not committed, the next owner does */
    if (slot->state == SLOT_LEAVING) {
        give_back(slot);
    }
}

static void leave(struct slot *slot)
{
    log_info("slots: left to another daemon slot=%u", slot->index);
    slot->state = SLOT_LEAVING;
    slot->load_number++;
    running_drop_slot(slot->daemon, slot);
    close_stream(slot);
    engine_after_commit(slot->daemon, after_last_commit, slot);
}

/* taking */

struct take_call {
    struct slot *slot;
    uint64_t sent_ms;
};

static void on_taken(void *arg, enum err err, const char *text, uint64_t epoch)
{
    struct take_call call = *(struct take_call *)arg;
    struct slot *slot = call.slot;

    free(arg);
    if (slot->state != SLOT_TAKING) {
        return;
    }
    if (err != ERR_OK) {
        slot->state = SLOT_FOREIGN;
        if (err != ERR_WRONG_STATE) {
            log_warning("slots: one cannot be taken: %s slot=%u", text, slot->index);
        }
        return;
    }
    FAILPOINT(SLOT_TAKEN);
    log_debug("slots: taken slot=%u epoch=%llu", slot->index, (unsigned long long)epoch);
    slot->epoch = epoch;
    slot->lease_end_ms = call.sent_ms + LEASE_MS(slot->daemon);
    slot->state = SLOT_HELD;
    if (!slot->daemon->is_stopping) {
        running_load_slot(slot);
    }
}

static void take(struct slot *slot, uint64_t epoch)
{
    struct daemon *daemon = slot->daemon;
    struct take_call *call = must(malloc(sizeof(*call)));

    *call = (struct take_call){.slot = slot, .sent_ms = slots_clock_ms()};
    slot->state = SLOT_TAKING;
    store_slot_take(daemon->store, &daemon->instance, LEASE_MS(daemon), slot->index, epoch,
                    on_taken, call);
}

/* An equal share for every daemon that lives; no more is held than that. */
static void share_out(struct daemon *daemon, const struct store_slots *seen)
{
    unsigned share = (STORE_SLOT_COUNT + seen->instance_count - 1) / seen->instance_count;
    unsigned held = 0;

    for (unsigned i = 0; i < STORE_SLOT_COUNT; i++) {
        const struct slot *slot = &daemon->slots[i];
        held += slot->state != SLOT_FOREIGN && slot->state != SLOT_LEAVING;
    }
    for (unsigned i = STORE_SLOT_COUNT; i-- > 0 && held > share;) {
        if (daemon->slots[i].state == SLOT_READY) {
            leave(&daemon->slots[i]);
            held--;
        }
    }
    for (unsigned i = 0; i < STORE_SLOT_COUNT && held < share; i++) {
        const struct store_slot *row = &seen->slots[i];
        if (daemon->slots[i].state == SLOT_FOREIGN && (row->is_free || row->is_mine)) {
            take(&daemon->slots[i], row->epoch);
            held++;
        }
    }
}

/* renewing */

static void on_lease_timer(uv_timer_t *timer)
{
    slots_renew(timer->data);
}

/* The next look: at the usual pace, or when somebody's lease ends. */
static void plan_renewal(struct daemon *daemon, const struct store_slots *seen)
{
    uint64_t wait_ms = TICK_MS(daemon);

    for (unsigned i = 0; seen != NULL && i < STORE_SLOT_COUNT; i++) {
        uint32_t lease_ms = seen->slots[i].lease_ms;
        if (!seen->slots[i].is_mine && lease_ms > 0 && lease_ms + 20 < wait_ms) {
            wait_ms = lease_ms + 20;
        }
    }
    uv_timer_start(&daemon->lease_timer, on_lease_timer, wait_ms, 0);
}

static void on_renewed(void *arg, enum err err, const char *text, const struct store_slots *seen)
{
    struct daemon *daemon = arg;

    FAILPOINT(LEASES_RENEWED);
    daemon->is_renewing = false;
    if (daemon->is_stopping) {
        return;
    }
    if (err != ERR_OK) {
        log_warning("slots: the leases are not renewed: %s", text);
        plan_renewal(daemon, NULL);
        return;
    }
    daemon->has_seen_slots = true;
    daemon->instance_count = seen->instance_count;
    for (unsigned i = 0; i < STORE_SLOT_COUNT; i++) {
        struct slot *slot = &daemon->slots[i];
        if (slot->epoch == 0) {
            continue;
        }
        if (seen->slots[i].epoch != slot->epoch || !seen->slots[i].is_mine) {
            lose(slot);
            continue;
        }
        slot->lease_end_ms = daemon->renewal_sent_ms + LEASE_MS(daemon);
        if (slot->state == SLOT_HELD) {
            running_load_slot(slot);
        }
    }
    if (seen->instance_count > 0) { /* we live, too */
        share_out(daemon, seen);
    }
    plan_renewal(daemon, seen);
    /* An answer that took its time may have come with leases that have ended since. */
    if (daemon->must_renew_again || slots_clock_ms() > daemon->renewal_sent_ms + LEASE_MS(daemon)) {
        daemon->must_renew_again = false;
        slots_renew(daemon);
    }
}

void slots_renew(struct daemon *daemon)
{
    uint64_t epochs[STORE_SLOT_COUNT];

    if (daemon->is_renewing || daemon->is_stopping) {
        daemon->must_renew_again = true;
        return;
    }
    for (unsigned i = 0; i < STORE_SLOT_COUNT; i++) {
        epochs[i] = daemon->slots[i].epoch;
    }
    daemon->is_renewing = true;
    daemon->renewal_sent_ms = slots_clock_ms();
    store_slots_renew(daemon->store, &daemon->instance, daemon->instance_name, LEASE_MS(daemon),
                      epochs, on_renewed, daemon);
}

/* news of other daemons */

static void on_slots_news(void *arg)
{
    slots_renew(arg);
}

static void on_request_news(void *arg, unsigned slot)
{
    struct daemon *daemon = arg;

    if (slot < STORE_SLOT_COUNT && daemon->slots[slot].state == SLOT_READY) {
        requests_take(&daemon->slots[slot]);
    }
}

static void on_change_news(void *arg, const char *deployment_id)
{
    api_publish(arg, deployment_id);
}

/* start and end */

/* The identity outlives the process, and the lock does not: a restarted daemon knows that the one
 * before it is gone, and takes its slots back at once. */
static bool read_identity(struct daemon *daemon)
{
    char path[300], text[UUID_TEXT_SIZE] = "";

    snprintf(path, sizeof(path), "%s/instance-id", daemon->config.state_dir);
    daemon->instance = secrets_uuid();
    daemon->instance_lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (daemon->instance_lock < 0) {
        log_warning("slots: %s cannot be written (%s): after a crash the next start waits for the "
                    "end of the leases",
                    path, strerror(errno));
        return true;
    }
    if (flock(daemon->instance_lock, LOCK_EX | LOCK_NB) != 0) {
        log_error("slots: another fuotad uses state_dir = %s", daemon->config.state_dir);
        return false;
    }
    ssize_t size = read(daemon->instance_lock, text, sizeof(text) - 1);
    if (size == UUID_TEXT_SIZE - 1 && uuid_parse(text, &daemon->instance) == ERR_OK) {
        return true;
    }
    uuid_format(&daemon->instance, text);
    if (ftruncate(daemon->instance_lock, 0) != 0 ||
        pwrite(daemon->instance_lock, text, UUID_TEXT_SIZE - 1, 0) != UUID_TEXT_SIZE - 1) {
        log_warning("slots: %s cannot be written: %s", path, strerror(errno));
    }
    return true;
}

bool slots_start(struct daemon *daemon)
{
    static const struct store_news news = {on_slots_news, on_request_news, on_change_news};

    if (!read_identity(daemon)) {
        return false;
    }
    if (gethostname(daemon->instance_name, sizeof(daemon->instance_name) - 1) != 0) {
        snprintf(daemon->instance_name, sizeof(daemon->instance_name), "unknown");
    }
    for (unsigned i = 0; i < STORE_SLOT_COUNT; i++) {
        daemon->slots[i] = (struct slot){.daemon = daemon, .index = i};
    }
    uv_timer_init(&daemon->loop, &daemon->lease_timer);
    daemon->lease_timer.data = daemon;
    store_listen(daemon->store, &news, daemon);
    suspended_report_crash(daemon, slots_renew);
    return true;
}

struct leave_call {
    struct daemon *daemon;
    void (*done)(struct daemon *daemon);
};

static void on_left(void *arg, enum err err, const char *text)
{
    struct leave_call call = *(struct leave_call *)arg;

    (void)err, (void)text; /* then the leases end by themselves */
    free(arg);
    call.done(call.daemon);
}

void slots_leave(struct daemon *daemon, void (*done)(struct daemon *daemon))
{
    struct leave_call *call = must(malloc(sizeof(*call)));
    uint64_t epochs[STORE_SLOT_COUNT];

    for (unsigned i = 0; i < STORE_SLOT_COUNT; i++) {
        epochs[i] = daemon->slots[i].epoch;
        close_stream(&daemon->slots[i]);
        daemon->slots[i].epoch = 0;
    }
    *call = (struct leave_call){.daemon = daemon, .done = done};
    FAILPOINT(SLOTS_LEAVE);
    store_slots_leave(daemon->store, &daemon->instance, epochs, true, on_left, call);
}
