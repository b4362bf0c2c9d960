/*
 * failpoint.c - ends or freezes the daemon at a failpoint, for tests; only in builds with
 * -DFUOTAD_FAILPOINTS.
 *
 * FUOTAD_FAILPOINT=NAME:COUNT kills it (SIGKILL) when NAME is passed the COUNTth time;
 * NAME:COUNT:stop freezes it (SIGSTOP). FUOTAD_POISON=HEX makes a deployment's code fail an
 * assertion when a device sends that payload.
 */
#include "failpoint.h"

#include <assert.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "daemon/log.h"

static const char *const names[FAILPOINT_COUNT] = {
#define FAILPOINT_NAME(name, text) #name,
    FAILPOINT_LIST(FAILPOINT_NAME)
#undef FAILPOINT_NAME
};

void failpoint_hit(enum failpoint failpoint)
{
    static unsigned long left;
    static bool is_read;
    const char *wanted = getenv("FUOTAD_FAILPOINT");
    size_t size = strlen(names[failpoint]);

    if (wanted == NULL || strncmp(wanted, names[failpoint], size) != 0 || wanted[size] != ':') {
        return;
    }
    char *end;
    unsigned long count = strtoul(wanted + size + 1, &end, 10);
    if (!is_read) {
        left = count;
        is_read = true;
    }
    if (left == 0 || --left > 0) {
        return;
    }
    log_warning("failpoint: %s", wanted);
    raise(strcmp(end, ":stop") == 0 ? SIGSTOP : SIGKILL);
}

void failpoint_poison(const uint8_t *data, size_t size)
{
    const char *poison = getenv("FUOTAD_POISON");
    uint8_t octets[32];

    if (poison == NULL || strlen(poison) / 2 > sizeof(octets)) {
        return;
    }
    bool is_poison = strlen(poison) == 2 * size &&
                     hex_decode(poison, strlen(poison), octets, size) == ERR_OK &&
                     memcmp(octets, data, size) == 0;
    assert(!is_poison && "FUOTAD_POISON");
}
