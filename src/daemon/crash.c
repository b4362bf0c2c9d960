#include "crash.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What is being worked on: read by the signal handler, on the thread that writes it. */
static char watched_path[300];
static struct uuid current;
static volatile sig_atomic_t is_entered;
static volatile sig_atomic_t current_kind; /* enum deployment_event_kind; -1: loading */
static volatile uint32_t current_device;

static const char *const event_names[DEPLOYMENT_EVENT_COUNT] = {
    [DEPLOYMENT_EVENT_BEGIN] = "its begin",
    [DEPLOYMENT_EVENT_RESTORED] = "its restoration",
    [DEPLOYMENT_EVENT_TIMER] = "a deadline",
    [DEPLOYMENT_EVENT_ABORT] = "its abort",
    [DEPLOYMENT_EVENT_PAUSE] = "its pause",
    [DEPLOYMENT_EVENT_RESUME] = "its going on",
    [DEPLOYMENT_EVENT_GROUP_CREATED] = "the making of its group",
    [DEPLOYMENT_EVENT_GROUP_FAILED] = "a failed call about its group",
    [DEPLOYMENT_EVENT_GATEWAYS_SET] = "gateways put on its group",
    [DEPLOYMENT_EVENT_GROUP_DELETED] = "the deletion of its group",
    [DEPLOYMENT_EVENT_FRAME_QUEUED] = "a queued frame",
    [DEPLOYMENT_EVENT_FRAME_FAILED] = "a frame that was not queued",
    [DEPLOYMENT_EVENT_FRAME_UNKNOWN] = "a frame of unknown fate",
    [DEPLOYMENT_EVENT_FRAME_DEFERRED] = "a frame that waits for its turn",
    [DEPLOYMENT_EVENT_FRAME_RESULT] = "what a gateway did with a frame",
    [DEPLOYMENT_EVENT_COUNTER] = "the group's counter",
    [DEPLOYMENT_EVENT_OLD_QUEUE] = "the queue of the group before",
    [DEPLOYMENT_EVENT_GAP] = "a gap of the broker's connection",
    [DEPLOYMENT_EVENT_COMMAND_QUEUED] = "a queued command",
    [DEPLOYMENT_EVENT_COMMAND_FAILED] = "a command that was not queued",
    [DEPLOYMENT_EVENT_COMMAND_UNKNOWN] = "a command of unknown fate",
    [DEPLOYMENT_EVENT_QUEUE_CHECKED] = "a device's queue",
    [DEPLOYMENT_EVENT_TXACK] = "a sent command",
    [DEPLOYMENT_EVENT_ITEM_DROPPED] = "a dropped command",
    [DEPLOYMENT_EVENT_UPLINK] = "an uplink",
    [DEPLOYMENT_EVENT_JOIN] = "a join",
};

/* Only what a signal handler may call. */
static void on_fatal_signal(int number)
{
    static const uint8_t version = 1;

    if (is_entered) {
        int32_t kind = current_kind;
        uint32_t device = current_device, signal_number = (uint32_t)number;
        int fd = open(watched_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd >= 0) {
            ssize_t written = write(fd, &version, sizeof(version));
            written += write(fd, &current, sizeof(current));
            written += write(fd, &kind, sizeof(kind));
            written += write(fd, &device, sizeof(device));
            written += write(fd, &signal_number, sizeof(signal_number));
            (void)written; /* a short line is not read */
            close(fd);
        }
    }
    signal(number, SIG_DFL);
    raise(number);
}

void crash_watch(const char *path)
{
    static const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct sigaction action = {.sa_handler = on_fatal_signal};

    snprintf(watched_path, sizeof(watched_path), "%s", path);
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        sigaction(numbers[i], &action, NULL);
    }
}

void crash_enter(const struct uuid *deployment_id, const struct deployment_event *event)
{
    current = *deployment_id;
    current_kind = (sig_atomic_t)event->kind;
    current_device = event->device_index;
    is_entered = 1;
}

void crash_enter_load(const struct uuid *deployment_id)
{
    current = *deployment_id;
    current_kind = -1;
    current_device = 0;
    is_entered = 1;
}

void crash_leave(void)
{
    is_entered = 0;
}

bool crash_read(const char *path, char ret_deployment_id[UUID_TEXT_SIZE],
                char ret_text[CRASH_TEXT_SIZE])
{
    struct {
        uint8_t version;
        struct uuid id;
        int32_t kind;
        uint32_t device, signal_number;
    } line = {0};
    FILE *file = fopen(path, "rbe");

    if (file == NULL) {
        return false;
    }
    bool is_whole = fread(&line.version, sizeof(line.version), 1, file) == 1 &&
                    fread(&line.id, sizeof(line.id), 1, file) == 1 &&
                    fread(&line.kind, sizeof(line.kind), 1, file) == 1 &&
                    fread(&line.device, sizeof(line.device), 1, file) == 1 &&
                    fread(&line.signal_number, sizeof(line.signal_number), 1, file) == 1;
    fclose(file);
    if (!is_whole || line.version != 1) {
        return false;
    }
    bool has_event = line.kind >= 0 && line.kind < DEPLOYMENT_EVENT_COUNT;
    uuid_format(&line.id, ret_deployment_id);
    snprintf(ret_text, CRASH_TEXT_SIZE,
             "the daemon came down (signal %u) when it worked on %s, device number %u",
             line.signal_number, has_event ? event_names[line.kind] : "what is stored of it",
             line.device);
    return true;
}
