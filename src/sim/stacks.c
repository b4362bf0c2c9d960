#include "sim/stacks.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

/* Session answers: the error bits of TS005. */
#define DR_ERROR        (1u << 2)
#define FREQ_ERROR      (1u << 3)
#define GROUP_UNDEFINED (1u << 4)
#define START_MISSED    (1u << 5) /* of version 2; LBM and Zephyr set it in version 1 too */

static const struct stack_traits traits[STACK_KIND_COUNT] = {
    [STACK_LETTER] =
        {
            .name = "letter",
            .package_version = {1, 1, 1},
            .confusion = {CONFUSION_STOP, CONFUSION_STOP, CONFUSION_STOP},
            .answers_size_max = 51, /* fits every data rate */
            .time_request_at_join_ms = 3000,
            .time_retry_s = 600,
            .time_request_gap_ms = 5000,
            .takes_time_period = true,
            .knows_group_status = true,
            .group_status_entries_max = 4,
            .knows_class_b_session = true,
            .undefined_group_bits = GROUP_UNDEFINED,
            .past_start_bit = GROUP_UNDEFINED, /* version 1 has no bit of its own for it */
            .start_told_at_transmission = true,
            .counter = COUNTER_FROM_MINIMUM,
            .status = STATUS_COUNTS_ALL,
            .takes_any_order = true,
        },
    [STACK_LORAMAC] =
        {
            .name = "loramac",
            .package_version = {1, 1, 1},
            .confusion = {CONFUSION_SKIP, CONFUSION_SKIP, CONFUSION_SKIP},
            .answers_size_max = 60,
            .time_request_gap_ms = 1,
            .any_token_ends_retries = true,
            .unsynchronised_clock_s = 0xED2AC280, /* the Unix epoch, modulo 2^32 */
            .knows_class_b_session = true,
            .undefined_group_bits = GROUP_UNDEFINED | FREQ_ERROR | DR_ERROR,
            .past_start_bit = GROUP_UNDEFINED,
            .timeless = TIMELESS_OVERFLOWS,
            .one_session = true,
            .stops_by_group_0 = true,
            .class_b_opens_class_c = true,
            .delete_keeps_listening = true,
            .max_counter_is_valid = true,
            .counter = COUNTER_FROM_ZERO,
            .status = STATUS_LAST_AND_LOST,
            .one_decoder = true,
            .ignores_group_mask = true,
            .delays_unicast_status = true,
            .answers_missing_session = true,
            .delete_keeps_decoding = true,
            .unmasked_status_index = true,
            .shares_answer_buffer = true,
        },
    [STACK_LBM] =
        {
            .name = "lbm",
            .package_version = {1, 1, 1},
            .confusion = {CONFUSION_STOP, CONFUSION_SILENT, CONFUSION_SILENT},
            .answers_size_max = 15,
            .answer_delay_ms = {{1000, 5000}, {0, 0}, {0, 3000}},
            .time_request_at_join_ms = 8000,
            .time_request_period_s = 36 * 3600,
            .time_request_gap_ms = 6000,
            .takes_time_period = true,
            .knows_group_status = true,
            .group_status_entries_max = 2,
            .undefined_group_bits = GROUP_UNDEFINED,
            .past_start_bit = START_MISSED,
            .timeless = TIMELESS_ASKS_MAC,
            .knows_class_b_session = true,
            .keeps_keys_in_session = true,
            .restarts_counter_at_session = true,
            .max_counter_is_valid = true,
            .counter = COUNTER_FROM_ZERO,
            .status = STATUS_LAST_LESS_LOST,
            .one_decoder = true,
            .delays_unicast_status = true,
            .answers_missing_session = true,
            .delete_keeps_decoding = true,
            .erase_window_ms = {3000, 0, 3000},
        },
    [STACK_ZEPHYR] =
        {
            .name = "zephyr",
            .package_version = {2, 1, 1},
            .confusion = {CONFUSION_STOP, CONFUSION_SILENT, CONFUSION_SILENT},
            .answers_size_max = 15,
            .answer_delay_ms = {{0, 0}, {1000, 3000}, {0, 0}},
            .time_request_at_join_ms = 3000,
            .time_request_period_s = 86400,
            .time_request_gap_ms = 10000,
            .takes_time_period = true,
            .no_time_during_session = true,
            .one_session = true,
            .undefined_group_bits = GROUP_UNDEFINED,
            .past_start_bit = START_MISSED,
            .counter = COUNTER_FROM_ZERO,
            .status = STATUS_COUNTS_NAIVELY,
            .takes_any_order = true,
            .one_decoder = true,
            .one_index = true,
            .delays_unicast_status = true,
        },
};

const struct stack_traits *stack_traits(enum stack_kind kind)
{
    assert(kind < STACK_KIND_COUNT);
    return &traits[kind];
}

enum err stack_kind_parse(const char *name, enum stack_kind *ret_kind)
{
    for (size_t i = 0; i < STACK_KIND_COUNT; i++) {
        if (strcmp(name, traits[i].name) == 0) {
            *ret_kind = (enum stack_kind)i;
            return ERR_OK;
        }
    }
    return ERR_UNKNOWN;
}
