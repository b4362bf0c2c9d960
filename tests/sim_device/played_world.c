#include "sim_device/played_world.h"

#include <assert.h>
#include <stdlib.h>

#define EVENTS_MAX 4096 /* planned at the same time */

static struct world_event events[EVENTS_MAX];

static void plan(struct world *world, struct world_event event)
{
    assert(world->count < EVENTS_MAX);
    event.order = world->order++;
    events[world->count++] = event;
}

void world_at(struct world *world, int64_t at_ms, world_event_fn *run, void *arg, uint64_t value)
{
    plan(world, (struct world_event){.at_ms = at_ms, .run = run, .arg = arg, .value = value});
}

void world_at_take(struct world *world, int64_t at_ms, world_event_fn *run, void *arg,
                   uint64_t value)
{
    plan(world, (struct world_event){
                    .at_ms = at_ms, .run = run, .arg = arg, .value = value, .owns_arg = true});
}

int64_t world_now(struct world *world)
{
    return world->now_ms;
}

int64_t world_after_real(const struct world *world, uint64_t real_ms)
{
    return world->now_ms + (int64_t)real_ms;
}

/* The next event up to `limit_ms`, by time and order; false: none. */
static bool run_next(struct world *world, int64_t limit_ms)
{
    size_t first = 0;

    for (size_t i = 1; i < world->count; i++) {
        if (events[i].at_ms < events[first].at_ms ||
            (events[i].at_ms == events[first].at_ms && events[i].order < events[first].order)) {
            first = i;
        }
    }
    if (world->count == 0 || events[first].at_ms > limit_ms) {
        return false;
    }
    struct world_event event = events[first];
    events[first] = events[--world->count];
    world->now_ms = event.at_ms > world->now_ms ? event.at_ms : world->now_ms;
    world->is_running = true;
    event.run(event.arg, event.value);
    world->is_running = false;
    return true;
}

void played_world_pass(struct world *world, int64_t span_ms, size_t events_max)
{
    int64_t limit_ms = world->now_ms + span_ms;

    for (size_t i = 0; i < events_max && run_next(world, limit_ms); i++) {
    }
    world->now_ms = limit_ms > world->now_ms ? limit_ms : world->now_ms;
}

void played_world_release(struct world *world)
{
    for (size_t i = 0; i < world->count; i++) {
        if (events[i].owns_arg) {
            free(events[i].arg);
        }
    }
    world->count = 0;
}
