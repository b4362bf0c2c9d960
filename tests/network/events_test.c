/* events_test.c - ChirpStack's events, JSON and Protobuf: what is read, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "integration/integration.pb-c.h"
#include "network/chirpstack/events.h"

#define DEVICE_INFO                                                                                \
    "\"deviceInfo\":{\"tenantId\":\"11111111-2222-4333-8444-555555555555\",\"tenantName\":\"t\","  \
    "\"applicationId\":\"aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee\",\"applicationName\":\"a\","        \
    "\"deviceProfileId\":\"99999999-8888-4777-8666-555555555555\",\"deviceProfileName\":\"p\","    \
    "\"deviceName\":\"d1\",\"devEui\":\"0102030405060708\",\"deviceClassEnabled\":\"CLASS_A\","    \
    "\"tags\":{}}"

/* As ChirpStack writes it: SF7, 2 octets: 13 + 2 octets take 46.336 ms. */
static const char up[] =
    "{\"deduplicationId\":\"8a5f8f0e-4e0c-4c39-9d4e-0d1d6e5a0001\","
    "\"time\":\"2026-07-30T10:00:00.123456+00:00\"," DEVICE_INFO ","
    "\"devAddr\":\"01020304\",\"adr\":false,\"dr\":5,\"fCnt\":7,\"fPort\":200,\"confirmed\":false,"
    "\"data\":\"AgA=\",\"rxInfo\":[{\"gatewayId\":\"0016c001f1500812\",\"uplinkId\":4021,"
    "\"nsTime\":\"2026-07-30T10:00:00.120+00:00\",\"rssi\":-57,\"snr\":9.5,\"channel\":1,"
    "\"location\":{},\"context\":\"AAAAAA==\",\"crcStatus\":\"CRC_OK\"}],"
    "\"txInfo\":{\"frequency\":868300000,\"modulation\":{\"lora\":{\"bandwidth\":125000,"
    "\"spreadingFactor\":7,\"codeRate\":\"CR_4_5\"}}},\"regionConfigId\":\"eu868\"}";
static const char join[] =
    "{\"deduplicationId\":\"x\",\"time\":\"2026-07-30T10:00:00+00:00\"," DEVICE_INFO
    ",\"devAddr\":\"01020304\"}";
static const char txack[] =
    "{\"downlinkId\":5,\"time\":\"2026-07-30T10:00:00+00:00\"," DEVICE_INFO
    ",\"queueItemId\":\"12345678-0000-4000-8000-000000000001\",\"fCntDown\":3}";
static const char log_event[] =
    "{\"time\":\"2026-07-30T10:00:00+00:00\"," DEVICE_INFO
    ",\"level\":\"ERROR\",\"code\":\"EXPIRED\",\"description\":\"\",\"context\":{\"queue_item_id\":"
    "\"12345678-0000-4000-8000-000000000001\"}}";

#define TIME_MS       INT64_C(1785405600123) /* of the event above */
#define AIRTIME_MS    46
#define GPS_OFFSET_MS INT64_C(315964782000) /* Unix minus GPS, 18 leap seconds */

static uint8_t buffer[NETWORK_PAYLOAD_MAX];
static struct network_event event;
static const char *field;

/* In memory of its exact size, so that a read past its end is seen. */
static enum err decode(enum events_topic topic, const void *payload, size_t size)
{
    uint8_t *exact = malloc(size > 0 ? size : 1);

    assert_non_null(exact);
    memcpy(exact, payload, size);
    memset(&event, 0x5A, sizeof(event));
    field = NULL;
    enum err err = events_decode(topic, exact, size, 18, buffer, &event, &field);
    free(exact);
    assert_true(err == ERR_OK || field != NULL);
    return err;
}

static enum err decode_text(enum events_topic topic, const char *text)
{
    return decode(topic, text, strlen(text));
}

