#include "evidence.h"

#include <math.h>

/* Of struct device: loss. */
#define LOSS_UNIT 255.0

/* Fragments over which an earlier estimate of the loss fades. */
#define LOSS_MEMORY 32.0

#define FIRST_LOSS_MAX 0.3

#define COMPANY_RATIO 8 /* of COMPANY_MIN or more, for each one that is in doubt */

/* As if it had counted when `sent` fragments were enqueued. */
static struct reception_counts counts_at(const struct deployment *d, const struct device *dev,
                                         unsigned sent)
{
    return (struct reception_counts){
        .fragment_count = d->params.fragment_count,
        .sent = sent > 0 ? sent : 1,
        .number_max = deployment_fragment_number(d, dev->same_since),
        .number_end = deployment_fragment_number(d, dev->same_since + RECEPTION_ON_ITS_WAY),
        .received = dev->received_count,
        .missing = dev->missing_count,
        .is_repeated = d->transmission.repeat_count > 1,
        .coded_loss = recent_loss(dev),
        .counts_last = (dev->flags & DEVICE_COUNTS_LAST) != 0 && d->transmission.repeat_count == 1,
    };
}

/* Nearly all are LoRaMac-nodes: who cannot be told from another stack is probably one, too. */
static bool is_among_loramac(const struct deployment *d, const struct device *dev)
{
    return d->last_count >= COMPANY_MIN && d->last_count >= COMPANY_RATIO * d->company_count &&
           (dev->flags & (DEVICE_SHOWS_COUNT | DEVICE_COUNTS_NAIVELY)) == 0 &&
           !has_said_incomplete(d, dev) && d->transmission.repeat_count == 1;
}

struct reception reception_of(const struct deployment *d, const struct device *dev)
{
    struct reception_counts counts = counts_at(d, dev, dev->counted_at);

    counts.counts_last = counts.counts_last || is_among_loramac(d, dev);
    return reception_estimate(&counts);
}

double recent_loss(const struct device *dev)
{
    return dev->loss / LOSS_UNIT;
}

unsigned proof_number(const struct deployment *d, const struct device *dev)
{
    struct reception_counts counts = counts_at(d, dev, dev->same_since);

    double loss = reception_estimate(&counts).loss;
    double uncoded = (double)dev->missing_count / d->params.fragment_count;

    loss = uncoded > loss ? uncoded : loss; /* an LBM that has recovered none yet */
    double most = reception_loss_most(&counts, d->chosen_count > 0);
    loss = most > loss ? most : loss;
    return dev->there_since + reception_proof_frames(loss);
}

/* Whether so many others count truly, and hardly any is in doubt, that this one will, too. */
static bool company_does(const struct deployment *d, const struct device *dev)
{
    return !d->params.own_evidence && (dev->flags & DEVICE_COUNTS_NAIVELY) == 0 &&
           d->company_count >= COMPANY_MIN && d->company_count >= COMPANY_RATIO * d->naive_count;
}

static bool counts_truly(const struct device *dev)
{
    return (dev->flags & DEVICE_COUNTS_TRULY) != 0;
}

bool is_open(const struct device *dev)
{
    bool is_heard = (dev->flags & DEVICE_ANSWERED) != 0 || dev->unsent_count < SILENT_ROUNDS_MAX;

    if (dev->alone_count >= ALONE_TIMES_MAX) {
        return false;
    }
    return dev->stage == DEVICE_RECEIVING && (dev->flags & DEVICE_HAS_STATUS) != 0 && is_heard;
}

bool has_said_incomplete(const struct deployment *d, const struct device *dev)
{
    return dev->received_count < d->params.fragment_count;
}

struct status_facts status_facts_of(const struct deployment *d, const struct device *dev,
                                    unsigned sent, bool is_frozen)
{
    uint32_t others = d->company_count - d->all_count;

    return (struct status_facts){
        .fragment_count = d->params.fragment_count,
        .sent = sent,
        .is_repeated = d->transmission.repeat_count > 1,
        .counts_truly = counts_truly(dev),
        .company_does = company_does(d, dev),
        .company_shows_all = d->all_count >= COMPANY_MIN && d->all_count >= COMPANY_RATIO * others,
        .is_frozen = is_frozen,
    };
}

bool is_proven(const struct deployment *d, const struct device *dev)
{
    struct frag_session_status_ans ans = {.received_count = dev->received_count,
                                          .missing_count = dev->missing_count};
    struct status_facts facts = status_facts_of(d, dev, dev->same_since, false);

    return is_open(dev) && status_read(&ans, &facts) == STATUS_COMPLETE;
}

bool can_prove_alone(const struct deployment *d, const struct device *dev)
{
    bool stays_above_0 = dev->missing_count > 0 && !has_said_incomplete(d, dev);

    return company_does(d, dev) || (counts_truly(dev) && !stays_above_0);
}

bool takes_nothing(const struct deployment *d, const struct device *dev)
{
    const struct transmission *t = &d->transmission;
    unsigned since = t->is_unicast_status ? t->next_number - 1u : t->asked_number;

    if (!is_open(dev) || (dev->flags & (DEVICE_ANSWERED | DEVICE_OWES)) != DEVICE_ANSWERED ||
        !has_said_incomplete(d, dev) || since < d->params.fragment_count) {
        return false;
    }
    return reception_of(d, dev).loss >= RECEPTION_LOSS_MAX || since >= proof_number(d, dev);
}

