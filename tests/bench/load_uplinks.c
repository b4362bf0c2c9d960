/* load_uplinks.c - MQTT 3.1.1 by hand: the load must cost less than what it measures. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "load.h"

#define WINDOW        8000 /* unacknowledged; packet identifiers have 16 bits */
#define CHUNK_SIZE    (256 * 1024)
#define CHUNKS_MAX    2
#define EVENT_MAX     2000
#define TICK_MS       1
#define IDENTIFIERS   65000
#define KEEP_ALIVE_S  0
#define TIME_TEXT_MAX 40
#define ROUND_MS      1100 /* fuotad drops more than 60 uplinks of a device in a minute */

struct chunk {
    uv_write_t req;
    size_t size;
    char octets[CHUNK_SIZE];
};

/* An `up` event with places for what differs from one to the next. */
struct form {
    char packet[EVENT_MAX];
    size_t size;
    size_t topic_eui, identifier, payload_eui, time, ns_time, f_cnt;
};

struct publisher {
    uv_tcp_t tcp;
    uv_timer_t tick;
    void (*cb)(void *arg);
    void *arg;
    struct load_uplinks uplinks;
    struct form form;
    int64_t base_ms; /* time of the first round of events */
    uint64_t started_us, sent, acked;
    uint16_t identifier;
    size_t in_octets; /* of an incomplete PUBACK */
    unsigned chunks;
    bool is_ready, is_running;
    char in[65536];
};

static void fail(const char *what)
{
    fprintf(stderr, "bench_load: %s\n", what);
    exit(1);
}

/* the event */

static const char event_format[] =
    "{\"deduplicationId\":\"8a5f8f0e-4e0c-4c39-9d4e-0d1d6e5a0001\",\"time\":\"%s\",\"deviceInfo\":{"
    "\"tenantId\":\"52f14cd4-c6f1-4fbd-8f87-4025e1d49242\",\"tenantName\":\"ChirpStack\","
    "\"applicationId\":\"%s\",\"applicationName\":\"water meters\",\"deviceProfileId\":"
    "\"3e2b0c51-5b1c-4b3a-9f57-ff2a3a3f1a10\",\"deviceProfileName\":\"meter, class A\","
    "\"deviceName\":\"meter in the cellar of a house\",\"devEui\":\"%s\",\"deviceClassEnabled\":"
    "\"CLASS_A\",\"tags\":{\"site\":\"north\",\"street\":\"Long Lane\"}},\"devAddr\":\"01a2b3c4\","
    "\"adr\":true,\"dr\":5,\"fCnt\":%s,\"fPort\":%u,\"confirmed\":false,\"data\":\"%s\",\"rxInfo\":"
    "["
    "{\"gatewayId\":\"0016c001f1500812\",\"uplinkId\":2164251,\"nsTime\":\"%s\",\"rssi\":-57,"
    "\"snr\":9.5,\"channel\":1,\"rfChain\":1,\"location\":{\"latitude\":52.37402,\"longitude\":"
    "4.88969,\"altitude\":12.0},\"context\":\"AAAAAA==\",\"metadata\":{\"region_config_id\":"
    "\"eu868\",\"region_common_name\":\"EU868\"},\"crcStatus\":\"CRC_OK\"},{\"gatewayId\":"
    "\"0016c001f1500813\",\"uplinkId\":2164252,\"nsTime\":\"2026-07-30T10:00:00.120+00:00\","
    "\"rssi\":-101,\"snr\":-2.25,\"channel\":1,\"location\":{\"latitude\":52.37012,\"longitude\":"
    "4.89301,\"altitude\":31.0},\"context\":\"AAAAAQ==\",\"crcStatus\":\"CRC_OK\"}],\"txInfo\":{"
    "\"frequency\":868300000,\"modulation\":{\"lora\":{\"bandwidth\":125000,\"spreadingFactor\":7,"
    "\"codeRate\":\"CR_4_5\"}}},\"regionConfigId\":\"eu868\"}";

#define EUI_PLACE     "0000000000000000"
#define TIME_PLACE    "0000-00-00T00:00:00.000000+00:00"
#define NS_TIME_PLACE "1111-00-00T00:00:00.000000+00:00"
#define F_CNT_PLACE   "10000000"

