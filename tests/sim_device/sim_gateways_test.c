/* sim_gateways_test.c - the simulator's gateways: what they send and what they refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "gw/gw.pb-c.h"
#include "sim/gateway_topics.h"
#include "sim/mqtt.h"
#include "sim/network.h"
#include "sim/report.h"
#include "sim_device/played_world.h"

#define START_MS   INT64_C(1790000000000)
#define NO_LIMIT   SIZE_MAX
#define MC_ADDR    0x01A2B3C4u
#define ARGS_MAX   16
#define FOR_EVER   INT64_MAX
#define MULTICAST  869525000u
#define OTHER_BAND 868100000u

static struct options options; /* these are too large for the stack */
static struct network network;
static struct world world;
static char *trace;
static size_t trace_size;

/* mqtt.h */

struct message {
    char topic[160];
    char *payload; /* and a zero behind it */
    size_t size;
};

static struct message *messages;
static size_t message_count;

enum err mqtt_publish(struct mqtt *mqtt, const char *topic, const void *payload, size_t size)
{
    (void)mqtt;
    messages = realloc(messages, (message_count + 1) * sizeof(*messages));
    assert_non_null(messages);
    struct message *m = &messages[message_count++];
    snprintf(m->topic, sizeof(m->topic), "%s", topic);
    m->payload = calloc(1, size + 1);
    assert_non_null(m->payload);
    memcpy(m->payload, payload, size);
    m->size = size;
    return ERR_OK;
}

/* How many messages with that end of the topic have `part` in their text. */
static unsigned published(const char *topic_end, const char *part)
{
    unsigned count = 0;

    for (size_t i = 0; i < message_count; i++) {
        size_t size = strlen(messages[i].topic);
        size_t end_size = strlen(topic_end);
        if (size >= end_size && strcmp(messages[i].topic + size - end_size, topic_end) == 0 &&
            strstr(messages[i].payload, part) != NULL) {
            count++;
        }
    }
    return count;
}

/* A network with a scenario, and with arguments, up to NULL. */
static void begin(const char *scenario, ...)
{
    static char path[] = FUOTAD_BINARY_DIR "/gateways-XXXXXX";
    char program[] = "fuota-sim", option[] = "--scenario", quiet[] = "--uplink-interval=0",
         no_clock[] = "--quiet-clock";
    char *argv[ARGS_MAX] = {program, option, path, quiet, no_clock};
    char error[OPTIONS_ERROR_SIZE] = "";
    int argc = 5;
    va_list more;

    memcpy(path + strlen(path) - 6, "XXXXXX", 6);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, scenario, strlen(scenario)), strlen(scenario));
    close(fd);
    va_start(more, scenario);
    for (char *arg = va_arg(more, char *); arg != NULL; arg = va_arg(more, char *)) {
        argv[argc++] = arg;
    }
    va_end(more);
    options_init(&options);
    enum err err = options_read(&options, argc, argv, error);
    unlink(path);
    assert_string_equal(error, "");
    assert_int_equal(err, ERR_OK);
    world = (struct world){.now_ms = START_MS};
    assert_int_equal(network_init(&network, &options, &world), ERR_OK);
    network.trace = open_memstream(&trace, &trace_size);
    network_start(&network);
}

static int end(void **state)
{
    (void)state;
    fclose(network.trace);
    free(trace);
    trace = NULL;
    for (size_t i = 0; i < message_count; i++) {
        free(messages[i].payload);
    }
    free(messages);
    messages = NULL;
    message_count = 0;
    played_world_release(&world);
    network_release(&network);
    options_release(&options);
    return 0;
}

static struct multicast_group *add_group(uint32_t frequency_hz, uint32_t dr, uint32_t gateway_mask)
{
    struct multicast_group *group = calloc(1, sizeof(*group));

    assert_non_null(group);
    group->id = network_new_id(&network);
    group->mc_addr = MC_ADDR;
    group->frequency_hz = frequency_hz;
    group->dr = dr;
    group->gateway_mask = gateway_mask;
    group->next = network.groups;
    network.groups = group;
    network.group_count++;
    return group;
}

static void enqueue(struct multicast_group *group, unsigned count, size_t size)
{
    static const uint8_t payload[256] = {0x08, 1, 0};
    uint32_t f_cnt;

    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(multicast_enqueue(&network, group, 201, payload, size, FOR_EVER, &f_cnt),
                         ERR_OK);
    }
}

