/* fuzz_topic.c - whatever template an operator writes and on whatever topic a message comes: the
 * template is refused, or what it fills in is read back. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "network/chirpstack/topic.h"

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
    char filled[TOPIC_SIZE];
    enum events_topic event = EVENTS_TOPIC_COUNT;

    for (unsigned t = 0; t < EVENTS_TOPIC_COUNT; t++) {
        topic_fill(template, "00000000-0000-0000-0000-000000000001", "0102030405060708",
                   events_topic_name((enum events_topic)t), filled);
        assert(strlen(filled) < TOPIC_SIZE);
        assert(topic_event(template, filled, &event) && event == (enum events_topic)t);
    }
    event = EVENTS_TOPIC_COUNT;
    assert(topic_event(template, topic, &event) == (event < EVENTS_TOPIC_COUNT));
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
    if (topic_check(template, &why) != ERR_OK) {
        assert(why != NULL);
    } else {
        check_template(template, topic);
    }
    free(template);
    free(topic);
    return 0;
}
