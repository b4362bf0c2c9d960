/* wish.c - what is asked of a running daemon: deployment start, pause, resume, abort. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl.h"

#define REQUEST_PAUSE_MS 200  /* before the first look at a request; doubles */
#define PAUSE_MAX_MS     2000 /* up to this */

const struct option deployment_wait_options[] = {
    {OPTION_FLAG, "no-wait", NULL, "do not wait until the daemon has done it"},
    {OPTION_END, NULL, NULL, NULL},
};

static void pause_ms(long ms)
{
    const struct timespec span = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&span, NULL);
}

/*
 * POST deployments/ID/plan, start, pause, resume or abort; follows the request until the daemon has
 * taken care of it. What stood in the way is printed in full.
 */
enum exit_code ask_daemon(struct api *api, const struct args *args, const char *id,
                          const char *kind, const char *done)
{
    const bool is_json = args_has(args, "json");
    struct answer answer = {0};
    char rest[16];
    char *path;
    long wait_ms = REQUEST_PAUSE_MS;
    enum exit_code code;

    snprintf(rest, sizeof(rest), "/%s", kind);
    path = api_path(api, "deployments", id, rest);
    code = api_call(api, "POST", path, NULL, NULL, 0, &answer);
    free(path);
    if (code != EXIT_DONE)
        return code;
    path = api_path(api, "requests", json_text(answer.json, "id"), "");
    if (args_has(args, "no-wait")) {
        if (is_json)
            puts(answer.body);
        else
            printf("%s is requested: %s\n", kind, answer.location ? answer.location : path);
        goto out;
    }
    while (strcmp(json_text(answer.json, "state"), "open") == 0) {
        pause_ms(wait_ms);
        wait_ms = wait_ms * 2 < PAUSE_MAX_MS ? wait_ms * 2 : PAUSE_MAX_MS;
        answer_release(&answer);
        code = api_call(api, "GET", path, NULL, NULL, 0, &answer);
        if (code != EXIT_DONE)
            goto out;
    }
    const char *detail = json_text(answer.json, "detail");
    const cJSON *problems = cJSON_GetObjectItemCaseSensitive(answer.json, "problems");

    const cJSON *plan = cJSON_GetObjectItemCaseSensitive(answer.json, "plan");

    if (is_json)
        puts(answer.body);
    else if (strcmp(kind, "plan") == 0 && cJSON_IsObject(plan))
        plan_print(plan);
    if (strcmp(json_text(answer.json, "state"), "done") == 0) {
        if (!is_json && done)
            printf("deployment %s is %s\n", id, done);
        if (cJSON_GetArraySize(problems) > 0) {
            complain("with warnings:");
            print_problems(stderr, problems);
        }
    } else {
        complain("the deployment cannot %s%s%s", strcmp(kind, "plan") == 0 ? "start" : kind,
                 detail[0] ? ": " : "", detail);
        print_problems(stderr, problems);
        code = EXIT_FAILED;
    }
out:
    answer_release(&answer);
    free(path);
    return code;
}

/* A wish for the deployment that is the operand. */
static enum exit_code wish(const struct args *args, const char *what, const char *done)
{
    enum exit_code code;
    struct api *api = api_new(args, &code);

    if (!api)
        return code;
    code = ask_daemon(api, args, args->operands[0], what, done);
    api_free(api);
    return code;
}

enum exit_code deployment_plan_ask(const struct args *args)
{
    return wish(args, "plan", NULL);
}

enum exit_code deployment_start(const struct args *args)
{
    return wish(args, "start", "started");
}

enum exit_code deployment_pause(const struct args *args)
{
    return wish(args, "pause", "paused");
}

enum exit_code deployment_abort(const struct args *args)
{
    return wish(args, "abort", "aborted");
}

enum exit_code deployment_resume(const struct args *args)
{
    return wish(args, "resume", "resumed");
}
