/*
 * fuzz_api.c - whatever octets an HTTP client sends: the API answers with what it may, and asks the
 * store and the network server for what they can take.
 *
 * Server, routes and handlers are the daemon's, on loopback in this process; the store and the
 * network server are played here. The input: an octet for how they answer, then the client's octets
 * until it closes.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api.h"
#include "daemon/log.h"
#include "daemon/secrets.h"
#include "lib/fuzz_connect.h"
#include "seals.h"

#define PENDING_MAX 64
#define ANSWER_SIZE 65536
#define TOKEN_OCTET 0xAB /* the token is 32 of them */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* the store and the network server: their callbacks come later, as many as PENDING_MAX */

#define NAME_63 "a name as long as names may be, with a letter of two octets in "
/* 189 octets and such a letter: cut at 190, it would be cut in two. */
#define NAME NAME_63 NAME_63 NAME_63 "\xC3\xA4"

static const char stored_json[] =
    "{\"id\":\"00000000-0000-0000-0000-000000000001\",\"name\":\"" NAME "\",\"deployment_id\":"
    "\"00000000-0000-0000-0000-000000000002\",\"wish\":{\"name\":\"n\",\"tags\":{\"a\":\"b\"}},"
    "\"devices\":[\"0102030405060708\",{\"reason\":\"incomplete\",\"command\":3,\"call\":9}],"
    "\"deployments\":[{\"reason\":\"none\",\"command\":-1,\"call\":1}]}";

struct pending {
    store_json_fn *json_done;
    store_done_fn *done;
    network_done_fn *network_done;
    void *arg;
};

static struct {
    struct pending items[PENDING_MAX];
    size_t count;
    uint8_t how;
} world;

static void later(struct pending pending)
{
    assert(world.count < PENDING_MAX);
    world.items[world.count++] = pending;
}

static void run_pending(void)
{
    static const enum err errors[] = {ERR_OK,     ERR_OK,          ERR_OK,          ERR_MISSING,
                                      ERR_EXISTS, ERR_WRONG_STATE, ERR_UNAVAILABLE, ERR_REFUSED};
    static const uint64_t euis[] = {1, 2};
    const struct network_answer answer = {.euis = euis, .eui_count = world.how >> 6};
    enum err err = errors[world.how % 8];

    while (world.count > 0) {
        struct pending p = world.items[--world.count];
        if (p.json_done != NULL) {
            p.json_done(p.arg, err, err_text(err), err == ERR_OK ? stored_json : NULL);
        } else if (p.done != NULL) {
            p.done(p.arg, err, err_text(err));
        } else {
            p.network_done(p.arg, (enum network_outcome)((world.how >> 3) % 5), "text", &answer);
        }
    }
}

/* UTF-8 without a zero is what PostgreSQL takes as text. */
static void check_text(const char *text)
{
    const uint8_t *p = (const uint8_t *)text;

    assert(p != NULL);
    while (*p != 0) {
        unsigned rest = *p < 0x80 ? 0 : *p >= 0xF0 ? 3 : *p >= 0xE0 ? 2 : 1;
        assert(*p < 0x80 || (*p >= 0xC2 && *p <= 0xF4));
        p++;
        for (; rest > 0; rest--) {
            assert((*p++ & 0xC0) == 0x80);
        }
    }
}

static void check_id(const char *text)
{
    struct uuid id;

    assert(text != NULL && uuid_parse(text, &id) == ERR_OK);
}

bool store_is_connected(const struct store *store)
{
    (void)store;
    return world.how % 8 != 6;
}

void store_image_add(struct store *store, const struct store_image *image, store_json_fn *done,
                     void *arg)
{
    (void)store;
    check_text(image->name);
    check_text(image->version);
    check_text(image->hardware);
    check_text(image->base_version);
    assert(image->size > 0);
    later((struct pending){.json_done = done, .arg = arg});
}

void store_image_list(struct store *store, store_json_fn *done, void *arg)
{
    (void)store;
    later((struct pending){.json_done = done, .arg = arg});
}

