/* vectors.h - tests/vectors/vectors.json for the tests of lorawan/. What is missing or of another
 * type fails the test. */
#ifndef TESTS_VECTORS_H
#define TESTS_VECTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#define VECTOR_SIZE_MAX 2048

/* Delete it with cJSON_Delete(). */
cJSON *vectors_load(void);
const cJSON *vectors_at(const cJSON *object, const char *name);
const char *vectors_text(const cJSON *object, const char *name);
uint32_t vectors_u32(const cJSON *object, const char *name);
uint8_t vectors_u8(const cJSON *object, const char *name);
/* false where the vector does not name the field */
bool vectors_flag(const cJSON *object, const char *name);
/* Hexadecimal octets; returns how many. */
size_t vectors_octets(const cJSON *object, const char *name, uint8_t *octets, size_t octets_size);
/* Exactly `size` octets. */
void vectors_exactly(const cJSON *object, const char *name, uint8_t *octets, size_t size);
uint32_t vectors_dev_addr(const cJSON *object, const char *name);

#endif