static void pass_s(int64_t seconds)
{
    played_world_pass(&world, seconds * 1000, NO_LIMIT);
}

/* How often `text` stands in the trace. */
static unsigned traced(const char *text)
{
    unsigned count = 0;

    fflush(network.trace);
    for (const char *at = trace; (at = strstr(at, text)) != NULL; at++) {
        count++;
    }
    return count;
}

static void a_gateway_refuses_within_its_span_and_no_other(void **state)
{
    (void)state;
    begin("gateways = 2; margin = 1.0;\n"
          "refuse = ( { gateway = 1; from = 100; to = 200; status = \"TOO_LATE\"; } );\n",
          NULL);
    struct multicast_group *group = add_group(MULTICAST, 5, 3);
    enqueue(group, 150, 50); /* one row a second, to one gateway after the other */

    pass_s(400);
    assert_null(group->rows); /* what is refused leaves the queue, too */
    assert_int_equal(network.counters.multicast_rejected, 50); /* 101, 103, .. 199 s */
    assert_int_equal(network.counters.multicast_sent, 250);
    assert_int_equal(traced("status=TOO_LATE"), 50);
    assert_int_equal(traced("refused gateway=1"), 50);
    assert_int_equal(traced("multicast gateway=1"), 100);
}

static void the_first_refusal_whose_share_hits_counts(void **state)
{
    (void)state;
    begin("margin = 1.0; gateway_rejects = 0.2;\n"
          "refuse = ( { from = 0; to = 10000; share = 0.5; status = \"QUEUE_FULL\"; },\n"
          "           { from = 0; to = 10000; share = 0.5; status = \"GPS_UNLOCKED\"; } );\n",
          NULL);
    enqueue(add_group(MULTICAST, 5, 1), 1000, 50);

    pass_s(2000);
    assert_in_range(traced("status=QUEUE_FULL"), 450, 550);
    assert_in_range(traced("status=GPS_UNLOCKED"), 200, 300);
    assert_in_range(traced("status=COLLISION_PACKET"), 25, 75);
    assert_int_equal(network.counters.multicast_sent + network.counters.multicast_rejected, 1000);
}

static void an_hour_counts_parts_of_frames_and_bands_alone(void **state)
{
    (void)state;
    struct airtime_log log = {.frames = NULL};

    assert_int_equal(airtime_log_hour(&log, 0, 0), 0);
    for (int64_t i = 0; i < 1000; i++) { /* a second in ten, every second one in band 1 */
        airtime_log_add(&log, (uint32_t)(i % 2), i * 10000, 1000);
    }
    assert_int_equal(log.total_ms, 1000000);
    assert_int_equal(log.max_hour_ms, 360000);
    int64_t last_ms = 999 * 10000 + 1000;
    assert_int_equal(airtime_log_hour(&log, AIRTIME_LOG_ALL_BANDS, last_ms), 360000);
    assert_int_equal(airtime_log_hour(&log, 0, last_ms), 180000);
    assert_int_equal(airtime_log_hour(&log, 0, last_ms + 9400), 180000 - 400);
    assert_int_equal(airtime_log_hour(&log, 1, last_ms + 9400), 180000);
    assert_int_equal(airtime_log_hour(&log, 0, last_ms + 10400), 180000 - 1000);
    assert_int_equal(airtime_log_hour(&log, 2, last_ms), 0);
    assert_int_equal(airtime_log_hour(&log, 1, last_ms + 3600000 - 1), 1);
    assert_int_equal(airtime_log_hour(&log, AIRTIME_LOG_ALL_BANDS, last_ms + 3600000), 0);
    /* A frame after hours of silence is alone in its hour, and longer than one is cut. */
    airtime_log_add(&log, 1, last_ms + 9000000, 500);
    assert_int_equal(log.count, 1);
    assert_int_equal(log.max_hour_ms, 360000);
    airtime_log_add(&log, 1, last_ms + 9001000, 4000000);
    assert_int_equal(log.max_hour_ms, 3600000);
    airtime_log_release(&log);
}

