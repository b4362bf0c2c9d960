/* TS004 Fragmented Data Block Transport version 1, device side. */
#include <stdlib.h>
#include <string.h>

#include "sim/device_packages.h"

enum {
    PACKAGE_VERSION = 0x00, /* PackageVersionReq */
    SESSION_STATUS = 0x01,  /* FragSessionStatusReq */
    SESSION_SETUP = 0x02,   /* FragSessionSetupReq */
    SESSION_DELETE = 0x03,  /* FragSessionDeleteReq */
    DATA_FRAGMENT = 0x08,   /* DataFragment */
};

#define ALGO_UNSUPPORTED  (1u << 0) /* FragSessionSetupAns */
#define NOT_ENOUGH_MEMORY (1u << 1)
#define INDEX_UNSUPPORTED (1u << 2)
#define SESSION_UNKNOWN   (1u << 2) /* FragSessionDeleteAns */
#define NOT_ENOUGH_MATRIX (1u << 0) /* FragSessionStatusAns */
#define FRAGMENT_SIZE_MAX 239
#define IMAGE_SIZE_MAX    (4u << 20)

static bool command_size(const struct device *device, uint8_t cid, size_t *ret_size)
{
    (void)device;
    switch (cid) {
    case PACKAGE_VERSION:
        *ret_size = 0;
        return true;
    case SESSION_STATUS:
    case SESSION_DELETE:
        *ret_size = 1;
        return true;
    case SESSION_SETUP:
        *ret_size = 10;
        return true;
    case DATA_FRAGMENT:
        *ret_size = 2; /* and the fragment, which is the rest */
        return true;
    default:
        return false;
    }
}

static struct frag_decoder *decoder_of(struct device *device, uint8_t index)
{
    return &device->decoders[device->traits->one_decoder ? 0 : index];
}

static uint8_t setup_errors(struct device *device, uint8_t index,
                            const struct frag_decoder_config *config, uint8_t algorithm)
{
    const struct device_config *limits = &device->config;
    uint16_t count_max =
        limits->fragment_count_max == 0 ? FRAG_DECODER_COUNT_MAX : limits->fragment_count_max;
    uint8_t size_max =
        limits->fragment_size_max == 0 ? FRAGMENT_SIZE_MAX : limits->fragment_size_max;
    uint32_t image_max = limits->image_size_max == 0 ? IMAGE_SIZE_MAX : limits->image_size_max;
    uint8_t errors = limits->refused_frag_setup_bits & 0x0F;

    if (algorithm != 0) {
        errors |= ALGO_UNSUPPORTED;
    }
    if (config->fragment_count == 0 || config->fragment_count > count_max ||
        config->fragment_size == 0 || config->fragment_size > size_max ||
        (uint32_t)config->fragment_count * config->fragment_size > image_max) {
        errors |= NOT_ENOUGH_MEMORY;
    }
    for (uint8_t i = 0; device->traits->one_index && i < DEVICE_FRAG_INDEX_COUNT; i++) {
        if (i != index && device->frag_sessions[i].exists) {
            errors |= INDEX_UNSUPPORTED;
        }
    }
    return errors;
}

static void setup_session(struct exchange *x, struct reader *r)
{
    struct device *device = x->device;
    uint8_t header = read_u8(r);
    uint8_t index = header >> 4 & 0x03;
    struct device_frag_session session = {.exists = true, .mc_group_mask = header & 0x0F};
    struct frag_decoder_config config = {.version = 1,
                                         .lost_max = device->config.lost_max,
                                         .takes_any_order = device->traits->takes_any_order};

    config.fragment_count = read_u16(r);
    config.fragment_size = read_u8(r);
    uint8_t control = read_u8(r);
    session.block_ack_delay = control & 0x07;
    session.padding = read_u8(r);
    read_bytes(r, session.descriptor, sizeof(session.descriptor));
    uint8_t errors = setup_errors(device, index, &config, control >> 3 & 0x07);
    if (errors == 0 && frag_decoder_setup(decoder_of(device, index), &config) != ERR_OK) {
        errors = NOT_ENOUGH_MEMORY;
    }
    if (errors == 0) {
        device->frag_sessions[index] = session;
        device->last_index = index;
        device->counters.frag_setups++;
    } else {
        device->counters.frag_refusals++;
    }
    const uint8_t answer[2] = {SESSION_SETUP, (uint8_t)(index << 6 | errors)};
    exchange_answer(x, answer, sizeof(answer));
}

static void delete_session(struct exchange *x, uint8_t index)
{
    struct device_frag_session *session = &x->device->frag_sessions[index];
    const uint8_t answer[2] = {SESSION_DELETE,
                               (uint8_t)(index | (session->exists ? 0u : SESSION_UNKNOWN))};

    session->exists = false;
    exchange_answer(x, answer, sizeof(answer));
}

static uint8_t saturated(unsigned count)
{
    return (uint8_t)(count > UINT8_MAX ? UINT8_MAX : count);
}

