/* text.c - percent encoding, UTF-8, media types, the names of status codes. */
#include <limits.h>
#include <string.h>
#include <strings.h>

#include "impl.h"

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

size_t http_text_unescape(void *arg, struct MHD_Connection *connection, char *text)
{
    char *out = text;

    (void)arg;
    (void)connection;
    for (const char *in = text; *in;) {
        if (*in != '%') {
            *out++ = *in++;
            continue;
        }
        const int high = digit(in[1]);
        const int low = high < 0 ? -1 : digit(in[2]);

        if (low < 0 || high * 16 + low == 0) {
            *out++ = '\xFF';
            in += low < 0 ? 1 : 3;
        } else {
            *out++ = (char)(high * 16 + low);
            in += 3;
        }
    }
    *out = '\0';
    return (size_t)(out - text);
}

#define NO_CODE UINT_MAX

/* Takes the code point at `*text`, which ends before `end`; NO_CODE: malformed. */
static unsigned take_code(const unsigned char **text, const unsigned char *end)
{
    const unsigned char *p = *text;
    unsigned rest;    /* octets that follow */
    unsigned low = 0; /* the smallest code point of this length: overlong forms are refused */
    unsigned code;

    if (*p < 0x80) {
        rest = 0, code = *p;
    } else if (*p >= 0xC2 && *p <= 0xDF) {
        rest = 1, code = *p & 0x1Fu, low = 0x80;
    } else if (*p >= 0xE0 && *p <= 0xEF) {
        rest = 2, code = *p & 0x0Fu, low = 0x800;
    } else if (*p >= 0xF0 && *p <= 0xF4) {
        rest = 3, code = *p & 0x07u, low = 0x10000;
    } else {
        return NO_CODE;
    }
    p++;
    for (; rest > 0; rest--, p++) {
        if (p == end || (*p & 0xC0) != 0x80)
            return NO_CODE;
        code = code << 6 | (*p & 0x3Fu);
    }
    if (code < low || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
        return NO_CODE;
    *text = p;
    return code;
}

bool http_text_is_clean(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    const unsigned char *end = p + strlen(text);

    while (p < end) {
        const unsigned code = take_code(&p, end);

        if (code == NO_CODE || code < 0x20 || (code >= 0x7F && code < 0xA0))
            return false;
    }
    return true;
}

bool http_text_is_utf8(const uint8_t *text, size_t size)
{
    const unsigned char *p = text;

    while (p < text + size) {
        if (take_code(&p, text + size) == NO_CODE)
            return false;
    }
    return true;
}

bool http_text_is_type(const char *value, const char *type)
{
    const size_t size = strlen(type);

    while (*value == ' ' || *value == '\t')
        value++;
    if (strncasecmp(value, type, size) != 0)
        return false;
    value += size;
    while (*value == ' ' || *value == '\t')
        value++;
    return *value == '\0' || *value == ';';
}

const char *http_text_status(unsigned status)
{
    const char *text = MHD_get_reason_phrase_for(status);

    return text ? text : "Error";
}
