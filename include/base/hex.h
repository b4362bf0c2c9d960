/*
 * hex.h - identifiers and octets as text.
 *
 * Pure. Hexadecimal digits are written in lower case and read in either case. EUIs and addresses
 * are numbers here and are written most significant octet first, as people and ChirpStack write
 * them.
 */
#ifndef BASE_HEX_H
#define BASE_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define EUI64_TEXT_SIZE    17 /* 16 digits and the end */
#define DEV_ADDR_TEXT_SIZE 9  /* 8 digits and the end */
#define UUID_SIZE          16
#define UUID_TEXT_SIZE     37 /* 36 characters and the end */

struct uuid {
    uint8_t octets[UUID_SIZE];
};

/* Writes 2 × `size` digits and a terminating zero to `text`, which holds 2 × `size` + 1 characters.
 */
void hex_encode(const void *octets, size_t size, char *text);

/*
 * Reads exactly 2 × `size` digits from `text` (`text_size` characters) to `ret_octets`; on error
 * touches nothing.
 *
 * ERR_FORMAT  a character is no hexadecimal digit, or `text_size` is not 2 × `size`
 */
MUST_CHECK enum err hex_decode(const char *text, size_t text_size, void *ret_octets, size_t size);

void eui64_format(uint64_t eui, char text[EUI64_TEXT_SIZE]);
/* ERR_FORMAT  not exactly 16 hexadecimal digits */
MUST_CHECK enum err eui64_parse(const char *text, uint64_t *ret_eui);

void dev_addr_format(uint32_t addr, char text[DEV_ADDR_TEXT_SIZE]);
/* ERR_FORMAT  not exactly 8 hexadecimal digits */
MUST_CHECK enum err dev_addr_parse(const char *text, uint32_t *ret_addr);

void uuid_format(const struct uuid *uuid, char text[UUID_TEXT_SIZE]);
/* ERR_FORMAT  not 8-4-4-4-12 hexadecimal digits */
MUST_CHECK enum err uuid_parse(const char *text, struct uuid *ret_uuid);
/* All zero stands for none. */
bool uuid_is_zero(const struct uuid *uuid);

#endif
