/* TS005 Remote Multicast Setup, device side, and the multicast frames of open sessions. */
#include <string.h>

#include "sim/device_packages.h"

enum {
    PACKAGE_VERSION = 0x00, /* PackageVersionReq */
    GROUP_STATUS = 0x01,    /* McGroupStatusReq */
    GROUP_SETUP = 0x02,     /* McGroupSetupReq */
    GROUP_DELETE = 0x03,    /* McGroupDeleteReq */
    CLASS_C_SESSION = 0x04, /* McClassCSessionReq */
    CLASS_B_SESSION = 0x05, /* McClassBSessionReq */
};

#define ID_ERROR         (1u << 2) /* McGroupSetupAns */
#define GROUP_UNDEFINED  (1u << 2) /* McGroupDeleteAns */
#define DR_ERROR         (1u << 2) /* session answers */
#define FREQ_ERROR       (1u << 3)
#define REFUSAL_BITS     0x1Cu
#define START_FAR        0xFFFFFFu /* TimeToStart that does not fit, or no time */
#define BEACON_PERIOD_MS INT64_C(128000)

/* What a session request carries. */
struct session_req {
    uint8_t cid;
    uint8_t group_index;
    uint32_t start_s; /* SessionTime, GPS */
    uint8_t timeout;
    uint32_t frequency_hz;
    uint8_t dr;
};

static bool command_size(const struct device *device, uint8_t cid, size_t *ret_size)
{
    static const uint8_t sizes[] = {
        [PACKAGE_VERSION] = 0, [GROUP_STATUS] = 1,     [GROUP_SETUP] = 29,
        [GROUP_DELETE] = 1,    [CLASS_C_SESSION] = 10, [CLASS_B_SESSION] = 10,
    };

    if (cid >= sizeof(sizes) || (cid == GROUP_STATUS && !device->traits->knows_group_status) ||
        (cid == CLASS_B_SESSION && !device->traits->knows_class_b_session)) {
        return false;
    }
    *ret_size = sizes[cid];
    return true;
}

static void answer_status(struct exchange *x, uint8_t wanted)
{
    const struct device *device = x->device;
    uint8_t answer[2 + 5 * DEVICE_GROUP_COUNT];
    struct writer w;
    uint8_t total = 0;
    uint8_t listed_mask = 0;
    uint8_t listed_count = 0;

    writer_init(&w, answer, sizeof(answer));
    write_u16(&w, 0); /* filled in below */
    for (uint8_t i = 0; i < DEVICE_GROUP_COUNT; i++) {
        const struct device_group *group = &device->groups[i];
        if (!group->is_defined) {
            continue;
        }
        total++;
        if ((wanted >> i & 1) != 0 && listed_count < device->traits->group_status_entries_max) {
            listed_mask = (uint8_t)(listed_mask | 1u << i);
            listed_count++;
            write_u8(&w, i);
            write_u32(&w, group->mc_addr);
        }
    }
    answer[0] = GROUP_STATUS;
    answer[1] = (uint8_t)(total << 4 | listed_mask);
    exchange_answer(x, answer, w.offset);
}

static void setup_group(struct exchange *x, struct reader *r)
{
    struct device *device = x->device;
    const struct device_config *config = &device->config;
    uint8_t index = read_u8(r) & 0x03;
    struct device_group *group = &device->groups[index];
    struct device_group next = {.is_defined = true, .timeout = group->timeout};
    uint8_t mc_key_encrypted[DEVICE_KEY_SIZE];

    next.mc_addr = read_u32(r);
    read_bytes(r, mc_key_encrypted, sizeof(mc_key_encrypted));
    next.f_cnt_min = read_u32(r);
    next.f_cnt_max = read_u32(r);
    bool is_refused = config->refuses_group_setup || next.mc_addr == 0 ||
                      device_keys_derive(config->root_key, config->is_lorawan_1_1, mc_key_encrypted,
                                         next.mc_addr, next.app_s_key, next.nwk_s_key) != ERR_OK;
    const uint8_t answer[2] = {GROUP_SETUP, (uint8_t)(index | (is_refused ? ID_ERROR : 0u))};
    exchange_answer(x, answer, sizeof(answer));
    if (is_refused || (device->traits->keeps_keys_in_session && group->session == SESSION_OPEN)) {
        return;
    }
    next.session = group->session; /* a running or planned session goes on, under the new keys */
    next.is_class_b = group->is_class_b;
    next.start_ms = group->start_ms;
    next.end_ms = group->end_ms;
    next.frequency_hz = group->frequency_hz;
    next.dr = group->dr;
    *group = next;
    device->counters.group_setups++;
}

static void delete_group(struct exchange *x, uint8_t index)
{
    struct device_group *group = &x->device->groups[index];
    const uint8_t answer[2] = {GROUP_DELETE,
                               (uint8_t)(index | (group->is_defined ? 0u : GROUP_UNDEFINED))};

    exchange_answer(x, answer, sizeof(answer));
    struct device_group left = {.timeout = group->timeout};
    if (x->device->traits->delete_keeps_listening) {
        left.session = group->session; /* the radio stays tuned until the timer */
        left.start_ms = group->start_ms;
        left.end_ms = group->end_ms;
        left.frequency_hz = group->frequency_hz;
        left.dr = group->dr;
    }
    *group = left;
}

