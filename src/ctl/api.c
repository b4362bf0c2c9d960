/* api.c - calls of the daemon's API with libcurl, and its problem documents in words. */
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ctl.h"
#include "lorawan/keys.h"

#define SERVER_DEFAULT    "http://127.0.0.1:8090"
#define ANSWER_SIZE_MAX   (64u * 1024 * 1024)
#define TOKEN_SIZE_MAX    4096
#define CONNECT_TIMEOUT_S 10L
#define CALL_TIMEOUT_S    60L
#define UPLOAD_TIMEOUT_S  900L
#define EVENT_SIZE_MAX    (4u * 1024 * 1024)

struct api {
    CURL *curl;
    char *server;               /* without a slash at its end */
    struct curl_slist *headers; /* holds the token */
    const char *ca_file;
    bool is_json;
    bool is_silent;
    char error[CURL_ERROR_SIZE];
};

struct buffer {
    char *data;
    size_t size;
    char *location;
};

static bool is_loopback(const char *server)
{
    static const char *const names[] = {"localhost", "127.", "[::1]"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strncasecmp(server + 7, names[i], strlen(names[i])) == 0)
            return true;
    }
    return false;
}

/* The token from the file or the environment; false was explained. `*ret_token` NULL: none. */
static bool find_token(const struct args *args, char **ret_token)
{
    const char *path = args_value(args, "token-file");
    const char *text = getenv("FUOTACTL_TOKEN");
    char *token;
    size_t size = 0;

    *ret_token = NULL;
    if (path) {
        token = (char *)read_file(path, TOKEN_SIZE_MAX - 1, &size);
        if (!token)
            return false;
    } else {
        if (!text || !text[0])
            return true;
        size = strlen(text);
        token = need(strdup(text));
    }
    while (size > 0 && strchr(" \t\r\n", token[size - 1]))
        size--;
    for (size_t i = 0; i < size; i++) {
        if (token[i] <= ' ' || token[i] > '~')
            size = 0;
    }
    if (size == 0) {
        complain("%s does not hold a token", path ? path : "FUOTACTL_TOKEN");
        free(token);
        return false;
    }
    *ret_token = format_text("%.*s", (int)size, token);
    key_wipe(token, size);
    free(token);
    return true;
}

static struct curl_slist *add_header(struct curl_slist *headers, const char *text)
{
    return need(curl_slist_append(headers, text));
}

struct api *api_new(const struct args *args, enum exit_code *ret_code)
{
    const char *server = args_value(args, "server");
    struct api *api;
    char *token = NULL;
    size_t size;

    *ret_code = EXIT_USAGE;
    if (!server)
        server = getenv("FUOTACTL_SERVER");
    if (!server || !server[0])
        server = SERVER_DEFAULT;
    if (strncasecmp(server, "http://", 7) != 0 && strncasecmp(server, "https://", 8) != 0) {
        complain("the server must be given as http://HOST:PORT or https://HOST:PORT, not \"%s\"",
                 server);
        return NULL;
    }
    if (!find_token(args, &token))
        return NULL;
    if (token && strncasecmp(server, "http://", 7) == 0 && !is_loopback(server))
        complain("warning: the token goes to %s without encryption", server);
    api = need(calloc(1, sizeof(*api)));
    api->server = need(strdup(server));
    size = strlen(api->server);
    while (size > 0 && api->server[size - 1] == '/')
        api->server[--size] = '\0';
    api->ca_file = args_value(args, "ca-file");
    api->is_json = args_has(args, "json");
    api->headers = add_header(NULL, "Accept: application/json");
    if (token) {
        char *text = format_text("Authorization: Bearer %s", token);

        api->headers = add_header(api->headers, text);
        key_wipe(text, strlen(text));
        free(text);
        key_wipe(token, strlen(token));
        free(token);
    }
    api->curl = need(curl_easy_init());
    return api;
}

