#include "daemon/config.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <libconfig.h>

#include "base/hex.h"
#include "config_table.h"
#include "lorawan/keys.h"
#include "network/chirpstack/topics.h"

#define SECRET_SIZE_MAX 4096

_Static_assert(CONFIG_LIST_MAX <= SEAL_KEY_OLD_MAX, "every file of the list has its place");

struct reading {
    const char *file;
    FILE *complaints;
    struct config *config;
    unsigned complaint_count;
};

static void *must(void *memory)
{
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static void *member(struct config *config, const struct config_key *key)
{
    return (char *)config + key->offset;
}

/* defaults */

static void set_default(struct config *config, const struct config_key *key)
{
    switch (key->kind) {
    case KEY_TEXT: { /* as in the file: between quotes */
        char *text = must(strdup(key->fallback + 1));
        text[strlen(text) - 1] = '\0';
        *(char **)member(config, key) = text;
        break;
    }
    case KEY_INTEGER:
        *(int64_t *)member(config, key) = strtoll(key->fallback, NULL, 10);
        break;
    case KEY_REAL:
        *(double *)member(config, key) = strtod(key->fallback, NULL);
        break;
    case KEY_BOOL:
        *(bool *)member(config, key) = strcmp(key->fallback, "true") == 0;
        break;
    case KEY_TEXTS:
        *(char **)member(config, key) = NULL;
        break;
    }
}

static void wipe_free(char *text)
{
    if (text != NULL) {
        key_wipe(text, strlen(text));
    }
    free(text);
}

void config_release(struct config *config)
{
    for (size_t k = 0; k < config_key_count; k++) {
        char **text = member(config, &config_keys[k]);
        if (config_keys[k].kind == KEY_TEXT) {
            free(*text);
        } else if (config_keys[k].kind == KEY_TEXTS) {
            for (; *text != NULL; text++) {
                free(*text);
            }
        }
    }
    wipe_free(config->mqtt_password);
    wipe_free(config->gateway_password);
    wipe_free(config->grpc_token);
    key_wipe(&config->seal_keys, sizeof(config->seal_keys));
    memset(config, 0, sizeof(*config));
}

/* complaints */

static void value_text(const config_setting_t *s, char *text, size_t size)
{
    switch (config_setting_type(s)) {
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        snprintf(text, size, "%lld", config_setting_get_int64(s));
        break;
    case CONFIG_TYPE_FLOAT:
        snprintf(text, size, "%g", config_setting_get_float(s));
        break;
    case CONFIG_TYPE_BOOL:
        snprintf(text, size, "%s", config_setting_get_bool(s) ? "true" : "false");
        break;
    case CONFIG_TYPE_STRING:
        snprintf(text, size, "\"%.80s\"", config_setting_get_string(s));
        break;
    default:
        snprintf(text, size, "a group or list");
        break;
    }
}

static void allowed_text(const struct config_key *key, char *text, size_t size)
{
    switch (key->kind) {
    case KEY_TEXT:
        snprintf(text, size, "a text of %.0f to %.0f characters", key->min, key->max);
        break;
    case KEY_INTEGER:
        snprintf(text, size, "an integer from %.0f to %.0f", key->min, key->max);
        break;
    case KEY_REAL:
        snprintf(text, size, "a number from %g to %g", key->min, key->max);
        break;
    case KEY_BOOL:
        snprintf(text, size, "true or false");
        break;
    case KEY_TEXTS:
        snprintf(text, size, "a list of at most %d texts of at most %.0f characters",
                 CONFIG_LIST_MAX, key->max);
        break;
    }
}

static void complain_key(struct reading *r, const config_setting_t *s, const struct config_key *key)
{
    char value[120], allowed[120];

    value_text(s, value, sizeof(value));
    allowed_text(key, allowed, sizeof(allowed));
    fprintf(r->complaints, "%s:%u: %s = %s: must be %s\n", r->file, config_setting_source_line(s),
            key->path, value, allowed);
    r->complaint_count++;
}

static void complain(struct reading *r, const char *path, const char *value, const char *allowed)
{
    fprintf(r->complaints, "%s: %s = \"%s\": %s\n", r->file, path, value, allowed);
    r->complaint_count++;
}

/* reading */

static bool take_text(const config_setting_t *s, const struct config_key *key, char **ret)
{
    const char *text = config_setting_get_string(s);

    if (text == NULL || (double)strlen(text) < key->min || (double)strlen(text) > key->max) {
        return false;
    }
    *ret = must(strdup(text));
    return true;
}

static bool take_number(const config_setting_t *s, const struct config_key *key, double *ret)
{
    int type = config_setting_type(s);

    if (type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64) {
        *ret = (double)config_setting_get_int64(s);
    } else if (type == CONFIG_TYPE_FLOAT && key->kind == KEY_REAL) {
        *ret = config_setting_get_float(s);
    } else {
        return false;
    }
    return isfinite(*ret) && *ret >= key->min && *ret <= key->max;
}

static bool take_texts(const config_setting_t *s, const struct config_key *key, char **list)
{
    int count = config_setting_length(s);

    if ((!config_setting_is_list(s) && !config_setting_is_array(s)) || count > CONFIG_LIST_MAX) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        if (!take_text(config_setting_get_elem(s, (unsigned)i), key, &list[i])) {
            return false;
        }
    }
    return true;
}

