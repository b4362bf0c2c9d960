/* main.c - fuotactl: the commands, and which one is meant. */
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

static const struct command commands[] = {
    {"image", "add", "FILE --name N --version V [options]", "Uploads a firmware image.", 1, 1,
     image_add_options, image_add, NULL},
    {"image", "list", "", "Lists the images.", 0, 0, NULL, image_list, NULL},
    {"image", "show", "ID", "Shows an image.", 1, 1, NULL, image_show, NULL},
    {"image", "delete", "ID", "Deletes an image that no deployment uses.", 1, 1, NULL, image_delete,
     NULL},
    {"deployment", "create",
     "--image ID --application ID (--device EUI ... | --devices-file F | --device-profile ID |\n"
     "         --tag K=V ... | --all) [options]",
     "Creates a deployment: which devices get which image, and how.", 0, 0,
     deployment_create_options, deployment_create,
     "What is not given, the daemon chooses. The deployment is a draft until it is started."},
    {"deployment", "start", "ID [--no-wait]",
     "Starts a deployment, after checks of all that it needs; prints what is in the way.", 1, 1,
     deployment_wait_options, deployment_start, NULL},
    {"deployment", "list", "", "Lists the deployments.", 0, 0, NULL, deployment_list, NULL},
    {"deployment", "show", "ID", "Shows a deployment.", 1, 1, NULL, deployment_show, NULL},
    {"deployment", "devices", "ID [--stage S]", "Lists the devices of a deployment.", 1, 1,
     deployment_devices_options, deployment_devices, NULL},
    {"deployment", "watch", "ID [--quiet]",
     "Follows a deployment to its end; exits with 0 only if it completed.", 1, 1,
     deployment_watch_options, deployment_watch, NULL},
    {"deployment", "abort", "ID [--no-wait]", "Aborts a deployment.", 1, 1, deployment_wait_options,
     deployment_abort, NULL},
    {"deployment", "pause", "ID [--no-wait]",
     "Stops a running deployment after the fragment that is on its way.", 1, 1,
     deployment_wait_options, deployment_pause, NULL},
    {"deployment", "resume", "ID [--no-wait]",
     "Goes on with a paused deployment, or takes a suspended one up again.", 1, 1,
     deployment_wait_options, deployment_resume, NULL},
    {"deployment", "retry", "ID", "Creates a deployment for the devices that failed.", 1, 1, NULL,
     deployment_retry, NULL},
    {"deployment", "delete", "ID", "Deletes a deployment that is not running.", 1, 1, NULL,
     deployment_delete, NULL},
    {"device", "show", "EUI", "Shows what happened to a device.", 1, 1, NULL, device_show, NULL},
    {NULL, "status", "", "Shows the daemon's state and what it waits for.", 0, 0, NULL, status_show,
     NULL},
    {NULL, "airtime", "", "Shows what all deployments had on air through each gateway.", 0, 0, NULL,
     airtime_show, NULL},
    {NULL, "plan",
     "(ID | --size OCTETS [options])",
     "Shows what a deployment will take: frames, airtime, time, and how many devices are done by when.\n"
     "Of the draft ID the daemon's checks before the start are shown, too; --size needs no server.",
     0, 1, plan_options, plan_show, NULL},
    {NULL, "fragments", "FILE --fragment-size S --coded R [--version 1|2]",
     "Prints the data of every DataFragment of FILE, as \"N hex\" with N from 1. Needs no server.",
     1, 1, fragments_options, fragments_print, NULL},
    {"keys", "derive", "(--gen-app-key K | --app-key K) --mc-addr A --mc-key K",
     "Prints every step of the derivation of a multicast group's keys. Needs no server.", 0, 0,
     keys_options, keys_derive,
     "K is 32 hexadecimal digits (for published vectors: other users see the command line),\n"
     "@FILE, or - for the next line of standard input."},
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *out)
{
    fputs("usage: fuotactl COMMAND [options]\n\ncommands:\n", out);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const struct command *command = &commands[i];
        char words[32];

        snprintf(words, sizeof(words), "%s%s%s", command->group ? command->group : "",
                 command->group ? " " : "", command->name);
        fprintf(out, "  %-20s %.*s\n", words, (int)strcspn(command->text, "\n"), command->text);
    }
    fputs("\noptions of every command:\n", out);
    for (const struct option *option = global_options; option->kind != OPTION_END; option++) {
        char left[32];

        snprintf(left, sizeof(left), "--%s%s%s", option->name, option->value ? " " : "",
                 option->value ? option->value : "");
        fprintf(out, "  %-20s %s\n", left, option->text);
    }
    fputs("  --version            print the version (before a command only)\n"
          "\nexit codes:\n"
          "  0  done\n"
          "  1  the operation failed, or a watched deployment did not complete\n"
          "  2  wrong usage\n"
          "  3  the server cannot be reached\n"
          "  4  not allowed, or a wrong token\n"
          "  5  not found\n"
          "  6  a conflict: exists already, is in use, or not possible in this state\n",
          out);
}

