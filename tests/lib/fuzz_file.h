/* fuzz_file.h - a fuzzer's input as a file in memory, for what reads files by their name. */
#ifndef LIB_FUZZ_FILE_H
#define LIB_FUZZ_FILE_H

#include <stddef.h>
#include <stdint.h>

/* Fills the one file and gives its name (static). */
const char *fuzz_file(const uint8_t *data, size_t size);

#endif