void api_free(struct api *api)
{
    if (!api)
        return;
    for (struct curl_slist *header = api->headers; header; header = header->next)
        key_wipe(header->data, strlen(header->data));
    curl_slist_free_all(api->headers);
    curl_easy_cleanup(api->curl);
    free(api->server);
    free(api);
}

void api_set_silent(struct api *api, bool is_silent)
{
    api->is_silent = is_silent;
}

static size_t on_data(char *data, size_t size, size_t count, void *arg)
{
    struct buffer *buffer = arg;

    size *= count;
    if (size > ANSWER_SIZE_MAX - buffer->size)
        return 0;
    buffer->data = need(realloc(buffer->data, buffer->size + size + 1));
    memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
    buffer->data[buffer->size] = '\0';
    return size;
}

static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
    struct buffer *buffer = arg;

    size *= count;
    if (size > 9 && strncasecmp(data, "Location:", 9) == 0) {
        size_t start = 9;
        size_t end = size;

        while (start < end && data[start] == ' ')
            start++;
        while (end > start && strchr("\r\n ", data[end - 1]))
            end--;
        free(buffer->location);
        buffer->location = format_text("%.*s", (int)(end - start), data + start);
        clean_text(buffer->location);
    }
    return size;
}

static void set_common(struct api *api, CURL *curl, const char *url)
{
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "localhost,127.0.0.1,::1");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "fuotactl/" FUOTAD_VERSION);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, api->error);
    if (api->ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, api->ca_file);
    api->error[0] = '\0';
}

void print_problems(FILE *out, const cJSON *problems)
{
    const cJSON *problem;

    cJSON_ArrayForEach(problem, problems)
    {
        const char *dev_eui = json_text(problem, "dev_eui");
        const char *field = json_text(problem, "field");

        fputs("  ", out);
        if (dev_eui[0]) {
            fputs("device ", out);
            print_clean(out, dev_eui);
            fputs(": ", out);
        }
        if (field[0]) {
            print_clean(out, field);
            fputs(": ", out);
        }
        print_clean(out, json_text(problem, "detail"));
        fputc('\n', out);
    }
}

static enum exit_code code_of(long status)
{
    switch (status) {
    case 401:
    case 403:
        return EXIT_DENIED;
    case 404:
        return EXIT_NOT_FOUND;
    case 409:
        return EXIT_CONFLICT;
    default:
        return EXIT_FAILED;
    }
}

/* A problem document as sentences. */
static void explain(const struct api *api, const struct answer *answer)
{
    const char *detail = json_text(answer->json, "detail");
    const char *field = json_text(answer->json, "field");
    const cJSON *errors = cJSON_GetObjectItemCaseSensitive(answer->json, "errors");

    if (!detail[0])
        detail = json_text(answer->json, "title");
    if (!detail[0])
        complain("%s answered %ld without saying why", api->server, answer->status);
    else if (field[0])
        complain("%s: %s", field, detail);
    else
        complain("%s", detail);
    if (answer->status == 401 && api->headers->next)
        complain("the token was not accepted; is it one of this server's?");
    else if (answer->status == 401)
        complain("give a token with --token-file FILE or in FUOTACTL_TOKEN");
    print_problems(stderr, errors);
}

static enum exit_code perform(struct api *api, struct answer *answer)
{
    struct buffer buffer = {0};
    CURLcode result;
    const char *end = NULL;

