/*
 * bench_load GRPC-PORT MQTT-PORT: the load of the benchmarks that drive fuotad. Obeys the lines of
 * its standard input; each is answered with a line of JSON. Times are microseconds of one clock.
 *
 *   publish APPLICATION EUI DEVICES COUNT RATE FPORT BASE64   when the broker has acknowledged all
 *   background (the same)                                     at once; it is published beside
 * others latency (the same)    one uplink for each device; when the calls they cause are over calls
 * how many came since the last time
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

#define LINE_SIZE  512
#define LIMIT_MS   20000 /* for the calls that uplinks cause */
#define PERCENTILE 99

/* The samples of a latency run. */
struct latency {
    struct load_uplinks uplinks;
    uint64_t *call_us, *command_us; /* of each device; 0: none came */
    uint64_t left;
};

struct load {
    uv_loop_t loop;
    uv_pipe_t in;
    uv_timer_t limit;
    char line[LINE_SIZE];
    size_t line_size;
    struct publisher *publishers[2]; /* the second one is for the background */
    unsigned ready;
    struct api *api;
    uint64_t started_us;
    struct latency latency;
    char application[UUID_TEXT_SIZE], data[128];
    char octets[4096];
};

/* latency */

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Prints median, percentile and maximum of the times that came. */
static void print_times(const char *name, const struct latency *l, const uint64_t *end_us)
{
    uint64_t *times = calloc(l->uplinks.device_count, sizeof(*times));
    size_t count = 0;

    for (uint32_t i = 0; times != NULL && i < l->uplinks.device_count; i++) {
        if (end_us[i] != 0) {
            times[count++] = end_us[i] - l->uplinks.sent_us[i];
        }
    }
    if (count > 0) {
        qsort(times, count, sizeof(*times), by_size);
        printf("\"%s_us\": [%" PRIu64 ", %" PRIu64 ", %" PRIu64 "], ", name, times[count / 2],
               times[count * PERCENTILE / 100], times[count - 1]);
    }
    free(times);
}

static void end_latency(struct load *load)
{
    struct latency *l = &load->latency;

    uv_timer_stop(&load->limit);
    printf("{");
    print_times("call", l, l->call_us);
    print_times("command", l, l->command_us);
    printf("\"lost\": %" PRIu64 "}\n", l->left);
    free(l->call_us);
    free(l->command_us);
    free(l->uplinks.sent_us);
    *l = (struct latency){0};
}

static void on_limit(uv_timer_t *timer)
{
    end_latency(timer->data);
}

static void on_call(void *arg, uint64_t dev_eui, bool is_command)
{
    struct load *load = arg;
    struct latency *l = &load->latency;
    uint64_t index = dev_eui - l->uplinks.first_eui;

    if (l->left == 0 || index >= l->uplinks.device_count || l->uplinks.sent_us[index] == 0) {
        return;
    }
    if (l->call_us[index] == 0) {
        l->call_us[index] = load_now_us();
    }
    if (is_command && l->command_us[index] == 0) {
        l->command_us[index] = load_now_us();
        if (--l->left == 0) {
            end_latency(load);
        }
    }
}

static void on_latency_published(void *arg)
{
    struct load *load = arg;

    if (load->latency.left > 0) {
        uv_timer_start(&load->limit, on_limit, LIMIT_MS, 0);
    }
}

static void start_latency(struct load *load, const struct load_uplinks *uplinks)
{
    struct latency *l = &load->latency;

    l->uplinks = *uplinks;
    l->uplinks.count = l->left = uplinks->device_count;
    l->uplinks.sent_us = calloc(uplinks->device_count, sizeof(uint64_t));
    l->call_us = calloc(uplinks->device_count, sizeof(uint64_t));
    l->command_us = calloc(uplinks->device_count, sizeof(uint64_t));
    if (l->uplinks.sent_us == NULL || l->call_us == NULL || l->command_us == NULL) {
        abort();
    }
    publisher_run(load->publishers[0], &l->uplinks, on_latency_published, load);
}

