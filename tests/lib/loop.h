/* loop.h - a uv loop for a test: runs until something holds, and knows what was left open. */
#ifndef TESTS_LIB_LOOP_H
#define TESTS_LIB_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

struct test_loop {
    uv_loop_t loop;
    uv_timer_t tick; /* so that a turn never blocks for long */
};

void test_loop_open(struct test_loop *t);
/* Runs out what is closing; prints and returns false when handles are left open. */
bool test_loop_close(struct test_loop *t);
/* Monotonic. */
uint64_t test_now_ms(void);
/* Runs the loop for so long. */
void test_loop_run(struct test_loop *t, uint64_t span_ms);

#define TEST_LIMIT_MS 15000

/* Runs the loop until `condition` holds; the test fails when it does not in time. */
#define WAIT_UNTIL(t, condition)                                                                   \
    do {                                                                                           \
        for (uint64_t end_ms = test_now_ms() + TEST_LIMIT_MS; !(condition);) {                     \
            if (test_now_ms() >= end_ms) {                                                         \
                fail_msg("not in time: %s", #condition);                                           \
            }                                                                                      \
            uv_run(&(t)->loop, UV_RUN_ONCE);                                                       \
        }                                                                                          \
    } while (0)

#endif
