/*
 * command.h - the bytes of a deployment's commands.
 *
 * Pure. The core's actions carry no payloads; whoever sends them asks here.
 */
#ifndef DEPLOYMENT_COMMAND_H
#define DEPLOYMENT_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "deployment/deployment.h"
#include "lorawan/keys.h"

#define COMMAND_SIZE_MAX 64

struct command_bytes {
    uint8_t f_port;
    uint8_t size;
    uint8_t data[COMMAND_SIZE_MAX];
};

/* Whether the bytes of `command` depend on the device's root key (McKey_encrypted). */
bool command_needs_key(enum device_command command);

/*
 * Writes the payload of `command` (not COMMAND_NONE) for the deployment's current state.
 * `mc_key_encrypted` is read when command_needs_key() says so.
 */
void command_encode(const struct deployment *d, enum device_command command,
                    const uint8_t mc_key_encrypted[KEY_SIZE], struct command_bytes *ret_bytes);

/* The multicast FragSessionStatusReq. */
void command_encode_group_status(const struct deployment *d, struct command_bytes *ret_bytes);

#endif
