#include "deployment/status.h"

/* Fragments beyond M: in small blocks even sixteen of them may leave a row missing (seed 10224). */
#define SURPLUS 40

/* LoRaMac-node and LBM send the low 8 bits of MissingFrag: 0 may be 256. */
#define MISSING_END 256

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
     * Zephyr says 0 as soon as M fragments are in, solvable or not; with SURPLUS more hardly any
     * block is still unsolved. Every other stack's 0 is the truth already.
     */
    if (ans->missing_count == 0 && fragment_count < MISSING_END &&
        ans->received_count >= fragment_count + SURPLUS) {
        return STATUS_COMPLETE;
    }
    return STATUS_AMBIGUOUS;
}
