#include "lib/child.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what)
{
    perror(what);
    exit(1);
}

pid_t child_start(const char *const *argv, const char *log, int *ret_fd)
{
    int ends[2] = {-1, -1};
    pid_t parent = getpid();

    fflush(NULL);
    if (ret_fd != NULL && pipe2(ends, O_CLOEXEC) != 0) {
        die("pipe");
    }
    pid_t pid = fork();
    if (pid < 0) {
        die("fork");
    }
    if (pid == 0) {
        int null = open("/dev/null", O_RDONLY);
        int out = ends[1] >= 0 ? ends[1] : open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent || dup2(null, 0) < 0 || dup2(out, 1) < 0 ||
            (ret_fd == NULL && dup2(out, 2) < 0)) {
            _exit(126);
        }
        close_range(3, ~0U, 0); /* a socket of ours that the child held would outlive our close() */
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    if (ret_fd != NULL) {
        close(ends[1]);
        *ret_fd = ends[0];
    }
    return pid;
}

int child_stop(pid_t pid, int signal)
{
    int status = 0;

    kill(pid, signal);
    for (unsigned i = 0; i < 1500; i++) {
        if (waitpid(pid, &status, WNOHANG) == pid) {
            return status;
        }
        usleep(10000);
    }
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return status;
}

int child_run(const char *const *argv, const char *log)
{
    int status = 0;
    pid_t pid = child_start(argv, log, NULL);

    waitpid(pid, &status, 0);
    return status;
}

static int address_of(uint16_t port, struct sockaddr_in *ret)
{
    *ret = (struct sockaddr_in){.sin_family = AF_INET};
    ret->sin_port = htons(port);
    ret->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

uint16_t child_free_port(void)
{
    struct sockaddr_in address;
    socklen_t size = sizeof(address);
    int fd = address_of(0, &address);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        die("a free port");
    }
    close(fd);
    return ntohs(address.sin_port);
}

bool child_wait_for_port(uint16_t port, unsigned limit_ms)
{
    for (unsigned ms = 0; ms < limit_ms; ms += 10) {
        struct sockaddr_in address;
        int fd = address_of(port, &address);
        int result = connect(fd, (struct sockaddr *)&address, sizeof(address));
        close(fd);
        if (result == 0) {
            return true;
        }
        usleep(10000);
    }
    return false;
}
