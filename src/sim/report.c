#include "sim/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cjson/cJSON.h>
#include <openssl/evp.h>

#define SHA256_SIZE 32

static enum err write_file(const char *path, const void *data, size_t size)
{
    char temporary[OPTIONS_PATH_SIZE + 32];
    enum err err = ERR_OK;

    snprintf(temporary, sizeof(temporary), "%s.tmp", path);
    FILE *file = fopen(temporary, "wb");
    if (file == NULL || fwrite(data, 1, size, file) != size) {
        err = ERR_IO;
    }
    if (file != NULL && fclose(file) != 0) {
        err = ERR_IO;
    }
    if (err != ERR_OK || rename(temporary, path) != 0) {
        fprintf(stderr, "fuota-sim: write %s: %s\n", path, strerror(errno));
        return ERR_IO;
    }
    return ERR_OK;
}

/* Takes over `json`. */
static enum err write_json(const char *path, cJSON *json)
{
    char *text = cJSON_Print(json);
    enum err err = ERR_NO_MEMORY;

    cJSON_Delete(json);
    if (text != NULL) {
        err = write_file(path, text, strlen(text));
    }
    free(text);
    return err;
}

static void add_eui(cJSON *array, uint64_t eui)
{
    char text[EUI64_TEXT_SIZE];

    eui64_format(eui, text);
    cJSON_AddItemToArray(array, cJSON_CreateString(text));
}

enum err report_write_ready(const struct network *network, const char *path, int grpc_port)
{
    cJSON *json = cJSON_CreateObject();
    char text[UUID_TEXT_SIZE];

    uuid_format(&network->application_id, text);
    cJSON_AddStringToObject(json, "application_id", text);
    uuid_format(&network->tenant_id, text);
    cJSON_AddStringToObject(json, "tenant_id", text);
    cJSON *profiles = cJSON_AddArrayToObject(json, "device_profile_ids");
    for (size_t i = 0; i < network->profile_count; i++) {
        uuid_format(&network->profiles[i].id, text);
        cJSON_AddItemToArray(profiles, cJSON_CreateString(text));
    }
    cJSON *gateways = cJSON_AddArrayToObject(json, "gateways");
    for (size_t i = 0; i < network->gateway_count; i++) {
        add_eui(gateways, network->gateways[i].id);
    }
    cJSON *devices = cJSON_AddArrayToObject(json, "devices");
    for (size_t i = 0; i < network->device_count; i++) {
        add_eui(devices, network->devices[i].eui);
    }
    cJSON_AddNumberToObject(json, "grpc_port", grpc_port);
    return write_json(path, json);
}

static void add_digest(cJSON *json, const uint8_t *image, size_t size)
{
    uint8_t digest[SHA256_SIZE];
    char text[2 * SHA256_SIZE + 1];
    unsigned digest_size = 0;

    if (image == NULL || EVP_Digest(image, size, digest, &digest_size, EVP_sha256(), NULL) != 1) {
        cJSON_AddNullToObject(json, "sha256");
        return;
    }
    hex_encode(digest, sizeof(digest), text);
    cJSON_AddStringToObject(json, "sha256", text);
}

static cJSON *device_report(const struct sim_device *d)
{
    const struct device *device = &d->device;
    const struct frag_decoder *decoder = device_decoder(device);
    cJSON *json = cJSON_CreateObject();
    char text[128];
    size_t size = 0;
    const uint8_t *image = device_image(device, &size);

    eui64_format(d->eui, text);
    cJSON_AddStringToObject(json, "dev_eui", text);
    cJSON_AddStringToObject(json, "kind", device->traits->name);
    cJSON_AddBoolToObject(json, "complete", image != NULL);
    add_digest(json, image, size);
    cJSON_AddNumberToObject(json, "size", (double)size);
    cJSON_AddNumberToObject(json, "fragments_received", device->counters.fragments);
    cJSON_AddNumberToObject(json, "lost_uncoded",
                            decoder->config.fragment_count - decoder->uncoded_count -
                                decoder->overflow_count);
    cJSON_AddNumberToObject(json, "uncoded_count", decoder->config.fragment_count);
    device_reason(device, text, sizeof(text));
    cJSON_AddStringToObject(json, "reason", text);
    return json;
}