static void a_gateway_keeps_its_duty_cycle_in_each_band(void **state)
{
    (void)state;
    begin("margin = 10.0; gateway_duty_cycle = 0.01;\n", NULL);
    uint32_t airtime = airtime_ms(region_dr(network.region, 0), 51, false);
    unsigned room = 36000 / airtime; /* frames in an hour */
    struct multicast_group *group = add_group(MULTICAST, 0, 1);
    struct multicast_group *other = add_group(OTHER_BAND, 0, 1);

    enqueue(group, 100, 51);
    pass_s(1800);
    assert_int_equal(network.counters.multicast_sent, room);
    assert_int_equal(traced("status=DUTY_CYCLE_OVERFLOW"), 100 - room);
    assert_null(group->rows);
    enqueue(other, 10, 51);
    pass_s(1700);
    assert_int_equal(network.counters.multicast_sent, room + 10);
    enqueue(group, 1, 51); /* the first frame is not yet an hour ago */
    pass_s(60);
    assert_int_equal(network.counters.multicast_sent, room + 10);
    pass_s(60);
    enqueue(group, 1, 51);
    pass_s(10);
    assert_int_equal(network.counters.multicast_sent, room + 11);
    enqueue(group, 2000, 51); /* for more than five hours */
    pass_s(20010);
    assert_in_range(airtime_log_hour(&network.gateways[0].airtime,
                                     region_band(network.region, MULTICAST), world.now_ms),
                    36000 - airtime, 36000);
    assert_int_equal(network.counters.multicast_sent + network.counters.multicast_rejected, 2112);
}

static void regions_without_sub_bands_have_one_duty_cycle(void **state)
{
    (void)state;
    begin("region = \"US915\"; margin = 10.0; gateway_duty_cycle = 0.01;\n", NULL);
    unsigned room = 36000 / airtime_ms(region_dr(network.region, 8), 53, false);

    enqueue(add_group(923300000, 8, 1), 100, 53);
    enqueue(add_group(927500000, 8, 1), 100, 53);
    pass_s(1100);
    assert_int_equal(network.counters.multicast_sent, room);
    assert_int_equal(network.counters.multicast_rejected, 200 - room);
}

static void sub_bands_are_those_of_the_region(void **state)
{
    (void)state;
    begin("", NULL);
    const struct {
        uint32_t frequency_hz;
        uint32_t band;
    } cases[] = {{863000000, 0}, {864999999, 0}, {865000000, 1}, {868100000, 2}, {868599999, 2},
                 {868600000, 6}, {868700000, 3}, {869199999, 3}, {869300000, 6}, {869525000, 4},
                 {869650000, 6}, {869700000, 5}, {869999999, 5}, {870000000, 6}, {0, 6}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(region_band(region_find("EU868"), cases[i].frequency_hz), cases[i].band);
        assert_int_equal(region_band(region_find("IN865"), cases[i].frequency_hz), 6);
    }
}

static void add_item(struct sim_device *d)
{
    const struct queue_item item = {
        .id = network_new_id(&network), .f_port = 200, .size = 1, .expires_ms = FOR_EVER};

    assert_int_equal(device_queue_add(d, &item), ERR_OK);
}

/* As if the gateway had used up its share of the frequency's band just now, until it is undone. */
static void use_up(uint32_t frequency_hz, bool is_undone)
{
    uint64_t *kept_ms =
        &network.gateways[0].airtime.kept_ms[region_band(network.region, frequency_hz)];

    *kept_ms += is_undone ? (uint64_t)-36000 : 36000;
}

static void an_item_of_class_a_waits_for_a_gateway_that_may_not_send(void **state)
{
    (void)state;
    begin("margin = 5.0; gateway_duty_cycle = 0.01; kind = \"letter\";\n", "--devices=1",
          "--uplink-interval=300", NULL);
    use_up(MULTICAST, false);
    use_up(OTHER_BAND, false);
    add_item(&network.devices[0]);
    pass_s(700);
    assert_true(published("/event/log", "\"description\":\"DUTY_CYCLE_OVERFLOW\"") >= 2);
    assert_int_equal(published("/event/log", "\"code\":\"DOWNLINK_GATEWAY\""),
                     published("/event/log", "DUTY_CYCLE_OVERFLOW"));
    assert_int_equal(network.devices[0].queue_count, 1);
    assert_int_equal(network.devices[0].f_cnt_down, 0);
    assert_int_equal(network.counters.unicast_sent, 0);

    use_up(OTHER_BAND, true);
    pass_s(700);
    assert_int_equal(network.devices[0].queue_count, 0);
    assert_int_equal(published("/event/txack", "\"fCntDown\":0"), 1);
}