static size_t put_length(char *to, size_t length)
{
    size_t size = 0;

    do {
        uint8_t octet = (uint8_t)(length % 128);
        length /= 128;
        to[size++] = (char)(length > 0 ? octet | 0x80 : octet);
    } while (length > 0);
    return size;
}

static size_t place_of(const struct form *f, const char *place, size_t from)
{
    for (size_t i = from; i + strlen(place) <= f->size; i++) {
        if (memcmp(f->packet + i, place, strlen(place)) == 0) {
            return i;
        }
    }
    fail("a place is not in the event");
    return 0;
}

static void make_form(struct form *f, const struct load_uplinks *u)
{
    char application[UUID_TEXT_SIZE], topic[200], payload[EVENT_MAX];

    uuid_format(&u->application_id, application);
    int topic_size =
        snprintf(topic, sizeof(topic), "application/%s/device/%s/event/up", application, EUI_PLACE);
    int payload_size = snprintf(payload, sizeof(payload), event_format, TIME_PLACE, application,
                                EUI_PLACE, F_CNT_PLACE, u->f_port, u->data, NS_TIME_PLACE);
    f->packet[0] = 0x32; /* PUBLISH, QoS 1 */
    f->size = 1 + put_length(f->packet + 1, (size_t)(4 + topic_size + payload_size));
    f->packet[f->size++] = (char)(topic_size >> 8);
    f->packet[f->size++] = (char)topic_size;
    memcpy(f->packet + f->size, topic, (size_t)topic_size);
    f->size += (size_t)topic_size;
    f->identifier = f->size;
    f->size += 2;
    memcpy(f->packet + f->size, payload, (size_t)payload_size);
    f->size += (size_t)payload_size;
    f->topic_eui = place_of(f, EUI_PLACE, 0);
    f->payload_eui = place_of(f, EUI_PLACE, f->identifier);
    f->time = place_of(f, TIME_PLACE, 0);
    f->ns_time = place_of(f, NS_TIME_PLACE, 0);
    f->f_cnt = place_of(f, F_CNT_PLACE, 0);
}

static void put_digits(char *to, unsigned digits, uint64_t number)
{
    while (digits-- > 0) {
        to[digits] = (char)('0' + number % 10);
        number /= 10;
    }
}

/* The times of an event: of one device no two are equal, or they would be taken for one. */
static void put_time(char *to, int64_t ms)
{
    static char text[TIME_TEXT_MAX];
    static int64_t second = -1;
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;

    if (seconds != second) {
        second = seconds;
        gmtime_r(&seconds, &tm);
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S.000000+00:00", &tm);
    }
    memcpy(to, text, sizeof(TIME_PLACE) - 1);
    put_digits(to + 20, 3, (uint64_t)(ms % 1000));
}

static void put_event(struct publisher *p, char *to)
{
    const struct form *f = &p->form;
    uint64_t round = p->sent / p->uplinks.device_count;
    char eui[EUI64_TEXT_SIZE];

    eui64_format(p->uplinks.first_eui + p->sent % p->uplinks.device_count, eui);
    memcpy(to, f->packet, f->size);
    memcpy(to + f->topic_eui, eui, 16);
    memcpy(to + f->payload_eui, eui, 16);
    p->identifier = (uint16_t)(p->identifier % IDENTIFIERS + 1);
    to[f->identifier] = (char)(p->identifier >> 8);
    to[f->identifier + 1] = (char)p->identifier;
    put_time(to + f->time, p->base_ms + ROUND_MS * (int64_t)round);
    put_time(to + f->ns_time, p->base_ms + ROUND_MS * (int64_t)round);
    put_digits(to + f->f_cnt, 8, 10000000 + round);
    if (p->uplinks.sent_us != NULL) {
        p->uplinks.sent_us[p->sent % p->uplinks.device_count] = load_now_us();
    }
    p->sent++;
}

/* sending */

static void pump(struct publisher *p);

static void on_written(uv_write_t *req, int status)
{
    struct publisher *p = req->handle->data;

    free(req->data);
    p->chunks--;
    if (status < 0) {
        fail("the broker closed the connection");
    }
    pump(p);
}

/* How many may have been sent by now. */
static uint64_t due(const struct publisher *p)
{
    const struct load_uplinks *u = &p->uplinks;
    double due = u->rate > 0.0 ? (double)(load_now_us() - p->started_us) * u->rate / 1e6 + 1.0
                               : (double)u->count;

    return due < (double)u->count ? (uint64_t)due : u->count;
}