static void add_frames(cJSON *json, const struct network *network)
{
    const struct network_counters *c = &network->counters;
    cJSON *frames = cJSON_AddObjectToObject(json, "frames");

    cJSON_AddNumberToObject(frames, "multicast_enqueued", (double)c->multicast_enqueued);
    cJSON_AddNumberToObject(frames, "multicast_sent", (double)c->multicast_sent);
    cJSON_AddNumberToObject(frames, "multicast_duplicate_fcnt",
                            (double)c->multicast_duplicate_fcnt);
    cJSON_AddNumberToObject(frames, "multicast_rejected", (double)c->multicast_rejected);
    cJSON_AddNumberToObject(frames, "multicast_dropped", (double)c->multicast_dropped);
    cJSON_AddNumberToObject(frames, "unicast_sent", (double)c->unicast_sent);
    cJSON_AddNumberToObject(frames, "uplinks", (double)c->uplinks);
    cJSON_AddNumberToObject(frames, "uplinks_heard", (double)c->uplinks_heard);
    cJSON_AddNumberToObject(frames, "events_dropped", (double)c->events_dropped);
}

static void add_gateways(cJSON *json, const struct network *network)
{
    cJSON *gateways = cJSON_AddArrayToObject(json, "gateways");
    char id[EUI64_TEXT_SIZE];

    for (size_t i = 0; i < network->gateway_count; i++) {
        const struct sim_gateway *g = &network->gateways[i];
        cJSON *gateway = cJSON_CreateObject();
        eui64_format(g->id, id);
        cJSON_AddStringToObject(gateway, "id", id);
        cJSON_AddNumberToObject(gateway, "multicast_sent", (double)g->multicast_sent);
        cJSON_AddNumberToObject(gateway, "multicast_refused", (double)g->multicast_refused);
        cJSON_AddNumberToObject(gateway, "airtime_ms", (double)g->airtime.total_ms);
        cJSON_AddNumberToObject(gateway, "max_hour_airtime_ms", (double)g->airtime.max_hour_ms);
        cJSON_AddItemToArray(gateways, gateway);
    }
}

static void add_faults(cJSON *json, const struct faults *faults)
{
    cJSON *hits = cJSON_AddObjectToObject(json, "faults");

    for (int a = FAULT_NONE + 1; a < FAULT_ACTION_COUNT; a++) {
        cJSON_AddNumberToObject(hits, fault_action_name((enum fault_action)a),
                                (double)faults->hits[a]);
    }
}

enum err report_write(struct network *network, const struct faults *faults, const char *path)
{
    cJSON *json = cJSON_CreateObject();
    cJSON *devices = cJSON_AddArrayToObject(json, "devices");
    struct timespec now;
    unsigned distinct = 0;
    unsigned repeated = 0;

    for (size_t i = 0; i < network->device_count; i++) {
        cJSON_AddItemToArray(devices, device_report(&network->devices[i]));
    }
    add_gateways(json, network);
    add_frames(json, network);
    add_faults(json, faults);
    for (size_t n = 0; n < NETWORK_NUMBER_COUNT; n++) {
        distinct += network->enqueued_numbers[n] > 0 ? 1 : 0;
        repeated += network->enqueued_numbers[n] > 1 ? 1 : 0;
    }
    cJSON *seen = cJSON_AddObjectToObject(json, "fragments_seen");
    cJSON_AddNumberToObject(seen, "count", distinct);
    cJSON_AddNumberToObject(seen, "repeated_n", repeated);
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t real_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 - network->start_real_ms;
    cJSON_AddNumberToObject(json, "protocol_seconds",
                            (double)(world_now(network->world) - network->start_ms) / 1000);
    cJSON_AddNumberToObject(json, "real_seconds", (double)real_ms / 1000);
    return write_json(path, json);
}

enum err report_dump_images(const struct network *network, const char *folder)
{
    char path[OPTIONS_PATH_SIZE + 32];
    char eui[EUI64_TEXT_SIZE];
    enum err err = ERR_OK;

    if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
        fprintf(stderr, "fuota-sim: make %s: %s\n", folder, strerror(errno));
        return ERR_IO;
    }
    for (size_t i = 0; err == ERR_OK && i < network->device_count; i++) {
        size_t size = 0;
        const uint8_t *image = device_image(&network->devices[i].device, &size);
        if (image != NULL) {
            eui64_format(network->devices[i].eui, eui);
            snprintf(path, sizeof(path), "%s/%s.bin", folder, eui);
            err = write_file(path, image, size);
        }
    }
    return err;
}
