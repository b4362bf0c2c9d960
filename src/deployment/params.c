#include "deployment/params.h"

#include "fec/choice.h"
#include "lorawan/fragmentation.h"
#include "lorawan/multicast_setup.h"

#define TIME_OUT_MAX 15

/* A session that holds less is not worth its set-up. */
#define SESSION_FRAMES_MIN 16

/* Room for so many rounds after the frames, and fragments in each. */
#define SPARE_ROUNDS     6
#define SPARE_ROUND_ROWS 8

/*
 * The set-up is planned for an uplink for each command and a few that are lost, whatever the number
 * of attempts; who needs more has until the quorum is reached.
 */
#define SETUP_LOST_MAX  5
#define SETUP_EXCHANGES 4
#define NEXT_EXCHANGES  1 /* of devices that have all but the session */
#define SETUP_EXTRA_MS  120000

/* A gateway sends one downlink at a time, and hears nothing meanwhile. */
#define SETUP_DOWNLINK_MS 1000

struct range_check {
    const char *field;
    int64_t value, min, max;
};

enum err deployment_params_check(const struct deployment_params *p, const char **ret_field)
{
    const struct range_check checks[] = {
        {"device_count", p->device_count, 1, DEPLOYMENT_DEVICES_MAX},
        {"fragment_count", p->fragment_count, 1, FRAG_NUMBER_MAX},
        {"fragment_size", p->fragment_size, 1, FRAG_SIZE_MAX},
        {"padding_size", p->padding_size, 0, p->fragment_size - 1},
        {"frag_index", p->frag_index, 0, 3},
        {"block_ack_delay", p->block_ack_delay, 0, 7},
        {"mc_group_id", p->mc_group_id, 0, MC_GROUP_COUNT - 1},
        {"mc_addr", p->mc_addr, 1, UINT32_MAX},
        {"region", p->region, 0, REGION_COUNT - 1},
        {"data_rate", p->data_rate, 0, REGION_DATA_RATE_MAX},
        {"time_out", p->time_out, 0, TIME_OUT_MAX},
        {"port_multicast_setup", p->port_multicast_setup, 1, 223},
        {"port_fragmentation", p->port_fragmentation, 1, 223},
        {"port_clock_sync", p->port_clock_sync, 1, 223},
        {"frame_airtime_ms", p->frame_airtime_ms, 1, 60000},
        {"margin_ms", p->margin_ms, 1, 600000},
        {"scheduler_interval_ms", p->scheduler_interval_ms, 1, 600000},
        {"min_gap_ms", p->min_gap_ms, 0, 3600000},
        {"duty_cycle", p->duty_cycle >= DEPLOYMENT_DUTY_CYCLE_MIN && p->duty_cycle <= 1.0, 1, 1},
        {"gateways_max", p->gateways_max, 1, DEPLOYMENT_GATEWAYS_MAX},
        {"gateway_count", p->gateway_count, 0, DEPLOYMENT_GATEWAYS_MAX},
        {"attempts_max", p->attempts_max, 1, DEPLOYMENT_ATTEMPTS_MAX},
        {"quorum_percent", p->quorum_percent, 1, 100},
        {"setup_limit_ms", p->setup_limit_ms, 2 * DEPLOYMENT_SETUP_END_MS, INT64_C(30) * 86400000},
        {"rounds_max", p->rounds_max, 1, DEPLOYMENT_ROUNDS_MAX},
        {"sessions_max", p->sessions_max, 1, DEPLOYMENT_SESSIONS_MAX},
        {"repairs_max", p->repairs_max, 0, DEPLOYMENT_REPAIRS_MAX},
        {"time_limit_ms", p->time_limit_ms, 0, INT64_C(366) * 86400000},
        {"frequency_hz", region_frequency_is_allowed(p->region, p->frequency_hz), 1, 1},
    };

    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        if (checks[i].value < checks[i].min || checks[i].value > checks[i].max) {
            *ret_field = checks[i].field;
            return ERR_RANGE;
        }
    }
    if (p->choose_rows && !deployment_may_choose_rows(p->fragment_count)) {
        *ret_field = "choose_rows";
        return ERR_LIMIT;
    }
    if (p->fragment_count + p->coded_count > FRAG_NUMBER_MAX) {
        *ret_field = "coded_count";
        return ERR_LIMIT;
    }
    unsigned gateways = p->gateway_count > 0 ? p->gateway_count : p->gateways_max;
    int64_t need_ms =
        DEPLOYMENT_SESSION_GUARD_MS + SESSION_FRAMES_MIN * (int64_t)deployment_gap_ms(p, gateways);
    if (need_ms > INT64_C(1000) << p->time_out) {
        *ret_field = "time_out";
        return ERR_LIMIT;
    }
    return ERR_OK;
}

