#include "deployment/plan.h"

#include <math.h>

#include "deployment/reception.h"
#include "evidence.h"
#include "fec/choice.h"
#include "fec/odds.h"
#include "lorawan/fragmentation.h"

/* Shares of devices and of deployments that are asked for. */
static const double device_shares[] = {0.5, 0.9, 0.99, 0.999};
static const double chances[PLAN_CHANCE_COUNT] = {0.5, 0.9, 0.99};

/* A device that is not done by then has lost more than the plan shows. */
#define SPREAD 8.0
#define SPARE  64.0

/* The second round leaves OPEN_MAX devices open, a third takes nearly all of what is left then. */
#define OPEN_STEP 20.0

/* What the last round sends beyond what turns out to be needed. */
#define OVERSHOOT 2

#define MS_PER_HOUR 3600000.0

struct work {
    const struct deployment_params *p;
    const struct plan_fleet *fleet;
    unsigned coded_max;
    double *done[PLAN_LOSSES_MAX]; /* for each loss: the share that is done, by coded fragments */
};

static double largest_loss(const struct plan_fleet *fleet)
{
    double loss = 0.0;

    for (size_t i = 0; i < fleet->loss_count; i++) {
        loss = fleet->losses[i].loss > loss ? fleet->losses[i].loss : loss;
    }
    return loss;
}

/* So many coded fragments as even the worst device needs, or as can be numbered. */
static unsigned coded_max(const struct deployment_params *p, const struct plan_fleet *fleet)
{
    double loss = largest_loss(fleet), count = p->fragment_count;
    double lost = count * loss + SPREAD * sqrt(count * loss) + SPARE;
    double coded = lost / (1.0 - loss) + SPREAD * sqrt(lost) / (1.0 - loss);
    unsigned limit = FRAG_NUMBER_MAX - p->fragment_count;

    if (p->choose_rows) {
        limit -= FEC_CHOICE_INDEX_MAX;
    }
    if (coded < p->coded_count) {
        coded = p->coded_count;
    }
    return coded < limit ? (unsigned)coded : limit;
}

size_t deployment_plan_size(const struct deployment_params *p, const struct plan_fleet *fleet)
{
    unsigned coded = coded_max(p, fleet);

    return fleet->loss_count * (coded + 1) * sizeof(double) +
           fec_odds_size(p->fragment_count, coded);
}

static bool is_in_range(const struct plan_fleet *fleet)
{
    double sum = 0.0;

    if (fleet->gateway_count < 1 || fleet->gateway_count > DEPLOYMENT_GATEWAYS_MAX ||
        fleet->loss_count < 1 || fleet->loss_count > PLAN_LOSSES_MAX ||
        !(fleet->receive_ma >= 0.0)) {
        return false;
    }
    for (size_t i = 0; i < fleet->loss_count; i++) {
        const struct plan_loss *l = &fleet->losses[i];
        if (!(l->share > 0.0) || !(l->loss >= 0.0 && l->loss <= FEC_ODDS_LOSS_MAX)) {
            return false;
        }
        sum += l->share;
    }
    return sum >= 0.999 && sum <= 1.001;
}

static enum err find_odds(struct work *w, double *memory)
{
    uint16_t chosen[FEC_CHOICE_ROWS];
    struct fec_odds odds = {
        .version = FEC_V1,
        .fragment_count = w->p->fragment_count,
        .coded_count = w->coded_max,
    };
    double *scratch = memory + w->fleet->loss_count * (w->coded_max + 1u);
    enum err err = ERR_OK;

    if (w->p->choose_rows) {
        err = fec_choose_rows(odds.version, odds.fragment_count, chosen);
        odds.indices = chosen;
        odds.index_count = FEC_CHOICE_ROWS;
    }
    for (size_t i = 0; i < w->fleet->loss_count && err == ERR_OK; i++) {
        w->done[i] = memory + i * (w->coded_max + 1u);
        odds.loss = w->fleet->losses[i].loss;
        err = fec_odds_done(&odds, scratch, w->done[i]);
    }
    return err;
}

/* The share of all devices that are done with `coded` coded fragments. */
static double share_done(const struct work *w, unsigned coded)
{
    double done = 0.0;

    for (size_t i = 0; i < w->fleet->loss_count; i++) {
        done += w->fleet->losses[i].share * w->done[i][coded];
    }
    return done;
}

static double power(double base, uint32_t exponent)
{
    double result = 1.0;

    for (; exponent > 0; exponent /= 2) {
        result *= exponent % 2 != 0 ? base : 1.0;
        base *= base;
    }
    return result;
}

/* The probability that all are. */
static double all_done(const struct work *w, unsigned coded)
{
    return power(share_done(w, coded), w->p->device_count);
}

typedef double measure_fn(const struct work *w, unsigned coded);

