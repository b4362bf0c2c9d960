#include "daemon/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static enum log_level lowest = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
    lowest = level;
}

void log_write(enum log_level level, const char *format, ...)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    char line[2048], stamp[40];
    struct timespec now;
    struct tm utc;
    va_list args;

    if (level < lowest) {
        return;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
    int size =
        snprintf(line, sizeof(line), "%s.%03ldZ %s ", stamp, now.tv_nsec / 1000000, names[level]);
    va_start(args, format);
    vsnprintf(line + size, sizeof(line) - (size_t)size - 1, format, args);
    va_end(args);
    size_t end = strlen(line);
    for (size_t i = 0; i < end; i++) { /* one event, one line, whatever a peer sent */
        if ((unsigned char)line[i] < 0x20) {
            line[i] = ' ';
        }
    }
    line[end++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, end); /* one call, so that lines do not mix */
    (void)written;
}
