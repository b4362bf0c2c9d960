#include "base/clock.h"

struct clock clock_real(void)
{
    return (struct clock){.epoch_ms = 0, .rate = 1.0};
}

int64_t clock_at(const struct clock *clock, int64_t real_us)
{
    if (clock->rate == 1.0) { /* exact: no rounding on the way through a double */
        return real_us / 1000;
    }
    double since_us = (double)(real_us - clock->epoch_ms * 1000);
    return clock->epoch_ms + (int64_t)(since_us * clock->rate / 1000.0);
}

uint64_t clock_wait_ms(const struct clock *clock, int64_t span_ms)
{
    if (span_ms <= 0) {
        return 0;
    }
    double real_ms = (double)span_ms / clock->rate;
    uint64_t whole_ms = (uint64_t)real_ms;
    return (double)whole_ms < real_ms ? whole_ms + 1 : whole_ms;
}
