#include "sim/faults.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <libconfig.h>

static const char *const action_names[FAULT_ACTION_COUNT] = {
    [FAULT_NONE] = "none",     [FAULT_STATUS] = "status", [FAULT_DELAY] = "delay",
    [FAULT_SILENT] = "silent", [FAULT_GOAWAY] = "goaway", [FAULT_REFUSE] = "refuse",
};

const char *fault_action_name(enum fault_action action)
{
    return action_names[action];
}

void faults_init(struct faults *faults, const char *path, uint64_t seed)
{
    *faults = (struct faults){.path = path};
    random_init(&faults->random, seed);
}

static enum err fail(const struct faults *faults, int line, const char *text, char *error)
{
    snprintf(error, FAULTS_ERROR_SIZE, "faults_file: %s:%d: %s", faults->path, line, text);
    return ERR_FORMAT;
}

static bool parse_action(const char *name, enum fault_action *ret_action)
{
    for (int a = FAULT_NONE + 1; a < FAULT_ACTION_COUNT; a++) {
        if (strcmp(action_names[a], name) == 0) {
            *ret_action = (enum fault_action)a;
            return true;
        }
    }
    return false;
}

static bool parse_share(const config_setting_t *s, double *ret_share)
{
    if (config_setting_type(s) == CONFIG_TYPE_INT) { /* 1 without a point */
        *ret_share = config_setting_get_int(s);
    } else if (config_setting_type(s) == CONFIG_TYPE_FLOAT) {
        *ret_share = config_setting_get_float(s);
    } else {
        return false;
    }
    return *ret_share >= 0 && *ret_share <= 1;
}

static bool parse_number(const config_setting_t *s, int64_t min, int64_t max, int64_t *ret_number)
{
    if (config_setting_type(s) != CONFIG_TYPE_INT) {
        return false;
    }
    *ret_number = config_setting_get_int(s);
    return *ret_number >= min && *ret_number <= max;
}

/* Sets one member; NULL, or what is allowed. */
static const char *set_member(struct fault *fault, const config_setting_t *s)
{
    const char *name = config_setting_name(s);
    const char *text = config_setting_get_string(s); /* NULL: no text */

    if (strcmp(name, "action") == 0) {
        return text != NULL && parse_action(text, &fault->action)
                   ? NULL
                   : "action: status, delay, silent, goaway or refuse";
    }
    if (strcmp(name, "method") == 0) {
        if (text == NULL || strlen(text) >= sizeof(fault->method)) {
            return "method: a text of less than 64 characters";
        }
        snprintf(fault->method, sizeof(fault->method), "%s", text);
        return NULL;
    }
    if (strcmp(name, "share") == 0) {
        return parse_share(s, &fault->share) ? NULL : "share: a number from 0 to 1";
    }
    if (strcmp(name, "status") == 0) {
        return parse_number(s, 1, 16, &fault->status) ? NULL
                                                      : "status: a whole number from 1 to 16";
    }
    if (strcmp(name, "delay_ms") == 0) {
        return parse_number(s, 1, FAULTS_DELAY_MAX, &fault->delay_ms)
                   ? NULL
                   : "delay_ms: a whole number from 1 to 600000";
    }
    return "a fault has action, method, share, status and delay_ms";
}

static const char *set_fault(struct fault *fault, const config_setting_t *entry)
{
    *fault = (struct fault){.share = 1};
    for (int i = 0; i < config_setting_length(entry); i++) {
        const config_setting_t *s = config_setting_get_elem(entry, (unsigned)i);
        const char *allowed = config_setting_name(s) != NULL
                                  ? set_member(fault, s)
                                  : "a fault is a group of members with names";
        if (allowed != NULL) {
            return allowed;
        }
    }
    if (fault->action == FAULT_NONE) {
        return "action: must be there";
    }
    if (fault->action == FAULT_STATUS && fault->status == 0) {
        return "status: must be there";
    }
    if (fault->action == FAULT_DELAY && fault->delay_ms == 0) {
        return "delay_ms: must be there";
    }
    return NULL;
}

static enum err set_all(struct faults *faults, const config_t *config, char *error)
{
    const config_setting_t *list = config_lookup(config, "faults");
    struct fault items[FAULTS_MAX];
    size_t count = list != NULL ? (size_t)config_setting_length(list) : 0;

    if (config_setting_length(config_root_setting(config)) != (list != NULL ? 1 : 0)) {
        return fail(faults, 1, "only the list faults is known", error);
    }
    if (count > FAULTS_MAX) {
        return fail(faults, 1, "at most 16 faults are possible", error);
    }
    for (size_t i = 0; i < count; i++) {
        const config_setting_t *entry = config_setting_get_elem(list, (unsigned)i);
        const char *allowed = set_fault(&items[i], entry);
        if (allowed != NULL) {
            return fail(faults, (int)config_setting_source_line(entry), allowed, error);
        }
    }
    memcpy(faults->items, items, count * sizeof(items[0]));
    faults->count = count;
    return ERR_OK;
}

enum err faults_read(struct faults *faults, char error[FAULTS_ERROR_SIZE])
{
    struct stat now;
    config_t config;
    enum err err;

    if (faults->path[0] == '\0') {
        return ERR_OK;
    }
    if (stat(faults->path, &now) != 0) {
        faults->count = 0;
        faults->inode = 0;
        return ERR_OK;
    }
    if (now.st_ino == faults->inode && now.st_mtim.tv_sec == faults->modified.tv_sec &&
        now.st_mtim.tv_nsec == faults->modified.tv_nsec) {
        return ERR_OK;
    }
    faults->inode = now.st_ino;
    faults->modified = now.st_mtim;
    config_init(&config);
    if (config_read_file(&config, faults->path) == CONFIG_TRUE) {
        err = set_all(faults, &config, error);
    } else {
        err = fail(faults, config_error_line(&config), config_error_text(&config), error);
    }
    config_destroy(&config);
    return err;
}

const struct fault *faults_draw(struct faults *faults, const char *path)
{
    for (size_t i = 0; i < faults->count; i++) {
        const struct fault *fault = &faults->items[i];
        if (strstr(path, fault->method) != NULL && random_unit(&faults->random) < fault->share) {
            faults->hits[fault->action]++;
            return fault;
        }
    }
    return NULL;
}