/* `text` with the first `from` replaced. */
static const char *with(const char *text, const char *from, const char *to)
{
    static char out[2][8000];
    static unsigned next;
    char *result = out[next++ % 2];
    const char *at = strstr(text, from);

    if (at == NULL) {
        fail_msg("%s is not in it", from);
    }
    int size =
        snprintf(result, sizeof(out[0]), "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    assert_in_range(size, 1, sizeof(out[0]) - 1);
    return result;
}

static void expect_uuid(const struct uuid *uuid, const char *text)
{
    char written[UUID_TEXT_SIZE];

    uuid_format(uuid, written);
    assert_string_equal(written, text);
}

static void expect_device(void)
{
    assert_true(event.dev_eui == 0x0102030405060708);
    expect_uuid(&event.application_id, "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee");
    expect_uuid(&event.profile_id, "99999999-8888-4777-8666-555555555555");
}

static void an_uplink_is_read(void **state)
{
    (void)state;

    assert_int_equal(decode_text(EVENTS_UP, up), ERR_OK);
    assert_int_equal(event.kind, NETWORK_UPLINK);
    expect_device();
    assert_true(event.received_ms == TIME_MS - AIRTIME_MS);
    assert_false(event.is_gateway_time);
    assert_false(event.is_relayed);
    assert_int_equal(event.f_cnt, 7);
    assert_int_equal(event.f_port, 200);
    assert_int_equal(event.data_size, 2);
    assert_ptr_equal(event.data, buffer);
    assert_memory_equal(event.data, "\x02\x00", 2);
    assert_int_equal(event.gateway_count, 1);
    assert_true(event.gateways[0] == 0x0016c001f1500812);
}

/* Far more than the memory kept for one event. */
static void an_event_with_very_many_tags_is_read(void **state)
{
    enum { TAGS = 5000 };
    size_t capacity = sizeof(up) + TAGS * 32;
    char *text = malloc(capacity);
    const char *tags = strstr(up, "\"tags\":{");

    (void)state;
    assert_non_null(text);
    assert_non_null(tags);
    tags += strlen("\"tags\":{");
    size_t size = (size_t)snprintf(text, capacity, "%.*s", (int)(tags - up), up);
    for (unsigned i = 0; i < TAGS; i++) {
        size += (size_t)snprintf(text + size, capacity - size, "%s\"tag%u\":\"%u\"",
                                 i > 0 ? "," : "", i, i);
    }
    snprintf(text + size, capacity - size, "%s", tags);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(decode_text(EVENTS_UP, text), ERR_OK);
        expect_device();
        assert_int_equal(decode_text(EVENTS_UP, up), ERR_OK);
        expect_device();
    }
    free(text);
}

static void joins_acknowledgements_and_drops_are_read(void **state)
{
    (void)state;

    assert_int_equal(decode_text(EVENTS_JOIN, join), ERR_OK);
    assert_int_equal(event.kind, NETWORK_JOIN);
    expect_device();
    assert_int_equal(decode_text(EVENTS_TXACK, txack), ERR_OK);
    assert_int_equal(event.kind, NETWORK_TXACK);
    expect_device();
    expect_uuid(&event.item_id, "12345678-0000-4000-8000-000000000001");
    assert_int_equal(decode_text(EVENTS_LOG, log_event), ERR_OK);
    assert_int_equal(event.kind, NETWORK_DROPPED);
    expect_device();
    expect_uuid(&event.item_id, "12345678-0000-4000-8000-000000000001");
}

static void what_says_nothing_to_us_is_missing(void **state)
{
    (void)state;

    assert_int_equal(decode_text(EVENTS_LOG, with(log_event, "queue_item_id", "f_cnt_up")),
                     ERR_MISSING);
    assert_int_equal(decode_text(EVENTS_UP, with(up, "\"dr\":5", "\"joinServerContext\":{}")),
                     ERR_MISSING);
}

