#include "base/hex.h"

#include <string.h>

static const char digits[] = "0123456789abcdef";

void hex_encode(const void *octets, size_t size, char *text)
{
    const uint8_t *from = octets;

    for (size_t i = 0; i < size; i++) {
        text[2 * i] = digits[from[i] >> 4];
        text[2 * i + 1] = digits[from[i] & 0x0F];
    }
    text[2 * size] = '\0';
}

/* The value of each digit, and one more: 0 is no digit. Every message of the network passes here.
 */
static const uint8_t values[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

enum err hex_decode(const char *text, size_t text_size, void *ret_octets, size_t size)
{
    uint8_t *to = ret_octets;

    if (text_size != 2 * size) {
        return ERR_FORMAT;
    }
    for (size_t i = 0; i < text_size; i++) {
        if (values[(uint8_t)text[i]] == 0) {
            return ERR_FORMAT;
        }
    }
    for (size_t i = 0; i < size; i++) {
        unsigned high = values[(uint8_t)text[2 * i]] - 1u;
        unsigned low = values[(uint8_t)text[2 * i + 1]] - 1u;
        to[i] = (uint8_t)(high << 4 | low);
    }
    return ERR_OK;
}

static enum err parse_number(const char *text, size_t size, uint64_t *ret_number)
{
    uint8_t octets[8];
    uint64_t number = 0;
    enum err err = hex_decode(text, strlen(text), octets, size);

    if (err != ERR_OK) {
        return err;
    }
    for (size_t i = 0; i < size; i++) {
        number = number << 8 | octets[i];
    }
    *ret_number = number;
    return ERR_OK;
}

static void format_number(uint64_t number, size_t size, char *text)
{
    uint8_t octets[8];

    for (size_t i = size; i-- > 0;) {
        octets[i] = (uint8_t)number;
        number >>= 8;
    }
    hex_encode(octets, size, text);
}

void eui64_format(uint64_t eui, char text[EUI64_TEXT_SIZE])
{
    format_number(eui, 8, text);
}

enum err eui64_parse(const char *text, uint64_t *ret_eui)
{
    return parse_number(text, 8, ret_eui);
}

void dev_addr_format(uint32_t addr, char text[DEV_ADDR_TEXT_SIZE])
{
    format_number(addr, 4, text);
}

enum err dev_addr_parse(const char *text, uint32_t *ret_addr)
{
    uint64_t number;
    enum err err = parse_number(text, 4, &number);

    if (err == ERR_OK) {
        *ret_addr = (uint32_t)number;
    }
    return err;
}

/* Octets before each dash of a UUID's text, and its end. */
static const size_t uuid_groups[] = {0, 4, 6, 8, 10, UUID_SIZE};

void uuid_format(const struct uuid *uuid, char text[UUID_TEXT_SIZE])
{
    for (size_t g = 0; g < 5; g++) {
        size_t start = uuid_groups[g];
        hex_encode(uuid->octets + start, uuid_groups[g + 1] - start, text + 2 * start + g);
        text[2 * uuid_groups[g + 1] + g] = g < 4 ? '-' : '\0';
    }
}

enum err uuid_parse(const char *text, struct uuid *ret_uuid)
{
    struct uuid uuid;

    if (strlen(text) != UUID_TEXT_SIZE - 1) {
        return ERR_FORMAT;
    }
    for (size_t g = 0; g < 5; g++) {
        size_t start = uuid_groups[g];
        size_t size = uuid_groups[g + 1] - start;
        if (g < 4 && text[2 * uuid_groups[g + 1] + g] != '-') {
            return ERR_FORMAT;
        }
        enum err err = hex_decode(text + 2 * start + g, 2 * size, uuid.octets + start, size);
        if (err != ERR_OK) {
            return err;
        }
    }
    *ret_uuid = uuid;
    return ERR_OK;
}

bool uuid_is_zero(const struct uuid *uuid)
{
    static const struct uuid zero;

    return memcmp(uuid, &zero, sizeof(zero)) == 0;
}
