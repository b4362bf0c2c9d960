/* config_table.h - every key of the configuration. */
#ifndef DAEMON_CONFIG_TABLE_H
#define DAEMON_CONFIG_TABLE_H

#include "daemon/config.h"

enum key_kind {
    KEY_TEXT,
    KEY_INTEGER,
    KEY_REAL,
    KEY_BOOL,
    KEY_TEXTS,
};

struct config_key {
    const char *path; /* "group.key" */
    enum key_kind kind;
    size_t offset;
    const char *fallback; /* as it stands in the file */
    double min, max;      /* of numbers; of the length of texts */
    const char *help;     /* sentences */
};

extern const struct config_key config_keys[];
extern const size_t config_key_count;

#endif