static void fields_that_must_be_there_are_missed(void **state)
{
    (void)state;
    static const struct {
        enum events_topic topic;
        const char *text, *name, *field;
    } cases[] = {
        {EVENTS_UP, up, "deviceInfo", "deviceInfo.devEui"},
        {EVENTS_UP, up, "devEui", "deviceInfo.devEui"},
        {EVENTS_UP, up, "applicationId", "deviceInfo.applicationId"},
        {EVENTS_UP, up, "deviceProfileId", "deviceInfo.deviceProfileId"},
        {EVENTS_UP, up, "\"time\"", "time"},
        {EVENTS_UP, up, "gatewayId", "rxInfo.gatewayId"},
        {EVENTS_JOIN, join, "devEui", "deviceInfo.devEui"},
        {EVENTS_TXACK, txack, "queueItemId", "queueItemId"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *other = cases[i].name[0] == '"' ? "\"other\"" : "other";
        assert_int_equal(decode_text(cases[i].topic, with(cases[i].text, cases[i].name, other)),
                         ERR_FORMAT);
        assert_string_equal(field, cases[i].field);
    }
}

static void fields_that_may_be_absent_have_their_default(void **state)
{
    (void)state;

    assert_int_equal(decode_text(EVENTS_UP, with(up, "\"data\":\"AgA=\",", "")), ERR_OK);
    assert_int_equal(event.data_size, 0);
    assert_int_equal(decode_text(EVENTS_UP, with(up, "\"fPort\":200,", "")), ERR_OK);
    assert_int_equal(event.f_port, 0);
    assert_int_equal(decode_text(EVENTS_UP, with(up, "\"rssi\":-57,\"snr\":9.5,", "")), ERR_OK);
    assert_int_equal(decode_text(EVENTS_UP, with(up, "\"rxInfo\"", "\"none\"")), ERR_OK);
    assert_int_equal(event.gateway_count, 0);
    assert_int_equal(decode_text(EVENTS_UP, with(up, "\"txInfo\"", "\"none\"")), ERR_OK);
    assert_true(event.received_ms == TIME_MS); /* without a rate no airtime is taken off */
}

static void wrong_types_and_ranges_are_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"\"fCnt\":7", "\"fCnt\":\"seven\""},
        {"\"fCnt\":7", "\"fCnt\":-1"},
        {"\"fCnt\":7", "\"fCnt\":4294967296"},
        {"\"fCnt\":7", "\"fCnt\":null"},
        {"\"fPort\":200", "\"fPort\":256"},
        {"\"fPort\":200", "\"fPort\":[]"},
        {"\"data\":\"AgA=\"", "\"data\":5"},
        {"\"data\":\"AgA=\"", "\"data\":null"},
        {"\"data\":\"AgA=\"", "\"data\":\"Ag A\""},
        {"\"data\":\"AgA=\"", "\"data\":\"A\""},
        {"\"data\":\"AgA=\"", "\"data\":\"AgA=x\""},
        {"\"devEui\":\"0102030405060708\"", "\"devEui\":72623859790382856"},
        {"0102030405060708", "010203040506070"},
        {"aaaaaaaa-bbbb", "aaaaaaaabbbb"},
        {"0016c001f1500812", "0016c001f150081x"},
        {"\"gatewayId\":\"0016c001f1500812\"", "\"gatewayId\":1"},
        {"\"spreadingFactor\":7", "\"spreadingFactor\":\"SF7\""},
        {"\"deviceInfo\":{", "\"deviceInfo\":[],\"x\":{"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (decode_text(EVENTS_UP, with(up, cases[i][0], cases[i][1])) != ERR_FORMAT) {
            fail_msg("taken: %s", cases[i][1]);
        }
    }
    assert_int_equal(decode_text(EVENTS_UP, with(up, "\"fCnt\":7", "\"fCnt\":4294967295")), ERR_OK);
    assert_true(event.f_cnt == UINT32_MAX);
}

static void broken_json_is_refused(void **state)
{
    (void)state;

    for (size_t size = 0; size < sizeof(up) - 1; size++) {
        assert_int_equal(decode(EVENTS_UP, up, size), ERR_FORMAT);
    }
    assert_int_equal(decode_text(EVENTS_UP, "{}"), ERR_FORMAT);
    assert_int_equal(decode_text(EVENTS_UP, "{\"a\":tru}"), ERR_FORMAT);
    assert_int_equal(decode_text(EVENTS_UP, "[]"), ERR_FORMAT);
    char *deep = malloc(200001);
    memset(deep, '[', 200000);
    memcpy(deep, "{\"a\":", 5);
    deep[200000] = '\0';
    assert_int_equal(decode_text(EVENTS_UP, deep), ERR_FORMAT);
    free(deep);
}

