#include "sim/options.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_type {
    OPTION_INTEGER,
    OPTION_NUMBER,
    OPTION_FLAG,
    OPTION_TEXT,
    OPTION_TOPIC,
    OPTION_KIND,
    OPTION_CLASS,
    OPTION_LORAWAN
};

struct option {
    const char *name; /* with underscores as in the scenario file; hyphens on the command line */
    enum option_type type;
    size_t offset;
    size_t size; /* of a text */
    double min;
    double max;
    const char *initial;
    const char *help;
};

#define OF(type, field) offsetof(struct type, field)
#define TEXT(field)     OF(options, field), sizeof(((struct options *)0)->field)

static const struct option globals[] = {
    {"grpc_port", OPTION_INTEGER, OF(options, grpc_port), 0, 0, 65535, "0",
     "TCP port of the gRPC API; 0: any"},
    {"mqtt_host", OPTION_TEXT, TEXT(mqtt_host), 0, 0, "127.0.0.1", "MQTT broker"},
    {"mqtt_port", OPTION_INTEGER, OF(options, mqtt_port), 0, 1, 65535, "1883", "its TCP port"},
    {"api_token_file", OPTION_TEXT, TEXT(api_token_file), 0, 0, "",
     "file with the API token clients must show"},
    {"devices", OPTION_INTEGER, OF(options, devices), 0, 1, OPTIONS_DEVICE_MAX, "10",
     "number of devices"},
    {"seed", OPTION_INTEGER, OF(options, seed), 0, 0, 9007199254740992.0, "1",
     "seed of everything that is drawn"},
    {"region", OPTION_TEXT, TEXT(region), 0, 0, "EU868", "LoRaWAN region"},
    {"rx2_dr", OPTION_INTEGER, OF(options, rx2_dr), 0, -1, 15, "-1",
     "data rate of RX2; -1: the table's"},
    {"gateways", OPTION_INTEGER, OF(options, gateways), 0, 1, OPTIONS_GATEWAY_MAX, "1",
     "number of gateways"},
    {"margin", OPTION_NUMBER, OF(options, margin_s), 0, 0, 3600, "5",
     "multicast_class_c_margin, s"},
    {"interval", OPTION_NUMBER, OF(options, interval_s), 0, 0.01, 60, "1",
     "pause between scheduler runs, s"},
    {"clock_rate", OPTION_NUMBER, OF(options, clock_rate), 0, 1, 100000, "1",
     "protocol seconds in a real second"},
    {"clock_epoch_ms", OPTION_INTEGER, OF(options, clock_epoch_ms), 0, 0, 9007199254740992.0, "0",
     "Unix time at which protocol and real time agree, ms"},
    {"protobuf", OPTION_FLAG, OF(options, protobuf), 0, 0, 0, "false",
     "publish events as Protobuf instead of JSON"},
    {"tenant_key", OPTION_FLAG, OF(options, tenant_key), 0, 0, 0, "false",
     "answer as to a tenant API key: UNAUTHENTICATED for missing objects"},
    {"downlink_delay_real_ms", OPTION_INTEGER, OF(options, downlink_delay_real_ms), 0, 0, 10000,
     "25", "real ms between an up event and the reading of the device queue, at least"},
    {"lost_gateway_acks", OPTION_NUMBER, OF(options, lost_gateway_acks), 0, 0, 1, "0",
     "share of multicast frames whose gateway acknowledgement is lost"},
    {"gateway_rejects", OPTION_NUMBER, OF(options, gateway_rejects), 0, 0, 1, "0",
     "share of multicast frames the gateway refuses to send, as COLLISION_PACKET"},
    {"gateway_duty_cycle", OPTION_NUMBER, OF(options, gateway_duty_cycle), 0, 0, 1, "0",
     "share of an hour a gateway sends in a sub-band, at most; 0: no limit"},
    {"gateway_topics", OPTION_TOPIC, TEXT(gateway_topics), 0, 0, "",
     "prefix of the gateways' topics, as eu868; none: nothing is published there"},
    {"scenario", OPTION_TEXT, TEXT(scenario), 0, 0, "", "scenario file"},
    {"report", OPTION_TEXT, TEXT(report), 0, 0, "", "file for the report"},
    {"dump_images", OPTION_TEXT, TEXT(dump_images), 0, 0, "",
     "folder for the images the devices have rebuilt"},
    {"ready_file", OPTION_TEXT, TEXT(ready_file), 0, 0, "", "file written when everything is up"},
    {"trace", OPTION_TEXT, TEXT(trace), 0, 0, "",
     "file for a line per frame; - for the standard output"},
    {"dump_keys", OPTION_TEXT, TEXT(dump_keys), 0, 0, "",
     "file for all keys that the network server knows"},
    {"faults_file", OPTION_TEXT, TEXT(faults_file), 0, 0, "",
     "file that says which gRPC calls go wrong, looked at with each call"},
    {"help", OPTION_FLAG, OF(options, help), 0, 0, 0, "false", "show this"},
    {"version", OPTION_FLAG, OF(options, version), 0, 0, 0, "false", "show the version"},
};

