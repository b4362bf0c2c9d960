/*
 * clock.h - the one clock of all protocol time, and the rate it may run at.
 *
 * Pure: it never reads the machine's clock; the caller brings the real time and gets the protocol
 * time. At rate 1 both are the same. A demonstration or a test runs at a higher rate: protocol time
 * then passes `rate` times faster, from the common instant `epoch_ms` on at which both agree.
 * Programs that share rate and epoch share the time.
 *
 * All times are milliseconds since the Unix epoch, all spans milliseconds, unless a name says
 * otherwise. Leases, call deadlines and keep-alives use real time, never this clock.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_RATE_MAX 100000.0

struct clock {
    int64_t epoch_ms; /* real and protocol time agree here */
    double rate;      /* 1 .. CLOCK_RATE_MAX */
};

/* The clock that shows real time. */
struct clock clock_real(void);

/* The protocol time at the real time `real_us` (microseconds since the Unix epoch). */
int64_t clock_at(const struct clock *clock, int64_t real_us);

/* How long to wait in real milliseconds for `span_ms` of protocol time to pass; rounded up, 0 for
 * none or less. */
uint64_t clock_wait_ms(const struct clock *clock, int64_t span_ms);

#endif
