/*
 * crash.h - which deployment brings the daemon down.
 *
 * An assertion that fails inside a deployment's code ends the program, and the next start would run
 * into it again. So the end leaves a line in a file: the deployment that was being worked on, and
 * with which event. The next start counts it (suspended.c). A SIGKILL, a power failure or a full
 * machine leave no line: they are nobody's fault.
 */
#ifndef DAEMON_CRASH_H
#define DAEMON_CRASH_H

#include "deployment/deployment.h"

#define CRASH_TEXT_SIZE 200

/* From now on a fatal signal writes to `path` what was entered. */
void crash_watch(const char *path);
void crash_enter(const struct uuid *deployment_id, const struct deployment_event *event);
/* Its stored state is being read: there is no event yet. */
void crash_enter_load(const struct uuid *deployment_id);
void crash_leave(void);

/* What an earlier life left in `path`; false: nothing. */
bool crash_read(const char *path, char ret_deployment_id[UUID_TEXT_SIZE],
                char ret_text[CRASH_TEXT_SIZE]);

#endif
