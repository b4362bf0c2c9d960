/* heap.c - scheduled things, the earliest first; of those at one instant, the one planned first. */
#include <assert.h>
#include <stdlib.h>

#include "sim/sim.h"

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->sequence < b->sequence;
}

static void swap(struct sim *sim, size_t a, size_t b)
{
    struct sim_event event = sim->heap[a];

    sim->heap[a] = sim->heap[b];
    sim->heap[b] = event;
}

void sim_schedule(struct sim *sim, const struct sim_event *event)
{
    if (sim->heap_size == sim->heap_capacity) {
        sim->heap_capacity = sim->heap_capacity == 0 ? 256 : 2 * sim->heap_capacity;
        sim->heap = realloc(sim->heap, sim->heap_capacity * sizeof(*sim->heap));
        assert(sim->heap != NULL);
    }
    size_t at = sim->heap_size++;
    sim->heap[at] = *event;
    sim->heap[at].sequence = sim->next_sequence++;
    while (at > 0 && is_before(&sim->heap[at], &sim->heap[(at - 1) / 2])) {
        swap(sim, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

struct sim_event sim_pop(struct sim *sim)
{
    struct sim_event first = sim->heap[0];
    size_t at = 0;

    sim->heap[0] = sim->heap[--sim->heap_size];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < sim->heap_size && is_before(&sim->heap[child + 1], &sim->heap[child])) {
            child++;
        }
        if (child >= sim->heap_size || !is_before(&sim->heap[child], &sim->heap[at])) {
            return first;
        }
        swap(sim, at, child);
        at = child;
    }
}
