/*
 * seeds_test.c - faults drawn from a seed; whatever breaks, the deployment ends in time and tells
 * the truth.
 *
 *   seeds_test [--first N] [--count N]      runs that many seeds
 *   seeds_test [--first N] --minutes M      runs seeds for that long
 *   seeds_test --seed N [--trace]           replays one; with --trace it tells its story
 *              [--kill-at-step K [--kill step|commit|calls]]   and kills the daemon there
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sim/sim.h"

struct arguments {
    uint64_t first, count;
    double minutes;
    uint32_t kill_at_step;
    enum sim_kill kill;
    bool is_traced;
};

static struct sim sim;

/* An assert of the core knows no seed: whatever ends the program, this says how to see it again. */
static char replay[128];
static size_t replay_size;

static void on_abort(int number)
{
    (void)number;
    if (write(STDERR_FILENO, replay, replay_size) < 0) {
        _exit(3);
    }
}

static void run_seed(uint64_t seed, const struct arguments *a)
{
    struct sim_options o = sim_draw_options(seed);
    int size = snprintf(replay, sizeof(replay),
                        "seed %llu failed; its story: seeds_test --seed %llu --trace\n",
                        (unsigned long long)seed, (unsigned long long)seed);

    replay_size = (size_t)size;
    o.is_traced = a->is_traced;
    o.kill_at_step = a->kill_at_step;
    o.kill = a->kill;
    sim_init(&sim, &o);
    sim_run(&sim);
    sim_release(&sim);
}

static bool parse_kill(const char *text, enum sim_kill *ret)
{
    static const char *const names[SIM_KILL_COUNT] = {"step", "commit", "calls"};

    for (unsigned i = 0; i < SIM_KILL_COUNT; i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret = (enum sim_kill)i;
            return true;
        }
    }
    return false;
}

static bool parse(int argc, char **argv, struct arguments *a)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--trace") == 0) {
            a->is_traced = true;
            continue;
        }
        if (i + 1 == argc) {
            return false;
        }
        const char *name = argv[i++];
        if (strcmp(name, "--seed") == 0) {
            a->first = strtoull(argv[i], NULL, 10);
            a->count = 1;
        } else if (strcmp(name, "--first") == 0) {
            a->first = strtoull(argv[i], NULL, 10);
        } else if (strcmp(name, "--count") == 0) {
            a->count = strtoull(argv[i], NULL, 10);
        } else if (strcmp(name, "--minutes") == 0) {
            a->minutes = strtod(argv[i], NULL);
            a->count = UINT64_MAX;
        } else if (strcmp(name, "--kill-at-step") == 0) {
            a->kill_at_step = (uint32_t)strtoul(argv[i], NULL, 10);
        } else if (strcmp(name, "--kill") != 0 || !parse_kill(argv[i], &a->kill)) {
            return false;
        }
    }
    return true;
}

static double minutes_since(const struct timespec *begin)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - begin->tv_sec) / 60.0;
}

int main(int argc, char **argv)
{
    struct arguments a = {.first = 1, .count = 100};
    struct timespec begin;
    uint64_t done = 0;

    if (!parse(argc, argv, &a)) {
        fprintf(stderr, "usage: seeds_test [--first N] [--count N | --minutes M]\n"
                        "       seeds_test --seed N [--trace] [--kill-at-step K "
                        "[--kill step|commit|calls]]\n");
        return 2;
    }
    signal(SIGABRT, on_abort);
    signal(SIGSEGV, on_abort);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (; done < a.count && (a.minutes == 0.0 || minutes_since(&begin) < a.minutes); done++) {
        run_seed(a.first + done, &a);
    }
    printf("seeds %llu to %llu passed\n", (unsigned long long)a.first,
           (unsigned long long)(a.first + done - 1));
    return 0;
}
