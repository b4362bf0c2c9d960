/* main.c - fuotad: command line, start, signals, end. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "daemon.h"
#include "daemon/log.h"
#include "network/chirpstack/chirpstack.h"
#include "store/migrate.h"

#define DATABASE_RETRY_S 2
#define JANITOR_MS       250
#define STOP_LIMIT_MS    3500
#define LATE_MS          1000
#define GRPC_IN_FLIGHT   200
#define GRPC_QUEUE       200000
#define GRPC_MESSAGE_MAX (64u << 20)

static const char usage[] =
    "usage: fuotad --config FILE [--check-config | --migrate-only]\n"
    "       fuotad --sample-config | --config-reference | --version | --help\n"
    "\n"
    "Firmware updates over the air for LoRaWAN devices, beside a ChirpStack v4 network server.\n"
    "\n"
    "  --config FILE        the configuration (see --sample-config)\n"
    "  --check-config       name every wrong key of the configuration and leave\n"
    "  --migrate-only       bring the database's schema up to date and leave\n"
    "  --sample-config      print a configuration with every key, its default and its meaning\n"
    "  --config-reference   print the same as a Markdown page\n"
    "\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage or configuration.\n"
    "Signals: SIGTERM and SIGINT end it in order, SIGHUP reloads log.level, the tokens and the "
    "seal keys.\n";

#ifdef FUOTAD_FAILPOINTS
static volatile sig_atomic_t must_read_offset = 1;

static void on_offset_signal(int number)
{
    (void)number;
    must_read_offset = 1;
}

/* A test steps the clock: microseconds in a file, read again on SIGUSR1. */
static int64_t clock_offset_us(void)
{
    static long long offset_us;
    const char *path = getenv("FUOTAD_CLOCK_OFFSET_FILE");

    if (path != NULL && must_read_offset) {
        signal(SIGUSR1, on_offset_signal);
        must_read_offset = 0;
        FILE *file = fopen(path, "r");
        if (file == NULL || fscanf(file, "%lld", &offset_us) != 1) {
            log_error("main: %s holds no offset", path);
        }
        if (file != NULL) {
            fclose(file);
        }
    }
    return offset_us;
}
#else
static int64_t clock_offset_us(void)
{
    return 0;
}
#endif

int64_t real_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 + clock_offset_us();
}

int64_t daemon_now_ms(const struct daemon *daemon)
{
    return clock_at(&daemon->clock, real_us());
}

/* systemd's notifications: a datagram to the socket it names */

void daemon_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (path == NULL || (path[0] != '/' && path[0] != '@') ||
        strlen(path) >= sizeof(address.sun_path)) {
        return;
    }
    strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
    if (path[0] == '@') {
        address.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
        sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address, size);
        close(fd);
    }
}

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    daemon_notify("WATCHDOG=1");
}

static void start_watchdog(struct daemon *daemon)
{
    const char *us = getenv("WATCHDOG_USEC");
    uint64_t period_ms = us != NULL ? strtoull(us, NULL, 10) / 2000 : 0;

    uv_timer_init(&daemon->loop, &daemon->watchdog);
    if (period_ms > 0) {
        uv_timer_start(&daemon->watchdog, on_watchdog, period_ms, period_ms);
    }
}

/* states for people */

static void set_state(char *state, const char *name, const char *text)
{
    bool was_ok = strcmp(state, "ok") == 0;

    if (text == NULL) {
        if (!was_ok) {
            log_info("%s: connected", name);
        }
        snprintf(state, TEXT_SIZE, "ok");
    } else {
        if (was_ok || strcmp(state, text) != 0) {
            log_warning("%s: %s", name, text);
        }
        snprintf(state, TEXT_SIZE, "%s", text);
    }
}

static void on_database_state(void *arg, const char *text)
{
    struct daemon *daemon = arg;

    set_state(daemon->database_state, "database", text);
}

static void on_calls_state(void *arg, const char *text)
{
    struct daemon *daemon = arg;

    set_state(daemon->network_state, "network server", text);
}

static void on_warning(void *arg, const char *text)
{
    (void)arg;
    log_warning("network: %s", text);
}