static uint8_t radio_errors(const struct device *device, const struct session_req *req)
{
    const struct device_config *config = &device->config;
    uint32_t min_hz = config->frequency_min_hz == 0 ? 100000000 : config->frequency_min_hz;
    uint32_t max_hz = config->frequency_max_hz == 0 ? 1670000000 : config->frequency_max_hz;
    uint8_t errors = 0;

    if (req->frequency_hz < min_hz || req->frequency_hz > max_hz) {
        errors |= FREQ_ERROR;
    }
    if (req->dr > 15 || (config->dr_mask != 0 && (config->dr_mask >> req->dr & 1) == 0)) {
        errors |= DR_ERROR;
    }
    return errors;
}

/* When the session ends, counted from its start. */
static int64_t session_span_ms(const struct device *device, const struct session_req *req)
{
    const struct stack_traits *traits = device->traits;
    uint8_t timeout = traits->stops_by_group_0 ? device->groups[0].timeout : req->timeout;
    bool counts_beacons = req->cid == CLASS_B_SESSION && !traits->class_b_opens_class_c;

    return (INT64_C(1) << timeout) * (counts_beacons ? BEACON_PERIOD_MS : 1000);
}

/* Plans the start; false when the device cannot know it. `*ret_told` is TimeToStart. */
static bool plan_start(struct device *device, int32_t left_s, int64_t *ret_start_ms,
                       uint32_t *ret_told)
{
    int64_t into_second_ms = 0;

    if (device->clock.is_set) {
        *ret_told = left_s > (int32_t)START_FAR ? START_FAR : (uint32_t)left_s;
        int64_t own_ms =
            device->now_ms + device->clock.offset_ms; /* both epochs fall on whole seconds */
        into_second_ms = ((own_ms % 1000) + 1000) % 1000;
        *ret_start_ms = device->now_ms + (int64_t)left_s * 1000 - into_second_ms;
        return true;
    }
    *ret_told = START_FAR;
    switch (device->traits->timeless) {
    case TIMELESS_OVERFLOWS:
        *ret_told = (uint32_t)left_s & 0xFFFFFF;
        *ret_start_ms = device->now_ms + (uint32_t)((uint32_t)left_s * 1000u);
        return true;
    case TIMELESS_ASKS_MAC:
        device->clock.is_set = true; /* DeviceTimeAns, which the network server gives by itself */
        *ret_start_ms = device->now_ms + (int64_t)left_s * 1000 + device->clock.offset_ms;
        device->clock.offset_ms = 0;
        return true;
    case TIMELESS_IDLE:
        break;
    }
    return false;
}

static void request_session(struct exchange *x, const struct session_req *req)
{
    struct device *device = x->device;
    const struct stack_traits *traits = device->traits;
    struct device_group *group = &device->groups[req->group_index];
    uint8_t bits =
        (uint8_t)(radio_errors(device, req) | (device->config.refused_session_bits & REFUSAL_BITS));
    int32_t left_s = (int32_t)(req->start_s - device_gps_seconds(device, device->now_ms));
    bool is_known_start = device->clock.is_set || traits->timeless == TIMELESS_OVERFLOWS;
    uint8_t answer[5];
    struct writer w;

    group->timeout = req->timeout; /* LoRaMac-node keeps it even when it refuses */
    if (!group->is_defined) {
        bits |= traits->undefined_group_bits;
    } else if (is_known_start && left_s <= 0) {
        bits |= traits->past_start_bit;
    }
    writer_init(&w, answer, sizeof(answer));
    write_u8(&w, req->cid);
    write_u8(&w, (uint8_t)(bits | req->group_index));
    if (bits == 0) {
        int64_t start_ms = 0;
        uint32_t told = 0;
        bool is_planned = plan_start(device, left_s, &start_ms, &told);
        write_u24(&w, told);
        if (is_planned) {
            for (size_t i = 0; traits->one_session && i < DEVICE_GROUP_COUNT; i++) {
                device->groups[i].session = SESSION_NONE; /* one start timer, one stop timer */
            }
            group->session = SESSION_PLANNED;
            group->is_class_b = req->cid == CLASS_B_SESSION && !traits->class_b_opens_class_c;
            group->start_ms = start_ms;
            group->end_ms = start_ms + session_span_ms(device, req);
            group->frequency_hz = req->frequency_hz;
            group->dr = req->dr;
            device->counters.sessions_planned++;
            if (traits->start_told_at_transmission && told != START_FAR) {
                x->start_ms = start_ms;
                x->start_offset = (uint8_t)(x->answers.offset + 2);
            }
        }
    }
    exchange_answer(x, answer, w.offset);
}