/* The words of the command lead; options of every command may stand before them. */
static size_t skip_options(char **argv, size_t count)
{
    size_t i = 0;

    while (i < count && strncmp(argv[i], "--", 2) == 0) {
        const bool has_value = strcmp(argv[i], "--server") == 0 ||
                               strcmp(argv[i], "--token-file") == 0 ||
                               strcmp(argv[i], "--ca-file") == 0;

        i += has_value ? 2 : 1;
    }
    return i < count ? i : count;
}

static const struct command *find_command(char **argv, size_t count, size_t *ret_words)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const struct command *command = &commands[i];

        if (!command->group && strcmp(argv[0], command->name) == 0) {
            *ret_words = 1;
            return command;
        }
        if (command->group && count > 1 && strcmp(argv[0], command->group) == 0 &&
            strcmp(argv[1], command->name) == 0) {
            *ret_words = 2;
            return command;
        }
    }
    return NULL;
}

static enum exit_code explain_unknown(char **argv, size_t count)
{
    bool is_group = false;

    for (size_t i = 0; i < COMMAND_COUNT; i++)
        is_group = is_group || (commands[i].group && strcmp(commands[i].group, argv[0]) == 0);
    if (!is_group) {
        complain("unknown command \"%s\"; try fuotactl --help", argv[0]);
        return EXIT_USAGE;
    }
    if (count > 1 && strcmp(argv[1], "--help") == 0)
        printf("usage:\n");
    else if (count > 1)
        complain("unknown command \"%s %s\"; there are:", argv[0], argv[1]);
    else
        complain("what with \"%s\"? There are:", argv[0]);
    FILE *out = count > 1 && strcmp(argv[1], "--help") == 0 ? stdout : stderr;

    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (commands[i].group && strcmp(commands[i].group, argv[0]) == 0)
            fprintf(out, "  fuotactl %s %s %s\n", commands[i].group, commands[i].name,
                    commands[i].usage);
    }
    return out == stdout ? EXIT_DONE : EXIT_USAGE;
}

static enum exit_code run(char **argv, size_t count)
{
    const size_t before = skip_options(argv, count);
    const struct command *command;
    struct args args;
    enum exit_code code = EXIT_USAGE;
    size_t words = 0;
    char **rest;

    for (size_t i = 0; i < before; i++) {
        if (strcmp(argv[i], "--version") == 0) {
            puts("fuotactl " FUOTAD_VERSION);
            return EXIT_DONE;
        }
        if (strcmp(argv[i], "--help") == 0 && before == count) {
            print_help(stdout);
            return EXIT_DONE;
        }
    }
    if (before == count) {
        if (count == 0)
            print_help(stderr);
        else
            complain("a command is needed; try fuotactl --help");
        return EXIT_USAGE;
    }
    if (strcmp(argv[before], "help") == 0) {
        print_help(stdout);
        return EXIT_DONE;
    }
    command = find_command(argv + before, count - before, &words);
    if (!command)
        return explain_unknown(argv + before, count - before);
    rest = need(calloc(count + 1, sizeof(*rest)));
    memcpy(rest, argv, before * sizeof(*rest));
    memcpy(rest + before, argv + before + words, (count - before - words) * sizeof(*rest));
    if (!args_parse(&args, command, rest, count - words))
        goto out;
    if (args_has(&args, "help")) {
        print_command_help(stdout, command);
        code = EXIT_DONE;
        goto out;
    }
    if (args.operand_count < command->operands_min || args.operand_count > command->operands_max) {
        complain("%s%s%s needs %s", command->group ? command->group : "", command->group ? " " : "",
                 command->name, command->operands_max == 0 ? "no operand" : "one operand");
        fprintf(stderr, "usage: fuotactl %s%s%s %s\n", command->group ? command->group : "",
                command->group ? " " : "", command->name, command->usage);
        goto out;
    }
    code = command->run(&args);
out:
    args_release(&args);
    free(rest);
    return code;
}

int main(int argc, char **argv)
{
    enum exit_code code;

    curl_global_init(CURL_GLOBAL_DEFAULT);
    code = run(argv + 1, argc > 1 ? (size_t)argc - 1 : 0);
    curl_global_cleanup();
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "fuotactl: writing the output: %s\n", strerror(errno));
        if (code == EXIT_DONE)
            code = EXIT_FAILED;
    }
    return (int)code;
}