static void base64_comes_in_four_ways(void **state)
{
    (void)state;
    static const char *const ways[] = {"+/8A/g==", "-_8A_g==", "+/8A/g", "-_8A_g"};

    for (size_t i = 0; i < 4; i++) {
        char text[40];
        snprintf(text, sizeof(text), "\"data\":\"%s\"", ways[i]);
        assert_int_equal(decode_text(EVENTS_UP, with(up, "\"data\":\"AgA=\"", text)), ERR_OK);
        assert_int_equal(event.data_size, 4);
        assert_memory_equal(event.data, "\xFB\xFF\x00\xFE", 4);
    }
}

static void data_has_at_most_242_octets(void **state)
{
    (void)state;
    char text[400] = "\"data\":\"";
    size_t size = strlen(text);

    memset(text + size, 'A', 324); /* 243 octets */
    strcpy(text + size + 324, "\"");
    assert_int_equal(decode_text(EVENTS_UP, with(up, "\"data\":\"AgA=\"", text)), ERR_FORMAT);
    strcpy(text + size + 323, "=\""); /* 242 */
    assert_int_equal(decode_text(EVENTS_UP, with(up, "\"data\":\"AgA=\"", text)), ERR_OK);
    assert_int_equal(event.data_size, 242);
}

static void times_have_fractions_and_offsets(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms; /* after 10:00:00 UTC */
    } good[] = {
        {"2026-07-30T10:00:00+00:00", 0},        {"2026-07-30T10:00:00Z", 0},
        {"2026-07-30T10:00:00.500+00:00", 500},  {"2026-07-30T10:00:00.123456Z", 123},
        {"2026-07-30T10:00:00.123999999Z", 123}, {"2026-07-30T12:00:01+02:00", 1000},
        {"2026-07-30T04:30:00.250-05:30", 250},  {"2026-07-31T00:00:00+14:00", 0},
    };
    static const char *const bad[] = {
        "",
        "2026-07-30",
        "2026-07-30 10:00:00Z",
        "2026-07-30T10:00:00",
        "2026-07-30T10:00:00+0000",
        "2026-07-30T10:00:00+00:00x",
        "2026-07-30T10:00:00.Z5",
        "2026-13-30T10:00:00Z",
        "2026-00-30T10:00:00Z",
        "2026-07-32T10:00:00Z",
        "2026-07-30T24:00:00Z",
        "2026-07-30T10:60:00Z",
        "2026-07-30T-1:00:00Z",
        "2026-07-30T 1:00:00Z",
        "+026-07-30T10:00:00Z",
        "1970-01-01T00:00:00Z",
        "2026-07-30T10:00:00+-1:00",
        "2026-07-30T10:00:00+99:00",
    };
    const char *plain = with(up, "\"lora\"", "\"none\"");
    char base[3000];

    snprintf(base, sizeof(base), "%s", plain);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(
            decode_text(EVENTS_UP, with(base, "2026-07-30T10:00:00.123456+00:00", good[i].text)),
            ERR_OK);
        assert_true(event.received_ms == INT64_C(1785405600000) + good[i].ms);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (decode_text(EVENTS_UP, with(base, "2026-07-30T10:00:00.123456+00:00", bad[i])) !=
            ERR_FORMAT) {
            fail_msg("taken: %s", bad[i]);
        }
        assert_string_equal(field, "time");
    }
    assert_int_equal(decode_text(EVENTS_UP, with(base, "2026-07-30T10:00:00.123456+00:00",
                                                 "2028-02-29T23:59:60Z")),
                     ERR_OK);
    assert_true(event.received_ms == INT64_C(1835481600000));
}

static void relayed_uplinks_are_marked(void **state)
{
    (void)state;

    assert_int_equal(decode_text(EVENTS_UP, with(up, "\"dr\":5", "\"relayRxInfo\":{}")), ERR_OK);
    assert_true(event.is_relayed);
}

