/* heard.c - which gateways hear which devices. */
#include <inttypes.h>

#include "base/hex.h"
#include "store/pg_array.h"
#include "store_impl.h"

#define TEXT_OF(number)  TEXT_OF_(number)
#define TEXT_OF_(number) #number

void store_note_heard(struct store *store, const struct store_heard *heard, size_t count,
                      store_done_fn *done, void *arg)
{
    struct pg_batch *batch = pg_batch_new();
    struct pg_array columns[3];
    char text[EUI64_TEXT_SIZE];

    pg_array_init(&columns[0], PG_TYPE_TEXT);
    pg_array_init(&columns[1], PG_TYPE_TEXT);
    pg_array_init(&columns[2], PG_TYPE_BIGINT);
    for (size_t i = 0; i < count; i++) {
        eui64_format(heard[i].dev_eui, text);
        pg_array_put_text(&columns[0], text);
        eui64_format(heard[i].gateway_id, text);
        pg_array_put_text(&columns[1], text);
        pg_array_put_number(&columns[2], heard[i].heard_ms);
    }
    /* What is known well enough is not even locked. Always in the same order: daemons may note the
     * same device. */
    pg_add_arrays(
        batch,
        "INSERT INTO heard (dev_eui, gateway_id, heard_ms) SELECT n.d, n.g, max(n.ms) "
        "FROM unnest($1::text[], $2::text[], $3::bigint[]) AS n(d, g, ms) LEFT JOIN heard "
        "h ON h.dev_eui = n.d AND h.gateway_id = n.g WHERE h.heard_ms IS NULL OR "
        "abs(n.ms - h.heard_ms) >= 3600000 GROUP BY 1, 2 ORDER BY 1, 2 "
        "ON CONFLICT (dev_eui, gateway_id) DO UPDATE SET heard_ms = excluded.heard_ms",
        3, columns);
    store_do_anyway(store->reader, batch, done, arg);
}

void store_coverage(struct store *store, const struct uuid *deployment_id, int64_t since_ms,
                    store_json_fn *done, void *arg)
{
    char id[UUID_TEXT_SIZE], since[24];
    const char *params[] = {id, since};

    uuid_format(deployment_id, id);
    snprintf(since, sizeof(since), "%" PRId64, since_ms);
    store_ask_json(
        store->reader,
        "SELECT coalesce(json_agg(json_build_object('gateways', gateways, 'count', n, 'devices', "
        "devices)), '[]') FROM (SELECT gateways, count(*) AS n, "
        "(array_agg(dev_eui ORDER BY dev_eui))[1:" TEXT_OF(
            STORE_COVERAGE_DEVICES_MAX) "] AS devices "
                                        "FROM (SELECT v.dev_eui, coalesce(array_agg(h.gateway_id "
                                        "ORDER BY h.gateway_id) FILTER "
                                        "(WHERE h.gateway_id IS NOT NULL), '{}') AS gateways FROM "
                                        "deployment_device v LEFT JOIN "
                                        "heard h ON h.dev_eui = v.dev_eui AND h.heard_ms >= $2 "
                                        "WHERE v.deployment_id = $1 "
                                        "GROUP BY 1) d GROUP BY 1 ORDER BY 1) p",
        2, params, ERR_MISSING, done, arg);
}

void store_heard_prune(struct store *store, int64_t now_ms, store_done_fn *done, void *arg)
{
    store_do_at(store->reader,
                "DELETE FROM heard WHERE ctid = ANY (ARRAY(SELECT ctid FROM heard WHERE heard_ms < "
                "$1::bigint - 30 * 86400000::bigint LIMIT 50000 FOR UPDATE SKIP LOCKED))",
                now_ms, done, arg);
}