static bool take(const config_setting_t *s, const struct config_key *key, struct config *config)
{
    void *to = member(config, key);
    char *text;
    double number;

    switch (key->kind) {
    case KEY_TEXT:
        if (!take_text(s, key, &text)) {
            return false;
        }
        free(*(char **)to);
        *(char **)to = text;
        return true;
    case KEY_INTEGER:
        if (!take_number(s, key, &number)) {
            return false;
        }
        *(int64_t *)to = config_setting_get_int64(s);
        return true;
    case KEY_REAL:
        return take_number(s, key, to);
    case KEY_BOOL:
        if (config_setting_type(s) != CONFIG_TYPE_BOOL) {
            return false;
        }
        *(bool *)to = config_setting_get_bool(s) != 0;
        return true;
    case KEY_TEXTS:
        return take_texts(s, key, to);
    }
    return false;
}

/* Every setting of the file must be a key of the table. */
static void read_group(struct reading *r, const config_setting_t *group, const char *prefix)
{
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *s = config_setting_get_elem(group, (unsigned)i);
        char path[200];
        const struct config_key *key = NULL;
        snprintf(path, sizeof(path), "%s%s", prefix, config_setting_name(s));
        for (size_t k = 0; k < config_key_count; k++) {
            if (strcmp(config_keys[k].path, path) == 0) {
                key = &config_keys[k];
            }
        }
        if (key != NULL) {
            if (!take(s, key, r->config)) {
                complain_key(r, s, key);
            }
        } else if (config_setting_is_group(s) && prefix[0] == '\0') {
            strncat(path, ".", sizeof(path) - strlen(path) - 1);
            read_group(r, s, path);
        } else {
            fprintf(r->complaints, "%s:%u: %s: there is no such key\n", r->file,
                    config_setting_source_line(s), path);
            r->complaint_count++;
        }
    }
}

bool config_is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0;
}

/* What hangs together. */
static void read_ids(struct reading *r, const char *path, char *const *texts, struct uuid *ids,
                     size_t *ret_count)
{
    for (; *texts != NULL; texts++) {
        if (uuid_parse(*texts, &ids[*ret_count]) == ERR_OK) {
            ++*ret_count;
        } else {
            complain(r, path, *texts, "must be a UUID");
        }
    }
}

static void check_whole(struct reading *r)
{
    struct config *c = r->config;
    static const char *const levels[] = {"debug", "info", "warning", "error"};
    bool is_level = false;
    const char *text;

    assert(c->log_level != NULL); /* every text has a default */
    for (size_t i = 0; i < 4; i++) {
        is_level = is_level || strcmp(c->log_level, levels[i]) == 0;
    }
    if (!is_level) {
        complain(r, "log.level", c->log_level, "must be debug, info, warning or error");
    }
    if (topics_check(c->mqtt_event_topic, &text) != ERR_OK) {
        complain(r, "mqtt.event_topic", c->mqtt_event_topic, text);
    }
    if ((c->mqtt_cert_file[0] == '\0') != (c->mqtt_key_file[0] == '\0')) {
        complain(r, "mqtt.key_file", c->mqtt_key_file,
                 "cert_file and key_file must be given together");
    }
    if ((c->grpc_cert_file[0] == '\0') != (c->grpc_key_file[0] == '\0')) {
        complain(r, "grpc.key_file", c->grpc_key_file,
                 "cert_file and key_file must be given together");
    }
    if ((c->http_tls_cert_file[0] == '\0') != (c->http_tls_key_file[0] == '\0')) {
        complain(r, "http.tls_key_file", c->http_tls_key_file,
                 "tls_cert_file and tls_key_file must be given together");
    }
    for (char *const *prefix = c->gateway_prefixes; *prefix != NULL; prefix++) {
        if (strpbrk(*prefix, "+#") != NULL) {
            complain(r, "gateways.topic_prefixes", *prefix, "must be without + and #");
        }
    }
    if (!c->grpc_tls && !c->grpc_allow_plaintext && !config_is_loopback(c->grpc_host)) {
        complain(r, "grpc.host", c->grpc_host,
                 "the API key would leave this machine unencrypted: set grpc.tls, or "
                 "grpc.allow_plaintext");
    }
    if (!config_is_loopback(c->http_bind) && c->http_tls_cert_file[0] == '\0' &&
        !c->http_behind_tls_proxy) {
        complain(
            r, "http.bind", c->http_bind,
            "off this machine the API needs http.tls_cert_file, or http.behind_tls_proxy = true");
    }
    read_ids(r, "clock_service.applications", c->clock_service_applications, c->clock_service_ids,
             &c->clock_service_id_count);
    read_ids(r, "observe.applications", c->observe_applications, c->observe_ids,
             &c->observe_id_count);
    if (c->simulation_clock_rate != 1.0 && !c->simulation_enabled) {
        complain(r, "simulation.clock_rate", "not 1", "needs simulation.enabled = true");
    }
    if (c->simulation_enabled &&
        (!config_is_loopback(c->mqtt_host) || !config_is_loopback(c->grpc_host) ||
         (c->gateway_host[0] != '\0' && !config_is_loopback(c->gateway_host)) ||
         !config_is_loopback(c->http_bind))) {
        complain(r, "simulation.enabled", "true",
                 "mqtt.host, gateways.host, grpc.host and http.bind must be on this machine");
    }
}

