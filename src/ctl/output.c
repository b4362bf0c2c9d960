/* output.c - texts, tables, files. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl.h"

#define CELLS     16
#define CELL_SIZE 160

#define SPAN_MAX_S 1e15 /* what a server says may be any number */

void complain(const char *format, ...)
{
    va_list args;
    char *text = NULL;
    int size;

    fflush(stdout);
    va_start(args, format);
    size = vasprintf(&text, format, args);
    va_end(args);
    if (size < 0)
        return;
    fputs("fuotactl: ", stderr);
    print_clean(stderr, text);
    fputc('\n', stderr);
    free(text);
}

void *need(void *pointer)
{
    if (!pointer) {
        fputs("fuotactl: out of memory\n", stderr);
        exit(EXIT_FAILED);
    }
    return pointer;
}

char *format_text(const char *format, ...)
{
    va_list args;
    char *text = NULL;
    int size;

    va_start(args, format);
    size = vasprintf(&text, format, args);
    va_end(args);
    return need(size < 0 ? NULL : text);
}

uint8_t *read_file(const char *path, size_t size_max, size_t *ret_size)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    size_t capacity = 65536;
    size_t size = 0;
    uint8_t *data;
    bool is_failed;

    if (!file) {
        complain("%s: %s", path, strerror(errno));
        return NULL;
    }
    data = need(malloc(capacity));
    for (;;) {
        const size_t n = fread(data + size, 1, capacity - size, file);

        size += n;
        if (n == 0 || size > size_max)
            break;
        if (size == capacity) {
            capacity *= 2;
            data = need(realloc(data, capacity));
        }
    }
    is_failed = ferror(file) != 0;
    if (is_failed)
        complain("%s: %s", path, strerror(errno));
    else if (size > size_max)
        complain("%s: is larger than %zu octets", path, size_max);
    if (file != stdin)
        fclose(file);
    if (is_failed || size > size_max) {
        free(data);
        return NULL;
    }
    *ret_size = size;
    return data;
}

void clean_text(char *text)
{
    unsigned char before = 0;

    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;

        /* U+0080 .. U+009F: terminals obey these, too. */
        if (c < 0x20 || c == 0x7F || (before == 0xC2 && c < 0xA0))
            *text = '?';
        if (*text == '?' && before == 0xC2)
            text[-1] = '?';
        before = c;
    }
}

void print_clean(FILE *out, const char *text)
{
    char *copy = need(strdup(text));

    clean_text(copy);
    fputs(copy, out);
    free(copy);
}

void clean_json(cJSON *json)
{
    cJSON *item;

    if (cJSON_IsString(json))
        clean_text(json->valuestring);
    cJSON_ArrayForEach(item, json)
    {
        if (item->string)
            clean_text(item->string);
        clean_json(item);
    }
}

static char *cell(void)
{
    static char cells[CELLS][CELL_SIZE];
    static unsigned next;

    return cells[next++ % CELLS];
}

const char *json_text(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsString(item) ? item->valuestring : "";
}

double json_number(const cJSON *object, const char *name, double instead)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsNumber(item) ? item->valuedouble : instead;
}

const char *json_cell(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    char *text = cell();

    if (cJSON_IsString(item) && item->valuestring[0])
        return item->valuestring;
    if (cJSON_IsNumber(item))
        snprintf(text, CELL_SIZE, "%.15g", item->valuedouble);
    else if (cJSON_IsBool(item))
        snprintf(text, CELL_SIZE, "%s", cJSON_IsTrue(item) ? "yes" : "no");
    else
        snprintf(text, CELL_SIZE, "-");
    return text;
}

const char *time_cell(const cJSON *object, const char *name)
{
    const char *given = json_text(object, name);
    char *text = cell();

    if (strlen(given) >= 20 && given[10] == 'T')
        snprintf(text, CELL_SIZE, "%.10s %.8sZ", given, given + 11);
    else
        snprintf(text, CELL_SIZE, "%s", given[0] ? given : "-");
    return text;
}

bool parse_time(const char *text, double *ret_s)
{
    struct tm tm = {0};
    double fraction = 0;
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

    if (!rest)
        return false;
    if (*rest == '.') {
        char *end;

        fraction = strtod(rest, &end);
        rest = end;
    }
    if (strcmp(rest, "Z") != 0)
        return false;
    *ret_s = (double)timegm(&tm) + fraction;
    return true;
}

const char *span_cell(double seconds)
{
    char *text = cell();
    const long long s = seconds < 0            ? 0
                        : seconds < SPAN_MAX_S ? (long long)(seconds + 0.999)
                                               : (long long)SPAN_MAX_S;

    if (s < 60)
        snprintf(text, CELL_SIZE, "%lld s", s);
    else if (s < 3600)
        snprintf(text, CELL_SIZE, "%lld min %lld s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(text, CELL_SIZE, "%lld h %lld min", s / 3600, s % 3600 / 60);
    else
        snprintf(text, CELL_SIZE, "%lld d %lld h", s / 86400, s % 86400 / 3600);
    return text;
}

void table_init(struct table *table, size_t columns)
{
    *table = (struct table){.columns = columns};
}

void table_add(struct table *table, const char *text)
{
    if (table->count == table->capacity) {
        table->capacity = table->capacity ? table->capacity * 2 : 64;
        table->cells = need(realloc(table->cells, table->capacity * sizeof(*table->cells)));
    }
    table->cells[table->count++] = need(strdup(text));
}

/* Characters, not octets. */
static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

void table_print(struct table *table, FILE *out)
{
    size_t *widths = need(calloc(table->columns, sizeof(*widths)));

    for (size_t i = 0; i < table->count; i++) {
        const size_t width = width_of(table->cells[i]);

        if (width > widths[i % table->columns])
            widths[i % table->columns] = width;
    }
    for (size_t i = 0; i < table->count; i++) {
        const size_t column = i % table->columns;
        const bool is_last = column + 1 == table->columns;

        print_clean(out, table->cells[i]);
        if (is_last)
            fputc('\n', out);
        else
            fprintf(out, "%*s", (int)(widths[column] - width_of(table->cells[i]) + 2), "");
        free(table->cells[i]);
    }
    free(widths);
    free(table->cells);
    *table = (struct table){0};
}
