#include "bench.h"

#include <stdio.h>
#include <time.h>

static double clock_ms(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

double bench_now_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

double bench_cpu_ms(void)
{
    return clock_ms(CLOCK_PROCESS_CPUTIME_ID);
}

static void print_row(const char *name, double value, const char *unit, const char *better,
                      const char *goal)
{
    printf(
        "{\"case\": \"%s\", \"value\": %.6g, \"unit\": \"%s\", \"goal\": %s, \"better\": \"%s\"}\n",
        name, value, unit, goal, better);
    fflush(stdout);
}

void bench_info(const char *name, double value, const char *unit, const char *better)
{
    print_row(name, value, unit, better, "null");
}

void bench_goal(const char *name, double value, const char *unit, const char *better, double goal)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%.6g", goal);
    print_row(name, value, unit, better, text);
}
