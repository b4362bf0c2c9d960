/* device.c - the story of a device, the state of the daemon. */
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

static void print_device(const cJSON *device)
{
    const cJSON *item;
    struct table table;

    printf("device %s\n\ndeployments\n", json_cell(device, "dev_eui"));
    table_init(&table, 5);
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(device, "deployments"))
    {
        const char *reason = json_text(item, "reason");

        table_add(&table, json_cell(item, "id"));
        table_add(&table, json_cell(item, "name"));
        table_add(&table, json_cell(item, "state"));
        table_add(&table, json_cell(item, "stage"));
        table_add(&table,
                  !reason[0] || strcmp(reason, "none") == 0 ? "" : json_cell(item, "reason_text"));
    }
    table_print(&table, stdout);
    fputs("\nheard by\n", stdout);
    table_init(&table, 2);
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(device, "gateways"))
    {
        table_add(&table, json_cell(item, "gateway_id"));
        table_add(&table, time_cell(item, "heard_at"));
    }
    table_print(&table, stdout);
    fputs("\nevents\n", stdout);
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(device, "events"))
    {
        const char *text = json_text(item, "text");

        printf("%s  ", time_cell(item, "at"));
        print_clean(stdout, text[0] ? text : json_cell(item, "kind"));
        fputc('\n', stdout);
    }
}

enum exit_code device_show(const struct args *args)
{
    struct answer answer = {0};
    enum exit_code code;
    struct api *api = api_new(args, &code);
    char *path;

    if (!api)
        return code;
    path = api_path(api, "devices", args->operands[0], "");
    code = api_call(api, "GET", path, NULL, NULL, 0, &answer);
    if (code == EXIT_DONE && args_has(args, "json"))
        puts(answer.body);
    else if (code == EXIT_DONE)
        print_device(answer.json);
    answer_release(&answer);
    free(path);
    api_free(api);
    return code;
}

/* The current key is as it should be, and goes without saying. */
static void print_seal_keys(const cJSON *keys)
{
    const cJSON *key;

    cJSON_ArrayForEach(key, keys)
    {
        const double count = json_number(key, "deployments", 0);

        if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(key, "is_current")))
            continue;
        printf("%-14s", "seal key");
        print_clean(stdout, json_cell(key, "id"));
        if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(key, "is_known")))
            printf(" is missing: running deployments that wait for it: %.0f\n", count);
        else if (count > 0)
            printf(" (old) is still needed by running deployments: %.0f\n", count);
        else
            puts(" (old) is not needed any more");
    }
}

static void print_status(const cJSON *status)
{
    static const char *const names[] = {"database", "broker", "network"};
    const cJSON *waiting = cJSON_GetObjectItemCaseSensitive(status, "waiting_for");
    const cJSON *deployments = cJSON_GetObjectItemCaseSensitive(status, "deployments");
    const cJSON *item;
    bool is_first = true;

    printf("fuotad %s, up for %s\n", json_cell(status, "version"),
           span_cell(json_number(status, "uptime_s", 0)));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!cJSON_HasObjectItem(status, names[i]))
            continue;
        printf("%-14s", names[i]);
        print_clean(stdout, json_cell(status, names[i]));
        fputc('\n', stdout);
    }
    printf("%-14s", "deployments");
    cJSON_ArrayForEach(item, deployments)
    {
        if (!cJSON_IsNumber(item) || item->valuedouble <= 0 || !item->string)
            continue;
        printf("%s%.0f ", is_first ? "" : ", ", item->valuedouble);
        print_clean(stdout, item->string);
        is_first = false;
    }
    puts(is_first ? "none" : "");
    print_seal_keys(cJSON_GetObjectItemCaseSensitive(status, "seal_keys"));
    if (cJSON_GetArraySize(waiting) == 0) {
        puts("waits for nothing");
        return;
    }
    puts("waits for");
    cJSON_ArrayForEach(item, waiting)
    {
        fputs("  ", stdout);
        print_clean(stdout, cJSON_IsString(item) ? item->valuestring : "?");
        fputc('\n', stdout);
    }
}

static void print_airtime(const cJSON *json)
{
    const cJSON *gateways = cJSON_GetObjectItemCaseSensitive(json, "gateways");
    const cJSON *gateway;
    struct table table;

    table_init(&table, 6);
    for (const char *const *title =
             (const char *const[]){"GATEWAY", "BAND (kHz)", "LAST HOUR", "OF THE TIME", "LAST DAY",
                                   "FREE IN", NULL};
         *title; title++)
        table_add(&table, *title);
    cJSON_ArrayForEach(gateway, gateways)
    {
        char share[24];

        snprintf(share, sizeof(share), "%.2f %%",
                 json_number(gateway, "hour_airtime_ms", 0) / 36000.0);
        table_add(&table, json_cell(gateway, "gateway_id"));
        table_add(&table, json_cell(gateway, "band"));
        table_add(&table, span_cell(json_number(gateway, "hour_airtime_ms", 0) / 1000));
        table_add(&table, share);
        table_add(&table, span_cell(json_number(gateway, "day_airtime_ms", 0) / 1000));
        table_add(&table, span_cell(json_number(gateway, "free_in_ms", 0) / 1000));
    }
    table_print(&table, stdout);
}

/* What GET `path` answers, for people or as it is. */
static enum exit_code show(const struct args *args, const char *path,
                           void (*print)(const cJSON *json))
{
    struct answer answer = {0};
    enum exit_code code;
    struct api *api = api_new(args, &code);

    if (!api)
        return code;
    code = api_call(api, "GET", path, NULL, NULL, 0, &answer);
    if (code == EXIT_DONE && args_has(args, "json"))
        puts(answer.body);
    else if (code == EXIT_DONE)
        print(answer.json);
    answer_release(&answer);
    api_free(api);
    return code;
}

enum exit_code airtime_show(const struct args *args)
{
    return show(args, "/api/v1/airtime", print_airtime);
}

enum exit_code status_show(const struct args *args)
{
    return show(args, "/api/v1/status", print_status);
}
