/*
 * stacks.h - the manners of the LoRaWAN stacks that virtual devices imitate, as one table.
 *
 * Pure. What a stack does differently is a field here; what cannot be told by a field is a small
 * function beside the package it belongs to, chosen by a field as well. Nothing outside this table
 * asks which stack a device runs.
 */
#ifndef SIM_STACKS_H
#define SIM_STACKS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum stack_kind {
    STACK_LETTER,  /* by the letter of the specification */
    STACK_LORAMAC, /* LoRaMac-node */
    STACK_LBM,     /* LoRa Basics Modem */
    STACK_ZEPHYR,
    STACK_KIND_COUNT,
};

enum package {
    PACKAGE_CLOCK,         /* TS003 */
    PACKAGE_MULTICAST,     /* TS005 */
    PACKAGE_FRAGMENTATION, /* TS004 */
    PACKAGE_COUNT,
};

/* What becomes of a command the stack does not know, or that ends too early. */
enum stack_confusion {
    CONFUSION_STOP,   /* parsing ends, the answers collected so far go out */
    CONFUSION_SILENT, /* parsing ends, nothing is answered, the effects so far stay */
    CONFUSION_SKIP, /* an unknown octet is skipped; a short command reads what lies behind the frame
                     */
};

/* What FragSessionStatusAns counts. */
enum stack_status {
    STATUS_COUNTS_ALL,     /* fragments received, and uncoded ones still unknown, saturated */
    STATUS_LAST_AND_LOST,  /* LoRaMac-node: last N seen, uncoded ever lost */
    STATUS_LAST_LESS_LOST, /* LBM: last N less the lost ones; 1 missing after a lossless end */
    STATUS_COUNTS_NAIVELY, /* Zephyr: M less all fragments received */
};

/* How the 32-bit counter of the first multicast frame is found from its 16 bits on the air. */
enum stack_counter {
    COUNTER_FROM_MINIMUM, /* minMcFCnt supplies the upper half */
    COUNTER_FROM_ZERO,    /* the upper half is 0 */
};

/* What a device without time does with a session request. */
enum stack_timeless {
    TIMELESS_IDLE,      /* accepts, answers TimeToStart 0xFFFFFF, never starts */
    TIMELESS_OVERFLOWS, /* LoRaMac-node: TimeToStart modulo 2^24, and a timer that overflows */
    TIMELESS_ASKS_MAC,  /* LBM: 0xFFFFFF, and DeviceTimeReq gets it the time */
};

struct stack_traits {
    const char *name;
    uint8_t package_version[PACKAGE_COUNT];
    enum stack_confusion confusion[PACKAGE_COUNT];
    uint8_t answers_size_max; /* octets of answers in one uplink; what does not fit is dropped */
    uint16_t answer_delay_ms[PACKAGE_COUNT]
                            [2]; /* answers go out after a random time between both */
    /* TS003 */
    uint32_t time_request_at_join_ms; /* AppTimeReq that long after a join; 0: none */
    uint32_t time_request_period_s;   /* its own period; 0: none */
    uint16_t time_retry_s;        /* as long as the clock was never set; 0: waits for its period */
    uint16_t time_request_gap_ms; /* between the transmissions that ForceDeviceResync asks for */
    bool takes_time_period;       /* accepts DeviceAppTimePeriodicityReq */
    bool any_token_ends_retries;  /* an AppTimeAns with a wrong token ends the transmissions too */
    uint32_t unsynchronised_clock_s; /* what a clock that was never set reads at the start, GPS
                                        seconds */
    bool no_time_during_session;     /* no AppTimeReq while a class C session is open */
    /* TS005 */
    bool knows_group_status;          /* McGroupStatusReq is implemented */
    uint8_t group_status_entries_max; /* groups one McGroupStatusAns holds */
    bool knows_class_b_session;
    uint8_t undefined_group_bits; /* error bits of a session request for an undefined group, beside
                                     the others */
    uint8_t past_start_bit;       /* error bit of a start in the past */
    enum stack_timeless timeless;
    bool one_session;           /* one start timer, one stop timer */
    bool stops_by_group_0;      /* the end of any session comes from the TimeOut of group 0 */
    bool class_b_opens_class_c; /* a class B session listens like a class C one */
    bool keeps_keys_in_session; /* McGroupSetupReq during the group's session changes nothing */
    bool
        delete_keeps_listening; /* McGroupDeleteReq does not end the group's session on the radio */
    bool start_told_at_transmission;  /* TimeToStart counts from the transmission of the answer */
    bool restarts_counter_at_session; /* each session begins with a fresh frame counter */
    bool max_counter_is_valid;        /* FCnt == maxMcFCnt still counts */
    enum stack_counter counter;
    /* TS004 */
    enum stack_status status;
    bool takes_any_order;         /* uncoded fragments in any order before the first coded one */
    bool one_decoder;             /* four indexes, one decoder */
    bool one_index;               /* a second index is refused */
    bool ignores_group_mask;      /* any group feeds a session */
    bool delays_unicast_status;   /* BlockAckDelay applies to unicast requests too */
    bool answers_missing_session; /* a status answer without a session reports the decoder */
    bool delete_keeps_decoding;   /* FragSessionDeleteReq only clears "exists" */
    bool unmasked_status_index; /* RFU bits of FragSessionStatusReq are read as part of the index */
    bool shares_answer_buffer;  /* a waiting status answer is overwritten by any other answer */
    uint16_t erase_window_ms[PACKAGE_COUNT]; /* a frame on the port within this time erases the
                                                answer being prepared */
};

const struct stack_traits *stack_traits(enum stack_kind kind);

/* ERR_UNKNOWN  `name` is none of letter, loramac, lbm, zephyr */
MUST_CHECK enum err stack_kind_parse(const char *name, enum stack_kind *ret_kind);

#endif
