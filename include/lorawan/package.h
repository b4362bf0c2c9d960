/*
 * package.h - what all application layer packages share: identifiers, ports, versions.
 *
 * Pure. Spec: TS003 to TS007, "PackageVersionReq/Ans", command 0x00 of every package.
 *
 * A payload is a concatenation of commands `CID | payload`. The decoders below take one command off a reader at a time,
 * so that a payload with several answers is a loop. The uplink decoders never trust the device: a truncated command is
 * ERR_SHORT, an unknown CID ERR_UNKNOWN, and what was decoded before it stays valid.
 */
#ifndef LORAWAN_PACKAGE_H
#define LORAWAN_PACKAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"
#include "base/err.h"

enum package_identifier {
    PACKAGE_MULTI_PACKAGE_ACCESS = 0,
    PACKAGE_CLOCK_SYNC = 1,
    PACKAGE_MULTICAST_SETUP = 2,
    PACKAGE_FRAGMENTATION = 3,
    PACKAGE_FIRMWARE_MANAGEMENT = 4,
};

/* Default FPorts. */
#define PACKAGE_PORT_MULTICAST_SETUP 200
#define PACKAGE_PORT_FRAGMENTATION   201
#define PACKAGE_PORT_CLOCK_SYNC      202

#define PACKAGE_CID_VERSION 0x00 /* PackageVersionReq, PackageVersionAns in every package */

/* PackageVersionAns */
struct package_version_ans {
    uint8_t identifier; /* enum package_identifier, or what the device says */
    uint8_t version;
};

/*
 * Writes PackageVersionReq (1 octet).
 *
 * ERR_SPACE  `buf_size` is 0
 */
MUST_CHECK enum err package_version_req_encode(uint8_t *buf, size_t buf_size, size_t *ret_size);

#endif
