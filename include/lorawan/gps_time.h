/*
 * gps_time.h - GPS time: seconds since 1980-01-06T00:00:00Z without leap seconds.
 *
 * Pure. `leap_s` is the difference between GPS and UTC, 18 since 2017-01-01 and until further notice; it is an argument
 * because it may change while the program runs.
 */
#ifndef LORAWAN_GPS_TIME_H
#define LORAWAN_GPS_TIME_H

#include <stdint.h>

#define GPS_EPOCH_UNIX_S   315964800
#define GPS_LEAP_S_DEFAULT 18

/* Milliseconds of GPS time at the Unix time `unix_ms`. */
int64_t gps_from_unix_ms(int64_t unix_ms, int leap_s);
int64_t unix_from_gps_ms(int64_t gps_ms, int leap_s);
/* The 32-bit seconds that go over the air, rounded down; `unix_ms` not before the GPS epoch. */
uint32_t gps_seconds(int64_t unix_ms, int leap_s);

#endif