/* The fewest coded fragments with which `measure` is at least `wanted`; coded_max at most. */
static unsigned coded_for(const struct work *w, measure_fn *measure, double wanted)
{
    unsigned low = 0, high = w->coded_max;

    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (measure(w, middle) >= wanted) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/* The fragments of a pass that the operator's limits leave room for. */
static unsigned coded_allowed(const struct work *w, unsigned requests)
{
    const struct deployment_params *p = w->p;
    unsigned allowed = p->rounds_max == 1 ? p->coded_count : w->coded_max;

    if (p->frames_max > 0) {
        uint32_t needed = p->fragment_count + requests;
        uint32_t left = p->frames_max > needed ? p->frames_max - needed : 0;
        allowed = left < allowed ? left : allowed;
    }
    return allowed;
}

static void find_rounds(const struct work *w, struct deployment_plan *plan)
{
    const struct deployment_params *p = w->p;
    unsigned coded = p->coded_count;
    double open = OPEN_MAX;

    for (;;) {
        double done = share_done(w, coded);
        plan->rounds[plan->round_count++] =
            (struct plan_round){.fragments = p->fragment_count + coded, .done = done};
        if (plan->round_count == PLAN_ROUNDS_MAX || plan->round_count >= p->rounds_max ||
            (1.0 - done) * p->device_count < OPEN_MAX / OPEN_STEP ||
            coded >= coded_allowed(w, plan->round_count)) {
            return;
        }
        unsigned next = coded_for(w, share_done, 1.0 - open / p->device_count);
        open /= OPEN_STEP;
        coded = next > coded ? next : coded + 1;
        unsigned allowed = coded_allowed(w, plan->round_count + 1);
        coded = coded < allowed ? coded : allowed;
    }
}

/* Frames that a session of 2^time_out s holds. */
static uint32_t session_frames(uint32_t gap_ms, uint8_t time_out)
{
    int64_t open_ms = (INT64_C(1000) << time_out) - DEPLOYMENT_SESSION_GUARD_MS;

    return open_ms > gap_ms ? (uint32_t)(open_ms / gap_ms) : 1;
}

/* From the beginning of a set-up to SessionTime. */
static int64_t setup_ms(const struct work *w, bool is_session_only)
{
    const struct deployment_params *p = w->p;
    int64_t ms =
        deployment_setup_ms(p, w->fleet->uplink_interval_s, p->device_count, is_session_only);

    return (ms < p->setup_limit_ms ? ms : p->setup_limit_ms) + DEPLOYMENT_SETUP_END_MS;
}

/* From the start to the end, over as many sessions as it takes. False: more are needed. */
static bool find_times(const struct work *w, const struct deployment_plan *plan,
                       struct plan_end *end)
{
    bool fits = true;

    const struct deployment_params *p = w->p;
    uint32_t left = end->frames;
    uint8_t time_out = p->time_out;

    end->time_ms = plan->setup_ms;
    for (end->sessions = 1;; end->sessions++) {
        uint32_t fit = session_frames(plan->gap_ms, time_out);
        if (left <= fit || end->sessions == p->sessions_max) {
            fits = left <= fit;
            left = fits ? left : fit;
            break;
        }
        left -= fit;
        end->time_ms += (INT64_C(1000) << time_out) + setup_ms(w, true);
        time_out = deployment_time_out(p, w->fleet->gateway_count, left);
    }
    end->time_ms +=
        DEPLOYMENT_SESSION_GUARD_MS + left * (int64_t)plan->gap_ms + deployment_status_wait_ms(p);
    return fits;
}

/* False: the operator's limits end it before. */
static bool find_end(const struct work *w, struct deployment_plan *plan, enum plan_chance chance)
{
    const struct deployment_params *p = w->p;
    struct plan_end *end = &plan->ends[chance];
    unsigned coded = p->coded_count, requests = plan->round_count;

    if (p->rounds_max > 1) {
        unsigned needed = coded_for(w, all_done, chances[chance]);
        /* In so small a fleet nobody vouches for a device: it must drop some to prove itself. */
        unsigned more = p->device_count < COMPANY_MIN ? reception_proof_frames(0.0) : OVERSHOOT;
        needed = needed >= coded ? needed + more : coded;
        unsigned allowed = coded_allowed(w, requests);
        coded = needed < allowed ? needed : allowed;
    }
    end->fragments = p->fragment_count + coded;
    end->frames = end->fragments + requests;
    if (p->frames_max > 0 && end->frames > p->frames_max) {
        end->frames = p->frames_max;
    }
    end->airtime_ms = end->frames * (int64_t)p->frame_airtime_ms;
    bool fits = find_times(w, plan, end);
    return fits && all_done(w, coded) >= chances[chance] &&
           (p->time_limit_ms == 0 || end->time_ms <= p->time_limit_ms);
}

enum err deployment_plan(const struct deployment_params *p, const struct plan_fleet *fleet,
                         void *scratch, struct deployment_plan *ret)
{
    struct deployment_plan plan = {.gap_ms = deployment_gap_ms(p, fleet->gateway_count)};
    struct work w = {.p = p, .fleet = fleet};

    if (!is_in_range(fleet)) {
        return ERR_RANGE;
    }
    w.coded_max = coded_max(p, fleet);
    enum err err = find_odds(&w, scratch);
    if (err != ERR_OK) {
        return err;
    }
    plan.duty_used = (double)p->frame_airtime_ms / plan.gap_ms;
    plan.setup_ms = setup_ms(&w, false);
    for (size_t i = 0; i < sizeof(device_shares) / sizeof(device_shares[0]); i++) {
        unsigned coded = coded_for(&w, share_done, device_shares[i]);
        bool is_reached = share_done(&w, coded) >= device_shares[i];
        plan.fragments_for[i] = is_reached ? p->fragment_count + coded : 0;
    }
    find_rounds(&w, &plan);
    for (enum plan_chance chance = PLAN_P50; chance < PLAN_CHANCE_COUNT; chance++) {
        bool is_enough = find_end(&w, &plan, chance);
        plan.is_cut_short = plan.is_cut_short || (chance == PLAN_P50 && !is_enough);
    }
    const struct plan_end *end = &plan.ends[PLAN_P50];
    plan.done =
        share_done(&w, plan.is_cut_short ? end->fragments - p->fragment_count : w.coded_max);
    plan.charge_mah =
        fleet->receive_ma * end->sessions * (double)(INT64_C(1000) << p->time_out) / MS_PER_HOUR;
    *ret = plan;
    return ERR_OK;
}
