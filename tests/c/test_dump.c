#define _GNU_SOURCE /* pthread_setname_np */
/* dump: a child that stands still in a known function, seen from outside. */
#include "dump.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

__attribute__((noipa)) static int stand_still(int fd)
{
    char byte;
    ssize_t n = read(fd, &byte, 1);

    __asm__ volatile("" ::: "memory"); /* no tail call */
    return (int)n;
}

__attribute__((noipa)) static void *worker(void *arg)
{
    pthread_setname_np(pthread_self(), "still");
    stand_still(*(int *)arg);
    return NULL;
}

/* A child with a thread "still" that waits in stand_still(), as its main thread does. */
static pid_t start_child(int *release)
{
    int pipes[2];
    pid_t pid;

    if (pipe(pipes) < 0)
        return -1;
    pid = fork();
    if (pid == 0) {
        pthread_t thread;
        close(pipes[1]);
        pthread_create(&thread, NULL, worker, &pipes[0]);
        stand_still(pipes[0]);
        _exit(0);
    }
    close(pipes[0]);
    *release = pipes[1];
    return pid;
}

static bool has_frame(const struct cprof_dump *dump,
                      const struct cprof_dump_thread *thread, const char *name)
{
    const struct cprof_stacks *stacks = dump->stacks;

    for (size_t i = 0; i < thread->n_frames; i++) {
        const struct cprof_location *location =
            &stacks->locations.data[dump->frames.data[thread->first_frame + i]];
        const struct cprof_line *line = &stacks->lines.data[location->first_line];
        const struct cprof_function *function = &stacks->functions.data[line->function];
        if (!strcmp(cprof_stacks_text(stacks, function->name), name))
            return true;
    }
    return false;
}

/* Both threads of the child sleep in read(2); give them the time to get there. */
static struct cprof_dump *dump_when_still(pid_t pid)
{
    struct cprof_dump *dump = NULL;

    for (int i = 0; i < 200; i++) {
        bool is_still = true;
        CHECK_EQ(cprof_dump_create(pid, &dump, NULL), 0);
        if (!dump)
            return NULL;
        for (size_t k = 0; k < dump->threads.n; k++)
            is_still &= has_frame(dump, &dump->threads.data[k], "stand_still");
        if (is_still && dump->threads.n == 2)
            return dump;
        cprof_dump_destroy(dump);
        dump = NULL;
        poll(NULL, 0, 10);
    }
    return NULL;
}

static void test_every_thread_is_seen_where_it_stands(void)
{
    int release, status;
    pid_t pid = start_child(&release);
    struct cprof_dump *dump = dump_when_still(pid);

    CHECK(dump != NULL);
    for (size_t i = 0; dump && i < dump->threads.n; i++) {
        const struct cprof_dump_thread *thread = &dump->threads.data[i];
        CHECK_EQ(thread->end, CPROF_END_ROOT);
        CHECK_EQ(thread->state, 'S');
        CHECK(has_frame(dump, thread, thread->tid == pid ? "main" : "worker"));
        if (thread->tid != pid)
            CHECK_STR(thread->name, "still");
    }
    cprof_dump_destroy(dump);
    close(release); /* the target goes on as if nothing had been */
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_what_cannot_be_dumped_is_said(void)
{
    struct cprof_error err = {0};
    struct cprof_dump *dump;
    pid_t pid = fork();

    CHECK_EQ(cprof_dump_create(-1, &dump, &err), -ESRCH);
    CHECK(strstr(err.message, "dump: no process") == err.message);
    if (pid == 0)
        _exit(0);
    siginfo_t info;
    CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    CHECK_EQ(cprof_dump_create(pid, &dump, &err), -ESRCH);
    CHECK(strstr(err.message, "zombie") != NULL);
    waitpid(pid, NULL, 0);
    cprof_dump_destroy(NULL);
}

static pid_t swept;

static int attempt(void *arg)
{
    struct cprof_dump *dump;
    int r = cprof_dump_create(swept, &dump, NULL);

    (void)arg;
    if (r == 0)
        cprof_dump_destroy(dump);
    return r;
}

static void test_a_failing_allocation_leaves_nothing_behind(void)
{
    int release;

    swept = start_child(&release);
    CHECK_EQ(sweep(attempt, NULL), 0);
    close(release);
    waitpid(swept, NULL, 0);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    RUN(test_every_thread_is_seen_where_it_stands);
    RUN(test_what_cannot_be_dumped_is_said);
    RUN(test_a_failing_allocation_leaves_nothing_behind);
    return test_report(__FILE__);
}