/* the other commands */

static void on_published(void *arg)
{
    struct load *load = arg;

    printf("{\"started_us\": %" PRIu64 ", \"acked_us\": %" PRIu64 "}\n", load->started_us,
           load_now_us());
}

static void on_background_published(void *arg)
{
    (void)arg;
}

static void print_calls(struct load *load)
{
    struct api_calls *c = api_get_calls(load->api);

    printf("{\"keys\": %" PRIu64 ", \"commands\": %" PRIu64 ", \"frames\": %" PRIu64
           ", \"others\": %" PRIu64 ", \"first_us\": %" PRIu64 ", \"last_us\": %" PRIu64
           ", \"keys_us\": %" PRIu64 "}\n",
           c->keys, c->commands, c->frames, c->others, c->first_us, c->last_us, c->keys_us);
    *c = (struct api_calls){0};
}

static void obey(struct load *load, const char *line)
{
    struct load_uplinks u = {.data = load->data};
    char command[12], eui[EUI64_TEXT_SIZE];
    unsigned f_port = 0;

    int count =
        sscanf(line, "%11s %36s %16s %" SCNu32 " %" SCNu64 " %lf %u %127s", command,
               load->application, eui, &u.device_count, &u.count, &u.rate, &f_port, load->data);
    if (count == 1 && strcmp(command, "calls") == 0) {
        print_calls(load);
        return;
    }
    if (count != 8 || uuid_parse(load->application, &u.application_id) != ERR_OK ||
        eui64_parse(eui, &u.first_eui) != ERR_OK || u.device_count == 0 || f_port > UINT8_MAX) {
        fprintf(stderr, "bench_load: not understood: %s\n", line);
        exit(1);
    }
    u.f_port = (uint8_t)f_port;
    if (strcmp(command, "latency") == 0) {
        start_latency(load, &u);
    } else if (strcmp(command, "background") == 0) {
        publisher_run(load->publishers[1], &u, on_background_published, load);
        printf("{}\n");
    } else {
        load->started_us = load_now_us();
        publisher_run(load->publishers[0], &u, on_published, load);
    }
}

/* standard input */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    struct load *load = handle->data;

    (void)suggested;
    *ret_buf = uv_buf_init(load->octets, sizeof(load->octets));
}

static void on_read(uv_stream_t *in, ssize_t size, const uv_buf_t *buf)
{
    struct load *load = in->data;

    if (size < 0) {
        exit(0); /* whoever gave the orders is gone */
    }
    for (ssize_t i = 0; i < size; i++) {
        if (buf->base[i] == '\n' || load->line_size + 1 == LINE_SIZE) {
            load->line[load->line_size] = '\0';
            load->line_size = 0;
            obey(load, load->line);
        } else {
            load->line[load->line_size++] = buf->base[i];
        }
    }
}

static void on_ready(void *arg)
{
    struct load *load = arg;

    if (++load->ready == 2) {
        printf("{}\n");
        uv_read_start((uv_stream_t *)&load->in, on_alloc, on_read);
    }
}

int main(int argc, char **argv)
{
    static struct load load;

    if (argc != 3) {
        fprintf(stderr, "usage: bench_load GRPC-PORT MQTT-PORT\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    uv_loop_init(&load.loop);
    uv_timer_init(&load.loop, &load.limit);
    uv_pipe_init(&load.loop, &load.in, 0);
    load.limit.data = load.in.data = &load;
    if (uv_pipe_open(&load.in, 0) != 0) {
        fprintf(stderr, "bench_load: the standard input must be a pipe\n");
        return 2;
    }
    load.api = api_new(&load.loop, (uint16_t)atoi(argv[1]), on_call, &load);
    for (unsigned i = 0; i < 2; i++) {
        load.publishers[i] = publisher_new(&load.loop, (uint16_t)atoi(argv[2]), on_ready, &load);
    }
    return uv_run(&load.loop, UV_RUN_DEFAULT);
}
