/* chirpstack.c - the driver: topics, events, opening and closing. */
#include "network/chirpstack/chirpstack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "impl.h"
#include "network/chirpstack/events.h"

#define WARNING_PAUSE_MS 60000
#define TOPIC_SIZE       512

enum warning { WARNING_QOS, WARNING_EVENT, WARNING_TOPIC };

static const char *const placeholders[] = {"{application_id}", "{dev_eui}", "{event}"};

enum err chirpstack_check_topic(const char *topic, const char **ret_text)
{
    for (size_t i = 0; i < 3; i++) {
        const char *at = strstr(topic, placeholders[i]);
        size_t size = strlen(placeholders[i]);
        if (at == NULL || strstr(at + 1, placeholders[i]) != NULL) {
            *ret_text = "{application_id}, {dev_eui} and {event} must each stand in it once";
            return ERR_FORMAT;
        }
        if ((at != topic && at[-1] != '/') || (at[size] != '/' && at[size] != '\0')) {
            *ret_text = "a placeholder must stand alone between two slashes";
            return ERR_FORMAT;
        }
    }
    if (strpbrk(topic, "+#") != NULL || strlen(topic) > TOPIC_SIZE / 2) {
        *ret_text = "it must be shorter than 256 characters, without + and #";
        return ERR_FORMAT;
    }
    return ERR_OK;
}

static void warn(struct chirpstack *cs, enum warning kind, const char *text)
{
    uint64_t now = uv_now(cs->loop);

    if (now >= cs->next_warning[kind]) {
        cs->next_warning[kind] = now + WARNING_PAUSE_MS;
        cs->callbacks.on_warning(cs->arg, text);
    }
}

/* The template with its placeholders filled. */
static void fill_topic(const struct chirpstack *cs, const char *application, const char *dev_eui,
                       const char *event, char *out, size_t out_size)
{
    const char *const values[] = {application, dev_eui, event};
    size_t size = 0;

    for (const char *from = cs->event_topic; *from != '\0' && size + 1 < out_size;) {
        size_t i = 0;
        while (i < 3 && strncmp(from, placeholders[i], strlen(placeholders[i])) != 0) {
            i++;
        }
        if (i < 3) {
            size += (size_t)snprintf(out + size, out_size - size, "%s", values[i]);
            from += strlen(placeholders[i]);
        } else {
            out[size++] = *from++;
        }
    }
    out[size < out_size ? size : out_size - 1] = '\0';
}

/* The topic's level where the template has {event}. */
static bool topic_event(const struct chirpstack *cs, const char *topic, enum events_topic *ret)
{
    const char *level = topic;

    for (const char *from = cs->event_topic; from < strstr(cs->event_topic, placeholders[2]);
         from++) {
        if (*from == '/') {
            level = strchr(level, '/');
            if (level == NULL) {
                return false;
            }
            level++;
        }
    }
    size_t size = strcspn(level, "/");
    for (unsigned t = 0; t < EVENTS_TOPIC_COUNT; t++) {
        const char *name = events_topic_name((enum events_topic)t);
        if (strlen(name) == size && strncmp(level, name, size) == 0) {
            *ret = (enum events_topic)t;
            return true;
        }
    }
    return false;
}

static void on_message(void *arg, const char *topic, const uint8_t *payload, size_t size, int qos)
{
    struct chirpstack *cs = arg;
    uint8_t buffer[NETWORK_PAYLOAD_MAX];
    enum events_topic kind;
    struct network_event event;
    const char *field = "";
    char text[200];

    if (!topic_event(cs, topic, &kind)) {
        warn(cs, WARNING_TOPIC, "an MQTT message came on a topic that is no event's");
        return;
    }
    if (qos == 0) {
        warn(cs, WARNING_QOS,
             "events come at QoS 0: set qos = 1 in ChirpStack's [integration.mqtt], or events are "
             "lost while fuotad is away");
    }
    enum err err = events_decode(kind, payload, size, cs->leap_s, buffer, &event, &field);
    if (err == ERR_OK) {
        cs->callbacks.on_event(cs->arg, &event);
    } else if (err != ERR_MISSING) {
        snprintf(text, sizeof(text), "an event '%s' cannot be read and is ignored: %s",
                 events_topic_name(kind), field);
        warn(cs, WARNING_EVENT, text);
    }
}