void store_image_get(struct store *store, const char *id, store_json_fn *done, void *arg)
{
    check_id(id);
    store_image_list(store, done, arg);
}

void store_image_delete(struct store *store, const char *id, store_done_fn *done, void *arg)
{
    (void)store;
    check_id(id);
    later((struct pending){.done = done, .arg = arg});
}

void store_deployment_add(struct store *store, const struct store_draft *draft, store_json_fn *done,
                          void *arg)
{
    cJSON *wish = cJSON_Parse(draft->wish_json);

    (void)store;
    assert(cJSON_IsObject(wish));
    cJSON_Delete(wish);
    check_text(draft->wish_json);
    check_text(draft->name);
    if (draft->image_id != NULL || draft->application_id != NULL) { /* else a retry's */
        check_id(draft->image_id);
        check_id(draft->application_id);
    }
    later((struct pending){.json_done = done, .arg = arg});
}

void store_deployment_list(struct store *store, store_json_fn *done, void *arg)
{
    store_image_list(store, done, arg);
}

void store_deployment_get(struct store *store, const char *id, store_json_fn *done, void *arg)
{
    check_id(id);
    store_image_list(store, done, arg);
}

void store_deployment_delete(struct store *store, const char *id, store_done_fn *done, void *arg)
{
    store_image_delete(store, id, done, arg);
}

void store_deployment_devices(struct store *store, const char *id, const char *stage,
                              unsigned limit, unsigned offset, store_json_fn *done, void *arg)
{
    check_id(id);
    if (stage != NULL) {
        check_text(stage);
    }
    assert(limit <= 100000 && offset <= 1000000);
    store_image_list(store, done, arg);
}

void store_deployment_retry_source(struct store *store, const char *id, store_json_fn *done,
                                   void *arg)
{
    check_id(id);
    store_image_list(store, done, arg);
}

void plan_job_run(struct daemon *daemon, const struct plan_question *question, plan_job_fn *done,
                  void *arg)
{
    cJSON *plan = must(cJSON_CreateObject());

    (void)daemon;
    (void)question;
    done(arg, plan);
    cJSON_Delete(plan);
}

void store_request_add(struct store *store, const struct uuid *id, const char *kind,
                       const char *deployment_id, store_json_fn *done, void *arg)
{
    (void)id;
    check_text(kind);
    check_id(deployment_id);
    store_image_list(store, done, arg);
}

void store_request_get(struct store *store, const char *id, store_json_fn *done, void *arg)
{
    check_id(id);
    store_image_list(store, done, arg);
}

void store_device_timeline(struct store *store, const char *dev_eui, store_json_fn *done, void *arg)
{
    uint64_t eui;

    assert(eui64_parse(dev_eui, &eui) == ERR_OK);
    store_image_list(store, done, arg);
}

void store_airtime_get(struct store *store, int64_t now_ms, store_json_fn *done, void *arg)
{
    (void)now_ms;
    store_image_list(store, done, arg);
}

void store_counts(struct store *store, store_json_fn *done, void *arg)
{
    store_image_list(store, done, arg);
}

static void list_devices(void *self, const struct uuid *application_id,
                         const struct network_filter *filter, network_done_fn *done, void *arg)
{
    (void)self, (void)application_id;
    if (filter->profile_id != NULL) {
        check_id(filter->profile_id);
    }
    for (size_t i = 0; i < 2 * filter->tag_count; i++) {
        check_text(filter->tags[i]);
    }
    later((struct pending){.network_done = done, .arg = arg});
}

/* the rest of the daemon */

struct running *running_find(struct daemon *daemon, const struct uuid *id)
{
    (void)daemon, (void)id;
    return NULL;
}

void seals_waiting_for(const struct daemon *daemon, struct cJSON *array)
{
    (void)daemon, (void)array;
}

void seals_describe(const struct daemon *daemon, const struct cJSON *counts, struct cJSON *object)
{
    (void)daemon, (void)counts, (void)object;
}

const char *slots_broker_state(const struct daemon *daemon)
{
    return daemon->database_state;
}

