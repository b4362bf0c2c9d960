/*
 * played_world.h - plays world.h without a loop and without a clock: time passes as a test says.
 *
 * One world at a time; begin with `struct world world = {.now_ms = ...}`.
 */
#ifndef SIM_DEVICE_PLAYED_WORLD_H
#define SIM_DEVICE_PLAYED_WORLD_H

#include <stddef.h>
#include <stdint.h>

#include "sim/world.h"

/* Runs what is planned within `span_ms`, but at most `events_max` events, and is at its end. */
void played_world_pass(struct world *world, int64_t span_ms, size_t events_max);
/* Forgets what is still planned. */
void played_world_release(struct world *world);

#endif
