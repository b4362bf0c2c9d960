/* janitor.c - what is looked after from time to time: live events, wishes that are due, what an
 * outage left undone, old timelines. */
#include "daemon.h"
#include "daemon/log.h"

#define DUE_CHECK_MS     1000
#define REQUEST_CHECK_MS 10000
#define PRUNE_AGAIN_MS   1000
#define PRUNE_PAUSE_MS   3600000

/* Wishes whose time has come, and those whose notification got lost. */
static void check_requests(struct daemon *daemon)
{
    bool is_due = uv_now(&daemon->loop) >= daemon->next_due_check;
    bool is_open = uv_now(&daemon->loop) >= daemon->next_request_check;

    if (!store_is_connected(daemon->store) || (!is_due && !is_open)) {
        return;
    }
    if (is_due) {
        daemon->next_due_check = uv_now(&daemon->loop) + DUE_CHECK_MS;
        requests_run_due(daemon);
    }
    if (is_open) {
        daemon->next_request_check = uv_now(&daemon->loop) + REQUEST_CHECK_MS;
    }
    for (unsigned i = 0; i < STORE_SLOT_COUNT; i++) {
        struct slot *slot = &daemon->slots[i];
        if (slot->state == SLOT_READY && is_open) {
            requests_take(slot);
        }
    }
}

/* Old timelines, by whoever owns the first slot: a little at a time. */
static void on_pruned(void *arg, enum err err, const char *text, bool has_more)
{
    struct daemon *daemon = arg;

    if (err != ERR_OK) {
        log_warning("store: old timelines are not deleted: %s", text);
    }
    daemon->next_prune = uv_now(&daemon->loop) + (has_more ? PRUNE_AGAIN_MS : PRUNE_PAUSE_MS);
}

static void on_old_pruned(void *arg, enum err err, const char *text)
{
    if (err != ERR_OK) {
        log_warning("store: %s are not deleted: %s", (const char *)arg, text);
    }
}

static void prune(struct daemon *daemon)
{
    unsigned days = (unsigned)daemon->config.retention_timeline_days;

    if (daemon->slots[0].state != SLOT_READY || !store_is_connected(daemon->store) ||
        uv_now(&daemon->loop) < daemon->next_prune) {
        return;
    }
    daemon->next_prune = uv_now(&daemon->loop) + PRUNE_PAUSE_MS;
    store_airtime_prune(daemon->store, daemon_now_ms(daemon), on_old_pruned,
                        "old bookings of airtime");
    store_heard_prune(daemon->store, daemon_now_ms(daemon), on_old_pruned,
                      "old gateways of devices");
    if (days > 0) {
        daemon->next_prune = UINT64_MAX; /* until it reports */
        store_prune(daemon->store, days, on_pruned, daemon);
    }
}

void janitor_runs(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;

    api_publish_changes(daemon);
    actions_report_waiting(daemon);
    seals_check(daemon);
    if (!daemon->has_tokens && store_is_connected(daemon->store)) {
        api_load_tokens(daemon);
    }
    if (!daemon->has_clock_answers && store_is_connected(daemon->store)) {
        clock_service_load(daemon);
    }
    slots_janitor(daemon);
    heard_save(daemon);
    check_requests(daemon);
    prune(daemon);
}
