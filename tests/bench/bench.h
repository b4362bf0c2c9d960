/*
 * bench.h - what the benchmark programs share: the time, and the rows they print.
 *
 * A program bench_<group> prints one JSON object per line on its standard output; scripts/bench
 * collects them.
 */
#ifndef BENCH_H
#define BENCH_H

/* Milliseconds of a clock that only runs forward. */
double bench_now_ms(void);
/* Milliseconds that this program has used a processor. */
double bench_cpu_ms(void);

/* The sentence is printed as it is: no quotes, no backslashes. `unit` of a row says what the value
 * is. */
void bench_info(const char *name, double value, const char *unit, const char *better);
/* The same with a goal; `better` is "higher" or "lower". */
void bench_goal(const char *name, double value, const char *unit, const char *better, double goal);

#endif
