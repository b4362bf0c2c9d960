/* fuzz_events_json.c - no JSON payload brings the reader of events to anything but an event or an
 * error. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "network/chirpstack/events.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || data[0] != '{') {
        return 0; /* the other one's */
    }
    for (unsigned topic = 0; topic < EVENTS_TOPIC_COUNT; topic++) {
        uint8_t buffer[NETWORK_PAYLOAD_MAX];
        struct network_event event, untouched;
        const char *field = NULL;

        memset(&event, 0xA5, sizeof(event));
        memset(&untouched, 0xA5, sizeof(untouched));
        enum err err =
            events_decode((enum events_topic)topic, data, size, 18, buffer, &event, &field);
        if (err != ERR_OK) {
            assert(err == ERR_FORMAT || err == ERR_MISSING);
            assert(field != NULL);
            assert(memcmp(&event, &untouched, sizeof(event)) == 0);
        } else if (topic == EVENTS_UP) {
            assert(event.kind == NETWORK_UPLINK);
            assert(event.data == buffer && event.data_size <= NETWORK_PAYLOAD_MAX);
            assert(event.gateway_count <= NETWORK_GATEWAYS_MAX);
        }
    }
    return 0;
}
