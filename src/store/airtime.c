/* airtime.c - the ledger of what goes through each gateway. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "store_impl.h"

struct book_call {
    store_airtime_fn *done;
    void *arg;
};

static void on_booked(void *arg, enum err err, const char *text, const struct pg_results *results)
{
    struct book_call call = *(struct book_call *)arg;
    int64_t start_ms = err == ERR_OK ? strtoll(pg_text(results, 0, 0, 0), NULL, 10) : 0;

    free(arg);
    call.done(call.arg, err, text, start_ms);
}

void store_book_airtime(struct store *store, const struct store_airtime *frame,
                        store_airtime_fn *done, void *arg)
{
    struct book_call *call = store_must(malloc(sizeof(*call)));
    struct pg_batch *batch = pg_batch_new();
    char gateways[DEPLOYMENT_GATEWAYS_MAX * EUI64_TEXT_SIZE + 3] = "{";
    char now[24], airtime[24], busy[24], duty[24];
    const char *params[] = {gateways, frame->band, now, airtime, busy, duty};
    size_t size = 1;

    *call = (struct book_call){.done = done, .arg = arg};
    for (size_t g = 0; g < frame->gateway_count; g++) {
        char eui[EUI64_TEXT_SIZE];
        eui64_format(frame->gateways[g], eui);
        size += (size_t)snprintf(gateways + size, sizeof(gateways) - size, "%s%s", g > 0 ? "," : "",
                                 eui);
    }
    snprintf(gateways + size, sizeof(gateways) - size, "}");
    snprintf(now, sizeof(now), "%" PRId64, frame->now_ms);
    snprintf(airtime, sizeof(airtime), "%" PRId64, frame->airtime_ms);
    snprintf(busy, sizeof(busy), "%" PRId64, frame->busy_ms);
    snprintf(duty, sizeof(duty), "%" PRId64, frame->duty_ms);
    pg_add(batch, "SELECT book_airtime($1::text[], $2, $3, $4, $5, $6)", 6, params);
    pg_send(store->writer, batch, on_booked, call);
}

void store_airtime_get(struct store *store, int64_t now_ms, store_json_fn *done, void *arg)
{
    char now[24];
    const char *params[] = {now};

    snprintf(now, sizeof(now), "%" PRId64, now_ms);
    store_ask_json(
        store->reader,
        "SELECT json_build_object('gateways', coalesce(json_agg(json_build_object('gateway_id', "
        "a.gateway_id, 'band', a.band, 'hour_airtime_ms', a.hour_ms, 'hour_frames', a.hour_frames, "
        "'day_airtime_ms', a.day_ms, 'free_in_ms', greatest(0, coalesce(f.free_ms, 0) - $1)) "
        "ORDER BY a.gateway_id, a.band), '[]')) FROM (SELECT gateway_id, band, "
        "coalesce(sum(airtime_ms) FILTER (WHERE minute > $1::bigint / 60000 - 60), 0) AS hour_ms, "
        "coalesce(sum(frame_count) FILTER (WHERE minute > $1::bigint / 60000 - 60), 0) AS "
        "hour_frames, "
        "sum(airtime_ms) AS day_ms FROM airtime WHERE minute > $1::bigint / 60000 - 1440 "
        "GROUP BY 1, 2) a LEFT JOIN gateway_air f USING (gateway_id, band)",
        1, params, ERR_MISSING, done, arg);
}

void store_neighbours(struct store *store, const struct uuid *deployment_id, store_json_fn *done,
                      void *arg)
{
    char id[UUID_TEXT_SIZE];
    const char *params[] = {id};

    uuid_format(deployment_id, id);
    /* transmission.gateways: "0016c001f1500812*,...", a star where it is on the group */
    store_ask_json(
        store->reader,
        "SELECT coalesce(json_agg(json_build_object('deployment_id', d.id, 'name', d.name, "
        "'frequency_hz', (d.params->>'frequency_hz')::bigint, 'margin_ms', "
        "(d.params->>'margin_ms')::bigint, 'duty_used', d.plan->'duty_used', 'gap_ms', "
        "d.plan->'gap_ms', 'gateway_count', d.plan->'gateway_count', 'gateways', coalesce("
        "(SELECT json_agg(left(g, 16)) FROM unnest(string_to_array(t.gateways, ',')) g "
        "WHERE g LIKE '%*'), (d.wish->'gateways')::json, (d.plan->'coverage'->'gateways')::json, "
        "'[]')) ORDER BY d.created_at), '[]') FROM deployment d JOIN transmission t ON "
        "t.deployment_id = d.id WHERE d.state = 'running' AND d.id <> $1",
        1, params, ERR_MISSING, done, arg);
}

void store_airtime_prune(struct store *store, int64_t now_ms, store_done_fn *done, void *arg)
{
    store_do_at(store->reader, "DELETE FROM airtime WHERE minute < $1::bigint / 60000 - 2880",
                now_ms, done, arg);
}
