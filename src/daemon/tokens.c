/* tokens.c - the API's tokens: read from the database, and the first one made. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "daemon.h"
#include "daemon/log.h"
#include "daemon/secrets.h"
#include "failpoint.h"

static void write_admin_token(struct daemon *daemon)
{
    uint8_t octets[32], hash[32];
    char text[66], path[300];

    snprintf(path, sizeof(path), "%s/admin-token", daemon->config.state_dir);
    secrets_random(octets, sizeof(octets));
    secrets_sha256(octets, sizeof(octets), hash);
    hex_encode(octets, sizeof(octets), text);
    text[64] = '\n';
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool is_written = fd >= 0 && write(fd, text, 65) == 65;
    if (fd >= 0) {
        close(fd);
    }
    key_wipe(octets, sizeof(octets));
    key_wipe(text, sizeof(text));
    if (!is_written) {
        log_error("tokens: %s cannot be written: %s", path, strerror(errno));
        return;
    }
    log_info("tokens: an admin token was written to %s", path);
    daemon->tokens = must(realloc(daemon->tokens, sizeof(*daemon->tokens)));
    daemon->tokens[0].access = HTTP_ACCESS_WRITE;
    memcpy(daemon->tokens[0].sha256, hash, sizeof(hash));
    daemon->token_count = 1;
    FAILPOINT(TOKEN_WRITTEN);
    store_token_add(daemon->store, "admin", hash, "write", NULL, NULL);
}

static void on_tokens(void *arg, enum err err, const char *text, const char *json)
{
    struct daemon *daemon = arg;
    cJSON *list = err == ERR_OK ? cJSON_Parse(json) : NULL;
    const cJSON *item;

    if (list == NULL) {
        log_error("tokens: cannot be read: %s", text != NULL ? text : "malformed");
        daemon->has_tokens = false; /* the janitor tries again */
        return;
    }
    free(daemon->tokens);
    daemon->tokens = must(calloc((size_t)cJSON_GetArraySize(list) + 1, sizeof(*daemon->tokens)));
    daemon->token_count = 0;
    cJSON_ArrayForEach(item, list)
    {
        struct token *token = &daemon->tokens[daemon->token_count];
        const char *hash = cJSON_GetStringValue(cJSON_GetObjectItem(item, "sha256"));
        const char *access = cJSON_GetStringValue(cJSON_GetObjectItem(item, "access"));
        if (hash != NULL && access != NULL &&
            hex_decode(hash, strlen(hash), token->sha256, 32) == ERR_OK) {
            token->access = strcmp(access, "write") == 0 ? HTTP_ACCESS_WRITE : HTTP_ACCESS_READ;
            daemon->token_count++;
        }
    }
    cJSON_Delete(list);
    daemon->has_tokens = true;
    if (daemon->token_count == 0) {
        write_admin_token(daemon);
    }
    daemon_notify("READY=1\nSTATUS=running");
}

void api_load_tokens(struct daemon *daemon)
{
    daemon->has_tokens = true; /* asked for */
    store_tokens(daemon->store, on_tokens, daemon);
}
