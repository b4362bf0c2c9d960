/* plan.c - what a deployment will take: offline from parameters, or of a draft by the daemon. */
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "wish/wish.h"

#define IMAGE_SIZE_MAX_PLAN 16777216
#define SHOWN_ROUNDS        8

const struct option plan_options[] = {
    {OPTION_ONE, "size", "OCTETS", "of the image (needed without a deployment)"},
    {OPTION_ONE, "devices", "N", "how many (default: 1)"},
    {OPTION_ONE, "region", "R", "EU868 ... (default: EU868)"},
    {OPTION_ONE, "data-rate", "D", "of the fragments (default: the region's)"},
    {OPTION_ONE, "frequency", "HZ", "of the fragments (default: the region's)"},
    {OPTION_MANY, "loss", "P",
     "share of fragments that devices lose, as 0.1; or SHARE:LOSS, as 0.9:0.02 0.1:0.2"},
    {OPTION_ONE, "gateways", "N", "on the group (default: 1)"},
    {OPTION_ONE, "fragment-size", "N", "octets, or auto"},
    {OPTION_ONE, "redundancy", "PERCENT", "coded fragments sent first, or auto"},
    {OPTION_ONE, "rounds", "N", "at most; 1: what is sent first, only"},
    {OPTION_ONE, "sessions", "N", "class C sessions at most"},
    {OPTION_ONE, "airtime-budget", "SECONDS", "on air for each gateway, at most"},
    {OPTION_ONE, "time-limit", "SECONDS", "after the start no more fragments are sent"},
    {OPTION_ONE, "setup-deadline", "SECONDS", "for setting up the devices"},
    {OPTION_ONE, "uplink-interval", "SECONDS", "of the slowest device (default: 3600)"},
    {OPTION_ONE, "margin", "MS", "multicast_class_c_margin of the network server (default: 5000)"},
    {OPTION_ONE, "min-gap", "MS", "between two fragments"},
    {OPTION_ONE, "duty-cycle", "SHARE", "of the time that a gateway may be on air, as 0.01"},
    {OPTION_FLAG, "override-duty-cycle", NULL, "... also above what the region allows"},
    {OPTION_FLAG, "allow-bad-block-count", NULL, "accept a number of fragments with a weak code"},
    {OPTION_FLAG, "consecutive-rows", NULL, "every coded fragment, also where a choice is better"},
    {OPTION_END, NULL, NULL, NULL},
};

static const char *percent_cell(const cJSON *object, const char *name)
{
    static char text[4][24];
    static unsigned next;
    char *cell = text[next++ % 4];

    snprintf(cell, sizeof(text[0]), "%.4g %%", 100.0 * json_number(object, name, 0));
    return cell;
}

static void print_chances(const cJSON *plan)
{
    static const char *const suffixes[] = {"", "_p90", "_p99"};
    static const char *const titles[] = {"1 of 2", "9 of 10", "99 of 100"};
    struct table table;

    table_init(&table, 6);
    for (const char *const *title = (const char *const[]){"ENOUGH FOR", "FRAMES", "FRAGMENTS",
                                                          "ON AIR", "TIME", "SESSIONS", NULL};
         *title; title++)
        table_add(&table, *title);
    for (size_t i = 0; i < 3; i++) {
        char names[5][24];
        static const char *const members[] = {"frames", "fragments", "airtime_ms", "time_s",
                                              "sessions"};

        for (size_t m = 0; m < 5; m++)
            snprintf(names[m], sizeof(names[m]), "%s%s", members[m], suffixes[i]);
        table_add(&table, titles[i]);
        table_add(&table, json_cell(plan, names[0]));
        table_add(&table, json_cell(plan, names[1]));
        table_add(&table, span_cell(json_number(plan, names[2], 0) / 1000));
        table_add(&table, span_cell(json_number(plan, names[3], 0)));
        table_add(&table, json_cell(plan, names[4]));
    }
    table_print(&table, stdout);
}

static void print_coverage(const cJSON *coverage)
{
    const cJSON *gateways = cJSON_GetObjectItemCaseSensitive(coverage, "gateways");
    const double covered = json_number(coverage, "covered", 0);
    const double not_covered = json_number(coverage, "not_covered", 0);

    if (covered + not_covered == 0)
        puts("coverage   not known: no device was heard lately (observe.applications)");
    else
        printf("coverage   the group's gateways (%d) hear %.0f of the devices; only others hear "
               "%.0f, and %.0f were not heard lately\n",
               cJSON_GetArraySize(gateways), covered, not_covered,
               json_number(coverage, "unknown", 0));
}

static void print_sharing(const cJSON *sharing)
{
    const cJSON *entry;

    cJSON_ArrayForEach(entry, sharing)
    {
        printf(
            "sharing    %d of the gateways with the deployment %s, which runs: they take turns\n",
            cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(entry, "gateways")),
            json_cell(entry, "name"));
    }
}