static void run(struct exchange *x, uint8_t cid, struct reader *r)
{
    if (cid == PACKAGE_VERSION) {
        const uint8_t answer[3] = {PACKAGE_VERSION, 2,
                                   x->device->traits->package_version[PACKAGE_MULTICAST]};
        exchange_answer(x, answer, sizeof(answer));
    } else if (cid == GROUP_STATUS) {
        answer_status(x, read_u8(r) & 0x0F);
    } else if (cid == GROUP_SETUP) {
        setup_group(x, r);
    } else if (cid == GROUP_DELETE) {
        delete_group(x, read_u8(r) & 0x03);
    } else {
        struct session_req req = {.cid = cid};
        req.group_index = read_u8(r) & 0x03;
        req.start_s = read_u32(r);
        req.timeout = read_u8(r) & 0x0F;
        req.frequency_hz = read_u24(r) * 100;
        req.dr = read_u8(r);
        request_session(x, &req);
    }
}

const struct package_def device_multicast_package = {
    DEVICE_PORT_MULTICAST, 2, command_size, run, NULL, NULL};

int64_t device_multicast_next(const struct device *device)
{
    int64_t next_ms = DEVICE_NEVER;

    for (size_t i = 0; i < DEVICE_GROUP_COUNT; i++) {
        const struct device_group *group = &device->groups[i];
        int64_t at_ms = group->session == SESSION_PLANNED ? group->start_ms
                        : group->session == SESSION_OPEN  ? group->end_ms
                                                          : DEVICE_NEVER;
        next_ms = at_ms < next_ms ? at_ms : next_ms;
    }
    return next_ms;
}

void device_multicast_wake(struct device *device)
{
    for (size_t i = 0; i < DEVICE_GROUP_COUNT; i++) {
        struct device_group *group = &device->groups[i];
        if (group->session == SESSION_PLANNED && group->start_ms <= device->now_ms) {
            group->session = SESSION_OPEN;
            device->counters.sessions_opened++;
            if (device->traits->restarts_counter_at_session) {
                group->has_counter = false;
            }
        }
        if (group->session == SESSION_OPEN && group->end_ms <= device->now_ms) {
            group->session = SESSION_NONE;
            if (device->traits->restarts_counter_at_session) { /* LBM forgets the range with it */
                group->f_cnt_min = 0;
                group->f_cnt_max = UINT32_MAX;
            }
        }
    }
}

/* The full counter the device makes of the 16 bits on the air; UINT64_MAX for a repeat. */
static uint64_t full_counter(const struct device *device, const struct device_group *group,
                             uint16_t on_air)
{
    uint32_t reference = group->has_counter ? group->f_cnt_last : group->f_cnt_min;

    if (!group->has_counter && device->traits->counter == COUNTER_FROM_ZERO) {
        return on_air;
    }
    uint16_t step = (uint16_t)(on_air - (uint16_t)reference);
    if (group->has_counter && step == 0) {
        return UINT64_MAX;
    }
    /* A lower counter looks like a gap of almost 65536 and fails the MIC. */
    return (uint64_t)reference + step;
}

enum device_hearing device_on_multicast(struct device *device,
                                        const struct device_multicast_frame *frame, int64_t now_ms)
{
    struct device_group *group = NULL;
    int group_index = DEVICE_UNICAST;

    device->now_ms = now_ms;
    if (device->config.is_deaf) {
        return DEVICE_IS_DEAF;
    }
    if (!device_session_is_open(device)) {
        return DEVICE_NOT_LISTENING;
    }
    for (int i = 0; i < DEVICE_GROUP_COUNT && group == NULL; i++) {
        struct device_group *g = &device->groups[i];
        if (g->is_defined && g->session == SESSION_OPEN && !g->is_class_b &&
            g->mc_addr == frame->mc_addr) {
            group = g;
            group_index = i;
        }
    }
    if (group == NULL) {
        return DEVICE_OTHER_ADDRESS;
    }
    if (group->frequency_hz != frame->frequency_hz || group->dr != frame->dr) {
        return DEVICE_OTHER_RADIO;
    }
    if (memcmp(group->nwk_s_key, frame->nwk_s_key, DEVICE_KEY_SIZE) != 0 ||
        memcmp(group->app_s_key, frame->app_s_key, DEVICE_KEY_SIZE) != 0) {
        device->counters.multicast_other_key++;
        return DEVICE_OTHER_KEY;
    }
    uint64_t counter = full_counter(device, group, (uint16_t)frame->f_cnt);
    bool is_below_max = counter < group->f_cnt_max ||
                        (counter == group->f_cnt_max &&
                         (device->traits->max_counter_is_valid || counter == UINT32_MAX));
    if (counter != frame->f_cnt || counter < group->f_cnt_min || !is_below_max) {
        device->counters.multicast_counter_old++;
        return DEVICE_COUNTER_OLD;
    }
    group->has_counter = true;
    group->f_cnt_last = frame->f_cnt;
    device->counters.multicast_heard++;
    device_execute(device, group_index, frame->f_port, frame->payload, frame->size);
    return DEVICE_HEARD;
}
