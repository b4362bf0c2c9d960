/* gateway_set.c - which gateways send the fragments: those that hear the devices, as few as reach
 * all. */
#include "impl.h"

static unsigned bits_set(unsigned mask)
{
    unsigned count = 0;

    for (; mask != 0; mask &= mask - 1) {
        count++;
    }
    return count;
}

void gateways_learn(struct deployment *d, struct device *dev, const uint64_t *gateways,
                    unsigned count)
{
    struct transmission *t = &d->transmission;

    for (unsigned i = 0; i < count; i++) {
        unsigned g = 0;
        while (g < t->gateway_count && t->gateways[g].id != gateways[i]) {
            g++;
        }
        if (g == t->gateway_count) {
            /* The operator's choice is final, and the table has an end. */
            if (d->params.gateway_count > 0 || g == DEPLOYMENT_GATEWAYS_MAX) {
                continue;
            }
            t->gateways[t->gateway_count++] = (struct gateway){.id = gateways[i]};
            d->is_transmission_changed = true;
        }
        dev->gateways = (uint16_t)(dev->gateways | 1u << g);
    }
}

/* RECEIVING devices that hear gateway `g` and none of `chosen`. */
static uint32_t gain_of(const struct deployment *d, unsigned g, unsigned chosen)
{
    uint32_t gain = 0;

    for (uint32_t i = 0; i < d->params.device_count; i++) {
        const struct device *dev = &d->devices[i];
        gain += dev->stage == DEVICE_RECEIVING && (dev->gateways & 1u << g) != 0 &&
                (dev->gateways & chosen) == 0;
    }
    return gain;
}

unsigned gateways_choose(struct deployment *d)
{
    struct transmission *t = &d->transmission;
    unsigned chosen = 0;

    if (d->params.gateway_count > 0) {
        return d->params.gateway_count; /* chosen by the operator */
    }
    /* Greedy: the gateway that adds most devices next, until none adds any. */
    while (bits_set(chosen) < d->params.gateways_max) {
        unsigned best = 0;
        uint32_t best_gain = 0;
        for (unsigned g = 0; g < t->gateway_count; g++) {
            uint32_t gain = (chosen & 1u << g) != 0 ? 0 : gain_of(d, g, chosen);
            if (gain > best_gain) {
                best = g;
                best_gain = gain;
            }
        }
        if (best_gain == 0) {
            break;
        }
        chosen |= 1u << best;
    }
    for (unsigned g = 0; g < t->gateway_count; g++) {
        t->gateways[g].is_chosen = (chosen & 1u << g) != 0;
    }
    d->is_transmission_changed = true;
    return bits_set(chosen);
}

bool gateways_shrink(struct deployment *d)
{
    struct transmission *t = &d->transmission;
    unsigned chosen = 0, needed = 0;

    for (unsigned g = 0; g < t->gateway_count; g++) {
        chosen |= t->gateways[g].is_chosen ? 1u << g : 0;
    }
    for (uint32_t i = 0; i < d->params.device_count; i++) {
        const struct device *dev = &d->devices[i];
        if (dev->stage != DEVICE_RECEIVING) {
            continue;
        }
        if ((dev->gateways & chosen) == 0) {
            return false; /* nobody knows which one it hears */
        }
        needed |= dev->gateways & chosen;
    }
    if (d->params.gateway_count > 0 || needed == 0 || needed == chosen) {
        return false;
    }
    for (unsigned g = 0; g < t->gateway_count; g++) {
        t->gateways[g].is_chosen = (needed & 1u << g) != 0;
    }
    return true;
}
