#include "lorawan/package.h"

enum err package_version_req_encode(uint8_t *buf, size_t buf_size, size_t *ret_size)
{
    if (buf_size < 1) {
        return ERR_SPACE;
    }
    buf[0] = PACKAGE_CID_VERSION;
    *ret_size = 1;
    return ERR_OK;
}