#define D(field) OF(device_options, field), 0

static const struct option devices[] = {
    {"kind", OPTION_KIND, D(kind), 0, 0, "mixed", "stack: letter, loramac, lbm, zephyr, mixed"},
    {"uplink_interval", OPTION_INTEGER, D(uplink_interval_s), 0, 31536000, "600",
     "s between application uplinks"},
    {"uplink_jitter", OPTION_INTEGER, D(uplink_jitter_s), 0, 86400, "10",
     "s each may come earlier or later"},
    {"loss", OPTION_NUMBER, D(loss), 0, 1, "0", "share of downlinks lost"},
    {"uplink_loss", OPTION_NUMBER, D(uplink_loss), 0, 1, "0", "share of uplinks lost, per gateway"},
    {"burst", OPTION_NUMBER, D(burst), 1, 1000, "1",
     "mean length of a run of losses, frames (Gilbert)"},
    {"class", OPTION_CLASS, D(is_class_c), 0, 0, "A", "A or C, outside of multicast sessions"},
    {"clock_offset", OPTION_NUMBER, D(clock_offset_s), -1e9, 1e9, "0",
     "s the device's clock is ahead"},
    {"no_clock", OPTION_FLAG, D(no_clock), 0, 0, "false", "no time before the first AppTimeAns"},
    {"quiet_clock", OPTION_FLAG, D(quiet_clock), 0, 0, "false", "sends no AppTimeReq unasked"},
    {"deaf", OPTION_FLAG, D(deaf), 0, 0, "false", "hears nothing"},
    {"mute", OPTION_FLAG, D(mute), 0, 0, "false", "never speaks"},
    {"wrong_key", OPTION_FLAG, D(wrong_key), 0, 0, "false",
     "has another root key than the network server"},
    {"refuse_group", OPTION_FLAG, D(refuse_group), 0, 0, "false",
     "answers McGroupSetupReq with IDerror"},
    {"refuse_session", OPTION_INTEGER, D(refuse_session), 0, 28, "0",
     "error bits 4:2 of session answers"},
    {"refuse_frag", OPTION_INTEGER, D(refuse_frag), 0, 15, "0",
     "error bits 3:0 of FragSessionSetupAns"},
    {"device_limit", OPTION_INTEGER, D(device_limit), 0, 16383, "0",
     "lost fragments a decoder holds; 0: all"},
    {"max_fragments", OPTION_INTEGER, D(max_fragments), 0, 16383, "0", "largest NbFrag; 0: 16383"},
    {"max_fragment_size", OPTION_INTEGER, D(max_fragment_size), 0, 239, "0",
     "largest FragSize; 0: 239"},
    {"rejoin_at", OPTION_INTEGER, D(rejoin_at_s), 0, 31536000, "0",
     "restarts that many s after the start; 0: never"},
    {"rejoin_at_fragment", OPTION_INTEGER, D(rejoin_at_fragment), 0, 16383, "0",
     "restarts on hearing that N"},
    {"repeat_answers", OPTION_INTEGER, D(repeat_answers), 0, 10, "0",
     "sends each answer that many times more"},
    {"answer_delay", OPTION_NUMBER, D(answer_delay_s), 0, 86400, "0", "s each answer comes later"},
    {"answers_with_regular", OPTION_FLAG, D(answers_with_regular), 0, 0, "false",
     "answers wait for the next application uplink"},
    {"heard_by", OPTION_INTEGER, D(heard_by), 0, OPTIONS_GATEWAY_MAX, "0",
     "gateways in reach; 0: all"},
    {"lorawan", OPTION_LORAWAN, D(lorawan_1_1), 0, 0, "1.0", "1.0 (GenAppKey) or 1.1 (AppKey)"},
    {"ts003", OPTION_FLAG, D(ts003), 0, 0, "false", "the network server answers AppTimeReq"},
    {"ts004", OPTION_FLAG, D(ts004), 0, 0, "true", "the device profile says TS004 version 1"},
    {"ts005", OPTION_FLAG, D(ts005), 0, 0, "true", "the device profile says TS005 version 1"},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* `name` may have hyphens for underscores. */
static const struct option *find(const struct option *table, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        const char *a = table[i].name;
        const char *b = name;
        while (*a != '\0' && (*a == *b || (*a == '_' && *b == '-'))) {
            a++;
            b++;
        }
        if (*a == '\0' && *b == '\0') {
            return &table[i];
        }
    }
    return NULL;
}

