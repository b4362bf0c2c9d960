/*
 * fragmentation.h - TS004 Fragmented Data Block Transport: commands and answers, server side.
 *
 * Pure: no I/O, no clock, no allocation; every buffer is the caller's.
 * Spec: LoRaWAN TS004-1.0.0 (functions that end in _v1) and what both versions share. FPort 201.
 *
 * Every encoder writes one command to `buf`, its size to `*ret_size`, and on error touches neither:
 * ERR_RANGE  a field does not fit its width in the spec
 * ERR_SPACE  `buf_size` is too small
 */
#ifndef LORAWAN_FRAGMENTATION_H
#define LORAWAN_FRAGMENTATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"
#include "base/err.h"
#include "lorawan/package.h"

#define FRAG_NUMBER_MAX                16383 /* N has 14 bits: the largest fragment number, uncoded and coded */
#define FRAG_SIZE_MAX                  239 /* MaxAppPl 242 less the command's three octets */
#define FRAG_OVERHEAD                  3   /* CID and Index&N before the data of a DataFragment */
#define FRAG_SESSION_SETUP_REQ_V1_SIZE 11  /* CID included */
#define FRAG_SESSION_STATUS_REQ_SIZE   2
#define FRAG_SESSION_DELETE_REQ_SIZE   2

/* FragSessionSetupReq: asks one device to open one session. */
struct frag_session_setup_req {
    uint8_t frag_index;           /* 0..3 */
    uint8_t mc_group_mask;        /* 0..15; bit n: multicast group n may carry fragments */
    uint16_t fragment_count;      /* NbFrag, M: uncoded fragments, 1..16383 */
    uint8_t fragment_size;        /* FragSize, octets, 1..239 */
    uint8_t fragmentation_matrix; /* FragAlgo, 0..7; 0 is the code of fec/ */
    uint8_t block_ack_delay;      /* 0..7: answers within 2^(b + 4) seconds */
    uint8_t padding_size;         /* 0 .. fragment_size - 1 octets that end the last fragment */
    uint8_t descriptor[4];        /* opaque to us; the device may check it */
};

/* FragSessionStatusReq */
struct frag_session_status_req {
    uint8_t frag_index; /* 0..3 */
    bool participants;  /* true: all answer; false: those that miss fragments */
};

/* FragSessionDeleteReq */
struct frag_session_delete_req {
    uint8_t frag_index; /* 0..3 */
};

MUST_CHECK enum err frag_session_setup_req_encode_v1(const struct frag_session_setup_req *req,
                                                     uint8_t *buf, size_t buf_size,
                                                     size_t *ret_size);
MUST_CHECK enum err frag_session_status_req_encode(const struct frag_session_status_req *req,
                                                   uint8_t *buf, size_t buf_size, size_t *ret_size);
MUST_CHECK enum err frag_session_delete_req_encode(const struct frag_session_delete_req *req,
                                                   uint8_t *buf, size_t buf_size, size_t *ret_size);
/*
 * DataFragment: `frag_index` 0..3, `number` (N) 1..16383, `data` of `data_size` octets, 1..239.
 * Writes data_size + FRAG_OVERHEAD octets.
 */
MUST_CHECK enum err data_fragment_encode(uint8_t frag_index, uint16_t number, const uint8_t *data,
                                         size_t data_size, uint8_t *buf, size_t buf_size,
                                         size_t *ret_size);

/* Reads N of a payload that data_fragment_encode() wrote. ERR_FORMAT: it is no DataFragment. */
MUST_CHECK enum err data_fragment_number(const uint8_t *payload, size_t size, uint16_t *ret_number);

/* FragSessionSetupAns, v1 */
struct frag_session_setup_ans {
    uint8_t frag_index;
    bool wrong_descriptor;       /* bit 3 */
    bool frag_index_unsupported; /* bit 2 */
    bool not_enough_memory;      /* bit 1 */
    bool encoding_unsupported;   /* bit 0 */
    uint8_t status;              /* the octet as sent */
};

/* FragSessionDeleteAns */
struct frag_session_delete_ans {
    uint8_t frag_index;
    bool session_does_not_exist;
};

/* FragSessionStatusAns, v1 */
struct frag_session_status_ans {
    uint8_t frag_index;
    uint16_t received_count; /* NbFragReceived, 0..16383; what it counts differs between stacks */
    uint8_t missing_count;   /* MissingFrag: saturated at 255 or taken mod 256 */
    bool not_enough_matrix_memory; /* status bit 0 */
};

enum fragmentation_ans_kind {
    FRAGMENTATION_VERSION_ANS,
    FRAGMENTATION_SESSION_SETUP_ANS,
    FRAGMENTATION_SESSION_STATUS_ANS,
    FRAGMENTATION_SESSION_DELETE_ANS,
};

/* One answer of a device. */
struct fragmentation_ans {
    enum fragmentation_ans_kind kind;
    union {
        struct package_version_ans version;
        struct frag_session_setup_ans session_setup;
        struct frag_session_status_ans session_status;
        struct frag_session_delete_ans session_delete;
    } u;
};

/*
 * Takes the next answer of a version 1 device off `r` (an uplink payload of FPort 201); on error
 * `*ret_ans` is untouched.
 *
 * ERR_MISSING  nothing is left
 * ERR_SHORT    the command is truncated
 * ERR_UNKNOWN  its CID is none of TS004-1.0.0's uplink commands
 */
MUST_CHECK enum err fragmentation_ans_decode_v1(struct reader *r,
                                                struct fragmentation_ans *ret_ans);

#endif