/* planning */

double lacks_rows(const struct deployment *d, const struct device *dev, const struct reception *r)
{
    bool stands = !has_said_incomplete(d, dev) && dev->counted_at > dev->same_since;

    if (r->rows == 0) {
        return 0.0;
    }
    if (!stands) {
        return 1.0;
    }
    /* As of an LBM that lost nothing, and says that one is missing. */
    return r->rows == 1 ? 0.0 : pow(recent_loss(dev), dev->counted_at - dev->same_since);
}

double open_devices(const struct deployment *d, unsigned number)
{
    double open = 0.0;

    for (uint32_t i = 0; i < d->params.device_count; i++) {
        const struct device *dev = &d->devices[i];
        if (!is_open(dev)) {
            continue;
        }
        struct reception r = reception_of(d, dev);
        unsigned sent = dev->counted_at > 0 ? dev->counted_at : 1u;
        double lacks = lacks_rows(d, dev, &r);
        r.loss = recent_loss(dev);
        open += (1.0 - lacks) * (proof_number(d, dev) > number);
        if (lacks > 0.0) {
            open += lacks * reception_open(&r, sent, number > sent ? number - sent : 0);
        }
    }
    return open;
}

unsigned plan_last_number(const struct deployment *d)
{
    unsigned low = d->transmission.next_number - 1u; /* perhaps what flew meanwhile is enough */
    unsigned high = ordinal_max(d);

    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (open_devices(d, middle) <= OPEN_MAX) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/* an answer */

/*
 * Losses come in bursts: what was lost lately says more about what comes than the whole, and one
 * answer alone is not believed if it says that most is lost.
 */
static void take_loss_and_counts(struct deployment *d, struct device *dev,
                                 const struct frag_session_status_ans *ans, uint16_t counted_at)
{
    double loss = recent_loss(dev);
    bool had_status = (dev->flags & DEVICE_HAS_STATUS) != 0;
    unsigned sent = counted_at > dev->counted_at ? (unsigned)counted_at - dev->counted_at : 0u;

    /* A count that stays says nothing: the device may be complete. */
    bool has_moved = dev->received_count != ans->received_count;
    if (had_status && sent > 0 && has_moved) {
        unsigned came = ans->received_count > dev->received_count
                            ? (unsigned)ans->received_count - dev->received_count
                            : 0;
        unsigned solved = dev->missing_count > ans->missing_count
                              ? (unsigned)dev->missing_count - ans->missing_count
                              : 0;
        double recent = 1.0 - (double)(solved > 0 ? solved : came) / sent;
        double weight = sent / (sent + LOSS_MEMORY);
        loss += weight * ((recent > 0.0 ? recent : 0.0) - loss);
    }
    dev->counted_at = counted_at;
    dev->received_count = ans->received_count;
    dev->missing_count = ans->missing_count;
    /* What a LoRaMac-node has lost lately it never says. */
    if (!had_status || (dev->flags & DEVICE_COUNTS_LAST) != 0 || is_among_loramac(d, dev)) {
        loss = reception_of(d, dev).loss;
        loss = loss < FIRST_LOSS_MAX ? loss : FIRST_LOSS_MAX;
    }
    loss = loss < RECEPTION_LOSS_MAX ? loss : RECEPTION_LOSS_MAX;
    dev->loss = (uint8_t)(loss * LOSS_UNIT + 0.5);
}

void take_counts(struct deployment *d, struct device *dev,
                 const struct frag_session_status_ans *ans, unsigned counted_at, bool was_there)
{
    unsigned count = d->params.fragment_count;

    if ((dev->flags & DEVICE_HAS_STATUS) == 0 || dev->received_count != ans->received_count) {
        dev->same_since = (uint16_t)(d->transmission.next_number - 1);
        dev->there_since = dev->same_since;
    } else if (!was_there && dev->there_since < counted_at) {
        dev->there_since = (uint16_t)counted_at;
    }
    take_loss_and_counts(d, dev, ans, (uint16_t)counted_at);
    struct reception_counts now = counts_at(d, dev, counted_at);
    if (counted_at >= count && reception_shows_last_number(&now)) {
        device_set_flag(d, dev, DEVICE_COUNTS_LAST, true);
    }
    if (status_shows_true_count(ans, count, counted_at, dev->same_since)) {
        device_set_flag(d, dev, DEVICE_COUNTS_TRULY, true);
    }
    if (status_shows_company_count(ans, count, counted_at, dev->same_since)) {
        device_set_flag(d, dev, DEVICE_SHOWS_COUNT, true);
        struct reception_counts counts = counts_at(d, dev, counted_at);
        device_set_flag(d, dev, DEVICE_SHOWS_ALL, reception_shows_all_lost(&counts));
    }
    if (status_shows_naive_count(ans, count, counted_at)) {
        device_set_flag(d, dev, DEVICE_COUNTS_NAIVELY, true);
    }
    if (ans->received_count > 0) {
        device_set_flag(d, dev, DEVICE_HAS_FRAGMENTATION, true);
    }
    device_set_flag(d, dev, DEVICE_HAS_STATUS, true);
    device_touch(d, dev);
}
