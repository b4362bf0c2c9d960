/*
 * ctl.h - what the files of fuotactl share: commands and their arguments, the API, the output.
 *
 * A command is a function that gets its parsed arguments and returns an exit code; what went wrong
 * was printed on stderr by then. Results go to stdout; with --json that is the answer as it came.
 */
#ifndef CTL_H
#define CTL_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,      /* the operation failed, or what was watched did not complete */
    EXIT_USAGE = 2,       /* wrong command line */
    EXIT_UNREACHABLE = 3, /* no server, or not what answers there */
    EXIT_DENIED = 4,      /* no token, a wrong one, or one that allows too little */
    EXIT_NOT_FOUND = 5,
    EXIT_CONFLICT = 6, /* not in this state, or it exists already */
};

#define IMAGE_SIZE_MAX (16u * 1024 * 1024)

/* args.c */

enum option_kind {
    OPTION_END, /* of a list */
    OPTION_FLAG,
    OPTION_ONE,
    OPTION_MANY, /* takes all that follows up to the next option; may be repeated */
};

struct option {
    enum option_kind kind;
    const char *name;  /* "--name" without the dashes */
    const char *value; /* its name in the help */
    const char *text;
};

struct given {
    const struct option *option;
    char *value; /* in argv; NULL for a flag */
};

struct args {
    const struct command *command;
    struct given *given;
    size_t given_count;
    char **operands;
    size_t operand_count;
};

struct command {
    const char *group; /* "image"; NULL: the name stands alone */
    const char *name;
    const char *usage; /* operands, and what is typical of the options */
    const char *text;
    size_t operands_min;
    size_t operands_max;
    const struct option *options;
    enum exit_code (*run)(const struct args *args);
    const char *more; /* further lines of the help, or NULL */
};

extern const struct option global_options[];

/*
 * Reads `argv` behind the words of the command into `args` (args_release() frees). Says on stderr
 * what is wrong.
 */
bool args_parse(struct args *args, const struct command *command, char **argv, size_t count);
void args_release(struct args *args);
/* The value of an option; NULL: not given. */
char *args_value(const struct args *args, const char *name);
bool args_has(const struct args *args, const char *name);
/* The values of an option one after another; `*index` starts at 0. NULL: no more. */
char *args_next(const struct args *args, const char *name, size_t *index);
/*
 * A whole number between `min` and `max` from an option. `*ret_number` is untouched when it was not
 * given; false (and a line on stderr) when it is wrong.
 */
bool args_number(const struct args *args, const char *name, long long min, long long max,
                 long long *ret_number);
void print_command_help(FILE *out, const struct command *command);

/* api.c */

struct api;

struct answer {
    long status;
    char *body; /* ends with a zero; never NULL after a call that worked */
    size_t size;
    cJSON *json;    /* NULL: empty, or none; without --json its texts are clean */
    char *location; /* clean; NULL: none */
};

/* Ready to call the server that the options and the environment name. NULL was explained. */
struct api *api_new(const struct args *args, enum exit_code *ret_code);
void api_free(struct api *api);
/*
 * Calls METHOD `path` (below the server's URL) with `body` (NULL: none). EXIT_DONE: the answer is a
 * 2xx and `*ret_answer` holds it (answer_release()). Else the problem was printed, unless
 * `is_silent`, and with --json the document too.
 */
enum exit_code api_call(struct api *api, const char *method, const char *path,
                        const char *media_type, const void *body, size_t body_size,
                        struct answer *ret_answer);
void api_set_silent(struct api *api, bool is_silent);
/* The same with the JSON text of `json` (taken over). */
enum exit_code api_call_json(struct api *api, const char *method, const char *path, cJSON *json,
                             struct answer *ret_answer);
void answer_release(struct answer *answer);
/* "/api/v1/" + folder + "/" + id + rest, with the id escaped; the caller frees. */
char *api_path(struct api *api, const char *folder, const char *id, const char *rest);
/* Appends `name`=`value` to the query of `*path` (NULL `value`: nothing). */
void api_add_query(struct api *api, char **path, const char *name, const char *value);
/* Prints problems: [{"field","detail","dev_eui"}]. */
void print_problems(FILE *out, const cJSON *problems);

