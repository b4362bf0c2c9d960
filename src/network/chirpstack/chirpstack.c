/* chirpstack.c - the driver: events, opening and closing. */
#include "network/chirpstack/chirpstack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway_watch.h"
#include "impl.h"
#include "network/chirpstack/events.h"

#define WARNING_PAUSE_MS 60000
#define CLIENT_ID_SIZE   200

enum warning { WARNING_QOS, WARNING_EVENT, WARNING_TOPIC };

static void *must(void *memory)
{
    if (memory == NULL) {
        abort(); /* out of memory: a restart from the store is a tested path */
    }
    return memory;
}

static void warn(struct chirpstack *cs, enum warning kind, const char *text)
{
    uint64_t now = uv_now(cs->loop);

    if (now >= cs->next_warning[kind]) {
        cs->next_warning[kind] = now + WARNING_PAUSE_MS;
        cs->callbacks.on_warning(cs->arg, text);
    }
}

static void on_message(void *arg, const char *topic, const uint8_t *payload, size_t size, int qos)
{
    struct network_stream *stream = arg;
    struct chirpstack *cs = stream->cs;
    uint8_t buffer[NETWORK_PAYLOAD_MAX];
    struct topic from;
    struct network_event event;
    const char *field = "";
    char text[200];

    if (topics_read(&cs->topics, topic, &from) != ERR_OK) {
        warn(cs, WARNING_TOPIC, "an MQTT message came on a topic that is no event's");
        return;
    }
    if (qos == 0) {
        warn(cs, WARNING_QOS,
             "events come at QoS 0: set qos = 1 in ChirpStack's [integration.mqtt], or events are "
             "lost while fuotad is away");
    }
    if (from.has_device &&
        !cs->callbacks.is_wanted(stream->arg, &from.application_id, from.dev_eui)) {
        return; /* most of a network's traffic ends here, unread */
    }
    enum err err = events_decode(from.event, payload, size, cs->leap_s, buffer, &event, &field);
    if (err == ERR_OK) {
        stream->event_count++;
        cs->callbacks.on_event(stream->arg, &event);
    } else if (err != ERR_MISSING) {
        snprintf(text, sizeof(text), "an event '%s' cannot be read and is ignored: %s",
                 events_topic_name(from.event), field);
        warn(cs, WARNING_EVENT, text);
    }
}

static void on_acknowledging(uv_timer_t *timer)
{
    struct network_stream *stream = timer->data;

    mqtt_acknowledge(stream->mqtt);
}

static void on_batch(void *arg)
{
    struct network_stream *stream = arg;
    bool has_events = stream->event_count > 0;

    stream->event_count = 0;
    if (has_events) {
        stream->cs->callbacks.on_batch(stream->arg);
    } else {
        /* Nothing waits for a commit. From the loop: acknowledging reads the next batch at once,
         * and others must have their turn between two. */
        uv_timer_start(&stream->acknowledging, on_acknowledging, 0, 0);
    }
}

static void on_mqtt_state(void *arg, const char *text, bool is_session_kept)
{
    struct network_stream *stream = arg;

    stream->cs->callbacks.on_events_state(stream->arg, text, is_session_kept);
}

static bool may_connect(void *arg)
{
    struct network_stream *stream = arg;

    return stream->cs->callbacks.may_connect == NULL ||
           stream->cs->callbacks.may_connect(stream->arg);
}

static void on_grpc_state(void *arg, const char *text)
{
    calls_state(arg, text);
}

static bool has(const struct uuid *list, size_t count, const struct uuid *id)
{
    for (size_t i = 0; i < count; i++) {
        if (memcmp(&list[i], id, sizeof(*id)) == 0) {
            return true;
        }
    }
    return false;
}

static void change(struct network_stream *stream, const struct uuid *application,
                   void (*apply)(struct mqtt *, const char *))
{
    char filter[TOPICS_FILTER_SIZE];

    for (unsigned t = 0; t < EVENTS_TOPIC_COUNT; t++) {
        topics_filter(&stream->cs->topics, application, (enum events_topic)t, filter);
        apply(stream->mqtt, filter);
    }
}

static void set_applications(struct network_stream *stream, const struct uuid *applications,
                             size_t count)
{
    for (size_t i = 0; i < stream->application_count; i++) {
        if (!has(applications, count, &stream->applications[i])) {
            change(stream, &stream->applications[i], mqtt_unsubscribe);
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (!has(stream->applications, stream->application_count, &applications[i]) &&
            !has(applications, i, &applications[i])) {
            change(stream, &applications[i], mqtt_subscribe);
        }
    }
    free(stream->applications);
    stream->applications = must(calloc(count + 1, sizeof(*applications)));
    stream->application_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (!has(stream->applications, stream->application_count, &applications[i])) {
            stream->applications[stream->application_count++] = applications[i];
        }
    }
}

static void acknowledge(struct network_stream *stream)
{
    mqtt_acknowledge(stream->mqtt);
}

static void reject(struct network_stream *stream)
{
    mqtt_reject(stream->mqtt);
}

static struct network_stream *open_stream(void *self, const char *name, void *arg)
{
    static const struct mqtt_callbacks callbacks = {on_message, on_batch, on_mqtt_state,
                                                    may_connect};
    struct chirpstack *cs = self;
    struct network_stream *stream = must(calloc(1, sizeof(*stream)));
    struct mqtt_options options = cs->mqtt;
    char client_id[CLIENT_ID_SIZE];