/* the end */

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

static void on_store_closed(void *arg)
{
    struct daemon *daemon = arg;

    close_handle((uv_handle_t *)&daemon->timer);
    close_handle((uv_handle_t *)&daemon->prepare);
    close_handle((uv_handle_t *)&daemon->janitor);
    close_handle((uv_handle_t *)&daemon->watchdog);
    close_handle((uv_handle_t *)&daemon->lease_timer);
    close_handle((uv_handle_t *)&daemon->sigterm);
    close_handle((uv_handle_t *)&daemon->sigint);
    close_handle((uv_handle_t *)&daemon->sighup);
}

/* What is asked of the network server may still report, and save: the store goes last. */
static void on_part_closed(void *arg)
{
    struct daemon *daemon = arg;

    if (--daemon->open_parts == 0) {
        store_close(daemon->store, on_store_closed, daemon);
    }
}

/* A broker or a name server that does not answer may hold a worker thread: we do not wait for it.
 */
static void on_late(uv_timer_t *timer)
{
    (void)timer;
    log_warning("main: something hangs, leaving all the same");
    _exit(0); /* what matters is committed */
}

static void close_parts(struct daemon *daemon)
{
    daemon->open_parts = 2;
    uv_timer_start(&daemon->janitor, on_late, LATE_MS, 0);
    http_server_close(daemon->http, on_part_closed, daemon);
    daemon->network.close(daemon->network.self, on_part_closed, daemon);
}

/* The slots are given back, so that others need not wait for the end of the leases. */
static void on_leaving(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;

    if (uv_now(&daemon->loop) > daemon->stop_limit) {
        close_parts(daemon);
    }
}

static void on_slots_left(struct daemon *daemon)
{
    if (daemon->open_parts == 0) {
        close_parts(daemon);
    }
}

/* Commits that are open get their time; then everything closes. */
static void on_stopping(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;

    if (engine_is_quiet(daemon) || uv_now(&daemon->loop) > daemon->stop_limit) {
        daemon->is_stopping = true;
        uv_prepare_stop(&daemon->prepare);
        uv_timer_stop(&daemon->lease_timer);
        uv_timer_start(&daemon->janitor, on_leaving, 20, 20);
        slots_leave(daemon, on_slots_left);
    }
}

static void on_stop_signal(uv_signal_t *handle, int number)
{
    struct daemon *daemon = handle->data;

    if (daemon->is_stopping) {
        return;
    }
    log_info("main: signal %d, leaving", number);
    daemon_notify("STOPPING=1");
    uv_timer_stop(&daemon->timer); /* no new steps from deadlines */
    daemon->stop_limit = uv_now(&daemon->loop) + STOP_LIMIT_MS;
    uv_timer_start(&daemon->janitor, on_stopping, 0, 20);
}

static enum log_level level_of(const char *name)
{
    return strcmp(name, "debug") == 0     ? LOG_LEVEL_DEBUG
           : strcmp(name, "warning") == 0 ? LOG_LEVEL_WARNING
           : strcmp(name, "error") == 0   ? LOG_LEVEL_ERROR
                                          : LOG_LEVEL_INFO;
}

static void on_reload_signal(uv_signal_t *handle, int number)
{
    struct daemon *daemon = handle->data;
    struct config config;

    (void)number;
    if (config_load(daemon->config_file, stderr, &config) != ERR_OK) {
        log_error("main: the configuration is wrong and stays as it was");
        return;
    }
    log_set_level(level_of(config.log_level));
    log_info("main: log.level=%s", config.log_level);
    seals_reload(daemon, &config);
    config_release(&config);
    api_load_tokens(daemon);
}

/* the start */

static const char *or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

