#include "fec/plan.h"

#include <assert.h>

#include "fec/rows.h"

#define FRAGMENT_SIZE_MAX 255
#define LOSS_MAX          0.9
#define SPARE_ROWS        8.0 /* beyond what is lost: 99 % of devices need no more */

/* v1 has few rows, and gaps in them, where the block is small (measured: up to 12 beyond the lost
 * ones for M = 21). */
#define SMALL_COUNT     64
#define SMALL_CODED_MIN 15

static size_t count_of(size_t image_size, unsigned size)
{
    return image_size / size + (image_size % size != 0);
}

enum err fec_plan_fragment_size(size_t image_size, unsigned size_max, unsigned *ret_fragment_size)
{
    const unsigned size_min = (size_max + 1) / 2;
    size_t best_count = 0, best_aligned_count = 0;
    unsigned best = 0, best_aligned = 0;

    if (image_size == 0 || size_max == 0 || size_max > FRAGMENT_SIZE_MAX)
        return ERR_RANGE;
    /* Of sizes that give the same count the smallest is taken: it sends less padding. */
    for (unsigned size = size_max; size >= size_min && size > 0; size--) {
        const size_t count = count_of(image_size, size);

        if (count > FEC_NUMBER_MAX)
            break;
        if (fec_count_is_bad((unsigned)count))
            continue;
        if (best == 0 || count == best_count) {
            best = size;
            best_count = count;
        }
        if (size % 8 == 0 && (best_aligned == 0 || count == best_aligned_count)) {
            best_aligned = size;
            best_aligned_count = count;
        }
    }
    if (best == 0)
        return ERR_LIMIT;
    if (best_aligned != 0 && best_aligned_count <= best_count + best_count / 100)
        best = best_aligned;
    *ret_fragment_size = best;
    return ERR_OK;
}

/* Newton's method, to spare the pure modules the mathematics library. Exact enough: one unit is a
 * whole fragment. */
static double square_root(double x)
{
    double root = x > 1.0 ? x : 1.0;

    if (x <= 0.0)
        return 0.0; /* which the steps would only approach, and a trace of it is rounded up to a
                       fragment */
    for (int i = 0; i < 20; i++)
        root = (root + x / root) / 2.0;
    return root;
}

unsigned fec_plan_coded_count(unsigned fragment_count, double loss)
{
    assert(fragment_count >= 1 && fragment_count <= FEC_NUMBER_MAX);
    if (!(loss > 0.0))
        loss = 0.0;
    if (loss > LOSS_MAX)
        loss = LOSS_MAX;

    const double expected = fragment_count * loss;
    const double lost = expected + 2.0 * square_root(expected * (1.0 - loss));
    const double rows = (lost + SPARE_ROWS) / (1.0 - loss);
    const unsigned limit = FEC_NUMBER_MAX - fragment_count;
    unsigned count = rows < FEC_NUMBER_MAX ? (unsigned)rows : FEC_NUMBER_MAX;

    if (count < rows)
        count++;
    if (fragment_count <= SMALL_COUNT && count < SMALL_CODED_MIN)
        count = SMALL_CODED_MIN;
    return count < limit ? count : limit;
}

unsigned fec_plan_first_coded_count(unsigned fragment_count, double loss)
{
    assert(fragment_count >= 1 && fragment_count <= FEC_NUMBER_MAX);
    if (!(loss > 0.0))
        loss = 0.0;
    if (loss > LOSS_MAX)
        loss = LOSS_MAX;

    const unsigned limit = FEC_NUMBER_MAX - fragment_count;
    const unsigned count = (unsigned)(fragment_count * loss / (1.0 - loss) + 0.999);

    return count < limit ? count : limit;
}
