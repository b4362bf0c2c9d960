/* api.h - what the API's files share. */
#ifndef DAEMON_API_H
#define DAEMON_API_H

#include <cjson/cJSON.h>

#include "daemon.h"

/* A request that waits for the store or the network server. */
#define IMAGE_SIZE_MAX (16u << 20)

struct http_call {
    struct daemon *daemon;
    struct http_request *request;
    const char *what;       /* "image": for "there is no such image" */
    const char *state_text; /* for ERR_WRONG_STATE */
    char id[UUID_TEXT_SIZE];
    cJSON *json;
};

struct http_call *call_new(struct daemon *daemon, struct http_request *request);
void answer_store_error(struct http_request *request, enum err err, const char *text,
                        const char *what, const char *state_text);
/* Whether the path's id is a UUID; answers 404 otherwise. */
bool param_is_uuid(struct http_request *request, const char *what);

/* 422 with all of `problems`. */
void answer_problems(struct http_request *request, cJSON *problems);
/* Adds a problem for each member that a deployment does not have, nor `more`. */
void check_members(const cJSON *body, const char *const *more, size_t more_count, cJSON *problems);

void api_add_deployment(void *arg, struct http_request *request);
void api_start_deployment(void *arg, struct http_request *request);
void api_plan(void *arg, struct http_request *request);
void api_plan_deployment(void *arg, struct http_request *request);
void api_pause_deployment(void *arg, struct http_request *request);
void api_abort_deployment(void *arg, struct http_request *request);
void api_resume_deployment(void *arg, struct http_request *request);
void api_retry_deployment(void *arg, struct http_request *request);

#endif
