#include "deployment/reception.h"

#include <assert.h>
#include <math.h>

#include "deployment/status.h"

/*
 * Of random rows over GF(2), so many more than needed are taken until all are independent: 1.607 on
 * average, with this variance (the sums over 2^-i of the ranks of random matrices).
 */
#define EXTRA_MEAN     1.607
#define EXTRA_VARIANCE 2.744

/* Fragments beyond M after which hardly any block is unsolved. */
#define SURPLUS 32

/* Less than this share of what is expected is clearly less. */
#define LOST_SHARE 0.8

#define PROOF_FRAMES_MIN 6
#define PROOF_CHANCE     1e-6

static double clamp_loss(double loss)
{
    if (!(loss > 0.0)) {
        return 0.0;
    }
    return loss < RECEPTION_LOSS_MAX ? loss : RECEPTION_LOSS_MAX;
}

/* Of a LoRaMac-node that says `missing`, the low octet: it heard coded ones until long after it
 * would have been complete with as few. */
static unsigned lost_uncoded(const struct reception_counts *c)
{
    unsigned count = c->fragment_count, lost = c->missing;
    double coded = c->received > count ? c->received - count : 0.0;

    while (lost + STATUS_MISSING_END <= count &&
           coded * (1.0 - (double)lost / count) > lost + SURPLUS) {
        lost += STATUS_MISSING_END;
    }
    return lost;
}

/* LoRaMac-node: the last number heard, and the uncoded ones lost, which it never lowers. */
static struct reception read_last_and_lost(const struct reception_counts *c)
{
    unsigned lost = lost_uncoded(c);
    struct reception r = {.loss = clamp_loss((double)lost / c->fragment_count)};
    double coded = c->sent > c->fragment_count ? c->sent - c->fragment_count : 0.0;
    double rows = lost - coded * (1.0 - r.loss);

    r.rows = rows > 0.0 ? (unsigned)ceil(rows) : 0;
    return r;
}

static unsigned lost_of(const struct reception_counts *c)
{
    return c->sent > c->received ? c->sent - c->received : 0;
}

bool reception_shows_all_lost(const struct reception_counts *c)
{
    return c->missing * (double)c->sent >= LOST_SHARE * lost_of(c) * (double)c->fragment_count;
}

bool reception_shows_last_number(const struct reception_counts *c)
{
    return !c->is_repeated && c->received + c->missing > c->number_end;
}

/* Whether it is a LoRaMac-node, for all that is known. */
static bool counts_numbers(const struct reception_counts *c)
{
    return c->counts_last || reception_shows_last_number(c);
}

/* Of `coded` coded fragments, as many as a device that lost `lost` of the M uncoded ones can have
 * heard; one in a thousand heard more. */
static double heard_most(const struct reception_counts *c, unsigned coded, unsigned lost)
{
    double loss = (double)lost / c->fragment_count;
    double variance = coded * loss * (1.0 - loss) * (1.0 + (double)coded / c->fragment_count);

    return coded * (1.0 - loss) + 3.0 * sqrt(variance) + 1.0;
}

double reception_loss_most(const struct reception_counts *c, bool skips_numbers)
{
    if (counts_numbers(c)) {
        unsigned most = c->missing + STATUS_MISSING_END;
        return clamp_loss((double)(2 * most <= c->fragment_count ? most : c->missing) /
                          c->fragment_count);
    }
    if (!skips_numbers || c->missing == 0) {
        return 0.0;
    }
    /* LBM: the last number less the uncoded ones lost, of which each coded one that it heard has
     * given back one at most. LoRaMac-node: all that were lost, as MissingFrag. */
    unsigned coded = c->sent > c->fragment_count ? c->sent - c->fragment_count : 0;
    unsigned lost = c->number_max > c->received ? c->number_max - c->received : 0;

    lost = lost < c->fragment_count ? lost : c->fragment_count;
    while (lost > c->missing && lost - c->missing > heard_most(c, coded, lost)) {
        lost--;
    }
    lost = lost > c->missing ? lost : c->missing;
    return clamp_loss((double)lost / c->fragment_count);
}

struct reception reception_estimate(const struct reception_counts *c)
{
    assert(c->fragment_count > 0 && c->sent > 0);
    if (counts_numbers(c)) {
        return read_last_and_lost(c);
    }
    unsigned behind = c->fragment_count > c->received ? c->fragment_count - c->received : 0;
    /* Who counts down, as LBM does, leaves the coded ones that it lost out of its count; but not
     * who has counted down to 0: an LBM is done then. */
    bool is_at_0 = c->missing == 0 && c->fragment_count < STATUS_MISSING_END;
    bool is_of_all = c->is_repeated || is_at_0 || reception_shows_all_lost(c);
    struct reception r = {
        .loss = clamp_loss((double)lost_of(c) / (is_of_all ? c->sent : c->fragment_count))};

    if (c->is_repeated) {
        /* By the specification MissingFrag stays until the block is solved. */
        double coded = c->sent > c->fragment_count ? c->sent - c->fragment_count : 0.0;
        double rows = c->missing - coded * (1.0 - c->coded_loss);
        r.rows = rows > 1.0 ? (unsigned)ceil(rows) : c->missing > 0;
        return r;
    }
    /* With so many beyond M it has solved the block, or it is a LoRaMac-node that was complete long
     * ago: whether its count moves will tell. */
    bool counts_skipped = c->received > c->sent + RECEPTION_ON_ITS_WAY;
    if (c->received >= c->fragment_count + SURPLUS) {
        r.rows = counts_skipped && c->missing > 0 ? 1 : 0;
        return r;
    }
    /* Counted down, MissingFrag says itself what is needed. */
    r.rows = !reception_shows_all_lost(c) && c->missing > behind ? c->missing : behind;
    if (r.rows == 0 && c->missing > 0) {
        r.rows = 1;
    }
    return r;
}

double reception_open(const struct reception *r, unsigned sent, unsigned frame_count)
{
    double n = frame_count;
    double p = clamp_loss(r->loss);

    assert(r->rows > 0 && sent > 0);
    if (frame_count < r->rows) {
        return 1.0;
    }
    /* What n fragments bring, the loss being uncertain itself, against what is needed; both as
     * normal, which is close enough to plan a batch by. */
    double variance = n * p * (1.0 - p) * (1.0 + n / sent) + EXTRA_VARIANCE;
    double margin = n * (1.0 - p) - (r->rows + EXTRA_MEAN) + 0.5;

    return 0.5 * erfc(margin / sqrt(2.0 * variance));
}

unsigned reception_proof_frames(double loss)
{
    unsigned frames = 0;
    double chance = 1.0;

    loss = clamp_loss(loss);
    while (chance > PROOF_CHANCE) {
        chance *= loss;
        frames++;
    }
    return frames > PROOF_FRAMES_MIN ? frames : PROOF_FRAMES_MIN;
}

unsigned reception_repeats(double loss, unsigned fragment_count, unsigned lost_max,
                           unsigned repeat_max)
{
    double left = 1.0;

    loss = clamp_loss(loss);
    for (unsigned repeats = 1; repeats <= repeat_max; repeats++) {
        left *= loss;
        double lost = fragment_count * left;
        if (lost + 2.0 * sqrt(lost * (1.0 - left)) <= lost_max) {
            return repeats;
        }
    }
    return 0;
}