void store_tell_changes(struct store *store, const struct uuid *deployment_ids, size_t count)
{
    (void)store, (void)deployment_ids, (void)count;
}

void requests_run(struct daemon *daemon, const struct uuid *id, const char *kind,
                  const struct uuid *deployment_id)
{
    (void)daemon, (void)id, (void)kind, (void)deployment_id;
}

void *must(void *memory)
{
    if (memory == NULL) {
        abort();
    }
    return memory;
}

int64_t daemon_now_ms(const struct daemon *daemon)
{
    (void)daemon;
    return INT64_C(1790000000000);
}

int64_t real_us(void)
{
    return INT64_C(1790000000000000);
}

/* the client */

static void check_answer(const char *answer, size_t size)
{
    const char *body = strstr(answer, "\r\n\r\n");
    const char *length = strstr(answer, "Content-Length: ");
    bool is_json = strstr(answer, "Content-Type: application/") != NULL;

    assert(strncmp(answer, "HTTP/1.", 7) == 0);
    if (body == NULL || length == NULL || length > body || !is_json) {
        return;
    }
    body += 4;
    size_t body_size = strtoul(length + 16, NULL, 10);
    if (body + body_size > answer + size || body_size == 0) {
        return; /* of a HEAD */
    }
    cJSON *json = cJSON_ParseWithLength(body, body_size);
    if (json == NULL && *body == 'H') {
        return; /* of a HEAD, and another answer follows */
    }
    assert(json != NULL);
    cJSON_Delete(json);
    char *text = must(strndup(body, body_size));
    check_text(text);
    free(text);
}

/* Everything is in this process: a few turns without anything new are the end. */
static void talk(struct daemon *daemon, int fd, const uint8_t *data, size_t size)
{
    static char answer[ANSWER_SIZE];
    size_t answer_size = 0;
    unsigned idle = 0;

    while (idle < 3) {
        ssize_t sent = size > 0 ? send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
        if (sent > 0) {
            data += sent;
            size -= (size_t)sent;
            if (size == 0) {
                shutdown(fd, SHUT_WR);
            }
        }
        uv_run(&daemon->loop, UV_RUN_NOWAIT);
        run_pending();
        ssize_t got = recv(fd, answer + answer_size, ANSWER_SIZE - 1 - answer_size, MSG_DONTWAIT);
        if (got > 0) {
            answer_size += (size_t)got;
        }
        idle = sent > 0 || got > 0 ? 0 : idle + 1;
    }
    answer[answer_size] = '\0';
    if (answer_size > 0) {
        check_answer(answer, answer_size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct daemon daemon; /* too large for the stack */
    static char bind[] = "127.0.0.1", empty[] = "", host[] = "fuotad.example";
    static struct token token = {.access = HTTP_ACCESS_WRITE};
    uint8_t octets[32];

    if (size == 0) {
        return 0;
    }
    memset(octets, TOKEN_OCTET, sizeof(octets));
    secrets_sha256(octets, sizeof(octets), token.sha256);
    daemon = (struct daemon){
        .config = {.http_bind = bind,
                   .http_tls_cert_file = empty,
                   .http_tls_key_file = empty,
                   .http_hosts = {host},
                   .http_connections_max = 20},
        .network.list_devices = list_devices,
        .tokens = &token,
        .token_count = 1,
        .clock.rate = 1.0,
    };
    world.how = data[0];
    log_set_level(LOG_LEVEL_ERROR);
    if (uv_loop_init(&daemon.loop) != 0) {
        abort();
    }
    api_start(&daemon);
    int fd = fuzz_connect(http_server_port(daemon.http));
    talk(&daemon, fd, data + 1, size - 1);
    http_server_close(daemon.http, NULL, NULL);
    run_pending(); /* of requests that are held still */
    uv_run(&daemon.loop, UV_RUN_DEFAULT);
    close(fd);
    assert(daemon.streams == NULL);
    if (uv_loop_close(&daemon.loop) != 0) {
        abort();
    }
    return 0;
}
