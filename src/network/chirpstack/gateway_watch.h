/* gateway_watch.h - what became of the frames that gateways were given; see chirpstack.h. */
#ifndef CHIRPSTACK_GATEWAY_WATCH_H
#define CHIRPSTACK_GATEWAY_WATCH_H

#include "network/chirpstack/mqtt.h"
#include "network/driver.h"

struct gateway_watch;

/* `prefixes` ends with NULL; `callbacks` stay the caller's and live as long. ERR_IO: the MQTT
 * library refuses the options. */
MUST_CHECK enum err gateway_watch_new(struct uv_loop_s *loop, const struct mqtt_options *options,
                                      const char *const *prefixes,
                                      const struct network_callbacks *callbacks, void *arg,
                                      struct gateway_watch **ret);
void gateway_watch_close(struct gateway_watch *watch, void (*cb)(void *arg), void *arg);

#endif
