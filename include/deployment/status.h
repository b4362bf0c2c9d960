/*
 * status.h - what a FragSessionStatusAns of a real device proves.
 *
 * Pure. The stacks disagree about both numbers of the answer (TS004 section 3.2; docs/deployment.md
 * has the table): LoRaMac-node never lowers its count of lost fragments, LBM says "one missing"
 * after a lossless end, Zephyr may say "none missing" before its block can be solved. What all have
 * in common: a device that is complete drops every further fragment, so that its count stays where
 * it is. After an answer that proves nothing, a few more coded fragments are sent and the device is
 * asked again.
 */
#ifndef DEPLOYMENT_STATUS_H
#define DEPLOYMENT_STATUS_H

#include <stdbool.h>

#include "lorawan/fragmentation.h"

/* LoRaMac-node and LBM send the low 8 bits of MissingFrag: 0 may be 256. */
#define STATUS_MISSING_END 256

enum status_verdict {
    STATUS_COMPLETE,   /* positive evidence that the block is there */
    STATUS_INCOMPLETE, /* fragments are missing */
    STATUS_AMBIGUOUS,  /* complete or not: further fragments tell */
    STATUS_NO_MEMORY,  /* more losses than the decoder holds: lost on this device */
};

/* What is known beside the answer. */
struct status_facts {
    unsigned fragment_count; /* M */
    unsigned sent;           /* fragments enqueued, at most, when the device counted */
    bool is_repeated;       /* uncoded fragments are sent several times: repeats are counted, too */
    bool counts_truly;      /* status_shows_true_count() of an earlier answer */
    bool company_does;      /* status_shows_company_count() of many others */
    bool company_shows_all; /* ... and reception_shows_all_lost() */
    bool is_frozen; /* it gave the same NbFragReceived before, at least reception_proof_frames()
                       coded fragments were sent since, and it hears the group */
};

enum status_verdict status_read(const struct frag_session_status_ans *ans,
                                const struct status_facts *facts);

/*
 * Whether the answer, given when `sent` fragments at least and `sent_max` at most were enqueued,
 * shows that MissingFrag 0 of this device will mean what it says: it is no Zephyr, no LoRaMac-node
 * that may still come to 256 lost ones, and no LBM that lacks 256 more than it says.
 */
bool status_shows_true_count(const struct frag_session_status_ans *ans, unsigned fragment_count,
                             unsigned sent, unsigned sent_max);

/* Whether the answer is one that a Zephyr would give, and hardly any other device. */
bool status_shows_naive_count(const struct frag_session_status_ans *ans, unsigned fragment_count,
                              unsigned sent);

/* Whether the answer can hardly be one of a Zephyr or a LoRaMac-node: what is true of many such
 * devices is taken to be true of their company. */
bool status_shows_company_count(const struct frag_session_status_ans *ans, unsigned fragment_count,
                                unsigned sent, unsigned sent_max);

#endif
