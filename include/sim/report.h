/*
 * report.h - the files fuota-sim writes: ready, report, images.
 */
#ifndef SIM_REPORT_H
#define SIM_REPORT_H

#include "base/err.h"
#include "sim/faults.h"
#include "sim/network.h"

/* All return ERR_IO, or ERR_NO_MEMORY, after a message on the standard error. A file appears whole
 * or not at all. */
MUST_CHECK enum err report_write_ready(const struct network *network, const char *path,
                                       int grpc_port);
MUST_CHECK enum err report_write(struct network *network, const struct faults *faults,
                                 const char *path);
/* Writes DIR/<DevEUI>.bin for each device that has an image; makes the folder. */
MUST_CHECK enum err report_dump_images(const struct network *network, const char *folder);

#endif
