/*
 * plan.h - how to cut an image into fragments, and how many coded ones to send.
 *
 * Pure: no I/O, no clock, no allocation.
 */
#ifndef FEC_PLAN_H
#define FEC_PLAN_H

#include <stddef.h>

#include "base/err.h"

/*
 * Chooses a fragment size of at most `size_max` octets for an image of `image_size` octets: few fragments, a multiple of
 * 8 where that costs at most one fragment in a hundred (flash-backed decoders like it), never a fragment count that
 * fec_count_is_bad(). Sizes below half of size_max are not tried.
 *
 * ERR_RANGE  the image is empty, size_max is 0 or above 255
 * ERR_LIMIT  even at size_max the image needs more than 16383 fragments, or no size avoids a bad count
 */
MUST_CHECK enum err fec_plan_fragment_size(size_t image_size, unsigned size_max,
                                           unsigned *ret_fragment_size);

/*
 * Coded fragments for a fixed redundancy planned for the loss rate `loss` (0 .. 0.9): for M uncoded fragments, a device
 * loses M × loss and two standard deviations more, needs eight rows beyond that, and loses coded ones, too. At least 15
 * for M <= 64. At most FEC_NUMBER_MAX - M.
 */
unsigned fec_plan_coded_count(unsigned fragment_count, double loss);

/* Coded fragments to send before anybody is asked, where rounds send what is lacking then: what a device with the loss
 * rate `loss` (0 .. 0.9) needs on average. */
unsigned fec_plan_first_coded_count(unsigned fragment_count, double loss);

#endif