bool deployment_may_choose_rows(unsigned fragment_count)
{
    return fragment_count >= FEC_CHOICE_COUNT_MIN && fragment_count <= FEC_CHOICE_COUNT_MAX;
}

uint32_t deployment_busy_ms(const struct deployment_params *p, unsigned gateway_count)
{
    return gateway_count * p->margin_ms;
}

uint32_t deployment_duty_ms(const struct deployment_params *p)
{
    return (uint32_t)((double)p->frame_airtime_ms / p->duty_cycle + 1.0);
}

uint32_t deployment_gap_ms(const struct deployment_params *p, unsigned gateway_count)
{
    uint32_t gap_ms = deployment_busy_ms(p, gateway_count);
    uint32_t duty_ms = deployment_duty_ms(p);

    if (duty_ms > gap_ms) {
        gap_ms = duty_ms;
    }
    return p->min_gap_ms > gap_ms ? p->min_gap_ms : gap_ms;
}

int64_t deployment_status_wait_ms(const struct deployment_params *p)
{
    /* The random delay, then what the stacks take to prepare and send, and a margin. */
    return (INT64_C(1000) << (p->block_ack_delay + 4)) + 15000;
}

uint8_t deployment_time_out(const struct deployment_params *p, unsigned gateway_count,
                            uint32_t frame_count)
{
    int64_t gap_ms = deployment_gap_ms(p, gateway_count);
    int64_t rounds = p->rounds_max - 1 < SPARE_ROUNDS ? p->rounds_max - 1 : SPARE_ROUNDS;
    /* A frame may be late by a scheduler run: a fifth more covers interval and margin at their
     * defaults. */
    int64_t need_ms = DEPLOYMENT_SESSION_GUARD_MS + (frame_count + INT64_C(1)) * gap_ms * 6 / 5 +
                      (rounds + 1) * (deployment_status_wait_ms(p) + 2 * gap_ms) +
                      rounds * SPARE_ROUND_ROWS * gap_ms;
    uint8_t time_out = 0;

    while (time_out < TIME_OUT_MAX && (INT64_C(1000) << time_out) < need_ms) {
        time_out++;
    }
    return time_out;
}

int64_t deployment_setup_ms(const struct deployment_params *p, uint32_t uplink_interval_s,
                            uint32_t device_count, bool is_session_only)
{
    unsigned exchanges = is_session_only ? NEXT_EXCHANGES : SETUP_EXCHANGES;
    unsigned lost = p->attempts_max < SETUP_LOST_MAX ? p->attempts_max : SETUP_LOST_MAX;

    return INT64_C(1000) * uplink_interval_s * (lost + exchanges) + SETUP_EXTRA_MS +
           (int64_t)device_count * exchanges * SETUP_DOWNLINK_MS;
}

uint8_t deployment_block_ack_delay(uint32_t device_count, uint32_t answer_airtime_ms)
{
    for (uint8_t delay = 0; delay < 7; delay++) {
        if ((INT64_C(1000) << (delay + 4)) >= (int64_t)2 * device_count * answer_airtime_ms) {
            return delay;
        }
    }
    return 7;
}
