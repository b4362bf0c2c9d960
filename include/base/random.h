/*
 * random.h - a small seeded generator for simulations (splitmix64). Not for keys.
 *
 * Pure: the state is the caller's.
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t state;
};

void random_init(struct random *random, uint64_t seed);
uint64_t random_next(struct random *random);
/* Uniform in 0 .. bound - 1; `bound` is at least 1. */
uint64_t random_below(struct random *random, uint64_t bound);
/* Uniform in [0, 1). */
double random_unit(struct random *random);
/* A well mixed value that depends on nothing but `a` and `b`. */
uint64_t random_mix(uint64_t a, uint64_t b);

#endif
