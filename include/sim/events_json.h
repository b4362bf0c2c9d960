/*
 * events_json.h - ChirpStack's JSON mapping of Protobuf messages, by their descriptors.
 *
 * Messages of package `integration` write every scalar, enum, repeated and map field even when
 * empty; those of other packages leave zero values out. bytes are base64, enums are names,
 * Timestamp ends in +00:00, Duration in s.
 */
#ifndef SIM_EVENTS_JSON_H
#define SIM_EVENTS_JSON_H

#include <protobuf-c/protobuf-c.h>

/* The text, which the caller frees; NULL when memory is out. */
char *events_json(const ProtobufCMessage *message);

#endif