    curl_easy_setopt(api->curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(api->curl, CURLOPT_WRITEDATA, &buffer);
    curl_easy_setopt(api->curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(api->curl, CURLOPT_HEADERDATA, &buffer);
    result = curl_easy_perform(api->curl);
    if (result != CURLE_OK) {
        if (!api->is_silent)
            complain("%s cannot be reached: %s", api->server,
                     api->error[0] ? api->error : curl_easy_strerror(result));
        free(buffer.data);
        free(buffer.location);
        return EXIT_UNREACHABLE;
    }
    *answer = (struct answer){.body = buffer.data ? buffer.data : need(strdup("")),
                              .size = buffer.size,
                              .location = buffer.location};
    curl_easy_getinfo(api->curl, CURLINFO_RESPONSE_CODE, &answer->status);
    answer->json = cJSON_ParseWithLengthOpts(answer->body, answer->size, &end, false);
    if (!api->is_json)
        clean_json(answer->json);
    if (answer->status / 100 == 2 && (answer->json || answer->size == 0))
        return EXIT_DONE;
    if (!answer->json) {
        if (!api->is_silent)
            complain("%s answered %ld, but not with JSON: is it a fuotad?", api->server,
                     answer->status);
        return answer->status / 100 == 2 ? EXIT_UNREACHABLE : code_of(answer->status);
    }
    if (!api->is_silent) {
        explain(api, answer);
        if (api->is_json)
            puts(answer->body);
    }
    return code_of(answer->status);
}

enum exit_code api_call(struct api *api, const char *method, const char *path,
                        const char *media_type, const void *body, size_t body_size,
                        struct answer *ret_answer)
{
    char *url = format_text("%s%s", api->server, path);
    struct curl_slist type = {.next = api->headers};
    struct answer answer = {0};
    enum exit_code code;

    curl_easy_reset(api->curl);
    set_common(api, api->curl, url);
    curl_easy_setopt(api->curl, CURLOPT_TIMEOUT, body_size ? UPLOAD_TIMEOUT_S : CALL_TIMEOUT_S);
    if (media_type) {
        type.data = format_text("Content-Type: %s", media_type);
        curl_easy_setopt(api->curl, CURLOPT_HTTPHEADER, &type);
    } else {
        curl_easy_setopt(api->curl, CURLOPT_HTTPHEADER, api->headers);
    }
    if (strcmp(method, "POST") == 0) {
        curl_easy_setopt(api->curl, CURLOPT_POST, 1L);
        curl_easy_setopt(api->curl, CURLOPT_POSTFIELDS, body ? body : "");
        curl_easy_setopt(api->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body_size);
    } else if (strcmp(method, "GET") != 0) {
        curl_easy_setopt(api->curl, CURLOPT_CUSTOMREQUEST, method);
    }
    code = perform(api, &answer);
    curl_easy_setopt(api->curl, CURLOPT_HTTPHEADER, NULL);
    free(type.data);
    free(url);
    if (code == EXIT_DONE)
        *ret_answer = answer;
    else
        answer_release(&answer);
    return code;
}

enum exit_code api_call_json(struct api *api, const char *method, const char *path, cJSON *json,
                             struct answer *ret_answer)
{
    char *text = need(cJSON_PrintUnformatted(json));
    enum exit_code code =
        api_call(api, method, path, "application/json", text, strlen(text), ret_answer);

    cJSON_Delete(json);
    cJSON_free(text);
    return code;
}

void answer_release(struct answer *answer)
{
    free(answer->body);
    free(answer->location);
    cJSON_Delete(answer->json);
    *answer = (struct answer){0};
}

char *api_path(struct api *api, const char *folder, const char *id, const char *rest)
{
    char *escaped = need(curl_easy_escape(api->curl, id, 0));
    char *path = format_text("/api/v1/%s/%s%s", folder, escaped, rest);

    curl_free(escaped);
    return path;
}

void api_add_query(struct api *api, char **path, const char *name, const char *value)
{
    char *escaped;
    char *longer;

    if (!value)
        return;
    escaped = need(curl_easy_escape(api->curl, value, 0));
    longer = format_text("%s%c%s=%s", *path, strchr(*path, '?') ? '&' : '?', name, escaped);
    curl_free(escaped);
    free(*path);
    *path = longer;
}

struct stream {
    struct api *api;
    CURL *curl;
    CURLM *multi;
    char *url;
    struct curl_slist accept; /* before the headers of `api` */
    on_event_fn *on_event;
    void *arg;
    char *line; /* what came of the current line */
    size_t line_size;
    char *event;
    char *data;
    bool is_open;
};

static void take_line(struct stream *stream, const char *line)
{
    if (line[0] == '\0') {
        if (stream->data)
            stream->on_event(stream->arg, stream->event ? stream->event : "message", stream->data);
        free(stream->event);
        free(stream->data);
        stream->event = stream->data = NULL;
    } else if (strncmp(line, "event:", 6) == 0) {
        free(stream->event);
        stream->event = need(strdup(line + 6 + (line[6] == ' ')));
    } else if (strncmp(line, "data:", 5) == 0) {
        const char *more = line + 5 + (line[5] == ' ');
        char *data = stream->data ? format_text("%s\n%s", stream->data, more) : need(strdup(more));

        free(stream->data);
        stream->data = data;
    } /* comments, ids and retry times do not matter here */
}

static size_t on_stream_data(char *data, size_t size, size_t count, void *arg)
{
    struct stream *stream = arg;
    long status = 0;

    size *= count;
    curl_easy_getinfo(stream->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200 || stream->line_size + size > EVENT_SIZE_MAX)
        return 0;
    stream->is_open = true;
    stream->line = need(realloc(stream->line, stream->line_size + size + 1));
    memcpy(stream->line + stream->line_size, data, size);
    stream->line_size += size;

    size_t start = 0;

    for (size_t i = 0; i < stream->line_size; i++) {
        if (stream->line[i] != '\n')
            continue;
        stream->line[i] = '\0';
        if (i > start && stream->line[i - 1] == '\r')
            stream->line[i - 1] = '\0';
        take_line(stream, stream->line + start);
        start = i + 1;
    }
    memmove(stream->line, stream->line + start, stream->line_size - start);
    stream->line_size -= start;
    return size;
}

struct stream *stream_open(struct api *api, const char *path, on_event_fn *on_event, void *arg)
{
    struct stream *stream = need(calloc(1, sizeof(*stream)));

    stream->api = api;
    stream->on_event = on_event;
    stream->arg = arg;
    stream->url = format_text("%s%s", api->server, path);
    stream->curl = need(curl_easy_init());
    stream->multi = need(curl_multi_init());
    /* The headers of `api` begin with its Accept; ours takes that place. */
    stream->accept =
        (struct curl_slist){need(strdup("Accept: text/event-stream")), api->headers->next};
    set_common(api, stream->curl, stream->url);
    curl_easy_setopt(stream->curl, CURLOPT_HTTPHEADER, &stream->accept);
    curl_easy_setopt(stream->curl, CURLOPT_WRITEFUNCTION, on_stream_data);
    curl_easy_setopt(stream->curl, CURLOPT_WRITEDATA, stream);
    /* Heartbeats come every 15 s: a minute without anything is the end. */
    curl_easy_setopt(stream->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(stream->curl, CURLOPT_LOW_SPEED_TIME, 60L);
    curl_multi_add_handle(stream->multi, stream->curl);
    return stream;
}

bool stream_poll(struct stream *stream, int wait_ms)
{
    int running = 0;

    if (curl_multi_perform(stream->multi, &running) != CURLM_OK || running == 0)
        return false;
    if (curl_multi_poll(stream->multi, NULL, 0, wait_ms, NULL) != CURLM_OK ||
        curl_multi_perform(stream->multi, &running) != CURLM_OK)
        return false;
    return running > 0;
}

bool stream_is_open(const struct stream *stream)
{
    return stream->is_open;
}

void stream_close(struct stream *stream)
{
    if (!stream)
        return;
    curl_multi_remove_handle(stream->multi, stream->curl);
    curl_easy_cleanup(stream->curl);
    curl_multi_cleanup(stream->multi);
    free(stream->accept.data);
    free(stream->url);
    free(stream->line);
    free(stream->event);
    free(stream->data);
    free(stream);
}
