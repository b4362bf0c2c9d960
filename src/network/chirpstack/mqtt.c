#include "network/chirpstack/mqtt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/socket.h>

#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <uv.h>

#define RETRY_FIRST_MS 200
#define RETRY_LAST_MS  5000
#define TICK_MS        1000

struct filter {
    struct filter *next;
    char *text;
    int message_id; /* of the last SUBSCRIBE */
    bool is_gone;   /* unsubscribed while offline: the broker's session has it still */
    int reason;     /* of its SUBACK: 0x80 or more is a refusal */
};

struct mqtt {
    uv_loop_t *loop;
    struct mosquitto *mosq;
    struct mqtt_callbacks callbacks;
    void *arg;
    char *host;
    uint16_t port, keep_alive_s, receive_max;
    uint32_t session_expiry_s;
    uv_poll_t *poll; /* of the socket; freed by its close callback */
    uv_timer_t tick, retry;
    uv_work_t work; /* connecting blocks, name resolution included */
    int work_result;
    bool is_working, is_connected, is_batch_open, is_closing, has_connected_before;
    bool is_rejected; /* the last batch: connecting again at once would bring it at once */
    unsigned open_handles;
    size_t batch_size;
    uint64_t retry_ms;
    struct filter *filters;
    bool is_some_refused;      /* of them; it was told */
    const struct filter *told; /* which; NULL: it is given up */
    uint64_t refused_at;       /* uv_now(), when they were asked for last */
    const char *refusal; /* static; why the broker closes after its CONNACK; NULL: it does not */
    void (*on_closed)(void *arg);
    void *closed_arg;
};

