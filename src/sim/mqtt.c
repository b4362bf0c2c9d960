#include "sim/mqtt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mosquitto.h>
#include <mqtt_protocol.h>

#define KEEP_ALIVE_S 30
#define TICK_MS      1000

struct mqtt {
    uv_loop_t *loop;
    struct mosquitto *client;
    uv_timer_t timer; /* keep-alive, and the next attempt to connect */
    uv_poll_t *poll;  /* NULL without a socket */
    char host[256];
    int port;
    bool is_connected;
    bool was_connected;
    mqtt_connected_fn *on_connected;
    void *arg;
};

static void on_poll_closed(uv_handle_t *handle)
{
    free(handle);
}

static void stop_poll(struct mqtt *mqtt)
{
    if (mqtt->poll != NULL) {
        uv_poll_stop(mqtt->poll);
        uv_close((uv_handle_t *)mqtt->poll, on_poll_closed);
        mqtt->poll = NULL;
    }
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct mqtt *mqtt)
{
    if (mqtt->poll != NULL) {
        uv_poll_start(mqtt->poll,
                      UV_READABLE | (mosquitto_want_write(mqtt->client) ? UV_WRITABLE : 0),
                      on_poll);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct mqtt *mqtt = poll->data;

    if (mqtt->poll != poll) {
        return;
    }
    int rc = MOSQ_ERR_SUCCESS;
    if (status < 0 || (events & UV_READABLE) != 0) {
        rc = mosquitto_loop_read(mqtt->client, 100);
    }
    if (rc == MOSQ_ERR_SUCCESS && (events & UV_WRITABLE) != 0) {
        rc = mosquitto_loop_write(mqtt->client, 100);
    }
    if (rc != MOSQ_ERR_SUCCESS) {
        stop_poll(mqtt); /* libmosquitto has closed the socket */
        mqtt->is_connected = false;
        return;
    }
    watch(mqtt);
}

static void on_connect(struct mosquitto *client, void *arg, int code, int flags,
                       const mosquitto_property *properties)
{
    struct mqtt *mqtt = arg;

    (void)client;
    (void)flags;
    (void)properties;
    if (code != 0) {
        fprintf(stderr, "fuota-sim: mqtt: the broker refuses: %s\n", mosquitto_reason_string(code));
        return;
    }
    mqtt->is_connected = true;
    if (!mqtt->was_connected) {
        mqtt->was_connected = true;
        mqtt->on_connected(mqtt->arg);
    }
}

static void on_disconnect(struct mosquitto *client, void *arg, int code,
                          const mosquitto_property *properties)
{
    struct mqtt *mqtt = arg;

    (void)client;
    (void)code;
    (void)properties;
    mqtt->is_connected = false;
    stop_poll(mqtt);
}

static void try_connect(struct mqtt *mqtt)
{
    /* Blocks; the broker of a test is on this machine. */
    int rc =
        mosquitto_connect_bind_v5(mqtt->client, mqtt->host, mqtt->port, KEEP_ALIVE_S, NULL, NULL);

    if (rc != MOSQ_ERR_SUCCESS) {
        fprintf(stderr, "fuota-sim: mqtt: connect to %s:%d: %s\n", mqtt->host, mqtt->port,
                rc == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(rc));
        return;
    }
    mqtt->poll = malloc(sizeof(*mqtt->poll));
    if (mqtt->poll == NULL ||
        uv_poll_init(mqtt->loop, mqtt->poll, mosquitto_socket(mqtt->client)) != 0) {
        free(mqtt->poll);
        mqtt->poll = NULL;
        mosquitto_disconnect(mqtt->client);
        return;
    }
    mqtt->poll->data = mqtt;
    watch(mqtt);
}

static void on_timer(uv_timer_t *timer)
{
    struct mqtt *mqtt = timer->data;

    if (mqtt->poll == NULL) {
        try_connect(mqtt);
        return;
    }
    mosquitto_loop_misc(mqtt->client);
    watch(mqtt);
}

enum err mqtt_new(uv_loop_t *loop, const char *host, int port, const char *client_id,
                  mqtt_connected_fn *on_connected, void *arg, struct mqtt **ret_mqtt)
{
    struct mqtt *mqtt = calloc(1, sizeof(*mqtt));

    if (mqtt == NULL) {
        return ERR_NO_MEMORY;
    }
    mosquitto_lib_init();
    mqtt->client = mosquitto_new(client_id, true, mqtt);
    if (mqtt->client == NULL) {
        free(mqtt);
        return ERR_NO_MEMORY;
    }
    mqtt->loop = loop;
    snprintf(mqtt->host, sizeof(mqtt->host), "%s", host);
    mqtt->port = port;
    mqtt->on_connected = on_connected;
    mqtt->arg = arg;
    mosquitto_int_option(mqtt->client, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
    mosquitto_int_option(mqtt->client, MOSQ_OPT_TCP_NODELAY, 1);
    mosquitto_connect_v5_callback_set(mqtt->client, on_connect);
    mosquitto_disconnect_v5_callback_set(mqtt->client, on_disconnect);
    uv_timer_init(loop, &mqtt->timer);
    mqtt->timer.data = mqtt;
    uv_timer_start(&mqtt->timer, on_timer, 0, TICK_MS);
    *ret_mqtt = mqtt;
    return ERR_OK;
}

static void on_closed(uv_handle_t *handle)
{
    struct mqtt *mqtt = handle->data;

    mosquitto_destroy(mqtt->client);
    mosquitto_lib_cleanup();
    free(mqtt);
}

void mqtt_close(struct mqtt *mqtt)
{
    if (mqtt == NULL) {
        return;
    }
    if (mqtt->is_connected) {
        mosquitto_loop_write(mqtt->client, 100);
        mosquitto_disconnect(mqtt->client);
        mosquitto_loop_write(mqtt->client, 1);
    }
    stop_poll(mqtt);
    uv_timer_stop(&mqtt->timer);
    uv_close((uv_handle_t *)&mqtt->timer, on_closed);
}

enum err mqtt_publish(struct mqtt *mqtt, const char *topic, const void *payload, size_t size)
{
    if (mqtt == NULL || !mqtt->is_connected) {
        return ERR_UNAVAILABLE;
    }
    int rc = mosquitto_publish_v5(mqtt->client, NULL, topic, (int)size, payload, 1, false, NULL);
    watch(mqtt);
    return rc == MOSQ_ERR_SUCCESS ? ERR_OK : ERR_IO;
}
