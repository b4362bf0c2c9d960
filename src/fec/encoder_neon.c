#include "encoder_impl.h"

#if defined(__aarch64__) && defined(__ARM_NEON)

#define TARGET
typedef uint64_t vector __attribute__((vector_size(16)));
#include "encoder_tables.h"

const struct fec_operations *fec_neon_operations(void)
{
    static const struct fec_operations operations = {
        .vector_size = sizeof(vector),
        .draw = fec_draw_portable,
        .pack = fec_pack_portable,
        .build = build,
        .apply = apply,
    };

    return &operations; /* every arm64 processor has it */
}

#else

const struct fec_operations *fec_neon_operations(void)
{
    return NULL;
}

#endif