/* Gateways, best signal first. */
static const char *with_gateways(unsigned count, const int *rssi, const double *snr)
{
    static char text[8000];
    size_t size = (size_t)snprintf(text, sizeof(text), "\"rxInfo\":[");

    for (unsigned i = 0; i < count; i++) {
        size += (size_t)snprintf(text + size, sizeof(text) - size,
                                 "%s{\"gatewayId\":\"%016x\",\"rssi\":%d,\"snr\":%f}",
                                 i > 0 ? "," : "", i + 1, rssi[i], snr[i]);
    }
    snprintf(text + size, sizeof(text) - size, "],\"old\":[");
    return with(up, "\"rxInfo\":[", text);
}

static void the_eight_best_gateways_are_kept_in_order(void **state)
{
    (void)state;
    const int rssi[] = {-120, -100, -110, -50, -110, -60, -70, -80, -90, -91, -92, -110};
    const double snr[] = {-20, 5, -3, 9, 5, 9, 9, 9, 9, 9, 9, -1};
    static const uint64_t best[] = {4, 6, 7, 8, 9, 10, 11, 2};

    assert_int_equal(decode_text(EVENTS_UP, with_gateways(12, rssi, snr)), ERR_OK);
    assert_int_equal(event.gateway_count, 8);
    assert_memory_equal(event.gateways, best, sizeof(best));
    /* Equal RSSI: below the noise floor the SNR decides, above it the order. */
    assert_int_equal(decode_text(EVENTS_UP, with_gateways(5, rssi, snr)), ERR_OK);
    static const uint64_t five[] = {4, 2, 5, 3, 1};
    assert_int_equal(event.gateway_count, 5);
    assert_memory_equal(event.gateways, five, sizeof(five));
}

static void gps_time_is_preferred_then_a_gateways_clock_then_the_servers(void **state)
{
    (void)state;
    char gps[60], text[600];
    int64_t gps_ms = TIME_MS - 40 - GPS_OFFSET_MS;
    const char *one = "{\"gatewayId\":\"0000000000000001\",\"gwTime\":"
                      "\"2026-07-30T10:00:00.060+00:00\"},";

    snprintf(gps, sizeof(gps), "%lld.%03lld", (long long)(gps_ms / 1000),
             (long long)(gps_ms % 1000));
    snprintf(text, sizeof(text),
             "\"rxInfo\":[%s{\"gatewayId\":\"0000000000000002\",\"timeSinceGpsEpoch\":\"%ss\"},",
             one, gps);
    assert_int_equal(decode_text(EVENTS_UP, with(up, "\"rxInfo\":[", text)), ERR_OK);
    assert_true(event.is_gateway_time);
    assert_true(event.received_ms == TIME_MS - 40 - AIRTIME_MS);
    snprintf(text, sizeof(text), "\"rxInfo\":[%s", one);
    assert_int_equal(decode_text(EVENTS_UP, with(up, "\"rxInfo\":[", text)), ERR_OK);
    assert_true(event.is_gateway_time);
    assert_true(event.received_ms == TIME_MS - 63 - AIRTIME_MS);
    /* A clock that was never set. */
    snprintf(text, sizeof(text),
             "\"rxInfo\":[{\"gatewayId\":\"0000000000000001\",\"gwTime\":"
             "\"2001-01-01T00:00:00Z\"},");
    assert_int_equal(decode_text(EVENTS_UP, with(up, "\"rxInfo\":[", text)), ERR_OK);
    assert_false(event.is_gateway_time);
    assert_true(event.received_ms == TIME_MS - AIRTIME_MS);
    /* What cannot be read is as if it were not there. */
    snprintf(text, sizeof(text),
             "\"rxInfo\":[{\"gatewayId\":\"0000000000000001\",\"gwTime\":\"soon\","
             "\"timeSinceGpsEpoch\":\"-5s\"},");
    assert_int_equal(decode_text(EVENTS_UP, with(up, "\"rxInfo\":[", text)), ERR_OK);
    assert_false(event.is_gateway_time);
}

