#include "deployment/command.h"

#include <assert.h>
#include <string.h>

#include "lorawan/clock_sync.h"
#include "lorawan/fragmentation.h"
#include "lorawan/gps_time.h"
#include "lorawan/multicast_setup.h"

/*
 * The counter stays below 2^16: LoRaMac-node and LBM take the 16 bits on the air as the whole
 * counter when the first frame arrives.
 */
#define MC_F_CNT_END 65536

#define RESYNC_TRANSMISSIONS 1

bool command_needs_key(enum device_command command)
{
    return command == COMMAND_GROUP || command == COMMAND_GROUP_SESSION;
}

static void encode_group(const struct deployment *d, const uint8_t mc_key_encrypted[KEY_SIZE],
                         struct command_bytes *bytes)
{
    const struct deployment_params *p = deployment_get_params(d);
    struct mc_group_setup_req req = {
        .mc_group_id = p->mc_group_id,
        .mc_addr = p->mc_addr,
        .min_mc_f_cnt = 0,
        .max_mc_f_cnt = MC_F_CNT_END,
    };
    size_t size = 0;

    memcpy(req.mc_key_encrypted, mc_key_encrypted, KEY_SIZE);
    enum err err = mc_group_setup_req_encode(&req, bytes->data, sizeof(bytes->data), &size);
    assert(err == ERR_OK); /* deployment_params_check() */
    bytes->size = (uint8_t)size;
}

static void append_session(const struct deployment *d, struct command_bytes *bytes)
{
    const struct deployment_params *p = deployment_get_params(d);
    const struct transmission *t = deployment_get_transmission(d);
    struct mc_class_c_session_req req = {
        .mc_group_id = p->mc_group_id,
        .session_time = gps_seconds(t->session_time_ms, p->leap_s),
        .time_out = t->time_out,
        .frequency_hz = p->frequency_hz,
        .data_rate = p->data_rate,
    };
    size_t size = 0;
    enum err err = mc_class_c_session_req_encode(&req, bytes->data + bytes->size,
                                                 sizeof(bytes->data) - bytes->size, &size);

    assert(err == ERR_OK);
    bytes->size = (uint8_t)(bytes->size + size);
}

static enum err encode_fragmentation(const struct deployment *d, struct command_bytes *bytes,
                                     size_t *ret_size)
{
    const struct deployment_params *p = deployment_get_params(d);
    struct frag_session_setup_req req = {
        .frag_index = p->frag_index,
        .mc_group_mask = (uint8_t)(1u << p->mc_group_id),
        .fragment_count = p->fragment_count,
        .fragment_size = p->fragment_size,
        .fragmentation_matrix = 0,
        .block_ack_delay = p->block_ack_delay,
        .padding_size = p->padding_size,
    };

    size_t delete_size = 0, setup_size = 0;
    enum err err = ERR_OK;

    memcpy(req.descriptor, p->descriptor, sizeof(req.descriptor));
    /* In a further pass the index may be in use: by the letter it is deleted first. */
    if (deployment_get_transmission(d)->repair_number > 0) {
        struct frag_session_delete_req delete_req = {.frag_index = p->frag_index};
        err = frag_session_delete_req_encode(&delete_req, bytes->data, sizeof(bytes->data),
                                             &delete_size);
    }
    if (err == ERR_OK) {
        err = frag_session_setup_req_encode_v1(&req, bytes->data + delete_size,
                                               sizeof(bytes->data) - delete_size, &setup_size);
    }
    *ret_size = delete_size + setup_size;
    return err;
}

void command_encode(const struct deployment *d, enum device_command command,
                    const uint8_t mc_key_encrypted[KEY_SIZE], struct command_bytes *ret_bytes)
{
    const struct deployment_params *p = deployment_get_params(d);
    struct command_bytes bytes = {0};
    uint8_t *buf = bytes.data;
    size_t size = 0;
    enum err err = ERR_OK;

    switch (command) {
    case COMMAND_VERSION:
        bytes.f_port = p->port_fragmentation;
        err = package_version_req_encode(buf, sizeof(bytes.data), &size);
        break;
    case COMMAND_RESYNC:
        bytes.f_port = p->port_clock_sync;
        err = force_device_resync_req_encode(RESYNC_TRANSMISSIONS, buf, sizeof(bytes.data), &size);
        break;
    case COMMAND_GROUP:
    case COMMAND_GROUP_SESSION:
        bytes.f_port = p->port_multicast_setup;
        encode_group(d, mc_key_encrypted, &bytes);
        if (command == COMMAND_GROUP_SESSION) {
            append_session(d, &bytes);
        }
        size = bytes.size;
        break;
    case COMMAND_FRAGMENTATION:
        bytes.f_port = p->port_fragmentation;
        err = encode_fragmentation(d, &bytes, &size);
        break;
    case COMMAND_SESSION:
        bytes.f_port = p->port_multicast_setup;
        append_session(d, &bytes);
        size = bytes.size;
        break;
    case COMMAND_STATUS: {
        struct frag_session_status_req req = {.frag_index = p->frag_index, .participants = true};
        bytes.f_port = p->port_fragmentation;
        err = frag_session_status_req_encode(&req, buf, sizeof(bytes.data), &size);
        break;
    }
    case COMMAND_DELETE_FRAGMENTATION: {
        struct frag_session_delete_req req = {.frag_index = p->frag_index};
        bytes.f_port = p->port_fragmentation;
        err = frag_session_delete_req_encode(&req, buf, sizeof(bytes.data), &size);
        break;
    }
    case COMMAND_DELETE_GROUP: {
        struct mc_group_delete_req req = {.mc_group_id = p->mc_group_id};
        bytes.f_port = p->port_multicast_setup;
        err = mc_group_delete_req_encode(&req, buf, sizeof(bytes.data), &size);
        break;
    }
    case COMMAND_NONE:
    case COMMAND_COUNT:
        assert(false && "a command to encode");
        break;
    }
    assert(err == ERR_OK); /* every field was checked by deployment_params_check() */
    bytes.size = (uint8_t)size;
    *ret_bytes = bytes;
}

void command_encode_group_status(const struct deployment *d, struct command_bytes *ret_bytes)
{
    command_encode(d, COMMAND_STATUS, NULL, ret_bytes);
}