/* NbFragReceived and MissingFrag, as the stack counts them; protocol notes: no two stacks agree. */
static void count_status(const struct device *device, const struct frag_decoder *d,
                         uint16_t *ret_received, uint8_t *ret_missing)
{
    unsigned count = d->config.fragment_count;
    unsigned unknown = count - d->uncoded_count;
    bool is_complete = d->phase == FRAG_DECODER_COMPLETE;

    *ret_received = 0;
    *ret_missing = 0;
    switch (device->traits->status) {
    case STATUS_COUNTS_ALL:
        *ret_received = (uint16_t)(d->received_count & 0x3FFF);
        *ret_missing = is_complete ? 0 : saturated(unknown);
        break;
    case STATUS_LAST_AND_LOST:
        *ret_received = d->last_seen;
        *ret_missing = (uint8_t)d->lost_count;
        break;
    case STATUS_LAST_LESS_LOST:
        *ret_received = (uint16_t)((d->last_accepted - d->lost_count) & 0x3FFF);
        *ret_missing = (uint8_t)unknown;
        if (is_complete) {
            *ret_missing = d->lost_count == 0 ? 1 : 0;
        }
        break;
    case STATUS_COUNTS_NAIVELY:
        *ret_received = (uint16_t)(d->received_count & 0x3FFF);
        *ret_missing = d->received_count >= count ? 0 : saturated(count - d->received_count);
        break;
    }
}

static void answer_status(struct exchange *x, uint8_t param)
{
    struct device *device = x->device;
    const struct stack_traits *traits = device->traits;
    uint8_t asked = param >> 1;
    uint8_t index = asked & 0x03;
    const struct device_frag_session *session = &device->frag_sessions[index];
    const struct frag_decoder *decoder = decoder_of(device, index);
    uint16_t received = 0;
    uint8_t missing = 0;
    uint8_t answer[5];
    struct writer w;

    if (!session->exists && !traits->answers_missing_session) {
        return;
    }
    count_status(device, decoder, &received, &missing);
    bool is_failed = decoder->phase == FRAG_DECODER_FAILED;
    if ((param & 0x01) == 0 && missing == 0 && !is_failed) {
        return; /* only those that still miss something answer */
    }
    uint16_t told_index = traits->unmasked_status_index ? asked : index;
    writer_init(&w, answer, sizeof(answer));
    write_u8(&w, SESSION_STATUS);
    write_u16(&w, (uint16_t)((uint32_t)told_index << 14 | received));
    write_u8(&w, missing);
    write_u8(&w, is_failed ? NOT_ENOUGH_MATRIX : 0);
    exchange_answer(x, answer, sizeof(answer));
    x->has_status = true;
    if (x->group_index != DEVICE_UNICAST || traits->delays_unicast_status) {
        x->status_delay_ms = device_draw(device, 0, (1u << (session->block_ack_delay + 4)) * 1000u);
    }
}

static void keep_image(struct device *device, struct frag_decoder *decoder,
                       const struct device_frag_session *session)
{
    size_t size = (size_t)decoder->config.fragment_count * decoder->config.fragment_size;
    uint8_t *image = frag_decoder_take_image(decoder);

    if (image == NULL) {
        return;
    }
    free(device->image);
    device->image = image;
    device->image_size = session->padding < size ? size - session->padding : 0;
    memcpy(device->image_descriptor, session->descriptor, sizeof(session->descriptor));
}

void device_fragment(struct device *device, int group_index, uint8_t frag_index, uint16_t number,
                     const uint8_t *data, size_t size)
{
    const struct stack_traits *traits = device->traits;
    const struct device_frag_session *session = &device->frag_sessions[frag_index];
    struct frag_decoder *decoder = decoder_of(device, frag_index);
    bool reads_beyond = traits->confusion[PACKAGE_FRAGMENTATION] != CONFUSION_STOP;

    if (device->config.rejoin_at_fragment != 0 && number == device->config.rejoin_at_fragment &&
        !device->has_rejoined_at_fragment) {
        device->has_rejoined_at_fragment = true;
        device_restart(device, device->now_ms);
        return;
    }
    if ((!session->exists && !traits->delete_keeps_decoding) ||
        decoder->phase == FRAG_DECODER_EMPTY ||
        (size != decoder->config.fragment_size && !reads_beyond) ||
        (group_index != DEVICE_UNICAST && !traits->ignores_group_mask &&
         (session->mc_group_mask >> group_index & 1) == 0)) {
        return;
    }
    device->counters.fragments++;
    if (frag_decoder_take(decoder, number, data) == FRAG_DECODER_COMPLETE) {
        keep_image(device, decoder, session);
    }
}

static void run(struct exchange *x, uint8_t cid, struct reader *r)
{
    struct device *device = x->device;

    if (cid == PACKAGE_VERSION) {
        const uint8_t answer[3] = {PACKAGE_VERSION, 3,
                                   device->traits->package_version[PACKAGE_FRAGMENTATION]};
        exchange_answer(x, answer, sizeof(answer));
    } else if (cid == SESSION_STATUS) {
        answer_status(x, read_u8(r));
    } else if (cid == SESSION_SETUP) {
        setup_session(x, r);
    } else if (cid == SESSION_DELETE) {
        delete_session(x, read_u8(r) & 0x03);
    } else {
        uint16_t index_and_n = read_u16(r);
        /* The receive buffer goes on behind the frame: a stack that does not check the length reads
         * what is there. */
        device_fragment(device, x->group_index, (uint8_t)(index_and_n >> 14), index_and_n & 0x3FFF,
                        r->data + r->offset, reader_left(r));
    }
    if (device->traits->shares_answer_buffer && (cid == SESSION_SETUP || cid == SESSION_DELETE)) {
        x->status_delay_ms =
            0; /* LoRaMac-node: these cancel the delay of a status answer before them */
    }
}

static bool is_alone(uint8_t cid)
{
    return cid == DATA_FRAGMENT;
}

static bool is_multicast(uint8_t cid)
{
    return cid == DATA_FRAGMENT || cid == SESSION_STATUS;
}

const struct package_def device_fragmentation_package = {
    DEVICE_PORT_FRAGMENTATION, 3, command_size, run, is_alone, is_multicast};
