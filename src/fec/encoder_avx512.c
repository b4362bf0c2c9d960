#include "encoder_impl.h"

#ifdef __x86_64__

#define TARGET __attribute__((target("avx512f")))
typedef uint64_t vector __attribute__((vector_size(64)));
#include "encoder_tables.h"

const struct fec_operations *fec_avx512_operations(void)
{
    static const struct fec_operations operations = {
        .vector_size = sizeof(vector),
        .draw = fec_draw_avx2,
        .pack = fec_pack_avx2,
        .build = build,
        .apply = apply,
    };

    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx2") ? &operations : NULL;
}

#else

const struct fec_operations *fec_avx512_operations(void)
{
    return NULL;
}

#endif