static void the_airtime_is_taken_off(void **state)
{
    (void)state;

    assert_int_equal(
        decode_text(EVENTS_UP, with(up, "\"spreadingFactor\":7", "\"spreadingFactor\":12")),
        ERR_OK);
    assert_true(event.received_ms == TIME_MS - 1155);
    assert_int_equal(
        decode_text(EVENTS_UP, with(up, "\"lora\"", "\"fsk\":{\"datarate\":50000},\"none\"")),
        ERR_OK);
    assert_true(event.received_ms == TIME_MS - 4); /* 26 octets at 50 kbit/s */
    assert_int_equal(
        decode_text(EVENTS_UP, with(up, "\"spreadingFactor\":7", "\"spreadingFactor\":263")),
        ERR_OK);
    assert_true(event.received_ms == TIME_MS); /* no such rate: none is taken off */
}

/* Protobuf */

struct message {
    Integration__UplinkEvent up;
    Integration__DeviceInfo info;
    Google__Protobuf__Timestamp time, gw_time;
    Google__Protobuf__Duration gps;
    Gw__UplinkTxInfo tx;
    Gw__Modulation modulation;
    Gw__LoraModulationInfo lora;
    Gw__UplinkRxInfo rx[12];
    Gw__UplinkRxInfo *rx_list[12];
    uint8_t packed[4000];
    size_t size;
};

static void init_info(Integration__DeviceInfo *info)
{
    integration__device_info__init(info);
    info->application_id = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee";
    info->device_profile_id = "99999999-8888-4777-8666-555555555555";
    info->dev_eui = "0102030405060708";
}

static void init_message(struct message *m)
{
    static uint8_t data[243] = {2, 0};
    static char ids[12][17];

    integration__uplink_event__init(&m->up);
    init_info(&m->info);
    google__protobuf__timestamp__init(&m->time);
    google__protobuf__timestamp__init(&m->gw_time);
    google__protobuf__duration__init(&m->gps);
    gw__uplink_tx_info__init(&m->tx);
    gw__modulation__init(&m->modulation);
    gw__lora_modulation_info__init(&m->lora);
    for (unsigned i = 0; i < 12; i++) {
        gw__uplink_rx_info__init(&m->rx[i]);
        snprintf(ids[i], sizeof(ids[i]), "%016x", i + 1);
        m->rx[i].gateway_id = ids[i];
        m->rx[i].rssi = -60 - (int32_t)i;
        m->rx_list[i] = &m->rx[i];
    }
    m->time.seconds = TIME_MS / 1000;
    m->time.nanos = TIME_MS % 1000 * 1000000;
    m->lora.bandwidth = 125000;
    m->lora.spreading_factor = 7;
    m->modulation.parameters_case = GW__MODULATION__PARAMETERS_LORA;
    m->modulation.lora = &m->lora;
    m->tx.modulation = &m->modulation;
    m->up.device_info = &m->info;
    m->up.time = &m->time;
    m->up.tx_info = &m->tx;
    m->up.f_cnt = UINT32_MAX;
    m->up.f_port = 201;
    m->up.data.data = data;
    m->up.data.len = 2;
    m->up.deduplication_id = "8a5f8f0e-4e0c-4c39-9d4e-0d1d6e5a0001";
    m->up.n_rx_info = 2;
    m->up.rx_info = m->rx_list;
}

static enum err decode_message(struct message *m)
{
    m->size = integration__uplink_event__pack(&m->up, m->packed);
    return decode(EVENTS_UP, m->packed, m->size);
}

static void a_protobuf_uplink_is_read(void **state)
{
    (void)state;
    struct message m;

    init_message(&m);
    assert_int_equal(decode_message(&m), ERR_OK);
    expect_device();
    assert_int_equal(event.kind, NETWORK_UPLINK);
    assert_true(event.received_ms == TIME_MS - AIRTIME_MS);
    assert_true(event.f_cnt == UINT32_MAX);
    assert_int_equal(event.f_port, 201);
    assert_int_equal(event.data_size, 2);
    assert_memory_equal(event.data, "\x02\x00", 2);
    assert_int_equal(event.gateway_count, 2);
    assert_true(event.gateways[0] == 1 && event.gateways[1] == 2);
    assert_false(event.is_relayed);
    assert_false(event.is_gateway_time);
}