enum err config_load(const char *file, FILE *complaints, struct config *ret)
{
    config_t parsed;
    struct config config = {0};
    struct reading r = {.file = file, .complaints = complaints, .config = &config};
    enum err err = ERR_OK;

    config_init(&parsed);
    for (size_t k = 0; k < config_key_count; k++) {
        set_default(&config, &config_keys[k]);
    }
    if (config_read_file(&parsed, file) != CONFIG_TRUE) {
        bool is_io = config_error_type(&parsed) == CONFIG_ERR_FILE_IO;
        if (is_io) {
            fprintf(complaints, "%s: %s\n", file, errno != 0 ? strerror(errno) : "cannot be read");
        } else {
            fprintf(complaints, "%s:%d: %s\n", file, config_error_line(&parsed),
                    config_error_text(&parsed));
        }
        err = is_io ? ERR_IO : ERR_FORMAT;
        goto out;
    }
    read_group(&r, config_root_setting(&parsed), "");
    check_whole(&r);
    err = r.complaint_count > 0 ? ERR_FORMAT : ERR_OK;
out:
    config_destroy(&parsed);
    if (err == ERR_OK) {
        *ret = config;
    } else {
        config_release(&config);
    }
    return err;
}

/* secrets */

/* The first line of `file`, or the environment variable (NULL: there is none). */
static enum err read_secret(const char *variable, const char *file, const char *path,
                            FILE *complaints, char **ret)
{
    const char *from_environment = variable != NULL ? getenv(variable) : NULL;
    char text[SECRET_SIZE_MAX];

    if (from_environment != NULL) {
        *ret = must(strdup(from_environment));
        return ERR_OK;
    }
    if (file[0] == '\0') {
        *ret = NULL;
        return ERR_OK;
    }
    FILE *stream = fopen(file, "re");
    if (stream == NULL) {
        fprintf(complaints, "%s = \"%s\": %s\n", path, file, strerror(errno));
        return ERR_IO;
    }
    setvbuf(stream, NULL, _IONBF, 0); /* its buffer would keep the secret */
    size_t size = fread(text, 1, sizeof(text) - 1, stream);
    fclose(stream);
    text[size] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    *ret = must(strdup(text));
    key_wipe(text, sizeof(text));
    return ERR_OK;
}

static enum err take_seal_key(const char *text, const char *path, const char *file,
                              FILE *complaints, uint8_t ret_key[SEAL_KEY_SIZE])
{
    if (text == NULL || hex_decode(text, strlen(text), ret_key, SEAL_KEY_SIZE) != ERR_OK) {
        fprintf(complaints, "%s = \"%s\": must hold exactly 64 hexadecimal digits\n", path, file);
        return ERR_FORMAT;
    }
    return ERR_OK;
}

static enum err read_seal_key(const char *variable, const char *path, const char *file,
                              FILE *complaints, uint8_t ret_key[SEAL_KEY_SIZE])
{
    char *text = NULL;
    enum err err = read_secret(variable, file, path, complaints, &text);

    if (err == ERR_OK) {
        err = take_seal_key(text, path, file, complaints, ret_key);
    }
    wipe_free(text);
    return err;
}

/* Keys with commas between them. */
static enum err split_seal_keys(const char *list, const char *variable, FILE *complaints,
                                struct seal_keys *keys)
{
    char *copy = must(strdup(list)), *rest = copy, *text;
    size_t size = strlen(copy);
    enum err err = ERR_OK;

