/* answer.c - the answers: JSON, texts, problem documents. */
#include <assert.h>
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "impl.h"

static const char problem_of_no_memory[] =
    "{\"type\":\"about:blank\",\"title\":\"Internal Server Error\",\"status\":500,"
    "\"detail\":\"Out of memory.\"}";

static bool add_headers(const struct http_request *request, struct MHD_Response *response,
                        const char *media_type)
{
    if (media_type &&
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, media_type) != MHD_YES)
        return false;
    if (MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") != MHD_YES ||
        MHD_add_response_header(response, "X-Frame-Options", "DENY") != MHD_YES ||
        MHD_add_response_header(response, "Referrer-Policy", "no-referrer") != MHD_YES)
        return false;
    if (!MHD_get_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL) &&
        MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") != MHD_YES)
        return false;
    for (size_t i = 0; i < request->answer_header_count; i++) {
        const struct http_pair *pair = &request->answer_headers[i];

        if (strcasecmp(pair->name, MHD_HTTP_HEADER_CACHE_CONTROL) == 0)
            (void)MHD_del_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
        if (MHD_add_response_header(response, pair->name, pair->value) != MHD_YES)
            return false;
    }
    return true;
}

void http_answer_take(struct http_request *request, unsigned status, struct MHD_Response *response)
{
    struct http_server *server = request->server;

    assert(request->state == HTTP_REQUEST_RECEIVING || request->state == HTTP_REQUEST_RUNNING ||
           request->state == HTTP_REQUEST_HELD);
    http_request_drop_body(request);
    if (!server) { /* closed meanwhile: nobody is there */
        if (response)
            MHD_destroy_response(response);
        http_request_free(request);
        return;
    }
    request->status = status;
    request->response = response;
    if (request->state == HTTP_REQUEST_RECEIVING) {
        request->state = HTTP_REQUEST_REFUSED;
        return;
    }
    request->state = HTTP_REQUEST_ANSWERED;
    if (request->is_suspended) {
        request->is_suspended = false;
        MHD_resume_connection(request->connection);
        http_server_resume(server);
    }
}

static void answer(struct http_request *request, unsigned status, const char *media_type,
                   const char *location, const void *data, size_t size)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, (void *)(uintptr_t)data, MHD_RESPMEM_MUST_COPY);

    if (response && (!add_headers(request, response, media_type) ||
                     (location && MHD_add_response_header(response, MHD_HTTP_HEADER_LOCATION,
                                                          location) != MHD_YES))) {
        MHD_destroy_response(response);
        response = NULL;
    }
    if (request->server && request->peer)
        http_server_set_deadline(request->server, request->peer, size);
    http_answer_take(request, status, response);
}

void http_answer_header(struct http_request *request, const char *name, const char *value)
{
    struct http_pair *pair = &request->answer_headers[request->answer_header_count];

    assert(request->answer_header_count < HTTP_ANSWER_HEADERS_MAX);
    pair->name = strdup(name);
    pair->value = strdup(value);
    if (pair->name && pair->value) {
        request->answer_header_count++;
        return;
    }
    free(pair->name);
    free(pair->value);
}

void http_answer_json(struct http_request *request, unsigned status, const char *json)
{
    answer(request, status, "application/json", NULL, json, strlen(json));
}

void http_answer_location(struct http_request *request, unsigned status, const char *location,
                          const char *json)
{
    answer(request, status, "application/json", location, json, strlen(json));
}

void http_answer_text(struct http_request *request, unsigned status, const char *media_type,
                      const char *text)
{
    answer(request, status, media_type, NULL, text, strlen(text));
}

void http_answer_empty(struct http_request *request, unsigned status)
{
    answer(request, status, NULL, NULL, "", 0);
}

static char *problem_text(unsigned status, const char *detail, const char *field,
                          const char *errors_json)
{
    cJSON *object = cJSON_CreateObject();
    char *text = NULL;

    if (object && cJSON_AddStringToObject(object, "type", "about:blank") &&
        cJSON_AddStringToObject(object, "title", http_text_status(status)) &&
        cJSON_AddNumberToObject(object, "status", status) &&
        (!detail || cJSON_AddStringToObject(object, "detail", detail)) &&
        (!field || cJSON_AddStringToObject(object, "field", field)) &&
        (!errors_json || cJSON_AddRawToObject(object, "errors", errors_json)))
        text = cJSON_PrintUnformatted(object);
    cJSON_Delete(object);
    return text;
}

void http_answer_problem(struct http_request *request, unsigned status, const char *detail,
                         const char *field, const char *errors_json)
{
    char *text = problem_text(status, detail, field, errors_json);
    const char *sent = text ? text : problem_of_no_memory;

    answer(request, text ? status : 500, "application/problem+json", NULL, sent, strlen(sent));
    cJSON_free(text);
}