static void the_second_window_has_the_duty_cycle_of_its_own_band(void **state)
{
    (void)state;
    begin("margin = 5.0; gateway_duty_cycle = 0.01; kind = \"letter\";\n", "--devices=1",
          "--uplink-interval=300", NULL);
    use_up(OTHER_BAND, false);
    add_item(&network.devices[0]);
    pass_s(700);
    assert_int_equal(network.counters.unicast_sent, 1);
    assert_true(airtime_log_hour(&network.gateways[0].airtime, 4, world.now_ms) > 0);
    assert_int_equal(airtime_log_hour(&network.gateways[0].airtime, 2, world.now_ms), 36000);
}

static void an_item_of_class_c_waits_likewise(void **state)
{
    (void)state;
    begin("margin = 5.0; gateway_duty_cycle = 0.01; class = \"C\";\n", "--devices=1",
          "--uplink-interval=10000", "--kind=letter", NULL);
    pass_s(10100); /* the first uplink */
    use_up(MULTICAST, false);
    add_item(&network.devices[0]);
    pass_s(30);
    assert_in_range(published("/event/log", "DUTY_CYCLE_OVERFLOW"), 20, 30);
    assert_int_equal(network.devices[0].queue_count, 1);
    use_up(MULTICAST, true);
    pass_s(5);
    assert_int_equal(network.devices[0].queue_count, 0);
    assert_int_equal(network.counters.unicast_sent, 1);
}

/* A message on the gateways' topics, in Protobuf. */
struct told {
    bool is_ack;
    uint64_t gateway;
    uint32_t id;
    uint32_t dev_addr; /* of a frame */
    uint16_t f_cnt;
    uint32_t frequency_hz[2];
    size_t item_count;
    Gw__TxAckStatus status[2];
};

static void read_frame(const struct message *m, struct told *told)
{
    Gw__DownlinkFrame *frame =
        gw__downlink_frame__unpack(NULL, m->size, (const uint8_t *)m->payload);

    assert_non_null(frame);
    assert_int_equal(eui64_parse(frame->gateway_id, &told->gateway), ERR_OK);
    told->id = frame->downlink_id;
    told->item_count = frame->n_items;
    assert_in_range(frame->n_items, 1, 2);
    for (size_t i = 0; i < frame->n_items; i++) {
        const ProtobufCBinaryData *phy = &frame->items[i]->phy_payload;
        assert_true(phy->len >= 13 && phy->data[0] == 0x60);
        told->dev_addr = (uint32_t)phy->data[1] | (uint32_t)phy->data[2] << 8 |
                         (uint32_t)phy->data[3] << 16 | (uint32_t)phy->data[4] << 24;
        assert_int_equal(phy->data[5], 0);
        told->f_cnt = (uint16_t)(phy->data[6] | phy->data[7] << 8);
        told->frequency_hz[i] = frame->items[i]->tx_info->frequency;
        assert_non_null(frame->items[i]->tx_info->modulation);
        assert_non_null(frame->items[i]->tx_info->timing);
    }
    gw__downlink_frame__free_unpacked(frame, NULL);
}

static void read_ack(const struct message *m, struct told *told)
{
    Gw__DownlinkTxAck *ack =
        gw__downlink_tx_ack__unpack(NULL, m->size, (const uint8_t *)m->payload);

    assert_non_null(ack);
    assert_int_equal(eui64_parse(ack->gateway_id, &told->gateway), ERR_OK);
    told->is_ack = true;
    told->id = ack->downlink_id;
    told->item_count = ack->n_items;
    assert_in_range(ack->n_items, 1, 2);
    for (size_t i = 0; i < ack->n_items; i++) {
        told->status[i] = ack->items[i]->status;
    }
    gw__downlink_tx_ack__free_unpacked(ack, NULL);
}

/* The next message on a gateway topic from `*at` on, which is moved behind it; false: none. */
static bool next_told(size_t *at, struct told *ret_told)
{
    for (; *at < message_count; (*at)++) {
        const struct message *m = &messages[*at];
        char topic[160];
        if (strncmp(m->topic, "eu868/gateway/", 14) != 0) {
            assert_memory_equal(m->topic, "application/", 12);
            continue;
        }
        *ret_told = (struct told){.is_ack = false};
        bool is_ack = strstr(m->topic, "/event/ack") != NULL;
        if (is_ack) {
            read_ack(m, ret_told);
        } else {
            read_frame(m, ret_told);
        }
        snprintf(topic, sizeof(topic), "eu868/gateway/%016llx/%s",
                 (unsigned long long)ret_told->gateway, is_ack ? "event/ack" : "command/down");
        assert_string_equal(m->topic, topic);
        (*at)++;
        return true;
    }
    return false;
}