/* A stream of events: on_event() is called from stream_poll(). */
struct stream;
typedef void on_event_fn(void *arg, const char *event, const char *data);
struct stream *stream_open(struct api *api, const char *path, on_event_fn *on_event, void *arg);
/* Waits for events, up to `wait_ms`; false: the stream is over. */
bool stream_poll(struct stream *stream, int wait_ms);
bool stream_is_open(const struct stream *stream); /* the server has accepted it */
void stream_close(struct stream *stream);

/* output.c */

__attribute__((format(printf, 1, 2))) void complain(const char *format, ...);
/* Never returns NULL: ends the program with a message instead. */
void *need(void *pointer);
__attribute__((format(printf, 1, 2))) char *format_text(const char *format, ...);
/* Whole file, or stdin for "-", up to `size_max` octets; NULL was explained. The caller frees. */
uint8_t *read_file(const char *path, size_t size_max, size_t *ret_size);
/* What a server or device says may hold anything: control characters become '?'. */
void print_clean(FILE *out, const char *text);
void clean_text(char *text);
void clean_json(cJSON *json);                                 /* all its texts and names */
const char *json_text(const cJSON *object, const char *name); /* "" if it is none */
double json_number(const cJSON *object, const char *name, double instead); /* null, missing */
/* Members as a cell: texts, numbers, "-" for null. The result lives until the 16th call after. */
const char *json_cell(const cJSON *object, const char *name);
/* 2024-01-31T10:20:30.123Z as "2024-01-31 10:20:30Z", "-" for null; lives like json_cell(). */
const char *time_cell(const cJSON *object, const char *name);
/* Seconds since the Unix epoch of an RFC 3339 time in UTC; false if it is none. */
bool parse_time(const char *text, double *ret_s);
/* "2 h 5 min"; lives like json_cell(). */
const char *span_cell(double seconds);

/* Rows of cells printed in columns. The first row is the heading. */
struct table {
    char **cells;
    size_t count;
    size_t capacity;
    size_t columns;
};
void table_init(struct table *table, size_t columns);
void table_add(struct table *table, const char *cell);
void table_print(struct table *table, FILE *out); /* and releases it */

/* The commands. */
enum exit_code image_add(const struct args *args);
enum exit_code image_list(const struct args *args);
enum exit_code image_show(const struct args *args);
enum exit_code image_delete(const struct args *args);
enum exit_code deployment_create(const struct args *args);
enum exit_code deployment_plan_ask(const struct args *args);
enum exit_code deployment_start(const struct args *args);
enum exit_code deployment_list(const struct args *args);
enum exit_code deployment_show(const struct args *args);
enum exit_code deployment_devices(const struct args *args);
enum exit_code deployment_watch(const struct args *args);
enum exit_code deployment_pause(const struct args *args);
enum exit_code deployment_abort(const struct args *args);
enum exit_code deployment_resume(const struct args *args);
enum exit_code deployment_retry(const struct args *args);
enum exit_code deployment_delete(const struct args *args);
enum exit_code device_show(const struct args *args);
enum exit_code airtime_show(const struct args *args);
enum exit_code status_show(const struct args *args);
enum exit_code plan_show(const struct args *args);
enum exit_code fragments_print(const struct args *args);
enum exit_code keys_derive(const struct args *args);

extern const struct option image_add_options[];
extern const struct option deployment_create_options[];
extern const struct option deployment_wait_options[];
extern const struct option deployment_devices_options[];
extern const struct option deployment_watch_options[];
extern const struct option fragments_options[];
extern const struct option plan_options[];
extern const struct option keys_options[];

/* wish.c: asks the daemon for `kind` (start ...) and follows the request until it is `done` (NULL:
 * nothing is to be said then). */
enum exit_code ask_daemon(struct api *api, const struct args *args, const char *id,
                          const char *kind, const char *done);

/* create.c: the members of a wish from the options. False: what is wrong was said. */
bool create_add_params(cJSON *json, const struct args *args);

/* plan.c */
void plan_print(const cJSON *plan);

/* deployment.c, for watch.c */
void print_deployment(FILE *out, const cJSON *deployment);

#endif
