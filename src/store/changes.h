/*
 * changes.h - what one turn changes, gathered over all deployments: rows of devices and
 * transmissions, frames and notes, each kind one statement.
 *
 * The cost of a commit so depends on what changed, not on how many deployments it belongs to.
 */
#ifndef STORE_CHANGES_H
#define STORE_CHANGES_H

#include <stdbool.h>

#include "deployment/deployment.h"
#include "store/pg.h"

struct changes;

struct changes *changes_new(void);
void changes_free(struct changes *changes);
bool changes_are_none(const struct changes *changes);
/* What is added later about the same thing replaces what was added before. */
void changes_add_device(struct changes *changes, const struct uuid *deployment_id, uint32_t index,
                        const struct device *device);
void changes_add_transmission(struct changes *changes, const struct uuid *deployment_id,
                              const struct transmission *transmission);
void changes_add_frame(struct changes *changes, const struct uuid *deployment_id,
                       const struct deployment_action *action, int64_t planned_ms);
/* `dev_eui` 0: the note is about the transmission. */
void changes_add_note(struct changes *changes, const struct uuid *deployment_id, uint64_t dev_eui,
                      const struct deployment_note *note);
/* Adds the statements to `batch`. */
void changes_put(struct changes *changes, struct pg_batch *batch);

#endif
