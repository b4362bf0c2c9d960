/* deployment.c - deployment create, start, list, show, devices, abort, resume, retry, delete. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/hex.h"
#include "ctl.h"

#define DEVICES_FILE_MAX (16u * 1024 * 1024)
#define REQUEST_PAUSE_MS 200  /* before the first look at a request; doubles */
#define PAUSE_MAX_MS     2000 /* up to this */
#define DEVICES_PAGE     500
#define DEVICES_MAX      100000 /* of a deployment; a server that pages for ever */

const struct option deployment_create_options[] = {
    {OPTION_ONE, "image", "ID", "the image (needed)"},
    {OPTION_ONE, "application", "ID", "the network server's application (needed)"},
    {OPTION_MANY, "device", "EUI", "these devices, or ..."},
    {OPTION_ONE, "devices-file", "FILE", "... those in FILE (one DevEUI per line, # comments), or"},
    {OPTION_ONE, "device-profile", "ID", "... those of a device profile, or ..."},
    {OPTION_MANY, "tag", "K=V", "... those with these tags, or ..."},
    {OPTION_FLAG, "all", NULL, "... all devices of the application"},
    {OPTION_ONE, "name", "N", "a name for people"},
    {OPTION_ONE, "region", "R", "EU868 ..."},
    {OPTION_ONE, "data-rate", "D", "of the fragments, 0 .. 15"},
    {OPTION_ONE, "frequency", "HZ", "of the fragments"},
    {OPTION_ONE, "fragment-size", "N", "octets, or auto"},
    {OPTION_ONE, "redundancy", "PERCENT", "coded fragments, or auto"},
    {OPTION_ONE, "unicast-attempts", "N", "transmissions of a command to a device"},
    {OPTION_ONE, "start", "TIME", "when it starts, after deployment start: 2026-12-01T22:00:00Z"},
    {OPTION_ONE, "setup-deadline", "SECONDS", "for setting up the devices"},
    {OPTION_ONE, "quorum", "PERCENT", "of the devices that must be set up"},
    {OPTION_MANY, "gateway", "ID", "only over these gateways"},
    {OPTION_ONE, "descriptor", "HEX", "8 hexadecimal digits for the devices"},
    {OPTION_ONE, "min-gap", "MS", "between two fragments"},
    {OPTION_FLAG, "allow-bad-block-count", NULL, "accept a number of fragments with a weak code"},
    {OPTION_FLAG, "allow-any-class", NULL,
     "accept a device profile with neither class C nor TS005"},
    {OPTION_FLAG, "start-now", NULL, "start it as well, and wait for the start"},
    {OPTION_END, NULL, NULL, NULL},
};

const struct option deployment_wait_options[] = {
    {OPTION_FLAG, "no-wait", NULL, "do not wait until the daemon has done it"},
    {OPTION_END, NULL, NULL, NULL},
};

const struct option deployment_devices_options[] = {
    {OPTION_ONE, "stage", "S", "only devices in this stage: version, group, ... failed"},
    {OPTION_END, NULL, NULL, NULL},
};

static bool wrong(const char *text)
{
    complain("deployment create: %s", text);
    return false;
}

static bool add_eui(cJSON *list, const char *text, const char *where)
{
    char clean[EUI64_TEXT_SIZE];
    uint64_t eui;

    if (eui64_parse(text, &eui) != ERR_OK) {
        complain("%s: \"%s\" is no DevEUI (16 hexadecimal digits)", where, text);
        return false;
    }
    eui64_format(eui, clean);
    cJSON_AddItemToArray(list, need(cJSON_CreateString(clean)));
    return true;
}

