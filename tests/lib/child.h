/* child.h - other programs of a test: they end with it, also when it is killed. */
#ifndef TESTS_LIB_CHILD_H
#define TESTS_LIB_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/types.h>

/* Starts argv[0] (found in PATH) with its output in `log`, or in the pipe whose reading end goes to
 * `*ret_fd` when that is not NULL. Ends the test when it cannot. */
pid_t child_start(const char *const *argv, const char *log, int *ret_fd);
/* Sends `signal`, waits, and returns the status as waitpid() has it. */
int child_stop(pid_t pid, int signal);
/* Runs to the end; 0 when it succeeded. */
int child_run(const char *const *argv, const char *log);

uint16_t child_free_port(void);
/* Waits until something listens on 127.0.0.1. */
bool child_wait_for_port(uint16_t port, unsigned limit_ms);

#endif
