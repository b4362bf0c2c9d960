/*
 * watch.c - the progress of a deployment, live.
 *
 * The server's events say when something changed. Where they do not come (too many clients, a proxy
 * that holds them back, the daemon restarts) the deployment is asked for every two seconds instead,
 * and the events are tried again every half minute. Even with events it is asked for now and then.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ctl.h"

#define POLL_S      2  /* without events */
#define RECHECK_S   20 /* with events */
#define STREAM_S    30 /* until events are tried again */
#define UNREACHED_S 120
#define BAR_SIZE    30
#define TURN_MS     1000
#define BLOCK_LINES 5
#define LINE_SIZE   256
#define PHASE_SIZE  160

const struct option deployment_watch_options[] = {
    {OPTION_FLAG, "quiet", NULL, "print the end only"},
    {OPTION_END, NULL, NULL, NULL},
};

struct watch {
    struct api *api;
    const char *id;
    char *path;
    cJSON *deployment;
    char *body; /* the deployment as it came */
    bool is_tty;
    bool is_quiet;
    bool is_json;
    bool is_drawn; /* a block of bars stands above the cursor */
    char last_line[LINE_SIZE];
    enum exit_code code;
};

static double number(const struct watch *watch, const char *name)
{
    return json_number(watch->deployment, name, 0);
}

static double stage(const struct watch *watch, const char *name)
{
    return json_number(cJSON_GetObjectItemCaseSensitive(watch->deployment, "stages"), name, 0);
}

static bool is_over(const struct watch *watch)
{
    static const char *const states[] = {"completed", "partial", "failed", "aborted"};
    const char *state = json_text(watch->deployment, "state");

    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        if (strcmp(state, states[i]) == 0)
            return true;
    }
    return false;
}

static void take(struct watch *watch, cJSON *deployment, const char *body)
{
    cJSON_Delete(watch->deployment);
    free(watch->body);
    watch->deployment = deployment;
    watch->body = need(strdup(body));
}

static void clear_block(struct watch *watch)
{
    if (watch->is_drawn)
        printf("\033[%dA\033[J", BLOCK_LINES);
    watch->is_drawn = false;
}

static void print_bar(const char *title, double done, double total, const char *rest)
{
    const double share = total > 0 && done > 0 ? done / total : 0;
    const int filled = share < 1 ? (int)(share * BAR_SIZE) : BAR_SIZE;

    printf("  %-10s[", title);
    for (int i = 0; i < BAR_SIZE; i++)
        putchar(i < filled ? '#' : '-');
    printf("] %.0f / %.0f %s\n", done, total, rest);
}

static const char *time_left(const struct watch *watch)
{
    const double left_s =
        number(watch, "remaining_s"); /* by the daemon's clock, which may run faster */

    return !is_over(watch) && left_s > 0 ? span_cell(left_s) : NULL;
}

/* Devices that are past the commands of the set-up. */
static double set_up_count(const struct watch *watch)
{
    return stage(watch, "session") + stage(watch, "receiving") + stage(watch, "set_aside") +
           stage(watch, "delivered");
}

/* The transmission's state, and how far it went beyond the first pass. */
static const char *phase(const struct watch *watch, char *text, size_t size)
{
    const char *state = json_text(watch->deployment, "transmission_state");
    const double round = number(watch, "round");
    const double session = number(watch, "session_number");
    const double repair = number(watch, "repair_number");
    int at = snprintf(text, size, "%.60s", state);

    if (repair >= 1 && at < (int)size)
        at += snprintf(text + at, size - (size_t)at, ", further pass %.0f", repair);
    if (round >= 2 && at < (int)size)
        at += snprintf(text + at, size - (size_t)at, ", round %.0f", round);
    if (session >= 2 && at < (int)size)
        at += snprintf(text + at, size - (size_t)at, ", session %.0f", session);
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(watch->deployment, "is_paused")) &&
        at < (int)size)
        snprintf(text + at, size - (size_t)at, ", paused");
    return text;
}

static void draw_block(struct watch *watch)
{
    const double devices = number(watch, "device_count");
    const double failed = stage(watch, "failed");
    char state[PHASE_SIZE];
    const char *transmission = phase(watch, state, sizeof(state));
    const char *left = time_left(watch);
    char text[64];

    clear_block(watch);
    printf("%s%s", json_text(watch->deployment, "state"), transmission[0] ? ": " : "");
    print_clean(stdout, transmission);
    putchar('\n');
    print_bar("set-up", set_up_count(watch), devices, "devices");
    print_bar("fragments", number(watch, "fragments_sent"), number(watch, "fragments_total"),
              "sent");
    snprintf(text, sizeof(text), "delivered, %.0f failed", failed);
    print_bar("status", stage(watch, "delivered"), devices, text);
    if (is_over(watch))
        printf("  over\n");
    else
        printf("  time left %s\n", left ? left : "not known yet");
    fflush(stdout);
    watch->is_drawn = true;
}

static void print_line(struct watch *watch)
{
    char state[PHASE_SIZE];
    const char *transmission = phase(watch, state, sizeof(state));
    char line[LINE_SIZE];

    snprintf(line, sizeof(line),
             "%s%s%s: devices %.0f, set up %.0f, delivered %.0f, failed %.0f; fragments %.0f/%.0f",
             json_text(watch->deployment, "state"), transmission[0] ? " " : "", transmission,
             number(watch, "device_count"), set_up_count(watch), stage(watch, "delivered"),
             stage(watch, "failed"), number(watch, "fragments_sent"),
             number(watch, "fragments_total"));
    if (strcmp(line, watch->last_line) == 0)
        return;
    memcpy(watch->last_line, line, sizeof(line));
    print_clean(stdout, line);
    putchar('\n');
    fflush(stdout);
}

