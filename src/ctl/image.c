/* image.c - image add, list, show, delete. */
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

const struct option image_add_options[] = {
    {OPTION_ONE, "name", "N", "name of the firmware (needed)"},
    {OPTION_ONE, "version", "V", "its version (needed)"},
    {OPTION_ONE, "hardware", "H", "the hardware it is for"},
    {OPTION_ONE, "base-version", "B", "for a delta: the version it starts from"},
    {OPTION_ONE, "sha256", "HEX", "what the file must hash to"},
    {OPTION_END, NULL, NULL, NULL},
};

static void print_image(const cJSON *image)
{
    static const char *const names[] = {"id",           "name", "version", "hardware",
                                        "base_version", "size", "sha256",  NULL};

    for (size_t i = 0; names[i]; i++) {
        printf("%-14s", names[i]);
        print_clean(stdout, json_cell(image, names[i]));
        fputc('\n', stdout);
    }
    printf("%-14s%s\n", "created_at", time_cell(image, "created_at"));
}

enum exit_code image_add(const struct args *args)
{
    const char *name = args_value(args, "name");
    const char *version = args_value(args, "version");
    struct api *api = NULL;
    struct answer answer = {0};
    uint8_t *data = NULL;
    char *path = NULL;
    size_t size;
    enum exit_code code = EXIT_USAGE;

    if (!name || !version) {
        complain("image add: --name and --version are needed");
        return EXIT_USAGE;
    }
    data = read_file(args->operands[0], IMAGE_SIZE_MAX, &size);
    if (!data)
        return EXIT_USAGE;
    if (size == 0) {
        complain("%s is empty", args->operands[0]);
        goto out;
    }
    api = api_new(args, &code);
    if (!api)
        goto out;
    path = need(strdup("/api/v1/images"));
    api_add_query(api, &path, "name", name);
    api_add_query(api, &path, "version", version);
    api_add_query(api, &path, "hardware", args_value(args, "hardware"));
    api_add_query(api, &path, "base_version", args_value(args, "base-version"));
    api_add_query(api, &path, "sha256", args_value(args, "sha256"));
    code = api_call(api, "POST", path, "application/octet-stream", data, size, &answer);
    if (code != EXIT_DONE)
        goto out;
    if (args_has(args, "json"))
        puts(answer.body);
    else
        printf("image %s: %s %s, %zu octets\n", json_text(answer.json, "id"),
               json_text(answer.json, "name"), json_text(answer.json, "version"), size);
out:
    answer_release(&answer);
    api_free(api);
    free(path);
    free(data);
    return code;
}

enum exit_code image_list(const struct args *args)
{
    static const char *const names[] = {"id",           "name", "version",    "hardware",
                                        "base_version", "size", "created_at", NULL};
    struct answer answer = {0};
    struct table table;
    const cJSON *image;
    enum exit_code code;
    struct api *api = api_new(args, &code);

    if (!api)
        return code;
    code = api_call(api, "GET", "/api/v1/images", NULL, NULL, 0, &answer);
    if (code == EXIT_DONE && args_has(args, "json")) {
        puts(answer.body);
    } else if (code == EXIT_DONE) {
        table_init(&table, 7);
        for (size_t i = 0; names[i]; i++)
            table_add(&table, names[i]);
        cJSON_ArrayForEach(image, cJSON_GetObjectItemCaseSensitive(answer.json, "images"))
        {
            for (size_t i = 0; names[i + 1]; i++)
                table_add(&table, json_cell(image, names[i]));
            table_add(&table, time_cell(image, "created_at"));
        }
        table_print(&table, stdout);
    }
    answer_release(&answer);
    api_free(api);
    return code;
}

enum exit_code image_show(const struct args *args)
{
    struct answer answer = {0};
    enum exit_code code;
    struct api *api = api_new(args, &code);
    char *path;

    if (!api)
        return code;
    path = api_path(api, "images", args->operands[0], "");
    code = api_call(api, "GET", path, NULL, NULL, 0, &answer);
    if (code == EXIT_DONE && args_has(args, "json"))
        puts(answer.body);
    else if (code == EXIT_DONE)
        print_image(answer.json);
    answer_release(&answer);
    free(path);
    api_free(api);
    return code;
}

enum exit_code image_delete(const struct args *args)
{
    struct answer answer = {0};
    enum exit_code code;
    struct api *api = api_new(args, &code);
    char *path;

    if (!api)
        return code;
    path = api_path(api, "images", args->operands[0], "");
    code = api_call(api, "DELETE", path, NULL, NULL, 0, &answer);
    if (code == EXIT_DONE && !args_has(args, "json"))
        printf("image %s is deleted\n", args->operands[0]);
    answer_release(&answer);
    free(path);
    api_free(api);
    return code;
}