static void on_batch(void *arg)
{
    struct chirpstack *cs = arg;

    cs->callbacks.on_batch(cs->arg);
}

static void on_mqtt_state(void *arg, const char *text, bool is_session_kept)
{
    struct chirpstack *cs = arg;

    cs->callbacks.on_events_state(cs->arg, text, is_session_kept);
}

static void on_grpc_state(void *arg, const char *text)
{
    struct chirpstack *cs = arg;

    cs->callbacks.on_calls_state(cs->arg, text);
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

static void change(struct chirpstack *cs, const struct uuid *application,
                   void (*apply)(struct mqtt *, const char *))
{
    char id[UUID_TEXT_SIZE], filter[TOPIC_SIZE];

    uuid_format(application, id);
    for (unsigned t = 0; t < EVENTS_TOPIC_COUNT; t++) {
        fill_topic(cs, id, "+", events_topic_name((enum events_topic)t), filter, sizeof(filter));
        apply(cs->mqtt, filter);
    }
}

static void set_applications(void *self, const struct uuid *applications, size_t count)
{
    struct chirpstack *cs = self;

    for (size_t i = 0; i < cs->application_count; i++) {
        if (!has(applications, count, &cs->applications[i])) {
            change(cs, &cs->applications[i], mqtt_unsubscribe);
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (!has(cs->applications, cs->application_count, &applications[i]) &&
            !has(applications, i, &applications[i])) {
            change(cs, &applications[i], mqtt_subscribe);
        }
    }
    free(cs->applications);
    cs->applications = calloc(count + 1, sizeof(*applications));
    if (cs->applications == NULL) {
        abort();
    }
    cs->application_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (!has(cs->applications, cs->application_count, &applications[i])) {
            cs->applications[cs->application_count++] = applications[i];
        }
    }
}

static void acknowledge(void *self)
{
    struct chirpstack *cs = self;

    mqtt_acknowledge(cs->mqtt);
}

static void reject(void *self)
{
    struct chirpstack *cs = self;

    mqtt_reject(cs->mqtt);
}

static void on_part_closed(void *arg)
{
    struct chirpstack *cs = arg;

    if (--cs->open_count == 0) {
        if (cs->on_closed != NULL) {
            cs->on_closed(cs->closed_arg);
        }
        free(cs->applications);
        free(cs->event_topic);
        free(cs);
    }
}

static void close_driver(void *self, void (*cb)(void *arg), void *arg)
{
    struct chirpstack *cs = self;

    cs->on_closed = cb;
    cs->closed_arg = arg;
    cs->open_count = 2;
    mqtt_close(cs->mqtt, on_part_closed, cs);
    grpc_close(cs->grpc, on_part_closed, cs);
}

enum err chirpstack_new(struct uv_loop_s *loop, const struct chirpstack_options *options,
                        const struct network_callbacks *callbacks, void *arg,
                        struct network_driver *ret_driver)
{
    static const struct mqtt_callbacks mqtt_callbacks = {on_message, on_batch, on_mqtt_state};
    struct chirpstack *cs = calloc(1, sizeof(*cs));

    if (cs == NULL) {
        abort();
    }
    cs->loop = loop;
    cs->callbacks = *callbacks;
    cs->arg = arg;
    cs->leap_s = options->leap_s;
    cs->event_topic = strdup(options->event_topic);
    if (cs->event_topic == NULL) {
        abort();
    }
    enum err err = mqtt_new(loop, &options->mqtt, &mqtt_callbacks, cs, &cs->mqtt);
    if (err != ERR_OK) {
        free(cs->event_topic);
        free(cs);
        return err;
    }
    cs->grpc = grpc_new(loop, &options->grpc, on_grpc_state, cs);
    *ret_driver = (struct network_driver){
        .self = cs,
        .set_applications = set_applications,
        .acknowledge = acknowledge,
        .reject = reject,
        .close = close_driver,
        .enqueue = chirpstack_enqueue,
        .read_queue = chirpstack_read_queue,
        .create_group = chirpstack_create_group,
        .add_gateways = chirpstack_add_gateways,
        .delete_group = chirpstack_delete_group,
        .enqueue_group = chirpstack_enqueue_group,
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
