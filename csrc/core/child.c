#define _GNU_SOURCE /* pipe2 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Make `stdio` the descriptors 0, 1 and 2; each may be one of these itself. */
static int place_stdio(const int *stdio)
{
    int copies[3];

    for (int i = 0; i < 3; i++)
        if (stdio[i] != i && (copies[i] = fcntl(stdio[i], F_DUPFD_CLOEXEC, 3)) < 0)
            return -1;
    for (int i = 0; i < 3; i++)
        if (stdio[i] != i && dup2(copies[i], i) < 0)
            return -1;
    return 0;
}

/* Between fork and exec in a program that has threads: only async-signal-safe calls. */
static void run_child(int go, int failure, const char *const *argv,
                      const char *const *envp, const char *cwd, const int *stdio,
                      const struct rlimit *files)
{
    static const int ignored_by_python[] = {SIGPIPE, SIGXFSZ};
    sigset_t none;
    char byte;
    int code;
    ssize_t n;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (size_t i = 0; i < sizeof(ignored_by_python) / sizeof(int); i++)
        signal(ignored_by_python[i], SIG_DFL);
    do
        n = read(go, &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n != 1)
        _exit(127); /* never let go */
    setrlimit(RLIMIT_NOFILE, files);
    if ((!stdio || place_stdio(stdio) == 0) && (!cwd || chdir(cwd) == 0)) {
        if (envp)
            environ = (char **)envp;
        execvp(argv[0], (char *const *)argv);
    }
    code = errno;
    n = write(failure, &code, sizeof(code));
    _exit(n == sizeof(code) ? 127 : 126);
}

int cprof_child_create(struct cprof_child *child, const char *const *argv,
                       const char *const *envp, const char *cwd, const int *stdio,
                       const struct rlimit *files, struct cprof_error *err)
{
    int go[2], failure[2];
    pid_t pid;

    /* a socket: writing to a child that was killed must not raise SIGPIPE */
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, go) < 0)
        return cprof_error_set(err, -errno, "child: cannot make a pipe: %s",
                               strerror(errno));
    if (pipe2(failure, O_CLOEXEC) < 0) {
        int r = -errno;
        close(go[0]);
        close(go[1]);
        return cprof_error_set(err, r, "child: cannot make a pipe: %s", strerror(-r));
    }
    pid = fork();
    if (pid == 0) {
        close(go[1]);
        run_child(go[0], failure[1], argv, envp, cwd, stdio, files);
    }
    close(go[0]);
    close(failure[1]);
    child->go_fd = go[1];
    child->failure_fd = failure[0];
    child->pid = pid > 0 ? pid : 0;
    if (pid < 0) {
        int r = -errno;
        cprof_child_deinit(child);
        return cprof_error_set(err, r, "child: cannot fork: %s", strerror(-r));
    }
    return 0;
}

static void close_pipes(struct cprof_child *child)
{
    if (child->go_fd >= 0)
        close(child->go_fd);
    if (child->failure_fd >= 0)
        close(child->failure_fd);
    child->go_fd = child->failure_fd = -1;
}

static void reap(struct cprof_child *child)
{
    while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    child->pid = 0;
}

int cprof_child_go(struct cprof_child *child, const char *name, struct cprof_error *err)
{
    int code = 0;
    ssize_t n;

    if (send(child->go_fd, "", 1, MSG_NOSIGNAL) != 1)
        return cprof_error_set(err, -EPIPE, "child: %s ended before it started", name);
    do
        n = read(child->failure_fd, &code, sizeof(code));
    while (n < 0 && errno == EINTR);
    close_pipes(child);
    if (n != sizeof(code))
        return 0;
    reap(child);
    return cprof_error_set(err, -code, "child: cannot run %s: %s", name, strerror(code));
}

void cprof_child_deinit(struct cprof_child *child)
{
    bool was_waiting = child->pid > 0 && child->go_fd >= 0;

    close_pipes(child);
    if (!was_waiting)
        return;
    kill(child->pid, SIGKILL); /* another child that waits may hold our end of its pipe */
    reap(child);
}
