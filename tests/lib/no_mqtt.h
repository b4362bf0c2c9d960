/*
 * no_mqtt.h - plays the MQTT client of the driver: whoever links it gives the messages to the
 * driver himself. The linker takes its functions before those of the library.
 */
#ifndef LIB_NO_MQTT_H
#define LIB_NO_MQTT_H

#include "network/chirpstack/chirpstack.h"

/* Of the driver that was made last. */
extern struct mqtt_callbacks no_mqtt_callbacks;
extern void *no_mqtt_arg;

extern unsigned no_mqtt_acknowledged; /* batches */

#endif
