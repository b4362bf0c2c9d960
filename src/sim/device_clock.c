/* TS003 Application Layer Clock Synchronization, device side. */
#include "sim/device_packages.h"

#define GPS_EPOCH_UNIX_MS INT64_C(315964800000)
#define LEAP_MS           INT64_C(18000)
#define PERIOD_JITTER_MS  30000

enum {
    PACKAGE_VERSION = 0x00,  /* PackageVersionReq, PackageVersionAns */
    APP_TIME = 0x01,         /* AppTimeReq (up), AppTimeAns (down) */
    TIME_PERIODICITY = 0x02, /* DeviceAppTimePeriodicityReq, -Ans */
    FORCE_RESYNC = 0x03,     /* ForceDeviceResyncReq */
};

static int64_t right_gps_ms(int64_t now_ms)
{
    return now_ms - GPS_EPOCH_UNIX_MS + LEAP_MS;
}

static int64_t floor_seconds(int64_t ms)
{
    return ms >= 0 ? ms / 1000 : -((-ms + 999) / 1000);
}

uint32_t device_gps_seconds(const struct device *device, int64_t now_ms)
{
    return (uint32_t)floor_seconds(right_gps_ms(now_ms) + device->clock.offset_ms);
}

void device_clock_start(struct device *device)
{
    const struct stack_traits *traits = device->traits;
    struct device_clock *clock = &device->clock;

    clock->is_set = !device->config.has_no_clock;
    clock->offset_ms = device->config.clock_offset_ms;
    if (!clock->is_set) {
        clock->offset_ms =
            (int64_t)(int32_t)traits->unsynchronised_clock_s * 1000 - right_gps_ms(device->now_ms);
    }
    clock->next_request_ms = DEVICE_NEVER;
    if (!device->config.is_quiet_about_time) {
        clock->period_ms = (int64_t)traits->time_request_period_s * 1000;
        if (traits->time_request_at_join_ms > 0) {
            clock->requests_left = 1;
            clock->next_request_ms =
                device->now_ms + traits->time_request_at_join_ms + device_draw(device, 0, 4000);
        }
    }
}

int64_t device_clock_next(const struct device *device)
{
    if (device->traits->no_time_during_session && device_session_is_open(device)) {
        return DEVICE_NEVER;
    }
    return device->clock.next_request_ms;
}

static void plan_next(struct device *device)
{
    struct device_clock *clock = &device->clock;

    if (clock->requests_left > 0) {
        clock->next_request_ms = device->now_ms + device->traits->time_request_gap_ms;
    } else if (!clock->is_set && device->traits->time_retry_s > 0 &&
               !device->config.is_quiet_about_time) {
        clock->next_request_ms = device->now_ms + device->traits->time_retry_s * INT64_C(1000);
        clock->requests_left = 1;
    } else if (clock->period_ms > 0) {
        clock->next_request_ms = device->now_ms + clock->period_ms - PERIOD_JITTER_MS +
                                 device_draw(device, 0, 2 * PERIOD_JITTER_MS);
        clock->requests_left = 1;
    } else {
        clock->next_request_ms = DEVICE_NEVER;
    }
}

bool device_clock_wake(struct device *device)
{
    struct device_clock *clock = &device->clock;
    uint8_t request[6];
    struct writer w;

    if (device_clock_next(device) > device->now_ms) {
        return false;
    }
    writer_init(&w, request, sizeof(request));
    write_u8(&w, APP_TIME);
    write_u32(&w, device_gps_seconds(device, device->now_ms));
    write_u8(&w, clock->token); /* AnsRequired stays clear, as in the stacks */
    if (clock->requests_left > 0) {
        clock->requests_left--;
    }
    plan_next(device);
    device_send(device, DEVICE_PORT_CLOCK, request, sizeof(request));
    return true;
}

static bool command_size(const struct device *device, uint8_t cid, size_t *ret_size)
{
    static const uint8_t sizes[] = {
        [PACKAGE_VERSION] = 0, [APP_TIME] = 5, [TIME_PERIODICITY] = 1, [FORCE_RESYNC] = 1};

    (void)device;
    if (cid >= sizeof(sizes)) {
        return false;
    }
    *ret_size = sizes[cid];
    return true;
}

static void take_correction(struct device *device, int32_t correction_s, uint8_t param)
{
    struct device_clock *clock = &device->clock;
    bool is_ours = (param & 0x0F) == clock->token;

    clock->is_set = clock->is_set || is_ours;
    if (is_ours || device->traits->any_token_ends_retries) {
        clock->requests_left = 0;
        plan_next(device);
    }
    if (!is_ours) {
        return;
    }
    clock->token = (clock->token + 1) & 0x0F;
    /* The device keeps 32 bits of seconds: an offset near 2^32 s is one near 0. */
    int64_t offset_ms = clock->offset_ms + (int64_t)correction_s * 1000;
    int64_t wrap_ms = (INT64_C(1) << 32) * 1000;
    while (offset_ms > wrap_ms / 2) {
        offset_ms -= wrap_ms;
    }
    while (offset_ms <= -wrap_ms / 2) {
        offset_ms += wrap_ms;
    }
    clock->offset_ms = offset_ms;
}

static void answer_periodicity(struct exchange *x, uint8_t period)
{
    struct device *device = x->device;
    uint8_t answer[6];
    struct writer w;

    writer_init(&w, answer, sizeof(answer));
    write_u8(&w, TIME_PERIODICITY);
    write_u8(&w, device->traits->takes_time_period ? 0 : 1); /* NotSupported */
    write_u32(&w, device_gps_seconds(device, device->now_ms));
    exchange_answer(x, answer, sizeof(answer));
    if (device->traits->takes_time_period) {
        device->clock.period_ms = (INT64_C(128) << (period & 0x0F)) * 1000;
        plan_next(device);
    }
}

static void run(struct exchange *x, uint8_t cid, struct reader *r)
{
    struct device *device = x->device;

    if (cid == PACKAGE_VERSION) {
        const uint8_t answer[3] = {PACKAGE_VERSION, 1,
                                   device->traits->package_version[PACKAGE_CLOCK]};
        exchange_answer(x, answer, sizeof(answer));
    } else if (cid == APP_TIME) {
        int32_t correction_s = (int32_t)read_u32(r);
        take_correction(device, correction_s, read_u8(r));
    } else if (cid == TIME_PERIODICITY) {
        answer_periodicity(x, read_u8(r));
    } else {
        uint8_t transmissions = read_u8(r) & 0x07;
        if (transmissions > 0) {
            device->clock.requests_left = transmissions;
            device->clock.next_request_ms = device->now_ms + 1000;
        }
    }
}

const struct package_def device_clock_package = {
    DEVICE_PORT_CLOCK, 1, command_size, run, NULL, NULL};
