#include "sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define EVENTS_PER_TURN_MAX 20000 /* then the loop looks at its sockets again */

static int64_t real_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static bool is_before(const struct world_event *a, const struct world_event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void swap(struct world_event *a, struct world_event *b)
{
    struct world_event kept = *a;

    *a = *b;
    *b = kept;
}

static void push(struct world *world, struct world_event event)
{
    if (world->count == world->capacity) {
        size_t capacity = world->capacity == 0 ? 1024 : world->capacity * 2;
        struct world_event *heap = realloc(world->heap, capacity * sizeof(*heap));
        if (heap == NULL) {
            fprintf(stderr, "fuota-sim: out of memory\n");
            abort();
        }
        world->heap = heap;
        world->capacity = capacity;
    }
    size_t i = world->count++;
    world->heap[i] = event;
    while (i > 0 && is_before(&world->heap[i], &world->heap[(i - 1) / 2])) {
        swap(&world->heap[i], &world->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
}

static struct world_event pop(struct world *world)
{
    struct world_event first = world->heap[0];
    size_t i = 0;

    world->heap[0] = world->heap[--world->count];
    for (;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < world->count; child++) {
            if (is_before(&world->heap[child], &world->heap[least])) {
                least = child;
            }
        }
        if (least == i) {
            return first;
        }
        swap(&world->heap[i], &world->heap[least]);
        i = least;
    }
}

static void on_timer(uv_timer_t *timer);

static void arm(struct world *world)
{
    if (uv_is_closing((uv_handle_t *)&world->timer)) {
        return;
    }
    if (world->count == 0) {
        uv_timer_stop(&world->timer);
        return;
    }
    int64_t span_ms = world->heap[0].at_ms - clock_at(&world->clock, real_us());
    uv_update_time(world->timer.loop);
    uv_timer_start(&world->timer, on_timer, clock_wait_ms(&world->clock, span_ms), 0);
}

static void run_due(struct world *world)
{
    int64_t clock_ms = clock_at(&world->clock, real_us());
    size_t budget = EVENTS_PER_TURN_MAX;

    world->is_running = true;
    while (world->count > 0 && world->heap[0].at_ms <= clock_ms && budget-- > 0) {
        struct world_event event = pop(world);
        if (event.at_ms > world->now_ms) {
            world->now_ms = event.at_ms;
        }
        event.run(event.arg, event.value);
    }
    world->is_running = false;
    if (clock_ms > world->now_ms && (world->count == 0 || world->heap[0].at_ms > clock_ms)) {
        world->now_ms = clock_ms;
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct world *world = timer->data;

    run_due(world);
    arm(world);
}

void world_init(struct world *world, uv_loop_t *loop, struct clock clock)
{
    *world = (struct world){.clock = clock};
    world->now_ms = clock_at(&clock, real_us());
    uv_timer_init(loop, &world->timer);
    world->timer.data = world;
}

void world_close(struct world *world)
{
    for (size_t i = 0; i < world->count; i++) {
        if (world->heap[i].owns_arg) {
            free(world->heap[i].arg);
        }
    }
    free(world->heap);
    world->heap = NULL;
    world->count = 0;
    world->capacity = 0;
    uv_close((uv_handle_t *)&world->timer, NULL);
}

int64_t world_now(struct world *world)
{
    if (!world->is_running) {
        run_due(world);
        arm(world);
    }
    return world->now_ms;
}

int64_t world_after_real(const struct world *world, uint64_t real_ms)
{
    return clock_at(&world->clock, real_us() + (int64_t)real_ms * 1000);
}

static void plan(struct world *world, struct world_event event)
{
    event.order = world->order++;
    push(world, event);
    if (!world->is_running) {
        arm(world);
    }
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
