#include "deployment/status.h"

/* Fragments beyond M: in small blocks even sixteen of them may leave a row missing (seed 10224). */
#define SURPLUS 40

/* So many coded fragments are not all lost by a device that counts truly. */
#define CODED_MIN 8

/* A LoRaMac-node that heard the request has heard one of so many. */
#define CODED_ENOUGH 64

enum status_verdict status_read(const struct frag_session_status_ans *ans,
                                const struct status_facts *facts)
{
    unsigned count = facts->fragment_count;
    bool is_small = count < STATUS_MISSING_END;

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
    if (ans->missing_count == 0 && facts->counts_truly) {
        return STATUS_COMPLETE;
    }
    /* LBM's 0 may be 256 lost ones: then its count is behind by as many. */
    unsigned behind = facts->sent > ans->received_count ? facts->sent - ans->received_count : 0;
    if (ans->missing_count == 0 && facts->company_does &&
        (is_small || facts->company_shows_all || behind < STATUS_MISSING_END)) {
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

bool status_shows_true_count(const struct frag_session_status_ans *ans, unsigned fragment_count,
                             unsigned sent, unsigned sent_max)
{
    unsigned received = ans->received_count, missing = ans->missing_count;
    /* Zephyr says no more than M less what it received. */
    bool is_zephyr = missing == (received < fragment_count ? fragment_count - received : 0);
    /* What LoRaMac-node has not noticed yet is behind the last number it heard. */
    bool is_deaf = sent >= fragment_count + CODED_ENOUGH; /* and yet answers: it is none */
    unsigned unnoticed = received < fragment_count && !is_deaf ? fragment_count - received : 0;
    bool may_wrap = missing + unnoticed >= STATUS_MISSING_END;
    /* LBM's count is behind by all that it lost. */
    bool is_low_octet = sent_max >= received + missing + STATUS_MISSING_END;

    return !ans->not_enough_matrix_memory && sent >= fragment_count && missing > 0 && !is_zephyr &&
           !may_wrap && !is_low_octet;
}

bool status_shows_naive_count(const struct frag_session_status_ans *ans, unsigned fragment_count,
                              unsigned sent)
{
    return sent >= fragment_count + CODED_MIN && ans->received_count < fragment_count &&
           ans->missing_count == fragment_count - ans->received_count;
}

bool status_shows_company_count(const struct frag_session_status_ans *ans, unsigned fragment_count,
                                unsigned sent, unsigned sent_max)
{
    /* With coded fragments out, a LoRaMac-node that is not complete has heard a number above M. */
    return status_shows_true_count(ans, fragment_count, sent, sent_max) &&
           sent >= fragment_count + CODED_MIN && ans->received_count < fragment_count &&
           (unsigned)ans->received_count + ans->missing_count <= sent;
}
