/*
 * fuzz_ctl.c - whatever a server answers and whatever stands in a file: fuotactl ends with one of
 * its codes, and prints nothing that a terminal would take for a command.
 *
 * libcurl and the time are played here. The input: a command, octets of choices, a file and its
 * size, then answers: a status, a size, the octets. Behind the last one the server is gone.
 */
#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>

#include "ctl.h"
#include "lib/fuzz_file.h"
#include "lib/fuzz_input.h"

#define CALLS_MAX   200 /* then the server is gone */
#define PIECE_SIZE  100 /* of an event stream */
#define ARGUMENTS   16
#define CODE_LAST   EXIT_CONFLICT
#define NANOSECONDS 1000000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int fuotactl_main(int argc, char **argv);

static struct fuzz_input input;
static unsigned calls;
static bool is_tty;

/* time: passes when it is waited for */

static struct timespec now;

int fuzz_clock_gettime(clockid_t clock, struct timespec *ret);
int fuzz_nanosleep(const struct timespec *span, struct timespec *left);
int fuzz_isatty(int fd);

int fuzz_clock_gettime(clockid_t clock, struct timespec *ret)
{
    (void)clock;
    *ret = now;
    return 0;
}

int fuzz_nanosleep(const struct timespec *span, struct timespec *left)
{
    (void)left;
    now.tv_sec += span->tv_sec + (now.tv_nsec + span->tv_nsec) / NANOSECONDS;
    now.tv_nsec = (now.tv_nsec + span->tv_nsec) % NANOSECONDS;
    return 0;
}

int fuzz_isatty(int fd)
{
    (void)fd;
    return is_tty;
}

/* libcurl: one handle for calls, another for the events */

typedef size_t take_fn(char *data, size_t size, size_t count, void *arg);

struct handle {
    take_fn *on_data, *on_header;
    void *data_arg, *header_arg;
    long status;
};

static struct handle *streaming; /* the one of the events */

CURLcode curl_global_init(long flags)
{
    (void)flags;
    return CURLE_OK;
}

void curl_global_cleanup(void)
{
}

CURL *curl_easy_init(void)
{
    return calloc(1, sizeof(struct handle));
}

void curl_easy_cleanup(CURL *curl)
{
    free(curl);
}

void curl_easy_reset(CURL *curl)
{
    *(struct handle *)curl = (struct handle){0};
}

CURLcode curl_easy_setopt(CURL *curl, CURLoption option, ...)
{
    struct handle *handle = curl;
    va_list args;

    va_start(args, option);
    if (option == CURLOPT_WRITEFUNCTION) {
        handle->on_data = va_arg(args, take_fn *);
    } else if (option == CURLOPT_WRITEDATA) {
        handle->data_arg = va_arg(args, void *);
    } else if (option == CURLOPT_HEADERFUNCTION) {
        handle->on_header = va_arg(args, take_fn *);
    } else if (option == CURLOPT_HEADERDATA) {
        handle->header_arg = va_arg(args, void *);
    }
    va_end(args);
    return CURLE_OK;
}

CURLcode curl_easy_getinfo(CURL *curl, CURLINFO info, ...)
{
    va_list args;

    va_start(args, info);
    assert(info == CURLINFO_RESPONSE_CODE);
    *va_arg(args, long *) = ((struct handle *)curl)->status;
    va_end(args);
    return CURLE_OK;
}

/* Octets in a buffer of their exact size. */
static bool give(take_fn *take, void *arg, const uint8_t *octets, size_t size)
{
    char *copy = malloc(size > 0 ? size : 1);

    assert(copy != NULL);
    if (size > 0) {
        memcpy(copy, octets, size);
    }
    size_t taken = size > 0 ? take(copy, 1, size, arg) : 0;
    free(copy);
    return taken == size;
}

static long status_of(uint8_t choice)
{
    static const long statuses[] = {200, 200, 200, 201, 202, 204, 400, 401,
                                    403, 404, 409, 422, 500, 503, 302, 0};

    return statuses[choice % 16];
}

CURLcode curl_easy_perform(CURL *curl)
{
    struct handle *handle = curl;
    uint8_t head = fuzz_u8(&input);
    size_t size;

    if (input.size == 0 || ++calls > CALLS_MAX) {
        return CURLE_COULDNT_CONNECT;
    }
    handle->status = status_of(head);
    if ((head & 16) != 0) {
        const uint8_t *line = fuzz_octets(&input, fuzz_u8(&input), &size);
        if (!give(handle->on_header, handle->header_arg, line, size)) {
            return CURLE_WRITE_ERROR;
        }
    }
    const uint8_t *body = fuzz_octets(&input, fuzz_u16(&input), &size);
    return give(handle->on_data, handle->data_arg, body, size) ? CURLE_OK : CURLE_WRITE_ERROR;
}

const char *curl_easy_strerror(CURLcode code)
{
    (void)code;
    return "an error";
}

char *curl_easy_escape(CURL *curl, const char *text, int size)
{
    (void)curl, (void)size;
    return strdup(text);
}

void curl_free(void *memory)
{
    free(memory);
}

struct curl_slist *curl_slist_append(struct curl_slist *list, const char *text)
{
    struct curl_slist *item = calloc(1, sizeof(*item)), **last = &list;

    assert(item != NULL);
    item->data = strdup(text);
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = item;
    return list;
}

