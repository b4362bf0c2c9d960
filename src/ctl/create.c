/* create.c - deployment create: a draft from the options. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "ctl.h"

#define DEVICES_FILE_MAX (16u * 1024 * 1024)

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
    {OPTION_MANY, "loss", "P",
     "share of fragments that devices lose, as 0.1; or SHARE:LOSS, as 0.9:0.02 0.1:0.2"},
    {OPTION_ONE, "rounds", "N",
     "of coded fragments until all have it; 1: what is sent first, only"},
    {OPTION_ONE, "sessions", "N", "class C sessions at most"},
    {OPTION_ONE, "repair-passes", "N", "for devices that coded fragments cannot help"},
    {OPTION_ONE, "airtime-budget", "SECONDS", "on air for each gateway, at most"},
    {OPTION_ONE, "time-limit", "SECONDS", "after the start no more fragments are sent"},
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
    {OPTION_ONE, "duty-cycle", "SHARE", "of the time that a gateway may be on air, as 0.01"},
    {OPTION_FLAG, "override-duty-cycle", NULL, "... also above what the region allows; recorded"},
    {OPTION_FLAG, "consecutive-rows", NULL, "send every coded fragment, also where a choice is better"},
    {OPTION_FLAG, "own-evidence-only", NULL, "no device is complete by what others of its kind say"},
    {OPTION_FLAG, "start-now", NULL, "start it as well, and wait for the start"},
    {OPTION_END, NULL, NULL, NULL},
};

static bool wrong(const char *text)
{
    complain("%s", text);
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

/* "0.1", or "0.9:0.02". */
static bool add_loss(cJSON *json, const struct args *args)
{
    cJSON *list = need(cJSON_CreateArray());
    size_t index = 0;
    char *value;

    while ((value = args_next(args, "loss", &index))) {
        char *end;
        double first = strtod(value, &end), second = 0;
        const bool is_pair = *end == ':';

        if (is_pair)
            second = strtod(end + 1, &end);
        if (end == value || *end != '\0' || (!is_pair && cJSON_GetArraySize(list) > 0)) {
            (void)wrong("--loss must be a share such as 0.1, or SHARE:LOSS ...");
            cJSON_Delete(list);
            return false;
        }
        if (!is_pair) {
            cJSON_AddNumberToObject(json, "loss", first);
            cJSON_Delete(list);
            if (args_next(args, "loss", &index)) {
                return wrong("--loss takes one share, or SHARE:LOSS ...");
            }
            return true;
        }
        cJSON *item = need(cJSON_CreateObject());
        cJSON_AddNumberToObject(item, "share", first);
        cJSON_AddNumberToObject(item, "loss", second);
        cJSON_AddItemToArray(list, item);
    }
    if (cJSON_GetArraySize(list) > 0)
        cJSON_AddItemToObject(json, "loss", list);
    else
        cJSON_Delete(list);
    return true;
}

bool create_add_params(cJSON *json, const struct args *args)
{
    const char *size = args_value(args, "fragment-size");
    const char *redundancy = args_value(args, "redundancy");
    const char *start = args_value(args, "start");
    const char *descriptor = args_value(args, "descriptor");
    const char *duty_cycle = args_value(args, "duty-cycle");
    uint8_t octets[4];
    size_t index = 0;
    char *value;
    double number;

    add_text(json, "name", args_value(args, "name"));
    add_text(json, "region", args_value(args, "region"));
    if (!add_number(json, "data_rate", args, "data-rate", 0, 15) ||
        !add_number(json, "frequency_hz", args, "frequency", 1, 4000000000) ||
        !add_number(json, "unicast_attempts", args, "unicast-attempts", 1, 1000) ||
        !add_number(json, "rounds", args, "rounds", 1, 250) ||
        !add_number(json, "sessions", args, "sessions", 1, 100) ||
        !add_number(json, "repair_passes", args, "repair-passes", 0, 7) ||
        !add_number(json, "airtime_budget_s", args, "airtime-budget", 1, 10000000) ||
        !add_number(json, "time_limit_s", args, "time-limit", 1, 31536000) ||
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
        if (end != redundancy && *end == '%')
            end++;
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
    if (args_has(args, "override-duty-cycle"))
        cJSON_AddTrueToObject(json, "override_duty_cycle");
    if (duty_cycle) {
        char *end;

        number = strtod(duty_cycle, &end);
        if (end == duty_cycle || *end != '\0' || !(number > 0 && number <= 1))
            return wrong("--duty-cycle must be a share above 0 and up to 1, as 0.01");
        cJSON_AddNumberToObject(json, "duty_cycle", number);
    }
    if (args_has(args, "own-evidence-only"))
        cJSON_AddTrueToObject(json, "own_evidence_only");
    if (args_has(args, "consecutive-rows"))
        cJSON_AddTrueToObject(json, "consecutive_rows");
    return add_loss(json, args);
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
    if (!add_targets(json, args) || !create_add_params(json, args)) {
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