static void a_downlink_is_encrypted_and_signed_as_the_specification_says(void **state)
{
    (void)state;
    /* Keys and address of the frames in the tests of lora-packet. Encrypted and signed with the
     * commands of openssl, by the text of the specification; the same steps give lora-packet's
     * 60f17dbe4920020001f9d65d27 and 40f17dbe490002000195437876_2b11ff0d. */
    struct phy_downlink frame = {.dev_addr = 0x49BE7DF1, .f_cnt = 0x00012345, .f_port = 201};
    uint8_t payload[DEVICE_PAYLOAD_SIZE_MAX];
    uint8_t octets[PHY_SIZE_MAX];
    char text[2 * PHY_SIZE_MAX + 1];
    size_t size = 0;

    for (size_t i = 0; i < sizeof(payload); i++) {
        payload[i] = (uint8_t)i;
    }
    frame.payload = payload;
    frame.size = 20;
    assert_int_equal(hex_decode("ec925802ae430ca77fd3dd73cb2cc588", 32, frame.app_s_key, 16),
                     ERR_OK);
    assert_int_equal(hex_decode("44024241ed4ce9a68c6a8bc055233fd3", 32, frame.nwk_s_key, 16),
                     ERR_OK);
    assert_int_equal(phy_encode(&frame, octets, &size), ERR_OK);
    hex_encode(octets, size, text);
    assert_string_equal(text, "60f17dbe49004523c9a20e0b67dd4a23f159dad22acb4b46eb8c2b59facf3f0459");
    frame.size = 0;
    frame.payload = NULL;
    assert_int_equal(phy_encode(&frame, octets, &size), ERR_OK);
    assert_int_equal(size, 13);
    frame.size = sizeof(payload);
    frame.payload = payload;
    assert_int_equal(phy_encode(&frame, octets, &size), ERR_OK);
    assert_int_equal(size, PHY_SIZE_MAX);
}

static void a_frame_and_its_acknowledgement_in_json(void **state)
{
    (void)state;
    char expected[400];
    uint8_t octets[PHY_SIZE_MAX];
    size_t size = 0;
    begin("gateway_topics = \"eu868\"; gateways = 2;", NULL);
    struct multicast_group *group = add_group(MULTICAST, 0, 2);
    group->f_cnt = 0x1FFFE;
    enqueue(group, 1, 3);
    pass_s(10);

    assert_int_equal(message_count, 2);
    snprintf(expected, sizeof(expected), "eu868/gateway/%016llx/command/down",
             (unsigned long long)network.gateways[1].id);
    assert_string_equal(messages[0].topic, expected);
    const struct phy_downlink frame = {.dev_addr = MC_ADDR,
                                       .f_cnt = 0x1FFFE,
                                       .f_port = 201,
                                       .payload = (const uint8_t[]){8, 1, 0},
                                       .size = 3};
    assert_int_equal(phy_encode(&frame, octets, &size), ERR_OK);
    const char *phy = strstr(messages[0].payload, "\"phyPayload\":\"");
    assert_non_null(phy);
    assert_memory_equal(phy + 14, "YMSzogEA/v/J", 12); /* 60 c4b3a201 00 feff c9 */
    unsigned id = 0;
    assert_int_equal(sscanf(messages[0].payload, "{\"downlinkId\":%u,", &id), 1);
    snprintf(expected, sizeof(expected),
             "{\"downlinkId\":%u,\"items\":[{\"phyPayload\":\"%.24s\",\"txInfo\":{"
             "\"frequency\":869525000,\"modulation\":{\"lora\":{\"bandwidth\":125000,"
             "\"spreadingFactor\":12,\"polarizationInversion\":true,\"codeRate\":\"CR_4_5\"}},"
             "\"timing\":{\"immediately\":{}}}}],\"gatewayId\":\"%016llx\"}",
             id, phy + 14, (unsigned long long)network.gateways[1].id);
    assert_string_equal(messages[0].payload, expected);
    assert_int_equal(strcspn(phy + 14, "\""), 24); /* of 16 octets */
    snprintf(expected, sizeof(expected),
             "{\"downlinkId\":%u,\"items\":[{\"status\":\"OK\"}],\"gatewayId\":\"%016llx\"}", id,
             (unsigned long long)network.gateways[1].id);
    assert_string_equal(messages[1].payload, expected);
    snprintf(expected, sizeof(expected), "eu868/gateway/%016llx/event/ack",
             (unsigned long long)network.gateways[1].id);
    assert_string_equal(messages[1].topic, expected);
}

