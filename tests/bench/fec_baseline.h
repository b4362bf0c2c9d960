#ifndef FEC_BASELINE_H
#define FEC_BASELINE_H

#include <stddef.h>
#include <stdint.h>

/* `image` is not padded beyond its last fragment; `rows` holds `row_count` rows of `row_words`
 * words. */
typedef void baseline_fn(const uint8_t *image, size_t fragment_size, const uint64_t *rows,
                         size_t row_words, size_t row_count, uint8_t *data);

baseline_fn baseline_o2, baseline_o3;

#endif
