/* must.h - memory that must be there. */
#ifndef WISH_MUST_H
#define WISH_MUST_H

#include <stdlib.h>

static inline void *must(void *memory)
{
    if (memory == NULL) {
        abort();
    }
    return memory;
}

#endif
