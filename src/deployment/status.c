#include "deployment/status.h"

#include "deployment/params.h"

enum status_verdict status_read(const struct frag_session_status_ans *ans, unsigned fragment_count,
                                bool is_frozen)
{
    if (ans->not_enough_matrix_memory) {
        return STATUS_NO_MEMORY;
    }
    /* No stack counts less than M when it is complete, whatever MissingFrag says. */
    if (ans->received_count < fragment_count) {
        return STATUS_INCOMPLETE;
    }
    if (is_frozen) {
        return STATUS_COMPLETE;
    }
    /*
     * Zephyr says 0 as soon as M fragments are in, solvable or not. After eight more than M only
     * one block in several hundred is still unsolved; every other stack's 0 is the truth already.
     */
    if (ans->missing_count == 0 &&
        ans->received_count >= fragment_count + DEPLOYMENT_PROBE_FRAMES) {
        return STATUS_COMPLETE;
    }
    return STATUS_AMBIGUOUS;
}