/* The broker of the gateways: a session that ends with us, under a name of our own. */
static struct mqtt_options gateway_options(const struct daemon *daemon,
                                           const struct mqtt_options *events, char *client_id,
                                           size_t client_id_size)
{
    const struct config *c = &daemon->config;
    struct mqtt_options options = *events;
    struct uuid id = secrets_uuid();
    char text[UUID_TEXT_SIZE];

    uuid_format(&id, text);
    snprintf(client_id, client_id_size, "%s-gateways-%.8s", c->mqtt_client_id, text);
    options.client_id = client_id;
    options.session_expiry_s = 0;
    if (c->gateway_host[0] != '\0') {
        options.host = c->gateway_host;
        options.port = (uint16_t)c->gateway_port;
        options.username = or_null(c->gateway_username);
        options.password = c->gateway_password;
        options.is_tls = c->gateway_tls;
        options.ca_file = or_null(c->gateway_ca_file);
        options.cert_file = options.key_file = NULL;
    }
    return options;
}

static void on_gateways_state(void *arg, const char *text)
{
    (void)arg;
    if (text == NULL) {
        log_info("gateways: listening to what they send");
    } else {
        log_warning("gateways: what they send is not heard: %s", text);
    }
}

static enum err start_network(struct daemon *daemon)
{
    const struct config *c = &daemon->config;
    char client_id[160];
    static const struct network_callbacks callbacks = {
        .is_wanted = engine_is_wanted,
        .on_event = engine_on_network_event,
        .on_batch = engine_on_batch,
        .on_events_state = slots_on_events_state,
        .may_connect = slots_may_connect,
        .on_calls_state = on_calls_state,
        .on_gateway_frame = engine_on_gateway_frame,
        .on_gateways_state = on_gateways_state,
        .on_warning = on_warning,
    };
    struct chirpstack_options options = {
        .mqtt =
            {
                .host = c->mqtt_host,
                .port = (uint16_t)c->mqtt_port,
                .client_id = c->mqtt_client_id,
                .username = or_null(c->mqtt_username),
                .password = c->mqtt_password,
                .is_tls = c->mqtt_tls,
                .ca_file = or_null(c->mqtt_ca_file),
                .cert_file = or_null(c->mqtt_cert_file),
                .key_file = or_null(c->mqtt_key_file),
                .keep_alive_s = (uint16_t)c->mqtt_keep_alive_s,
                .session_expiry_s = (uint32_t)c->mqtt_session_expiry_s,
                .receive_max = (uint16_t)c->mqtt_receive_maximum,
            },
        .grpc =
            {
                .transport =
                    {
                        .host = c->grpc_host,
                        .port = (uint16_t)c->grpc_port,
                        .is_tls = c->grpc_tls,
                        .ca_file = or_null(c->grpc_ca_file),
                        .cert_file = or_null(c->grpc_cert_file),
                        .key_file = or_null(c->grpc_key_file),
                    },
                .token = c->grpc_token,
                .deadline_ms = (uint32_t)c->grpc_deadline_ms,
                .in_flight_max = GRPC_IN_FLIGHT,
                .queue_max = GRPC_QUEUE,
                .message_size_max = GRPC_MESSAGE_MAX,
            },
        .event_topic = c->mqtt_event_topic,
        .leap_s = (int)c->wish.leap_s,
    };
    if (c->gateway_prefixes[0] != NULL) {
        options.gateway_prefixes = (const char *const *)c->gateway_prefixes;
        options.gateway_mqtt =
            gateway_options(daemon, &options.mqtt, client_id, sizeof(client_id));
    }
    return chirpstack_new(&daemon->loop, &options, &callbacks, daemon, &daemon->network);
}

/* Waits for the database, as long as it takes. Nothing is held yet: a signal just ends the program.
 */
static enum err migrate_when_possible(const struct config *config, bool is_patient)
{
    char text[500] = "";
    enum err err;

    while ((err = migrate(config->database_conninfo, text, sizeof(text))) == ERR_UNAVAILABLE &&
           is_patient) {
        log_warning("database: waiting for it: %s", text);
        daemon_notify("STATUS=waiting for the database");
        sleep(DATABASE_RETRY_S);
    }
    if (err == ERR_OK) {
        log_info("database: %s", text);
    } else {
        log_error("database: %s", text);
    }
    return err;
}