    while (err == ERR_OK && (text = strsep(&rest, ",")) != NULL) {
        if (text[0] == '\0') {
            continue;
        }
        if (keys->old_count == SEAL_KEY_OLD_MAX) {
            fprintf(complaints, "%s: at most %d keys\n", variable, SEAL_KEY_OLD_MAX);
            err = ERR_FORMAT;
        } else {
            err = take_seal_key(text, variable, "...", complaints, keys->old[keys->old_count++]);
        }
    }
    key_wipe(copy, size);
    free(copy);
    return err;
}

static enum err load_seal_keys(struct config *config, FILE *complaints)
{
    struct seal_keys *keys = &config->seal_keys;
    const char *old = getenv("FUOTAD_OLD_SEAL_KEYS");
    enum err err = read_seal_key("FUOTAD_SEAL_KEY", "keys.seal_key_file",
                                 config->keys_seal_key_file, complaints, keys->current);

    if (err == ERR_OK && old != NULL) {
        return split_seal_keys(old, "FUOTAD_OLD_SEAL_KEYS", complaints, keys);
    }
    for (char *const *file = config->keys_old_seal_key_files; err == ERR_OK && *file != NULL;
         file++) {
        err = read_seal_key(NULL, "keys.old_seal_key_files", *file, complaints,
                            keys->old[keys->old_count++]);
    }
    return err;
}

enum err config_load_secrets(struct config *config, FILE *complaints)
{
    char *conninfo = NULL;
    enum err err = read_secret("FUOTAD_MQTT_PASSWORD", config->mqtt_password_file,
                               "mqtt.password_file", complaints, &config->mqtt_password);

    if (err == ERR_OK) {
        err = read_secret("FUOTAD_GATEWAYS_PASSWORD", config->gateway_password_file,
                          "gateways.password_file", complaints, &config->gateway_password);
    }
    if (err == ERR_OK) {
        err = read_secret("FUOTAD_GRPC_TOKEN", config->grpc_token_file, "grpc.token_file",
                          complaints, &config->grpc_token);
    }
    if (err == ERR_OK) {
        err = read_secret("FUOTAD_DATABASE", config->database_conninfo_file,
                          "database.conninfo_file", complaints, &conninfo);
    }
    if (err == ERR_OK && conninfo != NULL) {
        free(config->database_conninfo);
        config->database_conninfo = conninfo;
    }
    return err == ERR_OK ? load_seal_keys(config, complaints) : err;
}

/* samples */

static void print_wrapped(FILE *out, const char *prefix, const char *text)
{
    while (*text != '\0') {
        size_t size = strlen(text);
        if (size > 100) {
            size = 100;
            while (size > 0 && text[size] != ' ') {
                size--;
            }
        }
        fprintf(out, "%s%.*s\n", prefix, (int)size, text);
        text += size;
        text += *text == ' ';
    }
}

void config_print_sample(FILE *out)
{
    char group[60] = "";

    fputs("# fuotad.conf - every key with its default. libconfig syntax; # begins a comment.\n"
          "# Made by fuotad --sample-config.\n",
          out);
    for (size_t k = 0; k < config_key_count; k++) {
        const char *path = config_keys[k].path;
        const char *dot = strchr(path, '.');
        size_t group_size = dot != NULL ? (size_t)(dot - path) : 0;
        if (strlen(group) != group_size || strncmp(group, path, group_size) != 0) {
            fputs(group[0] != '\0' ? "};\n\n" : "\n", out);
            snprintf(group, sizeof(group), "%.*s", (int)group_size, path);
            if (group_size > 0) {
                fprintf(out, "%s: {\n", group);
            }
        }
        print_wrapped(out, group_size > 0 ? "  # " : "# ", config_keys[k].help);
        fprintf(out, "%s%s = %s;\n", group_size > 0 ? "  " : "", dot != NULL ? dot + 1 : path,
                config_keys[k].fallback);
    }
    fputs(group[0] != '\0' ? "};\n" : "", out);
}

void config_print_reference(FILE *out)
{
    fputs("# Configuration\n\n"
          "`fuotad --config FILE` reads one libconfig file; `fuotad --check-config --config FILE` "
          "names every wrong key "
          "with its line and what is allowed. `config/fuotad.conf` holds every key with its "
          "default. Secrets come from "
          "files or from the environment, never from this file.\n\n"
          "This page is made by `fuotad --config-reference`.\n\n"
          "| key | default | allowed | meaning |\n|---|---|---|---|\n",
          out);
    for (size_t k = 0; k < config_key_count; k++) {
        char allowed[120];
        allowed_text(&config_keys[k], allowed, sizeof(allowed));
        fprintf(out, "| `%s` | `%s` | %s | %s |\n", config_keys[k].path, config_keys[k].fallback,
                allowed, config_keys[k].help);
    }
}
