/*
 * config.h - the configuration file: one table drives parsing, defaults, bounds, --check-config and
 * the samples.
 */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/hex.h"
#include "daemon/secrets.h"
#include "wish/wish.h"

#define CONFIG_LIST_MAX 64

/* Texts are owned by the configuration; "" where not given. */
struct config {
    char *log_level;
    char *state_dir;

    char *database_conninfo;
    char *database_conninfo_file;

    char *mqtt_host;
    int64_t mqtt_port;
    char *mqtt_client_id;
    char *mqtt_username;
    char *mqtt_password_file;
    bool mqtt_tls;
    char *mqtt_ca_file;
    char *mqtt_cert_file;
    char *mqtt_key_file;
    int64_t mqtt_keep_alive_s;
    int64_t mqtt_session_expiry_s;
    int64_t mqtt_receive_maximum;
    char *mqtt_event_topic;

    char *gateway_prefixes[CONFIG_LIST_MAX + 1];
    char *gateway_host;
    int64_t gateway_port;
    char *gateway_username;
    char *gateway_password_file;
    bool gateway_tls;
    char *gateway_ca_file;

    char *grpc_host;
    int64_t grpc_port;
    bool grpc_tls;
    bool grpc_allow_plaintext;
    char *grpc_ca_file;
    char *grpc_cert_file;
    char *grpc_key_file;
    char *grpc_token_file;
    int64_t grpc_deadline_ms;

    char *keys_seal_key_file;
    char *keys_old_seal_key_files[CONFIG_LIST_MAX + 1]; /* NULL-terminated */

    int64_t cluster_lease_s;
    int64_t retention_timeline_days;

    char *http_bind;
    int64_t http_port;
    char *http_tls_cert_file;
    char *http_tls_key_file;
    bool http_behind_tls_proxy;
    char *http_hosts[CONFIG_LIST_MAX + 1];
    int64_t http_connections_max;

    bool clock_service_enabled;
    int64_t clock_service_threshold_s;
    char *clock_service_applications[CONFIG_LIST_MAX + 1];
    struct uuid clock_service_ids[CONFIG_LIST_MAX]; /* these applications */
    size_t clock_service_id_count;
    char *observe_applications[CONFIG_LIST_MAX + 1];
    struct uuid observe_ids[CONFIG_LIST_MAX]; /* these applications */
    size_t observe_id_count;

    struct wish_defaults wish; /* [network_server], [defaults], leap_seconds */

    bool simulation_enabled;
    double simulation_clock_rate;
    int64_t simulation_clock_epoch_ms;

    /* secrets, read from files or the environment; wiped by config_release() */
    char *mqtt_password, *gateway_password, *grpc_token;
    struct seal_keys seal_keys;
};

/*
 * Reads `file`. Every complaint is one line on `complaints`: file, line, key, value, what is
 * allowed. On error `*ret` is untouched.
 *
 * ERR_IO      the file cannot be read
 * ERR_FORMAT  at least one complaint
 */
MUST_CHECK enum err config_load(const char *file, FILE *complaints, struct config *ret);
/* Reads the secrets that the configuration names. ERR_IO, ERR_FORMAT as above. */
MUST_CHECK enum err config_load_secrets(struct config *config, FILE *complaints);
void config_release(struct config *config);

/* Writes the commented sample (config/fuotad.conf), or the reference page (docs/configuration.md).
 */
void config_print_sample(FILE *out);
void config_print_reference(FILE *out);

/* Whether an address or name is of this machine. */
bool config_is_loopback(const char *host);

#endif
