/* failpoint.h - what tests do to the daemon; nothing in builds without FUOTAD_FAILPOINTS. */
#ifndef DAEMON_FAILPOINT_H
#define DAEMON_FAILPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "base/failpoint.h"

#ifdef FUOTAD_FAILPOINTS
/* Fails an assertion for the payload that the test names. */
void failpoint_poison(const uint8_t *data, size_t size);
#define FAILPOINT_POISON(event)                                                                    \
    do {                                                                                           \
        if ((event)->kind == DEPLOYMENT_EVENT_UPLINK) {                                            \
            failpoint_poison((event)->u.uplink.data, (event)->u.uplink.data_size);                 \
        }                                                                                          \
    } while (0)
#else
#define FAILPOINT_POISON(event) ((void)0)
#endif

#endif
