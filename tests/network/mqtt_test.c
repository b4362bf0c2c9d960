/* mqtt_test.c - the MQTT subscriber with a real mosquitto. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glob.h>

#include <cmocka.h>
#include <mosquitto.h>

#include "lib/child.h"
#include "lib/loop.h"
#include "network/chirpstack/mqtt.h"

static char folder[] = "/tmp/fuotad-mqtt-XXXXXX";
static uint16_t port, password_port, tls_port, rules_port;
static pid_t broker;

static struct test_loop t;
static bool is_open, is_closed;

/* One client and what it saw. */
struct client {
    struct mqtt *mqtt;
    char seen[100][24]; /* payloads, in order */
    size_t sizes[100];
    int qos[100];
    unsigned seen_count, batch_count, up_count, down_count;
    unsigned largest_batch, batch_began_at;
    bool is_kept, acknowledges; /* acknowledges: each batch, at once */
    char topic[64], down_text[200];
};

static const char *in_folder(const char *name)
{
    static char paths[8][64];
    static unsigned next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

/* the broker */

static void start_broker(void)
{
    const char *const argv[] = {"mosquitto", "-c", in_folder("mosquitto.conf"), NULL};

    broker = child_start(argv, in_folder("mosquitto.log"), NULL);
    assert_true(child_wait_for_port(port, 10000));
}

static void stop_broker(int signal)
{
    child_stop(broker, signal);
    broker = 0;
}

/* mosquitto's plugin for rules comes with its package, below a folder of the architecture. */
static const char *rules_plugin(void)
{
    static char path[200];
    glob_t found;

    assert_int_equal(glob("/usr/lib/*/mosquitto_dynamic_security.so", 0, NULL, &found), 0);
    snprintf(path, sizeof(path), "%s", found.gl_pathv[0]);
    globfree(&found);
    return path;
}

/* On that listener anybody may publish and get all, change the rules, and subscribe to what begins
 * with granted/. */
static void write_rules(void)
{
    FILE *rules = fopen(in_folder("rules.json"), "w");

    assert_non_null(rules);
    fputs("{\"defaultACLAccess\":{\"publishClientSend\":true,\"publishClientReceive\":true,"
          "\"subscribe\":false,\"unsubscribe\":true},\"anonymousGroup\":\"all\",\"clients\":[],"
          "\"groups\":[{\"groupname\":\"all\",\"roles\":[{\"rolename\":\"all\"}]}],"
          "\"roles\":[{\"rolename\":\"all\",\"acls\":[{\"acltype\":\"subscribePattern\","
          "\"topic\":\"granted/#\",\"allow\":true},{\"acltype\":\"publishClientSend\","
          "\"topic\":\"$CONTROL/#\",\"allow\":true}]}]}",
          rules);
    fclose(rules);
}

static int begin(void **state)
{
    (void)state;
    char command[2000];
    FILE *conf;

    assert_non_null(mkdtemp(folder));
    port = child_free_port();
    password_port = child_free_port();
    tls_port = child_free_port();
    rules_port = child_free_port();
    snprintf(command, sizeof(command),
             "cd %s && exec 2>err.txt >&2 && set -e\n"
             "new='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'\n"
             "for ca in ca other; do openssl req -x509 $new -keyout $ca.key -out $ca.pem -days 2 "
             "-subj /CN=$ca; done\n"
             "echo subjectAltName=DNS:localhost > ext\n"
             "for name in server client; do\n"
             "openssl req $new -keyout $name.key -out $name.csr -subj /CN=$name\n"
             "openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out "
             "$name.pem -days 2 -extfile ext\n"
             "done\n"
             "mosquitto_passwd -b -c passwords user right\n"
             "chmod 644 *",
             folder);
    assert_int_equal(system(command), 0);
    conf = fopen(in_folder("mosquitto.conf"), "w");
    assert_non_null(conf);
    fprintf(conf,
            "per_listener_settings true\npersistence true\npersistence_location %s/\n%s"
            "listener %u 127.0.0.1\nallow_anonymous true\n"
            "listener %u 127.0.0.1\nallow_anonymous false\npassword_file %s/passwords\n"
            "listener %u 127.0.0.1\nallow_anonymous true\ncafile %s/ca.pem\ncertfile "
            "%s/server.pem\nkeyfile %s/server.key\nrequire_certificate true\n"
            "listener %u 127.0.0.1\nallow_anonymous true\nplugin %s\n"
            "plugin_opt_config_file %s/rules.json\n",
            folder, getuid() == 0 ? "user root\n" : "", port, password_port, folder, tls_port,
            folder, folder, folder, rules_port, rules_plugin(), folder);
    fclose(conf);
    write_rules();
    mosquitto_lib_init();
    start_broker();
    return 0;
}

static int end(void **state)
{
    (void)state;
    char command[100];

    stop_broker(SIGTERM);
    mosquitto_lib_cleanup();
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

/* Publishes "<prefix>0", "<prefix>1", ... and waits until the broker has them. */
static void on_published(struct mosquitto *mosq, void *arg, int id)
{
    unsigned *published = arg;

    (void)mosq, (void)id;
    (*published)++;
}

static void publish_octets(const char *topic, const void *octets, size_t size, int qos,
                           unsigned count, const char *prefix)
{
    unsigned published = 0;
    struct mosquitto *mosq = mosquitto_new(NULL, true, &published);

    mosquitto_publish_callback_set(mosq, on_published);
    assert_int_equal(mosquitto_connect(mosq, "127.0.0.1", port, 60), MOSQ_ERR_SUCCESS);
    for (unsigned i = 0; i < count; i++) {
        char text[24];
        snprintf(text, sizeof(text), "%s%u", prefix == NULL ? "" : prefix, i);
        if (prefix != NULL) {
            octets = text;
            size = strlen(text);
        }
        assert_int_equal(mosquitto_publish(mosq, NULL, topic, (int)size, octets, qos, false),
                         MOSQ_ERR_SUCCESS);
    }
    while (published < count) {
        assert_int_equal(mosquitto_loop(mosq, 100, 1), MOSQ_ERR_SUCCESS);
    }
    mosquitto_disconnect(mosq);
    mosquitto_destroy(mosq);
}

static void publish(const char *topic, const char *prefix, unsigned count)
{
    publish_octets(topic, NULL, 0, 1, count, prefix);
}

/* clients */

static void on_message(void *arg, const char *topic, const uint8_t *payload, size_t size, int qos)
{
    struct client *c = arg;

    assert_true(c->seen_count < 100);
    snprintf(c->topic, sizeof(c->topic), "%s", topic);
    if (size > 0) {
        memcpy(c->seen[c->seen_count], payload, size < 23 ? size : 23);
    }
    c->sizes[c->seen_count] = size;
    c->qos[c->seen_count++] = qos;
}

static void on_batch(void *arg)
{
    struct client *c = arg;
    unsigned size = c->seen_count - c->batch_began_at;

    c->batch_count++;
    c->batch_began_at = c->seen_count;
    if (size > c->largest_batch) {
        c->largest_batch = size;
    }
    if (c->acknowledges) {
        mqtt_acknowledge(c->mqtt);
    }
}

static void on_state(void *arg, const char *text, bool is_session_kept)
{
    struct client *c = arg;

    if (text == NULL) {
        c->up_count++;
        c->is_kept = is_session_kept;
    } else {
        c->down_count++;
        snprintf(c->down_text, sizeof(c->down_text), "%s", text);
    }
}

static struct mqtt_options options_of(const char *id)
{
    return (struct mqtt_options){
        .host = "127.0.0.1",
        .port = port,
        .client_id = id,
        .keep_alive_s = 30,
        .session_expiry_s = 3600,
        .receive_max = 10,
    };
}

static void open_client(struct client *c, const struct mqtt_options *options)
{
    static const struct mqtt_callbacks callbacks = {on_message, on_batch, on_state, NULL};

    if (!is_open) {
        test_loop_open(&t);
        is_open = true;
    }
    assert_int_equal(mqtt_new(&t.loop, options, &callbacks, c, &c->mqtt), ERR_OK);
}

static void connect_client(struct client *c, const char *id, const char *filter)
{
    struct mqtt_options options = options_of(id);

    open_client(c, &options);
    if (filter != NULL) {
        mqtt_subscribe(c->mqtt, filter);
    }
    WAIT_UNTIL(&t, c->up_count == 1);
    test_loop_run(&t, 60); /* the subscription arrives */
}

static void on_closed(void *arg)
{
    (void)arg;
    is_closed = true;
}

static void close_client(struct client *c)
{
    is_closed = false;
    mqtt_close(c->mqtt, on_closed, NULL);
    WAIT_UNTIL(&t, is_closed);
}

static int close_loop(void **state)
{
    (void)state;
    bool is_clean = !is_open || test_loop_close(&t);

    is_open = false;
    return is_clean ? 0 : -1;
}

static void expect_seen(const struct client *c, unsigned first, const char *prefix, unsigned from,
                        unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char text[24];
        snprintf(text, sizeof(text), "%s%u", prefix, from + i);
        assert_string_equal(c->seen[first + i], text);
    }
}

/* batches */

static void messages_come_in_batches_and_nothing_between_them(void **state)
{
    (void)state;
    struct client c = {0};

    connect_client(&c, "batches", "batches/+");
    publish("batches/a", "m", 25);
    WAIT_UNTIL(&t, c.batch_count == 1);
    for (unsigned batches = 1; c.seen_count < 25; batches++) {
        unsigned seen = c.seen_count;
        test_loop_run(&t, 80);
        assert_int_equal(c.seen_count, seen);
        assert_int_equal(c.batch_count, batches);
        mqtt_acknowledge(c.mqtt);
        WAIT_UNTIL(&t, c.batch_count == batches + 1);
    }
    assert_in_range(c.largest_batch, 1, 10);
    assert_in_range(c.batch_count, 3, 25);
    assert_int_equal(c.seen_count, 25);
    expect_seen(&c, 0, "m", 0, 25);
    assert_string_equal(c.topic, "batches/a");
    assert_int_equal(c.qos[0], 1);
    mqtt_acknowledge(c.mqtt);
    test_loop_run(&t, 80);
    assert_int_equal(c.seen_count, 25); /* once each */
    close_client(&c);
}

static void large_empty_and_unguaranteed_messages_come_as_they_are(void **state)
{
    (void)state;
    struct client c = {.acknowledges = true};
    char *large = calloc(1, 200000);

    connect_client(&c, "sizes", "sizes");
    memset(large, 'L', 200000);
    publish_octets("sizes", large, 200000, 1, 1, NULL);
    WAIT_UNTIL(&t, c.seen_count == 1);
    publish_octets("sizes", "", 0, 1, 1, NULL);
    WAIT_UNTIL(&t, c.seen_count == 2);
    publish_octets("sizes", "x", 1, 0, 1, NULL);
    WAIT_UNTIL(&t, c.seen_count == 3);
    assert_int_equal(c.sizes[0], 200000);
    assert_int_equal(c.sizes[1], 0);
    assert_int_equal(c.sizes[2], 1);
    assert_int_equal(c.qos[2], 0);
    free(large);
    close_client(&c);
}

/* A client of its own process, to be killed: acknowledges its first batch, holds the second. */
static int be_killed(const char *port_text)
{
    struct client c = {0};

    port = (uint16_t)atoi(port_text);
    connect_client(&c, "killed", "killed");
    printf("ready\n");
    fflush(stdout);
    WAIT_UNTIL(&t, c.batch_count == 1);
    unsigned acknowledged = c.seen_count;
    mqtt_acknowledge(c.mqtt);
    WAIT_UNTIL(&t, c.batch_count == 2);
    printf("%u %u\n", acknowledged, c.seen_count);
    fflush(stdout);
    test_loop_run(&t, 60000);
    return 1;
}

static void a_killed_program_gets_exactly_what_it_did_not_acknowledge(void **state)
{
    (void)state;
    char port_text[8], line[32];
    const char *const argv[] = {"/proc/self/exe", "be_killed", port_text, NULL};
    struct client c = {.acknowledges = true};
    unsigned acknowledged, seen;
    int fd;

    snprintf(port_text, sizeof(port_text), "%u", port);
    pid_t pid = child_start(argv, NULL, &fd);
    FILE *out = fdopen(fd, "r");
    assert_non_null(fgets(line, sizeof(line), out));
    assert_string_equal(line, "ready\n");
    publish("killed", "k", 25);
    assert_non_null(fgets(line, sizeof(line), out));
    child_stop(pid, SIGKILL);
    fclose(out);
    assert_int_equal(sscanf(line, "%u %u", &acknowledged, &seen), 2);
    assert_in_range(acknowledged, 1, 10);
    assert_in_range(seen, acknowledged + 1, acknowledged + 10);
    connect_client(&c, "killed", "killed");
    assert_true(c.is_kept);
    WAIT_UNTIL(&t, c.seen_count >= 25 - acknowledged);
    test_loop_run(&t, 100);
    assert_int_equal(c.seen_count, 25 - acknowledged);
    expect_seen(&c, 0, "k", acknowledged, 25 - acknowledged);
    close_client(&c);
}

static void closing_with_an_open_batch_acknowledges_nothing(void **state)
{
    (void)state;
    struct client first = {0}, second = {.acknowledges = true};

    connect_client(&first, "closed", "closed");
    publish("closed", "c", 3);
    WAIT_UNTIL(&t, first.batch_count == 1);
    close_client(&first);
    connect_client(&second, "closed", NULL);
    WAIT_UNTIL(&t, second.seen_count == 3);
    expect_seen(&second, 0, "c", 0, 3);
    close_client(&second);
}

static void a_rejected_batch_comes_again(void **state)
{
    (void)state;
    struct client c = {0};

    connect_client(&c, "rejects", "rejects");
    publish("rejects", "r", 4);
    WAIT_UNTIL(&t, c.batch_count == 1);
    unsigned rejected = c.seen_count;
    mqtt_reject(c.mqtt);
    assert_int_equal(c.down_count, 1);
    c.acknowledges = true;
    WAIT_UNTIL(&t, c.seen_count == rejected + 4);
    expect_seen(&c, rejected, "r", 0, 4);
    assert_int_equal(c.up_count, 2);
    assert_true(c.is_kept);
    test_loop_run(&t, 100);
    assert_int_equal(c.seen_count, rejected + 4);
    close_client(&c);
}

/* sessions and connections */

static void the_broker_says_whether_it_kept_the_session(void **state)
{
    (void)state;
    struct client first = {0}, second = {.acknowledges = true};

    connect_client(&first, "kept", "kept");
    assert_false(first.is_kept);
    close_client(&first);
    publish("kept", "k", 2);
    connect_client(&second, "kept", NULL);
    assert_true(second.is_kept);
    WAIT_UNTIL(&t, second.seen_count == 2);
    close_client(&second);
}

static void a_broker_that_restarts_is_found_again(void **state)
{
    (void)state;
    struct client c = {.acknowledges = true};

    connect_client(&c, "restart", "restart");
    stop_broker(SIGTERM);
    WAIT_UNTIL(&t, c.down_count >= 1);
    assert_true(c.down_text[0] != '\0');
    start_broker();
    WAIT_UNTIL(&t, c.up_count == 2);
    assert_true(c.is_kept);
    publish("restart", "r", 2);
    WAIT_UNTIL(&t, c.seen_count == 2);
    close_client(&c);
}

static void a_broker_that_forgot_everything_is_subscribed_to_again(void **state)
{
    (void)state;
    struct client c = {.acknowledges = true};

    connect_client(&c, "forgotten", "forgotten");
    stop_broker(SIGKILL);
    unlink(in_folder("mosquitto.db"));
    WAIT_UNTIL(&t, c.down_count >= 1);
    start_broker();
    WAIT_UNTIL(&t, c.up_count == 2);
    assert_false(c.is_kept);
    test_loop_run(&t, 60);
    publish("forgotten", "f", 1);
    WAIT_UNTIL(&t, c.seen_count == 1);
    close_client(&c);
}

static void a_batch_that_is_open_when_the_connection_goes_stays_the_only_one(void **state)
{
    (void)state;
    struct client c = {0};

    connect_client(&c, "open", "open");
    publish("open", "o", 3); /* the loop does not run: all this waits in the socket */
    stop_broker(SIGTERM);
    start_broker();
    WAIT_UNTIL(&t, c.batch_count == 1);
    assert_int_equal(c.down_count, 1);
    unsigned seen = c.seen_count;
    test_loop_run(&t, 700); /* it has connected again by now */
    assert_int_equal(c.batch_count, 1);
    assert_int_equal(c.seen_count, seen);
    c.acknowledges = true;
    mqtt_acknowledge(c.mqtt);
    /* The acknowledgements were lost with the connection: better twice than never. */
    WAIT_UNTIL(&t, c.up_count == 2 && c.seen_count == seen + 3);
    expect_seen(&c, seen, "o", 0, 3);
    test_loop_run(&t, 100);
    assert_int_equal(c.seen_count, seen + 3);
    close_client(&c);
}

static void unsubscribing_works_online_and_offline(void **state)
{
    (void)state;
    struct client c = {.acknowledges = true};

    connect_client(&c, "unsubscribe", "u/stays");
    mqtt_subscribe(c.mqtt, "u/online");
    mqtt_subscribe(c.mqtt, "u/offline");
    mqtt_subscribe(c.mqtt, "u/back");
    mqtt_subscribe(c.mqtt, "u/back"); /* twice is once */
    test_loop_run(&t, 60);
    publish("u/online", "a", 1);
    WAIT_UNTIL(&t, c.seen_count == 1);
    mqtt_unsubscribe(c.mqtt, "u/online");
    mqtt_unsubscribe(c.mqtt, "u/never");
    test_loop_run(&t, 60);
    stop_broker(SIGTERM);
    WAIT_UNTIL(&t, c.down_count >= 1);
    mqtt_unsubscribe(c.mqtt, "u/offline");
    mqtt_unsubscribe(c.mqtt, "u/back");
    mqtt_subscribe(c.mqtt, "u/back");
    start_broker();
    WAIT_UNTIL(&t, c.up_count == 2);
    assert_true(c.is_kept); /* with the old subscriptions */
    test_loop_run(&t, 60);
    publish("u/online", "b", 1);
    publish("u/offline", "c", 1);
    publish("u/back", "d", 1);
    publish("u/stays", "e", 1);
    WAIT_UNTIL(&t, c.seen_count >= 3);
    test_loop_run(&t, 100);
    assert_int_equal(c.seen_count, 3);
    assert_string_equal(c.seen[1], "d0");
    assert_string_equal(c.seen[2], "e0");
    close_client(&c);
}

static void no_broker_is_reported_and_tried_again(void **state)
{
    (void)state;
    struct client c = {0};
    struct mqtt_options options = options_of("nobody");

    options.port = child_free_port();
    open_client(&c, &options);
    WAIT_UNTIL(&t, c.down_count >= 2);
    assert_string_equal(c.down_text, "Connection refused");
    close_client(&c);
}

static void closing_while_it_connects_is_fine(void **state)
{
    (void)state;
    struct client c = {0};
    struct mqtt_options options = options_of("early");

    open_client(&c, &options);
    uv_run(&t.loop, UV_RUN_NOWAIT);
    close_client(&c);
}

/* who may connect */

static void the_right_password_is_taken_and_a_wrong_one_reported(void **state)
{
    (void)state;
    struct client right = {0}, wrong = {0};
    struct mqtt_options options = options_of("password");

    options.port = password_port;
    options.username = "user";
    options.password = "right";
    open_client(&right, &options);
    WAIT_UNTIL(&t, right.up_count == 1);
    close_client(&right);
    options.password = "wrong";
    open_client(&wrong, &options);
    WAIT_UNTIL(&t, wrong.down_count >= 1);
    assert_string_equal(wrong.down_text, "Not authorized");
    WAIT_UNTIL(&t, wrong.down_count >= 3); /* it goes on trying */
    assert_int_equal(wrong.up_count, 0);
    close_client(&wrong);
}

static void change_rules(const char *command)
{
    publish_octets("$CONTROL/dynamic-security/v1", command, strlen(command), 1, 1, NULL);
}

static void a_subscription_that_is_refused_is_told_until_it_is_granted_or_given_up(void **state)
{
    (void)state;
    struct client c = {.acknowledges = true};
    struct mqtt_options options = options_of("rules");

    uint16_t usual = port;
    options.port = port = rules_port;
    open_client(&c, &options);
    mqtt_subscribe(c.mqtt, "granted/a");
    WAIT_UNTIL(&t, c.up_count == 1);
    test_loop_run(&t, 1200); /* more than a tick */
    assert_int_equal(c.down_count, 0);
    mqtt_subscribe(c.mqtt, "never/a");
    WAIT_UNTIL(&t, c.down_count == 1);
    assert_string_equal(c.down_text, "subscribing to never/a: Not authorized");
    mqtt_unsubscribe(c.mqtt, "never/a");
    WAIT_UNTIL(&t, c.up_count == 2);
    mqtt_subscribe(c.mqtt, "never/a");
    mqtt_subscribe(c.mqtt, "later/a");
    WAIT_UNTIL(&t, c.down_count == 2);
    assert_string_equal(c.down_text, "subscribing to never/a: Not authorized");
    mqtt_unsubscribe(c.mqtt, "never/a");
    WAIT_UNTIL(&t, c.down_count == 3);
    assert_string_equal(c.down_text, "subscribing to later/a: Not authorized");
    change_rules("{\"commands\":[{\"command\":\"setDefaultACLAccess\",\"acls\":[{\"acltype\":"
                 "\"subscribe\",\"allow\":true}]}]}");
    WAIT_UNTIL(&t, c.up_count == 3);
    publish("later/a", "l", 1);
    publish("granted/a", "g", 1);
    WAIT_UNTIL(&t, c.seen_count == 2);
    assert_int_equal(c.down_count, 3); /* the connection was there all the time */
    close_client(&c);
    port = usual;
}

static struct mqtt_options tls_options(const char *id)
{
    struct mqtt_options options = options_of(id);

    options.host = "localhost";
    options.port = tls_port;
    options.is_tls = true;
    options.ca_file = in_folder("ca.pem");
    options.cert_file = in_folder("client.pem");
    options.key_file = in_folder("client.key");
    return options;
}

static void messages_come_over_tls(void **state)
{
    (void)state;
    struct client c = {0};
    struct mqtt_options options = tls_options("tls");

    open_client(&c, &options);
    mqtt_subscribe(c.mqtt, "tls");
    WAIT_UNTIL(&t, c.up_count == 1);
    test_loop_run(&t, 60);
    publish("tls", "t", 35); /* more than a batch: what TLS holds already must come too */
    for (unsigned batches = 1; c.seen_count < 35; batches++) {
        WAIT_UNTIL(&t, c.batch_count == batches);
        mqtt_acknowledge(c.mqtt);
    }
    expect_seen(&c, 0, "t", 0, 35);
    close_client(&c);
}

static void a_broker_of_another_authority_or_name_is_refused(void **state)
{
    (void)state;
    struct client authority = {0}, name = {0}, nameless = {0};
    struct mqtt_options options = tls_options("refused");

    options.ca_file = in_folder("other.pem");
    open_client(&authority, &options);
    WAIT_UNTIL(&t, authority.down_count >= 1);
    assert_int_equal(authority.up_count, 0);
    close_client(&authority);
    options = tls_options("refused");
    options.host = "127.0.0.1"; /* the certificate is for localhost only */
    open_client(&name, &options);
    WAIT_UNTIL(&t, name.down_count >= 1);
    assert_int_equal(name.up_count, 0);
    close_client(&name);
    options = tls_options("refused");
    options.cert_file = options.key_file = NULL;
    open_client(&nameless, &options);
    WAIT_UNTIL(&t, nameless.down_count >= 1);
    assert_int_equal(nameless.up_count, 0);
    close_client(&nameless);
}

static void certificate_files_that_cannot_be_used_are_an_error(void **state)
{
    (void)state;
    static const struct mqtt_callbacks callbacks = {on_message, on_batch, on_state, NULL};
    struct client c = {0};
    struct mqtt_options options = tls_options("files");

    options.ca_file = in_folder("missing.pem");
    test_loop_open(&t);
    is_open = true;
    assert_int_equal(mqtt_new(&t.loop, &options, &callbacks, &c, &c.mqtt), ERR_IO);
}

#define TEST(name) cmocka_unit_test_teardown(name, close_loop)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(messages_come_in_batches_and_nothing_between_them),
        TEST(large_empty_and_unguaranteed_messages_come_as_they_are),
        TEST(a_killed_program_gets_exactly_what_it_did_not_acknowledge),
        TEST(closing_with_an_open_batch_acknowledges_nothing),
        TEST(a_rejected_batch_comes_again),
        TEST(the_broker_says_whether_it_kept_the_session),
        TEST(a_broker_that_restarts_is_found_again),
        TEST(a_broker_that_forgot_everything_is_subscribed_to_again),
        TEST(a_batch_that_is_open_when_the_connection_goes_stays_the_only_one),
        TEST(unsubscribing_works_online_and_offline),
        TEST(no_broker_is_reported_and_tried_again),
        TEST(closing_while_it_connects_is_fine),
        TEST(the_right_password_is_taken_and_a_wrong_one_reported),
        TEST(a_subscription_that_is_refused_is_told_until_it_is_granted_or_given_up),
        TEST(messages_come_over_tls),
        TEST(a_broker_of_another_authority_or_name_is_refused),
        TEST(certificate_files_that_cannot_be_used_are_an_error),
    };

    if (argc == 3 && strcmp(argv[1], "be_killed") == 0) {
        return be_killed(argv[2]);
    }
    return cmocka_run_group_tests_name("mqtt", tests, begin, end);
}
