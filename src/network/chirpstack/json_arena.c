#include "json_arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#define ARENA_SIZE (64 * 1024)
#define ALIGNMENT  16

static _Alignas(ALIGNMENT) char arena[ARENA_SIZE];
static size_t used;
static bool is_open, is_hooked;

static void *allocate(size_t size)
{
    if (!is_open || size > ARENA_SIZE - used) {
        return malloc(size);
    }
    void *block = arena + used;
    size_t padded = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    used = padded > ARENA_SIZE - used ? ARENA_SIZE : used + padded;
    return block;
}

static void release(void *block)
{
    uintptr_t at = (uintptr_t)block;

    if (at < (uintptr_t)arena || at >= (uintptr_t)arena + ARENA_SIZE) {
        free(block);
    }
}

void json_arena_begin(void)
{
    static cJSON_Hooks hooks = {allocate, release};

    if (!is_hooked) {
        cJSON_InitHooks(&hooks);
        is_hooked = true;
    }
    used = 0;
    is_open = true;
}

void json_arena_end(void)
{
    is_open = false;
}
