/* fuzz_gateway_frames.c - whatever is said on the gateways' topics: it is read, or refused. The
 * input: a topic up to a zero octet, then the payload. */
#include <assert.h>
#include <string.h>

#include "network/chirpstack/gateway_frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gateway_downlink downlink;
    struct gateway_ack ack;
    enum gateway_topic topic;
    uint64_t id;
    const uint8_t *end = size > 0 ? memchr(data, 0, size) : NULL;

    if (end == NULL) {
        return 0;
    }
    if (gateway_topic_read((const char *)data, &id, &topic) == ERR_OK) {
        assert(topic == GATEWAY_DOWN || topic == GATEWAY_ACK);
    }
    size -= (size_t)(end + 1 - data);
    (void)!gateway_downlink_decode(end + 1, size, &downlink);
    if (gateway_ack_decode(end + 1, size, &ack) == ERR_OK) {
        assert((unsigned)ack.tx < NETWORK_TX_COUNT);
    }
    return 0;
}
