/*
 * evidence.h - what the counts that a device gave say: whether it is complete, whether it takes
 * what is sent, and how much more it needs. For rounds.c, which decides what follows.
 */
#ifndef DEPLOYMENT_EVIDENCE_H
#define DEPLOYMENT_EVIDENCE_H

#include "deployment/reception.h"
#include "deployment/status.h"
#include "impl.h"

/* A device silent to so many multicast requests is not waited for by further rounds. */
#define SILENT_ROUNDS_MAX 5

/* Whoever answers only when it is asked alone does not hear the group. */
#define ALONE_TIMES_MAX 3

/* A round is planned so that probably less than one device in two rounds needs another. */
#define OPEN_MAX 0.5

/* So many devices that have shown how they count are company for the others. */
#define COMPANY_MIN 50

/* Books an answer, counted when `counted_at` fragments were enqueued at least. `was_there`: since
 * its last answer none of its gateways was surely away all the time. */
void take_counts(struct deployment *d, struct device *dev,
                 const struct frag_session_status_ans *ans, unsigned counted_at, bool was_there);

/* How to read an answer, given when `sent` fragments were enqueued at most. */
struct status_facts status_facts_of(const struct deployment *d, const struct device *dev,
                                    unsigned sent, bool is_frozen);
struct reception reception_of(const struct deployment *d, const struct device *dev);
double recent_loss(const struct device *dev);

/* With so many fragments enqueued, a count that stayed proves something. */
unsigned proof_number(const struct deployment *d, const struct device *dev);
/* Whether what it lacks is known, and it is not silent for good. */
bool is_open(const struct device *dev);
bool has_said_incomplete(const struct deployment *d, const struct device *dev);
/* Whether what it said is enough by now: its company has shown how to read it. */
bool is_proven(const struct deployment *d, const struct device *dev);
/* Whether what it says when asked alone can prove that it is complete: not of a LoRaMac-node, which
 * never says that none is missing. */
bool can_prove_alone(const struct deployment *d, const struct device *dev);
/*
 * Whoever has hardly anything of all that was sent, or got nothing more though it listened, takes
 * no fragments: it is not in the session, out of reach, or has lost what it had.
 */
bool takes_nothing(const struct deployment *d, const struct device *dev);

/* The probability that it lacks the rows of `r`, and is not complete since its count stays: that it
 * has missed all that came. */
double lacks_rows(const struct deployment *d, const struct device *dev, const struct reception *r);
/* How many devices will probably need still more when the fragments up to `number` are sent. */
double open_devices(const struct deployment *d, unsigned number);
/* The number of the last fragment that the next round needs: the smallest that leaves few open. */
unsigned plan_last_number(const struct deployment *d);

#endif