static void only_lost_acknowledgements_are_missing(void **state)
{
    (void)state;
    begin(
        "gateway_topics = \"eu868\"; protobuf = true; gateways = 2; margin = 1.0;\n"
        "lost_gateway_acks = 0.3;\n"
        "refuse = ( { gateway = 1; from = 0; to = 1000; share = 0.2; status = \"TX_FREQ\"; } );\n",
        NULL);
    struct multicast_group *group = add_group(MULTICAST, 5, 3);
    bool is_done[2][500] = {{false}};
    struct told told;
    struct told last = {.is_ack = true};
    unsigned frames = 0, acknowledged = 0, refused = 0, done = 0;
    group->f_cnt = 0xFF00; /* the low 16 bits are on the air */
    enqueue(group, 500, 50);
    pass_s(1100);

    assert_null(group->rows);
    for (size_t at = 0; next_told(&at, &told); last = told) {
        size_t gateway = network_find_gateway(&network, told.gateway);
        assert_in_range(gateway, 0, 1);
        assert_int_equal(told.item_count, 1);
        if (!told.is_ack) {
            assert_int_equal(told.dev_addr, MC_ADDR);
            assert_int_equal(told.frequency_hz[0], MULTICAST);
            assert_true(frames == 0 || told.id != last.id);
            assert_in_range((uint16_t)(told.f_cnt - 0xFF00), 0, 499);
            assert_false(is_done[gateway][(uint16_t)(told.f_cnt - 0xFF00)]);
            frames++;
            continue;
        }
        assert_false(last.is_ack); /* right behind its frame */
        assert_int_equal(told.id, last.id);
        assert_int_equal(told.gateway, last.gateway);
        is_done[gateway][(uint16_t)(last.f_cnt - 0xFF00)] = true;
        done++;
        acknowledged += told.status[0] == GW__TX_ACK_STATUS__OK ? 1 : 0;
        refused += told.status[0] == GW__TX_ACK_STATUS__TX_FREQ && gateway == 1 ? 1 : 0;
    }
    assert_int_equal(done, 1000);
    assert_int_equal(acknowledged + refused, done);
    assert_int_equal(refused, network.counters.multicast_rejected);
    assert_in_range(refused, 100, 170);
    assert_int_equal(frames, network.counters.multicast_sent + refused);
    assert_in_range(frames - done, 300, 480);
}

static void windows_are_items_and_each_has_its_status(void **state)
{
    (void)state;
    begin("gateway_topics = \"eu868\"; protobuf = true; gateway_duty_cycle = 0.01;\n"
          "kind = \"letter\";\n",
          "--devices=1", "--uplink-interval=300", NULL);
    struct sim_device *d = &network.devices[0];
    struct told frame, ack;
    size_t at = 0;

    for (unsigned blocked = 0; blocked < 4; blocked++) { /* bit 0: RX1's band, bit 1: RX2's */
        Gw__TxAckStatus expected[] = {(blocked & 1) != 0 ? GW__TX_ACK_STATUS__DUTY_CYCLE_OVERFLOW
                                                         : GW__TX_ACK_STATUS__OK,
                                      (blocked & 1) == 0   ? GW__TX_ACK_STATUS__IGNORED
                                      : (blocked & 2) != 0 ? GW__TX_ACK_STATUS__DUTY_CYCLE_OVERFLOW
                                                           : GW__TX_ACK_STATUS__OK};
        uint32_t f_cnt = d->f_cnt_down;
        add_item(d);
        for (unsigned bit = 0; bit < 2; bit++) {
            if ((blocked >> bit & 1) != 0) {
                use_up(bit == 0 ? OTHER_BAND : MULTICAST, false);
            }
        }
        pass_s(400);
        assert_true(next_told(&at, &frame) && next_told(&at, &ack));
        assert_true(!frame.is_ack && ack.is_ack && frame.id == ack.id);
        assert_int_equal(frame.dev_addr, d->dev_addr);
        assert_int_equal(frame.f_cnt, f_cnt);
        assert_int_equal(frame.item_count, 2);
        assert_int_equal(frame.frequency_hz[0], OTHER_BAND);
        assert_int_equal(frame.frequency_hz[1], MULTICAST);
        assert_int_equal(ack.item_count, 2);
        assert_memory_equal(ack.status, expected, sizeof(expected));
        assert_int_equal(d->f_cnt_down, f_cnt + (blocked < 3 ? 1 : 0));
        for (unsigned bit = 0; bit < 2; bit++) {
            if ((blocked >> bit & 1) != 0) {
                use_up(bit == 0 ? OTHER_BAND : MULTICAST, true);
            }
        }
    }
}