void plan_print(const cJSON *plan)
{
    const cJSON *coverage = cJSON_GetObjectItemCaseSensitive(plan, "coverage");
    const cJSON *rounds = cJSON_GetObjectItemCaseSensitive(plan, "rounds");
    const cJSON *shares = cJSON_GetObjectItemCaseSensitive(plan, "fragments_for");
    const cJSON *warnings = cJSON_GetObjectItemCaseSensitive(plan, "warnings");
    const cJSON *round;
    unsigned number = 0;

    printf("block      %s fragments of %s octets, %s of padding; %s coded ones first%s\n",
           json_cell(plan, "fragment_count"), json_cell(plan, "fragment_size"),
           json_cell(plan, "padding_size"), json_cell(plan, "coded_count"),
           cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(plan, "choose_rows")) ? ", chosen" : "");
    printf("frames     %s ms on air, one in %.1f s: %s of the time of each gateway (%s is "
           "allowed)\n",
           json_cell(plan, "frame_airtime_ms"), json_number(plan, "gap_ms", 0) / 1000,
           percent_cell(plan, "duty_used"), percent_cell(plan, "duty_cycle"));
    printf("session    after %s of set-up; open for %s; answers within %.0f s\n",
           span_cell(json_number(plan, "setup_s", 0)), span_cell(json_number(plan, "session_s", 0)),
           (double)(1u << ((unsigned)json_number(plan, "block_ack_delay", 0) % 8 + 4)));
    if (coverage)
        print_coverage(coverage);
    print_sharing(cJSON_GetObjectItemCaseSensitive(plan, "sharing"));
    printf("devices    50 / 90 / 99 / 99.9 %% are done after %s / %s / %s / %s fragments\n",
           json_cell(shares, "50"), json_cell(shares, "90"), json_cell(shares, "99"),
           json_cell(shares, "99.9"));
    cJSON_ArrayForEach(round, rounds)
    {
        if (++number <= SHOWN_ROUNDS)
            printf("round %-2u   up to fragment %s: %s of the devices are done\n", number,
                   json_cell(round, "fragments"), percent_cell(round, "done"));
    }
    printf("end        %s of the devices are done; each takes about %s mAh for listening\n\n",
           percent_cell(plan, "done"), json_cell(plan, "charge_mah"));
    print_chances(plan);
    fflush(stdout);
    if (cJSON_GetArraySize(warnings) > 0) {
        complain("warnings:");
        print_problems(stderr, warnings);
    }
}

static enum exit_code plan_offline(const struct args *args)
{
    struct wish_defaults defaults = wish_defaults;
    struct network_profile profile = {
        .clock_sync_port = 202, .fragmentation_port = 201, .multicast_setup_port = 200};
    struct wish_facts facts = {.profile = &profile, .mc_addr = 1};
    long long size = 0, devices = 1, gateways = 1, interval = defaults.uplink_interval_s;
    long long margin = defaults.margin_ms;
    struct deployment_params params;
    struct wish wish;
    cJSON *json = need(cJSON_CreateObject());
    cJSON *problems = need(cJSON_CreateArray());
    enum exit_code code = EXIT_USAGE;

    if (!args_has(args, "size")) {
        complain("plan: --size is needed, or a deployment");
        goto out;
    }
    if (!args_number(args, "size", 1, IMAGE_SIZE_MAX_PLAN, &size) ||
        !args_number(args, "devices", 1, DEPLOYMENT_DEVICES_MAX, &devices) ||
        !args_number(args, "gateways", 1, DEPLOYMENT_GATEWAYS_MAX, &gateways) ||
        !args_number(args, "uplink-interval", 1, 2592000, &interval) ||
        !args_number(args, "margin", 100, 600000, &margin) || !create_add_params(json, args))
        goto out;
    if (!args_has(args, "region"))
        cJSON_AddStringToObject(json, "region", "EU868");
    facts.image_size = (size_t)size;
    facts.device_count = (uint32_t)devices;
    defaults.margin_ms = margin;
    defaults.gateways_max = gateways;
    wish_read(json, problems, &wish);
    if (cJSON_GetArraySize(problems) == 0)
        wish_params(&wish, &facts, &defaults, problems, &params);
    if (cJSON_GetArraySize(problems) > 0) {
        complain("plan: not possible:");
        print_problems(stderr, problems);
        goto out;
    }
    struct plan_fleet fleet =
        wish_fleet(&wish, &params, &defaults, (unsigned)gateways, (uint32_t)interval);
    struct deployment_plan made;
    wish_plan(&params, &fleet, &made);
    cJSON *plan = wish_plan_json(&wish, &params, &defaults, &fleet, &made);
    if (args_has(args, "json")) {
        char *text = need(cJSON_PrintUnformatted(plan));

        puts(text);
        free(text);
    } else {
        plan_print(plan);
    }
    code = EXIT_DONE;
    cJSON_Delete(plan);
out:
    cJSON_Delete(problems);
    cJSON_Delete(json);
    return code;
}

enum exit_code plan_show(const struct args *args)
{
    for (const struct option *option = plan_options;
         args->operand_count > 0 && option->kind != OPTION_END; option++) {
        if (args_has(args, option->name)) {
            complain("plan: --%s does not go with a deployment, whose draft says it all",
                     option->name);
            return EXIT_USAGE;
        }
    }
    return args->operand_count == 0 ? plan_offline(args) : deployment_plan_ask(args);
}
