/* odds.h - devices that lose fragments at random and solve their equations: how many were done after each coded
 * fragment. With the library's decoder, which the vectors prove; nothing of odds.c. */
#ifndef TESTS_ODDS_H
#define TESTS_ODDS_H

#include <stdlib.h>

#include "base/random.h"
#include "fec/decoder.h"
#include "fec/odds.h"

/* ret_done[n]: the share of `trials` devices that were done with n coded fragments sent. */
static inline void odds_seen(const struct fec_odds *odds, unsigned trials, double *ret_done)
{
    const unsigned count = odds->fragment_count;
    void *memory = aligned_alloc(64, (fec_decoder_size(count, 0) + 63) / 64 * 64);
    struct random random;

    random_init(&random, 977);
    for (unsigned n = 0; n <= odds->coded_count; n++)
        ret_done[n] = 0.0;
    for (unsigned trial = 0; trial < trials; trial++) {
        struct fec_decoder *decoder;
        unsigned n = 0;

        if (memory == NULL || fec_decoder_init(memory, odds->version, count, 0, &decoder) != ERR_OK)
            abort();
        for (unsigned number = 1; number <= count; number++) {
            if (random_unit(&random) >= odds->loss &&
                fec_decoder_take(decoder, number, NULL, NULL) != ERR_OK)
                abort();
        }
        while (!fec_decoder_is_complete(decoder) && n <= odds->coded_count) {
            n++;
            if (n > odds->coded_count || random_unit(&random) < odds->loss)
                continue;
            const unsigned index = fec_seed_index(odds->indices, odds->index_count, n);
            if (fec_decoder_take(decoder, count + index, NULL, NULL) != ERR_OK)
                abort();
        }
        if (n <= odds->coded_count)
            ret_done[n] += 1.0 / trials;
    }
    for (unsigned n = 1; n <= odds->coded_count; n++)
        ret_done[n] += ret_done[n - 1];
    free(memory);
}

#endif
