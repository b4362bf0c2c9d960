/* gateway_frames_test.c - what ChirpStack and its gateways tell each other, in both encodings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "network/chirpstack/gateway_frames.h"

/* 60, DevAddr 01020304, FCtrl 00, FCnt 0x1234, FPort c9, two octets, MIC. */
static const uint8_t down_protobuf[] = {
    0x18, 0xB9, 0x60,                                     /* 3: downlink_id 12345 */
    0x2A, 0x11,                                           /* 5: an item */
    0x0A, 0x0F,                                           /* 1: phy_payload */
    0x60, 0x04, 0x03, 0x02, 0x01, 0x00, 0x34, 0x12, 0xC9, /* */
    0xAA, 0xBB, 0x01, 0x02, 0x03, 0x04,                   /* */
    0x3A, 0x04, 'g',  'w',  'i',  'd',                    /* 7: gateway_id */
};
static const char down_json[] =
    "{\"downlinkId\":12345,\"items\":[{\"phyPayload\":\"YAQDAgEANBLJqrsBAgME\",\"txInfo\":{}}],"
    "\"gatewayId\":\"0016c001f1500812\"}";

static enum err down(const char *json, struct gateway_downlink *ret)
{
    return gateway_downlink_decode((const uint8_t *)json, strlen(json), ret);
}

static enum err ack(const char *json, struct gateway_ack *ret)
{
    return gateway_ack_decode((const uint8_t *)json, strlen(json), ret);
}

static void a_frame_is_read_in_both_encodings(void **state)
{
    struct gateway_downlink d = {0}, e = {0};

    (void)state;
    assert_int_equal(down(down_json, &d), ERR_OK);
    assert_int_equal(d.downlink_id, 12345);
    assert_int_equal(d.dev_addr, 0x01020304);
    assert_int_equal(d.f_cnt, 0x1234);
    assert_int_equal(gateway_downlink_decode(down_protobuf, sizeof(down_protobuf), &e), ERR_OK);
    assert_memory_equal(&d, &e, sizeof(d));
}

static void other_frames_and_rubbish_are_none(void **state)
{
    struct gateway_downlink d;

    (void)state;
    assert_int_equal(down("{\"items\":[{\"phyPayload\":\"IAQDAgEANBLJ\"}]}", &d), ERR_MISSING);
    assert_int_equal(down("{\"items\":[{\"phyPayload\":\"YAQD\"}]}", &d), ERR_MISSING);
    assert_int_equal(down("{\"items\":[{\"phyPayload\":\"?\"}]}", &d), ERR_FORMAT);
    assert_int_equal(down("{\"items\":[]}", &d), ERR_FORMAT);
    assert_int_equal(down("{\"downlinkId\":-1,\"items\":[{\"phyPayload\":\"YAQDAgEANBLJ\"}]}", &d),
                     ERR_FORMAT);
    assert_int_equal(down("{", &d), ERR_FORMAT);
    assert_int_equal(gateway_downlink_decode(NULL, 0, &d), ERR_FORMAT);
    for (size_t size = 1; size + 6 < sizeof(down_protobuf); size++) /* the gateway may be missing */
        assert_int_not_equal(gateway_downlink_decode(down_protobuf, size, &d), ERR_OK);
}

static void the_first_status_that_is_not_ignored_counts(void **state)
{
    static const struct {
        const char *json;
        enum network_tx tx;
    } rows[] = {
        {"{\"downlinkId\":7,\"items\":[{\"status\":\"OK\"}]}", NETWORK_TX_OK},
        {"{\"downlinkId\":7,\"items\":[{},{\"status\":\"OK\"}]}", NETWORK_TX_OK},
        {"{\"downlinkId\":7,\"items\":[{\"status\":\"DUTY_CYCLE_OVERFLOW\"}]}",
         NETWORK_TX_DUTY_CYCLE},
        {"{\"downlinkId\":7,\"items\":[{\"status\":4}]}", NETWORK_TX_COLLISION},
        {"{\"downlinkId\":7,\"items\":[{\"status\":\"OF_TOMORROW\"}]}", NETWORK_TX_INTERNAL},
    };
    static const uint8_t protobuf[] = {0x10, 0x07, 0x2A, 0x02, 0x08, 0x02}; /* 7, TOO_LATE */
    struct gateway_ack a;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(ack(rows[i].json, &a), ERR_OK);
        assert_int_equal(a.downlink_id, 7);
        assert_int_equal(a.tx, rows[i].tx);
    }
    assert_int_equal(gateway_ack_decode(protobuf, sizeof(protobuf), &a), ERR_OK);
    assert_int_equal(a.downlink_id, 7);
    assert_int_equal(a.tx, NETWORK_TX_TOO_LATE);
    assert_int_equal(ack("{\"downlinkId\":7,\"items\":[{}]}", &a), ERR_MISSING);
    assert_int_equal(ack("{\"downlinkId\":\"7\"}", &a), ERR_FORMAT);
    assert_int_equal(ack("[]", &a), ERR_FORMAT);
}

static void topics_are_told_apart(void **state)
{
    enum gateway_topic topic;
    uint64_t id;

    (void)state;
    assert_int_equal(gateway_topic_read("eu868/gateway/0016c001f1500812/command/down", &id, &topic),
                     ERR_OK);
    assert_true(id == 0x0016c001f1500812u && topic == GATEWAY_DOWN);
    assert_int_equal(
        gateway_topic_read("a/gateway/b/gateway/0016c001f1500812/event/ack", &id, &topic), ERR_OK);
    assert_true(id == 0x0016c001f1500812u && topic == GATEWAY_ACK);
    assert_int_equal(gateway_topic_read("eu868/gateway/0016c001f1500812/event/up", &id, &topic),
                     ERR_UNKNOWN);
    assert_int_equal(gateway_topic_read("eu868/gateway/0016c001f150081/event/ack", &id, &topic),
                     ERR_UNKNOWN);
    assert_int_equal(gateway_topic_read("eu868/gateway/", &id, &topic), ERR_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_is_read_in_both_encodings),
        cmocka_unit_test(other_frames_and_rubbish_are_none),
        cmocka_unit_test(the_first_status_that_is_not_ignored_counts),
        cmocka_unit_test(topics_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
