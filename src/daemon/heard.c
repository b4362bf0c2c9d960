/*
 * heard.c - which gateways hear which devices, for plans. It is knowledge of the weather, not of
 * the work: when there is too much at once, or the database is away, some of it is not noted.
 */
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "daemon.h"
#include "daemon/log.h"

#define HEARD_MAX     4096 /* gateways of uplinks that are noted at once */
#define SAVE_PAUSE_MS 1000
#define AGAIN_MS      3600000
/* What was noted last is not noted again at once; a hash table in which the newer one stays. */
#define RECENT_COUNT 8192

static bool is_recent(const struct heard_list *heard, const struct store_heard *item)
{
    struct store_heard *recent =
        &heard->recent[random_mix(item->dev_eui, item->gateway_id) % RECENT_COUNT];
    int64_t since_ms = item->heard_ms - recent->heard_ms;

    if (recent->dev_eui == item->dev_eui && recent->gateway_id == item->gateway_id &&
        since_ms > -AGAIN_MS && since_ms < AGAIN_MS) {
        return true;
    }
    *recent = *item;
    return false;
}

void heard_on_uplink(struct daemon *daemon, const struct network_event *event)
{
    struct heard_list *heard = &daemon->heard;

    if (heard->items == NULL) {
        heard->items = must(calloc(HEARD_MAX, sizeof(*heard->items)));
        heard->recent = must(calloc(RECENT_COUNT, sizeof(*heard->recent)));
    }
    for (unsigned g = 0; g < event->gateway_count && heard->count < HEARD_MAX; g++) {
        struct store_heard item = {.dev_eui = event->dev_eui,
                                   .gateway_id = event->gateways[g],
                                   .heard_ms = event->received_ms};
        if (!is_recent(heard, &item)) {
            heard->items[heard->count++] = item;
        }
    }
}

static void on_noted(void *arg, enum err err, const char *text)
{
    struct heard_list *heard = &((struct daemon *)arg)->heard;

    heard->is_saving = false;
    if (err != ERR_OK) {
        log_debug("store: who hears whom is not noted: %s", text);
        memset(heard->recent, 0, RECENT_COUNT * sizeof(*heard->recent));
    }
}

void heard_save(struct daemon *daemon)
{
    struct heard_list *heard = &daemon->heard;

    if (heard->count == 0 || heard->is_saving || !store_is_connected(daemon->store) ||
        uv_now(&daemon->loop) < heard->next_save) {
        return;
    }
    heard->is_saving = true;
    heard->next_save = uv_now(&daemon->loop) + SAVE_PAUSE_MS;
    store_note_heard(daemon->store, heard->items, heard->count, on_noted, daemon);
    heard->count = 0;
}

void heard_release(struct daemon *daemon)
{
    free(daemon->heard.items);
    free(daemon->heard.recent);
}
