#include "lib/no_mqtt.h"

struct mqtt_callbacks no_mqtt_callbacks;
void *no_mqtt_arg;
unsigned no_mqtt_acknowledged;

enum err mqtt_new(struct uv_loop_s *loop, const struct mqtt_options *options,
                  const struct mqtt_callbacks *callbacks, void *arg, struct mqtt **ret_mqtt)
{
    (void)loop, (void)options, (void)ret_mqtt;
    no_mqtt_callbacks = *callbacks;
    no_mqtt_arg = arg;
    return ERR_OK;
}

enum err mqtt_check_options(const struct mqtt_options *options)
{
    (void)options;
    return ERR_OK;
}

void mqtt_subscribe(struct mqtt *mqtt, const char *filter)
{
    (void)mqtt, (void)filter;
}

void mqtt_unsubscribe(struct mqtt *mqtt, const char *filter)
{
    (void)mqtt, (void)filter;
}

void mqtt_acknowledge(struct mqtt *mqtt)
{
    (void)mqtt;
    no_mqtt_acknowledged++;
}

void mqtt_reject(struct mqtt *mqtt)
{
    (void)mqtt;
}

void mqtt_close(struct mqtt *mqtt, void (*cb)(void *arg), void *arg)
{
    (void)mqtt;
    cb(arg);
}
