/*
 * vectors.h - the vectors of the erasure code: tests/vectors/vectors.json.
 */
#ifndef TESTS_FEC_VECTORS_H
#define TESTS_FEC_VECTORS_H

#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

/* The member `name` of the file, which must exist; the caller deletes `*ret_root`. */
const cJSON *vectors_open(const char *name, cJSON **ret_root);
/* Members that must exist; a failure ends the test. */
unsigned vector_number(const cJSON *object, const char *name);
const char *vector_text(const cJSON *object, const char *name);
/* The octets of a hexadecimal member; the caller frees. */
uint8_t *vector_octets(const cJSON *object, const char *name, size_t *ret_size);

#endif
