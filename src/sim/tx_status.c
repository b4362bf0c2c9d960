#include "sim/tx_status.h"

#include <string.h>

static const char *const names[TX_STATUS_COUNT] = {
    "IGNORED", "OK",       "TOO_LATE",     "TOO_EARLY",  "COLLISION_PACKET", "COLLISION_BEACON",
    "TX_FREQ", "TX_POWER", "GPS_UNLOCKED", "QUEUE_FULL", "INTERNAL_ERROR",   "DUTY_CYCLE_OVERFLOW",
};

const char *tx_status_name(enum tx_status status)
{
    return names[status];
}

enum err tx_status_parse_refusal(const char *name, enum tx_status *ret_status)
{
    for (int status = TX_OK + 1; status < TX_STATUS_COUNT; status++) {
        if (strcmp(names[status], name) == 0) {
            *ret_status = (enum tx_status)status;
            return ERR_OK;
        }
    }
    return ERR_UNKNOWN;
}

const char *tx_status_refusals(void)
{
    return "TOO_LATE TOO_EARLY COLLISION_PACKET COLLISION_BEACON TX_FREQ TX_POWER GPS_UNLOCKED "
           "QUEUE_FULL INTERNAL_ERROR DUTY_CYCLE_OVERFLOW";
}
