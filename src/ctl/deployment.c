/* deployment.c - deployment list, show, devices, retry, delete. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "ctl.h"

#define DEVICES_PAGE     500
#define DEVICES_MAX      100000 /* of a deployment; a server that pages for ever */

const struct option deployment_devices_options[] = {
    {OPTION_ONE, "stage", "S", "only devices in this stage: version, group, ... failed"},
    {OPTION_END, NULL, NULL, NULL},
};

static double stage_count(const cJSON *deployment, const char *name)
{
    return json_number(cJSON_GetObjectItemCaseSensitive(deployment, "stages"), name, 0);
}

static void print_counts(FILE *out, const cJSON *object, const char *title)
{
    const cJSON *item;
    const char *label = title; /* of the first line only */

    cJSON_ArrayForEach(item, object)
    {
        if (!cJSON_IsNumber(item) || item->valuedouble <= 0 || !item->string)
            continue;
        fprintf(out, "%-18s%8.0f  ", label, item->valuedouble);
        for (const char *c = item->string; *c; c++)
            fputc(*c == '_' ? ' ' : *c, out);
        fputc('\n', out);
        label = "";
    }
}

void print_deployment(FILE *out, const cJSON *d)
{
    static const char *const texts[] = {
        "id",          "name",           "state",           "transmission_state", "image_id",
        "image_name",  "image_version",  "image_size",      "application_id",     "device_count",
        "region",      "data_rate",      "frequency_hz",    "fragment_size",      "fragment_count",
        "coded_count", "fragments_sent", "fragments_total", "frames_sent",        "round",
        "rounds_max",  "session_number", "repair_number",   "frames_refused",     "slowed",
        "is_paused",   "suspended",
        NULL};
    static const char *const times[] = {"created_at",  "started_at",    "session_time",
                                        "session_end", "estimated_end", "finished_at",
                                        NULL};
    const cJSON *problems = cJSON_GetObjectItemCaseSensitive(d, "problems");

    for (size_t i = 0; texts[i]; i++) {
        fprintf(out, "%-20s", texts[i]);
        print_clean(out, json_cell(d, texts[i]));
        fputc('\n', out);
    }
    for (size_t i = 0; times[i]; i++)
        fprintf(out, "%-20s%s\n", times[i], time_cell(d, times[i]));
    print_counts(out, cJSON_GetObjectItemCaseSensitive(d, "stages"), "devices");
    print_counts(out, cJSON_GetObjectItemCaseSensitive(d, "reasons"), "reasons");
    if (cJSON_GetArraySize(problems) > 0) {
        fputs("problems\n", out);
        print_problems(out, problems);
    }
}

enum exit_code deployment_list(const struct args *args)
{
    static const char *const heads[] = {"id",        "name",   "state",     "image",  "devices",
                                        "delivered", "failed", "fragments", "created"};
    struct answer answer = {0};
    struct table table;
    const cJSON *d;
    enum exit_code code;
    struct api *api = api_new(args, &code);

    if (!api)
        return code;
    code = api_call(api, "GET", "/api/v1/deployments", NULL, NULL, 0, &answer);
    if (code == EXIT_DONE && args_has(args, "json")) {
        puts(answer.body);
    } else if (code == EXIT_DONE) {
        table_init(&table, sizeof(heads) / sizeof(heads[0]));
        for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
            table_add(&table, heads[i]);
        cJSON_ArrayForEach(d, cJSON_GetObjectItemCaseSensitive(answer.json, "deployments"))
        {
            char *image =
                format_text("%s %s", json_cell(d, "image_name"), json_cell(d, "image_version"));
            char *delivered = format_text("%.0f", stage_count(d, "delivered"));
            char *failed = format_text("%.0f", stage_count(d, "failed"));
            char *fragments = format_text("%s/%s", json_cell(d, "fragments_sent"),
                                          json_cell(d, "fragments_total"));

            table_add(&table, json_cell(d, "id"));
            table_add(&table, json_cell(d, "name"));
            table_add(&table, json_cell(d, "state"));
            table_add(&table, image);
            table_add(&table, json_cell(d, "device_count"));
            table_add(&table, delivered);
            table_add(&table, failed);
            table_add(&table, fragments);
            table_add(&table, time_cell(d, "created_at"));
            free(image);
            free(delivered);
            free(failed);
            free(fragments);
        }
        table_print(&table, stdout);
    }
    answer_release(&answer);
    api_free(api);
    return code;
}

enum exit_code deployment_show(const struct args *args)
{
    struct answer answer = {0};
    enum exit_code code;
    struct api *api = api_new(args, &code);
    char *path;

