#include "fec/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hex.h"

const cJSON *vectors_open(const char *name, cJSON **ret_root)
{
    FILE *file = fopen(FUOTAD_VECTORS, "rb");
    const cJSON *member;
    char *text;
    long size;

    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    size = ftell(file);
    assert_true(size > 0);
    rewind(file);
    text = malloc((size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size, file), size);
    text[size] = '\0';
    fclose(file);
    *ret_root = cJSON_Parse(text);
    free(text);
    assert_non_null(*ret_root);
    member = cJSON_GetObjectItemCaseSensitive(*ret_root, name);
    assert_true(cJSON_IsArray(member) && cJSON_GetArraySize(member) > 0);
    return member;
}

unsigned vector_number(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    assert_true(cJSON_IsNumber(item));
    return (unsigned)item->valuedouble;
}

const char *vector_text(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    assert_true(cJSON_IsString(item));
    return item->valuestring;
}

uint8_t *vector_octets(const cJSON *object, const char *name, size_t *ret_size)
{
    const char *text = vector_text(object, name);
    const size_t size = strlen(text) / 2;
    uint8_t *octets = malloc(size + 1);

    assert_non_null(octets);
    assert_int_equal(hex_decode(text, strlen(text), octets, size), ERR_OK);
    *ret_size = size;
    return octets;
}