void curl_slist_free_all(struct curl_slist *list)
{
    while (list != NULL) {
        struct curl_slist *next = list->next;
        free(list->data);
        free(list);
        list = next;
    }
}

CURLM *curl_multi_init(void)
{
    return calloc(1, 1);
}

CURLMcode curl_multi_cleanup(CURLM *multi)
{
    free(multi);
    return CURLM_OK;
}

CURLMcode curl_multi_add_handle(CURLM *multi, CURL *curl)
{
    (void)multi;
    streaming = curl;
    streaming->status = status_of(fuzz_u8(&input));
    return CURLM_OK;
}

CURLMcode curl_multi_remove_handle(CURLM *multi, CURL *curl)
{
    (void)multi, (void)curl;
    streaming = NULL;
    return CURLM_OK;
}

/* A piece of the events, or their end. */
CURLMcode curl_multi_perform(CURLM *multi, int *ret_running)
{
    uint8_t head = fuzz_u8(&input);
    size_t size;
    const uint8_t *piece = fuzz_octets(&input, head % PIECE_SIZE, &size);

    (void)multi;
    *ret_running = input.size > 0 && head < 250 && ++calls < CALLS_MAX &&
                   give(streaming->on_data, streaming->data_arg, piece, size);
    return CURLM_OK;
}

CURLMcode curl_multi_poll(CURLM *multi, struct curl_waitfd *fds, unsigned count, int wait_ms,
                          int *ret_count)
{
    (void)multi, (void)fds, (void)count, (void)ret_count;
    now.tv_sec += (wait_ms + 999) / 1000;
    return CURLM_OK;
}

/* commands */

#define ID        "00000000-0000-0000-0000-000000000001"
#define FILE_HERE "@"

/* FILE_HERE stands for the name of the file, "@" and more for "@" and its name. */
static const char *const commands[][ARGUMENTS] = {
    {"image", "add", FILE_HERE, "--name", "n", "--version", "v"},
    {"image", "list"},
    {"image", "show", ID},
    {"image", "delete", ID},
    {"deployment", "create", "--image", ID, "--application", ID, "--devices-file", FILE_HERE,
     "--start-now"},
    {"deployment", "start", ID},
    {"deployment", "list"},
    {"deployment", "show", ID},
    {"deployment", "devices", ID},
    {"deployment", "watch", ID},
    {"deployment", "abort", ID},
    {"deployment", "retry", ID},
    {"deployment", "start", ID, "--no-wait"},
    {"device", "show", "0102030405060708"},
    {"status"},
    {"fragments", FILE_HERE, "--fragment-size", "50", "--coded", "3"},
    {"keys", "derive", "--app-key", "@file", "--mc-addr", "01020304", "--mc-key", "@file"},
    {"status", "--token-file", FILE_HERE},
};

static int run(const char *const *command, const char *file, bool is_json)
{
    char *argv[ARGUMENTS + 3] = {strdup("fuotactl")};
    char at_file[64];
    int argc = 1;

    snprintf(at_file, sizeof(at_file), "@%s", file);
    for (; command[argc - 1] != NULL; argc++) {
        const char *word = command[argc - 1];
        word = strcmp(word, FILE_HERE) == 0 ? file : word[0] == '@' ? at_file : word;
        argv[argc] = strdup(word);
    }
    if (is_json) {
        argv[argc++] = strdup("--json");
    }
    int code = fuotactl_main(argc, argv);
    for (int i = 0; i < argc; i++) {
        free(argv[i]);
    }
    return code;
}

/* The lines' ends and what draws the bars of a terminal are ours. */
static void check_text(const char *text, bool may_draw)
{
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        if (may_draw && strncmp((const char *)p, "\033[5A\033[J", 7) == 0) {
            p += 6;
            continue;
        }
        assert((*p >= 0x20 || *p == '\n') && *p != 0x7F);
        assert(p[0] != 0xC2 || p[1] < 0x80 || p[1] > 0x9F);
    }
}

/* Closes it. What --json prints is as it came. */
static void check_output(FILE *file, bool is_json, bool may_draw)
{
    long size = ftell(file);
    char *text = calloc(1, (size_t)size + 1);

    assert(text != NULL);
    rewind(file);
    assert(fread(text, 1, (size_t)size, file) == (size_t)size);
    fclose(file);
    if (!is_json) {
        assert(strlen(text) == (size_t)size);
        check_text(text, may_draw);
    }
    free(text);
}

static int run_captured(const char *const *command, const char *file, bool is_json)
{
    FILE *real_out = stdout, *real_err = stderr;

    stdout = tmpfile();
    stderr = tmpfile();
    assert(stdout != NULL && stderr != NULL);
    int code = run(command, file, is_json);
    FILE *out = stdout, *err = stderr;
    stdout = real_out;
    stderr = real_err;
    check_output(out, is_json, is_tty);
    check_output(err, false, false);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t file_size;

    input = (struct fuzz_input){data, size};
    const char *const *command =
        commands[fuzz_u8(&input) % (sizeof(commands) / sizeof(commands[0]))];
    uint8_t choices = fuzz_u8(&input);
    const uint8_t *file = fuzz_octets(&input, fuzz_u16(&input), &file_size);

    is_tty = (choices & 1) != 0;
    calls = 0;
    now = (struct timespec){.tv_sec = 1000};
    int code = run_captured(command, fuzz_file(file, file_size), (choices & 2) != 0);
    assert(code >= EXIT_DONE && code <= (int)CODE_LAST);
    return 0;
}
