/* fuzz_topic.c - whatever template an operator writes and on whatever topic a message comes: the
 * template is refused, or what it fills in is read back. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "network/chirpstack/topics.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *text_of(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    assert(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

static void check_template(const char *template, const char *topic)
{
    static const struct uuid application = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
    char filter[TOPICS_FILTER_SIZE], filled[TOPICS_FILTER_SIZE + EUI64_TEXT_SIZE];
    struct topics topics;
    struct topic read;

    topics_init(&topics, template);
    for (unsigned t = 0; t < EVENTS_TOPIC_COUNT; t++) {
        topics_filter(&topics, &application, (enum events_topic)t, filter);
        assert(strlen(filter) < TOPICS_FILTER_SIZE);
        const char *plus = strchr(filter, '+'); /* of all devices: no template has one */
        assert(plus != NULL);
        snprintf(filled, sizeof(filled), "%.*s0102030405060708%s", (int)(plus - filter), filter,
                 plus + 1);
        assert(topics_read(&topics, filled, &read) == ERR_OK);
        assert(read.event == (enum events_topic)t && read.has_device);
        assert(read.dev_eui == 0x0102030405060708u);
        assert(memcmp(&read.application_id, &application, sizeof(application)) == 0);
    }
    if (topics_read(&topics, topic, &read) == ERR_OK) {
        assert((unsigned)read.event < EVENTS_TOPIC_COUNT);
    }
}

/* The input: a template, an end of line, a topic. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    const char *why = NULL;

    if (end == NULL) {
        return 0;
    }
    char *template = text_of(data, (size_t)(end - data));
    char *topic = text_of(end + 1, size - (size_t)(end - data) - 1);
    if (topics_check(template, &why) != ERR_OK) {
        assert(why != NULL);
    } else {
        check_template(template, topic);
    }
    free(template);
    free(topic);
    return 0;
}
