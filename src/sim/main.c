/* fuota-sim: reads its options, brings everything up, runs the loop, writes the report. */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "sim/grpc_server.h"
#include "sim/mqtt.h"
#include "sim/network.h"
#include "sim/options.h"
#include "sim/report.h"
#include "sim/services.h"
#include "sim/world.h"

enum { EXIT_USAGE = 2 };

struct sim {
    struct options options;
    struct world world;
    struct network network;
    struct services services;
    struct grpc_server *grpc;
    uv_signal_t signals[3];
    int grpc_port;
    bool is_network_up;
    int exit_code;
};

static bool read_token(const char *path, char *token, size_t size)
{
    FILE *file = fopen(path, "r");
    size_t used = file != NULL ? fread(token, 1, size - 1, file) : 0;

    if (file == NULL) {
        fprintf(stderr, "fuota-sim: api_token_file: %s: %s\n", path, strerror(errno));
        return false;
    }
    fclose(file);
    token[used] = '\0';
    while (used > 0 && isspace((unsigned char)token[used - 1])) {
        token[--used] = '\0';
    }
    if (used == 0) {
        fprintf(stderr, "fuota-sim: api_token_file: %s holds no token\n", path);
    }
    return used > 0;
}

static void write_report(struct sim *sim)
{
    if (sim->options.report[0] != '\0' &&
        report_write(&sim->network, &sim->services.faults, sim->options.report) != ERR_OK) {
        sim->exit_code = EXIT_FAILURE;
    }
    if (sim->options.dump_images[0] != '\0' &&
        report_dump_images(&sim->network, sim->options.dump_images) != ERR_OK) {
        sim->exit_code = EXIT_FAILURE;
    }
    if (sim->network.trace != NULL) {
        fflush(sim->network.trace);
    }
}

static void stop(struct sim *sim)
{
    for (size_t i = 0; i < 3; i++) {
        if (!uv_is_closing((uv_handle_t *)&sim->signals[i])) {
            uv_close((uv_handle_t *)&sim->signals[i], NULL);
        }
    }
    grpc_server_close(sim->grpc);
    sim->grpc = NULL;
    mqtt_close(sim->network.mqtt);
    sim->network.mqtt = NULL;
    world_close(&sim->world);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct sim *sim = signal->data;

    if (sim->is_network_up) {
        write_report(sim);
    }
    if (number != SIGUSR1) {
        stop(sim);
    }
}

static void on_connected(void *arg)
{
    struct sim *sim = arg;

    network_start(&sim->network);
    sim->is_network_up = true;
    if (sim->options.ready_file[0] != '\0' &&
        report_write_ready(&sim->network, sim->options.ready_file, sim->grpc_port) != ERR_OK) {
        sim->exit_code = EXIT_FAILURE;
        stop(sim);
    }
}

static bool open_output(const char *option, const char *path, FILE **ret_file)
{
    if (path[0] == '\0') {
        return true;
    }
    *ret_file = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");
    if (*ret_file == NULL) {
        fprintf(stderr, "fuota-sim: %s: %s: %s\n", option, path, strerror(errno));
    }
    return *ret_file != NULL;
}

static void close_output(FILE *file)
{
    if (file != NULL && file != stdout) {
        fclose(file);
    }
}

static bool begin(struct sim *sim, uv_loop_t *loop)
{
    static const int numbers[3] = {SIGUSR1, SIGTERM, SIGINT};
    char client_id[48];

    for (size_t i = 0; i < 3; i++) {
        uv_signal_init(loop, &sim->signals[i]);
        sim->signals[i].data = sim;
        uv_signal_start(&sim->signals[i], on_signal, numbers[i]);
    }
    sim->services.network = &sim->network;
    faults_init(&sim->services.faults, sim->options.faults_file, (uint64_t)sim->options.seed);
    if (grpc_server_new(loop, (int)sim->options.grpc_port, services_handle, &sim->services,
                        &sim->grpc_port, &sim->grpc) != ERR_OK) {
        return false;
    }
    snprintf(client_id, sizeof(client_id), "fuota-sim-%d", sim->grpc_port);
    enum err err = mqtt_new(loop, sim->options.mqtt_host, (int)sim->options.mqtt_port, client_id,
                            on_connected, sim, &sim->network.mqtt);
    if (err != ERR_OK) {
        fprintf(stderr, "fuota-sim: mqtt: %s\n", err_text(err));
    }
    return err == ERR_OK;
}

/* Everything that can be wrong with the options beyond single values. */
static int check(struct sim *sim, int argc, char **argv)
{
    char error[OPTIONS_ERROR_SIZE];

    if (options_read(&sim->options, argc, argv, error) != ERR_OK) {
        fprintf(stderr, "fuota-sim: %s\n", error);
        return EXIT_USAGE;
    }
    if (sim->options.help) {
        options_print_help();
        return EXIT_SUCCESS;
    }
    if (sim->options.version) {
        puts("fuota-sim " FUOTAD_VERSION);
        return EXIT_SUCCESS;
    }
    if (region_find(sim->options.region) == NULL) {
        fprintf(stderr, "fuota-sim: region: \"%s\" is not possible; allowed: %s\n",
                sim->options.region, region_names());
        return EXIT_USAGE;
    }
    if (sim->options.rx2_dr >= 0 &&
        region_dr(region_find(sim->options.region), (uint32_t)sim->options.rx2_dr) == NULL) {
        fprintf(stderr, "fuota-sim: rx2_dr: \"%d\" is not possible; allowed: a data rate of %s\n",
                (int)sim->options.rx2_dr, sim->options.region);
        return EXIT_USAGE;
    }
    if (sim->options.clock_rate > 1 && sim->options.clock_epoch_ms == 0) {
        fprintf(stderr,
                "fuota-sim: clock_epoch_ms: a time must be given with a clock_rate above 1\n");
        return EXIT_USAGE;
    }
    if (sim->options.api_token_file[0] == '\0') {
        fprintf(stderr, "fuota-sim: api_token_file: a file must be named\n");
        return EXIT_USAGE;
    }
    return read_token(sim->options.api_token_file, sim->services.token, sizeof(sim->services.token))
               ? -1
               : EXIT_USAGE;
}

int main(int argc, char **argv)
{
    static struct sim sim; /* too large for the stack */
    uv_loop_t loop;

    options_init(&sim.options);
    int code = check(&sim, argc, argv);
    if (code >= 0) {
        options_release(&sim.options);
        return code;
    }
    signal(SIGPIPE, SIG_IGN);
    if (uv_loop_init(&loop) != 0) {
        fprintf(stderr, "fuota-sim: the event loop cannot be made\n");
        return EXIT_FAILURE;
    }
    struct clock clock = {.epoch_ms = sim.options.clock_epoch_ms, .rate = sim.options.clock_rate};
    world_init(&sim.world, &loop, clock);
    enum err err = network_init(&sim.network, &sim.options, &sim.world);
    if (err != ERR_OK) {
        fprintf(stderr, "fuota-sim: devices: %s\n", err_text(err));
        return EXIT_FAILURE;
    }
    if (!open_output("trace", sim.options.trace, &sim.network.trace) ||
        !open_output("dump_keys", sim.options.dump_keys, &sim.network.keys) ||
        !begin(&sim, &loop)) {
        sim.exit_code = EXIT_FAILURE;
        stop(&sim);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    close_output(sim.network.trace);
    close_output(sim.network.keys);
    network_release(&sim.network);
    options_release(&sim.options);
    return sim.exit_code;
}