static void show(struct watch *watch)
{
    if (watch->is_quiet || watch->is_json)
        return;
    if (watch->is_tty)
        draw_block(watch);
    else
        print_line(watch);
}

static void on_note(struct watch *watch, const cJSON *note)
{
    const char *dev_eui = json_text(note, "dev_eui");

    if (watch->is_quiet || watch->is_json ||
        strcmp(json_text(note, "deployment_id"), watch->id) != 0)
        return;
    clear_block(watch);
    printf("%s  ", time_cell(note, "at"));
    if (dev_eui[0]) {
        print_clean(stdout, dev_eui);
        fputs("  ", stdout);
    }
    print_clean(stdout, json_cell(note, "text"));
    putchar('\n');
    fflush(stdout);
}

static void on_event(void *arg, const char *event, const char *data)
{
    struct watch *watch = arg;
    cJSON *json = cJSON_Parse(data);

    if (!watch->is_json)
        clean_json(json);
    if (json && strcmp(event, "deployment") == 0 && strcmp(json_text(json, "id"), watch->id) == 0) {
        take(watch, json, data);
        if (!watch->is_tty)
            show(watch);
        return;
    }
    if (json && strcmp(event, "note") == 0)
        on_note(watch, json);
    cJSON_Delete(json);
}

/* Asks for the deployment. */
static enum exit_code look(struct watch *watch)
{
    struct answer answer = {0};
    enum exit_code code = api_call(watch->api, "GET", watch->path, NULL, NULL, 0, &answer);

    if (code == EXIT_DONE && !json_text(answer.json, "state")[0]) {
        complain("the answer is no deployment");
        code = EXIT_UNREACHABLE;
    }
    if (code == EXIT_DONE) {
        take(watch, answer.json, answer.body);
        answer.json = NULL;
    }
    answer_release(&answer);
    return code;
}

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static enum exit_code follow(struct watch *watch)
{
    struct stream *stream = NULL;
    char *path = need(strdup("/api/v1/events"));
    bool was_open = false;
    double asked_s = now_s();
    double reached_s = asked_s;
    double tried_s = asked_s - STREAM_S;
    enum exit_code code = EXIT_DONE;

    api_add_query(watch->api, &path, "deployment_id", watch->id);
    while (!is_over(watch)) {
        if (!stream && now_s() - tried_s >= STREAM_S) {
            tried_s = now_s();
            was_open = false;
            stream = stream_open(watch->api, path, on_event, watch);
        }
        if (stream && !stream_poll(stream, TURN_MS)) {
            stream_close(stream);
            stream = NULL;
            asked_s = 0;
        } else if (stream && stream_is_open(stream)) {
            reached_s = now_s();
            if (!was_open) /* what changed before the first event */
                asked_s = 0;
            was_open = true;
        } else if (!stream) {
            const struct timespec turn = {TURN_MS / 1000, TURN_MS % 1000 * 1000000};

            nanosleep(&turn, NULL);
        }
        if (!is_over(watch) && now_s() - asked_s >= (was_open && stream ? RECHECK_S : POLL_S)) {
            asked_s = now_s();
            /* The daemon may be restarted meanwhile: that is no reason to give up. */
            api_set_silent(watch->api, now_s() - reached_s < UNREACHED_S);
            code = look(watch);
            if (code == EXIT_DONE)
                reached_s = now_s();
            else if (code != EXIT_UNREACHABLE || now_s() - reached_s >= UNREACHED_S)
                break;
        }
        show(watch);
    }
    api_set_silent(watch->api, false);
    if (is_over(watch))
        code = EXIT_DONE;
    else if (code != EXIT_DONE && code != EXIT_UNREACHABLE)
        code = look(watch) == EXIT_DONE ? EXIT_FAILED : code; /* says why */
    stream_close(stream);
    free(path);
    return code;
}

enum exit_code deployment_watch(const struct args *args)
{
    struct watch watch = {
        .id = args->operands[0],
        .is_quiet = args_has(args, "quiet"),
        .is_json = args_has(args, "json"),
        .is_tty = isatty(STDOUT_FILENO) != 0,
    };
    enum exit_code code;

    watch.api = api_new(args, &code);
    if (!watch.api)
        return code;
    watch.path = api_path(watch.api, "deployments", watch.id, "");
    code = look(&watch);
    if (code == EXIT_DONE) {
        watch.id = need(strdup(json_text(watch.deployment, "id")));
        show(&watch);
        code = follow(&watch);
        free((char *)(uintptr_t)watch.id);
    }
    if (code == EXIT_DONE) {
        show(&watch);
        if (watch.is_json) {
            puts(watch.body);
        } else {
            if (!watch.is_quiet)
                putchar('\n');
            print_deployment(stdout, watch.deployment);
        }
        if (strcmp(json_text(watch.deployment, "state"), "completed") != 0)
            code = EXIT_FAILED;
    }
    cJSON_Delete(watch.deployment);
    free(watch.body);
    free(watch.path);
    api_free(watch.api);
    return code;
}