static bool add_devices_file(cJSON *list, const char *path)
{
    size_t size;
    char *text = (char *)read_file(path, DEVICES_FILE_MAX, &size);
    char *rest;
    char *line;
    unsigned number = 0;
    bool is_ok = text != NULL;

    if (!text)
        return false;
    text = need(realloc(text, size + 1));
    text[size] = '\0';
    rest = text;
    while (is_ok && (line = strsep(&rest, "\n"))) {
        char where[64];
        char *end;

        number++;
        line[strcspn(line, "#\r")] = '\0';
        line += strspn(line, " \t");
        end = line + strlen(line);
        while (end > line && isspace((unsigned char)end[-1]))
            *--end = '\0';
        snprintf(where, sizeof(where), "%.40s line %u", path, number);
        if (line[0])
            is_ok = add_eui(list, line, where);
    }
    free(text);
    if (is_ok && cJSON_GetArraySize(list) == 0) {
        complain("%s names no device", path);
        is_ok = false;
    }
    return is_ok;
}

static bool add_targets(cJSON *json, const struct args *args)
{
    static const char *const names[] = {"device", "devices-file", "device-profile", "tag", "all"};
    unsigned count = 0;
    size_t index = 0;
    char *value;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        count += args_has(args, names[i]);
    if (count != 1)
        return wrong("give one of --device, --devices-file, --device-profile, --tag and --all");
    if (args_has(args, "all")) {
        cJSON_AddTrueToObject(json, "all");
    } else if (args_has(args, "device-profile")) {
        cJSON_AddStringToObject(json, "device_profile_id", args_value(args, "device-profile"));
    } else if (args_has(args, "tag")) {
        cJSON *tags = need(cJSON_AddObjectToObject(json, "tags"));

        while ((value = args_next(args, "tag", &index))) {
            char *equals = strchr(value, '=');

            if (!equals || equals == value)
                return wrong("--tag needs KEY=VALUE");
            *equals = '\0';
            cJSON_AddStringToObject(tags, value, equals + 1);
        }
    } else {
        cJSON *list = need(cJSON_AddArrayToObject(json, "devices"));

        if (args_has(args, "devices-file"))
            return add_devices_file(list, args_value(args, "devices-file"));
        while ((value = args_next(args, "device", &index))) {
            if (!add_eui(list, value, "--device"))
                return false;
        }
    }
    return true;
}

static void add_text(cJSON *json, const char *member, const char *value)
{
    if (value)
        cJSON_AddStringToObject(json, member, value);
}

static bool add_number(cJSON *json, const char *member, const struct args *args, const char *name,
                       long long min, long long max)
{
    long long number = -1;

    if (!args_number(args, name, min, max, &number))
        return false;
    if (args_has(args, name))
        cJSON_AddNumberToObject(json, member, (double)number);
    return true;
}

static bool add_params(cJSON *json, const struct args *args)
{
    const char *size = args_value(args, "fragment-size");
    const char *redundancy = args_value(args, "redundancy");
    const char *start = args_value(args, "start");
    const char *descriptor = args_value(args, "descriptor");
    uint8_t octets[4];
    size_t index = 0;
    char *value;
    double number;

    add_text(json, "name", args_value(args, "name"));
    add_text(json, "region", args_value(args, "region"));
    if (!add_number(json, "data_rate", args, "data-rate", 0, 15) ||
        !add_number(json, "frequency_hz", args, "frequency", 1, 4000000000) ||
        !add_number(json, "unicast_attempts", args, "unicast-attempts", 1, 1000) ||
        !add_number(json, "setup_deadline_s", args, "setup-deadline", 1, 100000000) ||
        !add_number(json, "quorum_percent", args, "quorum", 0, 100) ||
        !add_number(json, "min_gap_ms", args, "min-gap", 0, 86400000))
        return false;
    if (size && strcmp(size, "auto") == 0)
        add_text(json, "fragment_size", size);
    else if (!add_number(json, "fragment_size", args, "fragment-size", 1, 255))
        return false;
    if (redundancy && strcmp(redundancy, "auto") == 0) {
        add_text(json, "redundancy", redundancy);
    } else if (redundancy) {
        char *end;

        number = strtod(redundancy, &end);
        if (end == redundancy || *end != '\0' || !(number >= 0 && number <= 10000))
            return wrong("--redundancy must be auto or a percentage");
        cJSON_AddNumberToObject(json, "redundancy", number);
    }
    if (start && !parse_time(start, &number))
        return wrong("--start must be a time in UTC such as 2024-01-31T10:20:30Z");
    add_text(json, "start", start);
    if (descriptor && hex_decode(descriptor, strlen(descriptor), octets, 4) != ERR_OK)
        return wrong("--descriptor must be 8 hexadecimal digits");
    add_text(json, "descriptor", descriptor);
    if (args_has(args, "gateway")) {
        cJSON *list = need(cJSON_AddArrayToObject(json, "gateways"));

        while ((value = args_next(args, "gateway", &index)))
            cJSON_AddItemToArray(list, need(cJSON_CreateString(value)));
    }
    if (args_has(args, "allow-bad-block-count"))
        cJSON_AddTrueToObject(json, "allow_bad_block_count");
    if (args_has(args, "allow-any-class"))
        cJSON_AddTrueToObject(json, "allow_any_class");
    return true;
}

