/* fuzz_config.c - whatever stands in the configuration file or in a file with a secret: it is
 * complained about, or every value is within its bounds. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "config_table.h"
#include "lib/fuzz_file.h"
#include "network/chirpstack/topics.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_texts(char *const *list)
{
    size_t count = 0;

    while (list[count] != NULL) {
        count++;
    }
    assert(count <= CONFIG_LIST_MAX);
}

static void check_key(const struct config *config, const struct config_key *key)
{
    const void *at = (const char *)config + key->offset;
    double number;

    switch (key->kind) {
    case KEY_TEXT:
        number = (double)strlen(*(char *const *)at);
        break;
    case KEY_INTEGER:
        number = (double)*(const int64_t *)at;
        break;
    case KEY_REAL:
        number = *(const double *)at;
        break;
    case KEY_TEXTS:
        check_texts(at);
        return;
    case KEY_BOOL:
    default:
        return;
    }
    assert(number >= key->min && number <= key->max);
}

static void check_file(const char *name, FILE *complaints)
{
    struct config config;
    const char *text;
    enum err err = config_load(name, complaints, &config);

    assert(err == ERR_OK || err == ERR_FORMAT);
    assert((err == ERR_OK) == (ftell(complaints) == 0));
    if (err != ERR_OK) {
        return;
    }
    for (size_t k = 0; k < config_key_count; k++) {
        check_key(&config, &config_keys[k]);
    }
    assert(topics_check(config.mqtt_event_topic, &text) == ERR_OK);
    config_release(&config);
}

static void check_secrets(const char *name, FILE *complaints)
{
    struct config config = {
        .mqtt_password_file = strdup(name),
        .gateway_password_file = strdup(name),
        .grpc_token_file = strdup(name),
        .database_conninfo_file = strdup(name),
        .keys_seal_key_file = strdup(name),
    };
    enum err err = config_load_secrets(&config, complaints);

    assert(err == ERR_OK || err == ERR_FORMAT);
    assert(config.mqtt_password != NULL && config.grpc_token != NULL);
    assert(strpbrk(config.grpc_token, "\r\n") == NULL);
    config_release(&config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *name = fuzz_file(data, size);
    FILE *complaints = tmpfile();

    if (complaints == NULL) {
        abort();
    }
    /* What a file includes is a file of this machine. */
    if (size == 0 || memmem(data, size, "@include", 8) == NULL) {
        check_file(name, complaints);
    }
    check_secrets(name, complaints);
    fclose(complaints);
    return 0;
}