static void class_c_is_told_at_once_and_fsk_has_its_bit_rate(void **state)
{
    (void)state;
    begin("gateway_topics = \"eu868\"; class = \"C\"; kind = \"letter\";\n", "--devices=1",
          "--uplink-interval=10000", NULL);
    pass_s(10100);
    add_item(&network.devices[0]);
    pass_s(10);
    assert_int_equal(published("/command/down", "\"timing\":{\"immediately\":{}}"), 1);
    assert_int_equal(published("/event/ack", "\"status\":\"OK\""), 1);
    assert_int_equal(published("/event/txack", "\"downlinkId\":"), 1);
    enqueue(add_group(MULTICAST, 7, 1), 1, 3);
    pass_s(10);
    assert_int_equal(published("/command/down", "\"modulation\":{\"fsk\":{\"frequencyDeviation\":"
                                                "25000,\"datarate\":50000}}"),
                     1);
}

static void class_a_windows_follow_the_uplink(void **state)
{
    (void)state;
    begin("gateway_topics = \"eu868\"; kind = \"letter\";\n", "--devices=1",
          "--uplink-interval=300", NULL);
    add_item(&network.devices[0]);
    pass_s(400);
    assert_int_equal(published("/command/down", "\"timing\":{\"delay\":{\"delay\":\"1s\"}}"), 1);
    assert_int_equal(published("/command/down", "\"timing\":{\"delay\":{\"delay\":\"2s\"}}"), 1);
    assert_int_equal(published("/event/ack", "\"items\":[{\"status\":\"OK\"},{}]"), 1);
}

static void nothing_is_told_without_the_option(void **state)
{
    (void)state;
    begin("gateway_rejects = 0.5;\n", NULL);
    enqueue(add_group(MULTICAST, 5, 1), 10, 50);
    pass_s(100);
    assert_int_equal(message_count, 0);
}

static void devices_are_in_reach_of_the_gateways_named(void **state)
{
    (void)state;
    begin("gateways = 3; devices = 4; heard_by = 1;\n"
          "groups = ( { first = 0; count = 1; gateways = [0, 2]; },\n"
          "           { first = 1; count = 1; gateways = [2]; } );\n",
          "--uplink-interval=60", NULL);
    const uint32_t masks[] = {5, 4, 4, 1}; /* the last two: the first of `heard_by` goes round */

    pass_s(300);
    fflush(network.trace);
    assert_true(network.counters.uplinks >= 16);
    assert_int_equal(network.counters.uplinks, network.counters.uplinks_heard);
    for (unsigned i = 0; i < 4; i++) {
        char line[64];
        unsigned counters = 0;
        assert_int_equal(network.devices[i].gateway_mask, masks[i]);
        for (uint32_t f_cnt = 0; f_cnt < network.devices[i].f_cnt_up - 1; f_cnt++) {
            snprintf(line, sizeof(line), "up eui=%016llx fcnt=%u ",
                     (unsigned long long)network.devices[i].eui, f_cnt);
            const char *at = strstr(trace, line);
            assert_non_null(at);
            at = strstr(at, "heard=");
            counters += strtoul(at + 6, NULL, 16) == masks[i] ? 1 : 0;
        }
        assert_int_equal(counters, network.devices[i].f_cnt_up - 1);
    }
}

static double number_of(const cJSON *gateway, const char *name)
{
    const cJSON *number = cJSON_GetObjectItemCaseSensitive(gateway, name);

    assert_true(cJSON_IsNumber(number));
    return number->valuedouble;
}