static enum err fail(const struct option *o, const char *value, const char *allowed, char *error)
{
    snprintf(error, OPTIONS_ERROR_SIZE, "%s: \"%s\" is not possible; allowed: %s", o->name, value,
             allowed);
    return ERR_FORMAT;
}

static enum err set_number(const struct option *o, void *base, const char *value, char *error)
{
    char allowed[100];
    char *end = NULL;
    void *target = (char *)base + o->offset;
    const char *what = o->type == OPTION_INTEGER ? "a whole number" : "a number";

    snprintf(allowed, sizeof(allowed), "%s from %.10g to %.16g", what, o->min, o->max);
    errno = 0;
    double number = strtod(value, &end);
    if (end == value || *end != '\0' || errno != 0 || !(number >= o->min && number <= o->max) ||
        (o->type == OPTION_INTEGER && floor(number) != number)) {
        return fail(o, value, allowed, error);
    }
    if (o->type == OPTION_INTEGER) {
        *(int64_t *)target = (int64_t)number;
    } else {
        *(double *)target = number;
    }
    return ERR_OK;
}

static enum err set_choice(const struct option *o, void *base, const char *value, const char *no,
                           const char *yes, char *error)
{
    char allowed[100];
    bool *target = (bool *)((char *)base + o->offset);

    if (strcmp(value, no) != 0 && strcmp(value, yes) != 0) {
        snprintf(allowed, sizeof(allowed), "%s or %s", no, yes);
        return fail(o, value, allowed, error);
    }
    *target = strcmp(value, yes) == 0;
    return ERR_OK;
}

static enum err set_kind(const struct option *o, void *base, const char *value, char *error)
{
    enum stack_kind kind;
    int64_t *target = (int64_t *)((char *)base + o->offset);

    if (strcmp(value, "mixed") == 0) {
        *target = OPTIONS_KIND_MIXED;
        return ERR_OK;
    }
    if (stack_kind_parse(value, &kind) != ERR_OK) {
        return fail(o, value, "letter, loramac, lbm, zephyr or mixed", error);
    }
    *target = (int64_t)kind;
    return ERR_OK;
}

static enum err set_text(const struct option *o, void *base, const char *value, char *error)
{
    if (strlen(value) >= o->size) {
        char allowed[100];
        snprintf(allowed, sizeof(allowed), "at most %zu characters", o->size - 1);
        return fail(o, value, allowed, error);
    }
    snprintf((char *)base + o->offset, o->size, "%s", value);
    return ERR_OK;
}

static enum err set_topic(const struct option *o, void *base, const char *value, char *error)
{
    if (strpbrk(value, "+#") != NULL) {
        return fail(o, value, "a topic without + and #", error);
    }
    return set_text(o, base, value, error);
}

static enum err set_one(const struct option *o, void *base, const char *value, char *error)
{
    switch (o->type) {
    case OPTION_INTEGER:
    case OPTION_NUMBER:
        return set_number(o, base, value, error);
    case OPTION_FLAG:
        return set_choice(o, base, value, "false", "true", error);
    case OPTION_CLASS:
        return set_choice(o, base, value, "A", "C", error);
    case OPTION_LORAWAN:
        return set_choice(o, base, value, "1.0", "1.1", error);
    case OPTION_KIND:
        return set_kind(o, base, value, error);
    case OPTION_TOPIC:
        return set_topic(o, base, value, error);
    case OPTION_TEXT:
        return set_text(o, base, value, error);
    }
    return ERR_UNKNOWN;
}

enum err options_set(struct options *options, struct device_options *device, const char *name,
                     const char *value, char error[OPTIONS_ERROR_SIZE])
{
    const struct option *o = find(devices, COUNT(devices), name);

    if (o != NULL) {
        return set_one(o, device != NULL ? device : &options->all, value, error);
    }
    o = device == NULL ? find(globals, COUNT(globals), name) : NULL;
    if (o == NULL) {
        snprintf(error, OPTIONS_ERROR_SIZE, "%s: no such option%s", name,
                 device != NULL ? " of a group" : "");
        return ERR_FORMAT;
    }
    return set_one(o, options, value, error);
}

