/*
 * fuzz_scenario.c - whatever stands on fuota-sim's command line and in its scenario file: it is
 * complained about, or every device has values within their bounds.
 *
 * The input: arguments, one a line, a line "---", and the scenario; or the scenario alone.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fuzz_file.h"
#include "sim/options.h"

#define ARGUMENTS_MAX 16
#define DEVICES       20

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_share(double value)
{
    return value >= 0.0 && value <= 1.0;
}

static void check_device(const struct options *options, const struct device_options *d)
{
    assert(d->kind >= 0 && d->kind <= OPTIONS_KIND_MIXED);
    assert(is_share(d->loss) && is_share(d->uplink_loss));
    assert(d->burst >= 1.0 && d->burst <= 1000.0);
    assert(d->refuse_session >= 0 && d->refuse_session <= 28);
    assert(d->max_fragment_size >= 0 && d->max_fragment_size <= 239);
    assert(d->heard_by >= 0 && d->heard_by <= OPTIONS_GATEWAY_MAX);
    assert((uint64_t)d->gateway_mask >> options->gateways == 0);
    assert(d->tag_count <= OPTIONS_TAG_MAX);
    for (size_t t = 0; t < d->tag_count; t++) {
        assert(strlen(d->tags[t][0]) < OPTIONS_TAG_SIZE &&
               strlen(d->tags[t][1]) < OPTIONS_TAG_SIZE);
    }
}

static void check_options(const struct options *options)
{
    assert(options->devices == DEVICES && options->each != NULL);
    assert(options->gateways >= 1 && options->gateways <= OPTIONS_GATEWAY_MAX);
    assert(options->offline_count <= OPTIONS_OFFLINE_MAX);
    assert(is_share(options->gateway_duty_cycle));
    assert(strlen(options->gateway_topics) < OPTIONS_TOPIC_SIZE);
    assert(options->refusal_count <= OPTIONS_REFUSAL_MAX);
    for (size_t i = 0; i < options->refusal_count; i++) {
        const struct gateway_refusal *r = &options->refusals[i];
        assert(r->gateway >= 0 && r->gateway < options->gateways && is_share(r->share));
        assert(r->from_s >= 0.0 && r->from_s < r->to_s);
        assert(r->status > TX_OK && r->status < TX_STATUS_COUNT);
    }
    check_device(options, &options->all);
    for (int64_t i = 0; i < options->devices; i++) {
        check_device(options, &options->each[i]);
    }
}

static void read_all(char *arguments, const char *scenario)
{
    static struct options options; /* too large for the stack */
    char error[OPTIONS_ERROR_SIZE] = "";
    char file[64], devices[32], program[] = "fuota-sim";
    char *argv[ARGUMENTS_MAX + 4] = {program};
    int argc = 1;
    char *line;

    while (argc <= ARGUMENTS_MAX && (line = strsep(&arguments, "\n")) != NULL) {
        argv[argc++] = line;
    }
    snprintf(file, sizeof(file), "--scenario=%s", scenario);
    snprintf(devices, sizeof(devices), "--devices=%d", DEVICES);
    argv[argc++] = file;
    argv[argc++] = devices;
    options_init(&options);
    if (options_read(&options, argc, argv, error) == ERR_OK) {
        check_options(&options);
    } else {
        assert(error[0] != '\0' && strlen(error) < sizeof(error));
    }
    options_release(&options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size > 0 ? memmem(data, size, "\n---\n", 5) : NULL;
    size_t arguments_size = end != NULL ? (size_t)(end - data) : 0;
    const uint8_t *scenario = end != NULL ? end + 5 : data;
    size_t scenario_size = size - (size_t)(scenario - data);

    /* What a file includes, or names as another scenario, is a file of this machine. */
    if (size == 0 || memmem(data, size, "@include", 8) != NULL ||
        memmem(data, size, "scenario", 8) != NULL) {
        return 0;
    }
    char *arguments = malloc(arguments_size + 1);
    assert(arguments != NULL);
    memcpy(arguments, data, arguments_size);
    arguments[arguments_size] = '\0';
    read_all(end != NULL ? arguments : NULL, fuzz_file(scenario, scenario_size));
    free(arguments);
    return 0;
}
