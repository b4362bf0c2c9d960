/* args.c - options and operands, and the help made of the same tables. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

const struct option global_options[] = {
    {OPTION_ONE, "server", "URL",
     "the daemon (default: $FUOTACTL_SERVER, or http://127.0.0.1:8090)"},
    {OPTION_ONE, "token-file", "FILE", "holds the token (default: $FUOTACTL_TOKEN)"},
    {OPTION_ONE, "ca-file", "FILE", "PEM certificates to trust for https (default: the system's)"},
    {OPTION_FLAG, "json", NULL, "print the JSON of the answer"},
    {OPTION_FLAG, "help", NULL, "print this help"},
    {OPTION_END, NULL, NULL, NULL},
};

static const struct option *find(const struct option *options, const char *name, size_t size)
{
    for (; options && options->kind != OPTION_END; options++) {
        if (strlen(options->name) == size && memcmp(options->name, name, size) == 0)
            return options;
    }
    return NULL;
}

static const char *words(const struct command *command)
{
    static char text[64];

    if (command)
        snprintf(text, sizeof(text), "fuotactl %s%s%s", command->group ? command->group : "",
                 command->group ? " " : "", command->name);
    return command ? text : "fuotactl";
}

static void give(struct args *args, const struct option *option, char *value)
{
    args->given[args->given_count++] = (struct given){option, value};
}

bool args_parse(struct args *args, const struct command *command, char **argv, size_t count)
{
    bool are_options_over = false;

    *args = (struct args){.command = command};
    args->given = need(calloc(count + 1, sizeof(*args->given)));
    args->operands = need(calloc(count + 1, sizeof(*args->operands)));
    for (size_t i = 0; i < count; i++) {
        char *arg = argv[i];

        if (are_options_over || strncmp(arg, "--", 2) != 0) {
            if (!are_options_over && arg[0] == '-' && arg[1] != '\0') {
                complain("%s: unknown option %s (options begin with two dashes)", words(command),
                         arg);
                return false;
            }
            args->operands[args->operand_count++] = arg;
            continue;
        }
        if (arg[2] == '\0') {
            are_options_over = true;
            continue;
        }
        const size_t size = strcspn(arg + 2, "=");
        char *value = arg[2 + size] == '=' ? arg + 2 + size + 1 : NULL;
        const struct option *option = command ? find(command->options, arg + 2, size) : NULL;

        if (!option)
            option = find(global_options, arg + 2, size);
        if (!option) {
            complain("%s: unknown option %.*s; try --help", words(command), (int)size + 2, arg);
            return false;
        }
        if (option->kind == OPTION_FLAG) {
            if (value) {
                complain("%s: --%s takes no value", words(command), option->name);
                return false;
            }
            give(args, option, NULL);
            continue;
        }
        if (option->kind == OPTION_ONE && args_has(args, option->name)) {
            complain("%s: --%s is given twice", words(command), option->name);
            return false;
        }
        if (!value && i + 1 < count && strncmp(argv[i + 1], "--", 2) != 0)
            value = argv[++i];
        if (!value) {
            complain("%s: --%s needs %s", words(command), option->name, option->value);
            return false;
        }
        give(args, option, value);
        while (option->kind == OPTION_MANY && i + 1 < count && strncmp(argv[i + 1], "--", 2) != 0)
            give(args, option, argv[++i]);
    }
    return true;
}

void args_release(struct args *args)
{
    free(args->given);
    free(args->operands);
}

char *args_next(const struct args *args, const char *name, size_t *index)
{
    while (*index < args->given_count) {
        const struct given *given = &args->given[(*index)++];

        if (strcmp(given->option->name, name) == 0)
            return given->value;
    }
    return NULL;
}

char *args_value(const struct args *args, const char *name)
{
    size_t index = 0;

    return args_next(args, name, &index);
}

bool args_has(const struct args *args, const char *name)
{
    for (size_t i = 0; i < args->given_count; i++) {
        if (strcmp(args->given[i].option->name, name) == 0)
            return true;
    }
    return false;
}

bool args_number(const struct args *args, const char *name, long long min, long long max,
                 long long *ret_number)
{
    const char *text = args_value(args, name);
    char *end;
    long long number;

    if (!text)
        return true;
    errno = 0;
    number = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || number < min || number > max) {
        complain("%s: --%s must be a whole number, %lld .. %lld, not \"%s\"", words(args->command),
                 name, min, max, text);
        return false;
    }
    *ret_number = number;
    return true;
}

static void print_options(FILE *out, const struct option *options)
{
    for (; options && options->kind != OPTION_END; options++) {
        char left[64];

        snprintf(left, sizeof(left), "--%s%s%s%s", options->name, options->value ? " " : "",
                 options->value ? options->value : "", options->kind == OPTION_MANY ? " ..." : "");
        fprintf(out, "  %-26s %s\n", left, options->text);
    }
}

void print_command_help(FILE *out, const struct command *command)
{
    fprintf(out, "usage: %s%s%s\n\n%s\n", words(command), command->usage[0] ? " " : "",
            command->usage, command->text);
    if (command->options) {
        fputs("\noptions:\n", out);
        print_options(out, command->options);
    }
    fputs("\noptions of every command:\n", out);
    print_options(out, global_options);
    if (command->more)
        fprintf(out, "\n%s\n", command->more);
}
