#include "sim/airtime_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY_FIRST 64

void airtime_log_release(struct airtime_log *log)
{
    free(log->frames);
    *log = (struct airtime_log){.frames = NULL};
}

static const struct airtime_frame *frame_at(const struct airtime_log *log, size_t index)
{
    return &log->frames[(log->first + index) % log->capacity];
}

static void grow(struct airtime_log *log)
{
    size_t capacity = log->capacity == 0 ? CAPACITY_FIRST : log->capacity * 2;
    struct airtime_frame *frames = malloc(capacity * sizeof(*frames));

    if (frames == NULL) {
        fprintf(stderr, "fuota-sim: out of memory\n");
        abort();
    }
    for (size_t i = 0; i < log->count; i++) {
        frames[i] = *frame_at(log, i);
    }
    free(log->frames);
    log->frames = frames;
    log->capacity = capacity;
    log->first = 0;
}

static void drop_before(struct airtime_log *log, int64_t limit_ms)
{
    while (log->count > 0) {
        const struct airtime_frame *frame = frame_at(log, 0);
        if (frame->from_ms + frame->airtime_ms > limit_ms) {
            return;
        }
        log->kept_ms[frame->band] -= frame->airtime_ms;
        log->kept_ms[AIRTIME_LOG_ALL_BANDS] -= frame->airtime_ms;
        log->first = (log->first + 1) % log->capacity;
        log->count--;
    }
}

void airtime_log_add(struct airtime_log *log, uint32_t band, int64_t from_ms, uint32_t airtime)
{
    int64_t to_ms = from_ms + airtime;

    drop_before(log, to_ms - AIRTIME_LOG_HOUR_MS);
    if (log->count == log->capacity) {
        grow(log);
    }
    log->frames[(log->first + log->count) % log->capacity] =
        (struct airtime_frame){from_ms, airtime, band};
    log->count++;
    log->kept_ms[band] += airtime;
    log->kept_ms[AIRTIME_LOG_ALL_BANDS] += airtime;
    log->total_ms += airtime;
    /* No hour has more than each of those that end with a frame: moved on until it does, an hour
     * gains at least what it loses. */
    uint64_t hour_ms = airtime_log_hour(log, AIRTIME_LOG_ALL_BANDS, to_ms);
    log->max_hour_ms = hour_ms > log->max_hour_ms ? hour_ms : log->max_hour_ms;
}

uint64_t airtime_log_hour(const struct airtime_log *log, uint32_t band, int64_t to_ms)
{
    int64_t limit_ms = to_ms - AIRTIME_LOG_HOUR_MS;
    uint64_t sum_ms = log->kept_ms[band];

    for (size_t i = 0; i < log->count && frame_at(log, i)->from_ms < limit_ms; i++) {
        const struct airtime_frame *frame = frame_at(log, i);
        int64_t end_ms = frame->from_ms + frame->airtime_ms;
        if (band == AIRTIME_LOG_ALL_BANDS || frame->band == band) {
            sum_ms -= (uint64_t)((end_ms < limit_ms ? end_ms : limit_ms) - frame->from_ms);
        }
    }
    return sum_ms;
}