    snprintf(client_id, sizeof(client_id), "%s-%s", cs->mqtt.client_id, name);
    options.client_id = client_id;
    stream->cs = cs;
    stream->arg = arg;
    uv_timer_init(cs->loop, &stream->acknowledging);
    stream->acknowledging.data = stream;
    if (mqtt_new(cs->loop, &options, &callbacks, stream, &stream->mqtt) != ERR_OK) {
        abort(); /* chirpstack_new() tried these options */
    }
    return stream;
}

static void on_part_closed(void *arg)
{
    struct network_stream *stream = arg;

    if (--stream->open_parts > 0) {
        return;
    }
    if (stream->on_closed != NULL) {
        stream->on_closed(stream->closed_arg);
    }
    free(stream->applications);
    free(stream);
}

static void on_timer_closed(uv_handle_t *handle)
{
    on_part_closed(handle->data);
}

static void close_stream(struct network_stream *stream, void (*cb)(void *arg), void *arg)
{
    stream->on_closed = cb;
    stream->closed_arg = arg;
    stream->open_parts = 2;
    uv_close((uv_handle_t *)&stream->acknowledging, on_timer_closed);
    mqtt_close(stream->mqtt, on_part_closed, stream);
}

static void free_driver(struct chirpstack *cs)
{
    for (size_t i = 0; i < sizeof(cs->texts) / sizeof(cs->texts[0]); i++) {
        if (cs->texts[i] != NULL) {
            key_wipe(cs->texts[i], strlen(cs->texts[i])); /* the password is one */
        }
        free(cs->texts[i]);
    }
    free(cs->event_topic);
    free(cs);
}

static void on_calm_closed(uv_handle_t *handle)
{
    struct chirpstack *cs = handle->data;

    if (cs->on_closed != NULL) {
        cs->on_closed(cs->closed_arg);
    }
    free_driver(cs);
}

static void on_watch_closed(void *arg)
{
    struct chirpstack *cs = arg;

    uv_close((uv_handle_t *)&cs->calm, on_calm_closed);
}

static void on_grpc_closed(void *arg)
{
    struct chirpstack *cs = arg;

    if (cs->gateway_watch != NULL) {
        gateway_watch_close(cs->gateway_watch, on_watch_closed, cs);
    } else {
        on_watch_closed(cs);
    }
}

static void close_driver(void *self, void (*cb)(void *arg), void *arg)
{
    struct chirpstack *cs = self;

    cs->on_closed = cb;
    cs->closed_arg = arg;
    cs->is_calls_connected = false; /* what ends with us is no trouble */
    grpc_close(cs->grpc, on_grpc_closed, cs);
}

/* Streams open later than the caller's texts live. */
static void copy_mqtt_options(struct chirpstack *cs, const struct mqtt_options *from)
{
    const char **const to[] = {&cs->mqtt.host,     &cs->mqtt.client_id, &cs->mqtt.username,
                               &cs->mqtt.password, &cs->mqtt.ca_file,   &cs->mqtt.cert_file,
                               &cs->mqtt.key_file};

    cs->mqtt = *from;
    for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
        if (*to[i] != NULL) {
            cs->texts[i] = must(strdup(*to[i]));
            *to[i] = cs->texts[i];
        }
    }
}

enum err chirpstack_new(struct uv_loop_s *loop, const struct chirpstack_options *options,
                        const struct network_callbacks *callbacks, void *arg,
                        struct network_driver *ret_driver)
{
    struct chirpstack *cs = must(calloc(1, sizeof(*cs)));

    cs->loop = loop;
    cs->callbacks = *callbacks;
    cs->arg = arg;
    cs->leap_s = options->leap_s;
    cs->event_topic = must(strdup(options->event_topic));
    topics_init(&cs->topics, cs->event_topic);
    copy_mqtt_options(cs, &options->mqtt);
    enum err err = mqtt_check_options(&cs->mqtt);
    if (err == ERR_OK && options->gateway_prefixes != NULL && callbacks->on_gateway_frame != NULL) {
        err = gateway_watch_new(loop, &options->gateway_mqtt, options->gateway_prefixes,
                                &cs->callbacks, arg, &cs->gateway_watch);
    }
    if (err != ERR_OK) {
        free_driver(cs);
        return err;
    }
    uv_timer_init(loop, &cs->calm);
    cs->calm.data = cs;
    cs->grpc = grpc_new(loop, &options->grpc, on_grpc_state, cs);
    *ret_driver = (struct network_driver){
        .self = cs,
        .open_stream = open_stream,
        .set_applications = set_applications,
        .acknowledge = acknowledge,
        .reject = reject,
        .close_stream = close_stream,
        .close = close_driver,
        .enqueue = chirpstack_enqueue,
        .read_queue = chirpstack_read_queue,
        .create_group = chirpstack_create_group,
        .set_gateways = chirpstack_set_gateways,
        .delete_group = chirpstack_delete_group,
        .enqueue_group = chirpstack_enqueue_group,
        .read_group_queue = chirpstack_read_group_queue,
        .read_counter = chirpstack_read_counter,
        .read_device = chirpstack_read_device,
        .read_profile = chirpstack_read_profile,
        .read_root_key = chirpstack_read_root_key,
        .random_address = chirpstack_random_address,
        .list_devices = chirpstack_list_devices,
        .list_gateways = chirpstack_list_gateways,
        .list_busy_devices = chirpstack_list_busy_devices,
    };
    return ERR_OK;
}
