/* params.h - parameters of a small deployment that are right; a test changes what it is about. */
#ifndef TESTS_LIB_PARAMS_H
#define TESTS_LIB_PARAMS_H

#include "deployment/params.h"

static inline struct deployment_params test_params(uint32_t device_count)
{
    return (struct deployment_params){
        .device_count = device_count,
        .fragment_count = 100,
        .fragment_size = 50,
        .padding_size = 3,
        .coded_count = 20,
        .mc_addr = 1,
        .region = REGION_EU868,
        .data_rate = 5,
        .frequency_hz = 869525000,
        .time_out = 15,
        .port_multicast_setup = 200,
        .port_fragmentation = 201,
        .port_clock_sync = 202,
        .frame_airtime_ms = 400,
        .margin_ms = 5000,
        .scheduler_interval_ms = 1000,
        .duty_cycle = 0.1,
        .gateways_max = 2,
        .attempts_max = 3,
        .quorum_percent = 90,
        .setup_limit_ms = 86400000,
        .rounds_max = 20,
        .sessions_max = 8,
        .repairs_max = 1,
        .combine_setup = true,
        .leap_s = 18,
    };
}

#endif