    if (!api)
        return code;
    path = api_path(api, "deployments", args->operands[0], "");
    code = api_call(api, "GET", path, NULL, NULL, 0, &answer);
    if (code == EXIT_DONE && args_has(args, "json"))
        puts(answer.body);
    else if (code == EXIT_DONE)
        print_deployment(stdout, answer.json);
    answer_release(&answer);
    free(path);
    api_free(api);
    return code;
}

static void add_device(struct table *table, const cJSON *device)
{
    const char *reason = json_text(device, "reason_text");
    const char *name = json_text(device, "reason");
    const bool is_none = !name[0] || strcmp(name, "none") == 0;

    table_add(table, json_cell(device, "dev_eui"));
    table_add(table, json_cell(device, "stage"));
    table_add(table, json_cell(device, "attempts"));
    table_add(table, json_cell(device, "received_count"));
    table_add(table, json_cell(device, "missing_count"));
    table_add(table, time_cell(device, "last_uplink_at"));
    table_add(table, is_none ? "" : reason[0] ? reason : name);
}

/* All pages: with --json one document, as if there was one page. */
enum exit_code deployment_devices(const struct args *args)
{
    static const char *const heads[] = {"dev_eui", "stage",       "attempts", "received",
                                        "missing", "last uplink", "reason"};
    const bool is_json = args_has(args, "json");
    cJSON *all = need(cJSON_CreateArray());
    struct answer answer = {0};
    struct table table;
    double total = 0;
    int count = 0;
    enum exit_code code;
    struct api *api = api_new(args, &code);

    if (!api) {
        cJSON_Delete(all);
        return code;
    }
    for (;;) {
        char *path = api_path(api, "deployments", args->operands[0], "/devices");
        char number[24];
        cJSON *devices;
        cJSON *device;

        api_add_query(api, &path, "stage", args_value(args, "stage"));
        snprintf(number, sizeof(number), "%d", DEVICES_PAGE);
        api_add_query(api, &path, "limit", number);
        snprintf(number, sizeof(number), "%d", count);
        api_add_query(api, &path, "offset", number);
        code = api_call(api, "GET", path, NULL, NULL, 0, &answer);
        free(path);
        if (code != EXIT_DONE)
            break;
        devices = cJSON_GetObjectItemCaseSensitive(answer.json, "devices");
        total = json_number(answer.json, "total", 0);
        const int page = cJSON_GetArraySize(devices);

        while ((device = cJSON_DetachItemFromArray(devices, 0)))
            cJSON_AddItemToArray(all, device);
        count += page;
        answer_release(&answer);
        if (page == 0 || count >= total || count >= DEVICES_MAX)
            break;
    }
    if (code == EXIT_DONE && is_json) {
        cJSON *document = need(cJSON_CreateObject());
        char *text;

        cJSON_AddItemToObject(document, "devices", all);
        cJSON_AddNumberToObject(document, "total", total);
        text = need(cJSON_PrintUnformatted(document));
        puts(text);
        cJSON_free(text);
        cJSON_Delete(document);
        all = NULL;
    } else if (code == EXIT_DONE) {
        const cJSON *device;

        table_init(&table, sizeof(heads) / sizeof(heads[0]));
        for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
            table_add(&table, heads[i]);
        cJSON_ArrayForEach(device, all)
        {
            add_device(&table, device);
        }
        table_print(&table, stdout);
        printf("%d devices\n", count);
    }
    cJSON_Delete(all);
    answer_release(&answer);
    api_free(api);
    return code;
}

enum exit_code deployment_retry(const struct args *args)
{
    struct answer answer = {0};
    enum exit_code code;
    struct api *api = api_new(args, &code);
    char *path;

    if (!api)
        return code;
    path = api_path(api, "deployments", args->operands[0], "/retry");
    code = api_call(api, "POST", path, NULL, NULL, 0, &answer);
    if (code == EXIT_DONE && args_has(args, "json"))
        puts(answer.body);
    else if (code == EXIT_DONE)
        printf("deployment %s is created, for the %s failed devices of %s; start it with\n"
               "  fuotactl deployment start %s\n",
               json_text(answer.json, "id"), json_cell(answer.json, "device_count"),
               args->operands[0], json_text(answer.json, "id"));
    answer_release(&answer);
    free(path);
    api_free(api);
    return code;
}

enum exit_code deployment_delete(const struct args *args)
{
    struct answer answer = {0};
    enum exit_code code;
    struct api *api = api_new(args, &code);
    char *path;

    if (!api)
        return code;
    path = api_path(api, "deployments", args->operands[0], "");
    code = api_call(api, "DELETE", path, NULL, NULL, 0, &answer);
    if (code == EXIT_DONE && !args_has(args, "json"))
        printf("deployment %s is deleted\n", args->operands[0]);
    answer_release(&answer);
    free(path);
    api_free(api);
    return code;
}