static void a_truncated_protobuf_uplink_never_reads_past_its_end(void **state)
{
    (void)state;
    struct message m;

    init_message(&m);
    assert_int_equal(decode_message(&m), ERR_OK);
    unsigned whole_count = 0;
    for (size_t size = 0; size < m.size; size++) {
        enum err err = decode(EVENTS_UP, m.packed, size);
        assert_true(err == ERR_FORMAT || err == ERR_OK); /* a cut between two fields is a message */
        whole_count += err == ERR_OK;
    }
    assert_in_range(whole_count, 1, 7); /* as many fields follow the last one that is needed */
}

static void protobuf_fields_are_checked(void **state)
{
    (void)state;
    struct message m;
    Common__JoinServerContext context = COMMON__JOIN_SERVER_CONTEXT__INIT;
    Integration__UplinkRelayRxInfo relay = INTEGRATION__UPLINK_RELAY_RX_INFO__INIT;

    init_message(&m);
    m.up.data.len = 243;
    assert_int_equal(decode_message(&m), ERR_FORMAT);
    m.up.data.len = 242;
    assert_int_equal(decode_message(&m), ERR_OK);
    assert_int_equal(event.data_size, 242);
    init_message(&m);
    m.up.f_port = 256;
    assert_int_equal(decode_message(&m), ERR_FORMAT);
    init_message(&m);
    m.up.time = NULL;
    assert_int_equal(decode_message(&m), ERR_FORMAT);
    init_message(&m);
    m.time.seconds = INT64_MAX;
    assert_int_equal(decode_message(&m), ERR_FORMAT);
    init_message(&m);
    m.up.device_info = NULL;
    assert_int_equal(decode_message(&m), ERR_FORMAT);
    init_message(&m);
    m.info.dev_eui = "";
    assert_int_equal(decode_message(&m), ERR_FORMAT);
    init_message(&m);
    m.rx[1].gateway_id = "x";
    assert_int_equal(decode_message(&m), ERR_FORMAT);
    init_message(&m);
    m.up.join_server_context = &context;
    assert_int_equal(decode_message(&m), ERR_MISSING);
    init_message(&m);
    m.up.relay_rx_info = &relay;
    assert_int_equal(decode_message(&m), ERR_OK);
    assert_true(event.is_relayed);
    init_message(&m);
    m.up.n_rx_info = 12;
    assert_int_equal(decode_message(&m), ERR_OK);
    assert_int_equal(event.gateway_count, 8);
    assert_true(event.gateways[7] == 8);
}

static void protobuf_times_follow_the_same_preference(void **state)
{
    (void)state;
    struct message m;

    init_message(&m);
    m.gw_time = m.time;
    m.gw_time.nanos -= 63000000;
    m.rx[0].gw_time = &m.gw_time;
    assert_int_equal(decode_message(&m), ERR_OK);
    assert_true(event.is_gateway_time);
    assert_true(event.received_ms == TIME_MS - 63 - AIRTIME_MS);
    m.gps.seconds = (TIME_MS - GPS_OFFSET_MS) / 1000;
    m.gps.nanos = (int32_t)((TIME_MS - GPS_OFFSET_MS) % 1000 - 40) * 1000000;
    m.rx[1].time_since_gps_epoch = &m.gps;
    assert_int_equal(decode_message(&m), ERR_OK);
    assert_true(event.received_ms == TIME_MS - 40 - AIRTIME_MS);
    m.rx[1].time_since_gps_epoch = NULL;
    m.gw_time.seconds = 0; /* a clock that was never set */
    assert_int_equal(decode_message(&m), ERR_OK);
    assert_false(event.is_gateway_time);
    m.gw_time.seconds = INT64_MAX;
    m.gw_time.nanos = INT32_MIN;
    assert_int_equal(decode_message(&m), ERR_OK);
    assert_false(event.is_gateway_time);
}

