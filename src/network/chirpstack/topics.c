#include "network/chirpstack/topics.h"

#include <stdio.h>
#include <string.h>

static const char *const placeholders[TOPICS_PLACEHOLDER_COUNT] = {"{application_id}", "{dev_eui}",
                                                                   "{event}"};

enum err topics_check(const char *template, const char **ret_text)
{
    for (size_t i = 0; i < TOPICS_PLACEHOLDER_COUNT; i++) {
        const char *at = strstr(template, placeholders[i]);
        size_t size = strlen(placeholders[i]);
        if (at == NULL || strstr(at + 1, placeholders[i]) != NULL) {
            *ret_text = "{application_id}, {dev_eui} and {event} must each stand in it once";
            return ERR_FORMAT;
        }
        if ((at != template && at[-1] != '/') || (at[size] != '/' && at[size] != '\0')) {
            *ret_text = "a placeholder must stand alone between two slashes";
            return ERR_FORMAT;
        }
    }
    if (strpbrk(template, "+#") != NULL || strlen(template) > TOPICS_FILTER_SIZE / 2) {
        *ret_text = "it must be shorter than 256 characters, without + and #";
        return ERR_FORMAT;
    }
    return ERR_OK;
}

void topics_init(struct topics *topics, const char *template)
{
    topics->template = template;
    for (size_t i = 0; i < TOPICS_PLACEHOLDER_COUNT; i++) {
        const char *at = strstr(template, placeholders[i]);
        topics->levels[i] = 0;
        for (const char *c = template; c < at; c++) {
            topics->levels[i] += *c == '/';
        }
    }
}

void topics_filter(const struct topics *topics, const struct uuid *application_id,
                   enum events_topic event, char filter[TOPICS_FILTER_SIZE])
{
    char application[UUID_TEXT_SIZE];
    const char *const values[TOPICS_PLACEHOLDER_COUNT] = {application, "+",
                                                          events_topic_name(event)};
    size_t size = 0;

    uuid_format(application_id, application);
    for (const char *from = topics->template; *from != '\0' && size + 1 < TOPICS_FILTER_SIZE;) {
        size_t i = 0;
        while (i < TOPICS_PLACEHOLDER_COUNT &&
               strncmp(from, placeholders[i], strlen(placeholders[i])) != 0) {
            i++;
        }
        if (i < TOPICS_PLACEHOLDER_COUNT) {
            size += (size_t)snprintf(filter + size, TOPICS_FILTER_SIZE - size, "%s", values[i]);
            from += strlen(placeholders[i]);
        } else {
            filter[size++] = *from++;
        }
    }
    filter[size < TOPICS_FILTER_SIZE ? size : TOPICS_FILTER_SIZE - 1] = '\0';
}

struct level {
    const char *text; /* not terminated; NULL: the topic has no such level */
    size_t size;
};

/* Finds the levels that the template has for placeholders, in one pass: this runs for every message
 * of the network. */
static void find_levels(const struct topics *topics, const char *topic,
                        struct level levels[TOPICS_PLACEHOLDER_COUNT])
{
    const char *from = topic;

    for (unsigned number = 0; from != NULL; number++) {
        const char *end = strchr(from, '/');
        for (size_t i = 0; i < TOPICS_PLACEHOLDER_COUNT; i++) {
            if (topics->levels[i] == number) {
                levels[i].text = from;
                levels[i].size = end != NULL ? (size_t)(end - from) : strlen(from);
            }
        }
        from = end != NULL ? end + 1 : NULL;
    }
}

/* Texts of `text_size` characters with their end; the parsers want a string. */
static bool copy_level(const struct level *level, char *text, size_t text_size)
{
    if (level->size != text_size - 1) {
        return false;
    }
    memcpy(text, level->text, level->size);
    text[level->size] = '\0';
    return true;
}

enum err topics_read(const struct topics *topics, const char *topic, struct topic *ret_topic)
{
    struct level levels[TOPICS_PLACEHOLDER_COUNT] = {{NULL, 0}};
    char application[UUID_TEXT_SIZE], dev_eui[EUI64_TEXT_SIZE];
    struct topic read = {.event = EVENTS_TOPIC_COUNT};

    find_levels(topics, topic, levels);
    for (unsigned t = 0; t < EVENTS_TOPIC_COUNT; t++) {
        const char *name = events_topic_name((enum events_topic)t);
        const struct level *level = &levels[TOPICS_EVENT];
        if (level->text != NULL && strlen(name) == level->size &&
            memcmp(level->text, name, level->size) == 0) {
            read.event = (enum events_topic)t;
            break;
        }
    }
    if (read.event == EVENTS_TOPIC_COUNT) {
        return ERR_FORMAT;
    }
    read.has_device = copy_level(&levels[TOPICS_APPLICATION], application, sizeof(application)) &&
                      copy_level(&levels[TOPICS_DEVICE], dev_eui, sizeof(dev_eui)) &&
                      uuid_parse(application, &read.application_id) == ERR_OK &&
                      eui64_parse(dev_eui, &read.dev_eui) == ERR_OK;
    *ret_topic = read;
    return ERR_OK;
}
