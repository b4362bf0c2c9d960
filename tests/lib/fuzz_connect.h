/* fuzz_connect.h - a fuzzer is the client of a server in its own process. */
#ifndef LIB_FUZZ_CONNECT_H
#define LIB_FUZZ_CONNECT_H

#include <stdint.h>

/* A connection to 127.0.0.1; closing it resets it, so that many runs leave no ports behind. */
int fuzz_connect(uint16_t port);

#endif
