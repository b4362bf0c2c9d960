#include "encoder_impl.h"

#define TARGET
typedef uint64_t vector;
#include "encoder_tables.h"

const struct fec_operations *fec_portable_operations(void)
{
    static const struct fec_operations operations = {
        .vector_size = sizeof(vector),
        .draw = fec_draw_portable,
        .pack = fec_pack_portable,
        .build = build,
        .apply = apply,
    };

    return &operations;
}
