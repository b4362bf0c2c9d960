/*
 * topic.h - the topics of ChirpStack's events, as its event_topic was configured.
 *
 * No I/O. A template is "application/{application_id}/device/{dev_eui}/event/{event}" or another
 * order: every placeholder once, each alone between slashes.
 */
#ifndef NETWORK_CHIRPSTACK_TOPIC_H
#define NETWORK_CHIRPSTACK_TOPIC_H

#include <stdbool.h>

#include "base/err.h"
#include "network/chirpstack/events.h"

/* Holds a filled template. */
#define TOPIC_SIZE 512

/* Whether `template` is usable; `*ret_text` (static) says what is wrong. ERR_FORMAT. */
MUST_CHECK enum err topic_check(const char *template, const char **ret_text);

/* The checked template with its placeholders filled by texts of at most 36 characters. */
void topic_fill(const char *template, const char *application, const char *dev_eui,
                const char *event, char ret_topic[TOPIC_SIZE]);

/* The event that `topic` names at the level where the checked template has {event}; false: none
 * that is read. */
bool topic_event(const char *template, const char *topic, enum events_topic *ret_event);

#endif
