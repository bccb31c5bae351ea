/* child: it waits until it is let go, and then is as if a shell had started it. */
#define _GNU_SOURCE
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

static struct rlimit files;

static int start(struct cprof_child *child, const char *const *argv,
                 const char *const *envp, const char *cwd, const int *stdio,
                 struct cprof_error *err)
{
    *child = (struct cprof_child){.go_fd = -1, .failure_fd = -1};
    return cprof_child_create(child, argv, envp, cwd, stdio, &files, err);
}

static int status_of(struct cprof_child *child)
{
    int status = -1;

    waitpid(child->pid, &status, 0);
    child->pid = 0;
    cprof_child_deinit(child);
    return status;
}

static void test_nothing_happens_before_go(void)
{
    char dir[] = "/tmp/cprof-child-XXXXXX", path[64];
    const char *argv[] = {"touch", "here", NULL};
    struct cprof_child child;

    CHECK(mkdtemp(dir) != NULL);
    snprintf(path, sizeof(path), "%s/here", dir);
    CHECK_EQ(start(&child, argv, NULL, dir, NULL, NULL), 0);
    poll(NULL, 0, 50);
    CHECK(access(path, F_OK) < 0);
    CHECK_EQ(cprof_child_go(&child, "touch", NULL), 0);
    CHECK_EQ(status_of(&child), 0);
    CHECK_EQ(access(path, F_OK), 0);
    unlink(path);
    rmdir(dir);
}

static void test_a_child_never_let_go_ends_unheard(void)
{
    const char *argv[] = {"/bin/sh", "-c", "exit 3", NULL};
    struct cprof_child child;
    pid_t pid;

    CHECK_EQ(start(&child, argv, NULL, NULL, NULL, NULL), 0);
    pid = child.pid;
    cprof_child_deinit(&child);
    CHECK(kill(pid, 0) < 0 && errno == ESRCH); /* reaped, too */
}

static void test_what_cannot_be_run_is_said(void)
{
    const char *missing[] = {"no-such-program-here", NULL}, *folder[] = {"/tmp", NULL};
    const char *shell[] = {"sh", NULL};
    struct cprof_error err = {0};
    struct cprof_child child;

    CHECK_EQ(start(&child, missing, NULL, NULL, NULL, &err), 0);
    CHECK_EQ(cprof_child_go(&child, missing[0], &err), -ENOENT);
    CHECK(strstr(err.message, "no-such-program-here") != NULL);
    cprof_child_deinit(&child);
    CHECK_EQ(start(&child, folder, NULL, NULL, NULL, &err), 0);
    CHECK_EQ(cprof_child_go(&child, folder[0], &err), -EACCES);
    cprof_child_deinit(&child);
    CHECK_EQ(start(&child, shell, NULL, "/no/such/folder", NULL, &err), 0);
    CHECK_EQ(cprof_child_go(&child, shell[0], &err), -ENOENT);
    cprof_child_deinit(&child);
}

static int shell_says(const char *script, const char *const *envp)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    struct cprof_child child;
    int status;

    CHECK_EQ(start(&child, argv, envp, NULL, NULL, NULL), 0);
    CHECK_EQ(cprof_child_go(&child, "sh", NULL), 0);
    status = status_of(&child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void test_the_child_is_a_clean_process(void)
{
    static const char count_files[] = "exit $(ls /proc/self/fd | wc -l)";
    const char *envp[] = {"ANSWER=42", NULL};
    sigset_t all, before;
    int result;

    CHECK_EQ(shell_says("exit $ANSWER", envp), 42);
    /* as Python has it: SIGPIPE ignored; and a mask that must not be passed on */
    signal(SIGPIPE, SIG_IGN);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    result = shell_says("kill -PIPE $$; exit 1", NULL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    signal(SIGPIPE, SIG_DFL);
    CHECK_EQ(result, 128 + SIGPIPE);
    /* no file of ours is open in it: as many as in a shell started by system(3) */
    CHECK_EQ(shell_says(count_files, NULL), WEXITSTATUS(system(count_files)));
}

static void test_the_limit_of_files_is_the_given_one(void)
{
    struct rlimit kept = files;
    int result;

    files.rlim_cur = 77;
    result = shell_says("exit $(ulimit -Sn)", NULL);
    files = kept;
    CHECK_EQ(result, 77);
}

static void test_its_files_are_the_given_ones(void)
{
    const char *argv[] = {"sh", "-c", "cat; echo lost >&2", NULL};
    int in[2], out[2], bad[] = {0, 1, 1 << 20};
    int stdio[3];
    struct cprof_child child;
    char said[16] = "";

    CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
    stdio[0] = in[0], stdio[1] = stdio[2] = out[1];
    CHECK_EQ(write(in[1], "in ", 3), 3);
    CHECK_EQ(start(&child, argv, NULL, NULL, stdio, NULL), 0);
    close(in[1]);
    close(out[1]);
    CHECK_EQ(cprof_child_go(&child, "sh", NULL), 0);
    CHECK_EQ(status_of(&child), 0);
    CHECK_EQ(read(out[0], said, sizeof(said) - 1), 8);
    CHECK_STR(said, "in lost\n");
    close(in[0]);
    close(out[0]);
    CHECK_EQ(start(&child, argv, NULL, NULL, bad, NULL), 0);
    CHECK_EQ(cprof_child_go(&child, "sh", NULL), -EBADF);
    cprof_child_deinit(&child);
}

int main(void)
{
    getrlimit(RLIMIT_NOFILE, &files);
    RUN(test_nothing_happens_before_go);
    RUN(test_a_child_never_let_go_ends_unheard);
    RUN(test_what_cannot_be_run_is_said);
    RUN(test_the_child_is_a_clean_process);
    RUN(test_the_limit_of_files_is_the_given_one);
    RUN(test_its_files_are_the_given_ones);
    return test_report(__FILE__);
}
