/*
 * world.h - protocol time, and everything that is going to happen in it: one heap of events, one
 * timer.
 *
 * While an event runs, the time is the event's own, however late the loop got to it; so a run does
 * not depend on how busy the machine is. What comes from outside happens at the clock's time, after
 * all that was due before.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "base/clock.h"

typedef void world_event_fn(void *arg, uint64_t value);

struct world_event {
    int64_t at_ms;
    uint64_t order; /* of events at the same time: first planned, first run */
    world_event_fn *run;
    void *arg;
    uint64_t value;
    bool owns_arg; /* to be freed when the event never runs */
};

struct world {
    struct clock clock;
    int64_t now_ms;
    uint64_t order;
    struct world_event *heap;
    size_t count;
    size_t capacity;
    uv_timer_t timer;
    bool is_running; /* inside an event */
};

void world_init(struct world *world, uv_loop_t *loop, struct clock clock);
/* Forgets all events and closes the timer; the loop must run on until it is closed. */
void world_close(struct world *world);

/* The time of the running event, else the clock's, after running what is due by then. */
int64_t world_now(struct world *world);
/* The protocol time that the clock shows once `real_ms` from now have passed. */
int64_t world_after_real(const struct world *world, uint64_t real_ms);

/* Plans `run(arg, value)` at `at_ms`, or as soon as possible when that is past. Aborts when memory
 * is out. */
void world_at(struct world *world, int64_t at_ms, world_event_fn *run, void *arg, uint64_t value);
/* Likewise; takes over `arg` until `run` has it back. */
void world_at_take(struct world *world, int64_t at_ms, world_event_fn *run, void *arg,
                   uint64_t value);

#endif
