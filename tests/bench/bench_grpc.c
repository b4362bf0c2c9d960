/*
 * bench_grpc.c - calls of the driver alone, against a stand-in in a process of its own: commands to
 * devices, and frames of many groups, one under way for each.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <uv.h>

#include "bench.h"
#include "lib/no_mqtt.h"
#include "load.h"

#define CALL_COUNT 200000
#define GROUPS     1000
#define GOAL       20000.0

struct run {
    uv_loop_t loop;
    struct network_driver driver;
    unsigned sent, done, failed;
    bool is_group;
    bool is_connected;
};

/* One place of the run: its next call follows its last. */
struct place {
    struct run *run;
    unsigned number;
};

static void send_next(struct place *place);

static void on_done(void *arg, enum network_outcome outcome, const char *text,
                    const struct network_answer *answer)
{
    struct place *place = arg;

    (void)text, (void)answer;
    place->run->done++;
    place->run->failed += outcome != NETWORK_DONE;
    send_next(place);
}

static void send_next(struct place *place)
{
    static const uint8_t fragment[222], command[30];
    struct run *run = place->run;
    struct uuid group = {{0}};

    if (run->sent == CALL_COUNT) {
        return;
    }
    run->sent++;
    if (run->is_group) {
        group.octets[14] = (uint8_t)(place->number >> 8);
        group.octets[15] = (uint8_t)place->number;
        run->driver.enqueue_group(run->driver.self, &group, 201, fragment, sizeof(fragment),
                                  INT64_C(1785405600000), on_done, place);
    } else {
        run->driver.enqueue(run->driver.self, place->number + 1, 200, command, sizeof(command),
                            INT64_C(1785405600000), on_done, place);
    }
}

static void measure(struct run *run, const char *name, bool is_group)
{
    static struct place places[GROUPS];
    char cpu_name[128];

    run->sent = run->done = run->failed = 0;
    run->is_group = is_group;
    double begin = bench_now_ms(), cpu = bench_cpu_ms();
    for (unsigned i = 0; i < GROUPS; i++) {
        places[i] = (struct place){.run = run, .number = i};
        send_next(&places[i]);
    }
    while (run->done < CALL_COUNT) {
        uv_run(&run->loop, UV_RUN_ONCE);
    }
    if (run->failed > 0) {
        fprintf(stderr, "bench_grpc: %u calls failed\n", run->failed);
        exit(1);
    }
    bench_goal(name, CALL_COUNT / (bench_now_ms() - begin) * 1e3, "a second", "higher", GOAL);
    (void)snprintf(cpu_name, sizeof(cpu_name), "%s: processor time of the caller", name);
    bench_info(cpu_name, (bench_cpu_ms() - cpu) / CALL_COUNT * 1e3, "us each", "lower");
}

/* the driver's other callbacks: nothing comes */

static bool is_wanted(void *arg, const struct uuid *application_id, uint64_t dev_eui)
{
    (void)arg, (void)application_id, (void)dev_eui;
    return false;
}

static void on_event(void *arg, const struct network_event *event)
{
    (void)arg, (void)event;
}

static void on_batch(void *arg)
{
    (void)arg;
}

static void on_events_state(void *arg, const char *text, bool is_session_kept)
{
    (void)arg, (void)text, (void)is_session_kept;
}

static void on_calls_state(void *arg, const char *text)
{
    struct run *run = arg;

    run->is_connected = text == NULL;
}

static void on_warning(void *arg, const char *text)
{
    (void)arg, (void)text;
}

/* the stand-in */

static void on_call(void *arg, uint64_t dev_eui, bool is_command)
{
    (void)arg, (void)dev_eui, (void)is_command;
}

static uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, size) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        exit(1);
    }
    close(fd);
    return ntohs(address.sin_port);
}

static void serve(uint16_t port)
{
    uv_loop_t loop;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)uv_loop_init(&loop);
    (void)api_new(&loop, port, on_call, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    exit(1);
}

int main(void)
{
    static const struct network_callbacks callbacks = {.is_wanted = is_wanted,
                                                       .on_event = on_event,
                                                       .on_batch = on_batch,
                                                       .on_events_state = on_events_state,
                                                       .on_calls_state = on_calls_state,
                                                       .on_warning = on_warning};
    static struct run run;
    uint16_t port = free_port();
    pid_t child = fork();

    if (child == 0) {
        serve(port);
    }
    /* As main.c of the daemon has them. */
    struct chirpstack_options options = {
        .grpc = {.transport = {.host = "127.0.0.1", .port = port},
                 .token = "0123456789abcdef0123456789abcdef",
                 .deadline_ms = 10000,
                 .in_flight_max = 200,
                 .queue_max = 200000,
                 .message_size_max = 1 << 20},
        .event_topic = "application/{application_id}/device/{dev_eui}/event/{event}",
    };
    (void)uv_loop_init(&run.loop);
    if (chirpstack_new(&run.loop, &options, &callbacks, &run, &run.driver) != ERR_OK) {
        return 1;
    }
    while (!run.is_connected) {
        uv_run(&run.loop, UV_RUN_ONCE);
    }
    measure(&run, "calls of the driver: commands to devices", false);
    measure(&run, "calls of the driver: frames of 1000 groups", true);
    (void)kill(child, SIGKILL);
    return 0;
}
