#include "lorawan/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hex.h"

cJSON *vectors_load(void)
{
    FILE *file = fopen(FUOTAD_VECTORS, "rb");
    static char text[1 << 20];

    assert_non_null(file);
    size_t size = fread(text, 1, sizeof(text), file);
    assert_true(size > 0 && size < sizeof(text));
    fclose(file);
    cJSON *root = cJSON_ParseWithLength(text, size);
    assert_non_null(root);
    return root;
}

const cJSON *vectors_at(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    if (item == NULL) {
        fail_msg("a vector lacks \"%s\"", name);
    }
    return item;
}

const char *vectors_text(const cJSON *object, const char *name)
{
    const cJSON *item = vectors_at(object, name);

    assert_true(cJSON_IsString(item));
    return item->valuestring;
}

uint32_t vectors_u32(const cJSON *object, const char *name)
{
    const cJSON *item = vectors_at(object, name);

    assert_true(cJSON_IsNumber(item));
    assert_true(item->valuedouble >= 0 && item->valuedouble <= UINT32_MAX);
    return (uint32_t)item->valuedouble;
}

uint8_t vectors_u8(const cJSON *object, const char *name)
{
    uint32_t value = vectors_u32(object, name);

    assert_true(value <= UINT8_MAX);
    return (uint8_t)value;
}

bool vectors_flag(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    assert_true(item == NULL || cJSON_IsBool(item));
    return cJSON_IsTrue(item);
}

size_t vectors_octets(const cJSON *object, const char *name, uint8_t *octets, size_t octets_size)
{
    const char *text = vectors_text(object, name);
    size_t size = strlen(text) / 2;

    assert_true(size <= octets_size);
    assert_int_equal(hex_decode(text, strlen(text), octets, size), ERR_OK);
    return size;
}

void vectors_exactly(const cJSON *object, const char *name, uint8_t *octets, size_t size)
{
    assert_int_equal(vectors_octets(object, name, octets, size), size);
}

uint32_t vectors_dev_addr(const cJSON *object, const char *name)
{
    uint32_t addr;

    assert_int_equal(dev_addr_parse(vectors_text(object, name), &addr), ERR_OK);
    return addr;
}
