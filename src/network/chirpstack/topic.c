#include "network/chirpstack/topic.h"

#include <stdio.h>
#include <string.h>

static const char *const placeholders[] = {"{application_id}", "{dev_eui}", "{event}"};

enum err topic_check(const char *template, const char **ret_text)
{
    for (size_t i = 0; i < 3; i++) {
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
    if (strpbrk(template, "+#") != NULL || strlen(template) > TOPIC_SIZE / 2) {
        *ret_text = "it must be shorter than 256 characters, without + and #";
        return ERR_FORMAT;
    }
    return ERR_OK;
}

void topic_fill(const char *template, const char *application, const char *dev_eui,
                const char *event, char ret_topic[TOPIC_SIZE])
{
    const char *const values[] = {application, dev_eui, event};
    size_t size = 0;

    for (const char *from = template; *from != '\0' && size + 1 < TOPIC_SIZE;) {
        size_t i = 0;
        while (i < 3 && strncmp(from, placeholders[i], strlen(placeholders[i])) != 0) {
            i++;
        }
        if (i < 3) {
            size += (size_t)snprintf(ret_topic + size, TOPIC_SIZE - size, "%s", values[i]);
            from += strlen(placeholders[i]);
        } else {
            ret_topic[size++] = *from++;
        }
    }
    ret_topic[size < TOPIC_SIZE ? size : TOPIC_SIZE - 1] = '\0';
}

bool topic_event(const char *template, const char *topic, enum events_topic *ret_event)
{
    const char *level = topic;

    for (const char *from = template; from < strstr(template, placeholders[2]); from++) {
        if (*from == '/') {
            level = strchr(level, '/');
            if (level == NULL) {
                return false;
            }
            level++;
        }
    }
    size_t size = strcspn(level, "/");
    for (unsigned t = 0; t < EVENTS_TOPIC_COUNT; t++) {
        const char *name = events_topic_name((enum events_topic)t);
        if (strlen(name) == size && strncmp(level, name, size) == 0) {
            *ret_event = (enum events_topic)t;
            return true;
        }
    }
    return false;
}
