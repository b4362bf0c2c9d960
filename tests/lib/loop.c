#include "lib/loop.h"

#include <stdio.h>
#include <stdlib.h>

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

void test_loop_open(struct test_loop *t)
{
    if (uv_loop_init(&t->loop) != 0) {
        abort();
    }
    uv_timer_init(&t->loop, &t->tick);
    uv_timer_start(&t->tick, on_tick, 10, 10);
}

static void print_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    fprintf(stderr, "left open: %s\n", uv_handle_type_name(handle->type));
}

bool test_loop_close(struct test_loop *t)
{
    uv_close((uv_handle_t *)&t->tick, NULL);
    for (unsigned i = 0; i < 100 && uv_run(&t->loop, UV_RUN_NOWAIT) != 0; i++) {
        uv_sleep(1);
    }
    if (uv_loop_close(&t->loop) != 0) {
        uv_walk(&t->loop, print_handle, NULL);
        return false;
    }
    return true;
}

uint64_t test_now_ms(void)
{
    return uv_hrtime() / 1000000;
}

void test_loop_run(struct test_loop *t, uint64_t span_ms)
{
    for (uint64_t end_ms = test_now_ms() + span_ms; test_now_ms() < end_ms;) {
        uv_run(&t->loop, UV_RUN_ONCE);
    }
}