static void *must(void *memory)
{
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void stop_polling(struct mqtt *mqtt)
{
    if (mqtt->poll != NULL) {
        uv_poll_stop(mqtt->poll);
        uv_close((uv_handle_t *)mqtt->poll, free_handle);
        mqtt->poll = NULL;
    }
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void update_poll(struct mqtt *mqtt)
{
    int events = 0;

    if (mqtt->poll == NULL) {
        return;
    }
    if (!mqtt->is_batch_open) {
        events = UV_READABLE | (mosquitto_want_write(mqtt->mosq) ? UV_WRITABLE : 0);
    }
    if (events != 0) {
        uv_poll_start(mqtt->poll, events, on_poll);
    } else {
        uv_poll_stop(mqtt->poll);
    }
}

static void on_retry(uv_timer_t *timer);

static void lost(struct mqtt *mqtt, const char *text)
{
    stop_polling(mqtt);
    mqtt->is_connected = false;
    if (mqtt->is_closing) {
        return;
    }
    mqtt->callbacks.on_state(mqtt->arg, text, false);
    uv_timer_start(&mqtt->retry, on_retry, mqtt->retry_ms, 0);
    mqtt->retry_ms = 2 * mqtt->retry_ms > RETRY_LAST_MS ? RETRY_LAST_MS : 2 * mqtt->retry_ms;
}

static void free_filter(struct filter *filter)
{
    free(filter->text);
    free(filter);
}

/* A TLS handshake that fails closes the socket without on_disconnect(). */
static void check_socket(struct mqtt *mqtt, int result)
{
    if (mqtt->poll != NULL && mosquitto_socket(mqtt->mosq) < 0) {
        lost(mqtt, mosquitto_strerror(result));
    }
}

static void subscribe_now(struct mqtt *mqtt, struct filter *filter)
{
    mosquitto_subscribe_v5(mqtt->mosq, &filter->message_id, filter->text, 1, 0, NULL);
}

/* libmosquitto's callbacks: from inside its read, write and misc calls. */

static void on_connect(struct mosquitto *mosq, void *arg, int result, int flags,
                       const mosquitto_property *properties)
{
    struct mqtt *mqtt = arg;

    (void)properties;
    if (result != 0) { /* the broker closes, and on_disconnect comes */
        mqtt->refusal = mosquitto_reason_string(result);
        return;
    }
    mqtt->is_connected = true;
    if (!mqtt->is_rejected) {
        mqtt->retry_ms = RETRY_FIRST_MS;
    }
    mqtt->is_some_refused = false;
    mqtt->told = NULL;
    for (struct filter **at = &mqtt->filters; *at != NULL;) {
        struct filter *filter = *at;
        filter->reason = 0;
        if (filter->is_gone) {
            mosquitto_unsubscribe_v5(mosq, NULL, filter->text, NULL);
            *at = filter->next;
            free_filter(filter);
        } else {
            subscribe_now(mqtt, filter);
            at = &filter->next;
        }
    }
    mqtt->callbacks.on_state(mqtt->arg, NULL, (flags & 1) != 0);
}

static void on_disconnect(struct mosquitto *mosq, void *arg, int result,
                          const mosquitto_property *properties)
{
    struct mqtt *mqtt = arg;

    (void)mosq, (void)properties;
    const char *refusal = mqtt->refusal;
    mqtt->refusal = NULL;
    lost(mqtt, refusal != NULL  ? refusal
               : result == 0    ? "disconnected"
               : result >= 0x80 ? mosquitto_reason_string(result) /* the broker's */
                                : mosquitto_strerror(result));
}

static bool is_refused(const struct filter *filter)
{
    return filter->reason >= 0x80;
}

static void tell_refused(struct mqtt *mqtt, const struct filter *filter)
{
    char text[300];

    mqtt->told = filter;
    snprintf(text, sizeof(text), "subscribing to %s: %s", filter->text,
             mosquitto_reason_string(filter->reason));
    mqtt->callbacks.on_state(mqtt->arg, text, false);
}

static void on_subscribe(struct mosquitto *mosq, void *arg, int message_id, int count,
                         const int *granted, const mosquitto_property *properties)
{
    struct mqtt *mqtt = arg;
    struct filter *filter = mqtt->filters;

    (void)mosq, (void)properties;
    while (filter != NULL && filter->message_id != message_id) {
        filter = filter->next;
    }
    if (filter == NULL || count != 1) {
        return;
    }
    filter->message_id = 0;
    filter->reason = granted[0];
    if (is_refused(filter) && !mqtt->is_some_refused) {
        mqtt->is_some_refused = true;
        mqtt->refused_at = uv_now(mqtt->loop);
        tell_refused(mqtt, filter);
    }
}

/* Somebody may change the broker's rules. */
static void check_refused(struct mqtt *mqtt)
{
    bool is_due = uv_now(mqtt->loop) >= mqtt->refused_at + RETRY_LAST_MS;
    const struct filter *refused = NULL;

    if (!mqtt->is_some_refused || !mqtt->is_connected) {
        return;
    }
    for (struct filter *filter = mqtt->filters; filter != NULL; filter = filter->next) {
        if (is_refused(filter)) {
            refused = filter;
            if (is_due) {
                mqtt->refused_at = uv_now(mqtt->loop);
                subscribe_now(mqtt, filter);
            }
        }
    }
    if (refused == NULL) {
        mqtt->is_some_refused = false;
        mqtt->callbacks.on_state(mqtt->arg, NULL, true);
    } else if (mqtt->told == NULL || !is_refused(mqtt->told)) {
        tell_refused(mqtt, refused);
    }
}

static void on_message(struct mosquitto *mosq, void *arg, const struct mosquitto_message *message,
                       const mosquitto_property *properties)
{
    struct mqtt *mqtt = arg;

    (void)mosq, (void)properties;
    mqtt->batch_size++;
    mqtt->callbacks.on_message(mqtt->arg, message->topic, message->payload,
                               (size_t)message->payloadlen, message->qos);
    errno = 0; /* its wake-up pipe fills up, and it would take that for an error of the socket */
}

static void end_batch(struct mqtt *mqtt)
{
    if (mqtt->batch_size > 0 && !mqtt->is_batch_open) {
        mqtt->is_batch_open = true;
        mqtt->callbacks.on_batch(mqtt->arg);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct mqtt *mqtt = poll->data;

    if (status < 0) {
        events = UV_READABLE; /* the read finds out what is wrong */
    }
    if ((events & UV_WRITABLE) != 0) {
        check_socket(mqtt, mosquitto_loop_write(mqtt->mosq, 1));
    }
    if ((events & UV_READABLE) != 0) {
        /* It reads one packet a call. */
        while (mqtt->poll == poll && mqtt->batch_size < mqtt->receive_max) {
            errno = 0;
            int result = mosquitto_loop_read(mqtt->mosq, 1);
            bool is_over = result != MOSQ_ERR_SUCCESS || errno == EAGAIN || errno == EWOULDBLOCK;
            check_socket(mqtt, result);
            if (is_over) {
                break;
            }
        }
    }
    end_batch(mqtt);
    update_poll(mqtt);
}

void mqtt_acknowledge(struct mqtt *mqtt)
{
    mqtt->is_rejected = false;
    mqtt->retry_ms = RETRY_FIRST_MS;
    mqtt->is_batch_open = false;
    mqtt->batch_size = 0;
    while (mqtt->poll != NULL && mosquitto_want_write(mqtt->mosq)) {
        int result = mosquitto_loop_write(mqtt->mosq, 1);
        check_socket(mqtt, result);
        if (result != MOSQ_ERR_SUCCESS) {
            break;
        }
    }
    update_poll(mqtt);
    /* Packets that libmosquitto or TLS hold already make no socket readable. */
    if (mqtt->poll != NULL && mqtt->is_connected) {
        on_poll(mqtt->poll, 0, UV_READABLE);
    }
}

void mqtt_reject(struct mqtt *mqtt)
{
    mqtt->is_rejected = true;
    mqtt->is_batch_open = false;
    mqtt->batch_size = 0;
    if (mqtt->poll != NULL) {
        /* The acknowledgements are still in libmosquitto's hands; the next read finds the
         * connection lost and drops them. */
        shutdown(mosquitto_socket(mqtt->mosq), SHUT_RDWR);
        on_poll(mqtt->poll, 0, UV_READABLE);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct mqtt *mqtt = timer->data;

    /* A ping would be written together with the acknowledgements that still wait. */
    if (mqtt->poll != NULL && !mqtt->is_batch_open) {
        check_refused(mqtt);
        check_socket(mqtt, mosquitto_loop_misc(mqtt->mosq));
        update_poll(mqtt);
    }
}

/* connecting, on a worker thread */

static void work_connect(uv_work_t *work)
{
    struct mqtt *mqtt = work->data;
    mosquitto_property *properties = NULL;

    mosquitto_property_add_int16(&properties, MQTT_PROP_RECEIVE_MAXIMUM, mqtt->receive_max);
    mosquitto_property_add_int32(&properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL,
                                 mqtt->session_expiry_s);
    mqtt->work_result = mosquitto_connect_bind_v5(mqtt->mosq, mqtt->host, mqtt->port,
                                                  mqtt->keep_alive_s, NULL, properties);
    if (mqtt->work_result == MOSQ_ERR_ERRNO) {
        mqtt->work_result = -errno;
    }
    mosquitto_property_free_all(&properties);
}

static void close_handles(struct mqtt *mqtt);

static void after_connect(uv_work_t *work, int status)
{
    struct mqtt *mqtt = work->data;

    mqtt->is_working = false;
    if (mqtt->is_closing) {
        close_handles(mqtt);
        return;
    }
    int fd = mosquitto_socket(mqtt->mosq);
    if (status < 0 || mqtt->work_result != MOSQ_ERR_SUCCESS || fd < 0) {
        lost(mqtt, mqtt->work_result < 0 ? strerror(-mqtt->work_result)
                                         : mosquitto_strerror(mqtt->work_result));
        return;
    }
    mqtt->poll = must(calloc(1, sizeof(*mqtt->poll)));
    if (uv_poll_init(mqtt->loop, mqtt->poll, fd) != 0) {
        abort();
    }
    mqtt->poll->data = mqtt;
    /* A batch of the connection before may still be open: then nothing is read until its end. Its
     * acknowledgements went with that connection. */
    check_socket(mqtt, mosquitto_loop_write(mqtt->mosq, 1));
    update_poll(mqtt);
}

static void on_retry(uv_timer_t *timer)
{
    struct mqtt *mqtt = timer->data;

    if (mqtt->callbacks.may_connect != NULL && !mqtt->callbacks.may_connect(mqtt->arg)) {
        uv_timer_start(&mqtt->retry, on_retry, RETRY_FIRST_MS, 0);
        return;
    }
    mqtt->is_working = true;
    uv_queue_work(mqtt->loop, &mqtt->work, work_connect, after_connect);
}

/* A client with these options; NULL: libmosquitto refuses them. */
static struct mosquitto *make_client(const struct mqtt_options *o, void *arg)
{
    struct mosquitto *mosq = must(mosquitto_new(o->client_id, false, arg));
    int result = MOSQ_ERR_SUCCESS;

    mosquitto_int_option(mosq, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
    mosquitto_int_option(mosq, MOSQ_OPT_RECEIVE_MAXIMUM, o->receive_max);
    /* "Threaded" makes it write from mosquitto_loop_write() only: acknowledgements wait for us. */
    mosquitto_threaded_set(mosq, true);
    if (o->username != NULL) {
        result = mosquitto_username_pw_set(mosq, o->username, o->password);
    }
    if (o->is_tls && result == MOSQ_ERR_SUCCESS) {
        result = mosquitto_tls_set(mosq, o->ca_file, o->ca_file == NULL ? "/etc/ssl/certs" : NULL,
                                   o->cert_file, o->key_file, NULL);
    }
    if (result != MOSQ_ERR_SUCCESS) {
        mosquitto_destroy(mosq);
        return NULL;
    }
    return mosq;
}

enum err mqtt_check_options(const struct mqtt_options *options)
{
    mosquitto_lib_init();
    struct mosquitto *mosq = make_client(options, NULL);
    bool is_good = mosq != NULL;
    mosquitto_destroy(mosq);
    mosquitto_lib_cleanup();
    return is_good ? ERR_OK : ERR_IO;
}

enum err mqtt_new(struct uv_loop_s *loop, const struct mqtt_options *o,
                  const struct mqtt_callbacks *callbacks, void *arg, struct mqtt **ret_mqtt)
{
    struct mqtt *mqtt = must(calloc(1, sizeof(*mqtt)));

    mosquitto_lib_init();
    mqtt->mosq = make_client(o, mqtt);
    if (mqtt->mosq == NULL) {
        mosquitto_lib_cleanup();
        free(mqtt);
        return ERR_IO;
    }
    mosquitto_connect_v5_callback_set(mqtt->mosq, on_connect);
    mosquitto_disconnect_v5_callback_set(mqtt->mosq, on_disconnect);
    mosquitto_subscribe_v5_callback_set(mqtt->mosq, on_subscribe);
    mosquitto_message_v5_callback_set(mqtt->mosq, on_message);
    mqtt->loop = loop;
    mqtt->callbacks = *callbacks;
    mqtt->arg = arg;
    mqtt->host = must(strdup(o->host));
    mqtt->port = o->port;
    mqtt->keep_alive_s = o->keep_alive_s;
    mqtt->receive_max = o->receive_max;
    mqtt->session_expiry_s = o->session_expiry_s;
    mqtt->retry_ms = RETRY_FIRST_MS;
    mqtt->work.data = mqtt;
    mqtt->open_handles = 2;
    uv_timer_init(loop, &mqtt->tick);
    uv_timer_init(loop, &mqtt->retry);
    mqtt->tick.data = mqtt->retry.data = mqtt;
    uv_timer_start(&mqtt->tick, on_tick, TICK_MS, TICK_MS);
    uv_timer_start(&mqtt->retry, on_retry, 0, 0);
    *ret_mqtt = mqtt;
    return ERR_OK;
}

static struct filter *find_filter(struct mqtt *mqtt, const char *text)
{
    struct filter *filter = mqtt->filters;

    while (filter != NULL && strcmp(filter->text, text) != 0) {
        filter = filter->next;
    }
    return filter;
}

void mqtt_subscribe(struct mqtt *mqtt, const char *text)
{
    struct filter *filter = find_filter(mqtt, text);

    if (filter == NULL) {
        filter = must(calloc(1, sizeof(*filter)));
        filter->text = must(strdup(text));
        filter->next = mqtt->filters;
        mqtt->filters = filter;
    }
    filter->is_gone = false;
    if (mqtt->is_connected) {
        subscribe_now(mqtt, filter);
        update_poll(mqtt);
    }
}

void mqtt_unsubscribe(struct mqtt *mqtt, const char *text)
{
    struct filter *filter = find_filter(mqtt, text);
    struct filter **at = &mqtt->filters;

    if (filter == NULL) {
        return;
    }
    if (!mqtt->is_connected) {
        filter->is_gone = true;
        return;
    }
    mosquitto_unsubscribe_v5(mqtt->mosq, NULL, text, NULL);
    update_poll(mqtt);
    if (mqtt->told == filter) {
        mqtt->told = NULL;
    }
    while (*at != filter) {
        at = &(*at)->next;
    }
    *at = filter->next;
    free_filter(filter);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct mqtt *mqtt = handle->data;

    if (--mqtt->open_handles > 0) {
        return;
    }
    while (mqtt->filters != NULL) {
        struct filter *filter = mqtt->filters;
        mqtt->filters = filter->next;
        free_filter(filter);
    }
    mosquitto_destroy(mqtt->mosq);
    mosquitto_lib_cleanup();
    if (mqtt->on_closed != NULL) {
        mqtt->on_closed(mqtt->closed_arg);
    }
    free(mqtt->host);
    free(mqtt);
}

static void close_handles(struct mqtt *mqtt)
{
    /* No DISCONNECT while acknowledgements of uncommitted messages are queued before it: the broker
     * sees us go either way. */
    stop_polling(mqtt);
    uv_close((uv_handle_t *)&mqtt->tick, on_handle_closed);
    uv_close((uv_handle_t *)&mqtt->retry, on_handle_closed);
}

void mqtt_close(struct mqtt *mqtt, void (*cb)(void *arg), void *arg)
{
    mqtt->is_closing = true;
    mqtt->on_closed = cb;
    mqtt->closed_arg = arg;
    uv_timer_stop(&mqtt->retry);
    uv_timer_stop(&mqtt->tick);
    if (!mqtt->is_working) {
        close_handles(mqtt);
    }
}
