#include "lib/postgres.h"

#include <glob.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "lib/child.h"

static char folder[] = "/tmp/fuotad-pg-XXXXXX"; /* short: a socket's path is limited */
static char bin[256], data[64], run[64], output[64], uid[32], gid[32];
static pid_t server;

static void in_folder(char path[64], const char *name)
{
    snprintf(path, 64, "%s/%s", folder, name);
}

/* PostgreSQL refuses to run as root. */
static size_t put_prefix(const char **argv)
{
    if (getuid() != 0) {
        return 0;
    }
    argv[0] = "setpriv";
    argv[1] = uid;
    argv[2] = gid;
    argv[3] = "--init-groups";
    argv[4] = "--reset-env";
    argv[5] = "--pdeathsig=KILL";
    return 6;
}

static bool find_programs(void)
{
    glob_t found;
    int newest = 0;

    if (glob("/usr/lib/postgresql/*/bin", 0, NULL, &found) != 0) {
        fprintf(stderr, "PostgreSQL is not installed\n");
        return false;
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        int version = atoi(found.gl_pathv[i] + strlen("/usr/lib/postgresql/"));
        if (version > newest) {
            newest = version;
            snprintf(bin, sizeof(bin), "%s", found.gl_pathv[i]);
        }
    }
    globfree(&found);
    return newest > 0;
}

bool postgres_begin(void)
{
    const char *argv[24] = {NULL};
    char initdb[300];

    if (!find_programs() || mkdtemp(folder) == NULL || chmod(folder, 0711) != 0) {
        return false;
    }
    in_folder(data, "data");
    in_folder(run, "run");
    in_folder(output, "log");
    if (mkdir(data, 0700) != 0 || mkdir(run, 0755) != 0) {
        return false;
    }
    if (getuid() == 0) {
        const struct passwd *user = getpwnam("postgres");
        if (user == NULL || chown(data, user->pw_uid, user->pw_gid) != 0 ||
            chown(run, user->pw_uid, user->pw_gid) != 0) {
            return false;
        }
        snprintf(uid, sizeof(uid), "--reuid=%u", user->pw_uid);
        snprintf(gid, sizeof(gid), "--regid=%u", user->pw_gid);
    }
    snprintf(initdb, sizeof(initdb), "%s/initdb", bin);
    const char *const rest[] = {initdb,  "--no-sync", "--no-locale", "-E", "UTF8", "-A",
                                "trust", "-U",        "fuotad",      "-D", data,   NULL};
    memcpy(argv + put_prefix(argv), rest, sizeof(rest));
    if (chdir("/") != 0 || child_run(argv, output) != 0) {
        fprintf(stderr, "initdb failed\n");
        return false;
    }
    return postgres_start();
}

bool postgres_start(void)
{
    const char *argv[32] = {NULL};
    char postgres[300], sockets[100];

    snprintf(postgres, sizeof(postgres), "%s/postgres", bin);
    snprintf(sockets, sizeof(sockets), "unix_socket_directories=%s", run);
    const char *const rest[] = {postgres,
                                "-D",
                                data,
                                "-c",
                                "listen_addresses=",
                                "-c",
                                sockets,
                                "-c",
                                "fsync=off",
                                "-c",
                                "shared_buffers=32MB",
                                "-c",
                                "dynamic_shared_memory_type=mmap",
                                "-c",
                                "max_connections=30",
                                "-c",
                                "logging_collector=off",
                                NULL};
    memcpy(argv + put_prefix(argv), rest, sizeof(rest));
    server = child_start(argv, output, NULL);
    for (unsigned i = 0; i < 1000; i++) {
        if (PQping(postgres_conninfo("postgres")) == PQPING_OK) {
            return true;
        }
        usleep(10000);
    }
    return false;
}

void postgres_stop(void)
{
    if (server != 0) {
        child_stop(server, SIGINT);
        server = 0;
    }
}

void postgres_end(void)
{
    char command[100];

    postgres_stop();
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    if (system(command) != 0) {
        fprintf(stderr, "%s stays\n", folder);
    }
}

const char *postgres_conninfo(const char *name)
{
    static char text[200];

    snprintf(text, sizeof(text), "host=%s user=fuotad dbname=%s", run, name);
    return text;
}