static void the_other_protobuf_events_are_read(void **state)
{
    (void)state;
    Integration__DeviceInfo info;
    Integration__JoinEvent j = INTEGRATION__JOIN_EVENT__INIT;
    Integration__TxAckEvent ack = INTEGRATION__TX_ACK_EVENT__INIT;
    Integration__LogEvent l = INTEGRATION__LOG_EVENT__INIT;
    Integration__LogEvent__ContextEntry entry = INTEGRATION__LOG_EVENT__CONTEXT_ENTRY__INIT;
    Integration__LogEvent__ContextEntry *entries[] = {&entry};
    uint8_t packed[500];

    init_info(&info);
    j.device_info = ack.device_info = l.device_info = &info;
    ack.queue_item_id = "12345678-0000-4000-8000-000000000001";
    assert_int_equal(decode(EVENTS_JOIN, packed, integration__join_event__pack(&j, packed)),
                     ERR_OK);
    assert_int_equal(event.kind, NETWORK_JOIN);
    assert_int_equal(decode(EVENTS_TXACK, packed, integration__tx_ack_event__pack(&ack, packed)),
                     ERR_OK); /* without a downlink id it begins with another field */
    assert_int_equal(event.kind, NETWORK_TXACK);
    expect_uuid(&event.item_id, ack.queue_item_id);
    ack.downlink_id = 5;
    size_t size = integration__tx_ack_event__pack(&ack, packed);
    for (size_t cut = 0; cut < size; cut++) {
        assert_int_equal(decode(EVENTS_TXACK, packed, cut), ERR_FORMAT);
    }
    assert_int_equal(decode(EVENTS_LOG, packed, integration__log_event__pack(&l, packed)),
                     ERR_MISSING);
    entry.key = "queue_item_id";
    entry.value = "12345678-0000-4000-8000-000000000001";
    l.n_context = 1;
    l.context = entries;
    assert_int_equal(decode(EVENTS_LOG, packed, integration__log_event__pack(&l, packed)), ERR_OK);
    assert_int_equal(event.kind, NETWORK_DROPPED);
    entry.value = "no id";
    assert_int_equal(decode(EVENTS_LOG, packed, integration__log_event__pack(&l, packed)),
                     ERR_FORMAT);
}

static void an_error_leaves_the_event_alone(void **state)
{
    (void)state;
    struct network_event untouched;

    memset(&untouched, 0x5A, sizeof(untouched));
    assert_int_equal(decode_text(EVENTS_UP, with(up, "0016c001f1500812", "x")), ERR_FORMAT);
    assert_memory_equal(&event, &untouched, sizeof(event));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_uplink_is_read),
        cmocka_unit_test(an_event_with_very_many_tags_is_read),
        cmocka_unit_test(joins_acknowledgements_and_drops_are_read),
        cmocka_unit_test(what_says_nothing_to_us_is_missing),
        cmocka_unit_test(fields_that_must_be_there_are_missed),
        cmocka_unit_test(fields_that_may_be_absent_have_their_default),
        cmocka_unit_test(wrong_types_and_ranges_are_refused),
        cmocka_unit_test(broken_json_is_refused),
        cmocka_unit_test(base64_comes_in_four_ways),
        cmocka_unit_test(data_has_at_most_242_octets),
        cmocka_unit_test(times_have_fractions_and_offsets),
        cmocka_unit_test(relayed_uplinks_are_marked),
        cmocka_unit_test(the_eight_best_gateways_are_kept_in_order),
        cmocka_unit_test(gps_time_is_preferred_then_a_gateways_clock_then_the_servers),
        cmocka_unit_test(the_airtime_is_taken_off),
        cmocka_unit_test(a_protobuf_uplink_is_read),
        cmocka_unit_test(a_truncated_protobuf_uplink_never_reads_past_its_end),
        cmocka_unit_test(protobuf_fields_are_checked),
        cmocka_unit_test(protobuf_times_follow_the_same_preference),
        cmocka_unit_test(the_other_protobuf_events_are_read),
        cmocka_unit_test(an_error_leaves_the_event_alone),
    };
    return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