static cJSON *report(void)
{
    const char *path = FUOTAD_BINARY_DIR "/gateways-report.json";
    static char text[65536];
    struct faults faults;

    faults_init(&faults, "", 1);
    assert_int_equal(report_write(&network, &faults, path), ERR_OK);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    unlink(path);
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    return json;
}

static void the_report_counts_by_gateway(void **state)
{
    (void)state;
    begin("gateways = 3; margin = 1.0; devices = 1; lost_gateway_acks = 0.2;\n"
          "refuse = ( { gateway = 1; from = 0; to = 20.25; status = \"TX_POWER\"; } );\n",
          NULL);
    uint32_t airtime = airtime_ms(region_dr(network.region, 5), 50, false);
    struct multicast_group *group = add_group(MULTICAST, 5, 3);
    enqueue(group, 50, 50);
    pass_s(200);
    played_world_pass(&world, 10 * 3600 * 1000, NO_LIMIT);
    enqueue(group, 5, 50); /* far from the others */
    pass_s(100);

    cJSON *json = report();
    const cJSON *gateways = cJSON_GetObjectItemCaseSensitive(json, "gateways");
    assert_int_equal(cJSON_GetArraySize(gateways), 3);
    double sent = 0;
    for (int i = 0; i < 3; i++) {
        const cJSON *gateway = cJSON_GetArrayItem(gateways, i);
        char id[EUI64_TEXT_SIZE];
        eui64_format(network.gateways[i].id, id);
        assert_string_equal(cJSON_GetObjectItemCaseSensitive(gateway, "id")->valuestring, id);
        assert_true(number_of(gateway, "multicast_refused") == (i == 1 ? 10 : 0));
        assert_true(number_of(gateway, "airtime_ms") ==
                    number_of(gateway, "multicast_sent") * airtime);
        sent += number_of(gateway, "multicast_sent");
        double late = number_of(gateway, "airtime_ms") - number_of(gateway, "max_hour_airtime_ms");
        assert_true(i == 2 ? late == 0 : late >= 5 * airtime && late <= 10 * airtime);
    }
    assert_true(number_of(cJSON_GetArrayItem(gateways, 0), "multicast_sent") > 55); /* copies */
    assert_true(number_of(cJSON_GetArrayItem(gateways, 1), "multicast_sent") > 45);
    assert_true(number_of(cJSON_GetArrayItem(gateways, 2), "multicast_sent") == 0);
    assert_true(sent == (double)network.counters.multicast_sent);
    cJSON_Delete(json);
}

static void unicast_frames_are_airtime_too(void **state)
{
    (void)state;
    begin("kind = \"letter\";", "--devices=1", "--uplink-interval=300", NULL);
    add_item(&network.devices[0]);
    pass_s(400);

    cJSON *json = report();
    const cJSON *gateway =
        cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(json, "gateways"), 0);
    double airtime = airtime_ms(region_dr(network.region, 5), 1, false);
    assert_true(number_of(gateway, "multicast_sent") == 0);
    assert_true(number_of(gateway, "airtime_ms") == airtime);
    assert_true(number_of(gateway, "max_hour_airtime_ms") == airtime);
    cJSON_Delete(json);
}

#define TEST(name) cmocka_unit_test_teardown(name, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_gateway_refuses_within_its_span_and_no_other),
        TEST(the_first_refusal_whose_share_hits_counts),
        cmocka_unit_test(an_hour_counts_parts_of_frames_and_bands_alone),
        TEST(a_gateway_keeps_its_duty_cycle_in_each_band),
        TEST(regions_without_sub_bands_have_one_duty_cycle),
        TEST(sub_bands_are_those_of_the_region),
        TEST(an_item_of_class_a_waits_for_a_gateway_that_may_not_send),
        TEST(the_second_window_has_the_duty_cycle_of_its_own_band),
        TEST(an_item_of_class_c_waits_likewise),
        cmocka_unit_test(a_downlink_is_encrypted_and_signed_as_the_specification_says),
        TEST(a_frame_and_its_acknowledgement_in_json),
        TEST(only_lost_acknowledgements_are_missing),
        TEST(windows_are_items_and_each_has_its_status),
        TEST(class_c_is_told_at_once_and_fsk_has_its_bit_rate),
        TEST(class_a_windows_follow_the_uplink),
        TEST(nothing_is_told_without_the_option),
        TEST(devices_are_in_reach_of_the_gateways_named),
        TEST(the_report_counts_by_gateway),
        TEST(unicast_frames_are_airtime_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