static void pump(struct publisher *p)
{
    while (p->is_running && p->chunks < CHUNKS_MAX) {
        uint64_t until = due(p);
        if (until > p->acked + WINDOW) {
            until = p->acked + WINDOW;
        }
        if (p->sent >= until) {
            return;
        }
        struct chunk *c = malloc(sizeof(*c));
        if (c == NULL) {
            fail("out of memory");
        }
        c->size = 0;
        while (p->sent < until && c->size + p->form.size <= CHUNK_SIZE) {
            put_event(p, c->octets + c->size);
            c->size += p->form.size;
        }
        c->req.data = c;
        uv_buf_t buf = uv_buf_init(c->octets, (unsigned)c->size);
        p->chunks++;
        if (uv_write(&c->req, (uv_stream_t *)&p->tcp, &buf, 1, on_written) != 0) {
            fail("the broker cannot be written to");
        }
    }
}

static void on_tick(uv_timer_t *timer)
{
    pump(timer->data);
}

/* receiving: CONNACK once, then PUBACKs, of four octets both */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    struct publisher *p = handle->data;

    (void)suggested;
    *ret_buf = uv_buf_init(p->in, sizeof(p->in));
}

static void on_read(uv_stream_t *tcp, ssize_t size, const uv_buf_t *buf)
{
    struct publisher *p = tcp->data;

    (void)buf;
    if (size < 0) {
        fail("the broker closed the connection");
    }
    p->in_octets += (size_t)size;
    uint64_t packets = p->in_octets / 4;
    p->in_octets %= 4;
    if (!p->is_ready && packets > 0) {
        p->is_ready = true;
        packets--;
        p->cb(p->arg);
    }
    p->acked += packets;
    if (p->is_running && p->acked == p->uplinks.count) {
        p->is_running = false;
        uv_timer_stop(&p->tick);
        p->cb(p->arg);
    }
    pump(p);
}

static void on_connect(uv_connect_t *req, int status)
{
    struct publisher *p = req->data;
    static char packet[] = {0x10, 12, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, KEEP_ALIVE_S, 0, 0};
    uv_buf_t buf = uv_buf_init(packet, sizeof(packet));

    free(req);
    if (status < 0) {
        fail("the broker does not answer");
    }
    uv_tcp_nodelay(&p->tcp, 1);
    uv_read_start((uv_stream_t *)&p->tcp, on_alloc, on_read);
    if (uv_try_write((uv_stream_t *)&p->tcp, &buf, 1) != (int)sizeof(packet)) {
        fail("the broker cannot be written to");
    }
}

struct publisher *publisher_new(uv_loop_t *loop, uint16_t port, void (*cb)(void *arg), void *arg)
{
    struct publisher *p = calloc(1, sizeof(*p));
    uv_connect_t *req = calloc(1, sizeof(*req));
    struct sockaddr_in address;

    if (p == NULL || req == NULL) {
        fail("out of memory");
    }
    p->cb = cb;
    p->arg = arg;
    uv_tcp_init(loop, &p->tcp);
    uv_timer_init(loop, &p->tick);
    p->tcp.data = p->tick.data = req->data = p;
    uv_ip4_addr("127.0.0.1", port, &address);
    if (uv_tcp_connect(req, &p->tcp, (const struct sockaddr *)&address, on_connect) != 0) {
        fail("no connection to the broker");
    }
    return p;
}

void publisher_run(struct publisher *p, const struct load_uplinks *uplinks, void (*cb)(void *arg),
                   void *arg)
{
    struct timespec now;
    int64_t last_ms = p->uplinks.device_count > 0
                          ? p->base_ms + ROUND_MS * (int64_t)(p->sent / p->uplinks.device_count)
                          : 0;

    clock_gettime(CLOCK_REALTIME, &now);
    p->base_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    if (p->base_ms <= last_ms) {
        p->base_ms = last_ms + 1;
    }
    p->uplinks = *uplinks;
    p->cb = cb;
    p->arg = arg;
    p->sent = p->acked = 0;
    p->started_us = load_now_us();
    p->is_running = true;
    make_form(&p->form, uplinks);
    if (uplinks->rate > 0.0) {
        uv_timer_start(&p->tick, on_tick, TICK_MS, TICK_MS);
    }
    pump(p);
}
