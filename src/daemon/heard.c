/*
 * heard.c - which gateways hear which devices, for plans. It is knowledge of the weather, not of
 * the work: when there is too much at once, or the database is away, some of it is not noted.
 */
#include <stdlib.h>

#include "daemon.h"
#include "daemon/log.h"

#define HEARD_MAX     4096 /* gateways of uplinks that are noted at once */
#define SAVE_PAUSE_MS 1000

void heard_on_uplink(struct daemon *daemon, const struct network_event *event)
{
    struct heard_list *heard = &daemon->heard;

    if (event->is_relayed) {
        return; /* the gateways hear the relay; the next uplink is as good */
    }
    if (heard->items == NULL) {
        heard->items = must(calloc(HEARD_MAX, sizeof(*heard->items)));
    }
    for (unsigned g = 0; g < event->gateway_count && heard->count < HEARD_MAX; g++) {
        heard->items[heard->count++] = (struct store_heard){.dev_eui = event->dev_eui,
                                                            .gateway_id = event->gateways[g],
                                                            .heard_ms = event->received_ms};
    }
}

static void on_noted(void *arg, enum err err, const char *text)
{
    struct daemon *daemon = arg;

    daemon->heard.is_saving = false;
    if (err != ERR_OK) {
        log_debug("store: who hears whom is not noted: %s", text);
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
}
