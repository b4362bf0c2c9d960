#include "lorawan/gps_time.h"

#include <assert.h>

static int64_t offset_ms(int leap_s)
{
    return ((int64_t)leap_s - GPS_EPOCH_UNIX_S) * 1000;
}

int64_t gps_from_unix_ms(int64_t unix_ms, int leap_s)
{
    return unix_ms + offset_ms(leap_s);
}

int64_t unix_from_gps_ms(int64_t gps_ms, int leap_s)
{
    return gps_ms - offset_ms(leap_s);
}

uint32_t gps_seconds(int64_t unix_ms, int leap_s)
{
    int64_t gps_ms = gps_from_unix_ms(unix_ms, leap_s);

    assert(gps_ms >= 0);
    return (uint32_t)(gps_ms / 1000); /* modulo 2^32: GPS time wraps in 2116 */
}