void options_init(struct options *options)
{
    char error[OPTIONS_ERROR_SIZE];

    *options = (struct options){.grpc_port = 0};
    for (size_t i = 0; i < COUNT(globals); i++) {
        enum err err = globals[i].initial[0] == '\0'
                           ? ERR_OK
                           : set_one(&globals[i], options, globals[i].initial, error);
        assert(err == ERR_OK);
    }
    for (size_t i = 0; i < COUNT(devices); i++) {
        enum err err = set_one(&devices[i], &options->all, devices[i].initial, error);
        assert(err == ERR_OK);
    }
}

void options_release(struct options *options)
{
    free(options->each);
    options->each = NULL;
}

static bool is_flag(const char *name)
{
    const struct option *o = find(devices, COUNT(devices), name);

    o = o == NULL ? find(globals, COUNT(globals), name) : o;
    return o != NULL && o->type == OPTION_FLAG;
}

static enum err read_arguments(struct options *options, int argc, char **argv, char *error)
{
    for (int i = 1; i < argc; i++) {
        char name[64];
        const char *equals = strchr(argv[i], '=');
        size_t size = equals != NULL ? (size_t)(equals - argv[i]) : strlen(argv[i]);
        if (strncmp(argv[i], "--", 2) != 0 || size - 2 >= sizeof(name)) {
            snprintf(error, OPTIONS_ERROR_SIZE, "%s: an option begins with --; see --help",
                     argv[i]);
            return ERR_FORMAT;
        }
        snprintf(name, sizeof(name), "%.*s", (int)(size - 2), argv[i] + 2);
        const char *value = "true"; /* of a flag */
        if (equals != NULL) {
            value = equals + 1;
        } else if (!is_flag(name)) {
            if (i + 1 >= argc && find(devices, COUNT(devices), name) == NULL &&
                find(globals, COUNT(globals), name) == NULL) {
                snprintf(error, OPTIONS_ERROR_SIZE, "%s: no such option", name);
                return ERR_FORMAT;
            }
            if (i + 1 >= argc) {
                snprintf(error, OPTIONS_ERROR_SIZE, "%s: a value must follow", name);
                return ERR_FORMAT;
            }
            value = argv[++i];
        }
        enum err err = options_set(options, NULL, name, value, error);
        if (err != ERR_OK) {
            return err;
        }
    }
    return ERR_OK;
}

enum err options_read(struct options *options, int argc, char **argv,
                      char error[OPTIONS_ERROR_SIZE])
{
    enum err err = read_arguments(options, argc, argv, error);

    if (err == ERR_OK && options->scenario[0] != '\0') {
        err = scenario_read(options, false, error);
        /* Again: the command line wins over the file. */
        err = err == ERR_OK ? read_arguments(options, argc, argv, error) : err;
    }
    if (err != ERR_OK) {
        return err;
    }
    options->each = calloc((size_t)options->devices, sizeof(*options->each));
    if (options->each == NULL) {
        snprintf(error, OPTIONS_ERROR_SIZE, "devices: out of memory");
        return ERR_NO_MEMORY;
    }
    for (int64_t i = 0; i < options->devices; i++) {
        options->each[i] = options->all;
    }
    return options->scenario[0] != '\0' ? scenario_read(options, true, error) : ERR_OK;
}

static void print_table(const struct option *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char name[40];
        const struct option *o = &table[i];
        snprintf(name, sizeof(name), "--%s%s", o->name, o->type == OPTION_FLAG ? "" : " VALUE");
        for (char *c = name; *c != '\0'; c++) {
            *c = *c == '_' ? '-' : *c;
        }
        printf("  %-30s %s", name, o->help);
        if (o->type == OPTION_INTEGER || o->type == OPTION_NUMBER) {
            printf(" (%.10g to %.16g)", o->min, o->max);
        }
        if (o->type != OPTION_FLAG && o->initial[0] != '\0') {
            printf(" [%s]", o->initial);
        }
        putchar('\n');
    }
}

void options_print_help(void)
{
    puts("fuota-sim: a stand-in for ChirpStack v4 with virtual LoRaWAN devices.\n\nOptions "
         "[default]:");
    print_table(globals, COUNT(globals));
    puts("\nOptions of all devices; a scenario file can set them for some:");
    print_table(devices, COUNT(devices));
}
