/*
 * topics.h - ChirpStack's event_topic: filters made of the template, and what a topic says.
 *
 * No I/O. Bytes from a broker: what a topic says is a hint, an event's identity is in its payload.
 */
#ifndef NETWORK_CHIRPSTACK_TOPICS_H
#define NETWORK_CHIRPSTACK_TOPICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hex.h"
#include "network/chirpstack/events.h"

/* Octets of a filter, its end included. */
#define TOPICS_FILTER_SIZE 512

enum topics_placeholder {
    TOPICS_APPLICATION,
    TOPICS_DEVICE,
    TOPICS_EVENT,
    TOPICS_PLACEHOLDER_COUNT,
};

struct topics {
    const char *template;                      /* borrowed */
    unsigned levels[TOPICS_PLACEHOLDER_COUNT]; /* slashes before each placeholder */
};

struct topic {
    enum events_topic event;
    bool has_device; /* the application and the device can be read */
    struct uuid application_id;
    uint64_t dev_eui;
};

/* Whether `template` is usable; `*ret_text` (static) says what is wrong. ERR_FORMAT. */
MUST_CHECK enum err topics_check(const char *template, const char **ret_text);
/* `template` was checked, and outlives `topics`. */
void topics_init(struct topics *topics, const char *template);
/* The filter for one kind of event of all devices of an application. */
void topics_filter(const struct topics *topics, const struct uuid *application_id,
                   enum events_topic event, char filter[TOPICS_FILTER_SIZE]);
/* ERR_FORMAT: it is no event's topic. */
MUST_CHECK enum err topics_read(const struct topics *topics, const char *topic,
                                struct topic *ret_topic);

#endif
