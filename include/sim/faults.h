/*
 * faults.h - what goes wrong with the gRPC calls, as a file says that may change at any time.
 *
 * The file is looked at with each call: whoever writes it (to another name, then renamed) knows
 * that the next call sees it. Without a file, or with an empty one, nothing goes wrong.
 */
#ifndef SIM_FAULTS_H
#define SIM_FAULTS_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/err.h"
#include "base/random.h"

#define FAULTS_MAX         16
#define FAULTS_METHOD_SIZE 64
#define FAULTS_DELAY_MAX   600000
#define FAULTS_ERROR_SIZE  1280

enum fault_action {
    FAULT_NONE,
    FAULT_STATUS, /* not carried out; answered with a status */
    FAULT_DELAY,  /* carried out; answered later */
    FAULT_SILENT, /* carried out; never answered */
    FAULT_GOAWAY, /* carried out and answered, then GOAWAY: streams behind it are not processed */
    FAULT_REFUSE, /* not carried out; RST_STREAM with REFUSED_STREAM */
    FAULT_ACTION_COUNT,
};

struct fault {
    enum fault_action action;
    char method[FAULTS_METHOD_SIZE]; /* a part of the path; empty: every method */
    double share;                    /* of those calls */
    int64_t status;
    int64_t delay_ms; /* real time */
};

struct faults {
    const char *path;         /* borrowed; empty: no faults */
    struct timespec modified; /* of the file that was read last */
    uint64_t inode;
    struct random random;
    size_t count;
    struct fault items[FAULTS_MAX];
    uint64_t hits[FAULT_ACTION_COUNT];
};

const char *fault_action_name(enum fault_action action);

void faults_init(struct faults *faults, const char *path, uint64_t seed);

/*
 * Reads the file if it is another one than before. After an error the old faults stay.
 *
 * ERR_FORMAT  `error` says where and what is allowed
 */
MUST_CHECK enum err faults_read(struct faults *faults, char error[FAULTS_ERROR_SIZE]);

/* What happens to a call of this path: the first fault that names it and whose share hits. NULL:
 * nothing. Counts it. */
const struct fault *faults_draw(struct faults *faults, const char *path);

#endif
