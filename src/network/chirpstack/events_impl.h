/* events_impl.h - what both readers of events fill before one function makes the event. */
#ifndef CHIRPSTACK_EVENTS_IMPL_H
#define CHIRPSTACK_EVENTS_IMPL_H

#include <stdbool.h>

#include "network/chirpstack/events.h"

#define RX_INFO_MAX 32

struct raw_rx {
    const char *gateway_id;
    int32_t rssi;
    double snr;
    bool has_gps_time, has_gw_time;
    int64_t gps_time_us; /* since the GPS epoch */
    int64_t gw_time_us;  /* Unix */
};

/* An event as text and numbers; texts are borrowed, NULL where absent. */
struct raw_event {
    const char *application_id, *profile_id, *dev_eui;
    const char *item_id;
    bool is_encrypted; /* only the join server has the key */
    bool is_relayed;
    bool has_time;
    int64_t time_us;
    uint32_t f_cnt, f_port;
    size_t data_size; /* octets in the caller's buffer */
    uint32_t spreading_factor, bandwidth_hz, bit_rate;
    size_t rx_count;
    struct raw_rx rx[RX_INFO_MAX];
};

/* Standard or URL-safe, padding optional. False: none, or more than `out_size` octets. */
bool events_parse_base64(const char *text, uint8_t *out, size_t out_size, size_t *ret_size);
enum err events_decode_json(enum events_topic topic, const uint8_t *payload, size_t size,
                            uint8_t buffer[NETWORK_PAYLOAD_MAX],
                            enum err (*make)(const struct raw_event *raw, void *arg), void *arg,
                            const char **ret_field);
enum err events_decode_protobuf(enum events_topic topic, const uint8_t *payload, size_t size,
                                uint8_t buffer[NETWORK_PAYLOAD_MAX],
                                enum err (*make)(const struct raw_event *raw, void *arg), void *arg,
                                const char **ret_field);

#endif