static void pause_ms(long ms)
{
    const struct timespec span = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&span, NULL);
}

/*
 * POST deployments/ID/start, abort or resume; follows the request until the daemon has taken care
 * of it. What stood in the way is printed in full.
 */
static enum exit_code ask_daemon(struct api *api, const struct args *args, const char *id,
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

    if (is_json)
        puts(answer.body);
    if (strcmp(json_text(answer.json, "state"), "done") == 0) {
        if (!is_json)
            printf("deployment %s is %s\n", id, done);
        if (cJSON_GetArraySize(problems) > 0) {
            complain("with warnings:");
            print_problems(stderr, problems);
        }
    } else {
        complain("the deployment cannot %s%s%s", kind, detail[0] ? ": " : "", detail);
        print_problems(stderr, problems);
        code = EXIT_FAILED;
    }
out:
    answer_release(&answer);
    free(path);
    return code;
}

enum exit_code deployment_create(const struct args *args)
{
    cJSON *json = need(cJSON_CreateObject());
    struct answer answer = {0};
    struct api *api;
    enum exit_code code;

    if (!args_has(args, "image") || !args_has(args, "application")) {
        (void)wrong("--image and --application are needed");
        cJSON_Delete(json);
        return EXIT_USAGE;
    }
    add_text(json, "image_id", args_value(args, "image"));
    add_text(json, "application_id", args_value(args, "application"));
    if (!add_targets(json, args) || !add_params(json, args)) {
        cJSON_Delete(json);
        return EXIT_USAGE;
    }
    api = api_new(args, &code);
    if (!api) {
        cJSON_Delete(json);
        return code;
    }
    code = api_call_json(api, "POST", "/api/v1/deployments", json, &answer);
    if (code == EXIT_DONE) {
        const char *id = json_text(answer.json, "id");
        const cJSON *problems = cJSON_GetObjectItemCaseSensitive(answer.json, "problems");

        if (!args_has(args, "json"))
            printf("deployment %s is created, for %s devices\n", id,
                   json_cell(answer.json, "device_count"));
        else if (!args_has(args, "start-now")) /* else the request is the answer */
            puts(answer.body);
        fflush(stdout);
        if (cJSON_GetArraySize(problems) > 0) {
            complain("it has problems:");
            print_problems(stderr, problems);
        }
        if (args_has(args, "start-now"))
            code = ask_daemon(api, args, id, "start", "started");
    }
    answer_release(&answer);
    api_free(api);
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

enum exit_code deployment_start(const struct args *args)
{
    return wish(args, "start", "started");
}

enum exit_code deployment_abort(const struct args *args)
{
    return wish(args, "abort", "aborted");
}

enum exit_code deployment_resume(const struct args *args)
{
    return wish(args, "resume", "resumed");
}

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
        "coded_count", "fragments_sent", "fragments_total", "frames_sent",        "suspended",
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
