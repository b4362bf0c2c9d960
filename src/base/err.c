#include "base/err.h"

const char *err_text(enum err err)
{
    static const char *const texts[] = {
#define ERR_TEXT(name, text) [name] = text,
        ERR_LIST(ERR_TEXT)
#undef ERR_TEXT
    };

    if ((unsigned)err >= sizeof(texts) / sizeof(texts[0])) {
        return "unknown error";
    }
    return texts[err];
}