static int run(struct daemon *daemon)
{
    struct config *c = &daemon->config;

    daemon->started_real_ms = real_us() / 1000;
    daemon->clock =
        (struct clock){.epoch_ms = c->simulation_clock_epoch_ms, .rate = c->simulation_clock_rate};
    snprintf(daemon->database_state, TEXT_SIZE, "connecting");
    snprintf(daemon->network_state, TEXT_SIZE, "connecting");
    /* A broker that does not answer holds a worker of each slot; names must be resolved all the
     * same. */
    setenv("UV_THREADPOOL_SIZE", "32", 0);
    uv_loop_init(&daemon->loop);
    daemon->store = store_new(&daemon->loop, c->database_conninfo, on_database_state, daemon);
    if (start_network(daemon) != ERR_OK) {
        log_error("mqtt: the certificate files or the user's name cannot be used");
        return 1;
    }
    api_start(daemon);
    uv_timer_init(&daemon->loop, &daemon->janitor);
    uv_signal_init(&daemon->loop, &daemon->sigterm);
    uv_signal_init(&daemon->loop, &daemon->sigint);
    uv_signal_init(&daemon->loop, &daemon->sighup);
    daemon->janitor.data = daemon->sigterm.data = daemon->sigint.data = daemon->sighup.data =
        daemon;
    uv_timer_start(&daemon->janitor, janitor_runs, JANITOR_MS, JANITOR_MS);
    uv_signal_start(&daemon->sigterm, on_stop_signal, SIGTERM);
    uv_signal_start(&daemon->sigint, on_stop_signal, SIGINT);
    uv_signal_start(&daemon->sighup, on_reload_signal, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    start_watchdog(daemon);
    api_load_tokens(daemon);
    clock_service_load(daemon);
    engine_start(daemon);
    if (!slots_start(daemon)) {
        return 1;
    }
    uv_run(&daemon->loop, UV_RUN_DEFAULT);
    engine_release(daemon);
    actions_release(daemon);
    heard_release(daemon);
    requests_release(daemon);
    uv_loop_close(&daemon->loop);
    free(daemon->tokens);
    free(daemon->clock_entries);
    log_info("main: ended");
    return 0;
}

/* A core dump would hold keys. */
static void forbid_core_dumps(void)
{
    struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0);
}

int main(int argc, char **argv)
{
    enum { CONFIG = 1, CHECK, MIGRATE, SAMPLE, REFERENCE, VERSION, HELP };
    static const struct option options[] = {
        {"config", required_argument, NULL, CONFIG},
        {"check-config", no_argument, NULL, CHECK},
        {"migrate-only", no_argument, NULL, MIGRATE},
        {"sample-config", no_argument, NULL, SAMPLE},
        {"config-reference", no_argument, NULL, REFERENCE},
        {"version", no_argument, NULL, VERSION},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    static struct daemon daemon;
    bool is_check = false, is_migration = false;
    int option, status;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case CONFIG:
            daemon.config_file = optarg;
            break;
        case CHECK:
            is_check = true;
            break;
        case MIGRATE:
            is_migration = true;
            break;
        case SAMPLE:
            config_print_sample(stdout);
            return 0;
        case REFERENCE:
            config_print_reference(stdout);
            return 0;
        case VERSION:
            printf("fuotad %s\n", FUOTAD_VERSION);
            return 0;
        case HELP:
            fputs(usage, stdout);
            return 0;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    if (daemon.config_file == NULL || optind != argc) {
        fputs(usage, stderr);
        return 2;
    }
    forbid_core_dumps();
    if (config_load(daemon.config_file, stderr, &daemon.config) != ERR_OK) {
        return 2;
    }
    log_set_level(level_of(daemon.config.log_level));
    if (is_check) {
        printf("%s: all keys are right\n", daemon.config_file);
        config_release(&daemon.config);
        return 0;
    }
    if (config_load_secrets(&daemon.config, stderr) != ERR_OK) {
        config_release(&daemon.config);
        return 2;
    }
    status = migrate_when_possible(&daemon.config, !is_migration) == ERR_OK ? 0 : 1;
    if (status == 0 && !is_migration) {
        status = run(&daemon);
    }
    config_release(&daemon.config);
    return status;
}
