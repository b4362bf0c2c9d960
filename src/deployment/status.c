#include "deployment/status.h"

/* Fragments beyond M: in small blocks even sixteen of them may leave a row missing (seed 10224). */
#define SURPLUS 40

/* LoRaMac-node and LBM send the low 8 bits of MissingFrag: 0 may be 256. */
#define MISSING_END 256

enum status_verdict status_read(const struct frag_session_status_ans *ans,
                                const struct status_facts *facts)
{
    unsigned count = facts->fragment_count;
    bool is_small = count < MISSING_END;

    if (ans->not_enough_matrix_memory) {
        return STATUS_NO_MEMORY;
    }
    /* No stack counts less than M when it is complete, whatever MissingFrag says. */
    if (ans->received_count < count) {
        return STATUS_INCOMPLETE;
    }
    if (facts->is_frozen) {
        return STATUS_COMPLETE;
    }
    /*
     * A device that said "some missing" with M fragments in is no Zephyr, and no LoRaMac-node ever
     * gets down to 0. LBM's 0 may be 256 lost ones, but then it has not received M, unless as many
     * coded fragments were sent.
     */
    if (ans->missing_count == 0 && facts->counts_truly &&
        (is_small || facts->sent < count + MISSING_END)) {
        return STATUS_COMPLETE;
    }
    /*
     * Zephyr says 0 as soon as M fragments are in, solvable or not; with SURPLUS more hardly any
     * block is still unsolved. Every other stack's 0 is the truth already.
     */
    if (ans->missing_count == 0 && is_small && !facts->is_repeated &&
        ans->received_count >= count + SURPLUS) {
        return STATUS_COMPLETE;
    }
    return STATUS_AMBIGUOUS;
}

bool status_shows_true_count(const struct frag_session_status_ans *ans, unsigned fragment_count)
{
    return !ans->not_enough_matrix_memory && ans->received_count >= fragment_count &&
           ans->missing_count > 0;
}
